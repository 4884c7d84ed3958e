"""Parts that were counted elsewhere, and why they do not make a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.judge_scores import count_scores
from eval.parts import join_parts
from eval.protocols import PROTOCOLS
from eval.scoremaps import find_pairs
from shards.errors import UserError


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Four labels."""
    folder = tmp_path / "town"
    folder.mkdir()
    for index in range(4):
        label = np.zeros((12, 16), np.uint8)
        label[3:6, 4:9] = 1
        Image.fromarray(label).save(folder / f"frame{index}.png")
    return folder


def part(labels: Path, name: str, frames: str, score: str = "energy", of: str | None = None) -> Path:
    """Count some frames, and save them."""
    folder = labels.parent / name
    folder.mkdir()
    for index in frames:
        rng = np.random.default_rng(int(index))
        np.save(folder / f"frame{index}.npy", rng.normal(size=(12, 16)).astype(np.float32))
    protocol = PROTOCOLS["pooled"]
    pairs = find_pairs(folder, labels, protocol, name=of, part=True)
    count_scores(pairs, protocol, score, name).save(labels.parent / f"{name}.npz")
    return labels.parent / f"{name}.npz"


def test_parts_are_joined(labels: Path) -> None:
    files = [part(labels, "one", "02"), part(labels, "two", "13"), part(labels, "other", "0123", "msp")]
    whole, other = join_parts(files)
    assert (whole.about.score, sorted(whole.frames)) == ("energy", [f"frame{index}" for index in range(4)])
    assert (other.about.score, len(other.frames)) == ("msp", 4)
    assert not whole.missing
    assert not other.missing


def test_parts_of_other_names_are_told(labels: Path) -> None:
    one = part(labels, "one", "02")
    with pytest.raises(UserError) as told:
        join_parts([one, part(labels, "two", "13", "score")])
    assert str(told.value) == (
        "2 of 4 frames of town are in no part of the score 'energy' (one.npz), but of the score 'score' (two.npz): "
        "count all parts under one --score-name."
    )
    with pytest.raises(UserError) as told:
        join_parts([one, part(labels, "three", "1", of="city"), part(labels, "four", "3", of="city")])
    assert str(told.value) == (
        "2 of 4 frames of town are in no part of the set 'town' (one.npz), but of the set 'city' "
        "(three.npz, four.npz): count all parts under one --set-name."
    )


def test_parts_that_are_not_there(labels: Path) -> None:
    one = part(labels, "one", "02")
    with pytest.raises(
        UserError, match=r"^2 of 4 frames of town are in no part, the first frame1: give all parts\.$"
    ):
        join_parts([one])
    with pytest.raises(UserError, match=r"one\.npz does not fit to the parts before it: 2 frames .* in two parts"):
        join_parts([one, one])
    with pytest.raises(UserError, match=r"^No parts"):
        join_parts([])
