"""What came out of an evaluation, and the files that hold it.

The figures go into one file, written at the end under a temporary name and renamed: a run that fails or is killed
leaves no half-written results. Beside it lie curves.json, thinned PR and ROC points for plots, and the figures of
single frames (`frame_figures.py`). An interval holds the figure in 95 % of draws of as many frames
(`metrics/bootstrap.py`).

docs/results-schema.md says what each key means; a test holds it to what is written.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from eval.benchmarks import (
    BenchmarkSet,
    PixelCounts,
    SegmentationSet,
)
from eval.benchmarks.whole import is_whole
from eval.class_figures import ClassFigures
from eval.frame_figures import Counts
from eval.inputs import versions
from eval.metrics import PixelResult, SegmentationResult
from eval.metrics.bootstrap import FrameCounts, Interval, interval_rows
from eval.metrics.conventions import TPR
from eval.metrics.groups import GroupFigures
from eval.metrics.pixel import convention as pixel_convention
from eval.official import check_place, mean_over_frames
from eval.protocols import PROTOCOLS, Protocol
from eval.score_counts import CountedSet
from shards.errors import UserError
from shards.manifest import MANIFEST

SCHEMA = 1
RESULTS = "results.json"
CURVES = "curves.json"
OTHERS: Final = {
    MANIFEST: "a shard set",
    ".build": "an unfinished shard set",
    "checkpoint.json": "a training run",
    "resume.pt": "an unfinished training run",
}
"""What else a folder of this tool may be, by a file in it."""


def check_out(out: Path | None, *, overwrite: bool = False) -> None:
    """See that results may be written to a folder, before anything is judged.

    Args:
        out: where they will lie; None asks nothing.
        overwrite: whether those of an earlier evaluation may be replaced.

    Raises:
        UserError: it is a file, holds an evaluation, a shard set or a training run, or cannot be written to.
    """
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: give a folder.")
    for name, what in OTHERS.items():
        if (out / name).exists():
            raise UserError(f"--out {out} holds {what} ({name}): give another folder.")
    if (out / RESULTS).exists() and not overwrite:
        raise UserError(
            f"--out {out} holds an evaluation already: give another folder, or replace it with --overwrite."
        )
    check_place(out)


@dataclass(frozen=True, slots=True)
class AnomalySetResult:
    """What came out on one set of an anomaly benchmark.

    Attributes:
        found: the set.
        pixels: its pixels by label.
        scores: the figures by score.
        frames: figures of single frames, by score and frame; no published figure. Frames without anomaly or without
            known pixels have none.
        counts: what the bootstrap needs of each frame, by score.
        intervals: of the figures, by score; bootstrap over frames.
        inputs_sha256: of the frames' files.
        official_intervals: of the official figures, by score.
        official: what the benchmark's own evaluator adds to a score: to its metrics, and beside them.
        segmentation: of the known classes, where the labels tell them.
        protocol: the rules that it was judged by.
        tpr: the true positive rate that the false positive rate is read at.
        groups: figures by score and group (town, weather), where the benchmark names groups of frames.
    """

    found: BenchmarkSet | CountedSet
    pixels: PixelCounts
    scores: Mapping[str, PixelResult]
    frames: Mapping[str, Mapping[str, Mapping[str, float] | None]]
    counts: Mapping[str, Sequence[FrameCounts]]
    intervals: Mapping[str, Mapping[str, Interval]]
    inputs_sha256: str
    official_intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    official: Mapping[str, tuple[Mapping[str, float], Mapping[str, Any]]] = field(default_factory=dict)
    segmentation: ClassFigures | None = None
    protocol: Protocol = PROTOCOLS["pooled"]
    tpr: float = TPR
    groups: Mapping[str, Mapping[str, GroupFigures]] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """Sentences for people: of the set, and on each score that is the same at every pixel.

        Such a score is that of a file of zeros, or of a network that is broken.
        """
        return [
            *self.found.notes,
            *(
                f"{name}: every pixel of every frame has one and the same score, {result.best_threshold:g}, so its "
                "figures say nothing."
                for name, result in self.scores.items()
                if result.constant
            ),
        ]

    @property
    def averages(self) -> bool:
        """Whether figures are means over frames instead of those of one pool."""
        return self.protocol.pooling == "per-image"

    def metrics(self, score: str) -> dict[str, float]:
        """All figures of a score under their published names."""
        if self.averages:
            return mean_over_frames(self.found.name, self.frames[score])
        return {**self.scores[score].metrics, **self.official.get(score, ({}, {}))[0]}

    def as_json(self) -> dict[str, Any]:
        """The set's entry in results.json."""
        pixels = {"known": self.pixels.known, "anomaly": self.pixels.anomaly, "ignore": self.pixels.ignore}
        names = [frame if isinstance(frame, str) else frame.name for frame in self.found.frames]
        return {
            "benchmark": self.found.benchmark,
            "layout": self.found.layout,
            "frames": len(self.found.frames),
            "notes": self.notes,
            **({"inputs_sha256": self.inputs_sha256} if self.inputs_sha256 else {}),
            "pixels": pixels,
            "part": self.found.part,
            "whole": is_whole(self.found.benchmark, self.found.part, names, self.pixels.total),
            "labels": list(self.found.labels),
            "options": dict(self.found.options),
            "scores": {name: self._score_entry(name) for name in self.scores},
            **({} if self.segmentation is None else {"segmentation": self.segmentation.as_json()}),
        }

    def _score_entry(self, name: str) -> dict[str, Any]:
        result, rules = self.scores[name], pixel_convention(self.protocol.reach, self.tpr)
        beside: dict[str, Any] = {}
        if self.averages:
            rules["pooling"] = "mean over frames; frames of one class are passed over"
            alone = sum(figures is not None for figures in self.frames[name].values())
            beside = {"frames_judged": alone, "frames_of_one_class": len(self.frames[name]) - alone}
        else:
            beside = {
                f"threshold{100 * self.tpr:g}": result.point.threshold,
                "best_F1_threshold": result.best_threshold,
            }
        return {
            "metrics": self.metrics(name),
            "intervals": interval_rows({**self.intervals[name], **self.official_intervals.get(name, {})}),
            "protocol": self.protocol.name,
            "convention": rules,
            **beside,
            **({"groups": groups} if (groups := self._group_entries(name)) else {}),
            **self.official.get(name, ({}, {}))[1],
        }

    def _group_entries(self, name: str) -> dict[str, Any]:
        return {
            group: {"frames": found.frames, "metrics": None if found.metrics is None else dict(found.metrics)}
            for group, found in self.groups.get(name, {}).items()
        }


@dataclass(frozen=True, slots=True)
class SegmentationSetResult:
    """What came out on a set that judges the semantic map."""

    found: SegmentationSet
    segmentation: SegmentationResult
    inputs_sha256: str

    def as_json(self) -> dict[str, Any]:
        """The set's entry in results.json."""
        return {
            "benchmark": self.found.benchmark,
            "frames": len(self.found.frames),
            "notes": list(self.found.notes),
            "inputs_sha256": self.inputs_sha256,
            "labels": ["Cityscapes labelIds or trainIds"],
            "pixels": {"valid": self.segmentation.pixels},
            "segmentation": ClassFigures(self.segmentation).as_json(),
        }


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that `evaluate` found, by set."""

    predictor: Mapping[str, Any]
    sets: Mapping[str, AnomalySetResult | SegmentationSetResult] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)

    def as_json(self) -> dict[str, Any]:
        """The content of results.json."""
        return {
            "schema": SCHEMA,
            "created_by": {"anomsynth": importlib.metadata.version("anomsynth")},
            "versions": dict(self.versions),
            "predictor": dict(self.predictor),
            "sets": {name: result.as_json() for name, result in self.sets.items()},
        }

    def frames(self) -> dict[str, Any]:
        """The content of frames.json."""
        return {"schema": SCHEMA, "sets": {name: dict(found.frames) for name, found in self._anomaly().items()}}

    def counts(self) -> Counts:
        """The content of counts.npz; a mean over frames has no pool to draw from, so no counts."""
        return {name: found.counts for name, found in self._anomaly().items() if not found.averages}

    def _anomaly(self) -> dict[str, AnomalySetResult]:
        return {name: found for name, found in self.sets.items() if isinstance(found, AnomalySetResult)}

    def curves(self) -> dict[str, Any]:
        """The content of curves.json: set -> score -> lists of tpr, fpr and precision."""
        return {
            name: {score: _curve_as_json(result) for score, result in found.scores.items()}
            for name, found in self._anomaly().items()
        }


def _curve_as_json(result: PixelResult) -> dict[str, list[float]]:
    curve = result.curve
    return {
        "tpr": np.round(curve.tpr, 6).tolist(),
        "fpr": np.round(curve.fpr, 6).tolist(),
        "precision": np.round(curve.precision, 6).tolist(),
    }
