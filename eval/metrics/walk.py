"""The steps of the curve: one walk over the counted scores, from the highest down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Int64, UInt32

from eval.metrics.counts import PAGE, KeyCounts
from shards.compiled import compiled


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of the curve, by falling threshold; a step is a score that some anomaly pixel has.

    Equal scores are one step by construction. Between two steps FP grows and TP stays.

    Attributes:
        keys: the thresholds (`keys.py`); a pixel at or above one is called an anomaly.
        tp: anomaly pixels at or above the threshold, rising.
        fp: known pixels at or above it.
        above: known pixels above it: FP of the lowest threshold with the TP of the step before.
    """

    keys: UInt32[np.ndarray, " k"]
    tp: Int64[np.ndarray, " k"]
    fp: Int64[np.ndarray, " k"]
    above: Int64[np.ndarray, " k"]

    def __getitem__(self, chosen: Int64[np.ndarray, " c"] | slice) -> Steps:
        """Some of the steps."""
        return Steps(self.keys[chosen], self.tp[chosen], self.fp[chosen], self.above[chosen])

    @classmethod
    def joined(cls, parts: list[Steps]) -> Steps:
        """Parts of a curve, one after the other."""
        columns = zip(*((part.keys, part.tp, part.fp, part.above) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def walk(known: KeyCounts, anomaly: KeyCounts) -> Iterator[Steps]:
    """All steps of the curve, page by page, the highest scores first; never an empty part."""
    sides = _Dense(known), _Dense(anomaly)
    tp = fp = 0
    keys = np.empty(PAGE, np.uint32)
    counts = np.empty((3, PAGE), np.int64)
    for high in np.flatnonzero(sides[0].sizes + sides[1].sizes)[::-1].tolist():
        if not sides[1].sizes[high]:
            fp += int(sides[0].sizes[high])
            continue
        steps = page_steps(high, sides[0].page(high), sides[1].page(high), tp, fp, keys, counts)
        tp, fp = tp + int(sides[1].sizes[high]), fp + int(sides[0].sizes[high])
        yield Steps(keys[:steps].copy(), *counts[:, :steps].copy())


class _Dense:
    """The counts of a multiset page by page, whichever way it holds them."""

    def __init__(self, counted: KeyCounts) -> None:
        counted.settle()
        self._counted = counted
        self._waiting = np.sort(counted.waiting)
        edges = np.arange(PAGE + 1, dtype=np.int64) << 16
        self._waits = np.searchsorted(self._waiting, edges)
        self._wraps = np.searchsorted(counted.wrapped, edges)
        self.sizes: Int64[np.ndarray, " page"] = counted.sizes + np.diff(self._waits)
        self._scratch = np.zeros(PAGE, np.int64)

    def page(self, high: int) -> Int64[np.ndarray, " page"]:
        """How often each key of an upper half was counted; valid until the next call."""
        counts, counted = self._scratch, self._counted
        number = int(counted.page_of[high])
        counts[:] = counted.pages[number * PAGE : (number + 1) * PAGE] if number >= 0 else 0
        wraps = slice(self._wraps[high], self._wraps[high + 1])
        counts[counted.wrapped[wraps] & np.uint32(PAGE - 1)] += 256 * counted.wraps[wraps]
        waits = self._waiting[self._waits[high] : self._waits[high + 1]]
        np.add.at(counts, waits & np.uint32(PAGE - 1), 1)
        return counts


@compiled
@no_type_check
def page_steps(high, known, anomaly, tp, fp, keys, counts):
    """The steps of one page.

    Args:
        high: upper half of its keys.
        known: (65536,) int64, known pixels by lower half.
        anomaly: (65536,) int64, anomaly pixels.
        tp: anomaly pixels in the pages above.
        fp: known pixels in them.
        keys: (65536,) uint32, filled with the thresholds.
        counts: (3, 65536) int64, filled with TP, FP and the known pixels above.

    Returns:
        How many steps there are.
    """
    steps = 0
    for low in range(PAGE - 1, -1, -1):
        above = fp
        fp += known[low]
        if anomaly[low]:
            tp += anomaly[low]
            keys[steps] = (high << 16) | low
            counts[0, steps] = tp
            counts[1, steps] = fp
            counts[2, steps] = above
            steps += 1
    return steps
