"""Bootstrap intervals (`bootstrap.py`) of figures that are made of sums over frames: components, and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64

from eval.metrics.bootstrap import DRAWS, Interval, drawn_frames, interval
from eval.metrics.component import TAUS, FrameComponents


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
