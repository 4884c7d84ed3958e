"""Judge score maps of any tool under a protocol; no network, no torch.

    pairs = find_pairs(Path("maps"), Path("dataset_AnomalyTrack"), PROTOCOLS["smiyc-anomaly"])
    judge_scores(pairs, PROTOCOLS["smiyc-anomaly"], "energy", source="maps", out=Path("report"))

writes in the schema of `eval/results.py`: OUT/results.json, and frames.json and counts.npz, so that
`anomsynth report --compare` takes it. With each score stand

    "protocol": NAME, "inputs_sha256": of the score maps and labels, "component_threshold": ...,
    "stored_as": ["float64"], "judged_as": ["float32"]              what the maps hold; float16 is judged as float16
    "binned_convention": {...}, "component_convention": {...}       where the protocol has such figures
    "frames_judged": ..., "frames_of_one_class": ...                where it takes the mean over frames

Parts of a benchmark that were counted elsewhere are judged together by `merge_parts`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from eval.benchmarks.sets import PixelCounts, check_judgeable
from eval.files import write_json
from eval.frame_figures import COUNTS, FRAMES, save_counts
from eval.inputs import InputDigest, versions
from eval.metrics import ComponentMetrics, ComponentResult
from eval.metrics.bootstrap import interval_rows, intervals
from eval.metrics.frame_draws import component_intervals
from eval.metrics.pixel import convention
from eval.official import mean_over_frames, official_entry
from eval.overlap import read_ahead
from eval.protocols import Protocol
from eval.results import RESULTS, SCHEMA
from eval.score_counts import About, ScoreCounts
from eval.scoremaps import PairedSet, ScoreMap, ScorePair, read_score_map
from shards.errors import UserError
from shards.labels import IGNORE
from shards.progress import track

NO_COMPONENTS: Final = (
    "sIoU, PPV and F1 need the score maps once the threshold is known, which parts do not hold: "
    "judge the whole set in one go for them."
)

_JUDGED_AS: Final = {"float16": "float16", "float32": "float32", "float64": "float32"}


def count_scores(paired: PairedSet, protocol: Protocol, score: str = "score", source: str = "") -> ScoreCounts:
    """Count the score maps of a set, or of the part of it that has some.

    Args:
        paired: from `find_pairs`.
        protocol: what they will be judged by.
        score: what to call the score.
        source: what to call where the maps come from.

    Raises:
        UserError: a broken label or score map, sizes that differ, a label that is void everywhere, or a whole set
            that holds no anomaly or no known pixel; names the file.
    """
    _check_labels(paired)
    about = About(paired.name, score, protocol.name, paired.benchmark or "", paired.layout, source)
    counts = ScoreCounts(about, missing=set(paired.missing), notes=paired.notes)
    read = read_ahead(paired.pairs, _read_hashed)
    for pair, (values, label, hashes) in track(read, paired.name, total=len(paired.pairs), unit="frames"):
        counts.add(pair.name, values, label, str(pair.score), hashes)
    return counts


def judge_scores(
    paired: PairedSet, protocol: Protocol, score: str = "score", *, source: str = "", out: Path | None = None
) -> dict[str, Any]:
    """Judge the score maps of a whole set; where the protocol judges components, they are read twice.

    Args:
        paired: from `find_pairs`.
        protocol: the rules.
        score: what to call the score.
        source: what to call where the maps come from.
        out: folder for results.json; nothing is written without it.

    Returns:
        The content of results.json.

    Raises:
        UserError: as `count_scores` and `results_of`. Nothing has been written then.
    """
    counts = count_scores(paired, protocol, score, source)
    components = {}
    if protocol.components is not None and not counts.missing:
        components[counts.about.set, counts.about.score] = _judge_components(paired, counts)
    return results_of([counts], out, components)


def merge_parts(parts: Sequence[Path], out: Path | None = None) -> dict[str, Any]:
    """Judge parts that `ScoreCounts.save` wrote, of one or several sets and scores.

    Returns:
        The content of results.json.

    Raises:
        UserError: no part, a broken one, a frame in two parts, or frames that no part holds.
    """
    if not parts:
        raise UserError("No parts: give the files that `anomsynth eval scores --part` wrote.")
    joined: dict[tuple[str, str], ScoreCounts] = {}
    for path in track(parts, "parts", total=len(parts), unit="files"):
        part = ScoreCounts.load(path)
        whole = joined.setdefault((part.about.set, part.about.score), part)
        if whole is not part:
            try:
                whole.merge(part)
            except UserError as error:
                raise UserError(f"{path} does not fit to the parts before it: {error}") from error
    return results_of(list(joined.values()), out)


def results_of(
    counted: Sequence[ScoreCounts],
    out: Path | None = None,
    components: Mapping[tuple[str, str], ComponentResult] | None = None,
) -> dict[str, Any]:
    """The content of results.json.

    Args:
        counted: whole sets; several of one set are scores beside each other.
        out: folder for results.json, frames.json and counts.npz; nothing is written without it.
        components: (set, score) -> component figures, where they were judged.

    Raises:
        UserError: frames are missing, the labels hold one class only, or no frame holds both; scores of one set that
            were counted over different frames or labels.
    """
    sets: dict[str, dict[str, Any]] = {}
    first_of: dict[str, ScoreCounts] = {}
    for counts in counted:
        if counts.missing:
            total = len(counts.frames) + len(counts.missing)
            raise UserError(
                f"{len(counts.missing)} of {total} frames of {counts.about.set} are in no part, the first "
                f"{min(counts.missing)}: give all parts."
            )
        check_judgeable(counts.about.set, counts.pixels)
        _check_alike(first_of.setdefault(counts.about.set, counts), counts)
        entry = sets.setdefault(counts.about.set, _set_entry(counts))
        found = (components or {}).get((counts.about.set, counts.about.score))
        entry["scores"][counts.about.score] = _score_entry(counts, found)
        further: tuple[str, ...] = (NO_COMPONENTS,) if counts.protocol.components and found is None else ()
        if counts.inexact:
            further += (
                f"{counts.about.score}: the float64 values of {len(counts.inexact)} of {len(counts.frames)} score "
                "maps were rounded to float32 before they were judged.",
            )
        entry["notes"] = list(dict.fromkeys((*entry["notes"], *counts.notes, *further)))
    results = {
        "schema": SCHEMA,
        "created_by": {"anomsynth": importlib.metadata.version("anomsynth")},
        "versions": versions(),
        "predictor": {"score_maps": sorted({counts.about.source for counts in counted})},
        "sets": sets,
    }
    if out is not None:
        _write_frames(counted, out)
        write_json(out / RESULTS, results)
    return results


def _check_alike(first: ScoreCounts, counts: ScoreCounts) -> None:
    """Refuse scores of one set that one entry cannot tell of."""
    scores = f"{first.about.score} and {counts.about.score} of {first.about.set}"
    for one, other in ((first, counts), (counts, first)):
        if alone := sorted(one.frames - other.frames):
            raise UserError(
                f"{scores} were counted over different frames: {len(alone)} are only in {one.about.score}, the first "
                f"{alone[0]}. Count both over the same frames, or give the sets different names with --set-name."
            )
    if first.pixels != counts.pixels:
        raise UserError(
            f"{scores} were counted over different labels: {_told(first)} and {_told(counts)} pixels. Count both "
            "over the same labels, or give the sets different names with --set-name."
        )
    for key in ("benchmark", "layout"):
        mine, theirs = getattr(first.about, key), getattr(counts.about, key)
        if mine != theirs:
            raise UserError(f"{scores} differ in their {key}: {mine!r} and {theirs!r}. Count both over one folder.")


def _told(counts: ScoreCounts) -> str:
    pixels = counts.pixels
    return f"{pixels.known} known, {pixels.anomaly} anomaly and {pixels.ignore} void"


def _write_frames(counted: Sequence[ScoreCounts], out: Path) -> None:
    """frames.json and counts.npz (`frame_figures.py`); a mean over frames has no pool to draw from, so no counts."""
    of_frame: dict[str, dict[str, Any]] = {}
    rounded: dict[str, dict[str, Any]] = {}
    for counts in counted:
        name, score = counts.about.set, counts.about.score
        of_frame.setdefault(name, {})[score] = {frame: counts.of_frame[frame] for frame in sorted(counts.frames)}
        if counts.rounded:
            rounded.setdefault(name, {})[score] = [counts.rounded[frame] for frame in sorted(counts.frames)]
    write_json(out / FRAMES, {"schema": SCHEMA, "sets": of_frame})
    save_counts(out / COUNTS, rounded)


def _judge_components(paired: PairedSet, counts: ScoreCounts) -> ComponentResult:
    """The component figures at the threshold with the best F1 of the official curve on the same frames."""
    assert counts.protocol.components is not None
    check_judgeable(paired.name, counts.pixels)
    metrics = ComponentMetrics(counts.protocol.components)
    threshold = counts.binned.result().best_threshold
    read = read_ahead(paired.pairs, _read)
    name = f"{paired.name}: components"
    for pair, (values, label) in track(read, name, total=len(paired.pairs), unit="frames"):
        metrics.add(values, threshold, label, str(pair.score))
    return metrics.result()


def _check_labels(paired: PairedSet) -> None:
    """Refuse labels that cannot be judged, before the score maps are read."""
    pixels = PixelCounts()
    for pair in track(paired.pairs, "labels", total=len(paired.pairs), unit="files"):
        found = PixelCounts.of(pair.label.read())
        if not found.known and not found.anomaly:
            raise UserError(
                f"The label {pair.label.path} is void everywhere (all {IGNORE}), as the stand-ins of hidden test "
                "labels are: leave its frame out, or submit to the benchmark."
            )
        pixels += found
    if not paired.missing:
        check_judgeable(paired.name, pixels)


def _read(pair: ScorePair) -> tuple[ScoreMap, UInt8[np.ndarray, "h w"]]:
    """A score map and its label, of one size."""
    values, label = read_score_map(pair.score), pair.label.read()
    if values.shape != label.shape:
        raise UserError(
            f"The score map {pair.score} has {values.shape[1]}x{values.shape[0]} pixels but its label "
            f"{pair.label.path} {label.shape[1]}x{label.shape[0]}; they must be equal."
        )
    return values, label


def _read_hashed(pair: ScorePair) -> tuple[ScoreMap, UInt8[np.ndarray, "h w"], dict[str, str]]:
    """And the sha256 of both files, while the system still holds them."""
    values, label = _read(pair)
    hashes = {}
    for part, path in (("score", pair.score), ("label", pair.label.path)):
        with path.open("rb") as file:
            hashes[part] = hashlib.file_digest(file, "sha256").hexdigest()
    return values, label, hashes


def _set_entry(counts: ScoreCounts) -> dict[str, Any]:
    pixels = {"known": counts.pixels.known, "anomaly": counts.pixels.anomaly, "ignore": counts.pixels.ignore}
    return {
        "benchmark": counts.about.benchmark or None,
        "layout": counts.about.layout,
        "frames": len(counts.frames),
        "notes": [],
        "pixels": pixels,
        "scores": {},
    }


def _score_entry(counts: ScoreCounts, components: ComponentResult | None) -> dict[str, Any]:
    """Figures and convention of one score."""
    protocol = counts.protocol
    rules = convention(protocol.reach)
    digest = InputDigest()
    for frame in sorted(counts.frames):
        digest.add(frame, counts.hashes[frame])
    entry: dict[str, Any] = {
        "protocol": protocol.name,
        "convention": rules,
        "inputs_sha256": digest.hexdigest(),
        "stored_as": sorted(set(counts.kinds.values())),
        "judged_as": sorted({_JUDGED_AS[kind] for kind in counts.kinds.values()}),
    }
    if protocol.pooling == "per-image":
        judged = {frame: figures for frame, figures in counts.of_frame.items() if figures is not None}
        rules["pooling"] = "mean over frames; frames of one class are passed over"
        entry |= {"frames_judged": len(judged), "frames_of_one_class": len(counts.of_frame) - len(judged)}
        return {"metrics": mean_over_frames(counts.about.set, judged), **entry}
    result = counts.pool.result(reach=protocol.reach)
    metrics = dict(result.metrics)
    entry |= {"threshold95": result.point.threshold, "best_F1_threshold": result.best_threshold}
    # The bootstrap reads FPR95 at the first threshold with TPR >= .95.
    drawn = intervals([counts.rounded[frame] for frame in sorted(counts.frames)])
    entry["intervals"] = interval_rows(
        {figure: found for figure, found in drawn.items() if figure != "FPR95" or protocol.reach == "first"}
    )
    if components is not None:
        entry["intervals"] += interval_rows(component_intervals(components.frames))
    if protocol.binned:
        further, beside = official_entry(protocol, counts.binned.result(), components)
        metrics |= further
        entry |= beside
    return {"metrics": metrics, **entry}
