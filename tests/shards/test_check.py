from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shards.check import check_cityscapes, check_coco, check_shards
from shards.errors import UserError
from shards.manifest import Manifest, write_manifest
from shards.sample import Sample
from shards.writer import write_shard


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


def shard_set(folder: Path, **changes: object) -> Path:
    """Two samples in one tar, as a build leaves them."""
    zeros = np.zeros((8, 8), np.uint8)
    samples = [Sample(f"k-{number}", np.zeros((8, 8, 3), np.uint8), zeros, zeros) for number in range(2)]
    record = write_shard(folder / "k-000000.tar", samples).model_copy(update=changes)
    manifest = Manifest(
        recipe="k", config={}, seed=0, count=2, samples_per_shard=2, tool={}, sources={}, shards=[record],
        pixels={}, rejects={},
    )  # fmt: skip
    (folder / "samples.jsonl").write_text("".join(f'{{"key": "{sample.key}"}}\n' for sample in samples))
    write_manifest(folder, manifest)
    return folder


@pytest.mark.parametrize("decode", [False, True])
def test_counts_and_lists_are_compared(tmp_path: Path, decode: bool) -> None:
    shard_set(tmp_path, samples=3)
    (problem,) = check_shards(tmp_path, decode=decode).problems
    assert (problem.reason, problem.detail) == ("sample-count", "the tars hold 2 samples, the manifest says 3")
    shard_set(tmp_path)
    rows = tmp_path / "samples.jsonl"
    for text, sentence in [
        ('{"key": "k-0"}\n', "lists 1 samples, the tars hold 2"),
        ('{"key": "k-1"}\n{"key": "k-0"}\n', "line 1 of samples.jsonl names 'k-1', the tars hold k-0 there"),
        ("half", "no rows of samples"),
        ("[]\n", "no rows of samples"),
        (None, "samples.jsonl: No such file"),
    ]:
        rows.unlink() if text is None else rows.write_text(text)
        (problem,) = check_shards(tmp_path, decode=decode).problems
        assert problem.reason == "sample-list"
        assert sentence in problem.detail


def test_a_changed_shard_is_found(tmp_path: Path) -> None:
    tar = shard_set(tmp_path) / "k-000000.tar"
    assert check_shards(tmp_path, decode=True).problems == ()
    data = bytearray(tar.read_bytes())
    data[600] ^= 255
    tar.write_bytes(bytes(data))
    assert "checksum" in {problem.reason for problem in check_shards(tmp_path, decode=True).problems}
