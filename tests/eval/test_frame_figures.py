"""The counts of single frames come back from the file as they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eval.frame_figures import load_counts, save_counts
from eval.metrics.bootstrap import FrameCounts
from shards.errors import UserError


def counted(seed: int) -> list[FrameCounts]:
    rng = np.random.default_rng(seed)
    sizes, most = (5, 0, 3), (99, 99, 1 << 20)
    return [
        FrameCounts.narrow(*rng.integers(high // 2, high, (3, size)).astype(np.uint32))
        for size, high in zip(sizes, most, strict=True)
    ]


def test_names_may_hold_anything(tmp_path: Path) -> None:
    counts = {"a|b": {"c": counted(1), "c|bins": counted(2)}, "a": {"b|c": counted(3), "Straße 7": counted(4)}}
    save_counts(tmp_path / "counts.npz", counts)
    found = load_counts(tmp_path / "counts.npz")
    assert {name: list(scores) for name, scores in found.items()} == {
        name: list(scores) for name, scores in counts.items()
    }
    for name, scores in counts.items():
        for score, frames in scores.items():
            for one, other in zip(frames, found[name][score], strict=True):
                for column in ("bins", "known", "anomaly"):
                    assert getattr(other, column).dtype == getattr(one, column).dtype
                    assert np.array_equal(getattr(one, column), getattr(other, column))


@pytest.mark.parametrize("damage", ["bare", "index", "short", "type", "version"])
def test_broken_files_are_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "counts.npz"
    save_counts(path, {"town": {"mine": counted(1)}})
    with np.load(path) as arrays:
        content = dict(arrays)
    if damage == "bare":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        broken = {
            "index": {"index": np.frombuffer(json.dumps([["town", "mine"], ["town", "other"]]).encode(), np.uint8)},
            "short": {"0.known": content["0.known"][:-1]},
            "type": {"0.known": content["0.known"].astype(np.int64)},
            "version": {"schema": np.array(1)},
        }
        np.savez(path, **content | broken[damage])
    with pytest.raises(UserError, match=r"counts\.npz holds no counts of an evaluation"):
        load_counts(path)
