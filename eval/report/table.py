"""Tables for the terminal, made from what results.json holds: one path for a fresh run and for one from disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

METRICS = ("AP", "AUROC", "FPR95")


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Every table that the content of a results.json gives: anomaly scores, then segmentation."""
    made = []
    if any("scores" in entry for entry in results["sets"].values()):
        made.append(_scores_table(results))
    if any("segmentation" in entry for entry in results["sets"].values()):
        made.append(segmentation_table(results))
    return made


def percent(value: float) -> str:
    """A fraction as the field prints it: percent with two decimals, no sign."""
    return f"{100 * value:.2f}"


def lower_is_better(metric: str) -> bool:
    """Whether a figure is an error: false positive rates, at whatever true positive rate and however estimated."""
    return metric.startswith("FPR")


def best(rows: Mapping[str, Mapping[str, float]], metric: str) -> float:
    """The best value of a metric among the scores of one set."""
    values = [row[metric] for row in rows.values()]
    return min(values) if lower_is_better(metric) else max(values)


def _scores_table(results: Mapping[str, Any]) -> Table:
    table = Table(title="Anomaly segmentation in %, pixels pooled per set", title_justify="left")
    table.add_column("set", overflow="fold")
    table.add_column("score", no_wrap=True)
    for metric in METRICS:
        table.add_column(f"{metric} {'↓' if lower_is_better(metric) else '↑'}", justify="right", no_wrap=True)
    for name, entry in results["sets"].items():
        if "scores" not in entry:
            continue
        rows = {score: found["metrics"] for score, found in entry["scores"].items()}
        for place, (score, metrics) in enumerate(rows.items()):
            cells = [
                f"[bold green]{percent(metrics[metric])}[/]"
                if metrics[metric] == best(rows, metric) and len(rows) > 1
                else percent(metrics[metric])
                for metric in METRICS
            ]
            head = escape(name) if place == 0 else f"[dim]{entry['frames']} frames[/]" if place == 1 else ""
            table.add_row(head, escape(score), *cells, end_section=place == len(rows) - 1)
    return table


def segmentation_table(results: Mapping[str, Any]) -> Table:
    """MIoU and mAcc of the sets that judge the semantic map."""
    table = Table(title="Semantic segmentation in %", title_justify="left")
    table.add_column("set", overflow="fold")
    for column in ("frames", "mIoU ↑", "mAcc ↑", "classes"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, entry in results["sets"].items():
        if "segmentation" not in entry:
            continue
        metrics = entry["segmentation"]["metrics"]
        present = sum(value is not None for value in entry["segmentation"]["iou_per_class"].values())
        cells = (str(entry["frames"]), percent(metrics["mIoU"]), percent(metrics["mAcc"]), str(present))
        table.add_row(escape(name), *cells)
    return table
