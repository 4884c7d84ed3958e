"""Intervals of component figures, of the binned curve and of mIoU against judging every draw as a set of its own."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics import BinnedMetrics, ComponentMetrics, SegmentationMetrics
from eval.metrics.binned import frame_bins
from eval.metrics.component import SIZES, FrameComponents
from eval.metrics.frame_draws import binned_intervals, class_intervals, component_intervals
from eval.metrics.keys import frame_keys


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


@pytest.mark.parametrize("levels", [None, 40])
def test_binned_intervals_are_those_of_judging_every_draw(levels: int | None) -> None:
    rng = np.random.default_rng(4)
    bins = []
    for number in range(6):
        label = rng.choice(np.array([0, 1, 255], np.uint8), (30, 40), p=[0.8, 0.1, 0.1])
        score = (rng.normal(size=label.shape) + (label == 1) * (1 + number % 3)).astype(np.float32)
        if levels:  # thresholds that frames share, but for the highest
            score = np.round(score * levels) / np.float32(levels)
            score[np.unravel_index(score.argmax(), score.shape)] = 50 + number
        bins.append(frame_bins(frame_keys(score, label), f"f{number}"))
    frames = [*bins[:3], None, *bins[3:]]  # the fourth is void everywhere
    figures: dict[str, list[float]] = {}
    for weights in np.random.default_rng(7).multinomial(7, np.full(7, 1 / 7), size=80):
        drawn = [
            frame for frame, times in zip(frames, weights, strict=True) if frame is not None for _ in range(times)
        ]
        for name, value in BinnedMetrics(drawn).result().metrics.items():
            figures.setdefault(name, []).append(value)
    found = binned_intervals(frames, seed=7, draws=80)
    assert set(found) == set(figures) == {"AP_binned", "FPR95_binned"}
    for name, values in figures.items():
        assert (found[name].low, found[name].high) == pytest.approx(quantiles(values), abs=1e-12)
        assert found[name].low < found[name].high


def test_draws_without_anomaly_have_no_binned_curve() -> None:
    score, frames = np.arange(20, dtype=np.float32).reshape(4, 5), []
    for number, value in enumerate((0, 1)):
        bins = frame_bins(frame_keys(score, np.full((4, 5), value, np.uint8)), f"f{number}")
        assert bins is not None
        frames.append(bins)
    found, whole = binned_intervals(frames), BinnedMetrics(frames).result()
    # Half of the draws hold both frames; the others hold one class and are left out.
    assert found["AP_binned"].low == found["AP_binned"].high == pytest.approx(whole.ap, abs=1e-12)
    assert found["FPR95_binned"].low == found["FPR95_binned"].high == whole.fpr
