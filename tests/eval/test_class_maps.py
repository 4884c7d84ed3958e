"""Class maps of StreetHazards with and without its class "other", and the two readings of open-mIoU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.class_maps import judge_classes
from eval.judge_scores import judge_scores
from eval.metrics.frame_draws import class_intervals
from eval.protocols import PROTOCOLS
from eval.scoremaps import PairedSet, find_pairs
from shards.errors import UserError

OTHER = 3
"""The class that is stored as 4."""


@pytest.fixture
def towns(tmp_path: Path) -> PairedSet:
    """StreetHazards of two towns with score maps, and class maps of 13 classes and of 12."""
    rng, root = np.random.default_rng(0), tmp_path / "StreetHazards"
    for name in ("scores", "thirteen", "twelve"):
        (tmp_path / name).mkdir()
    for town in ("t5", "t6"):
        stored = rng.integers(1, 14, (20, 30)).astype(np.uint8)
        stored[4:12, 4:16] = 14
        for tree, picture in (("images", stored[..., None].repeat(3, 2)), ("annotations", stored)):
            path = root / tree / "test" / town / "0.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(picture).save(path)
        known = np.where(stored == 14, 0, stored - 1)
        guess = rng.integers(0, 12, stored.shape)
        guess += guess >= OTHER  # a network without that class
        called = np.where((rng.random(stored.shape) < 0.7) & (known != OTHER), known, guess).astype(np.uint8)
        save_maps(tmp_path, town, called)
        score = (rng.normal(size=stored.shape) + 2 * (stored == 14)).astype(np.float32)
        np.save(tmp_path / "scores" / f"{town}_0.npy", score)
    return find_pairs(tmp_path / "scores", root, PROTOCOLS["pooled"])


def save_maps(folder: Path, town: str, called: np.ndarray) -> None:
    Image.fromarray(called).save(folder / "thirteen" / f"{town}_0.png")
    Image.fromarray((called - (called > OTHER)).astype(np.uint8)).save(folder / "twelve" / f"{town}_0.png")


def segmentation(paired: PairedSet, folder: Path, **options: Any) -> dict[str, Any]:
    """The entry in results.json."""
    found = judge_classes(paired, folder, **options)
    results = judge_scores(paired, PROTOCOLS["pooled"], segmentation=found).as_json()
    return dict(results["sets"]["StreetHazards"]["segmentation"])


def test_maps_of_twelve_classes_are_those_of_thirteen(towns: PairedSet, tmp_path: Path) -> None:
    twelve = segmentation(towns, tmp_path / "twelve", without_other=True)
    thirteen = segmentation(towns, tmp_path / "thirteen")
    # Open-mIoU never counts "other"; closed, it is missed unless the maps cannot hold it.
    assert twelve["metrics"]["open_mIoU"] == thirteen["metrics"]["open_mIoU"]
    assert twelve["open_groups"] == thirteen["open_groups"]
    assert "as is the class other" in twelve["open_convention"]["void"]
    assert (twelve["iou_per_class"]["other"], thirteen["iou_per_class"]["other"]) == (None, 0)
    assert twelve["metrics"]["mIoU"] > thirteen["metrics"]["mIoU"]
    assert (twelve["convention"]["void"], thirteen["convention"]["void"]) == (
        "left out, as is the class other",
        "left out",
    )
    ignored = find_pairs(
        tmp_path / "scores", tmp_path / "StreetHazards", PROTOCOLS["pooled"], overrides=["ignore=[4]"]
    )
    told = segmentation(ignored, tmp_path / "thirteen")
    assert told["metrics"] == twelve["metrics"]
    assert told["iou_per_class"] == twelve["iou_per_class"]


def test_both_readings_are_told_apart(towns: PairedSet, tmp_path: Path) -> None:
    found = {
        reading: segmentation(towns, tmp_path / "thirteen", reading=reading) for reading in ("densehybrid", "strided")
    }
    assert found["densehybrid"]["metrics"]["mIoU"] == found["strided"]["metrics"]["mIoU"]
    assert found["densehybrid"]["metrics"]["open_mIoU"] != found["strided"]["metrics"]["open_mIoU"]
    told = {reading: entry["open_convention"] for reading, entry in found.items()}
    assert {reading: convention["reading"] for reading, convention in told.items()} == {name: name for name in told}
    assert "TPR > 0.95" in told["densehybrid"]["threshold"]
    assert "TPR >= 0.95" in told["strided"]["threshold"]
    assert "means of 2x2" in told["densehybrid"]["resolution"]
    assert told["strided"]["void"] == "left out"


def test_intervals_stand_beside_the_means(towns: PairedSet, tmp_path: Path) -> None:
    found = judge_classes(towns, tmp_path / "thirteen")
    expected = class_intervals(found.closed.frames)
    rows = found.as_json()["intervals"]
    assert {row["of"]: (row["low"], row["high"]) for row in rows} == {
        name: (interval.low, interval.high) for name, interval in expected.items()
    }
    assert set(expected) == {"mIoU", "mAcc"}


def test_maps_that_cannot_be_without_other(towns: PairedSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"of t5_0 holds the class 12; without 'other' there are 0\.\.11: leave"):
        judge_classes(towns, tmp_path / "thirteen", without_other=True)
    save_maps(tmp_path, "t6", np.full((10, 15), 5, np.uint8))
    with pytest.raises(UserError, match="The class map of t6_0 has 15x10 pixels but its label 30x20"):
        judge_classes(towns, tmp_path / "twelve", without_other=True)


def test_sets_without_the_class_are_told(tmp_path: Path) -> None:
    root = tmp_path / "MUAD" / "test_sets" / "test_OOD"
    for kind, picture in (
        ("leftImg8bit", np.zeros((4, 4, 3), np.uint8)),
        ("leftLabel", np.tile(np.array([0, 19], np.uint8), (4, 2))),
    ):
        (root / kind).mkdir(parents=True)
        Image.fromarray(picture).save(root / kind / f"0_{kind}.png")
    (tmp_path / "scores").mkdir()
    np.save(tmp_path / "scores" / "0_leftLabel.npy", np.zeros((4, 4), np.float32))
    paired = find_pairs(tmp_path / "scores", root, PROTOCOLS["pooled"])
    with pytest.raises(UserError, match="The classes of muad have no 'other'"):
        judge_classes(paired, tmp_path / "scores", without_other=True)
