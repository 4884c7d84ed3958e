"""Components of a set in several threads are those of one frame after the other."""

from __future__ import annotations

from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from eval.components import judge_set
from eval.metrics.component import SIZES, ComponentMetrics
from eval.official import WaitingMaps
from eval.own_masks import judge_masks
from eval.protocols import PROTOCOLS
from eval.scoremaps import LabelFile, PairedSet, ScorePair
from shards.errors import UserError

SMALL = SIZES["smiyc-obstacle"]


def frames(number: int = 6) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, score, label): a square each, found at some pixels' distance."""
    rng, found = np.random.default_rng(0), []
    for index in range(number):
        score, label = rng.random((60, 80)).astype(np.float32) / 2, np.zeros((60, 80), np.uint8)
        label[20:40, 20 + index : 40 + index] = 1
        score[20 + index : 40, 20:40] = 0.9
        found.append((f"f{index}", score, label))
    return found


def one_after_the_other() -> ComponentMetrics:
    metrics = ComponentMetrics(SMALL)
    for name, score, label in frames():
        metrics.add(score, 0.7, label, name)
    return metrics


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads: int, tmp_path: Path) -> None:
    wanted = one_after_the_other().result()
    assert wanted.siou is not None
    assert 0 < wanted.siou < 1

    def add(metrics: ComponentMetrics, frame: tuple[str, np.ndarray, np.ndarray]) -> None:
        metrics.add(frame[1], 0.7, frame[2], frame[0])

    assert judge_set(SMALL, frames(), add, "frames", threads) == wanted
    waiting = WaitingMaps(SMALL, ["mine"], tmp_path)
    for name, score, label in frames():
        waiting.add(name, {"mine": score}, label)
    assert waiting.judge("mine", 0.7, threads) == wanted


def test_the_first_broken_frame_is_told() -> None:
    broken = [(name, score if name < "f2" else np.full_like(score, np.nan), label) for name, score, label in frames()]
    with pytest.raises(UserError, match="f2"):
        judge_set(SMALL, broken, lambda metrics, frame: metrics.add(frame[1], 0.7, frame[2], frame[0]), "x", 3)


def test_own_masks_are_judged_by_as_many_threads_as_are_asked_for(tmp_path: Path) -> None:
    together = Barrier(3, timeout=20)  # no label is given before three are asked for
    pairs = []
    for name, score, label in frames():
        np.save(tmp_path / f"{name}.npy", (score > 0.7).astype(np.uint8))

        def read(label: np.ndarray = label) -> np.ndarray:
            together.wait()
            return label

        pairs.append(ScorePair(tmp_path, LabelFile(name, tmp_path, read)))
    paired = PairedSet("town", None, "files", tuple(pairs))
    assert judge_masks(paired, PROTOCOLS["smiyc-obstacle"], tmp_path, workers=3) == one_after_the_other().result()
