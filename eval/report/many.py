"""Tables over many runs: a table a set, a row a run and score, and published figures beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.report.columns import columns_of, head, lower_is_better, parts_of, percent
from eval.report.comparable import Judged, apart, scores_judged, segmentation_judged, sentences
from eval.report.compare import labels_of, load_results
from eval.report.grid import Cell, Grid
from eval.report.published import published_for
from shards.errors import UserError
from shards.plural import plural


@dataclass(frozen=True, slots=True)
class Row:
    """What one run, or one paper, says of one score on one set.

    Attributes:
        run: short name of the run; "published" for a paper.
        score: name of the score; empty for semantic segmentation; method and network of a paper.
        frames: how many were judged.
        metrics: figures by name, fractions 0..1.
        intervals: low and high end by figure, where the bootstrap gave them.
        source: where a paper printed it; empty for a run.
        judged: what the run says of it, for the question whether two rows compare; None for a paper.
    """

    run: str
    score: str
    frames: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    source: str = ""
    judged: Judged | None = None


@dataclass(frozen=True, slots=True)
class SetRows:
    """All rows of one set, and sentences on them."""

    name: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def collect(paths: Sequence[Path], scores: Sequence[str] = (), *, published: bool = False) -> list[SetRows]:
    """The rows of all runs by set, in the order of first appearance.

    Args:
        paths: folders or files of evaluations.
        scores: only these; all without. Segmentation figures are taken always.
        published: whether to put published figures beside those of full sets.

    Raises:
        UserError: no run, one that cannot be read, or a score that no run has.
    """
    if not paths:
        raise UserError("No runs: give the folders that `anomsynth eval --out` wrote.")
    runs = dict(zip(labels_of(paths), map(load_results, paths), strict=True))
    known = dict.fromkeys(
        score for results in runs.values() for entry in results["sets"].values() for score in entry.get("scores", {})
    )
    unknown = [score for score in scores if score not in known]
    if unknown:
        raise UserError(f"No run has the score {unknown[0]!r}. The runs have: {', '.join(known) or 'none'}.")
    found = []
    for name in dict.fromkeys(name for results in runs.values() for name in results["sets"]):
        entries = {run: results["sets"][name] for run, results in runs.items() if name in results["sets"]}
        rows = [row for run, entry in entries.items() for row in _rows(run, entry, scores)]
        papers, notes = _papers(name, entries) if published else ((), ())
        found.append(SetRows(name, (*rows, *papers), notes))
    return found


def grids(sets: Sequence[SetRows], *, intervals: bool = False) -> list[Grid]:
    """A table a set; the best figure of the runs is bold, sources of papers are numbered below.

    Where runs judged other frames or by other rules, no figure is the best one, and a sentence below says why.

    Args:
        sets: from `collect`.
        intervals: whether to print the bootstrap's interval behind each figure.
    """
    return [_grid(found, intervals) for found in sets if found.rows]


def records(sets: Sequence[SetRows]) -> list[dict[str, object]]:
    """One record a row for programs: fractions at full precision, and the ends of each interval."""
    metrics = columns_of([row.metrics for found in sets for row in found.rows])
    made = []
    for found in sets:
        for row in found.rows:
            record: dict[str, object] = {"run": row.run, "set": found.name, "frames": row.frames, "score": row.score}
            for metric in metrics:
                record[metric] = row.metrics.get(metric, "")
                if any(metric in other.intervals for each in sets for other in each.rows):
                    record[f"{metric}_low"], record[f"{metric}_high"] = row.intervals.get(metric, ("", ""))
            made.append({**record, "source": row.source})
    return made


def _intervals(found: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {row["of"]: (row["low"], row["high"]) for row in found.get("intervals", ())}


def _rows(run: str, entry: Mapping[str, Any], scores: Sequence[str]) -> list[Row]:
    rows = [
        Row(
            run,
            score,
            entry["frames"],
            {metric: value for metric, value in found["metrics"].items() if value is not None},
            _intervals(found),
            judged=scores_judged(entry)[score],
        )
        for score, found in entry.get("scores", {}).items()
        if not scores or score in scores
    ]
    if "segmentation" in entry:
        segmentation = entry["segmentation"]
        rows.append(
            Row(
                run,
                "",
                entry["frames"],
                segmentation["metrics"],
                _intervals(segmentation),
                judged=segmentation_judged(entry)[""],
            )
        )
    return rows


def _papers(name: str, entries: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Published figures where every run judged the full set; sentences otherwise, one a run where they differ."""
    judged = {run: entry for run, entry in entries.items() if "scores" in entry}
    if not judged:
        return (), ()
    answers = {run: published_for(name, entry) for run, entry in judged.items()}
    missing = {run: notes for run, (rows, notes) in answers.items() if not rows}
    if missing:
        alike = len(missing) == len(judged) and len(set(missing.values())) == 1
        told = (
            next(iter(missing.values()))
            if alike
            else tuple(note for run in missing for note in published_for(f"{name}, {run}", judged[run])[1])
        )
        return (), told
    found, notes = next(iter(answers.values()))
    return tuple(
        Row(
            "published",
            row.title,
            next(iter(judged.values()))["frames"],
            row.metrics,
            source=row.source,
        )
        for row in found
    ), notes


def _grid(found: SetRows, intervals: bool) -> Grid:
    metrics = columns_of([row.metrics for row in found.rows])
    own = [row for row in found.rows if not row.source]
    best: dict[str, float] = {}
    reasons: dict[str, None] = {}
    for metric in metrics:
        holders = [row for row in own if metric in row.metrics]
        against = _reasons(found.name, metric, holders)
        reasons |= dict.fromkeys(against)
        if len(holders) > 1 and not against:
            best[metric] = (min if lower_is_better(metric) else max)(row.metrics[metric] for row in holders)
    sources = list(dict.fromkeys(row.source for row in found.rows if row.source))
    # The number of frames is a column only where it is not that of every row.
    judged = {row.frames for row in found.rows}
    told = f"{plural(min(judged), 'frame')}, " if len(judged) == 1 else ""
    rows = []
    for row in found.rows:
        mark = f" [{sources.index(row.source) + 1}]" if row.source else ""
        names = (Cell(row.run), Cell(row.score + mark), *(() if told else (Cell(str(row.frames)),)))
        rows.append((*names, *(_cell(row, metric, best, intervals) for metric in metrics)))
    notes = (*reasons, *found.notes, *(f"[{number}] {source}." for number, source in enumerate(sources, 1)))
    return Grid(
        title=f"{found.name}, {told}in %",
        columns=("run", "score", *(() if told else ("frames",)), *map(head, metrics)),
        names=2 if told else 3,
        rows=tuple(rows),
        rules=frozenset({len(own)} if sources and own else ()),
        notes=notes,
        parts=parts_of(metrics),
    )


def _reasons(name: str, metric: str, rows: Sequence[Row]) -> list[str]:
    """Why a figure of the rows has no best: what their runs do not have in common with the first of them."""
    judged = [(row.run, row.judged) for row in rows if row.judged is not None]
    told: dict[str, None] = {}
    for run, found in judged[1:]:
        first_run, first = judged[0]
        if run != first_run and apart(metric, found, first):
            told |= dict.fromkeys(sentences(metric, name, "", (found, first), (run, first_run)))
    return [f"No best figure is marked where runs do not compare. {sentence}" for sentence in told]


def _cell(row: Row, metric: str, best: Mapping[str, float], intervals: bool) -> Cell:
    if metric not in row.metrics:
        return Cell("-")
    low_and_high = row.intervals.get(metric) if intervals else None
    return Cell(
        percent(row.metrics[metric]),
        strong=not row.source and row.metrics[metric] == best.get(metric),
        interval=None if low_and_high is None else (percent(low_and_high[0]), percent(low_and_high[1])),
    )
