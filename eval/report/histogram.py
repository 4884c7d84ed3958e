"""How the scores of known and of anomaly pixels lie: two histograms over one axis, as inline SVG.

Drawn from the counts that the bootstrap keeps of each frame, as if all pixels of a bin had its lowest score: unless
they share one score, they are at most one in 1024 of the frame's (`eval/metrics/rank_bins.py`), and no bar shows it.
Each side sums to 1: anomalies are few, and would not be seen.
Scores that are positive and span orders of magnitude, as probabilities of rare classes do, get a logarithmic axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt32

from eval.metrics.bootstrap import FrameCounts
from eval.metrics.keys import scores_of
from eval.report.charts import BOX, HEIGHT, WIDTH, Tick

BARS = 64
_TAIL = 0.001
"""Share of either side that may lie beyond each end of the axis; it is counted into the last bars."""
_WIDE = 100.0
"""Ratio of the ends from which on the axis is logarithmic."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Everything that the template draws.

    Attributes:
        name: of the score.
        known: outline of the known pixels' bars, in the coordinates of the SVG.
        anomaly: outline of the anomaly pixels' bars.
        low: score at the left end of the axis.
        high: score at the right end.
        log: whether the axis is logarithmic.
        x_ticks: scores.
        y_ticks: shares of a side's pixels in a bar.
        box: left, top, width and height of the plot.
    """

    name: str
    known: str
    anomaly: str
    low: float
    high: float
    log: bool
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    box: tuple[float, float, float, float] = BOX
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Shares:
    """Two histograms over the same bars; each sums to 1.

    Attributes:
        edges: ends of the bars, scores, rising.
        log: whether equal bars are equal ratios of scores, not differences.
        known: share of the known pixels in each bar.
        anomaly: share of the anomaly pixels in each bar.
    """

    edges: Float[np.ndarray, " ends"]
    log: bool
    known: Float[np.ndarray, " bars"]
    anomaly: Float[np.ndarray, " bars"]


def shares(frames: Sequence[FrameCounts], bars: int = BARS) -> Shares:
    """Count the pixels of all frames into bars of equal width, on a linear or a logarithmic axis.

    Args:
        frames: of one score on one set, with anomaly and known pixels among them.
        bars: how many.
    """
    sides = ("known", "anomaly")
    low = min(_score_at(frames, side, _TAIL) for side in sides)
    high = max(_score_at(frames, side, 1 - _TAIL) for side in sides)
    if not high > low:
        low, high = low - 0.5, low + 0.5
    log = low > 0 and high / low >= _WIDE
    edges = np.geomspace(low, high, bars + 1) if log else np.linspace(low, high, bars + 1)
    found = {side: np.zeros(bars) for side in sides}
    for frame in frames:
        # What lies beyond the ends is counted into the last bars.
        bar = (np.searchsorted(edges, _scores(frame.bins), "right") - 1).clip(0, bars - 1)
        for side, counts in found.items():
            counts += np.bincount(bar, getattr(frame, side), bars)
    return Shares(edges, log, *(counts / counts.sum() for counts in found.values()))


def histogram(name: str, frames: Sequence[FrameCounts]) -> Histogram:
    """Draw one score on one set."""
    made = shares(frames)
    low, high = float(made.edges[0]), float(made.edges[-1])
    top = _round_up(float(max(made.known.max(), made.anomaly.max())))
    left, upper, across, down = BOX
    steps = np.linspace(0, 1, 5).tolist()
    places = [low * (high / low) ** x if made.log else low + (high - low) * x for x in steps]
    return Histogram(
        name,
        _outline(made.known / top),
        _outline(made.anomaly / top),
        low,
        high,
        made.log,
        tuple(
            Tick(round(left + across * x, 1), float(upper + down), f"{score:.3g}")
            for x, score in zip(steps, places, strict=True)
        ),
        tuple(Tick(float(left), round(upper + down * (1 - y), 1), f"{100 * top * y:.3g}") for y in steps),
    )


def _score_at(frames: Sequence[FrameCounts], side: str, share: float) -> float:
    """The lowest score that more than a share of a side's pixels do not exceed, found by halving the keys.

    All frames side by side would be sorted in memory that grows with them.
    """
    risen = [np.cumsum(getattr(frame, side), dtype=np.int64) for frame in frames]
    wanted = share * sum(int(counts[-1]) for counts in risen if counts.size)
    low, high = 0, (1 << 32) - 1
    while low < high:
        middle = (low + high) // 2
        places = [np.searchsorted(frame.bins, np.uint32(middle), "right") for frame in frames]
        if sum(int(counts[at - 1]) for counts, at in zip(risen, places, strict=True) if at) > wanted:
            high = middle
        else:
            low = middle + 1
    return float(_scores(np.array([low], np.uint32))[0])


def _scores(keys: UInt32[np.ndarray, " b"]) -> Float32[np.ndarray, " b"]:
    """The scores; denormal numbers count as zero, or a logarithmic axis would begin there."""
    scores = scores_of(keys)
    return np.where(np.abs(scores) < np.finfo(np.float32).tiny, np.float32(0), scores)


def _outline(heights: Float[np.ndarray, " bars"]) -> str:
    """The bars as one closed polygon; heights in 0..1 of the plot."""
    left, upper, across, down = BOX
    xs = np.repeat(np.linspace(left, left + across, heights.size + 1), 2)
    ys = upper + down * (1 - np.concatenate([[0.0], np.repeat(heights, 2), [0.0]]))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))


def _round_up(share: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 ... that four equal steps divide into readable numbers."""
    power = 10.0 ** np.floor(np.log10(share))
    return float(next(power * step for step in (1, 2, 4, 6, 8, 10) if power * step >= share * (1 - 1e-9)))
