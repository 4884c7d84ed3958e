from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shards.check import check_cityscapes, check_coco
from shards.errors import UserError


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    root = tmp_path / "cityscapes"
    for split, number in (("train", 0), ("train", 1), ("val", 2)):
        stem = f"town_{number:06d}_000019"
        noise = np.random.default_rng(number).integers(0, 256, (8, 16, 3), dtype=np.uint8)
        save(root / "leftImg8bit" / split / "town" / f"{stem}_leftImg8bit.png", noise)
        save(root / "gtFine" / split / "town" / f"{stem}_gtFine_labelIds.png", np.full((8, 16), 7, np.uint8))
    return root


def test_a_whole_cityscapes_has_no_problem(cityscapes: Path) -> None:
    report = check_cityscapes(cityscapes, decode=True)
    assert report.problems == ()
    assert dict(report.facts)["train: frames"] == "2"
    assert dict(report.facts)["val: sizes"] == "16x8 (1)"


def test_frames_without_label_ids_are_named(cityscapes: Path) -> None:
    labels = cityscapes / "gtFine" / "train" / "town" / "town_000001_000019_gtFine_labelIds.png"
    labels.rename(labels.with_name(labels.name.replace("labelIds", "labelTrainIds")))
    facts = dict(check_cityscapes(cityscapes, decode=False).facts)
    assert facts["train: with labelIds"] == "1; `build voidclass` leaves out those without: town_000001_000019"
    assert facts["val: with labelIds"] == "1"


def test_each_fault_of_cityscapes_is_named(cityscapes: Path) -> None:
    labels = cityscapes / "gtFine" / "train" / "town"
    save(labels / "town_000009_000019_gtFine_labelIds.png", np.zeros((8, 16), np.uint8))
    save(labels / "town_000001_000019_gtFine_labelIds.png", np.zeros((8, 15), np.uint8))
    picture = cityscapes / "leftImg8bit" / "train" / "town" / "town_000000_000019_leftImg8bit.png"
    picture.write_bytes(picture.read_bytes()[:60])
    reasons = dict(check_cityscapes(cityscapes, decode=True).by_reason())
    assert set(reasons) == {"labels-without-image", "size-mismatch", "truncated-image"}
    assert [len(found) for found in reasons.values()] == [1, 1, 1]
    # Sizes stand in the headers, which are always read.
    reasons = dict(check_cityscapes(cityscapes, decode=False).by_reason())
    assert set(reasons) == {"labels-without-image", "size-mismatch"}


@pytest.mark.parametrize("decode", [False, True])
def test_a_split_that_cannot_be_used_is_a_problem(cityscapes: Path, decode: bool) -> None:
    for label in (cityscapes / "gtFine" / "val" / "town").iterdir():
        label.unlink()
    report = check_cityscapes(cityscapes, decode=decode)
    (problem,) = report.problems
    assert (problem.reason, problem.input) == ("unusable-split", "val")
    assert "holds no usable frame: 1 pictures" in problem.detail
    assert dict(report.facts)["val"] == "cannot be used"
    assert dict(report.facts)["train: frames"] == "2"
    for label in (cityscapes / "gtFine" / "train" / "town").iterdir():
        label.unlink()
    with pytest.raises(UserError, match="'train'"):
        check_cityscapes(cityscapes, decode=decode)


def test_wrong_folders_are_refused(tmp_path: Path, cityscapes: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        check_cityscapes(tmp_path / "none", decode=False)
    with pytest.raises(UserError):
        check_coco(cityscapes, decode=False)


def coco(root: Path) -> Path:
    rows = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 20, "height": 10, "license": 1}],
        "licenses": [{"id": 1, "name": "Attribution License", "url": ""}],
        "categories": [{"id": 18, "name": "dog"}],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 18, "iscrowd": 0, "area": 16, "bbox": [2, 2, 4, 4],
             "segmentation": [[2, 2, 6, 2, 6, 6, 2, 6]]},
            {"id": 6, "image_id": 1, "category_id": 18, "iscrowd": 0, "area": 16, "bbox": [2, 2, 400, 4],
             "segmentation": [[2, 2, 402, 2, 402, 6, 2, 6]]},
            {"id": 7, "image_id": 3, "category_id": 18, "iscrowd": 0, "area": 16, "bbox": [2, 2, 4, 4],
             "segmentation": [[2, 2, 6, 2, 6, 6, 2, 6]]},
        ],
    }  # fmt: skip
    save(root / "train2017" / "1.jpg", np.zeros((10, 20, 3), np.uint8))
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(rows))
    return root


def test_each_fault_of_coco_is_named(tmp_path: Path) -> None:
    report = check_coco(coco(tmp_path / "coco"), decode=True)
    assert dict(report.facts)["train2017: images"] == "1"
    reasons = {problem.reason for problem in report.problems}
    assert "annotation-without-image" in reasons
    assert len(reasons) == 2, reasons
