"""Bins of a frame against counting its pixels above every threshold."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics.keys import FrameKeys, frame_keys
from eval.metrics.rank_bins import FINE, rank_bins


def keys_of(how: str, seed: int) -> FrameKeys:
    """Three quarters of a million pixels, a fiftieth of them anomalies with larger scores."""
    rng = np.random.default_rng(seed)
    label = rng.choice(np.array([0, 1, 255], np.uint8), (600, 1250), p=[0.97, 0.02, 0.01])
    score = rng.normal(size=label.shape) + 2.0 * label
    if how == "offset":
        score = 1000 + score
    elif how == "saturated":
        score = 1 / (1 + np.exp(-8 * score))
    elif how == "spread":
        score = np.exp(10 * score.clip(-8, 8)) * np.sign(rng.normal(size=label.shape))
    elif how == "tied":
        score = np.round(score, 1)
    elif how == "constant":
        score = np.zeros(label.shape)
    return frame_keys(np.where(label == 255, 0, score).astype(np.float32), label)


@pytest.mark.parametrize("how", ["plain", "offset", "saturated", "spread", "tied", "constant"])
def test_counts_above_every_threshold_are_near(how: str) -> None:
    keys = keys_of(how, 0)
    bins, *counts = rank_bins(keys)
    assert (np.diff(bins.astype(np.int64)) > 0).all()
    assert ((counts[0] + counts[1]) > 0).all()
    assert bins.size < 12 * FINE
    thresholds = np.unique(np.concatenate([keys.known, keys.anomaly]))
    assert how != "constant" or bins.tolist() == thresholds.tolist()
    for side, found in zip((keys.known, keys.anomaly), counts, strict=True):
        assert found.sum() == side.size
        exact = side.size - np.searchsorted(np.sort(side), thresholds)
        above = np.append(np.cumsum(found[::-1])[::-1], 0)[np.searchsorted(bins, thresholds)]
        assert (above <= exact).all()
        assert (exact - above <= exact / FINE).all()
        # Every bin begins at a threshold of its own.
        assert np.array_equal(side.size - np.searchsorted(np.sort(side), bins), np.cumsum(found[::-1])[::-1])


def test_small_frames_are_kept_score_by_score() -> None:
    rng = np.random.default_rng(3)
    keys = FrameKeys(*(rng.integers(0, 1 << 32, size, dtype=np.uint32) for size in (900, 40)))
    bins, known, anomaly = rank_bins(keys)
    assert np.array_equal(np.repeat(bins, known), np.sort(keys.known))
    assert np.array_equal(np.repeat(bins, anomaly), np.sort(keys.anomaly))


def test_a_frame_without_pixels_has_no_bins() -> None:
    none = np.empty(0, np.uint32)
    assert [column.size for column in rank_bins(FrameKeys(none, none))] == [0, 0, 0]
    bins, known, anomaly = rank_bins(FrameKeys(none, np.array([0, 0xFFFFFFFF, 0], np.uint32)))
    assert (bins.tolist(), known.tolist(), anomaly.tolist()) == ([0, 0xFFFFFFFF], [0, 0], [2, 1])
