"""The pooled metrics against scikit-learn, and against what the golden file records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from eval.metrics import PixelMetrics, PixelResult
from eval.metrics.pixel import _ordered, _scores
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
    return {
        "AP": average_precision_score(truth, values),
        "AUROC": roc_auc_score(truth, values),
        "FPR95": fpr[np.flatnonzero(tpr >= 0.95)[0]],
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
    assert wider.metrics == judge((score, label)).metrics == {"AP": 1.0, "AUROC": 1.0, "FPR95": 0.0}


def test_the_operating_point_is_the_first_at_95() -> None:
    # 20 anomalies: 19 of them are exactly 95 %, and the threshold of the 19th is the one.
    score = np.arange(40, 0, -1, dtype=np.float32)[None]
    label = np.tile(np.array([1, 0], np.uint8), 20)[None]
    result = judge((score, label))
    assert (result.tpr95, result.fpr95, result.threshold95) == (0.95, 18 / 20, 4.0)
    assert result.precision95 == pytest.approx(19 / 37)


def test_keys_keep_the_order_and_come_back() -> None:
    values = np.array([-np.float32(3e38), -1.5, -1e-45, -0.0, 0.0, 1e-45, 2.0, 3e38], np.float32)
    keys = _ordered(values)
    assert (np.diff(keys.astype(np.int64)) >= 0).all()
    assert keys[3] == keys[4]
    assert np.array_equal(_scores(keys), values)


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
        assert metrics.result().metrics == pytest.approx(entry["exact_pooled"], abs=1e-9), name
