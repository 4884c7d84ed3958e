"""Bootstrap intervals (`bootstrap.py`) of figures that are made of sums over frames: components, classes, and the
official curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int64

from eval.metrics.binned import FrameBins
from eval.metrics.bootstrap import DRAWS, Interval, drawn_frames, interval
from eval.metrics.component import TAUS, FrameComponents
from eval.metrics.conventions import TPR
from shards.compiled import compiled


def component_intervals(
    frames: Sequence[FrameComponents], *, seed: int = 0, draws: int = DRAWS
) -> Mapping[str, Interval]:
    """Intervals of sIoU, PPV and F1_mean; a figure that no draw has is missing.

    Args:
        frames: of a set, at least one.
        seed: of the draws.
        draws: how many.
    """
    weights = drawn_frames(len(frames), seed, draws)

    def total(values: Sequence[float | int]) -> Float[np.ndarray, " draws"]:
        return np.asarray(weights @ np.array(values, np.float64))

    labelled, predicted = total([len(found.siou) for found in frames]), total([len(found.ppv) for found in frames])
    f1 = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for tau in TAUS:
            hit = total([sum(value >= tau for value in found.siou) for found in frames])
            wrong = total([sum(value < tau for value in found.ppv) for found in frames])
            f1.append(2 * hit / (hit + labelled + wrong))  # 2 TP + FN + FP with FN = labelled - TP
        figures = {
            "sIoU": total([sum(found.siou) for found in frames]) / labelled,
            "PPV": total([sum(found.ppv) for found in frames]) / predicted,
            "F1_mean": np.mean(f1, axis=0),
        }
    return {name: interval(values) for name, values in figures.items() if np.isfinite(values).any()}


def class_intervals(
    confusions: Sequence[Int64[np.ndarray, "c c"]], *, seed: int = 0, draws: int = DRAWS
) -> Mapping[str, Interval]:
    """Intervals of mIoU and mAcc; in each draw over the classes that its labels hold.

    Args:
        confusions: of each frame, rows: label, columns: prediction; at least one with a valid pixel.
        seed: of the draws.
        draws: how many.
    """
    weights = drawn_frames(len(confusions), seed, draws)
    drawn = np.tensordot(weights, np.stack(confusions), axes=1)
    hits, labelled = np.diagonal(drawn, axis1=1, axis2=2), drawn.sum(2)
    with np.errstate(invalid="ignore", divide="ignore"):
        present = np.where(labelled > 0, 1.0, np.nan)
        iou, accuracy = present * hits / (labelled + drawn.sum(1) - hits), present * hits / labelled
    some = (labelled > 0).any(1)
    return {"mIoU": interval(np.nanmean(iou[some], 1)), "mAcc": interval(np.nanmean(accuracy[some], 1))}


def binned_intervals(
    frames: Sequence[FrameBins | None], *, seed: int = 0, draws: int = DRAWS
) -> Mapping[str, Interval]:
    """Intervals of AP_binned and FPR95_binned.

    A draw is judged as `BinnedMetrics` would judge the frames that were drawn, each as often as it was. Only where
    frames share the highest score, the curve starts with all copies of one of them instead of with one copy.

    Args:
        frames: of a set, None for one that is void everywhere; at least one with anomaly and one with known pixels.
        seed: of the draws.
        draws: how many.
    """
    bins = [(number, found) for number, found in enumerate(frames) if found is not None]
    thresholds = np.concatenate([found.thresholds for _, found in bins])
    falling = np.argsort(thresholds)[::-1]
    thresholds = thresholds[falling]
    of_frame = np.concatenate([np.full(found.thresholds.size, number) for number, found in bins])[falling]
    tp, fp = (np.concatenate([getattr(found, side) for _, found in bins])[falling] for side in ("tp", "fp"))
    last = np.append(thresholds[1:] != thresholds[:-1], True)
    figures = np.empty((draws, 2))
    judge_binned(drawn_frames(len(frames), seed, draws), of_frame, tp, fp, last, figures)
    return {name: interval(values) for name, values in zip(("AP_binned", "FPR95_binned"), figures.T, strict=True)}


@compiled
@no_type_check
def judge_binned(weights, of_frame, tp, fp, last, found):
    """AP_binned and FPR95_binned of each draw, as in `binned.py`.

    Args:
        weights: (draws, frames) int64, how often each frame is in each draw.
        of_frame: (K,) int64, the frame of a bin, from the highest threshold down.
        tp: (K,) int64, its anomaly pixels.
        fp: (K,) int64, its known pixels.
        last: (K,) bool, whether the next bin has another threshold.
        found: (draws, 2) float64, filled; NaN for a draw without anomaly or without known pixels.
    """
    for draw in range(weights.shape[0]):
        positives = negatives = 0
        for i in range(tp.size):
            times = weights[draw, of_frame[i]]
            positives += times * tp[i]
            negatives += times * fp[i]
        found[draw] = np.nan
        if positives == 0 or negatives == 0:
            continue
        hits = alarms = counted = 0
        area, fpr, begun = 0.0, np.nan, False
        for i in range(tp.size):
            times = weights[draw, of_frame[i]]
            hits += times * tp[i]
            alarms += times * fp[i]
            first = times > 0 and not begun
            begun |= first
            if not (first or last[i]) or hits + alarms == 0:
                continue
            area += (hits - counted) * (hits / (hits + alarms))
            counted = hits
            if np.isnan(fpr) and hits / positives >= TPR:
                fpr = alarms / negatives
        found[draw, 0] = area / positives
        found[draw, 1] = fpr
