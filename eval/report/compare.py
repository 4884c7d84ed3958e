"""Several results.json side by side: what a training run, or another score, changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from eval.report.table import METRICS, lower_is_better, percent
from eval.run import RESULTS, SCHEMA
from shards.errors import UserError

Metrics = Mapping[str, float]

_SEGMENTATION_METRICS = ("mIoU", "mAcc")
_FIRST_RUN, _LATER_RUN = 60, 20
"""Columns of the terminal that the names and the first run take, and that each later run takes."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One set and score; the metrics of each run, None where a run lacks them."""

    name: str
    score: str
    of_run: tuple[Metrics | None, ...]


def load_results(path: Path) -> dict[str, Any]:
    """Read the results.json of an evaluation: the file, or the folder that holds it.

    Raises:
        UserError: missing, no JSON, or not of a schema that we know.
    """
    file = path / RESULTS if path.is_dir() else path
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"Cannot read {file}: {error.strerror}. Give the folder that `anomsynth eval --out` wrote."
        ) from error
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}.") from error
    if not isinstance(results, dict) or results.get("schema") != SCHEMA or "sets" not in results:
        raise UserError(f"{file} holds no evaluation results of schema {SCHEMA}.")
    return results


def labels_of(paths: Sequence[Path]) -> list[str]:
    """A short name for each run: its folder's name, with as many parents as it takes to tell them apart."""
    folders = [path.resolve() if path.is_dir() else path.resolve().parent for path in paths]
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [f"{folder.name} ({number})" for number, folder in enumerate(folders, 1)]


def comparison(paths: Sequence[Path], scores: Sequence[str] = (), width: int = 100) -> list[Table]:
    """Tables with a column a run and, for the runs after the first, their difference from the first.

    Anomaly scores and semantic segmentation have tables of their own. A set or score that a run lacks is shown as
    such and never compared with something else; the mean over sets takes the sets that every run has.

    Args:
        paths: folders or files of evaluations, the baseline first.
        scores: show only these; all without. Segmentation figures are shown always.
        width: of the terminal; runs that do not fit get further tables beside the first run.

    Raises:
        UserError: no run, one that cannot be read, or a score that no run has.
    """
    if not paths:
        raise UserError("No runs: give the folders that `anomsynth eval --out` wrote, the baseline first.")
    runs = [load_results(path) for path in paths]
    labels = labels_of(paths)
    anomaly = _rows(runs, _anomaly_metrics)
    known = list(dict.fromkeys(row.score for row in anomaly))
    unknown = [score for score in scores if score not in known]
    if unknown:
        raise UserError(f"No run has the score {unknown[0]!r}. The runs have: {', '.join(known) or 'none'}.")
    anomaly = [row for row in anomaly if not scores or row.score in scores]
    fitting = max(1, (width - _FIRST_RUN) // _LATER_RUN)
    tables = []
    for first in range(1, max(len(runs), 2), fitting):
        shown = (0, *range(first, min(first + fitting, len(runs))))
        tables += [
            _table(title, metrics, [labels[run] for run in shown], _of_runs(rows, shown))
            for title, metrics, rows in (
                ("Anomaly segmentation in %, pixels pooled per set", METRICS, anomaly + _means(anomaly)),
                ("Semantic segmentation in %", _SEGMENTATION_METRICS, _rows(runs, _segmentation_metrics)),
            )
            if rows
        ]
    return tables


def _rows(
    runs: Sequence[Mapping[str, Any]], metrics_of: Callable[[Mapping[str, Any]], Mapping[str, Metrics]]
) -> list[_Row]:
    """The sets and, in each, the scores of all runs, in the order of first appearance."""
    rows = []
    for name in dict.fromkeys(name for results in runs for name in results["sets"]):
        found = [metrics_of(results["sets"].get(name, {})) for results in runs]
        for score in dict.fromkeys(score for metrics in found for score in metrics):
            rows.append(_Row(name, score, tuple(metrics.get(score) for metrics in found)))
    return rows


def _anomaly_metrics(entry: Mapping[str, Any]) -> dict[str, Metrics]:
    return {score: values["metrics"] for score, values in entry.get("scores", {}).items()}


def _segmentation_metrics(entry: Mapping[str, Any]) -> dict[str, Metrics]:
    return {"": entry["segmentation"]["metrics"]} if "segmentation" in entry else {}


def _means(rows: Sequence[_Row]) -> list[_Row]:
    """A row a score: the plain mean over the sets that every run has; none where these are fewer than two."""
    means = []
    for score in dict.fromkeys(row.score for row in rows):
        # One tuple a set, of one entry a run.
        common = [row.of_run for row in rows if row.score == score and None not in row.of_run]
        if len(common) >= 2:
            of_run = tuple(
                {metric: sum(found[metric] for found in of_set if found) / len(common) for metric in METRICS}
                for of_set in zip(*common, strict=True)
            )
            means.append(_Row(f"mean over sets ({len(common)})", score, of_run))
    return means


def _of_runs(rows: Sequence[_Row], shown: Sequence[int]) -> list[_Row]:
    return [_Row(row.name, row.score, tuple(row.of_run[run] for run in shown)) for row in rows]


def _table(title: str, metrics: Sequence[str], labels: Sequence[str], rows: Sequence[_Row]) -> Table:
    """One block a metric, so that a column of figures is of one kind."""
    compares = "; Δ: to the first run" if len(labels) > 1 else ""
    table = Table(title=title + compares, title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("set", overflow="fold")
    has_scores = any(row.score for row in rows)
    if has_scores:
        table.add_column("score", no_wrap=True)
    for place, label in enumerate(labels):
        # A fixed width: long names of runs break in the head instead of pressing the names of the sets.
        width = max(len("100.00"), min(len(label), 12))
        table.add_column(escape(label), justify="right", overflow="fold", width=width)
        if place:
            table.add_column("Δ", justify="right", width=len("-100.00"))
    for metric in metrics:
        last = ""
        for place, row in enumerate(rows):
            table.add_row(
                f"{metric} {'↓' if lower_is_better(metric) else '↑'}" if place == 0 else "",
                escape(row.name) if row.name != last else "",
                *([escape(row.score)] if has_scores else []),
                *_cells(metric, row.of_run),
                end_section=place == len(rows) - 1,
            )
            last = row.name
    return table


def _cells(metric: str, of_run: Sequence[Metrics | None]) -> list[str]:
    """The figure of each run, followed by its difference for each but the first."""
    first = of_run[0]
    cells = []
    for place, metrics in enumerate(of_run):
        cells.append("[dim]-[/]" if metrics is None else percent(metrics[metric]))
        if place:
            cells.append("" if metrics is None or first is None else _difference(metric, metrics, first))
    return cells


def _difference(metric: str, metrics: Metrics, first: Metrics) -> str:
    delta = 100 * (metrics[metric] - first[metric])
    better = delta < 0 if lower_is_better(metric) else delta > 0
    color = "dim" if abs(delta) < 0.005 else "green" if better else "red"
    return f"[{color}]{delta:+.2f}[/]"
