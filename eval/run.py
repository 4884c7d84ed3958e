"""Judge a predictor on sets of benchmarks and write results.json.

The figures go into one file, written at the end under a temporary name and renamed: a run that fails or is killed
leaves no half-written results. Beside it lie curves.json, thinned PR and ROC points for plots, and the figures of
single frames (`frame_figures.py`). An interval holds the figure in 95 % of draws of as many frames
(`metrics/bootstrap.py`).

    {"schema": 1, "created_by": {"anomsynth": "0.1.0"}, "versions": {"python": ..., "anomsynth": ..., "numpy": ...,
     "torch": ...}, "predictor": {"checkpoint": RUN, "checkpoint_sha256": ... | "weights": ..., "weights_sha256": ...,
                                  ...},
     "sets": {SET: {"benchmark": ..., "layout": "official" | "flat", "frames": 10, "notes": [...],
                    "inputs_sha256": "64 digits, see `inputs.py`",
                    "pixels": {"known": ..., "anomaly": ..., "ignore": ...},
                    "part": "AnomalyTrack" | "Static" | ... | "", "labels": [how they are stored, in words],
                    "options": {of the benchmark, where they are not the default},
                    "scores": {SCORE: {"metrics": {"AP": 0..1, "AUROC": 0..1, "FPR95": 0..1, "best_F1": 0..1},
                                       "intervals": [{"of": "AP", "low": 0..1, "high": 0..1}, ...],
                                       "threshold95": ..., "best_F1_threshold": ..., "convention": {...},
                                       "protocol": see `protocols.py`, "component_threshold", "binned_convention",
                                       "component_convention": see `official.py`}},
                    "segmentation": where the labels tell the known classes, as below},
              "cityscapes": {"benchmark": "cityscapes", "frames": 500, "notes": [], "inputs_sha256": ...,
                             "pixels": {"valid": ...},
                             "segmentation": {"metrics": {"mIoU": 0..1, "mAcc": 0..1},
                                              "iou_per_class": {"road": 0..1 | null, ...}, "convention": {...}}}}}
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from eval.benchmarks import (
    AnySet,
    BenchmarkFrame,
    BenchmarkSet,
    PixelCounts,
    SegmentationSet,
    count_pixels,
    read_frame,
    read_semantic,
)
from eval.benchmarks.encoding import CITYSCAPES_NAMES
from eval.benchmarks.sets import Frame
from eval.frame_figures import COUNTS, FRAMES, Counts, ScoredFrames, save_counts
from eval.inputs import InputDigest, hashes, versions
from eval.metrics import PixelResult, SegmentationMetrics, SegmentationResult
from eval.metrics.bootstrap import FrameCounts, Interval, intervals
from eval.metrics.conventions import TPR
from eval.metrics.frame import judge_frame
from eval.metrics.keys import frame_keys
from eval.metrics.pixel import convention as pixel_convention
from eval.metrics.segmentation import CONVENTION as SEGMENTATION_CONVENTION
from eval.official import (
    OfficialFigures,
    check_room,
    mean_over_frames,
    protocol_of,
    room_needed,
    waiting_room,
)
from eval.overlap import Behind, read_ahead
from eval.predictor import Prediction, Predictor, check_scores
from eval.protocols import PROTOCOLS, Protocol
from shards.errors import BadInput, UserError
from shards.labels import IGNORE, KNOWN, TRAIN_CLASSES
from shards.layouts.cityscapes import CityscapesFrame, read_image
from shards.layouts.cityscapes import read_semantic as read_classes
from shards.progress import track
from shards.writer import write_atomically

Item = TypeVar("Item", bound=Frame | CityscapesFrame)
Content = TypeVar("Content")

SCHEMA = 1
RESULTS = "results.json"
CURVES = "curves.json"
VALIDATION = "cityscapes/val"
"""What is judged by mIoU, in the words of a predictor's `saw`."""


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
        official: what the benchmark's own evaluator adds to a score: to its metrics, and beside them.
        segmentation: of the known classes, where the labels tell them.
        protocol: the rules that it was judged by.
        tpr: the true positive rate that the false positive rate is read at.
    """

    found: BenchmarkSet
    pixels: PixelCounts
    scores: Mapping[str, PixelResult]
    frames: Mapping[str, Mapping[str, Mapping[str, float] | None]]
    counts: Mapping[str, Sequence[FrameCounts]]
    intervals: Mapping[str, Mapping[str, Interval]]
    inputs_sha256: str
    official: Mapping[str, tuple[Mapping[str, float], Mapping[str, Any]]] = field(default_factory=dict)
    segmentation: SegmentationResult | None = None
    protocol: Protocol = PROTOCOLS["pooled"]
    tpr: float = TPR

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
        return {
            "benchmark": self.found.benchmark,
            "layout": self.found.layout,
            "frames": len(self.found.frames),
            "notes": list(self.found.notes),
            "inputs_sha256": self.inputs_sha256,
            "pixels": pixels,
            "part": self.found.part,
            "labels": list(self.found.labels),
            "options": dict(self.found.options),
            "scores": {name: self._score_entry(name) for name in self.scores},
            **({} if self.segmentation is None else {"segmentation": _segmentation_entry(self.segmentation)}),
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
            "intervals": [
                {"of": figure, "low": found.low, "high": found.high} for figure, found in self.intervals[name].items()
            ],
            "protocol": self.protocol.name,
            "convention": rules,
            **beside,
            **self.official.get(name, ({}, {}))[1],
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
            "segmentation": _segmentation_entry(self.segmentation),
        }


def _segmentation_entry(found: SegmentationResult) -> dict[str, Any]:
    names = [row.name for row in TRAIN_CLASSES]
    return {
        "metrics": found.metrics,
        "iou_per_class": dict(zip(names, found.iou, strict=True)),
        "convention": dict(SEGMENTATION_CONVENTION),
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


def evaluate(
    sets: Sequence[AnySet],
    predictor: Predictor,
    scores: Sequence[str] = (),
    out: Path | None = None,
    *,
    protocol: Protocol | None = None,
    tpr: float = TPR,
) -> Results:
    """Judge a predictor on every set.

    Args:
        sets: from `eval.benchmarks.find_sets`, of one or several benchmarks.
        predictor: gives score maps and a semantic map for an image.
        scores: which scores to judge; all that the predictor has if empty.
        out: folder for results.json and curves.json; nothing is written without it.
        protocol: the rules for every anomaly set; by default those of its benchmark.
        tpr: the true positive rate that the false positive rate is read at, above 0 and at most 1.

    Returns:
        The figures, by set.

    Raises:
        UserError: a score that the predictor lacks, two sets of one name, a protocol of another benchmark, broken or
            hidden labels, a broken image, scores that are not finite, a disk that is too small. Nothing has been
            written then.
    """
    if not 0 < tpr <= 1:
        raise UserError(f"--tpr is a share of the anomaly pixels, above 0 and at most 1, got {tpr:g}.")
    wanted = check_scores(predictor, scores)
    names = [found.name for found in sets]
    if len(set(names)) != len(names):
        raise UserError(f"Two of the sets have one name: {', '.join(sorted(names))}.")
    rules = {found.name: protocol_of(found, protocol) for found in sets if isinstance(found, BenchmarkSet)}
    # All labels first: a hidden or broken set is told in seconds, not after an hour of predicting.
    pixels = {
        found.name: count_pixels(found)
        for found in track(sets, "labels", total=len(sets), unit="sets")
        if isinstance(found, BenchmarkSet)
    }
    for name, counted in pixels.items():
        check_room(name, room_needed(rules[name], counted.total, len(wanted)), out)
    judged: dict[str, AnomalySetResult | SegmentationSetResult] = {}
    for found in sets:
        if isinstance(found, BenchmarkSet):
            with ExitStack() as stack:
                room = stack.enter_context(waiting_room(out)) if rules[found.name].components else None
                judged[found.name] = _judge_anomaly(
                    found, pixels[found.name], predictor, wanted, rules[found.name], tpr, room
                )
        else:
            judged[found.name] = _judge_segmentation(found, predictor)
    results = Results(predictor.describe, judged)
    if out is not None:
        write_json(out / CURVES, results.curves(), indent=None)
        write_json(out / FRAMES, results.frames())
        save_counts(out / COUNTS, results.counts())
        write_json(out / RESULTS, results.as_json())
    return results


def write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write JSON, whole or not at all.

    Raises:
        UserError: the folder cannot be made or written.
    """
    write_text(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all, and make its folder.

    Raises:
        UserError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from error


def predict(
    predictor: Predictor,
    image: UInt8[np.ndarray, "h w 3"],
    scores: Sequence[str],
    frame: str,
    *,
    semantic: bool = False,
) -> Prediction:
    """Ask the predictor and hold it to its contract: everything asked for, at the image's size.

    Raises:
        UserError: it does not keep it; names the frame.
    """
    prediction = predictor.predict(image, scores, semantic=semantic)
    maps: dict[str, np.ndarray] = dict(prediction.scores)
    if prediction.semantic is not None:
        maps["semantic"] = prediction.semantic
    missing = [name for name in (*scores, *(["semantic"] if semantic else [])) if name not in maps]
    if missing:
        raise UserError(f"The predictor gave no {missing[0]!r} map for {frame}.")
    for what, found in maps.items():
        if found.shape != image.shape[:2]:
            raise UserError(
                f"The predictor's {what} map of {frame} has the shape {found.shape}; expected {image.shape[:2]}."
            )
    return prediction


def _judge_anomaly(
    found: BenchmarkSet,
    pixels: PixelCounts,
    predictor: Predictor,
    scores: Sequence[str],
    protocol: Protocol,
    tpr: float,
    room: Path | None,
) -> AnomalySetResult:
    usual = protocol.reach == "first" and tpr == TPR
    scored = {name: ScoredFrames() for name in scores}
    segmentation, digest = SegmentationMetrics(), InputDigest()

    def judge(
        frame: str,
        prediction: Prediction,
        label: UInt8[np.ndarray, "h w"],
        classes: UInt8[np.ndarray, "h w"] | None,
    ) -> None:
        if classes is not None and prediction.semantic is not None:
            segmentation.add(prediction.semantic, classes, frame)
        keys = {name: frame_keys(prediction.scores[name], label, frame) for name in scores}
        for name, frames in scored.items():
            frames.add(frame, keys[name])
            if not usual:
                alone = judge_frame(keys[name], reach=protocol.reach, tpr=tpr)
                frames.metrics[frame] = None if alone is None else alone.metrics
        if official is not None:
            official.add(frame, keys, prediction.scores, label)

    official = OfficialFigures(protocol, scores, room) if protocol.binned else None
    with Behind() as behind:
        frames = track(found.frames, found.name, total=len(found.frames), unit="frames")
        for frame, ((image, label, classes), files) in read_ahead(frames, _hashed(_read_anomaly_frame)):
            digest.add(frame.name, files)
            prediction = predict(predictor, image, scores, frame.name, semantic=classes is not None)
            behind(judge, frame.name, prediction, label, classes)
        behind.wait()
        further = {} if official is None else official.result()
    judged = AnomalySetResult(
        found,
        pixels,
        scores={name: frames.pool.result(reach=protocol.reach, tpr=tpr) for name, frames in scored.items()},
        frames={name: frames.metrics for name, frames in scored.items()},
        counts={name: frames.counts for name, frames in scored.items()},
        intervals={
            # The bootstrap pools pixels, and reads FPR95 at the first threshold with TPR >= .95.
            name: {
                figure: interval
                for figure, interval in intervals(frames.counts).items()
                if usual or not figure.startswith("FPR")
            }
            if protocol.pooling == "pooled"
            else {}
            for name, frames in scored.items()
        },
        inputs_sha256=digest.hexdigest(),
        official=further,
        segmentation=segmentation.result() if segmentation.confusion.any() else None,
        protocol=protocol,
        tpr=tpr,
    )
    for name in scores:
        judged.metrics(name)  # a mean over frames of which none has figures is told before anything is written
    return judged


def _judge_segmentation(found: SegmentationSet, predictor: Predictor) -> SegmentationSetResult:
    metrics, digest = SegmentationMetrics(), InputDigest()
    frames = track(found.frames, found.name, total=len(found.frames), unit="frames")
    for frame, ((image, label), files) in read_ahead(frames, _hashed(_read_semantic_frame)):
        digest.add(frame.id, files)
        semantic = predict(predictor, image, (), frame.id, semantic=True).semantic
        assert semantic is not None
        metrics.add(semantic, label, frame.id)
    notes = (*found.notes, *_seen(predictor.describe))
    return SegmentationSetResult(replace(found, notes=notes), metrics.result(), digest.hexdigest())


def _hashed(read: Callable[[Item], Content]) -> Callable[[Item], tuple[Content, dict[str, str]]]:
    """`read`, and the hashes of what it read."""
    return lambda frame: (read(frame), hashes(frame))


def _read_anomaly_frame(
    frame: Frame,
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"], UInt8[np.ndarray, "h w"] | None]:
    """Image, label and, where the label tells them, trainIds of the known pixels."""
    image, label = read_frame(frame)
    if isinstance(frame, BenchmarkFrame) and frame.encoding.classes != CITYSCAPES_NAMES:
        return image, label, None
    classes = read_semantic(frame)
    return image, label, None if classes is None else np.where(label == KNOWN, classes, IGNORE).astype(np.uint8)


def _read_semantic_frame(frame: CityscapesFrame) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    try:
        return read_image(frame), read_classes(frame)
    except BadInput as error:
        raise UserError(f"Frame {frame.id} cannot be read: {error.detail}.") from error


def _seen(describe: Mapping[str, Any]) -> tuple[str, ...]:
    """A note where Cityscapes val may not be held out for this predictor (law 7)."""
    saw = describe.get("saw", ())
    if VALIDATION in saw:
        return (f"The weights were trained on {VALIDATION}: these figures are not of held-out data.",)
    if "unknown" in saw:
        return (f"Part of the weights' training data is unknown: {VALIDATION} may be among it.",)
    return ()


def _curve_as_json(result: PixelResult) -> dict[str, list[float]]:
    curve = result.curve
    return {
        "tpr": np.round(curve.tpr, 6).tolist(),
        "fpr": np.round(curve.fpr, 6).tolist(),
        "precision": np.round(curve.precision, 6).tolist(),
    }
