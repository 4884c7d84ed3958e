"""How the scores of known and of anomaly pixels lie: two histograms over one axis, as inline SVG.

Drawn from the counts that the bootstrap keeps of each frame, which are rounded to one part in 512 of a score. Within
such a step the pixels are taken as spread evenly. Each side sums to 1: anomalies are few, and would not be seen.
Scores that are positive and span orders of magnitude, as probabilities of rare classes do, get a logarithmic axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, UInt32

from eval.metrics.bootstrap import SHIFT, FrameCounts
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
    bins = np.unique(np.concatenate([frame.bins for frame in frames]))
    sides = []
    for side in ("known", "anomaly"):
        counts: Int64[np.ndarray, " b"] = np.zeros(bins.size, np.int64)
        for frame in frames:
            counts[np.searchsorted(bins, frame.bins)] += getattr(frame, side)
        sides.append(np.cumsum(counts) / counts.sum())
    places = _places(bins)
    low = float(min(places[2 * np.searchsorted(side, _TAIL, "right")] for side in sides))
    high = float(max(places[2 * np.searchsorted(side, 1 - _TAIL) + 1] for side in sides))
    if not high > low:
        low, high = low - 0.5, low + 0.5
    log = low > 0 and high / low >= _WIDE
    edges = np.geomspace(low, high, bars + 1) if log else np.linspace(low, high, bars + 1)
    found = []
    for side in sides:
        below = np.interp(edges, places, _both_ends(side))
        below[0], below[-1] = 0.0, 1.0
        found.append(np.diff(below))
    return Shares(edges, log, found[0], found[1])


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


def _places(bins: UInt32[np.ndarray, " b"]) -> Float[np.ndarray, " 2*b"]:
    """The lowest and the highest score of each bin, one after the other."""
    lowest = bins << np.uint32(SHIFT)
    ends = np.stack([lowest, lowest | np.uint32((1 << SHIFT) - 1)], 1).ravel()
    places = scores_of(ends).astype(np.float64)
    # The bin of zero reaches into the denormal numbers; they count as zero, or a logarithmic axis would begin there.
    places[np.abs(places) < np.finfo(np.float32).tiny] = 0.0
    return places


def _both_ends(risen: Float[np.ndarray, " b"]) -> Float[np.ndarray, " 2*b"]:
    """The share at the lower and at the upper end of each bin, from the share up to and with it."""
    return np.stack([np.concatenate([[0.0], risen[:-1]]), risen], 1).ravel()


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
