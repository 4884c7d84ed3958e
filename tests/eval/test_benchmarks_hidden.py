"""Test frames, whose labels are hidden, and what `--layout` says of each kind of set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import count_pixels, find_sets, find_test_frames
from eval.benchmarks.layout import describe_layout
from eval.benchmarks.sets import read_image
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


def test_test_frames_are_listed_apart(full: Path) -> None:
    anomaly, obstacle = find_test_frames(full)
    assert (anomaly.name, anomaly.benchmark, anomaly.submission) == (
        "dataset_AnomalyTrack",
        "smiyc",
        "AnomalyTrack-all",
    )
    assert [frame.name for frame in anomaly.frames] == ["cow0000", "tower0001"]
    assert (obstacle.submission, len(obstacle.frames)) == ("ObstacleTrack-all", 3)
    assert read_image(obstacle.frames[0]).shape == (24, 32, 3)
    assert "2 test frames; their labels are hidden" in anomaly.notes[0]
    assert "The full download has 412 of them." in obstacle.notes
    assert find_test_frames(full / "dataset_AnomalyTrack") == [anomaly]
    # What is evaluated knows nothing of them.
    judged = {frame.name for found in find_sets("smiyc", full) for frame in found.frames}  # type: ignore[union-attr]
    assert not judged & {frame.name for frame in (*anomaly.frames, *obstacle.frames)}


def test_a_download_of_test_frames_only_can_be_predicted_but_not_judged(full: Path) -> None:
    track = full / "dataset_AnomalyTrack"
    for path in [*(track / "images").glob("validation*"), *(track / "labels_masks").glob("validation*")]:
        path.unlink()
    (found,) = find_sets("smiyc", track)
    with pytest.raises(UserError, match="stand-ins of a hidden test set"):
        count_pixels(found)  # type: ignore[arg-type]
    assert len(find_test_frames(track)[0].frames) == 2
    for path in (track / "labels_masks").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="2 frames are without a label"):
        find_sets("smiyc", track)
    assert len(find_test_frames(track)[0].frames) == 2
    (track / "labels_masks").rmdir()
    assert len(find_test_frames(track)[0].frames) == 2


def test_sentences_where_there_are_no_test_frames(worlds: Path, frame: Draw) -> None:
    with pytest.raises(UserError, match="holds validation frames only"):
        find_test_frames(worlds)
    with pytest.raises(UserError, match=r"not a smiyc folder: .* It looks like: roadanomaly"):
        find_test_frames(worlds / "RoadAnomaly_jpg")
    with pytest.raises(UserError, match="There is no folder"):
        find_test_frames(worlds / "none")
    images = worlds / "dataset_AnomalyTrack" / "images"
    for suffix in ("jpg", "png"):
        frame(images / f"cow0000.{suffix}", worlds / "gone.png")
    with pytest.raises(UserError, match=r"two images of frame cow0000: cow0000.jpg and cow0000.png"):
        find_test_frames(worlds / "dataset_AnomalyTrack")


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
    hidden = describe_layout(find_test_frames(track)[0])
    assert "test frames, labels hidden" in hidden
    assert "  submitted as AnomalyTrack-all" in hidden
    assert "  frames    2\n" in hidden
