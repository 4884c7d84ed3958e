"""`anomsynth eval all` finds whatever a drawn world holds, and says what it leaves out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import find_all, find_sets
from eval.benchmarks.check import check_benchmark
from eval.benchmarks.smiyc import find_submission
from shards.errors import UserError

Run = Callable[..., Any]
EVERY = {
    *("fishyscapes_lostandfound", "fishyscapes_static", "fs_val_v3", "RoadAnomaly_jpg", "LostAndFound"),
    *("benchmarks-dataset_AnomalyTrack", "benchmarks-dataset_ObstacleTrack"),
    *("layouts-dataset_AnomalyTrack", "layouts-dataset_ObstacleTrack"),
    *("StreetHazards", "ACDC_POC", "MUAD_challenge", "bdd100k", "cityscapes"),
}


def names(benchmark: str, folder: Path) -> set[str]:
    return {found.name for found in find_sets(benchmark, folder)}


def test_the_command_says_what_it_leaves_out(world: Path, run: Run) -> None:
    done = run("eval", "all", "--data", world / "layouts", "--layout")
    assert done.status == 0
    assert "MUAD_challenge: muad" in done.out
    assert done.err.splitlines()[-1].startswith("left out: ")
    assert "--set fishyscapes.cityscapes=DIR" in done.err
    done = run("eval", "all", "--data", world / "layouts" / "fs_val_v3", "--layout")
    assert done.status != 0
    assert "--set fishyscapes.cityscapes=DIR" in done.err


def test_everything_in_a_drawn_world_is_found(world: Path) -> None:
    found = find_all([world])
    assert {one.name for one in found.sets} == EVERY
    assert found.left_out == ()
    # Whoever asks for one benchmark finds the same sets of it.
    for benchmark in {one.benchmark for one in found.sets} - {"cityscapes"}:
        assert names(benchmark, world) == {one.name for one in found.sets if one.benchmark == benchmark}


def test_overlapping_folders_give_each_set_once(world: Path) -> None:
    found = find_all([world, world / "cityscapes", world / "benchmarks"])
    assert sorted(one.name for one in found.sets) == sorted(EVERY)


def test_a_second_folder_gives_cityscapes_to_static(world: Path) -> None:
    alone = find_all([world / "layouts"])
    assert "fs_val_v3" not in {one.name for one in alone.sets}
    (sentence,) = alone.left_out
    assert "--set fishyscapes.cityscapes=DIR" in sentence
    both = find_all([world / "layouts", world / "cityscapes"])
    assert both.left_out == ()
    assert {"fs_val_v3", "cityscapes"} <= {one.name for one in both.sets}
    told = find_all([world / "layouts"], [f"fishyscapes.cityscapes={world / 'cityscapes'}"])
    assert told.left_out == ()


def test_notes_advise_what_all_accepts(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "layouts" / "fs_val_v3", tmp_path / "data" / "overlays")
    places = [tmp_path / "data", world / "cityscapes"]
    (static,) = (one for one in find_all(places).sets if one.name == "overlays")
    assert "give it as --set fishyscapes.version=3" in static.notes[0]
    (static,) = (one for one in find_all(places, ["fishyscapes.version=3"]).sets if one.name == "overlays")
    assert static.notes[0].startswith("Version 3;")


def test_wrong_options_stop_everything(world: Path) -> None:
    with pytest.raises(UserError, match="There is no field 'colour'"):
        find_all([world], ["muad.colour=red"])
    with pytest.raises(UserError, match=r"There is no folder .*none: the option cityscapes"):
        find_all([world], [f"fishyscapes.cityscapes={world / 'none'}"])
    with pytest.raises(UserError, match=r"There is no folder .*none"):
        find_all([world, world / "none"])


def test_a_submission_is_found_as_deep(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "layouts" / "dataset_AnomalyTrack", tmp_path / "a" / "b" / "dataset_AnomalyTrack")
    assert [found.name for found in find_submission(tmp_path)] == ["dataset_AnomalyTrack"]


def test_check_looks_at_every_set(world: Path) -> None:
    static = sorted((world / "benchmarks" / "fishyscapes_static" / "labels_masks").iterdir())[0]
    kept = static.read_bytes()
    Image.fromarray(np.full((64, 128), 7, np.uint8)).save(static)
    try:
        problems = check_benchmark("fishyscapes", world, decode=False).problems
    finally:
        static.write_bytes(kept)
    assert [problem.reason for problem in problems] == ["broken-frame"]


def test_two_copies_of_cityscapes_are_told_apart(world: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(world / "cityscapes", tmp_path / name / "cityscapes")
    assert {one.name for one in find_all([tmp_path]).sets} == {"a-cityscapes", "b-cityscapes"}


def test_labels_of_several_sets_are_all_named(world: Path, tmp_path: Path, run: Run) -> None:
    done = run(
        *("eval", "scores", "--scores", tmp_path, "--labels", world / "benchmarks"),
        *("--protocol", "pooled", "--out", tmp_path / "out"),
    )
    assert done.status != 0
    for place in (world / "benchmarks").iterdir():
        assert place.name in " ".join(done.err.split())
