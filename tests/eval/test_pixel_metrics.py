"""The pooled metrics against scikit-learn, and against what the golden file records."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from eval.metrics import PixelMetrics, PixelResult, counts
from eval.metrics.conventions import Reach
from eval.metrics.keys import ordered, scores_of
from eval.metrics.pixel import judge as judge_steps
from eval.metrics.walk import Steps
from shards.errors import UserError


def judge(*frames: tuple[np.ndarray, np.ndarray]) -> PixelResult:
    metrics = PixelMetrics()
    for score, label in frames:
        metrics.add(score, label)
    return metrics.result()


def oracle(score: np.ndarray, label: np.ndarray) -> dict[str, float]:
    valid = label != 255
    truth, values = label[valid], score[valid].astype(np.float64)
    fpr, tpr, _ = roc_curve(truth, values, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(truth, values)
    return {
        "AP": average_precision_score(truth, values),
        "AUROC": roc_auc_score(truth, values),
        "FPR95": fpr[np.flatnonzero(tpr >= 0.95)[0]],
        "best_F1": (2 * precision * recall / np.maximum(precision + recall, 1e-300)).max(),
    }


@settings(deadline=None, max_examples=150)
@given(
    pixels=st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from([-0.0, 0.0, 0.25, 1.0, -1.0]),  # heavy ties, both zeros
                st.floats(-(2.0**100), 2.0**100, width=32),
            ),
            st.sampled_from([0, 0, 1, 255]),
        ),
        min_size=2,
        max_size=60,
    )
)
def test_equal_to_scikit_learn(pixels: list[tuple[float, int]]) -> None:
    score = np.array([[value for value, _ in pixels]], np.float32)
    label = np.array([[value for _, value in pixels]], np.uint8)
    if not {0, 1} <= set(label.ravel().tolist()):
        with pytest.raises(UserError, match="holds no"):
            judge((score, label))
        return
    assert judge((score, label)).metrics == pytest.approx(oracle(score, label), abs=1e-9)


@pytest.mark.parametrize("levels", [2, 10, 1000, None])
def test_equal_to_scikit_learn_on_many_pixels(levels: int | None) -> None:
    rng = np.random.default_rng(3)
    label = rng.choice(np.array([0, 1, 255], np.uint8), (200, 150), p=[0.85, 0.05, 0.1])
    score = (rng.normal(size=label.shape) + (label == 1)).astype(np.float32)
    if levels:
        score = np.round(score * levels / 5).astype(np.float32)
    assert judge((score, label)).metrics == pytest.approx(oracle(score, label), abs=1e-9)


def test_frames_are_pooled_and_need_not_hold_an_anomaly() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 8, 9)).astype(np.float32)
    labels = rng.choice(np.array([0, 1], np.uint8), (3, 8, 9), p=[0.8, 0.2])
    labels[1] = 0
    together = judge((scores.reshape(24, 9), labels.reshape(24, 9)))
    apart = judge(*zip(scores, labels, strict=True))
    assert apart.metrics == together.metrics
    assert apart.metrics != judge((scores[0], labels[0]), (scores[2], labels[2])).metrics


def test_void_pixels_change_nothing() -> None:
    score = np.array([[0.1, 0.9, 0.5, 0.4]], np.float32)
    label = np.array([[0, 1, 1, 0]], np.uint8)
    wider = judge((np.concatenate([score, score + 7], 1), np.concatenate([label, np.full_like(label, 255)], 1)))
    assert wider.metrics == judge((score, label)).metrics == {"AP": 1, "AUROC": 1, "FPR95": 0, "best_F1": 1}


def test_the_operating_point_is_the_first_at_95() -> None:
    # 20 anomalies: 19 of them are exactly 95 %, and the threshold of the 19th is the one.
    score = np.arange(40, 0, -1, dtype=np.float32)[None]
    label = np.tile(np.array([1, 0], np.uint8), 20)[None]
    result = judge((score, label))
    assert (result.tpr, result.fpr, result.point.threshold) == (0.95, 18 / 20, 4.0)
    assert result.precision == pytest.approx(19 / 37)


def read_by_hand(score: np.ndarray, label: np.ndarray, reach: Reach, tpr: float) -> tuple[float, float]:
    """(TPR, FPR) of the threshold that a convention picks, found by trying all of them."""
    positives, negatives = score[label == 1], score[label == 0]
    thresholds = np.unique(score[label != 255])[::-1]
    tp = np.array([(positives >= threshold).sum() for threshold in thresholds])
    fp = np.array([(negatives >= threshold).sum() for threshold in thresholds])
    rate = tp / positives.size
    if reach == "first":
        at = next(i for i, reached in enumerate(tp) if reached >= round(tpr * 100) * positives.size / 100)
    elif reach == "beyond":
        at = next((i for i, value in enumerate(rate) if value > tpr), int(np.flatnonzero(rate == 1)[0]))
    else:
        # CAOS walks back from the first threshold with TPR = 1 and takes the first of the nearest.
        at = min(range(int(np.flatnonzero(rate == 1)[0]), -1, -1), key=lambda i: abs(rate[i] - tpr))
    return float(rate[at]), fp[at] / negatives.size


@pytest.mark.parametrize("reach", ["first", "beyond", "nearest"])
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), tpr=st.sampled_from([0.5, 0.75, 0.8, 0.95, 1.0]), levels=st.integers(2, 50))
def test_operating_points_by_hand(reach: Reach, seed: int, tpr: float, levels: int) -> None:
    rng = np.random.default_rng(seed)
    label = rng.choice(np.array([0, 1, 255], np.uint8), (6, 11), p=[0.6, 0.3, 0.1])
    label[0, :2] = 0, 1
    score = rng.integers(0, levels, label.shape).astype(np.float32)
    metrics = PixelMetrics()
    metrics.add(score, label)
    result = metrics.result(reach=reach, tpr=tpr)
    assert (result.tpr, result.fpr) == pytest.approx(read_by_hand(score, label, reach, tpr), abs=1e-12)


@pytest.mark.parametrize("levels", [3, 300, None])
def test_pages_wraps_and_merging_change_nothing(levels: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (9, 120, 130), p=[0.7, 0.2, 0.1])
    scores = (rng.normal(size=labels.shape) * 3 + labels).astype(np.float32)
    if levels:
        scores = np.round(scores * levels / 20).astype(np.float32)
    monkeypatch.setattr(counts, "PAGE_WORTH", 8)
    monkeypatch.setattr(counts, "BATCH", 1 << 16)
    frames = list(zip(scores, labels, strict=True))
    parts = [PixelMetrics() for _ in range(3)]
    for number, frame in enumerate(frames):
        parts[number % 3].add(*frame)
    whole = PixelMetrics()
    for part in parts:
        whole.merge(part)
    once = PixelMetrics()
    for _ in range(3):
        for frame in frames:
            once.add(*frame)
    assert once.known.pages.size
    assert levels is None or once.known.wraps.size
    expected = oracle(scores.reshape(1, -1), labels.reshape(1, -1))
    assert whole.result().metrics == pytest.approx(expected, abs=1e-9)
    assert PixelMetrics.of(whole.state()).result().metrics == whole.result().metrics
    assert once.result().metrics == pytest.approx(expected, abs=1e-9)
    assert (whole.known.total, whole.anomaly.total) == ((labels == 0).sum(), (labels == 1).sum())
    steps = once.steps()
    assert np.array_equal(scores_of(steps.keys), np.unique(scores[labels == 1])[::-1])


def test_pools_from_disk_take_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(counts, "PAGE_WORTH", 8)
    monkeypatch.setattr(counts, "BATCH", 1 << 16)
    rng = np.random.default_rng(11)
    labels = rng.choice(np.array([0, 1, 255], np.uint8), (3, 300, 400), p=[0.7, 0.2, 0.1])
    # Each pool has pages that the others lack.
    scores = (rng.normal(size=labels.shape) + labels + np.array([0, 40, 3000])[:, None, None]).astype(np.float32)
    for number in range(2):
        part = PixelMetrics()
        part.add(scores[number], labels[number])
        np.savez(tmp_path / f"{number}.npz", **part.state())
    first, second = (PixelMetrics.of(np.load(tmp_path / f"{number}.npz")) for number in range(2))
    before = second.known.pages.copy()
    assert not np.array_equal(first.known.page_of >= 0, second.known.page_of >= 0)
    first.merge(second)
    for _ in range(2):
        first.add(scores[2], labels[2])
    expected = oracle(np.concatenate([scores, scores[2:]]).reshape(1, -1), labels[[0, 1, 2, 2]].reshape(1, -1))
    assert first.result().metrics == pytest.approx(expected, abs=1e-9)
    assert np.array_equal(second.known.pages, before)


def test_a_pool_made_of_another_ones_state_is_its_own() -> None:
    score, label = np.arange(200_000, dtype=np.float32)[None], np.zeros((1, 200_000), np.uint8)
    one = PixelMetrics()
    for _ in range(30):  # enough for pages
        one.add(score, label)
    sizes = one.known.sizes.copy()
    assert sizes.any()
    other = counts.KeyCounts.of(one.known.state())
    other.merge(one.known)
    assert np.array_equal(one.known.sizes, sizes)
    assert other.total == 2 * one.known.total


def test_arrays_that_do_not_belong_together_are_no_pool() -> None:
    pool = PixelMetrics()
    pool.add(np.array([[0.0, 1.0]], np.float32), np.array([[0, 1]], np.uint8))
    state = pool.state()
    with pytest.raises(KeyError):
        PixelMetrics.of({name: array for name, array in state.items() if not name.startswith("anomaly")})
    for name in state:
        with pytest.raises(ValueError, match=r"do not belong together|of shape \(3,\)"):
            PixelMetrics.of({**state, name: np.zeros(3)})


def test_half_precision_is_judged_as_it_is_and_double_as_single() -> None:
    rng = np.random.default_rng(5)
    label = rng.choice(np.array([0, 1], np.uint8), (20, 30), p=[0.8, 0.2])
    score = rng.normal(size=label.shape)
    for kind in (np.float16, np.float64):
        assert judge((score.astype(kind), label)).metrics == pytest.approx(
            oracle(score.astype(kind).astype(np.float32), label), abs=1e-9
        )
    with pytest.raises(UserError, match="1 values that are NaN or infinite"):
        judge((np.array([[1e300, 0.0]]), np.zeros((1, 2), np.uint8)))


def test_keys_keep_the_order_and_come_back() -> None:
    values = np.array([-np.float32(3e38), -1.5, -1e-45, -0.0, 0.0, 1e-45, 2.0, 3e38], np.float32)
    keys = ordered(values)
    assert (np.diff(keys.astype(np.int64)) >= 0).all()
    assert keys[3] == keys[4]
    assert np.array_equal(scores_of(keys), values)


def test_curve_is_thin_and_ends_at_one() -> None:
    rng = np.random.default_rng(1)
    label = rng.choice(np.array([0, 1], np.uint8), (300, 300), p=[0.7, 0.3])
    curve = judge((rng.normal(size=label.shape).astype(np.float32), label)).curve
    assert len(curve.tpr) < 600
    assert curve.tpr[-1] == 1
    assert (np.diff(curve.tpr) > 0).all()
    assert (np.diff(curve.fpr) >= 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    score = np.array([[0.0, bad]], np.float32)
    with pytest.raises(UserError, match=r"frame07 holds 1 values that are NaN or infinite"):
        PixelMetrics().add(score, np.zeros((1, 2), np.uint8), "frame07")


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(UserError, match=r"label of f holds the values \[2\]"):
        PixelMetrics().add(np.zeros((1, 2), np.float32), np.array([[0, 2]], np.uint8), "f")


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (1, 2)])
def test_a_score_map_of_another_shape_is_refused(shape: tuple[int, int]) -> None:
    metrics = PixelMetrics()
    with pytest.raises(UserError, match=r"score map of f7 has the shape \(\d, \d\), its label \(2, 2\)"):
        metrics.add(np.zeros(shape, np.float32), np.zeros((2, 2), np.uint8), "f7")
    assert metrics.known.total == 0


def test_more_pixels_than_int64_can_multiply() -> None:
    # Of 3e9 anomalies, 1e9 tie with 1e9 of the 3e9 known pixels; the others tie with the next 1e9.
    billion = 10**9
    high, low = (
        Steps(np.array([key], np.uint32), *(np.array([count], np.int64) for count in columns))
        for key, *columns in ((0xC0000000, billion, billion, 0), (0xB0000000, 3 * billion, 2 * billion, billion))
    )
    exact = (1 * (2 + 1 / 2) + 2 * (1 + 1 / 2)) / 9
    for parts in ([high, low], [Steps.joined([high, low])]):
        found = judge_steps(parts, 3 * billion, 3 * billion)
        assert found.auroc == pytest.approx(exact, abs=1e-12)
        assert found.ap == pytest.approx(math.fsum([1 / 3 * 1 / 2, 2 / 3 * 3 / 5]), abs=1e-12)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_frames_without_a_pixel_change_nothing(shape: tuple[int, int]) -> None:
    empty = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    score, label = np.array([[0.1, 0.9, 0.5, 0.4]], np.float32), np.array([[0, 1, 0, 1]], np.uint8)
    assert judge(empty, (score, label), empty).metrics == judge((score, label)).metrics
    assert judge((score, label)).metrics == pytest.approx(oracle(score, label), abs=1e-12)
    with pytest.raises(UserError, match="no anomaly pixel"):
        judge(empty)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_void_frames_and_frames_of_one_class_join_the_pool(kind: type) -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(4, 6, 7)).astype(kind)
    labels = np.full((4, 6, 7), 255, np.uint8)
    labels[1], labels[2] = 0, 1
    labels[3] = rng.choice(np.array([0, 1, 255], np.uint8), (6, 7))
    frames = list(zip(scores, labels, strict=True))
    found = judge(*frames)
    assert found.metrics == pytest.approx(oracle(scores.astype(np.float32), labels), abs=1e-9)
    assert (found.known, found.anomaly) == ((labels == 0).sum(), (labels == 1).sum())
    assert judge(*frames[1:]).metrics == found.metrics  # the void frame adds nothing
    assert judge(*frames[1:3]).metrics == pytest.approx(oracle(scores[1:3].astype(np.float32), labels[1:3]), abs=1e-9)


def test_one_sided_pools_are_refused() -> None:
    zeros = np.zeros((1, 2), np.float32)
    with pytest.raises(UserError, match="no anomaly pixel"):
        judge((zeros, np.array([[0, 255]], np.uint8)))
    with pytest.raises(UserError, match="no known"):
        judge((zeros, np.array([[1, 255]], np.uint8)))
    with pytest.raises(UserError, match="no anomaly pixel"):
        PixelMetrics().result()


@pytest.mark.real
def test_golden_exact_pooled_values(shared: Path) -> None:
    folder = shared / "golden" / "smiyc"
    expected = json.loads((folder / "expected.json").read_text())
    assert expected
    for name, entry in expected.items():
        metrics = PixelMetrics()
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            for index in range(entry["frames"]):
                metrics.add(arrays[f"score_{index}"].astype(np.float32), arrays[f"label_{index}"])
        figures = metrics.result().metrics
        assert {key: figures[key] for key in entry["exact_pooled"]} == pytest.approx(
            entry["exact_pooled"], abs=1e-9
        ), name
