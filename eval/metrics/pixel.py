"""Average precision, AUROC, FPR95 and best F1 over the pooled pixels of a set, exactly.

At a threshold, TP anomaly pixels and FP known pixels lie at or above it; P and N are all pixels of each kind. The
sums go over the steps of the curve (`walk.py`):

    AP    = sum (TP - TP before) / P * TP / (TP + FP)
    AUROC = sum (TP - TP before) * (N - FP + ties / 2) / (P N),    ties = known pixels of that very score
    F1    = 2 TP / (P + TP + FP)

AP is the step sum, not the trapezoid; AUROC is the trapezoid, so a tie counts one half. The valid pixels of *all*
frames form one pool, frames without any anomaly included; void pixels are out. Conventions differ between published
evaluators, so each result names its own (`conventions.py`). Memory does not grow with the frames (`counts.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import mul

import numpy as np
from jaxtyping import Float, Float16, Float32, Float64, Int64, UInt8

from eval.metrics.conventions import REACHES, TPR, OperatingPoint, OperatingPoints, Reach
from eval.metrics.counts import KeyCounts
from eval.metrics.keys import FrameKeys, frame_keys, scores_of
from eval.metrics.walk import Steps, walk
from shards.errors import UserError

_FINE = 256
"""A thinned curve has a point at least this often along each axis."""


def convention(reach: Reach = "first", tpr: float = TPR) -> dict[str, str]:
    """How the figures of `PixelMetrics` are meant; stands beside them in results.json."""
    return {
        "pooling": "pixels of all frames",
        "ap": "step sum, ties merged",
        "auroc": "trapezoid, ties merged",
        fpr_name(tpr).lower(): REACHES[reach].format(tpr=f"{tpr:g}"),
        "void": "left out",
        "estimator": "exact",
    }


def fpr_name(tpr: float) -> str:
    """FPR95 for 0.95."""
    return f"FPR{100 * tpr:g}"


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of the precision-recall and ROC curves, by falling threshold; thinned for plots.

    The step with the highest F1 is always among them.

    Attributes:
        tpr: true positive rate = recall, rising, ends at 1.
        fpr: false positive rate, rising.
        precision: share of anomalies among the pixels at or above the threshold.
        threshold: the thresholds, falling.
    """

    tpr: Float[np.ndarray, " k"]
    fpr: Float[np.ndarray, " k"]
    precision: Float[np.ndarray, " k"]
    threshold: Float32[np.ndarray, " k"]


@dataclass(frozen=True, slots=True)
class PixelResult:
    """The figures of one score on one set; all of them fractions, 0..1.

    Attributes:
        ap: average precision.
        auroc: area under the ROC curve.
        best_f1: highest F1 of all thresholds.
        best_threshold: the highest threshold that has it; a pixel at or above it is an anomaly.
        point: where the false positive rate is read.
        wanted: the true positive rate that the point was picked for.
        anomaly: valid pixels that are anomalies.
        known: valid pixels that are not.
        curve: for plots.
    """

    ap: float
    auroc: float
    best_f1: float
    best_threshold: float
    point: OperatingPoint
    wanted: float
    anomaly: int
    known: int
    curve: Curve

    @property
    def fpr(self) -> float:
        """False positive rate at the operating point."""
        return self.point.fp / self.known

    @property
    def tpr(self) -> float:
        """True positive rate at the operating point."""
        return self.point.tp / self.anomaly

    @property
    def precision(self) -> float:
        """Precision at the operating point."""
        return self.point.tp / (self.point.tp + self.point.fp)

    @property
    def constant(self) -> bool:
        """Whether all valid pixels have one and the same score."""
        # One step that every pixel takes, and every known pixel ties with the anomalies.
        return self.curve.fpr.tolist() == [1.0] and self.auroc == 0.5

    @property
    def metrics(self) -> Mapping[str, float]:
        """The published figures under their published names."""
        return {"AP": self.ap, "AUROC": self.auroc, fpr_name(self.wanted): self.fpr, "best_F1": self.best_f1}


class PixelMetrics:
    """Collects frames with `add`, judges the pool with `result`; pools collected elsewhere join with `merge`."""

    def __init__(self) -> None:
        self.known, self.anomaly = KeyCounts(), KeyCounts()

    def add(
        self,
        score: Float16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"],
        label: UInt8[np.ndarray, "rows columns"],
        frame: str = "frame",
    ) -> None:
        """Pool the valid pixels of a frame.

        Args:
            score: (H, W), finite, larger = more anomalous. float16 is judged as it is, float64 rounded to float32.
            label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
            frame: its name, for the error.

        Raises:
            UserError: the sizes differ; the score holds NaN or infinity; the label holds another value. Nothing is
                pooled then.
        """
        self.add_keys(frame_keys(score, label, frame))

    def add_keys(self, keys: FrameKeys) -> None:
        """Pool a frame that was taken apart before."""
        self.known.add(keys.known)
        self.anomaly.add(keys.anomaly)

    def merge(self, other: PixelMetrics) -> None:
        """Add all frames that another one collected; in whatever order, the figures are the same."""
        self.known.merge(other.known)
        self.anomaly.merge(other.anomaly)

    def state(self) -> dict[str, np.ndarray]:
        """The pool as arrays to be saved."""
        return {
            f"{side}.{name}": array
            for side, counted in (("known", self.known), ("anomaly", self.anomaly))
            for name, array in counted.state().items()
        }

    @classmethod
    def of(cls, state: Mapping[str, np.ndarray]) -> PixelMetrics:
        """The way back from `state`; what else the mapping holds is passed over.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays do not belong together.
        """
        self = cls()
        self.known, self.anomaly = (
            KeyCounts.of({name: state[f"{side}.{name}"] for name in KeyCounts().state()})
            for side in ("known", "anomaly")
        )
        return self

    def steps(self) -> Steps:
        """Every step of the curve; 28 bytes for each distinct score of the anomaly pixels.

        Raises:
            UserError: the pool holds no anomaly pixel or no known pixel.
        """
        self._check()
        return Steps.joined(list(walk(self.known, self.anomaly)))

    def result(self, *, reach: Reach = "first", tpr: float = TPR) -> PixelResult:
        """Judge the pool.

        Args:
            reach: how the operating point is picked.
            tpr: the true positive rate that it is picked for, above 0 and at most 1.

        Raises:
            UserError: the pool holds no anomaly pixel or no known pixel.
        """
        positives, negatives = self._check()
        return judge(walk(self.known, self.anomaly), positives, negatives, reach=reach, tpr=tpr)

    def _check(self) -> tuple[int, int]:
        positives, negatives = self.anomaly.total, self.known.total
        if not positives:
            raise UserError("The set holds no anomaly pixel: AP, AUROC and FPR95 do not exist for it.")
        if not negatives:
            raise UserError("The set holds no known (inlier) pixel: AUROC and FPR95 do not exist for it.")
        return positives, negatives


def judge(
    parts: Iterable[Steps], positives: int, negatives: int, *, reach: Reach = "first", tpr: float = TPR
) -> PixelResult:
    """Judge a curve.

    Args:
        parts: its steps, by falling threshold; at least one.
        positives: anomaly pixels, P > 0.
        negatives: known pixels, N > 0.
        reach: how the operating point is picked.
        tpr: the true positive rate that it is picked for, above 0 and at most 1.
    """
    points, kept = OperatingPoints(positives, tpr), _Thinned(positives, negatives)
    ap: list[float] = []
    won = tp_before = 0
    best_f1, best = 0.0, None
    for steps in parts:
        gained = np.diff(steps.tp, prepend=tp_before)
        tp_before = int(steps.tp[-1])
        ap.append(float(np.sum(gained / positives * (steps.tp / (steps.tp + steps.fp)))))
        # N - FP + ties / 2, doubled to stay whole.
        won += _products(gained, 2 * negatives - steps.fp - steps.above)
        f1 = 2 * steps.tp / (positives + steps.tp + steps.fp)
        at = int(f1.argmax())
        if f1[at] > best_f1:
            best_f1, best = float(f1[at]), steps[at : at + 1]
        points.pass_by(steps)
        kept.pass_by(steps)
    assert best is not None  # the last step has TP = P
    return PixelResult(
        ap=math.fsum(ap),
        auroc=won / (2 * positives * negatives),
        best_f1=best_f1,
        best_threshold=float(scores_of(best.keys)[0]),
        point=points.point(reach),
        wanted=tpr,
        anomaly=positives,
        known=negatives,
        curve=kept.curve(best),
    )


def _products(one: Int64[np.ndarray, " k"], other: Int64[np.ndarray, " k"]) -> int:
    """The sum of the products of whole numbers >= 0, exact beyond the 9.2e18 that int64 holds."""
    if int(one.sum()) * int(other.max()) > np.iinfo(np.int64).max:
        return sum(map(mul, one.tolist(), other.tolist()))
    return int(np.sum(one * other))


class _Thinned:
    """Keeps so many steps that no plot shows the difference, the first and the last always among them."""

    def __init__(self, positives: int, negatives: int) -> None:
        self._positives, self._negatives = positives, negatives
        self._parts: list[Steps] = []
        self._last: Steps | None = None
        self._cell = (-1, -1)

    def pass_by(self, steps: Steps) -> None:
        """Look at the next steps."""
        across, up = steps.fp * _FINE // self._negatives, steps.tp * _FINE // self._positives
        moved = (np.diff(across, prepend=self._cell[0]) > 0) | (np.diff(up, prepend=self._cell[1]) > 0)
        self._cell = int(across[-1]), int(up[-1])
        self._parts.append(steps[np.flatnonzero(moved)])
        self._last = None if moved[-1] else steps[-1:]

    def curve(self, besides: Steps) -> Curve:
        """The steps that were kept and another one, as rates."""
        steps = Steps.joined([*self._parts, *([] if self._last is None else [self._last]), besides])
        # By falling key, each once.
        steps = steps[np.unique(steps.keys, return_index=True)[1][::-1]]
        return Curve(
            tpr=steps.tp / self._positives,
            fpr=steps.fp / self._negatives,
            precision=steps.tp / (steps.tp + steps.fp),
            threshold=scores_of(steps.keys),
        )
