"""Test frames, whose labels are hidden, and what `--layout` says of each kind of set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import count_pixels, find_sets
from eval.benchmarks.layout import describe_layout
from eval.benchmarks.sets import read_image
from eval.benchmarks.smiyc import find_submission
from shards.errors import UserError

Draw = Callable[..., None]


@pytest.fixture
def full(worlds: Path, frame: Draw) -> Path:
    """Both tracks with test frames: stand-ins for labels in one, none in the other."""
    anomaly, obstacle = worlds / "dataset_AnomalyTrack", worlds / "dataset_ObstacleTrack"
    for index, name in enumerate(("tower0001", "cow0000")):
        label = anomaly / "labels_masks" / f"{name}_labels_semantic.png"
        frame(anomaly / "images" / f"{name}.jpg", label, index)
        Image.fromarray(np.full((24, 32), 255, np.uint8)).save(label)
    for index, name in enumerate(("curvy-street_1", "driveway_7", "snowstorm1_2")):
        frame(obstacle / "images" / f"{name}.webp", obstacle / "gone.png", index)
    return worlds


def test_all_frames_are_listed_for_the_host(full: Path) -> None:
    anomaly, obstacle = find_submission(full)
    assert (anomaly.name, anomaly.benchmark, anomaly.submission) == (
        "dataset_AnomalyTrack",
        "smiyc",
        "AnomalyTrack-all",
    )
    names = [frame.name for frame in anomaly.frames]
    assert names == ["cow0000", "tower0001", *(f"validation000{index}" for index in range(3))]
    assert anomaly.notes == ("5 frames, where the host expects 110.",)
    # Beside test frames the names are the original ones, of which the host leaves out 19 and 21 to 29.
    assert obstacle.submission == "ObstacleTrack-all"
    assert [frame.name for frame in obstacle.frames] == [
        "curvy-street_1",
        "driveway_7",
        "snowstorm1_2",
        "validation_20",
    ]
    assert obstacle.notes == ("4 frames, where the host expects 442.",)
    assert read_image(obstacle.frames[0]).shape == (24, 32, 3)
    assert find_submission(full / "dataset_AnomalyTrack") == [anomaly]


def test_a_download_of_test_frames_only_can_be_predicted_but_not_judged(full: Path) -> None:
    track = full / "dataset_AnomalyTrack"
    for path in [*(track / "images").glob("validation*"), *(track / "labels_masks").glob("validation*")]:
        path.unlink()
    (found,) = find_sets("smiyc", track)
    with pytest.raises(UserError, match="stand-ins of a hidden test set"):
        count_pixels(found)  # type: ignore[arg-type]
    for path in (track / "labels_masks").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="2 frames are without a label"):
        find_sets("smiyc", track)
    assert len(find_submission(track)[0].frames) == 2
    (track / "labels_masks").rmdir()
    assert len(find_submission(track)[0].frames) == 2


def test_layout_says_what_was_recognised(full: Path) -> None:
    (found,) = find_sets("smiyc", full / "dataset_AnomalyTrack")
    track = full / "dataset_AnomalyTrack"
    assert describe_layout(found).splitlines() == [
        "dataset_AnomalyTrack: smiyc, official layout (as published)",
        f"  images    {track / 'images'} (such as validation0000.jpg)",
        f"  labels    {track / 'labels_masks'} (such as validation0000_labels_semantic.png)",
        "  values    0 known, 1 anomaly, 255 ignore",
        "  frames    3 of 10 in the published set",
        "  note      2 frames beside the validation frames are left out: hidden test labels.",
    ]
    flat = [one for one in find_sets("fishyscapes", full) if one.name == "fishyscapes_static"]
    assert (
        describe_layout(flat[0])
        .splitlines()[0]
        .endswith("fishyscapes, flat layout (flat: images/ and labels_masks/)")
    )
    hidden = describe_layout(find_submission(track)[0])
    assert "frames that its host judges" in hidden
    assert "  submitted as AnomalyTrack-all" in hidden
    assert "  frames    5\n" in hidden
