"""Figures of shards that a checkpoint was trained on say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anomsynth.commands.seen import told_of_training
from eval.benchmarks import find_sets
from shards.reader import ShardSet
from train.run import describe_shards, frames_of

Run = Callable[..., Any]


@pytest.fixture
def shards(world: Path, tmp_path: Path, run: Run) -> Path:
    done = run("build", "voidclass", "--cityscapes", world / "cityscapes", "--out", tmp_path / "void")
    assert done.status == 0, done.err
    return tmp_path / "void"


def checkpoint(folder: Path, shards: list[Path], saw: list[str]) -> Path:
    """A run that says what it was trained on."""
    folder.mkdir()
    content = {
        **{
            "method": "segmenter",
            "config": {},
            "network": {"name": "lite", "options": {}},
            "input_size": [64, 32],
            "seed": 0,
        },
        **{
            "shards": [describe_shards(ShardSet(found)).model_dump() for found in shards],
            "start": {"kind": "scratch"},
        },
        **{"saw": saw, "steps": 1, "step": 1, "epoch": 1.0, "finished": True, "tool": {}},
    }
    (folder / "checkpoint.json").write_text(json.dumps(content))
    return folder


def test_shards_of_the_training_are_told(shards: Path, tmp_path: Path) -> None:
    sets = find_sets("shards", shards)
    split = sorted(frames_of(shards))
    (found,) = told_of_training(sets, checkpoint(tmp_path / "same", [shards], split))
    assert found.notes[:-1] == sets[0].notes
    assert found.notes[-1].startswith("The checkpoint was trained on these very shards")
    (found,) = told_of_training(sets, checkpoint(tmp_path / "frames", [], split))
    assert found.notes[-1].startswith(f"The checkpoint was trained on frames of {split[0]}, of which these shards")


def test_held_out_shards_are_not(shards: Path, tmp_path: Path, world: Path) -> None:
    sets = find_sets("shards", shards)
    assert told_of_training(sets, checkpoint(tmp_path / "other", [], ["cityscapes/test", "unknown"])) == sets
    assert told_of_training(sets, None) == sets
    # Nothing is read of a checkpoint where no shards are judged.
    public = find_sets("smiyc", world / "benchmarks")
    assert told_of_training(public, tmp_path / "nowhere") == public


def test_the_note_is_in_the_results(world: Path, tmp_path: Path, run: Run, shards: Path) -> None:
    words = ("train", "segmenter", "--shards", shards, "--out", tmp_path / "run", "--steps", "1", "--device", "cpu")
    trained = run(*words, "--set", "input_size=64x32", "--set", "crop=32x32")
    assert trained.status == 0, trained.err
    done = run("eval", "shards", "--data", shards, "--checkpoint", tmp_path / "run", "--out", tmp_path / "out")
    assert done.status == 0, done.err
    entry = json.loads((tmp_path / "out" / "results.json").read_text())["sets"]["void"]
    assert entry["notes"][-1].startswith("The checkpoint was trained on these very shards")
    assert entry["notes"][-1] in " ".join(done.out.split())
