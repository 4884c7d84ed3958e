from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from shards.errors import BadInput, UserError
from shards.layouts.coco import CocoIndex, annotation_mask, read_image, scan_coco
from shards.layouts.licences import Licence

H, W = 20, 30
SQUARE = [[5, 5, 15, 5, 15, 15, 5, 15]]


HUGE = 10**400


def annotation(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "id": number,
        "image_id": 7,
        "category_id": 18,
        "iscrowd": 0,
        "area": 100,
        "bbox": [5, 5, 10, 10],
        "segmentation": SQUARE,
    }
    return {**row, **changes}


def write(root: Path, *annotations: dict[str, Any], drop: str | None = None, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "licenses": [
            {"id": 3, "name": "Attribution-NonCommercial-NoDerivs License", "url": "http://x/by-nc-nd/2.0/"}
        ],
        "images": [{"id": 7, "file_name": "7.png", "width": W, "height": H, "license": 3}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
        "annotations": list(annotations),
        **changes,
    }
    if drop is not None:
        del content[drop]
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    (root / "train2017").mkdir(exist_ok=True)
    Image.fromarray(np.full((H, W, 3), 80, np.uint8)).save(root / "train2017" / "7.png")
    return root


def scan(root: Path) -> CocoIndex:
    return scan_coco(root, "train2017")


def truth() -> np.ndarray:
    mask = np.zeros((H, W), bool)
    mask[5:15, 5:15] = True
    return mask


def counts_of(mask: np.ndarray) -> list[int]:
    """Uncompressed run lengths, column by column, starting with the number of zeros."""
    runs, current, length = [], False, 0
    for value in mask.T.ravel().tolist():
        if value == current:
            length += 1
        else:
            runs.append(length)
            current, length = value, 1
    return [*runs, length]


def test_index(tmp_path: Path) -> None:
    index = scan(write(tmp_path, annotation(2), annotation(1, category_id=1, iscrowd=1)))
    assert [(row.id, row.category, row.crowd) for row in index.annotations] == [
        (1, "person", True),
        (2, "dog", False),
    ]
    assert index.categories == ("dog", "person")
    assert index.problems == ()
    image = index.images[7]
    assert (image.width, image.height) == (W, H)
    assert image.licence == Licence("Attribution-NonCommercial-NoDerivs License", "http://x/by-nc-nd/2.0/")
    assert not image.licence.allows_derivatives
    assert read_image(image).shape == (H, W, 3)
    assert str(tmp_path) not in json.dumps(dict(index.fingerprint))


def test_masks_of_all_forms_agree(tmp_path: Path) -> None:
    counts = counts_of(truth())
    packed = coco_mask.encode(np.asfortranarray(truth().astype(np.uint8)))
    forms: list[Any] = [
        SQUARE,
        [[5, 5, 15, 5, 15, 15], [5, 5, 15, 15, 5, 15]],  # two triangles that touch
        {"counts": counts, "size": [H, W]},
        {"counts": packed["counts"].decode(), "size": [H, W]},
    ]
    index = scan(write(tmp_path, *(annotation(n, segmentation=form) for n, form in enumerate(forms, 1))))
    masks = [annotation_mask(index.images[7], row) for row in index.annotations]
    for number in (0, 2, 3):
        np.testing.assert_array_equal(masks[number], truth())
    assert (masks[1] ^ truth()).sum() <= 12  # along the shared diagonal, rounding may differ


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ([[5, 5, 40, 5, 40, 15]], "polygon-outside-image"),
        ([[-9, 5, 10, 5, 10, 15]], "polygon-outside-image"),
        ({"counts": [10, 5], "size": [H, W]}, "bad-segmentation"),
        ({"counts": [H * W + 1, -1], "size": [H, W]}, "bad-segmentation"),
        ({"counts": [H * W], "size": [W, H]}, "size-mismatch"),
        ({"counts": [H * W], "size": [H, W]}, "empty-mask"),
        ({"counts": "zzz", "size": [H, W]}, "bad-segmentation"),
        ({"counts": "!", "size": [H, W]}, "bad-segmentation"),
    ],
)
def test_broken_masks(tmp_path: Path, form: Any, reason: str) -> None:
    index = scan(write(tmp_path, annotation(segmentation=form)))
    with pytest.raises(BadInput) as caught:
        annotation_mask(index.images[7], index.annotations[0])
    assert caught.value.reason == reason
    assert "annotation 1 of 7.png" in caught.value.detail


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image_id": 8}, "annotation-without-image"),
        ({"category_id": 99}, "unknown-category"),
        ({"bbox": [0, 0, 0, 5]}, "bad-bbox"),
        ({"bbox": [0, 0, 5]}, "bad-bbox"),
        ({"bbox": [0, 0, float("nan"), 5]}, "bad-bbox"),
        ({"bbox": None}, "bad-bbox"),
        ({"segmentation": []}, "bad-segmentation"),
        ({"segmentation": [[1, 2, 3, 4]]}, "bad-segmentation"),
        ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, "bad-segmentation"),
        ({"segmentation": {"size": [1]}}, "bad-segmentation"),
        ({"segmentation": None}, "bad-segmentation"),
        ({"image_id": "seven"}, "bad-annotation-row"),
        ({"image_id": [7]}, "bad-annotation-row"),
        ({"category_id": {}}, "bad-annotation-row"),
        ({"bbox": [0, 0, HUGE, 5]}, "bad-bbox"),
        ({"segmentation": [[1, 2, 3, 4, 5, HUGE]]}, "bad-segmentation"),
        ({"segmentation": [[1.5, -HUGE, 3, 4, 5, HUGE]]}, "bad-segmentation"),
        ({"segmentation": {"counts": [HUGE], "size": [20, 30]}}, "bad-segmentation"),
    ],
)
def test_broken_rows(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    index = scan(write(tmp_path, annotation(1, **changes), annotation(2)))
    assert [row.id for row in index.annotations] == [2]
    assert [(problem.reason, problem.input) for problem in index.problems] == [(reason, "annotation 1")]


def test_broken_images(tmp_path: Path) -> None:
    good = {"id": 7, "file_name": "7.png", "width": W, "height": H}
    images = [good, good, {"id": 8, "file_name": "8.png", "width": W, "height": H}, {"id": 9}, "x"]
    index = scan(write(tmp_path, annotation(1), annotation(1), annotation(2, image_id=8), images=images))
    assert list(index.images) == [7]
    assert index.images[7].licence == Licence()
    # The annotation of the missing picture is no second problem.
    assert sorted(problem.reason for problem in index.problems) == [
        "bad-image-row",
        "bad-image-row",
        "duplicate-id",
        "duplicate-id",
        "missing-image",
    ]


def test_ids_that_are_no_numbers(tmp_path: Path) -> None:
    row = {"id": 7, "file_name": "7.png", "width": W, "height": H, "license": [1]}
    changes: dict[str, Any] = {
        "images": [row, {"id": [1]}, {"id": {}}, {**row, "id": 8, "width": HUGE}, {**row, "id": 9, "width": 10**8}],
        "licenses": [{"id": [2], "name": "x"}, 5, {"id": None}],
        "categories": [{"id": 18, "name": "dog"}, {"id": [3], "name": "cat"}, {"id": 4}],
    }
    index = scan(write(tmp_path, annotation(1), annotation(2, area=HUGE), **changes))
    assert list(index.images) == [7]
    assert index.images[7].licence == Licence()
    assert index.categories == ("dog",)
    assert [row.area for row in index.annotations] == [100, 100]  # the box stands in for an impossible area
    assert [problem.reason for problem in index.problems] == ["bad-image-row"] * 4


def test_a_link_that_leads_to_itself(tmp_path: Path) -> None:
    image = {"id": 7, "file_name": "7.png", "width": W, "height": H}
    root = write(tmp_path, annotation(), images=[image, {**image, "id": 8, "file_name": "8.png"}])
    (root / "train2017" / "8.png").symlink_to("8.png")
    assert [problem.reason for problem in scan(root).problems] == ["missing-image"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """JSON can hold halves of characters, which no document can."""
    half = "\ud800"
    image = {"id": 7, "file_name": "7.png", "width": W, "height": H, "license": 3}
    index = scan(
        write(
            tmp_path,
            annotation(),
            annotation(2, category_id=1),
            licenses=[{"id": 3, "name": half, "url": 5}],
            images=[image, {**image, "id": 8, "file_name": half}, {**image, "id": 9, "file_name": ["7.png"]}],
            categories=[{"id": 18, "name": "dog"}, {"id": 1, "name": half}],
        )
    )
    assert [problem.reason for problem in index.problems] == ["bad-image-row", "bad-image-row", "unknown-category"]
    assert index.images[7].licence == Licence()
    assert index.categories == ("dog",)


def test_picture_of_another_size_or_truncated(tmp_path: Path) -> None:
    index = scan(write(tmp_path, annotation()))
    path = index.images[7].path
    Image.fromarray(np.zeros((H, W + 1, 3), np.uint8)).save(path)
    with pytest.raises(BadInput, match="is 31x20, its annotations say 30x20"):
        read_image(index.images[7])
    path.write_bytes(path.read_bytes()[:-25])
    with pytest.raises(BadInput) as caught:
        read_image(index.images[7])
    assert caught.value.reason == "truncated-image"


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_json_that_is_not_cocos(tmp_path: Path, key: str) -> None:
    with pytest.raises(UserError, match=f"not a COCO instances file: the key '{key}' is missing"):
        scan(write(tmp_path, drop=key))
    with pytest.raises(UserError, match=f"'{key}' should hold a list"):
        scan(write(tmp_path, **{key: {}}))


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        scan(tmp_path / "absent")
    with pytest.raises(UserError, match="is not COCO"):
        scan(tmp_path)
    (tmp_path / "leftImg8bit").mkdir()
    with pytest.raises(UserError, match="looks like Cityscapes"):
        scan(tmp_path)
    (tmp_path / "leftImg8bit").rmdir()
    write(tmp_path, annotation())
    with pytest.raises(UserError, match="no split 'val2017': there are annotations of train2017"):
        scan_coco(tmp_path, "val2017")
    (tmp_path / "train2017" / "7.png").unlink()
    with pytest.raises(UserError, match=r"None of the 1 pictures .* expected files such as 7.png, found 0 files"):
        scan(tmp_path)
    (tmp_path / "train2017").rmdir()
    with pytest.raises(UserError, match="no folder train2017/"):
        scan(tmp_path)
    (tmp_path / "annotations" / "instances_train2017.json").write_text("{")
    (tmp_path / "train2017").mkdir()
    with pytest.raises(UserError, match="is not JSON"):
        scan(tmp_path)
    (tmp_path / "annotations" / "instances_train2017.json").write_text("[]")
    with pytest.raises(UserError, match="expected an object with 'images', 'annotations', 'categories', got list"):
        scan(tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(("split", "images", "rows"), [("train2017", 178, 1409), ("val2017", 149, 1093)])
def test_real_coco(shared: Path, split: str, images: int, rows: int) -> None:
    index = scan_coco(shared / "data" / "coco", split)
    assert (len(index.images), len(index.annotations), index.problems) == (images, rows, ())
    for row in index.annotations[::9]:
        mask = annotation_mask(index.images[row.image_id], row)
        x, y, width, height = row.box
        ys, xs = np.nonzero(mask)
        assert xs.min() >= x - 1.5
        assert ys.min() >= y - 1.5
        assert xs.max() <= x + width + 1.5
        assert ys.max() <= y + height + 1.5
    with pytest.raises(UserError, match="looks like Cityscapes"):
        scan_coco(shared / "data" / "cityscapes", "train2017")
