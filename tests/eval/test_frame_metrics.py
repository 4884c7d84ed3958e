"""A frame judged alone equals the pool of that one frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics import PixelMetrics
from eval.metrics.frame import judge_frame
from eval.metrics.keys import frame_keys


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([2, 30, 0]), share=st.sampled_from([0.02, 0.5, 0.95]))
def test_equal_to_the_pool_of_one_frame(seed: int, levels: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    label = rng.choice(np.array([0, 1, 255], np.uint8), (17, 23), p=[0.9 - 0.9 * share, 0.9 * share, 0.1])
    label[0, :2] = 0, 1
    score = rng.normal(size=label.shape).astype(np.float32)
    if levels:
        score = np.round(score * levels / 4).astype(np.float32)
    pool = PixelMetrics()
    pool.add(score, label)
    for reach in ("first", "beyond", "nearest"):
        alone, pooled = judge_frame(frame_keys(score, label), reach=reach), pool.result(reach=reach)
        assert alone is not None
        assert alone.metrics == pytest.approx(pooled.metrics, abs=1e-12)
        assert alone.point == pooled.point
        assert alone.best_threshold == pooled.best_threshold


@pytest.mark.parametrize("label", [0, 1, 255])
def test_a_frame_of_one_side_has_no_figures(label: int) -> None:
    keys = frame_keys(np.zeros((2, 3), np.float32), np.full((2, 3), label, np.uint8))
    assert judge_frame(keys) is None
