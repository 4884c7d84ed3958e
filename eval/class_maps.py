"""Predicted class maps beside score maps: mIoU of a set's own classes, and open-mIoU where it has several towns.

    classes = judge_classes(paired, Path("classes"))
    judge_scores(paired, protocol, "mine", out=out, segmentation=classes)

A class map is a file a frame, named like the frame or with `_segmentation` behind it: an 8-bit PNG or an .npy of
uint8, which holds the classes of the set, counted from 0 (StreetHazards: 0 ... 12; elsewhere trainIds). Networks of
DenseHybrid know StreetHazards without its class "other": their maps hold 0 ... 11, which must be said
(`without_other`), since a map of 13 classes may lack the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import UInt8

from eval.benchmarks import BenchmarkFrame, streethazards
from eval.benchmarks.sets import read_label, read_stored_label
from eval.class_figures import ClassFigures
from eval.files import BROKEN
from eval.metrics.open_miou import DEFAULT, OpenFrame, OpenMaps, Reading, open_miou
from eval.metrics.segmentation import SegmentationMetrics
from eval.scoremaps import PairedSet, frame_key, read_score_map
from shards.codec import decode_map
from shards.errors import BadInput, UserError
from shards.labels import IGNORE, KNOWN
from shards.plural import plural
from shards.progress import track

Map = UInt8[np.ndarray, "_h _w"]

_SUFFIXES: Final = (".png", ".npy")
_OTHER: Final[Mapping[str, str]] = {streethazards.CARD.name: "other"}
"""Benchmark -> the class that open-mIoU leaves out there, as its own evaluator does."""


def judge_classes(
    paired: PairedSet, semantic: Path, *, reading: Reading = DEFAULT, without_other: bool = False
) -> ClassFigures:
    """Judge the class maps of a set.

    Args:
        paired: its score maps, from `find_pairs`; the labels' benchmark set, in its official layout where its towns
            are to be told apart.
        semantic: folder of the class maps, in subfolders too.
        reading: of open-mIoU; "strided" leaves out no class.
        without_other: the class maps number the classes without "other"; then it is void for mIoU, too.

    Raises:
        UserError: the labels are no benchmark set or know no classes; a class map is missing, broken, of another
            size or holds a class that does not exist; the set has no class "other"; what `open_miou` raises.
    """
    frames = _frames(paired)
    names = frames[0].encoding.classes
    other = _other(paired, names)
    if without_other and other is None:
        raise UserError(
            f"The classes of {paired.name} have no 'other' to be numbered without: --without-other is for "
            f"{' and '.join(_OTHER)}."
        )
    removed = other if without_other else None
    files = map_files(semantic, "class map", "--semantic")
    missing = [frame.name for frame in frames if frame_key(frame.name) not in files]
    if missing:
        raise UserError(
            f"{len(missing)} of {plural(len(frames), 'frame')} {'has' if len(missing) == 1 else 'have'} no class "
            f"map in {semantic}, the first {missing[0]}."
        )
    read = {frame.name: partial(_predicted, frame, files[frame_key(frame.name)], removed) for frame in frames}
    closed = SegmentationMetrics(len(names))
    for frame in track(frames, f"{paired.name}: classes", total=len(frames), unit="frames"):
        classes, label = _known_classes(frame)
        known = label == KNOWN
        if removed is not None:
            known &= classes != removed
        closed.add(read[frame.name](label), np.where(known, classes, IGNORE).astype(np.uint8), frame.name)
    opened = None
    if len({frame.group for frame in frames}) > 1:
        ignored = () if other is None or (reading == "strided" and not without_other) else (other,)
        scores = {pair.name: pair.score for pair in paired.pairs}
        several = [
            OpenFrame(frame.name, frame.group, partial(_maps, frame, scores[frame.name], read[frame.name]))
            for frame in frames
        ]
        opened = open_miou(several, len(names), reading=reading, ignored=ignored)
    return ClassFigures(closed.result(), names, () if removed is None else (names[removed],), opened)


def _frames(paired: PairedSet) -> list[BenchmarkFrame]:
    """The frames of the pairs."""
    frames = [pair.label.frame for pair in paired.pairs if pair.label.frame is not None]
    if len(frames) < len(paired.pairs) or any(frame.encoding.semantic is None for frame in frames):
        raise UserError(
            f"The labels of {paired.name} tell no classes, so class maps cannot be judged: give --labels the folder "
            "of a benchmark whose labels do, such as StreetHazards or MUAD."
        )
    return frames


def _other(paired: PairedSet, names: tuple[str, ...]) -> int | None:
    """The number of the class that open-mIoU leaves out."""
    name = _OTHER.get(paired.benchmark or "")
    return names.index(name) if name in names else None


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


def _known_classes(frame: BenchmarkFrame) -> tuple[Map, Map]:
    """Labelled classes, 255 = none, and the anomaly label."""
    classes = frame.encoding.classify(read_stored_label(frame))
    assert classes is not None
    return classes, read_label(frame)


def _maps(frame: BenchmarkFrame, score: Path, predicted: Callable[[Map], Map]) -> OpenMaps:
    classes, label = _known_classes(frame)
    return OpenMaps(read_score_map(score), predicted(label), classes, label)


def _predicted(frame: BenchmarkFrame, path: Path, removed: int | None, label: Map) -> Map:
    """A class map in the set's own numbers; what it holds at void pixels does not matter."""
    found = read_map(path, "class map")
    if found.shape != label.shape:
        raise UserError(
            f"The class map of {frame.name} has {found.shape[1]}x{found.shape[0]} pixels but its label "
            f"{label.shape[1]}x{label.shape[0]}; they must be equal."
        )
    if removed is None:
        return found
    last = len(frame.encoding.classes) - 2
    highest = int(found[label != IGNORE].max(initial=0))
    if highest > last:
        raise UserError(
            f"The class map of {frame.name} holds the class {highest}; without "
            f"{frame.encoding.classes[removed]!r} there are 0..{last}: leave --without-other away."
        )
    return np.where(found < removed, found, np.minimum(found, IGNORE - 1) + 1).astype(np.uint8)


def read_map(path: Path, what: str) -> Map:
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
