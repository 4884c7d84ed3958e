"""Intervals of component figures and of mIoU against judging every draw as a set of its own."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics import ComponentMetrics, SegmentationMetrics
from eval.metrics.component import SIZES, FrameComponents
from eval.metrics.frame_draws import class_intervals, component_intervals


def quantiles(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def test_component_intervals_are_those_of_judging_every_draw() -> None:
    rng = np.random.default_rng(0)
    frames = [
        FrameComponents(f"f{number}", *(tuple(rng.random(rng.integers(0, 5)).tolist()) for _ in range(2)))
        for number in range(9)
    ]
    figures: dict[str, list[float]] = {}
    for weights in np.random.default_rng(3).multinomial(9, np.full(9, 1 / 9), size=60):
        metrics = ComponentMetrics(SIZES["smiyc-anomaly"])
        metrics.frames = [frame for frame, times in zip(frames, weights, strict=True) for _ in range(times)]
        for name, value in metrics.result().metrics.items():
            figures.setdefault(name, []).append(value)
    found = component_intervals(frames, seed=3, draws=60)
    assert set(found) == set(figures) == {"sIoU", "PPV", "F1_mean"}
    for name, values in figures.items():
        assert (found[name].low, found[name].high) == pytest.approx(quantiles(values), abs=1e-12)


def test_figures_that_no_draw_has_are_missing() -> None:
    assert set(component_intervals([FrameComponents("f", (0.5,), ())] * 2)) == {"sIoU", "F1_mean"}
    assert not component_intervals([FrameComponents("f", (), ())])


def test_class_intervals_are_those_of_judging_every_draw() -> None:
    rng = np.random.default_rng(1)
    frames = [(rng.integers(0, 4, (5, 6)), rng.choice([0, 1, 2, 3, 255], (5, 6))) for _ in range(7)]
    frames = [(one.astype(np.uint8), other.astype(np.uint8)) for one, other in frames]
    frames[0][1][:] = 255
    frames[1][1][:] = 0  # classes differ from draw to draw
    whole = SegmentationMetrics(4)
    for frame in frames:
        whole.add(*frame)
    figures: dict[str, list[float]] = {}
    for weights in np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), size=50):
        metrics = SegmentationMetrics(4)
        for frame, times in zip(frames, weights, strict=True):
            for _ in range(times):
                metrics.add(*frame)
        for name, value in metrics.result().metrics.items():
            figures.setdefault(name, []).append(value)
    found = class_intervals(whole.result().frames, seed=5, draws=50)
    for name, values in figures.items():
        assert (found[name].low, found[name].high) == pytest.approx(quantiles(values), abs=1e-12)
