"""Intervals over frames against drawing and judging the pool, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics.bootstrap import FrameCounts, differences, intervals
from eval.metrics.frame import judge_frame
from eval.metrics.keys import FrameKeys, frame_keys

Frame = tuple[np.ndarray, np.ndarray]


def frames(seed: int, count: int = 12, shift: float = 1.0) -> list[Frame]:
    """Frames that differ: of each, its own share of anomalies and its own difficulty."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        label = (rng.random((20, 30)) < rng.uniform(0.02, 0.2)).astype(np.uint8)
        made.append(((rng.normal(size=label.shape) + rng.uniform(0, 2) * shift * label).astype(np.float32), label))
    return made


def counted(made: list[Frame]) -> list[FrameCounts]:
    return [FrameCounts.of(frame_keys(*frame)) for frame in made]


def unequal_frames(seed: int) -> list[Frame]:
    """A frame that is larger than the eleven others together, and scores of its own range in each."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(12):
        shape = (240, 300) if number == 0 else (15 + 5 * number, 40)
        label = (rng.random(shape) < (0.3 if number == 0 else rng.uniform(0.02, 0.1))).astype(np.uint8)
        score = rng.normal(size=shape) * rng.uniform(0.5, 2) + rng.uniform(0, 3) * label + 6 * (number == 0)
        made.append((score.astype(np.float32), label))
    return made


@pytest.mark.parametrize(("made", "tolerance"), [(frames(1), 3e-3), (unequal_frames(1), 1e-3)])
def test_intervals_are_those_of_pooling_every_draw(made: list[Frame], tolerance: float) -> None:
    drawn = np.random.default_rng(4).multinomial(12, np.full(12, 1 / 12), size=80)
    figures: dict[str, list[float]] = {}
    keys = [frame_keys(*frame) for frame in made]
    for weights in drawn:
        pooled = [found for found, times in zip(keys, weights, strict=True) for _ in range(times)]
        known, anomaly = (np.concatenate([getattr(found, side) for found in pooled]) for side in ("known", "anomaly"))
        result = judge_frame(FrameKeys(known, anomaly))
        assert result is not None
        for name, value in result.metrics.items():
            figures.setdefault(name, []).append(value)
    found = intervals(counted(made), seed=4, draws=80)
    assert list(found) == list(figures)
    for name, values in figures.items():
        low, high = np.quantile(values, [0.025, 0.975])
        # Rounding the scores merges neighbours: one part in 512 of a score moves few of these pixels.
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=tolerance), name


def test_a_draw_without_anomalies_is_left_out() -> None:
    made = frames(2, 3)
    for _, label in made[1:]:
        label[:] = 0
    found = intervals(counted(made), draws=200)
    assert all(0 <= interval.low <= interval.high <= 1 for interval in found.values())


def test_a_run_differs_from_a_better_one_and_not_from_itself() -> None:
    made = frames(3)
    same = differences(counted(made), counted(made), draws=200)
    assert all((d.low, d.high, d.beyond) == (0, 0, False) for d in same.values())
    better = [(score + 2 * label, label) for score, label in made]
    found = differences(counted(better), counted(made), draws=200)
    assert found["AP"].beyond
    assert found["AP"].low > 0
    assert found["FPR95"].high < 0
    noisy = [
        ((score + np.random.default_rng(0).normal(size=score.shape) / 1e3).astype(np.float32), label)
        for score, label in made
    ]
    assert not differences(counted(noisy), counted(made), draws=200)["AP"].beyond


def test_seeds_repeat() -> None:
    made = counted(frames(5))
    assert intervals(made, seed=1, draws=50) == intervals(made, seed=1, draws=50)
    assert intervals(made, seed=1, draws=50) != intervals(made, seed=2, draws=50)
