"""Average precision, AUROC and FPR95 over the pooled pixels of a set, exactly.

Conventions (they differ between published evaluators, so each result names its own):

* the valid pixels of *all* frames form one pool, frames without any anomaly included; void pixels are out;
* equal scores are one step of the curve, never an arbitrary order;
* AP = sum_k (R_k - R_{k-1}) P_k over the steps, not the trapezoid;
* AUROC is the trapezoid under (FPR, TPR), so a tie counts one half;
* FPR95 is the FPR at the first (highest) threshold with TPR >= 0.95.

Arithmetic: a float32 is turned into a uint32 of equal order, positives and negatives are kept apart and sorted
once. Recall changes only at scores of positives, so the number of negatives above each distinct positive score is
all that the three figures need; counts are int64. Memory: four bytes a valid pixel, twice that for one score at
a time in `result`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8, UInt32

from shards.errors import UserError
from shards.labels import ANOMALY, IGNORE, KNOWN

CONVENTION: Mapping[str, str] = {
    "pooling": "pixels of all frames",
    "ap": "step sum, ties merged",
    "auroc": "trapezoid, ties merged",
    "fpr95": "first threshold with TPR >= 0.95",
    "void": "left out",
    "estimator": "exact",
}
"""How the figures of `PixelMetrics` are meant; stands beside them in results.json."""

_SIGN = np.uint32(0x80000000)
_CURVE_POINTS = 240


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of the precision-recall and ROC curves, by falling threshold; thinned for plots.

    Attributes:
        tpr: true positive rate = recall, rising, ends at 1.
        fpr: false positive rate, rising.
        precision: share of anomalies among the pixels at or above the threshold.
    """

    tpr: Float[np.ndarray, " k"]
    fpr: Float[np.ndarray, " k"]
    precision: Float[np.ndarray, " k"]


@dataclass(frozen=True, slots=True)
class PixelResult:
    """The figures of one score on one set; all of them fractions, 0..1.

    Attributes:
        ap: average precision.
        auroc: area under the ROC curve.
        fpr95: false positive rate at the operating point.
        tpr95: true positive rate at the operating point, >= 0.95.
        precision95: precision at the operating point.
        threshold95: the operating point's threshold; a pixel at or above it is an anomaly.
        anomaly: valid pixels that are anomalies.
        known: valid pixels that are not.
        curve: for plots.
    """

    ap: float
    auroc: float
    fpr95: float
    tpr95: float
    precision95: float
    threshold95: float
    anomaly: int
    known: int
    curve: Curve

    @property
    def metrics(self) -> dict[str, float]:
        """The published figures under their published names."""
        return {"AP": self.ap, "AUROC": self.auroc, "FPR95": self.fpr95}


class PixelMetrics:
    """Collects frames with `add`, judges the pool with `result`."""

    def __init__(self) -> None:
        self._anomaly: list[UInt32[np.ndarray, " p"]] = []
        self._known: list[UInt32[np.ndarray, " n"]] = []

    def add(self, score: Float32[np.ndarray, "h w"], label: UInt8[np.ndarray, "h w"], frame: str = "frame") -> None:
        """Pool the valid pixels of a frame.

        Args:
            score: (H, W) float32, finite, larger = more anomalous.
            label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
            frame: its name, for the error.

        Raises:
            UserError: the score holds NaN or infinity; the label holds another value.
        """
        bad = score.size - int(np.isfinite(score).sum())
        if bad:
            raise UserError(
                f"The score map of {frame} holds {bad} values that are NaN or infinite; they must be finite."
            )
        anomaly, known = label == ANOMALY, label == KNOWN
        others = label.size - int(np.count_nonzero(anomaly) + np.count_nonzero(known))
        if others != int(np.count_nonzero(label == IGNORE)):
            found = sorted(set(np.unique(label).tolist()) - {KNOWN, ANOMALY, IGNORE})
            raise UserError(f"The label of {frame} holds the values {found}; expected 0, 1 and 255 only.")
        self._anomaly.append(_ordered(score[anomaly]))
        self._known.append(_ordered(score[known]))

    def result(self) -> PixelResult:
        """Judge the pool.

        Raises:
            UserError: the pool holds no anomaly pixel or no known pixel.
        """
        positives, negatives = _pool(self._anomaly), _pool(self._known)
        if not positives.size:
            raise UserError("The set holds no anomaly pixel: AP, AUROC and FPR95 do not exist for it.")
        if not negatives.size:
            raise UserError("The set holds no known (inlier) pixel: AUROC and FPR95 do not exist for it.")
        # By falling score: one entry a distinct positive score.
        keys, counts = np.unique(positives, return_counts=True)
        keys, counts = keys[::-1], counts[::-1].astype(np.int64)
        below = np.searchsorted(negatives, keys, side="left").astype(np.int64)
        not_above = np.searchsorted(negatives, keys, side="right").astype(np.int64)

        true_positives = np.cumsum(counts)
        false_positives = negatives.size - below
        precision = true_positives / (true_positives + false_positives)
        tpr, fpr = true_positives / positives.size, false_positives / negatives.size
        # First step with TPR >= 0.95, on integers: 0.95 * P as a float could sit on the wrong side of a count.
        at = int(np.searchsorted(100 * true_positives, 95 * positives.size, side="left"))
        # Pairs in which the positive scores higher, ties one half; doubled to stay whole.
        won = sum(int(part.sum()) for part in np.array_split(counts * (below + not_above), 64))
        return PixelResult(
            ap=float(np.sum(counts / positives.size * precision)),
            auroc=won / (2 * positives.size * negatives.size),
            fpr95=float(fpr[at]),
            tpr95=float(tpr[at]),
            precision95=float(precision[at]),
            threshold95=float(_scores(keys[at : at + 1])[0]),
            anomaly=positives.size,
            known=negatives.size,
            curve=_thin(tpr, fpr, precision),
        )


def _ordered(score: Float32[np.ndarray, " n"]) -> UInt32[np.ndarray, " n"]:
    """Unsigned integers in the order of the scores; -0.0 joins 0.0."""
    bits = (score + np.float32(0)).view(np.uint32)
    # Negative floats grow in magnitude with their bits: flip all of them; of the others only the sign.
    bits ^= (bits.view(np.int32) >> 31).view(np.uint32) | _SIGN
    return bits


def _scores(keys: UInt32[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    """The way back from `_ordered`."""
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).astype(np.uint32).view(np.float32)


def _pool(parts: list[UInt32[np.ndarray, " _"]]) -> UInt32[np.ndarray, " n"]:
    pool = np.concatenate(parts) if parts else np.empty(0, np.uint32)
    pool.sort()
    return pool


def _thin(tpr: Float[np.ndarray, " n"], fpr: Float[np.ndarray, " n"], precision: Float[np.ndarray, " n"]) -> Curve:
    """At most a few hundred points, evenly spread along both axes, the ends always among them."""
    even = np.linspace(0, 1, _CURVE_POINTS)
    steps: Int64[np.ndarray, " k"] = np.unique(
        np.concatenate([np.searchsorted(tpr, even), np.searchsorted(fpr, even), [0, len(tpr) - 1]])
    )
    steps = steps[steps < len(tpr)]
    return Curve(tpr[steps], fpr[steps], precision[steps])
