"""AP and FPR95 as the evaluator of SegmentMeIfYouCan prints them: from a few hundred thresholds of each frame.

Chan et al., "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation" (NeurIPS Datasets and Benchmarks 2021). The
curve approximates the exact one (`pixel.py`). Recorded values of the evaluator fix every detail to the last digit:

    thresholds of a frame = 384 quantiles of its anomaly pixels and 384 of its known ones, linear between two pixels,
                            and min - d, d = max(1 % of the range, 0.01)
    bins of a frame       = pixels at or above one of its thresholds and below the next higher one
    TP(t), FP(t)          = pixels of either label in all bins of all frames that start at t or above it
    AP                    = sum (TP - TP before) / P * TP / (TP + FP)
    AUROC                 = trapezoids between the thresholds, from the first one on
    FPR95                 = FPR at the first threshold with TPR >= 0.95
    threshold of best F1  = the highest that has it

Two things depend on the machine, there as here, because NumPy sorts with the processor's vector instructions:

    first threshold       Of equal thresholds the last one counts, with the sums of all, but of all thresholds the
                          first counts too. Where frames share the highest score, the curve starts with the bin of
                          one of them, and `numpy.argsort` picks which. It moves AP by 1e-3 where a seventh of the
                          anomaly pixels has that score. Frames are sorted by name, so that adding and merging in
                          another order changes nothing.
    negative float16      `numpy.sort`, which `numpy.histogram` uses, leaves negative float16 values slightly out of
                          order on processors with AVX-512 (NumPy 2.4), so that a few pixels land in the next bin.
                          Frames with such scores go through the same functions of NumPy, all others do not.

The difference of two neighbouring pixels is taken in the precision of the scores, as NumPy's quantiles do it: float16
scores have other thresholds than the same values as float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt32

from eval.metrics.conventions import TPR
from eval.metrics.keys import FrameKeys, ordered, scores_of
from eval.metrics.order import in_order
from shards.errors import UserError

QUANTILES: Final = 384
"""Thresholds that the anomaly pixels of a frame give, and as many its known pixels."""

CONVENTION: Mapping[str, str] = {
    "pooling": "pixels of all frames",
    "ap": "step sum, equal thresholds merged but for the first of all",
    "fpr95": f"first threshold with TPR >= {TPR:g}",
    "void": "left out",
    "estimator": f"SegmentMeIfYouCan: thresholds at {QUANTILES} quantiles of each label in each frame",
}
"""How the figures of `BinnedMetrics` are meant; stands beside them in results.json."""

_SHARES: Final = np.linspace(0, 1, QUANTILES)


@dataclass(frozen=True, slots=True)
class BinnedResult:
    """The figures of one score on one set; all of them fractions, 0..1.

    Attributes:
        ap: average precision.
        auroc: area under the ROC curve.
        fpr: false positive rate at a TPR of 0.95.
        fpr_threshold: the threshold where it is read; a pixel at or above it is an anomaly.
        best_f1: highest F1 of all thresholds.
        best_threshold: the highest threshold that has it. The official component metrics call a pixel *above* it an
            anomaly (`component.py`).
        anomaly: valid pixels that are anomalies.
        known: valid pixels that are not.
    """

    ap: float
    auroc: float
    fpr: float
    fpr_threshold: float
    best_f1: float
    best_threshold: float
    anomaly: int
    known: int

    @property
    def metrics(self) -> Mapping[str, float]:
        """The published figures under names that tell them from the exact ones."""
        return {"AP_binned": self.ap, "FPR95_binned": self.fpr}


@dataclass(frozen=True, slots=True)
class FrameBins:
    """What a frame adds to the curve; 24 bytes for each of at most 769 thresholds.

    Attributes:
        frame: its name.
        thresholds: falling, each once.
        tp: anomaly pixels at or above a threshold and below the one before it.
        fp: known pixels there.
    """

    frame: str
    thresholds: Float64[np.ndarray, " k"]
    tp: Int64[np.ndarray, " k"]
    fp: Int64[np.ndarray, " k"]


@dataclass(frozen=True, slots=True)
class BinnedMetrics:
    """The curve of a set.

    Attributes:
        frames: what its frames add to it, from `frame_bins`, in any order if their names differ.
    """

    frames: Sequence[FrameBins]

    def result(self) -> BinnedResult:
        """Judge the set.

        Raises:
            UserError: the set holds no anomaly pixel or no known pixel.
        """
        frames = sorted(self.frames, key=lambda bins: bins.frame)
        positives, negatives = (sum(int(side.sum()) for side in sides) for sides in _sides(frames))
        if not positives:
            raise UserError("The set holds no anomaly pixel: AP_binned and FPR95_binned do not exist for it.")
        if not negatives:
            raise UserError("The set holds no known (inlier) pixel: FPR95_binned does not exist for it.")
        thresholds = np.concatenate([bins.thresholds for bins in frames])
        falling = np.argsort(thresholds)[::-1]  # not stable, as in the evaluator
        thresholds = thresholds[falling]
        counted = np.append(thresholds[1:] != thresholds[:-1], True)
        counted[0] = True
        tp, fp = (np.cumsum(np.concatenate(sides)[falling])[counted] for sides in _sides(frames))
        thresholds = thresholds[counted]
        tpr, fpr = tp / positives, fp / negatives
        f1 = 2 * tp / (positives + tp + fp)
        reached, best = int(np.searchsorted(tpr, TPR)), int(f1.argmax())
        return BinnedResult(
            ap=float(np.sum(np.diff(tpr, prepend=0) * (tp / (tp + fp)))),
            auroc=float(np.trapezoid(tpr, fpr)),
            fpr=float(fpr[reached]),
            fpr_threshold=float(thresholds[reached]),
            best_f1=float(f1[best]),
            best_threshold=float(thresholds[best]),
            anomaly=positives,
            known=negatives,
        )


def frame_bins(keys: FrameKeys, frame: str = "frame", *, half: bool = False) -> FrameBins | None:
    """What a frame that was taken apart adds to the curve; None if all of it is void.

    Args:
        keys: of its valid pixels, row by row.
        frame: its name, for the error, and for the order of the frames.
        half: whether its scores were float16.

    Raises:
        UserError: the scores lie too far apart for their precision.
    """
    anomaly, known = in_order(keys.anomaly), in_order(keys.known)
    every = scores_of(np.concatenate([anomaly[:1], known[:1], anomaly[-1:], known[-1:]]))
    if not every.size:
        return None
    low, high = float(every.min()), float(every.max())
    margin = max(0.01 * (high - low), 0.01)
    if half and low < 0:
        halves = [scores_of(side).astype(np.float16) for side in (keys.anomaly, keys.known)]
        with np.errstate(over="ignore", invalid="ignore"):  # told below
            found = [np.quantile(side, _SHARES) for side in halves if side.size]
    else:
        halves, found = [], [quantiles(side, half=half) for side in (anomaly, known)]
    edges = np.unique(np.concatenate([*found, [low - margin]]))
    if not np.isfinite(edges).all():
        raise UserError(
            f"The scores of {frame} lie further apart than {'float16' if half else 'float32'} can hold; "
            "scale them, for example to 0..1."
        )
    if halves:
        tp, fp = (np.histogram(side, np.append(edges, high + margin))[0] for side in halves)
    else:
        least = ordered(_least(edges))
        tp, fp = (np.diff(np.searchsorted(side, least), append=side.size) for side in (anomaly, known))
    return FrameBins(frame, edges[::-1], tp[::-1], fp[::-1])


def quantiles(keys: UInt32[np.ndarray, " n"], *, half: bool) -> Float64[np.ndarray, " q"]:
    """The 384 quantiles from 0 to 1 of scores, to the bit those of `numpy.quantile` with its method "linear".

    Args:
        keys: of the scores, rising; none give no quantile.
        half: whether the scores were float16; float32 otherwise.
    """
    if not keys.size:
        return np.empty(0)
    at = _SHARES * (keys.size - 1)
    below = at.astype(np.int64)
    low, high = scores_of(keys[below]), scores_of(keys[np.minimum(below + 1, keys.size - 1)])
    with np.errstate(over="ignore", invalid="ignore"):  # `frame_bins` tells
        apart = (high - low).astype(np.float16 if half else np.float32).astype(np.float64)
        share = at - below
        found: Float64[np.ndarray, " q"] = np.where(share < 0.5, low + apart * share, high - apart * (1 - share))
    return found


def _sides(frames: list[FrameBins]) -> tuple[list[Int64[np.ndarray, " _"]], list[Int64[np.ndarray, " _"]]]:
    """TP of all frames, and FP."""
    return [bins.tp for bins in frames], [bins.fp for bins in frames]


def _least(thresholds: Float64[np.ndarray, " k"]) -> Float32[np.ndarray, " k"]:
    """The least float32 at or above each threshold: whether a float32 score reaches either is the same question."""
    with np.errstate(over="ignore"):  # -inf lies below every score, as the threshold does
        near = thresholds.astype(np.float32)
    return np.where(near < thresholds, np.nextafter(near, np.float32(np.inf)), near)
