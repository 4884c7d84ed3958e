"""Figures as columns of tables: their order, which of them stay together, how they are headed and printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

from eval.report.grid import Part

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "exact figures": ("AP", "AUROC", "FPR95", "best_F1"),
    "official curve": ("AP_binned", "FPR95_binned"),
    "official components": ("sIoU", "PPV", "F1_mean"),
    "known classes": ("mIoU", "mAcc", "open_mIoU"),
}
"""The columns, as far as results have them; other figures come after these."""
_FURTHER: Final = "further figures"


def percent(value: float) -> str:
    """A fraction as the field prints it: percent with two decimals, no sign."""
    return f"{100 * value:.2f}"


def lower_is_better(metric: str) -> bool:
    """Whether a figure is an error: false positive rates, at whatever true positive rate and however estimated."""
    return metric.startswith("FPR")


def head(metric: str) -> str:
    """The head of a figure's column: its name, and where better figures lie."""
    return f"{metric} {'↓' if lower_is_better(metric) else '↑'}"


def fpr_of(metrics: Mapping[str, float]) -> str:
    """The name of the exact false positive rate among figures: FPR95 by default."""
    return next((metric for metric in metrics if _is_exact_fpr(metric)), "FPR95")


def columns_of(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """The figures that some row has, in the order of columns."""
    found = dict.fromkeys(metric for row in rows for metric in row)
    order = {metric: place for place, metric in enumerate(metric for of_part in PARTS.values() for metric in of_part)}
    return sorted(found, key=lambda metric: order.get("FPR95" if _is_exact_fpr(metric) else metric, len(order)))


def parts_of(metrics: Sequence[str]) -> tuple[Part, ...]:
    """Which of the columns stay together."""
    return tuple(Part(len(list(columns)), name) for name, columns in groupby(metrics, _part_of))


def _part_of(metric: str) -> str:
    wanted = "FPR95" if _is_exact_fpr(metric) else metric
    return next((name for name, metrics in PARTS.items() if wanted in metrics), _FURTHER)


def _is_exact_fpr(metric: str) -> bool:
    return metric.startswith("FPR") and "_" not in metric
