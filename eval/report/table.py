"""Tables for the terminal, made from what results.json holds: one path for a fresh run and for one from disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table


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


def fpr_of(metrics: Mapping[str, float]) -> str:
    """The name of the exact false positive rate among figures: FPR95 by default."""
    return next((metric for metric in metrics if metric.startswith("FPR") and "_" not in metric), "FPR95")


def further_lines(results: Mapping[str, Any]) -> list[str]:
    """The figures that the table of scores has no columns for, a sentence a set and score; notes of sets after them.

    SegmentMeIfYouCan's own curve and components are among them, beside the exact figures of the table.
    """
    lines = []
    for name, entry in results["sets"].items():
        if "open_mIoU" in entry.get("segmentation", {}).get("metrics", {}):
            towns = ", ".join(
                f"{found['group']} {percent(found['open_mIoU'])}" for found in entry["segmentation"]["open_groups"]
            )
            lines.append(f"{name}: open_mIoU {percent(entry['segmentation']['metrics']['open_mIoU'])} ({towns})")
        for score, found in entry.get("scores", {}).items():
            shown = ("AP", "AUROC", fpr_of(found["metrics"]), "best_F1")
            figures = [
                f"{metric} {percent(value)}" for metric, value in found["metrics"].items() if metric not in shown
            ]
            if figures:
                lines.append(f"{name}: {score}: {', '.join(figures)}")
        lines += [f"{name}: {note}" for note in entry["notes"]]
    return lines


def best(rows: Mapping[str, Mapping[str, float]], metric: str) -> float:
    """The best value of a metric among the scores of one set."""
    values = [row[metric] for row in rows.values()]
    return min(values) if lower_is_better(metric) else max(values)


def _scores_table(results: Mapping[str, Any]) -> Table:
    judged = [found for entry in results["sets"].values() for found in entry.get("scores", {}).values()]
    pooling = sorted({str(found.get("convention", {}).get("pooling", "pixels of all frames")) for found in judged})
    how = "pixels pooled per set" if pooling == ["pixels of all frames"] else " or ".join(pooling)
    columns = ("AP", "AUROC", fpr_of(judged[0]["metrics"]))
    table = Table(title=f"Anomaly segmentation in %, {how}", title_justify="left")
    table.add_column("set", overflow="fold")
    table.add_column("score", no_wrap=True)
    for metric in columns:
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
                for metric in columns
            ]
            frames = f"[dim]{entry['frames']} frames[/]"
            head = escape(name) if place == 0 else frames if place == 1 else ""
            if len(rows) == 1:
                head += f"\n{frames}"
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
