"""Predicted class maps beside score maps: mIoU of a set's own classes, and open-mIoU where it has several towns.

    results = judge_scores(paired, protocol, "mine").as_json()
    add_segmentation(results, judge_classes(Path("StreetHazards"), paired, Path("classes")))

A class map is a file a frame, named like the frame or with `_segmentation` behind it: an 8-bit PNG or an .npy of
uint8, which holds the classes of the set, counted from 0 (StreetHazards: 0 ... 12; elsewhere trainIds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from eval.benchmarks import FINDERS, BenchmarkFrame, BenchmarkSet, find_sets
from eval.benchmarks.sets import read_label, read_stored_label
from eval.files import BROKEN
from eval.metrics.open_miou import CONVENTION as OPEN_CONVENTION
from eval.metrics.open_miou import OpenFrame, OpenMaps, OpenResult, open_miou
from eval.metrics.segmentation import CONVENTION, SegmentationMetrics, SegmentationResult
from eval.scoremaps import PairedSet, frame_key, read_score_map
from shards.codec import decode_map
from shards.errors import BadInput, UserError
from shards.labels import IGNORE, KNOWN
from shards.plural import plural
from shards.progress import track

_SUFFIXES: Final = (".png", ".npy")


@dataclass(frozen=True, slots=True)
class ClassResult:
    """What came out.

    Attributes:
        name: of the set.
        classes: names of its classes.
        closed: mIoU and mAcc of the known pixels.
        open: open-mIoU; None for a set of one group.
    """

    name: str
    classes: tuple[str, ...]
    closed: SegmentationResult
    open: OpenResult | None

    def as_json(self) -> dict[str, Any]:
        """The `segmentation` of a set in results.json."""
        entry: dict[str, Any] = {
            "metrics": dict(self.closed.metrics),
            "iou_per_class": dict(zip(self.classes, self.closed.iou, strict=True)),
            "convention": dict(CONVENTION),
        }
        if self.open is not None:
            entry["metrics"]["open_mIoU"] = self.open.miou
            entry["open_groups"] = [
                {"group": name, "frames": found.frames, "threshold": found.threshold, "open_mIoU": found.miou}
                for name, found in self.open.groups.items()
            ]
            entry["open_convention"] = dict(OPEN_CONVENTION)
        return entry


def judge_classes(labels: Path, paired: PairedSet, semantic: Path) -> ClassResult:
    """Judge the class maps of a set.

    Args:
        labels: the benchmark set, in its official layout where its towns are to be told apart.
        paired: its score maps, from `find_pairs`.
        semantic: folder of the class maps, in subfolders too.

    Raises:
        UserError: the labels are no benchmark set or know no classes; a class map is missing, broken, of another
            size or holds a class that does not exist; what `open_miou` raises.
    """
    frames = _frames(labels, paired)
    files = map_files(semantic, "class map", "--semantic")
    missing = [frame.name for frame in frames if frame_key(frame.name) not in files]
    if missing:
        raise UserError(
            f"{len(missing)} of {plural(len(frames), 'frame')} {'has' if len(missing) == 1 else 'have'} no class "
            f"map in {semantic}, the first {missing[0]}."
        )
    scores = {pair.name: pair.score for pair in paired.pairs}
    names = frames[0].encoding.classes
    closed = SegmentationMetrics(len(names))
    for frame in track(frames, f"{paired.name}: classes", total=len(frames), unit="frames"):
        classes, label = _known_classes(frame)
        predicted = read_map(files[frame_key(frame.name)], "class map")
        if predicted.shape != label.shape:
            raise UserError(
                f"The class map of {frame.name} has {predicted.shape[1]}x{predicted.shape[0]} pixels but its label "
                f"{label.shape[1]}x{label.shape[0]}; they must be equal."
            )
        closed.add(predicted, np.where(label == KNOWN, classes, IGNORE).astype(np.uint8), frame.name)
    opened = None
    if len({frame.group for frame in frames}) > 1:
        several = [
            OpenFrame(
                frame.name, frame.group, partial(_maps, frame, scores[frame.name], files[frame_key(frame.name)])
            )
            for frame in frames
        ]
        opened = open_miou(several, len(names))
    return ClassResult(paired.name, names, closed.result(), opened)


def add_segmentation(results: Mapping[str, Any], found: ClassResult) -> None:
    """Put the figures into the content of a results.json, beside those of the scores."""
    results["sets"][found.name]["segmentation"] = found.as_json()


def _frames(labels: Path, paired: PairedSet) -> list[BenchmarkFrame]:
    """The set's frames that have a score map."""
    known = paired.benchmark is not None and paired.benchmark in FINDERS
    sets = find_sets(str(paired.benchmark), labels) if known else []
    wanted = {pair.name for pair in paired.pairs}
    frames = [
        frame
        for found in sets
        if isinstance(found, BenchmarkSet)
        for frame in found.frames
        if isinstance(frame, BenchmarkFrame) and frame.name in wanted
    ]
    if {frame.name for frame in frames} != wanted or any(frame.encoding.semantic is None for frame in frames):
        raise UserError(
            f"The labels of {labels} tell no classes, so class maps cannot be judged: give --labels the folder of a "
            "benchmark whose labels do, such as StreetHazards or MUAD."
        )
    return frames


def map_files(folder: Path, what: str, option: str) -> dict[str, Path]:
    """The PNG and .npy files of a folder by the frame that they are named after.

    Args:
        folder: searched at any depth.
        what: what the files are, for the error.
        option: that the folder was given by.

    Raises:
        UserError: no such folder, or two files of one frame.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: give {option} the folder that holds a {what} for each frame.")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
            continue
        key = frame_key(path.stem.removesuffix("_segmentation"))
        if key in files:
            raise UserError(f"{folder} holds two files for the {what} of {key}: {files[key].name} and {path.name}.")
        files[key] = path
    return files


def _known_classes(frame: BenchmarkFrame) -> tuple[UInt8[np.ndarray, "_h _w"], UInt8[np.ndarray, "_h _w"]]:
    """Labelled classes, 255 = none, and the anomaly label."""
    classes = frame.encoding.classify(read_stored_label(frame))
    assert classes is not None
    return classes, read_label(frame)


def _maps(frame: BenchmarkFrame, score: Path, semantic: Path) -> OpenMaps:
    classes, label = _known_classes(frame)
    return OpenMaps(read_score_map(score), read_map(semantic, "class map"), classes, label)


def read_map(path: Path, what: str) -> UInt8[np.ndarray, "_h _w"]:
    """Read a map of small whole numbers, (H, W) uint8.

    Raises:
        UserError: missing, broken, in colour, or of another type or shape; names the file.
    """
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                stored = np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        else:
            stored = decode_map(path.read_bytes(), path.name)
    except OSError as error:
        raise UserError(f"The {what} {path} cannot be read: {error.strerror or error}.") from error
    except BadInput as error:
        raise UserError(f"The {what} {path} cannot be read: {error.detail}.") from error
    except BROKEN as error:
        raise UserError(f"The {what} {path} is broken or no .npy file: {error}.") from error
    if stored.dtype != np.uint8 or stored.ndim != 2:
        raise UserError(f"The {what} {path} holds {stored.dtype} of shape {stored.shape}; expected (H, W) uint8.")
    return stored
