"""How far the figures of a set hang on its frames: bootstrap over frames (Efron, Annals of Statistics 1979).

A benchmark has 10, 30 or 100 frames, and another draw of as many from the same streets would give other figures.
Frames are drawn with replacement, pooled, and judged; the 2.5 % and 97.5 % quantiles of many draws are the interval.
Pixels of one frame stay together, since they are anything but independent.

A thousand draws cannot each sort 200 million pixels: every frame is kept as counts in bins that follow the ranks of
its pixels (`rank_bins.py`), which hold TP and FP of every draw at every threshold to one part in 1024, whatever the
scale of the score. The figures themselves stay exact. All draws are judged side by side in one walk down the bins of
all frames, a chunk at a time, so that memory is that of the counts, of the draws, and of one chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, no_type_check

import numpy as np
from jaxtyping import Float, Int64, UInt16, UInt32

from eval.metrics.conventions import TPR
from eval.metrics.keys import FrameKeys
from eval.metrics.rank_bins import rank_bins
from shards.compiled import compiled

DRAWS: Final = 1000
LEVEL: Final = 0.95
FIGURES: Final = ("AP", "AUROC", "FPR95", "best_F1")
NEAR: Final = 1e-3
"""How far a figure of all frames in bins may lie from the exact one: beyond it the draws are not of that figure."""
_AT_ONCE: Final = 1 << 18
"""Bins that are sorted at once, about."""
_MARK: Final = 64
"""Every so many bins of a frame have a say in where chunks end."""

Counts = UInt16[np.ndarray, " b"] | UInt32[np.ndarray, " b"]


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """One frame as counts in bins: 8 bytes a bin, 12 where a bin holds more than 65535 pixels.

    Attributes:
        bins: rising keys (`keys.py`); a pixel is in the last bin whose key it reaches.
        known: known pixels in each.
        anomaly: anomaly pixels in each.
    """

    bins: UInt32[np.ndarray, " b"]
    known: Counts
    anomaly: Counts

    @classmethod
    def of(cls, keys: FrameKeys) -> FrameCounts:
        """Count a frame's pixels in bins that follow their ranks."""
        return cls.narrow(*rank_bins(keys))

    @classmethod
    def narrow(
        cls,
        bins: UInt32[np.ndarray, " b"],
        known: Int64[np.ndarray, " b"] | Counts,
        anomaly: Int64[np.ndarray, " b"] | Counts,
    ) -> FrameCounts:
        """Keep counts in as few bytes as they fit into."""
        return cls(
            bins, *(side.astype(np.min_scalar_type(max(256, side.max(initial=0)))) for side in (known, anomaly))
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a figure lies in all but 1 - LEVEL of the draws; fractions, 0..1."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of one run minus that of another, on the same frames.

    Attributes:
        low: of the interval.
        high: of the interval.
        beyond: whether the interval leaves out 0: the runs differ by more than the choice of frames explains.
    """

    low: float
    high: float
    beyond: bool


def interval_rows(found: Mapping[str, Interval]) -> list[dict[str, Any]]:
    """Intervals as results.json holds them."""
    return [{"of": figure, "low": one.low, "high": one.high} for figure, one in found.items()]


def intervals(
    frames: Sequence[FrameCounts],
    exact: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Mapping[str, Interval]:
    """Intervals of AP, AUROC, FPR95 and best F1 of a set.

    Args:
        frames: of the set; at least one with anomaly and one with known pixels.
        exact: figures of the set; one that the frames' counts miss by more than `NEAR` has no interval.
        seed: of the draws.
        draws: how many.

    Returns:
        By figure; draws without an anomaly or without a known pixel are left out.
    """
    figures = _figures(frames, np.vstack([np.ones(len(frames), np.int64), drawn_frames(len(frames), seed, draws)]))
    return {
        name: interval(values[1:])
        for name, values in figures.items()
        if abs((exact or {}).get(name, values[0]) - values[0]) <= NEAR
    }


def differences(
    one: Sequence[FrameCounts], other: Sequence[FrameCounts], *, seed: int = 0, draws: int = DRAWS
) -> Mapping[str, Difference]:
    """Paired bootstrap: both runs are judged on the same draws, so what is hard in a frame cancels.

    Args:
        one: frames of a run.
        other: the same frames, in the same order, of another one.
        seed: of the draws.
        draws: how many.
    """
    weights = drawn_frames(len(one), seed, draws)
    first, second = _figures(one, weights), _figures(other, weights)
    found = {}
    for name, values in first.items():
        low, high = _quantiles(values - second[name])
        found[name] = Difference(low, high, beyond=low > 0 or high < 0)
    return found


def drawn_frames(frames: int, seed: int, draws: int) -> Int64[np.ndarray, "draws frames"]:
    """How often each frame is in each draw."""
    return np.random.default_rng(seed).multinomial(frames, np.full(frames, 1 / frames), size=draws)


def interval(values: Float[np.ndarray, " draws"]) -> Interval:
    """The interval of a figure's draws; NaN where a draw has none."""
    return Interval(*_quantiles(values))


def _quantiles(values: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _figures(
    frames: Sequence[FrameCounts], weights: Int64[np.ndarray, "draws frames"]
) -> dict[str, Float[np.ndarray, " draws"]]:
    """The figures of every draw, as in `pixel.py`, a bin being one score; NaN for a draw without anomaly or without
    known pixels.
    """
    positives, negatives = (
        (weights @ np.array([getattr(frame, side).sum(dtype=np.int64) for frame in frames])).astype(np.float64)
        for side in ("anomaly", "known")
    )
    needed = np.ceil(TPR * positives - 1e-6)  # a whole number, whichever side of it the product lies on
    walked = np.zeros((6, len(weights)))
    walked[5] = np.nan
    times = np.ascontiguousarray(weights.T, np.float64)
    for chunk in _from_the_top(frames):
        walk_draws(*chunk, times, positives, negatives, needed, walked)
    _, _, precision, won, best, fpr = walked
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (precision / positives, won / (positives * negatives), fpr / negatives, best)
    both = (positives > 0) & (negatives > 0)
    return {name: np.where(both, values, np.nan) for name, values in zip(FIGURES, found, strict=True)}


def _from_the_top(
    frames: Sequence[FrameCounts],
) -> Iterator[
    tuple[UInt32[np.ndarray, " n"], Int64[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]
]:
    """The bins of all frames by falling key, a chunk at a time: keys, frames, known and anomaly pixels.

    Bins of one key are in one chunk.
    """
    marks = np.sort(np.concatenate([frame.bins[::_MARK] for frame in frames]))
    edges = np.unique(marks[:: _AT_ONCE // _MARK])
    ends = [len(frame.bins) for frame in frames]
    for edge in (*edges[:0:-1].tolist(), 0):
        starts = [int(np.searchsorted(frame.bins, np.uint32(edge))) for frame in frames]
        slices = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        bins, known, anomaly = (
            np.concatenate([getattr(frame, column)[part] for frame, part in zip(frames, slices, strict=True)])
            for column in ("bins", "known", "anomaly")
        )
        owner = np.repeat(np.arange(len(frames)), np.subtract(ends, starts))
        falling = np.argsort(bins)[::-1]
        yield bins[falling], owner[falling], known[falling].astype(np.float64), anomaly[falling].astype(np.float64)
        ends = starts


@compiled
@no_type_check
def walk_draws(bins, owner, known, anomaly, times, positives, negatives, needed, walked):
    """Take all draws through further steps of their curves.

    Args:
        bins: (n,) uint32, falling; equal ones are one step.
        owner: (n,) int64, the frame of each.
        known: (n,) float64, known pixels in each.
        anomaly: (n,) float64, anomaly pixels in each.
        times: (frames, draws) float64, how often each frame is in each draw.
        positives: (draws,) float64, anomaly pixels.
        negatives: (draws,) float64, known pixels.
        needed: (draws,) float64, anomaly pixels at the operating point.
        walked: (6, draws) float64, carried on: TP, FP, the sums of AP and AUROC, the highest F1, FP at the operating
            point, which is NaN before it is reached.
    """
    tp, fp, precision, won, best, reached = walked[0], walked[1], walked[2], walked[3], walked[4], walked[5]
    draws = tp.size
    n, p = np.zeros(draws), np.zeros(draws)
    first = 0
    while first < bins.size:
        last = first
        some = anomaly[first] > 0
        while last + 1 < bins.size and bins[last + 1] == bins[first]:
            last += 1
            some |= anomaly[last] > 0
        if not some:
            for i in range(first, last + 1):
                weights, more = times[owner[i]], known[i]
                for draw in range(draws):
                    fp[draw] += weights[draw] * more
            first = last + 1
            continue
        n[:] = 0
        p[:] = 0
        for i in range(first, last + 1):
            weights = times[owner[i]]
            for draw in range(draws):
                n[draw] += weights[draw] * known[i]
                p[draw] += weights[draw] * anomaly[i]
        for draw in range(draws):
            alarms, hits = fp[draw] + n[draw], tp[draw] + p[draw]
            fp[draw], tp[draw] = alarms, hits
            precision[draw] += p[draw] * (hits / max(hits + alarms, 1.0))
            won[draw] += p[draw] * (negatives[draw] - alarms + n[draw] / 2)
            f1 = 2 * hits / max(positives[draw] + hits + alarms, 1.0)
            best[draw] = f1 if f1 > best[draw] else best[draw]
            now = hits >= needed[draw] and reached[draw] != reached[draw]
            reached[draw] = alarms if now else reached[draw]
        first = last + 1
