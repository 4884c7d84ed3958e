"""The figures of a single frame: for tables of frames, and for the convention that averages over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import no_type_check

import numpy as np

from eval.metrics.conventions import TPR, Reach
from eval.metrics.counts import PAGE
from eval.metrics.keys import FrameKeys
from eval.metrics.pixel import PixelResult, judge
from eval.metrics.walk import Steps
from shards.compiled import compiled


def judge_frame(keys: FrameKeys, *, reach: Reach = "first", tpr: float = TPR) -> PixelResult | None:
    """Judge one frame on its own, exactly; None where it lacks anomaly or known pixels.

    Only the anomaly pixels, the few, are sorted.
    """
    if not keys.anomaly.size or not keys.known.size:
        return None
    thresholds, gained = np.unique(keys.anomaly, return_counts=True)
    among = count_among(keys.known, thresholds, np.searchsorted(thresholds, np.arange(PAGE + 1) << 16))
    # From the highest down: the known pixels above each threshold, and with those that equal it.
    below = np.cumsum(among[::-1])[::-1]
    steps = Steps(
        keys=thresholds[::-1],
        tp=np.cumsum(gained[::-1]),
        fp=below[1::2][::-1],
        above=below[2::2][::-1],
    )
    return judge([steps], keys.anomaly.size, keys.known.size, reach=reach, tpr=tpr)


def mean_figures(frames: Iterable[Mapping[str, float] | None]) -> dict[str, float] | None:
    """The mean of the figures that frames have on their own, in whatever order they come.

    Args:
        frames: figures of each by name, 0..1; None for a frame that has none, which is passed over.

    Returns:
        The means by name; None where no frame has any.
    """
    judged = [figures for figures in frames if figures is not None]
    if not judged:
        return None
    return {name: math.fsum(figures[name] for figures in judged) / len(judged) for name in judged[0]}


@compiled
@no_type_check
def count_among(known, thresholds, first):
    """Where known pixels lie among thresholds.

    Args:
        known: (N,) uint32 keys.
        thresholds: (K,) uint32, rising.
        first: (65537,) int64, index of the first threshold of each upper half.

    Returns:
        (2 K + 1,) int64: at 2 i the keys between thresholds i - 1 and i, at 2 i + 1 those that equal threshold i.
    """
    among = np.zeros(2 * thresholds.size + 1, np.int64)
    for key in known:
        high = key >> np.uint32(16)
        low, end = first[high], first[high + 1]
        while low < end:
            middle = (low + end) // 2
            if thresholds[middle] < key:
                low = middle + 1
            else:
                end = middle
        if low < thresholds.size and thresholds[low] == key:
            among[2 * low + 1] += 1
        else:
            among[2 * low] += 1
    return among
