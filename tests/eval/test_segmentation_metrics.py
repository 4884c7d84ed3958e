from __future__ import annotations

import numpy as np
import pytest

from eval.metrics import SegmentationMetrics
from shards.errors import UserError


def test_against_loops() -> None:
    rng = np.random.default_rng(0)
    label = rng.choice(np.array([0, 1, 2, 5, 255], np.uint8), (40, 30))
    prediction = np.where(rng.random((40, 30)) < 0.6, label % 19, rng.integers(0, 7, (40, 30))).astype(np.uint8)
    metrics = SegmentationMetrics()
    metrics.add(prediction[:20], label[:20])
    metrics.add(prediction[20:], label[20:])
    result = metrics.result()
    ious, accs = [], []
    valid = label != 255
    for c in range(19):
        hit = int(((label == c) & (prediction == c)).sum())
        union = int((((label == c) | (prediction == c)) & valid).sum())
        if not (label == c).any():
            assert result.iou[c] is None
            continue
        ious.append(hit / union)
        accs.append(hit / int((label == c).sum()))
        assert result.iou[c] == pytest.approx(ious[-1])
    assert result.metrics == pytest.approx({"mIoU": np.mean(ious), "mAcc": np.mean(accs)})
    assert result.pixels == valid.sum()


def test_predictions_on_void_cost_nothing() -> None:
    metrics = SegmentationMetrics()
    metrics.add(np.array([[0, 7]], np.uint8), np.array([[0, 255]], np.uint8))
    assert metrics.result().metrics == {"mIoU": 1.0, "mAcc": 1.0}


def test_refusals() -> None:
    metrics = SegmentationMetrics()
    zero, high = np.zeros((1, 1), np.uint8), np.full((1, 1), 33, np.uint8)
    with pytest.raises(UserError, match="label of f holds the class 33"):
        metrics.add(zero, high, "f")
    with pytest.raises(UserError, match="prediction of f holds the class 33"):
        metrics.add(high, zero, "f")
    with pytest.raises(UserError, match="no valid pixel"):
        metrics.result()
