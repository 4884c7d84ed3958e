from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shards.errors import BadInput, UserError
from shards.layouts.cityscapes import (
    CityscapesFrame,
    check_sizes,
    image_size,
    read_image,
    read_instance_ids,
    read_label_ids,
    read_semantic,
    scan_cityscapes,
)

ID = "aachen_000000_000019"


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def add(
    root: Path,
    frame_id: str = ID,
    *,
    split: str = "train",
    city: str = "aachen",
    ext: str = "png",
    kinds: tuple[str, ...] = ("labelIds",),
    image: bool = True,
) -> None:
    """One 4x6 frame: grey picture, road (labelId 7, trainId 0) everywhere."""
    if image:
        save(root / "leftImg8bit" / split / city / f"{frame_id}_leftImg8bit.{ext}", np.full((4, 6, 3), 90, np.uint8))
    for kind in kinds:
        value = {"labelIds": 7, "labelTrainIds": 0, "instanceIds": 26001}[kind]
        dtype = np.uint16 if kind == "instanceIds" else np.uint8
        save(root / "gtFine" / split / city / f"{frame_id}_gtFine_{kind}.png", np.full((4, 6), value, dtype))


def only(root: Path, split: str = "train") -> CityscapesFrame:
    (frame,) = scan_cityscapes(root, split).frames
    return frame


def test_official_layout(tmp_path: Path) -> None:
    add(tmp_path, "bochum_000001_000019", city="bochum", kinds=("labelIds", "labelTrainIds", "instanceIds"))
    add(tmp_path)
    (tmp_path / "gtFine/train/aachen" / f"{ID}_gtFine_polygons.json").write_text("{}")
    save(tmp_path / "gtFine/train/aachen" / f"{ID}_gtFine_color.png", np.zeros((4, 6, 3), np.uint8))
    scan = scan_cityscapes(tmp_path, "train")
    assert [frame.id for frame in scan.frames] == [ID, "bochum_000001_000019"]
    assert scan.problems == ()
    first, second = scan.frames
    assert (first.city, first.split, first.train_ids, first.instance_ids) == ("aachen", "train", None, None)
    assert second.instance_ids is not None
    assert image_size(first) == (6, 4)
    np.testing.assert_array_equal(read_image(first), np.full((4, 6, 3), 90, np.uint8))
    np.testing.assert_array_equal(read_label_ids(first), np.full((4, 6), 7, np.uint8))
    np.testing.assert_array_equal(read_semantic(first), np.zeros((4, 6), np.uint8))
    np.testing.assert_array_equal(read_instance_ids(second), np.full((4, 6), 26001, np.int32))


@pytest.mark.parametrize("ext", ["png", "jpg", "webp"])
def test_flat_layout_with_train_ids_only(tmp_path: Path, ext: str) -> None:
    add(tmp_path, "train1", city=".", ext=ext, kinds=("labelTrainIds",))
    frame = only(tmp_path)
    assert (frame.id, frame.city) == ("train1", "")
    np.testing.assert_array_equal(read_semantic(frame), np.zeros((4, 6), np.uint8))
    with pytest.raises(BadInput) as caught:
        read_label_ids(frame)
    assert caught.value.reason == "no-label-ids"


def test_pairs_by_key_not_by_order(tmp_path: Path) -> None:
    # By order, frame b would be paired with the labels of c.
    add(tmp_path, "a", kinds=())
    add(tmp_path, "b")
    add(tmp_path, "c", image=False)
    scan = scan_cityscapes(tmp_path, "train")
    assert [frame.id for frame in scan.frames] == ["b"]
    label = scan.frames[0].label_ids
    assert label is not None
    assert label.name == "b_gtFine_labelIds.png"
    assert [(problem.reason, problem.input) for problem in scan.problems] == [
        ("image-without-labels", "a"),
        ("labels-without-image", "c"),
    ]
    assert "a_gtFine_labelIds.png" in scan.problems[0].detail


def test_instance_ids_alone_are_no_labels(tmp_path: Path) -> None:
    add(tmp_path)
    add(tmp_path, "b", kinds=("instanceIds",))
    assert [problem.reason for problem in scan_cityscapes(tmp_path, "train").problems] == ["image-without-labels"]


def test_duplicates_and_strange_names(tmp_path: Path) -> None:
    add(tmp_path)
    add(tmp_path, city="bochum")
    add(tmp_path, ext="jpg", kinds=())
    save(tmp_path / "leftImg8bit/train/aachen/aachen_000000_000019.png", np.zeros((4, 6, 3), np.uint8))
    (tmp_path / "leftImg8bit/train/aachen/.DS_Store").write_text("")
    scan = scan_cityscapes(tmp_path, "train")
    assert len(scan.frames) == 1
    assert [problem.reason for problem in scan.problems] == [
        "duplicate-image",
        "duplicate-image",
        "duplicate-label",
        "unrecognised-name",
    ]
    assert not any(str(tmp_path) in problem.detail for problem in scan.problems)


def test_frames_cross_processes(tmp_path: Path) -> None:
    import pickle

    add(tmp_path)
    scan = scan_cityscapes(tmp_path, "train")
    assert pickle.loads(pickle.dumps(scan)) == scan


def coco_instead(root: Path) -> None:
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train2017.json").write_text("{}")


def images_only(root: Path) -> None:
    (root / "leftImg8bit" / "train").mkdir(parents=True)


def nested(root: Path) -> None:
    add(root / "cityscapes")


def no_pairs(root: Path) -> None:
    add(root, kinds=())


def strangers(root: Path) -> None:
    add(root, "a", kinds=())
    add(root, "b", image=False)


def empty(root: Path) -> None:
    for half in ("leftImg8bit", "gtFine"):
        (root / half / "train").mkdir(parents=True)


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (coco_instead, "looks like COCO"),
        (images_only, "expected the Cityscapes folder with leftImg8bit/ and gtFine/ in it, found leftImg8bit/."),
        (nested, "is not the Cityscapes folder, but"),
        (no_pairs, "holds no usable frame: 1 pictures"),
        (strangers, "were found, none of which belong together."),
        (empty, "0 label maps named *_gtFine_labelIds.png or *_gtFine_labelTrainIds.png were found."),
        (lambda root: None, "found nothing"),
    ],
)
def test_not_cityscapes(tmp_path: Path, prepare: object, sentence: str) -> None:
    prepare(tmp_path)  # type: ignore[operator]
    (tmp_path / "gtFine" / "train").mkdir(parents=True, exist_ok=True) if prepare is no_pairs else None
    with pytest.raises(UserError) as caught:
        scan_cityscapes(tmp_path, "train")
    assert sentence in str(caught.value)


def test_missing_folder_and_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        scan_cityscapes(tmp_path / "absent", "train")
    add(tmp_path)
    add(tmp_path, "b", split="val")
    with pytest.raises(UserError, match="no split 'test': there are: train, val"):
        scan_cityscapes(tmp_path, "test")
    with pytest.raises(UserError, match="give the folder above it"):
        scan_cityscapes(tmp_path / "leftImg8bit", "train")


def truncate(frame: CityscapesFrame) -> None:
    data = frame.image.read_bytes()
    frame.image.write_bytes(data[: len(data) - 30])


def garbage(frame: CityscapesFrame) -> None:
    frame.image.write_bytes(b"no picture")


def lost(frame: CityscapesFrame) -> None:
    frame.image.unlink()


@pytest.mark.parametrize(
    ("harm", "reason"), [(truncate, "truncated-image"), (garbage, "unreadable-image"), (lost, "missing-image")]
)
def test_broken_pictures(tmp_path: Path, harm: object, reason: str) -> None:
    add(tmp_path)
    frame = only(tmp_path)
    harm(frame)  # type: ignore[operator]
    with pytest.raises(BadInput) as caught:
        read_image(frame)
    assert caught.value.reason == reason
    assert frame.image.name in caught.value.detail
    assert str(tmp_path) not in caught.value.detail


@pytest.mark.parametrize("length", [0, 10, 20, None])
def test_sizes_of_broken_pictures(tmp_path: Path, length: int | None) -> None:
    add(tmp_path)
    frame = only(tmp_path)
    data = frame.image.read_bytes()
    frame.image.unlink()
    if length is not None:
        frame.image.write_bytes(data[:length])
    with pytest.raises(BadInput, match=frame.image.name) as caught:
        image_size(frame)
    assert caught.value.reason in ({"missing-image"} if length is None else {"truncated-image", "unreadable-image"})
    assert "None" not in caught.value.detail


def test_every_label_map_has_the_size_of_its_picture(tmp_path: Path) -> None:
    add(tmp_path, kinds=("labelIds", "labelTrainIds", "instanceIds"))
    frame = only(tmp_path)
    assert check_sizes(frame) == (6, 4)
    for path in (frame.label_ids, frame.train_ids, frame.instance_ids):
        assert path is not None
        data = path.read_bytes()
        save(path, np.zeros((4, 5), np.uint8))
        with pytest.raises(BadInput, match=f"{path.name} is 5x4, its picture 6x4"):
            check_sizes(frame)
        path.unlink()
        with pytest.raises(BadInput, match="missing-label"):
            check_sizes(frame)
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((4, 5), 7, np.uint8), "size-mismatch"),
        (np.full((4, 6), 34, np.uint8), "unknown-label"),
        (np.full((4, 6), 254, np.uint8), "unknown-label"),
        (np.full((4, 6), 300, np.uint16), "unknown-label"),
        (np.full((4, 6, 3), 7, np.uint8), "not-a-map"),
    ],
)
def test_broken_labels(tmp_path: Path, pixels: np.ndarray, reason: str) -> None:
    add(tmp_path)
    frame = only(tmp_path)
    assert frame.label_ids is not None
    Image.fromarray(pixels).save(frame.label_ids)
    with pytest.raises(BadInput) as caught:
        read_semantic(frame)
    assert caught.value.reason == reason


def test_train_ids_beyond_18_and_license_plates(tmp_path: Path) -> None:
    add(tmp_path, kinds=("labelTrainIds",))
    frame = only(tmp_path)
    assert frame.train_ids is not None
    Image.fromarray(np.full((4, 6), 19, np.uint8)).save(frame.train_ids)
    with pytest.raises(BadInput, match=r"holds 19; expected 0\.\.18 and 255"):
        read_semantic(frame)
    Image.fromarray(np.full((4, 6), 255, np.uint8)).save(frame.train_ids)
    assert (read_semantic(frame) == 255).all()


def test_missing_label(tmp_path: Path) -> None:
    add(tmp_path)
    frame = only(tmp_path)
    assert frame.label_ids is not None
    frame.label_ids.unlink()
    with pytest.raises(BadInput) as caught:
        read_semantic(frame)
    assert caught.value.reason == "missing-label"
    bare = CityscapesFrame(ID, "aachen", "train", frame.image, None, None, None)
    with pytest.raises(BadInput) as caught:
        read_semantic(bare)
    assert caught.value.reason == "missing-label"
    with pytest.raises(BadInput) as caught:
        read_instance_ids(bare)
    assert caught.value.reason == "no-instance-ids"


@pytest.mark.real
def test_real_sets(shared: Path) -> None:
    data = shared / "data"
    for folder, split, frames in [
        ("cityscapes", "train", 8),
        ("cityscapes", "val", 9),
        ("cityscapes_256x96", "train", 500),
        ("cityscapes_256x96", "val", 100),
    ]:
        scan = scan_cityscapes(data / folder, split)
        assert len(scan.frames) == frames
        assert scan.problems == ()
        assert read_semantic(scan.frames[0]).shape == read_image(scan.frames[0]).shape[:2]
    with pytest.raises(UserError, match="looks like COCO"):
        scan_cityscapes(data / "coco", "train")
