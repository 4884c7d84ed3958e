"""Several results.json side by side: what a training run, or another score, changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from eval.report.table import LOWER_IS_BETTER, METRICS, percent
from eval.run import RESULTS, SCHEMA
from shards.errors import UserError


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


def comparison(paths: Sequence[Path], scores: Sequence[str] = ()) -> Table:
    """One row a set, score and run; the runs after the first show their difference from the first.

    A set or score that a run lacks is shown as such and never compared with something else.

    Args:
        paths: folders or files of evaluations, the baseline first.
        scores: show only these; all without. Segmentation figures are shown always.

    Raises:
        UserError: no run, or one that cannot be read.
    """
    if not paths:
        raise UserError("No runs: give the folders that `anomsynth eval --out` wrote, the baseline first.")
    runs = {label: load_results(path) for label, path in zip(labels_of(paths), paths, strict=True)}
    table = Table(title="Points in %, difference from the first run in brackets", title_justify="left")
    for column in ("set", "score", "run"):
        table.add_column(column, no_wrap=True)
    for metric in METRICS:
        table.add_column(f"{metric} {'↓' if metric in LOWER_IS_BETTER else '↑'}", justify="right", no_wrap=True)
    rows = {
        (name, score): of_run
        for (name, score), of_run in _rows(runs).items()
        if not scores or score in (*scores, _SEGMENTATION)
    }
    for place, ((name, score), of_run) in enumerate(rows.items()):
        # The first row of a group names it; a change of set draws a line.
        last = place + 1 == len(rows) or list(rows)[place + 1][0] != name
        new = place == 0 or list(rows)[place - 1][0] != name
        for number, (label, metrics) in enumerate(of_run.items()):
            first = next(iter(of_run.values()))
            table.add_row(
                name if new and number == 0 else "",
                score if number == 0 else "",
                label,
                *(_cell(metric, metrics, first if number else None) for metric in _columns(score)),
                end_section=last and number == len(of_run) - 1,
            )
    return table


def _rows(runs: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Mapping[str, float] | None]]:
    """(set, score) -> run -> metrics, None where the run lacks them; in the order of first appearance."""
    rows: dict[tuple[str, str], dict[str, Mapping[str, float] | None]] = {}
    names = list(dict.fromkeys(name for results in runs.values() for name in results["sets"]))
    for name in names:
        metrics = {label: _metrics(results["sets"].get(name, {})) for label, results in runs.items()}
        for score in dict.fromkeys(score for found in metrics.values() for score in found):
            rows[name, score] = {label: found.get(score) for label, found in metrics.items()}
    return rows


_SEGMENTATION = "mIoU, mAcc"


def _metrics(entry: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    found = {score: values["metrics"] for score, values in entry.get("scores", {}).items()}
    if "segmentation" in entry:
        found[_SEGMENTATION] = entry["segmentation"]["metrics"]
    return found


def _columns(score: str) -> tuple[str, ...]:
    return ("mIoU", "mAcc", "") if score == _SEGMENTATION else METRICS


def _cell(metric: str, metrics: Mapping[str, float] | None, first: Mapping[str, float] | None) -> str:
    if not metric:
        return ""
    if metrics is None:
        return "[dim]-[/]"
    if first is None:
        return percent(metrics[metric])
    delta = 100 * (metrics[metric] - first[metric])
    better = delta < 0 if metric in LOWER_IS_BETTER else delta > 0
    color = "dim" if abs(delta) < 0.005 else "green" if better else "red"
    return f"{percent(metrics[metric])} [{color}]({delta:+.2f})[/]"
