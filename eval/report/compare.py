"""Several results.json side by side: what a training run, or another score, changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from eval.metrics.pixel import convention
from eval.report.columns import fpr_of, lower_is_better, percent
from eval.report.comparable import Judged, Metrics, apart, scores_judged, segmentation_judged, sentences
from eval.results import RESULTS, SCHEMA
from shards.errors import UserError

_SEGMENTATION_METRICS = ("mIoU", "mAcc")
_FIRST_RUN, _LATER_RUN = 60, 20
"""Columns of the terminal that the names and the first run take, and that each later run takes."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One set and score; what each run says of it, None where a run lacks it."""

    name: str
    score: str
    of_run: tuple[Judged | None, ...]


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
    such and never compared with something else; figures of other frames, labels or files, or by another convention
    than the first run's (`comparable.py`), have a star instead of a difference and a sentence below. The mean over
    sets takes the sets that every run has and that compare.

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
    anomaly = _rows(runs, scores_judged)
    known = list(dict.fromkeys(row.score for row in anomaly))
    unknown = [score for score in scores if score not in known]
    if unknown:
        raise UserError(f"No run has the score {unknown[0]!r}. The runs have: {', '.join(known) or 'none'}.")
    anomaly = [row for row in anomaly if not scores or row.score in scores]
    segmentation = _rows(runs, segmentation_judged)
    blocks = (
        (
            _title(anomaly),
            {metric: anomaly + _means(anomaly, metric) for metric in _figures(anomaly)},
        ),
        ("Semantic segmentation in %", {metric: segmentation for metric in _SEGMENTATION_METRICS if segmentation}),
    )
    fitting = max(1, (width - _FIRST_RUN) // _LATER_RUN)
    tables = []
    for first in range(1, max(len(runs), 2), fitting):
        shown = (0, *range(first, min(first + fitting, len(runs))))
        tables += [
            _table(
                title, [labels[run] for run in shown], {metric: _of_runs(rows, shown) for metric, rows in of.items()}
            )
            for title, of in blocks
            if of
        ]
    return tables


def _rows(
    runs: Sequence[Mapping[str, Any]], judged_in: Callable[[Mapping[str, Any]], Mapping[str, Judged]]
) -> list[_Row]:
    """The sets and, in each, the scores of all runs, in the order of first appearance."""
    rows = []
    for name in dict.fromkeys(name for results in runs for name in results["sets"]):
        found = [judged_in(results["sets"].get(name, {})) for results in runs]
        for score in dict.fromkeys(score for judged in found for score in judged):
            rows.append(_Row(name, score, tuple(judged.get(score) for judged in found)))
    return rows


def _title(rows: Sequence[_Row]) -> str:
    """Over the anomaly figures: how the runs say that they pooled."""
    usual = convention()["pooling"]
    found = sorted({judged.rules.get("pooling", usual) for row in rows for judged in row.of_run if judged})
    return f"Anomaly segmentation in %, {'pixels pooled per set' if found == [usual] else ' or '.join(found)}"


def _figures(rows: Sequence[_Row]) -> list[str]:
    """The blocks of the anomaly table: FPR at every true positive rate that some run reads it at."""
    rates = dict.fromkeys(fpr_of(judged.metrics) for row in rows for judged in row.of_run if judged)
    return ["AP", "AUROC", *rates] if rates else []


def _means(rows: Sequence[_Row], metric: str) -> list[_Row]:
    """A row a score: the plain mean over the sets that every run has and that compare; none of fewer than two."""
    means = []
    for score in dict.fromkeys(row.score for row in rows):
        # One list a set, of one entry a run.
        common = [
            of_set
            for row in rows
            if row.score == score
            and len(of_set := [found for found in row.of_run if found and metric in found.metrics]) == len(row.of_run)
            and not any(apart(metric, found, of_set[0]) for found in of_set)
        ]
        if len(common) >= 2:
            of_run = tuple(
                Judged({metric: sum(found.metrics[metric] for found in of_sets) / len(common)})
                for of_sets in zip(*common, strict=True)
            )
            means.append(_Row(f"mean over sets ({len(common)})", score, of_run))
    return means


def _of_runs(rows: Sequence[_Row], shown: Sequence[int]) -> list[_Row]:
    return [_Row(row.name, row.score, tuple(row.of_run[run] for run in shown)) for row in rows]


def _table(title: str, labels: Sequence[str], blocks: Mapping[str, Sequence[_Row]]) -> Table:
    """One block a metric, so that a column of figures is of one kind; what does not compare is told below."""
    compares = "; Δ: to the first run" if len(labels) > 1 else ""
    table = Table(title=title + compares, title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("set", overflow="fold")
    has_scores = any(row.score for rows in blocks.values() for row in rows)
    if has_scores:
        table.add_column("score", no_wrap=True)
    for place, label in enumerate(labels):
        # A fixed width: long names of runs break in the head instead of pressing the names of the sets.
        width = max(len("100.00"), min(len(label), 12))
        table.add_column(escape(label), justify="right", overflow="fold", width=width)
        if place:
            table.add_column("Δ", justify="right", width=len("-100.00"))
    notes: dict[str, None] = dict.fromkeys(_nothing_common(next(iter(blocks.values())), labels))
    for metric, rows in blocks.items():
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
            notes |= dict.fromkeys(_notes(metric, row, labels))
    table.caption = escape("\n".join(notes)) or None
    return table


def _cells(metric: str, of_run: Sequence[Judged | None]) -> list[str]:
    """The figure of each run, followed by its difference for each but the first."""
    held = [found if found and metric in found.metrics else None for found in of_run]
    first = held[0]
    cells = []
    for place, found in enumerate(held):
        cells.append("[dim]-[/]" if found is None else percent(found.metrics[metric]))
        if not place:
            continue
        if found is None or first is None:
            cells.append("")
        else:
            cells.append("*" if apart(metric, found, first) else _difference(metric, found.metrics, first.metrics))
    return cells


def _notes(metric: str, row: _Row, labels: Sequence[str]) -> list[str]:
    """Why figures of a row have no difference."""
    first, notes = row.of_run[0], []
    for label, found in zip(labels, row.of_run, strict=True):
        if found is not None and first is not None:
            told = sentences(metric, row.name, row.score, (found, first), (label, labels[0]))
            notes += [f"* {sentence}" for sentence in told]
    return notes


def _nothing_common(rows: Sequence[_Row], labels: Sequence[str]) -> list[str]:
    """A hint where later runs judged sets of the first one, but not a single score of its names."""
    names = {row.name for row in rows if row.score and row.of_run[0] is not None}
    hints = []
    for place, label in enumerate(labels[1:], 1):
        theirs = [row for row in rows if row.score and row.name in names and row.of_run[place] is not None]
        if theirs and all(row.of_run[0] is None for row in theirs):
            mine = dict.fromkeys(row.score for row in rows if row.score and row.of_run[0] is not None)
            hints.append(
                f"{labels[0]} and {label} have no score of one name ({few(mine)}; "
                f"{few(dict.fromkeys(row.score for row in theirs))}), so nothing is compared; `anomsynth eval scores "
                "--score-name NAME` names the score of files."
            )
    return hints


def few(names: Collection[str]) -> str:
    """The first three of several names, and how many there are beside them."""
    first = ", ".join(list(names)[:3])
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first


def _difference(metric: str, metrics: Metrics, first: Metrics) -> str:
    delta = 100 * (metrics[metric] - first[metric])
    better = delta < 0 if lower_is_better(metric) else delta > 0
    color = "dim" if abs(delta) < 0.005 else "green" if better else "red"
    return f"[{color}]{delta:+.2f}[/]"
