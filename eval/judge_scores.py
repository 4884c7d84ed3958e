"""Judge score maps of any tool under a protocol; no network, no torch.

    pairs = find_pairs(Path("maps"), Path("dataset_AnomalyTrack"), PROTOCOLS["smiyc-anomaly"])
    judge_scores(pairs, PROTOCOLS["smiyc-anomaly"], "energy", source="maps", out=Path("report"))

counts and judges as `eval/run.py` does, frames in several threads, and writes the same files in the same schema
(`eval/results.py`, `eval/result_files.py`). With each score stand

    "protocol": NAME, "inputs_sha256": of the score maps and labels, "component_threshold": ...,
    "stored_as": ["float64"], "judged_as": ["float32"]              what the maps hold; float16 is judged as float16
    "binned_convention": {...}, "component_convention": {...}       where the protocol has such figures
    "frames_judged": ..., "frames_of_one_class": ...                where it takes the mean over frames

Parts of a benchmark that were counted elsewhere are judged together by `merge_parts`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from eval.benchmarks.sets import PixelCounts, check_judgeable
from eval.class_figures import ClassFigures
from eval.components import judge_set
from eval.inputs import InputDigest
from eval.judge_counts import judge_counts
from eval.metrics import ComponentMetrics, ComponentResult
from eval.metrics.conventions import TPR
from eval.overlap import judging_threads, read_ahead
from eval.parts import join_parts
from eval.protocols import Protocol
from eval.result_files import write_results
from eval.results import AnomalySetResult, Results
from eval.score_counts import About, CountedSet, ScoreCounts
from eval.scoremaps import PairedSet, ScoreMap, ScorePair, read_score_map
from shards.errors import UserError
from shards.labels import IGNORE
from shards.progress import track

NO_COMPONENTS: Final = (
    "sIoU, PPV and F1 need the score maps once the threshold is known, which parts do not hold: "
    "judge the whole set in one go for them."
)

_JUDGED_AS: Final = {"float16": "float16", "float32": "float32", "float64": "float32"}


def count_scores(
    paired: PairedSet,
    protocol: Protocol,
    score: str = "score",
    source: str = "",
    *,
    tpr: float = TPR,
    workers: int | None = None,
) -> ScoreCounts:
    """Count the score maps of a set, or of the part of it that has some.

    Args:
        paired: from `find_pairs`.
        protocol: what they will be judged by.
        score: what to call the score.
        source: what to call where the maps come from.
        tpr: the true positive rate that the false positive rate is read at, above 0 and at most 1.
        workers: frames that are read and counted at a time; by default as many as this process has cores, 1 ... 8.
            What is counted does not depend on it.

    Raises:
        UserError: a broken label or score map, sizes that differ, a label that is void everywhere, a whole set that
            holds no anomaly or no known pixel, or an impossible `tpr`; names the file.
    """
    if not 0 < tpr <= 1:
        raise UserError(f"--tpr is a share of the anomaly pixels, above 0 and at most 1, got {tpr:g}.")
    threads = judging_threads(workers)
    _check_labels(paired, threads)
    about = About(
        paired.name,
        score,
        protocol.name,
        paired.benchmark or "",
        paired.layout,
        (source,) if source else (),
        tpr,
        paired.part,
        paired.labels,
        paired.options,
    )
    counts = ScoreCounts(about, protocol, missing=set(paired.missing), notes=paired.notes)

    def count(pair: ScorePair) -> None:
        values, label = _read(pair)
        counts.add(pair.name, values, label, str(pair.score), _hashes(pair), pair.label.group)

    for _ in track(read_ahead(paired.pairs, count, threads), paired.name, total=len(paired.pairs), unit="frames"):
        pass
    return counts


def judge_scores(
    paired: PairedSet,
    protocol: Protocol,
    score: str = "score",
    *,
    source: str = "",
    out: Path | None = None,
    tpr: float = TPR,
    workers: int | None = None,
    masks: ComponentResult | None = None,
    segmentation: ClassFigures | None = None,
) -> Results:
    """Judge the score maps of a whole set; where the protocol judges components, they are read twice.

    Args:
        paired: from `find_pairs`.
        protocol: the rules.
        score: what to call the score.
        source: what to call where the maps come from.
        out: folder for the files of `write_results`; nothing is written without it.
        tpr: the true positive rate that the false positive rate is read at.
        workers: frames that are worked on at a time.
        masks: component figures of the method's own masks (`own_masks.py`), in the place of those at the official
            threshold.
        segmentation: figures of the method's class maps (`class_maps.py`).

    Raises:
        UserError: as `count_scores` and `results_of`. Nothing has been written then.
    """
    counts = count_scores(paired, protocol, score, source, tpr=tpr, workers=workers)
    components = {}
    if protocol.components is not None and not counts.missing:
        found = _judge_components(paired, counts, judging_threads(workers)) if masks is None else masks
        components[counts.about.set, counts.about.score] = found
    classes = {} if segmentation is None else {counts.about.set: segmentation}
    return results_of([counts], out, components, own_masks=masks is not None, segmentation=classes)


def merge_parts(parts: Sequence[Path], out: Path | None = None) -> Results:
    """Judge parts that `ScoreCounts.save` wrote, of one or several sets and scores.

    Args:
        parts: the files, in any order.
        out: folder for the files of `write_results`; nothing is written without it.

    Raises:
        UserError: no part, a broken one, a frame in two parts, or frames that no part holds.
    """
    return results_of(join_parts(parts), out)


def results_of(
    counted: Sequence[ScoreCounts],
    out: Path | None = None,
    components: Mapping[tuple[str, str], ComponentResult] | None = None,
    *,
    own_masks: bool = False,
    segmentation: Mapping[str, ClassFigures] | None = None,
) -> Results:
    """Judge what was counted.

    Args:
        counted: whole sets; several of one set are scores beside each other.
        out: folder for the files of `write_results`; nothing is written without it.
        components: (set, score) -> component figures, where they were judged.
        own_masks: whether those are of masks that a method handed in.
        segmentation: set -> figures of its known classes, where class maps were judged.

    Raises:
        UserError: frames are missing, the labels hold one class only, or no frame holds both; scores of one set that
            were counted over different frames or labels, or by different rules.
    """
    sets: dict[str, dict[str, ScoreCounts]] = {}
    for counts in counted:
        if counts.missing:
            total = len(counts.frames) + len(counts.missing)
            raise UserError(
                f"{len(counts.missing)} of {total} frames of {counts.about.set} are in no part, the first "
                f"{min(counts.missing)}: give all parts."
            )
        check_judgeable(counts.about.set, counts.pixels)
        scores = sets.setdefault(counts.about.set, {})
        for first in list(scores.values())[:1]:
            _check_alike(first, counts)
        scores[counts.about.score] = counts
    results = Results(
        {"score_maps": sorted({source for counts in counted for source in counts.about.sources})},
        {
            name: _judge_set(
                name,
                scores,
                {score: found for (of, score), found in (components or {}).items() if of == name},
                own_masks,
                (segmentation or {}).get(name),
            )
            for name, scores in sets.items()
        },
    )
    if out is not None:
        write_results(results, out)
    return results


def _judge_set(
    name: str,
    scores: Mapping[str, ScoreCounts],
    components: Mapping[str, ComponentResult],
    own_masks: bool,
    segmentation: ClassFigures | None,
) -> AnomalySetResult:
    """Judge all scores of a set."""
    notes: list[str] = []
    for score, counts in scores.items():
        notes += counts.notes
        if counts.protocol.components and score not in components:
            notes.append(NO_COMPONENTS)
        if rounded := sum(not found.exact for found in counts.frames.values()):
            notes.append(
                f"{score}: the float64 values of {rounded} of {len(counts.frames)} score maps were rounded "
                "to float32 before they were judged."
            )
    first = next(iter(scores.values()))
    about = first.about
    return judge_counts(
        CountedSet(
            name,
            about.benchmark or None,
            about.layout,
            tuple(sorted(first.frames)),
            tuple(dict.fromkeys(notes)),
            about.part,
            about.labels,
            about.options,
        ),
        scores,
        components=components,
        own_masks=own_masks,
        beside={score: _beside(counts) for score, counts in scores.items()},
        segmentation=segmentation,
    )


def _beside(counts: ScoreCounts) -> dict[str, Any]:
    """What a score that came from files has to say of them."""
    digest = InputDigest()
    for frame in sorted(counts.frames):
        digest.add(frame, counts.frames[frame].hashes)
    kinds = {found.kind for found in counts.frames.values()}
    return {
        "inputs_sha256": digest.hexdigest(),
        "stored_as": sorted(kinds),
        "judged_as": sorted({_JUDGED_AS[kind] for kind in kinds}),
    }


def _check_alike(first: ScoreCounts, counts: ScoreCounts) -> None:
    """Refuse scores of one set that one entry cannot tell of."""
    scores = f"{first.about.score} and {counts.about.score} of {first.about.set}"
    for one, other in ((first, counts), (counts, first)):
        if alone := sorted(one.frames.keys() - other.frames.keys()):
            raise UserError(
                f"{scores} were counted over different frames: {len(alone)} only in {one.about.score}, the first "
                f"{alone[0]}. Count both over the same frames, or give the sets different names with --set-name."
            )
    if first.pixels != counts.pixels:
        raise UserError(
            f"{scores} were counted over different labels: {_told(first)} and {_told(counts)} pixels. Count both "
            "over the same labels, or give the sets different names with --set-name."
        )
    for key in ("benchmark", "layout", "protocol", "tpr", "part", "labels", "options"):
        mine, theirs = getattr(first.about, key), getattr(counts.about, key)
        if mine != theirs:
            raise UserError(
                f"{scores} differ in their {key}: {mine!r} and {theirs!r}. Count both over one folder and by the "
                "same rules, or give the sets different names with --set-name."
            )


def _told(counts: ScoreCounts) -> str:
    pixels = counts.pixels
    return f"{pixels.known} known, {pixels.anomaly} anomaly and {pixels.ignore} void"


def _judge_components(paired: PairedSet, counts: ScoreCounts, threads: int) -> ComponentResult:
    """The component figures at the threshold with the best F1 of the official curve on the same frames."""
    assert counts.protocol.components is not None
    check_judgeable(paired.name, counts.pixels)
    threshold = counts.binned.result().best_threshold

    def add(metrics: ComponentMetrics, pair: ScorePair) -> None:
        values, label = _read(pair)
        metrics.add(values, threshold, label, pair.name)

    return judge_set(counts.protocol.components, paired.pairs, add, f"{paired.name}: components", threads)


def _check_labels(paired: PairedSet, threads: int) -> None:
    """Refuse labels that cannot be judged, before the score maps are read."""
    pixels = PixelCounts()
    read = read_ahead(paired.pairs, _label_pixels, threads)
    for pair, found in track(read, "labels", total=len(paired.pairs), unit="files"):
        if not found.known and not found.anomaly:
            raise UserError(
                f"The label {pair.label.path} is void everywhere (all {IGNORE}), as the stand-ins of hidden test "
                "labels are: leave its frame out, or submit to the benchmark."
            )
        pixels += found
    if not paired.missing:
        check_judgeable(paired.name, pixels)


def _label_pixels(pair: ScorePair) -> PixelCounts:
    return PixelCounts.of(pair.label.read())


def _read(pair: ScorePair) -> tuple[ScoreMap, UInt8[np.ndarray, "h w"]]:
    """A score map and its label, of one size."""
    values, label = read_score_map(pair.score), pair.label.read()
    if values.shape != label.shape:
        raise UserError(
            f"The score map {pair.score} has {values.shape[1]}x{values.shape[0]} pixels but its label "
            f"{pair.label.path} {label.shape[1]}x{label.shape[0]}; they must be equal."
        )
    return values, label


def _hashes(pair: ScorePair) -> dict[str, str]:
    """The sha256 of both files, while the system still holds them."""
    hashes = {}
    for part, path in (("score", pair.score), ("label", pair.label.path)):
        with path.open("rb") as file:
            hashes[part] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes
