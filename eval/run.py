"""Judge a predictor on sets of benchmarks: every frame once, read ahead and judged behind the network.

Counting (`score_counts.py`) and judging what was counted (`judge_counts.py`) are those of score files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64, UInt8

from eval.benchmarks import (
    AnySet,
    BenchmarkFrame,
    BenchmarkSet,
    SegmentationSet,
    count_pixels,
    read_frame,
    read_semantic,
)
from eval.benchmarks.encoding import CITYSCAPES_NAMES
from eval.benchmarks.sets import Frame
from eval.class_figures import ClassFigures
from eval.inputs import InputDigest, hashes
from eval.judge_counts import judge_counts
from eval.metrics import SegmentationMetrics
from eval.metrics.conventions import TPR
from eval.metrics.groups import NO_GROUP
from eval.official import WaitingMaps, check_room, protocol_of, room_needed, waiting_room
from eval.overlap import Behind, judging_threads, read_ahead
from eval.predictor import Prediction, Predictor, check_scores, predict
from eval.protocols import Protocol
from eval.result_files import write_results
from eval.results import AnomalySetResult, Results, SegmentationSetResult
from eval.score_counts import About, ScoreCounts
from shards.errors import BadInput, UserError
from shards.labels import IGNORE, KNOWN
from shards.layouts.cityscapes import CityscapesFrame, read_image
from shards.layouts.cityscapes import read_semantic as read_classes
from shards.progress import track

Item = TypeVar("Item", bound=Frame | CityscapesFrame)
Content = TypeVar("Content")

VALIDATION = "cityscapes/val"
"""What is judged by mIoU, in the words of a predictor's `saw`."""


def evaluate(
    sets: Sequence[AnySet],
    predictor: Predictor,
    scores: Sequence[str] = (),
    out: Path | None = None,
    *,
    protocol: Protocol | None = None,
    tpr: float = TPR,
    workers: int | None = None,
) -> Results:
    """Judge a predictor on every set.

    Args:
        sets: from `eval.benchmarks.find_sets`, of one or several benchmarks.
        predictor: gives score maps and a semantic map for an image.
        scores: which scores to judge; all that the predictor has if empty.
        out: folder for the files of `write_results`; nothing is written without it.
        protocol: the rules for every anomaly set; by default those of its benchmark.
        tpr: the true positive rate that the false positive rate is read at, above 0 and at most 1.
        workers: frames that are judged at a time, beside the network; by default as many as this process has cores,
            but one, 1 ... 8. Figures do not depend on it.

    Returns:
        The figures, by set.

    Raises:
        UserError: a score that the predictor lacks, two sets of one name, a protocol of another benchmark, broken or
            hidden labels, a broken image, scores that are not finite, a disk that is too small. Nothing has been
            written then.
    """
    if not 0 < tpr <= 1:
        raise UserError(f"--tpr is a share of the anomaly pixels, above 0 and at most 1, got {tpr:g}.")
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: give a folder.")
    wanted, threads = check_scores(predictor, scores), judging_threads(workers, spare=1)
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
                judged[found.name] = _judge_anomaly(found, predictor, wanted, rules[found.name], tpr, room, threads)
        else:
            judged[found.name] = _judge_segmentation(found, predictor)
    results = Results(predictor.describe, judged)
    if out is not None:
        write_results(results, out)
    return results


def _judge_anomaly(
    found: BenchmarkSet,
    predictor: Predictor,
    scores: Sequence[str],
    protocol: Protocol,
    tpr: float,
    room: Path | None,
    threads: int,
) -> AnomalySetResult:
    counted = {name: ScoreCounts(_about(found, name, protocol, tpr), protocol) for name in scores}
    waiting = None if room is None or protocol.components is None else WaitingMaps(protocol.components, scores, room)
    segmentation, digest = SegmentationMetrics(), InputDigest()
    confusions: dict[str, Int64[np.ndarray, "c c"]] = {}
    groups = {frame.name: frame.group for frame in found.frames if isinstance(frame, BenchmarkFrame)}

    def judge(
        frame: str,
        prediction: Prediction,
        label: UInt8[np.ndarray, "h w"],
        classes: UInt8[np.ndarray, "h w"] | None,
    ) -> None:
        if classes is not None and prediction.semantic is not None:
            confusions[frame] = segmentation.count(prediction.semantic, classes, frame)
        for name, counts in counted.items():
            counts.add(frame, prediction.scores[name], label, frame, group=groups.get(frame, NO_GROUP))
        if waiting is not None:
            waiting.add(frame, prediction.scores, label)

    with Behind(threads) as behind:
        read = read_ahead(found.frames, _hashed(_read_anomaly_frame))
        for frame, ((image, label, classes), files) in track(
            read, found.name, total=len(found.frames), unit="frames"
        ):
            digest.add(frame.name, files)
            prediction = predict(predictor, image, scores, frame.name, semantic=classes is not None)
            behind(judge, frame.name, prediction, label, classes)
    components = {}
    if waiting is not None:
        for name in scores:
            components[name] = waiting.judge(name, counted[name].binned.result().best_threshold, threads)
    for frame in found.frames:
        if frame.name in confusions:
            segmentation.add_counted(confusions[frame.name])
    told = predictor.describe.get("tuned", {})
    notes = (*found.notes, *(f"{name}: {told[name]}." for name in scores if name in told))
    return judge_counts(
        replace(found, notes=notes),
        counted,
        components=components,
        inputs_sha256=digest.hexdigest(),
        segmentation=ClassFigures(segmentation.result()) if segmentation.confusion.any() else None,
    )


def _about(found: BenchmarkSet, score: str, protocol: Protocol, tpr: float) -> About:
    return About(
        found.name,
        score,
        protocol.name,
        found.benchmark,
        found.layout,
        tpr=tpr,
        part=found.part,
        labels=found.labels,
        options=found.options,
    )


def _judge_segmentation(found: SegmentationSet, predictor: Predictor) -> SegmentationSetResult:
    metrics, digest = SegmentationMetrics(), InputDigest()
    read = read_ahead(found.frames, _hashed(_read_semantic_frame))
    read = track(read, found.name, total=len(found.frames), unit="frames")
    for frame, ((image, label), files) in read:
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
