"""Curves as inline SVG: precision-recall and ROC of every score on one set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from jaxtyping import Float

from eval.metrics import PixelResult

WIDTH, HEIGHT = 460, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 34, 46
BOX = (_LEFT, _TOP, WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM)
"""Left, top, width and height of the plot within the SVG."""

_TOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_SETTLED = 0.03  # recall below which precision hangs on a handful of pixels
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Line:
    """One score's curve, in the coordinates of the SVG."""

    name: str
    number: int
    """Which of the page's colours."""
    points: str
    marker: tuple[float, float]
    """The operating point at TPR 95."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A grid line and its number."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    base: tuple[tuple[float, float], tuple[float, float]]
    """Ends of the dashed line that guessing would reach."""
    top: float = 1.0
    """Where the y axis ends."""
    box: tuple[float, float, float, float] = BOX
    width: int = WIDTH
    height: int = HEIGHT


def precision_recall(results: Mapping[str, PixelResult]) -> Chart:
    """Precision over recall; guessing reaches the share of anomaly pixels.

    Where anomalies are so rare that every curve lies low, the precision axis ends lower than 1.
    """
    first = next(iter(results.values()))
    share = first.anomaly / (first.anomaly + first.known)
    top = _top(results)
    lines = []
    for number, (name, found) in enumerate(results.items()):
        # A step holds its precision back to the recall before it, as the step sum of AP counts it.
        recall = np.stack([np.concatenate([[0.0], found.curve.tpr[:-1]]), found.curve.tpr], 1).ravel()
        points = _polyline(recall, np.repeat(found.curve.precision, 2), top)
        lines.append(Line(name, number, points, _place(found.tpr, found.precision, top)))
    guess = (_place(0.0, share, top), _place(1.0, share, top))
    return Chart("Precision-recall", "recall", "precision", tuple(lines), *_ticks(top), guess, top)


def roc(results: Mapping[str, PixelResult]) -> Chart:
    """True over false positive rate; guessing is the diagonal."""
    lines = []
    for number, (name, found) in enumerate(results.items()):
        fpr = np.concatenate([[0.0], found.curve.fpr, [1.0]])
        tpr = np.concatenate([[0.0], found.curve.tpr, [1.0]])
        lines.append(Line(name, number, _polyline(fpr, tpr), _place(found.fpr, found.tpr)))
    guess = (_place(0.0, 0.0), _place(1.0, 1.0))
    return Chart("ROC", "false positive rate", "true positive rate", tuple(lines), *_ticks(), guess)


def _top(results: Mapping[str, PixelResult]) -> float:
    """End of the precision axis: the smallest round number above the curves, their first noisy pixels left out."""
    highest = max(
        float(found.curve.precision[found.curve.tpr >= min(_SETTLED, found.curve.tpr[-1])].max())
        for found in results.values()
    )
    return next((top for top in _TOPS if top >= highest), 1.0)


def _place(x: float, y: float, top: float = 1.0) -> tuple[float, float]:
    across, down = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    return round(_LEFT + across * x, 1), round(_TOP + down * (1 - min(y / top, 1.0)), 1)


def _polyline(xs: Float[np.ndarray, " n"], ys: Float[np.ndarray, " n"], top: float = 1.0) -> str:
    places = [_place(float(x), float(y), top) for x, y in zip(xs, ys, strict=True)]
    # Neighbours on one spot add nothing but bytes.
    return " ".join(f"{x},{y}" for (x, y), _ in groupby(places))


def _ticks(top: float = 1.0) -> tuple[tuple[Tick, ...], tuple[Tick, ...]]:
    x_ticks = tuple(Tick(*_place(value, 0.0), f"{value:.1f}") for value in _TICKS)
    y_ticks = tuple(
        Tick(*_place(0.0, value), f"{value * top:.3g}" if top < 1 else f"{value:.1f}") for value in _TICKS
    )
    return x_ticks, y_ticks
