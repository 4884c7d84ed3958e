"""What each threshold does: the points that the page's slider walks along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from eval.metrics import PixelResult

STEPS = 240


@dataclass(frozen=True, slots=True)
class Walk:
    """Points of a curve, by rising threshold; a pixel at or above the threshold is called an anomaly.

    Attributes:
        threshold: scores.
        tpr: share of the anomaly pixels that are found.
        fpr: share of the known pixels that are called anomalies.
        precision: share of anomalies among all that are called so.
        start: the place of the operating point that the figures are read at.
        best: the place of the highest F1 of all thresholds.
    """

    threshold: Float[np.ndarray, " k"]
    tpr: Float[np.ndarray, " k"]
    fpr: Float[np.ndarray, " k"]
    precision: Float[np.ndarray, " k"]
    start: int
    best: int

    def as_json(self) -> dict[str, Any]:
        """For the page's script: more digits than it prints."""
        columns = {"threshold": self.threshold, "tpr": self.tpr, "fpr": self.fpr, "precision": self.precision}
        rounded = {name: [float(f"{value:.9g}") for value in column] for name, column in columns.items()}
        return {**rounded, "start": self.start, "best": self.best}


def walk_along(result: PixelResult, steps: int = STEPS) -> Walk:
    """At most so many points, evenly spaced along TPR + FPR; the operating point; the highest F1.

    Args:
        result: with its curve.
        steps: how many points are spaced evenly.
    """
    curve = result.curve
    even = np.searchsorted(curve.tpr + curve.fpr, np.linspace(0, 2, steps)).clip(max=curve.tpr.size - 1)
    kept = np.union1d(even, np.flatnonzero(curve.threshold == result.best_threshold))
    columns = [
        np.append(column[kept].astype(np.float64), own)
        for column, own in (
            (curve.threshold, result.point.threshold),
            (curve.tpr, result.tpr),
            (curve.fpr, result.fpr),
            (curve.precision, result.precision),
        )
    ]
    # The operating point stands for a step of the curve with its threshold.
    _, first = np.unique(columns[0][::-1], return_index=True)
    order = columns[0].size - 1 - first
    threshold, tpr, fpr, precision = (column[order] for column in columns)
    start = int(np.flatnonzero(order == columns[0].size - 1)[0])
    best = int(np.flatnonzero(threshold == result.best_threshold)[0])
    return Walk(threshold, tpr, fpr, precision, start, best)
