"""Sets are found wherever they lie below a folder, and what cannot be judged is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.benchmarks import BenchmarkFrame, find_all, find_sets, search
from eval.benchmarks.check import check_benchmark
from eval.benchmarks.search import BrokenSets
from shards.errors import UserError

NAMES = {
    "fishyscapes_lostandfound",
    "fishyscapes_static",
    "RoadAnomaly_jpg",
    "dataset_AnomalyTrack",
    "dataset_ObstacleTrack",
}


def names(benchmark: str, folder: Path) -> set[str]:
    return {found.name for found in find_sets(benchmark, folder)}


@pytest.mark.parametrize("wrapping", ["a", "a/b", "a/b/c"])
def test_wrapped_sets_keep_their_own_names(worlds: Path, tmp_path: Path, wrapping: str) -> None:
    outer = tmp_path / "outer"
    (outer / wrapping).parent.mkdir(parents=True)
    shutil.move(worlds, outer / wrapping)
    assert {
        name for benchmark in ("fishyscapes", "roadanomaly", "smiyc") for name in names(benchmark, outer)
    } == NAMES
    assert names("all", outer) == NAMES
    with pytest.raises(UserError, match=r"It looks like: fishyscapes, roadanomaly, smiyc\."):
        find_sets("muad", outer)


def test_hidden_folders_links_and_insides_of_sets_are_passed_over(worlds: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for place in (".cache", "dataset_AnomalyTrack/images"):
        (data / place).mkdir(parents=True)
        shutil.copytree(worlds / "dataset_ObstacleTrack", data / place / "dataset_ObstacleTrack")
    (data / "dataset_AnomalyTrack" / "labels_masks").mkdir()
    for path in (worlds / "dataset_AnomalyTrack" / "images").iterdir():
        shutil.copy(path, data / "dataset_AnomalyTrack" / "images")
    for path in (worlds / "dataset_AnomalyTrack" / "labels_masks").iterdir():
        shutil.copy(path, data / "dataset_AnomalyTrack" / "labels_masks")
    (data / "deep").mkdir()
    (data / "deep" / "link").symlink_to(worlds)
    (data / "deep" / "again").symlink_to(data)
    assert names("all", data) == {"dataset_AnomalyTrack"}
    # People put links to their sets in one folder: those are theirs.
    (data / "RoadAnomaly").symlink_to(worlds / "RoadAnomaly_jpg")
    assert names("all", data) == {"dataset_AnomalyTrack", "RoadAnomaly"}


def test_too_many_folders_are_refused(worlds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST", 5)
    with pytest.raises(UserError, match="more than 5 folders, too many to look for benchmarks in"):
        find_sets("smiyc", worlds)


def test_images_beside_the_masks_go_before_those_of_another_download(
    worlds: Path, tmp_path: Path, frame: Callable[..., None]
) -> None:
    (other,) = (one for one in find_sets("fishyscapes", worlds) if one.name == "fishyscapes_lostandfound")
    image = other.frames[0].image  # type: ignore[union-attr]
    # Sorted before the set's own image.
    frame(worlds / "LostAndFound" / image.name, tmp_path / "label.png", 9)
    (again,) = (one for one in find_sets("fishyscapes", worlds) if one.name == "fishyscapes_lostandfound")
    assert isinstance(again.frames[0], BenchmarkFrame)
    assert again.frames[0].image == image


def test_an_incomplete_set_is_left_out_and_said(worlds: Path) -> None:
    gone = sorted((worlds / "dataset_AnomalyTrack" / "labels_masks").iterdir())[0]
    gone.unlink()
    shutil.copytree(worlds / "fishyscapes_static", worlds / "mine")
    found = find_all([worlds])
    assert {one.name for one in found.sets} == NAMES - {"dataset_AnomalyTrack"}
    assert ["dataset_AnomalyTrack is incomplete" in found.left_out[0], "name it: anomsynth" in found.left_out[1]] == [
        True,
        True,
    ]
    # Whoever asks for one benchmark, or for a list that must be whole, is stopped.
    for benchmark in ("smiyc", "all"):
        with pytest.raises(UserError, match="dataset_AnomalyTrack is incomplete: 1 frame is without a label"):
            find_sets(benchmark, worlds)
    with pytest.raises(BrokenSets) as caught:
        find_sets("smiyc", worlds)
    assert [one.name for one in caught.value.whole] == ["dataset_ObstacleTrack"]
    reasons = [problem.reason for problem in check_benchmark("all", worlds, decode=False).problems]
    assert reasons == ["incomplete-set", "incomplete-set"]
    with pytest.raises(UserError, match="dataset_AnomalyTrack is incomplete"):
        find_all([worlds / "dataset_AnomalyTrack"])
