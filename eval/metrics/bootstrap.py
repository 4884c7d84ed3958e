"""How far the figures of a set hang on its frames: bootstrap over frames (Efron, Annals of Statistics 1979).

A benchmark has 10, 30 or 100 frames, and another draw of as many from the same streets would give other figures.
Frames are drawn with replacement, pooled, and judged; the 2.5 % and 97.5 % quantiles of many draws are the interval.
Pixels of one frame stay together, since they are anything but independent.

A thousand draws cannot each sort 200 million pixels: every frame is kept as counts over scores that are rounded to 9
bits of their mantissa (one part in 512), so that a draw is a product of matrices. The figures themselves stay exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, no_type_check

import numpy as np
from jaxtyping import Float, Int64, UInt32

from eval.metrics.conventions import TPR
from eval.metrics.counts import group_sizes
from eval.metrics.keys import FrameKeys
from shards.compiled import compiled

DRAWS: Final = 1000
LEVEL: Final = 0.95
SHIFT: Final = 14
"""Low bits of a score's key that the counts of a frame leave out."""
FIGURES: Final = ("AP", "AUROC", "FPR95", "best_F1")
_AT_ONCE: Final = 1 << 17
"""Counts that a block of draws may hold: 1 MB, which stays in the cache until it is judged."""


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """One frame as counts over rounded scores: 12 bytes a score that occurs.

    On 16 real frames (4 of 1280x720, 12 of 2048x1024) the six scores of an ERFNet took 12 to 94 KB a frame; normally
    distributed noise in every pixel of 2048x1024 takes 159 KB.

    Attributes:
        bins: rounded scores, rising; they compare across frames.
        known: known pixels in each.
        anomaly: anomaly pixels in each.
    """

    bins: UInt32[np.ndarray, " b"]
    known: UInt32[np.ndarray, " b"]
    anomaly: UInt32[np.ndarray, " b"]

    @classmethod
    def of(cls, keys: FrameKeys) -> FrameCounts:
        """Round a frame's scores and count them."""
        known, anomaly = group_sizes(keys.known, SHIFT), group_sizes(keys.anomaly, SHIFT)
        bins = np.flatnonzero(known + anomaly)
        return cls(*(column.astype(np.uint32) for column in (bins, known[bins], anomaly[bins])))


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


def intervals(frames: Sequence[FrameCounts], *, seed: int = 0, draws: int = DRAWS) -> Mapping[str, Interval]:
    """Intervals of AP, AUROC, FPR95 and best F1 of a set.

    Args:
        frames: of the set; at least one with anomaly and one with known pixels.
        seed: of the draws.
        draws: how many.

    Returns:
        By figure; draws without an anomaly or without a known pixel are left out.
    """
    figures = _figures(frames, drawn_frames(len(frames), seed, draws))
    return {name: interval(values) for name, values in figures.items()}


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
    """The figures of every draw; NaN where it lacks anomaly or known pixels."""
    bins = np.unique(np.concatenate([frame.bins for frame in frames]))
    known, anomaly = (np.zeros((len(frames), bins.size)) for _ in range(2))
    for row, frame in enumerate(frames):
        at = np.searchsorted(bins, frame.bins)
        known[row, at], anomaly[row, at] = frame.known, frame.anomaly
    known, anomaly = known[:, ::-1], anomaly[:, ::-1]  # from the highest score down
    found = np.empty((len(weights), len(FIGURES)))
    block = max(1, _AT_ONCE // bins.size)
    for first in range(0, len(weights), block):
        part = weights[first : first + block].astype(np.float64)
        judge_draws(part @ known, part @ anomaly, found[first : first + block])
    return dict(zip(FIGURES, found.T, strict=True))


@compiled
@no_type_check
def judge_draws(known, anomaly, found):
    """AP, AUROC, FPR95 and best F1 of each draw, as in `pixel.py`; a bin is one step of the curve.

    Args:
        known: (draws, bins) float64, known pixels from the highest score down.
        anomaly: (draws, bins) float64, anomaly pixels.
        found: (draws, 4) float64, filled; NaN for a draw without anomaly or without known pixels.
    """
    for draw in range(known.shape[0]):
        positives, negatives = anomaly[draw].sum(), known[draw].sum()
        found[draw] = np.nan
        if positives == 0 or negatives == 0:
            continue
        tp = fp = precision = won = best = 0.0
        needed = np.ceil(TPR * positives - 1e-6)  # a whole number, whichever side of it the product lies on
        fpr = np.nan
        for i in range(known.shape[1]):
            n, p = known[draw, i], anomaly[draw, i]
            fp += n
            if p == 0:
                continue
            tp += p
            precision += p * (tp / (tp + fp))
            won += p * (negatives - fp + n / 2)
            best = max(best, 2 * tp / (positives + tp + fp))
            if np.isnan(fpr) and tp >= needed:
                fpr = fp / negatives
        found[draw, 0] = precision / positives
        found[draw, 1] = won / (positives * negatives)
        found[draw, 2] = fpr
        found[draw, 3] = best
