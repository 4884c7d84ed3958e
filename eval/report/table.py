"""Tables for the terminal, made from what results.json holds: one path for a fresh run and for one from disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.report.columns import columns_of, fpr_of, head, lower_is_better, parts_of, percent
from eval.report.grid import Cell, Grid, Part
from eval.report.terminal import Shown


def tables(results: Mapping[str, Any]) -> list[Shown]:
    """Every table that the content of a results.json gives: anomaly scores, then segmentation."""
    made = []
    if any("scores" in entry for entry in results["sets"].values()):
        made.append(_scores_table(results))
    if any("segmentation" in entry for entry in results["sets"].values()):
        made.append(segmentation_table(results))
    return made


def further_lines(results: Mapping[str, Any]) -> list[str]:
    """What the tables have no columns for, a sentence each: the towns of open-mIoU, and notes on the sets."""
    lines = []
    for name, entry in results["sets"].items():
        if "open_mIoU" in entry.get("segmentation", {}).get("metrics", {}):
            towns = ", ".join(
                f"{found['group']} {percent(found['open_mIoU'])}" for found in entry["segmentation"]["open_groups"]
            )
            lines.append(f"{name}: open_mIoU {percent(entry['segmentation']['metrics']['open_mIoU'])} ({towns})")
        lines += [f"{name}: {note}" for note in entry["notes"]]
    return lines


def best(rows: Mapping[str, Mapping[str, float]], metric: str) -> float:
    """The best value of a metric among the scores of one set."""
    values = [row[metric] for row in rows.values() if metric in row]
    return min(values) if lower_is_better(metric) else max(values)


def _scores_table(results: Mapping[str, Any]) -> Shown:
    """A row a set and score; the exact figures, then what official evaluators add."""
    sets = {name: entry for name, entry in results["sets"].items() if "scores" in entry}
    judged = [found for entry in sets.values() for found in entry["scores"].values()]
    pooling = sorted({str(found.get("convention", {}).get("pooling", "pixels of all frames")) for found in judged})
    how = "pixels pooled per set" if pooling == ["pixels of all frames"] else " or ".join(pooling)
    exact = ("AP", "AUROC", fpr_of(judged[0]["metrics"]))
    metrics = columns_of([dict.fromkeys(exact, 0.0), *(found["metrics"] for found in judged)])
    metrics = [metric for metric in metrics if metric != "best_F1"]
    rows: list[tuple[Cell, ...]] = []
    rules = set()
    for name, entry in sets.items():
        rules.add(len(rows))
        of_score = {score: found["metrics"] for score, found in entry["scores"].items()}
        for place, (score, found) in enumerate(of_score.items()):
            figures = (_cell(found, metric, of_score) for metric in metrics)
            frames = Cell("" if place else str(entry["frames"]))
            rows.append((Cell(name), Cell(score), frames, *figures))
    first, *others = parts_of(metrics)
    return Shown(
        Grid(
            f"Anomaly segmentation in %, {how}",
            ("set", "score", "frames", *map(head, metrics)),
            names=2,
            rows=tuple(rows),
            rules=frozenset(rules - {0}),
            repeating=1,
            parts=(Part(first.columns + 1, first.name), *others),
        )
    )


def _cell(found: Mapping[str, float], metric: str, of_score: Mapping[str, Mapping[str, float]]) -> Cell:
    if metric not in found:
        return Cell("-")
    return Cell(percent(found[metric]), strong=len(of_score) > 1 and found[metric] == best(of_score, metric))


def segmentation_table(results: Mapping[str, Any]) -> Shown:
    """MIoU and mAcc of the sets that judge the semantic map."""
    rows = []
    for name, entry in results["sets"].items():
        if "segmentation" not in entry:
            continue
        metrics = entry["segmentation"]["metrics"]
        present = sum(value is not None for value in entry["segmentation"]["iou_per_class"].values())
        cells = (str(entry["frames"]), percent(metrics["mIoU"]), percent(metrics["mAcc"]), str(present))
        rows.append((Cell(name), *map(Cell, cells)))
    return Shown(
        Grid(
            "Semantic segmentation in %",
            ("set", "frames", head("mIoU"), head("mAcc"), "classes"),
            names=1,
            rows=tuple(rows),
        )
    )
