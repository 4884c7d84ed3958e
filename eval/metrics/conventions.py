"""Where on the curve the false positive rate is read: published evaluators do not agree.

With P anomaly pixels and a wanted true positive rate t:

    first     the first (highest) threshold with TPR >= t; the default       Fishyscapes, SMIYC, EAM, UNO
    beyond    the first threshold with TPR > t                               DenseHybrid, RbA
    nearest   the TPR nearest to t, which may lie below it; of several       CAOS, PEBAL, RPL
              thresholds with that TPR the lowest, where FPR is largest,
              but of those with TPR = 1 the highest

Comparisons with t are made on whole numbers: 0.95 * P as a float can sit on the wrong side of a count.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Final, Literal

import numpy as np

from eval.metrics.keys import scores_of
from eval.metrics.walk import Steps

Reach = Literal["first", "beyond", "nearest"]
"""How a threshold is picked for a wanted true positive rate."""

TPR: Final = 0.95
REACHES: Final[dict[Reach, str]] = {
    "first": "first threshold with TPR >= {tpr}",
    "beyond": "first threshold with TPR > {tpr}",
    "nearest": "TPR nearest to {tpr}, lowest threshold of several",
}
"""What results.json says of each."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what it does.

    Attributes:
        threshold: a pixel at or above it is called an anomaly. `nearest` may mean a lower threshold with the same
            TP, whose FP it then has.
        tp: anomaly pixels among them.
        fp: known pixels among them.
    """

    threshold: float
    tp: int
    fp: int


class OperatingPoints:
    """Finds the three operating points while the steps of a curve go by.

    Args:
        positives: P, all anomaly pixels.
        tpr: t, the wanted true positive rate, above 0 and at most 1.
    """

    def __init__(self, positives: int, tpr: float) -> None:
        self._positives, self._tpr = positives, tpr
        exact = Fraction(str(tpr)) * positives
        self._needs = {"first": ceil(exact), "beyond": min(floor(exact) + 1, positives)}
        self._found: dict[str, Steps] = {}
        self._before: Steps | None = None
        self._after: Steps | None = None

    def pass_by(self, steps: Steps) -> None:
        """Look at the next steps."""
        if "first" in self._found and self._after is None:
            self._after = steps[:1]
        for reach, need in self._needs.items():
            if reach in self._found or steps.tp[-1] < need:
                continue
            at = int(np.searchsorted(steps.tp, need))
            self._found[reach] = steps[at : at + 1]
            if reach == "first":
                if at:
                    self._before = steps[at - 1 : at]
                if at + 1 < steps.tp.size:
                    self._after = steps[at + 1 : at + 2]
        if "first" not in self._found:
            self._before = steps[-1:]

    def point(self, reach: Reach) -> OperatingPoint:
        """The operating point of a convention, once all steps have gone by."""
        first = self._found["first"]
        if reach != "nearest":
            found = self._found[reach]
            return _point(found, int(found.fp[0]))
        if self._before is not None:
            below, reached = (abs(int(step.tp[0]) / self._positives - self._tpr) for step in (self._before, first))
            if below < reached:
                return _point(self._before, int(first.above[0]))
        return _point(first, int(first.fp[0] if self._after is None else self._after.above[0]))


def _point(step: Steps, fp: int) -> OperatingPoint:
    """A step, with the FP of one of the thresholds that share its TP."""
    return OperatingPoint(float(scores_of(step.keys)[0]), int(step.tp[0]), fp)
