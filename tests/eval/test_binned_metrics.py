"""The binned curve against a transcription with NumPy's own functions, the exact metrics, and recorded values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics import BinnedMetrics, BinnedResult, PixelMetrics
from eval.metrics.binned import QUANTILES, FrameBins, frame_bins, quantiles
from eval.metrics.keys import frame_keys, ordered
from eval.metrics.order import in_order
from shards.errors import UserError

Frame = tuple[np.ndarray, np.ndarray]


def binned(score: np.ndarray, label: np.ndarray, frame: str = "frame") -> FrameBins | None:
    return frame_bins(frame_keys(score, label, frame), frame, half=score.dtype == np.float16)


def judge(*frames: Frame) -> BinnedResult:
    every = [binned(*frame, f"{index:03d}") for index, frame in enumerate(frames)]
    return BinnedMetrics([found for found in every if found is not None]).result()


def bins(score: np.ndarray, label: np.ndarray) -> list[tuple[float, int, int]]:
    """(lower edge, anomaly pixels, known pixels) of every bin of a frame, the highest first."""
    anomaly, known = score[label == 1], score[label == 0]
    if not anomaly.size + known.size:
        return []
    both = np.concatenate([anomaly, known]).astype(np.float64)
    margin = max((both.max() - both.min()) / 100, 0.01)
    edges = {float(both.min() - margin), float(both.max() + margin)}
    for side in (anomaly, known):
        if side.size:
            edges.update(np.quantile(side, np.linspace(0, 1, QUANTILES)).tolist())
    rising = np.array(sorted(edges))
    counts = np.histogram(anomaly, rising)[0], np.histogram(known, rising)[0]
    return list(zip(rising[:-1].tolist(), *(count.tolist() for count in counts), strict=True))[::-1]


def literal(*frames: Frame) -> dict[str, float]:
    """The figures, threshold after threshold."""
    rows = [row for frame in frames for row in bins(*frame)]
    rows = [rows[at] for at in np.argsort([threshold for threshold, _, _ in rows])[::-1]]
    positives, negatives = sum(row[1] for row in rows), sum(row[2] for row in rows)
    tp = fp = 0
    points: list[tuple[float, float, float, float, float]] = []
    for at, (threshold, more_tp, more_fp) in enumerate(rows):
        tp, fp = tp + more_tp, fp + more_fp
        if at == 0 or at + 1 == len(rows) or rows[at + 1][0] != threshold:
            precision = tp / (tp + fp) if tp + fp else 1.0
            f1 = 2 * tp / (2 * tp + (positives - tp) + fp)
            points.append((threshold, tp / positives, fp / negatives, precision, f1))
    ap = auroc = recall = 0.0
    for at, (_, tpr, fpr, precision, _) in enumerate(points):
        ap, recall = ap + (tpr - recall) * precision, tpr
        if at:
            auroc += (fpr - points[at - 1][2]) * (tpr + points[at - 1][1]) / 2
    best = max(points, key=lambda point: point[4])
    reached = next((point for point in points if point[1] >= 0.95), None)
    return {
        "AP": ap,
        "AUROC": auroc,
        "FPR95": 1.0 if reached is None else reached[2],
        "best_F1": best[4],
        "threshold": best[0],
    }


def figures(result: BinnedResult) -> dict[str, float]:
    return {
        "AP": result.ap,
        "AUROC": result.auroc,
        "FPR95": result.fpr,
        "best_F1": result.best_f1,
        "threshold": result.best_threshold,
    }


def draw(rng: np.random.Generator, kind: type, levels: int, low: float, share: float, side: int = 40) -> Frame:
    label = rng.choice(np.array([0, 1, 255], np.uint8), (side, side + 3), p=[0.9 - share, share, 0.1])
    # Scores end at 1, where pixels of both labels gather, so that frames share the highest threshold.
    score = np.round(np.minimum(rng.random(label.shape) * 1.1 + 0.3 * (label == 1), 1) * levels) / levels + low
    return score.astype(kind), label


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from([np.float16, np.float32]),
    levels=st.sampled_from([3, 60, 100_000]),
    low=st.sampled_from([0.0, -0.5, -12.0]),
    frames=st.integers(1, 4),
)
def test_equal_to_the_transcription(seed: int, kind: type, levels: int, low: float, frames: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [draw(rng, kind, levels, low, float(rng.choice([0.0, 0.02, 0.4]))) for _ in range(frames)]
    drawn.append(draw(rng, kind, levels, low, 0.1))
    assert figures(judge(*drawn)) == pytest.approx(literal(*drawn), abs=1e-12)


def test_negative_half_precision_goes_the_way_of_numpy() -> None:
    rng = np.random.default_rng(4)
    drawn = [draw(rng, np.float16, levels, -12.0, 0.1, side=300) for levels in (50, 400)]
    assert figures(judge(*drawn)) == pytest.approx(literal(*drawn), abs=1e-12)


def test_frames_of_one_label_only_and_void_frames() -> None:
    rng = np.random.default_rng(1)
    score, label = draw(rng, np.float32, 1000, 0.0, 0.2)
    drawn = [
        (score, np.where(label == 1, 1, 255).astype(np.uint8)),
        (score, np.where(label == 0, 0, 255).astype(np.uint8)),
    ]
    alone = judge(*drawn)
    assert figures(alone) == pytest.approx(literal(*drawn), abs=1e-12)
    assert judge(*drawn, (score, np.full_like(label, 255))) == alone
    assert (alone.anomaly, alone.known) == ((label == 1).sum(), (label == 0).sum())


def test_one_frame_with_few_scores_has_the_exact_figures() -> None:
    score, label = draw(np.random.default_rng(2), np.float32, 5, 0.0, 0.3)
    exact = PixelMetrics()
    exact.add(score, label)
    wanted, found = exact.result(), judge((score, label))
    assert found.metrics == pytest.approx({"AP_binned": wanted.ap, "FPR95_binned": wanted.fpr}, abs=1e-12)
    assert (found.best_f1, found.best_threshold) == pytest.approx((wanted.best_f1, wanted.best_threshold), abs=1e-12)


def test_by_hand() -> None:
    # Known pixels share the highest score with anomalies of the same frame, and a frame without anomaly lies below.
    first = np.array([[0.5, 0.5, 0.5, 0.25]], np.float32), np.array([[1, 1, 0, 1]], np.uint8)
    second = np.array([[0.375, 0.25]], np.float32), np.array([[0, 0]], np.uint8)
    result = judge(first, second)
    # (TP, FP) at 0.5: (2, 1); at 0.375: (2, 2), between other quantiles of both frames; at 0.25: (3, 3).
    assert result.ap == pytest.approx(2 / 3 * 2 / 3 + 1 / 3 * 3 / 6)
    assert (result.fpr, result.fpr_threshold) == (1, 0.25)
    assert (result.best_f1, result.best_threshold) == (pytest.approx(4 / 6), 0.5)
    assert result.metrics == {"AP_binned": result.ap, "FPR95_binned": 1}


def test_the_order_of_the_frames_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    # Frames share the highest threshold, so that their order would tell.
    every = [binned(*draw(rng, np.float16, 20, 0.0, 0.1), f"{index}") for index in range(6)]
    frames = [found for found in every if found is not None]
    orders = [frames, frames[::-1], frames[3:] + frames[:3]]
    assert len({BinnedMetrics(order).result() for order in orders}) == 1


def test_half_precision_is_judged_as_it_is() -> None:
    # 2000 - 0.1 is no float16: between these two the quantiles of float16 scores are others.
    score, label = np.array([[0.1, 2000, 3, 3]], np.float16), np.array([[0, 0, 1, 1]], np.uint8)
    for kind in (np.float16, np.float32):
        found = binned(score.astype(kind), label)
        assert found is not None
        wanted = np.quantile(score[:, :2].astype(kind), np.linspace(0, 1, QUANTILES))
        assert set(wanted.tolist()) < set(found.thresholds.tolist())


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("size", [1, 2, 383, 384, 5000])
def test_quantiles_to_the_bit(kind: type, size: int) -> None:
    score = (np.random.default_rng(size).normal(size=(1, size)) * 30).astype(kind)
    keys = in_order(frame_keys(score, np.zeros(score.shape, np.uint8)).known)
    wanted = np.quantile(score.ravel(), np.linspace(0, 1, QUANTILES))
    assert np.array_equal(quantiles(keys, half=kind == np.float16), wanted)
    assert quantiles(keys[:0], half=False).size == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)), st.integers(0, 3))
def test_sorting(values: list[float], copies: int) -> None:
    keys = ordered(np.array(values * copies, np.float32))
    before = keys.copy()
    assert np.array_equal(in_order(keys), np.sort(keys))
    assert np.array_equal(keys, before)


def test_bad_input_gets_a_sentence() -> None:
    zeros, known = np.zeros((1, 2), np.float32), np.zeros((1, 2), np.uint8)
    with pytest.raises(UserError, match=r"score map of f has the shape \(1, 2\), its label \(2, 1\)"):
        binned(zeros, known.T.copy(), "f")
    with pytest.raises(UserError, match="score map of f holds 1 values that are NaN or infinite"):
        binned(np.array([[0, np.nan]], np.float32), known, "f")
    with pytest.raises(UserError, match=r"label of f holds the values \[2\]"):
        binned(zeros, np.array([[0, 2]], np.uint8), "f")
    for wide in (np.array([[-6e4, 6e4]], np.float16), np.array([[-3e38, 3e38]], np.float32)):
        with pytest.raises(UserError, match=r"scores of f lie further apart than float\d\d can hold; scale them"):
            binned(wide, known, "f")
    with pytest.raises(UserError, match="no anomaly pixel"):
        judge((zeros, known))
    with pytest.raises(UserError, match="no known"):
        judge((zeros, known + np.uint8(1)))
    with pytest.raises(UserError, match="no anomaly pixel"):
        BinnedMetrics([]).result()


def golden(shared: Path) -> list[tuple[str, dict[str, float], BinnedResult, bool]]:
    """(set, recorded figures, ours, whether all its scores are positive)."""
    folder = shared / "golden" / "smiyc"
    recorded: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    found = []
    for name, entry in recorded.items():
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            frames = [(arrays[f"score_{i}"], arrays[f"label_{i}"]) for i in range(entry["frames"])]
        positive = all((score >= 0).all() for score, _ in frames)
        found.append((name, entry["official"]["pixel"], judge(*frames), positive))
    assert found
    return found


@pytest.mark.real
def test_golden_points(shared: Path) -> None:
    for name, wanted, ours, positive in golden(shared):
        found = {"FPR95": ours.fpr, "best_f1_threshold": ours.best_threshold}
        if positive:
            found["best_f1"] = ours.best_f1
        assert found == pytest.approx({figure: wanted[figure] for figure in found}, abs=1e-12), name


@pytest.mark.real
def test_golden_areas(shared: Path, sorts_as_recorded: None) -> None:
    for name, wanted, ours, _ in golden(shared):
        found = {"AP": ours.ap, "AUROC": ours.auroc, "best_f1": ours.best_f1}
        assert found == pytest.approx({figure: wanted[figure] for figure in found}, abs=1e-12), name
