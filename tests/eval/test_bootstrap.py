"""Intervals over frames against drawing and judging the pool, frame by frame."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from eval.judge_counts import judge_counts
from eval.metrics import PixelMetrics, bootstrap
from eval.metrics.bootstrap import NEAR, FrameCounts, differences, intervals
from eval.metrics.frame import judge_frame
from eval.metrics.keys import FrameKeys, frame_keys
from eval.protocols import PROTOCOLS
from eval.score_counts import About, CountedSet, ScoreCounts

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


def probabilities(seed: int) -> list[Frame]:
    """Unequal frames whose scores saturate: a fifth of all pixels is exactly 0 or exactly 1."""
    made = [
        ((1 / (1 + np.exp(np.clip(30.0 * (1 - score), -80, 80)))).astype(np.float32), label)
        for score, label in unequal_frames(seed)
    ]
    return [(np.where(score < 1e-30, np.float32(0), score), label) for score, label in made]


def moved(made: list[Frame], scale: float, offset: float) -> list[Frame]:
    return [((offset + scale * score.astype(np.float64)).astype(np.float32), label) for score, label in made]


def pooled_figures(made: list[Frame], drawn: np.ndarray) -> dict[str, list[float]]:
    """The figures of every draw that holds both classes: its pixels pooled and judged."""
    figures: dict[str, list[float]] = {}
    keys = [frame_keys(*frame) for frame in made]
    for weights in drawn:
        pooled = [found for found, times in zip(keys, weights, strict=True) for _ in range(times)]
        known, anomaly = (np.concatenate([getattr(found, side) for found in pooled]) for side in ("known", "anomaly"))
        result = judge_frame(FrameKeys(known, anomaly))
        for name, value in {} if result is None else result.metrics.items():
            figures.setdefault(name, []).append(value)
    return figures


@pytest.mark.parametrize(
    ("made", "tolerance"),
    [
        (frames(1), 1e-12),  # no frame has more pixels than its bins keep apart
        (unequal_frames(1), 3e-4),
        (moved(unequal_frames(1), 1, 1000), 3e-4),
        (moved(unequal_frames(1), 1e-4, 1), 3e-4),
        (probabilities(1), 3e-4),
    ],
    ids=["small", "unequal", "offset", "narrow", "saturated"],
)
def test_intervals_are_those_of_pooling_every_draw(made: list[Frame], tolerance: float) -> None:
    figures = pooled_figures(made, np.random.default_rng(4).multinomial(12, np.full(12, 1 / 12), size=80))
    found = intervals(counted(made), seed=4, draws=80)
    assert list(found) == list(figures)
    for name, values in figures.items():
        low, high = np.quantile(values, [0.025, 0.975])
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=tolerance), name


SCALES = [(1, 100), (1, 1000), (1e-4, 1), (1e4, -3e4)]


@pytest.mark.parametrize(("scale", "offset"), SCALES)
def test_scale_and_offset_change_nothing(scale: float, offset: float) -> None:
    """But for where bins end, and for ties: of 1 + s / 10^4, float32 keeps 1700 steps a unit of s.

    Bins hold TP and FP to one part in 1024, so a figure of a draw moves by less than that; errors of two runs add.
    """
    made = unequal_frames(6)
    expected, found = (intervals(counted(one), draws=200) for one in (made, moved(made, scale, offset)))
    for name, interval in expected.items():
        assert (found[name].low, found[name].high) == pytest.approx((interval.low, interval.high), abs=5e-4), name
    better = [(score + label / 4, label) for score, label in made]
    expected_differences, found_differences = (
        differences(counted(change(better)), counted(change(made)), draws=200)
        for change in (lambda one: one, lambda one: moved(one, scale, offset))
    )
    for name, difference in expected_differences.items():
        again = found_differences[name]
        assert (again.low, again.high) == pytest.approx((difference.low, difference.high), abs=1e-3), name
        assert again.beyond == difference.beyond


@pytest.mark.parametrize(
    "made",
    [unequal_frames(7), *(moved(unequal_frames(7), *how) for how in SCALES), probabilities(7)],
    ids=["plain", *map(str, SCALES), "saturated"],
)
def test_the_exact_figures_are_those_of_the_bins(made: list[Frame]) -> None:
    pool = PixelMetrics()
    for frame in made:
        pool.add(*frame)
    exact, found = pool.result().metrics, intervals(counted(made), draws=300)
    assert intervals(counted(made), exact, draws=300) == found  # none is more than NEAR away
    for name, value in exact.items():
        assert found[name].low < value < found[name].high
        off = {**exact, name: value + 2 * NEAR}
        assert set(intervals(counted(made), off, draws=10)) == set(exact) - {name}


def test_what_has_no_interval_is_told() -> None:
    about = About("town", "mine", "pooled", "", "files")
    counts = ScoreCounts(about, PROTOCOLS["pooled"])
    for number, frame in enumerate(frames(8, 3)):
        counts.add(str(number), *frame, file="map")
    found = CountedSet("town", None, "files", tuple(counts.frames))
    whole = judge_counts(found, {"mine": counts})
    assert set(whole.intervals["mine"]) == {"AP", "AUROC", "FPR95", "best_F1"}
    assert not whole.found.notes
    for name, frame_of in counts.frames.items():  # one bin: all that tells anomalies apart is lost
        rounded = frame_of.rounded
        sums = (np.array([getattr(rounded, side).sum(dtype=np.int64)]) for side in ("known", "anomaly"))
        counts.frames[name] = replace(frame_of, rounded=FrameCounts.narrow(rounded.bins[:1], *sums))
    lost = judge_counts(found, {"mine": counts})
    assert not lost.intervals["mine"]
    assert lost.scores["mine"].metrics == whole.scores["mine"].metrics
    (note,) = lost.found.notes
    assert note.startswith("mine: no interval of AP, AUROC, FPR95, best_F1, as the counts of single frames")


def test_a_draw_without_anomalies_is_left_out() -> None:
    made = frames(2, 3)
    for _, label in made[1:]:
        label[:] = 0
    drawn = np.random.default_rng(0).multinomial(3, np.full(3, 1 / 3), size=200)
    figures = pooled_figures(made, drawn)
    assert len(figures["AP"]) == (drawn[:, 0] > 0).sum() < 200
    found = intervals(counted(made), draws=200)
    for name, values in figures.items():
        expected = np.quantile(values, [0.025, 0.975])
        assert (found[name].low, found[name].high) == pytest.approx(tuple(expected), abs=1e-12), name


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [(np.round(score, 1), label) for score, label in frames(9)]  # scores that frames share
    made += [(score, np.full_like(label, 255)) for score, label in frames(10, 1)]  # void everywhere
    tied = counted(made)
    expected = intervals(tied, draws=50)
    for mark, at_once in ((1, 1), (4, 64)):
        monkeypatch.setattr(bootstrap, "_MARK", mark)
        monkeypatch.setattr(bootstrap, "_AT_ONCE", at_once)
        assert intervals(tied, draws=50) == expected


def test_memory_is_less_than_that_of_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 1 << 12)
    rng = np.random.default_rng(11)
    made = []
    for _ in range(80):
        bins = np.unique(rng.integers(0, 1 << 32, 5000, dtype=np.uint32))
        made.append(FrameCounts.narrow(bins, *rng.integers(0, 9, (2, bins.size))))
    intervals(made[:2], draws=10)  # compiles
    tracemalloc.start()
    intervals(made, draws=10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < sum(one.bins.nbytes + one.known.nbytes + one.anomaly.nbytes for one in made)


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
