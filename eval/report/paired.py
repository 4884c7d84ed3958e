"""Do two runs differ by more than the choice of frames explains? Paired bootstrap over the frames of each set.

Both runs are judged on the same draws of the frames (`eval/metrics/bootstrap.py`), so what is hard in a frame
cancels. A difference whose 95 % interval holds 0 may be another one, or none, on other frames of the same kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from eval.frame_figures import COUNTS, FRAMES, Counts, load_counts
from eval.metrics.bootstrap import DRAWS, FIGURES, Difference, FrameCounts, differences
from eval.metrics.pixel import convention
from eval.report.columns import columns_of, fpr_of, head, lower_is_better, percent
from eval.report.compare import few, labels_of, load_results
from eval.report.grid import Cell, Grid
from eval.results import SCHEMA
from shards.errors import UserError
from shards.plural import plural
from shards.progress import track

_DRAWN: Final = convention()
"""How the bootstrap judges each draw."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of two runs.

    Attributes:
        name: of the set.
        score: of the score.
        metric: of the figure.
        first: the figure of the first run, a fraction.
        second: that of the second.
        difference: of the second from the first, with its interval.
        verdict: a few words.
    """

    name: str
    score: str
    metric: str
    first: float
    second: float
    difference: Difference
    verdict: str


@dataclass(frozen=True, slots=True)
class Paired:
    """Two runs on the frames that both judged.

    Attributes:
        labels: short names of the runs.
        rows: the figures.
        notes: sentences on what was left out or is to be minded.
    """

    labels: tuple[str, str]
    rows: tuple[Comparison, ...]
    notes: tuple[str, ...]

    def grid(self) -> Grid:
        """The table for people."""
        rows, rules = [], set()
        for place, row in enumerate(self.rows):
            above = self.rows[place - 1] if place else row
            if (row.name, row.score) != (above.name, above.score):
                rules.add(place)
            interval = _signed(row.difference.low), _signed(row.difference.high)
            rows.append(
                (
                    *(Cell(row.name), Cell(row.score), Cell(head(row.metric))),
                    Cell(row.verdict, strong=row.difference.beyond),
                    *(Cell(percent(row.first)), Cell(percent(row.second))),
                    Cell(_signed(row.second - row.first), interval=interval),
                )
            )
        first, second = self.labels
        notes = (
            f"Δ: {second} - {first} and its 95 % interval; paired bootstrap over frames, {DRAWS} draws, seed 0. "
            "The runs differ where the interval leaves out 0.",
            *self.notes,
        )
        return Grid(
            f"{first} and {second}, in %",
            ("set", "score", "", "verdict", *self.labels, "Δ [95 % interval]"),
            names=4,
            rows=tuple(rows),
            rules=frozenset(rules),
            notes=notes,
            repeating=2,
            a_table_each=True,
        )

    def records(self) -> list[dict[str, object]]:
        """One record a figure for programs; fractions at full precision."""
        return [
            {
                "set": row.name,
                "score": row.score,
                "metric": row.metric,
                self.labels[0]: row.first,
                self.labels[1]: row.second,
                "difference": row.second - row.first,
                "low": row.difference.low,
                "high": row.difference.high,
                "verdict": row.verdict,
            }
            for row in self.rows
        ]


def paired(paths: Sequence[Path], scores: Sequence[str] = ()) -> Paired:
    """Compare two runs on every set and score that both have.

    Args:
        paths: OUT folders of two evaluations, the baseline first.
        scores: only these; all that both have without.

    Raises:
        UserError: not two runs; nothing that both judged, or means over frames only; other frames, labels or
            conventions; counts of single frames that are missing or broken.
    """
    if len(paths) != 2:
        raise UserError(f"--compare takes two runs, the baseline first; {len(paths)} were given.")
    first, second = (_read(path) for path in paths)
    labels = labels_of(paths)
    pairs, notes = _common(first, second, labels, scores)
    rows: list[Comparison] = []
    left: dict[str, None] = {}
    for name, score in track(pairs, "bootstrap", total=len(pairs), unit="scores"):
        one, other = (run.results["sets"][name]["scores"][score] for run in (first, second))
        if one.get("convention") != other.get("convention"):
            raise UserError(
                f"{labels[0]} and {labels[1]} judged {score} on {name} by different conventions: evaluate both alike."
            )
        rules = one.get("convention", {})
        if rules.get("pooling", _DRAWN["pooling"]) != _DRAWN["pooling"]:
            notes.append(
                f"{name}, {score}: its figures are a mean over frames, and the draws judge pooled pixels, so they "
                "are not compared."
            )
            continue
        rate = fpr_of(one["metrics"])
        read = rules.get(rate.lower(), _DRAWN["fpr95"])
        if read != _DRAWN["fpr95"]:
            notes.append(
                f"{name}, {score}: {rate} is left out; the runs read it at the {read}, the draws FPR95 at the "
                f"{_DRAWN['fpr95']}."
            )
        left |= dict.fromkeys(_without_frames(name, one["metrics"], other["metrics"]))
        counts = _aligned(name, score, first, second, labels)
        for metric, difference in differences(counts[1], counts[0]).items():
            if metric == "FPR95" and read != _DRAWN["fpr95"]:
                continue
            if metric in one["metrics"] and metric in other["metrics"]:
                values = one["metrics"][metric], other["metrics"][metric]
                rows.append(
                    Comparison(name, score, metric, *values, difference, _verdict(metric, difference, labels))
                )
    if not rows:
        raise UserError(f"Nothing to compare. {' '.join(notes)}")
    left |= dict.fromkeys(_classes_without_frames(first, second))
    if left:
        notes.append(
            f"Not compared: {'; '.join(left)}. {COUNTS} holds each frame's pixels by score, but neither its official "
            "curve nor its components and classes, so these have no draws; `anomsynth report --intervals` prints "
            "them for each run."
        )
    notes += [
        f"{name}: the files of the two runs have other bytes, though their labels count alike."
        for name in dict.fromkeys(name for name, _ in pairs)
        if len({_digest(first, name), _digest(second, name), None}) == 3
    ]
    return Paired((labels[0], labels[1]), tuple(rows), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Run:
    results: Mapping[str, Any]
    frames: Mapping[str, Mapping[str, Mapping[str, Any]]]
    counts: Counts


def _read(path: Path) -> _Run:
    results = load_results(path)
    folder = path if path.is_dir() else path.parent
    file = folder / FRAMES
    if not file.is_file() or not (folder / COUNTS).is_file():
        raise UserError(
            f"{folder} holds no figures of single frames ({FRAMES} and {COUNTS}), which the comparison needs: "
            "evaluate again with --out."
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); evaluate again.") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or "sets" not in content:
        raise UserError(f"{file} holds no figures of single frames of schema {SCHEMA}; evaluate again.")
    return _Run(results, content["sets"], load_counts(folder / COUNTS))


def _common(
    first: _Run, second: _Run, labels: Sequence[str], scores: Sequence[str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """The sets and scores that both runs have, and a sentence for each that only one has."""
    known = [
        {(name, score) for name, entry in run.results["sets"].items() for score in entry.get("scores", {})}
        for run in (first, second)
    ]
    unknown = [score for score in scores if score not in {found for pairs in known for _, found in pairs}]
    if unknown:
        raise UserError(f"Neither run has the score {unknown[0]!r}.")
    both = [
        (name, score)
        for name, entry in first.results["sets"].items()
        for score in entry.get("scores", {})
        if (name, score) in known[1] and (not scores or score in scores)
    ]
    if not both:
        held = [few(sorted(f"{score} on {name}" for name, score in pairs)) or "nothing" for pairs in known]
        raise UserError(
            f"No set and score was judged in both runs: {labels[0]} holds {held[0]}; {labels[1]} holds {held[1]}. "
            "Give both the same names: --set-name and --score-name of `anomsynth eval scores`."
        )
    notes = []
    for label, mine, theirs in ((labels[0], known[0], known[1]), (labels[1], known[1], known[0])):
        alone = sorted(f"{score} on {name}" for name, score in mine - theirs if not scores or score in scores)
        if alone:
            notes.append(f"Only in {label}: {few(alone)}.")
    return both, notes


def _without_frames(name: str, one: Mapping[str, float], other: Mapping[str, float]) -> list[str]:
    """The figures of a score that both runs hold and that no counts of single frames give; nothing if none."""
    exact = {*FIGURES, fpr_of(one)}
    held = [metric for metric in columns_of([one]) if metric in other and metric not in exact]
    return [f"{', '.join(held)} on {name}"] if held else []


def _classes_without_frames(first: _Run, second: _Run) -> list[str]:
    """The same of the known classes, of every set."""
    told = []
    for name, entry in first.results["sets"].items():
        other = second.results["sets"].get(name, {})
        one, two = (found.get("segmentation", {}).get("metrics", {}) for found in (entry, other))
        told += _without_frames(name, one, two)
    return told


def _aligned(
    name: str, score: str, first: _Run, second: _Run, labels: Sequence[str]
) -> tuple[list[FrameCounts], list[FrameCounts]]:
    """The counts of both runs, frame by frame."""
    named = []
    for run, label in zip((first, second), labels, strict=True):
        frames = list(run.frames.get(name, {}).get(score, ()))
        counts = run.counts.get(name, {}).get(score, ())
        if not frames or len(frames) != len(counts):
            raise UserError(
                f"{FRAMES} and {COUNTS} of {label} do not fit together for {score} on {name}: evaluate again."
            )
        named.append(dict(zip(frames, counts, strict=True)))
    one, other = named
    for mine, theirs, label in ((one, other, labels[0]), (other, one, labels[1])):
        alone = [frame for frame in mine if frame not in theirs]
        if alone:
            raise UserError(
                f"The runs were judged on different frames of {name}: {plural(len(alone), 'is', 'are')} only in "
                f"{label}, the first {alone[0]}. Evaluate both on the same set."
            )
    for frame in one:
        if _pixels(one[frame]) != _pixels(other[frame]):
            raise UserError(
                f"Frame {frame} of {name} has other labels in the two runs: evaluate both on the same set."
            )
    return list(one.values()), [other[frame] for frame in one]


def _pixels(counts: FrameCounts) -> tuple[int, int]:
    return int(np.sum(counts.known)), int(np.sum(counts.anomaly))


def _digest(run: _Run, name: str) -> str | None:
    found: str | None = run.results["sets"][name].get("inputs_sha256")
    return found


def _verdict(metric: str, difference: Difference, labels: Sequence[str]) -> str:
    if not difference.beyond:
        return "not told apart"
    better = labels[1] if (difference.high < 0) == lower_is_better(metric) else labels[0]
    return f"{better} better"


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}"
