"""A benchmark on disk: sets of frames, each an image and its label, and how they are read.

Benchmarks must be complete: a broken or missing file stops the evaluation with a sentence, where a builder of
training data would skip it. A figure over "most of the frames" could be compared with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from eval.benchmarks.encoding import PLAIN, Encoding
from eval.benchmarks.overlay import add_overlay
from shards.codec import decode_image, decode_map
from shards.delta import DeltaSet
from shards.errors import BadInput, UserError
from shards.labels import ANOMALY, IGNORE, KNOWN
from shards.progress import track
from shards.reader import ShardSet
from shards.sample import Sample

Layout = Literal["official", "flat", "shards"]


@dataclass(frozen=True, slots=True)
class BenchmarkFrame:
    """One image and its label, paired by parsed name.

    Attributes:
        name: unique within its set; no slash, so that files can be named after it.
        image: the photograph.
        label: the label map.
        encoding: what the values of the label map mean.
        overlay: a difference that is added to the photograph (Fishyscapes Static).
        group: the town or the weather that the frame is from; empty if the benchmark names none. A set is judged as a
            whole; `--layout` counts the groups, and open-mIoU takes the threshold of one from the others.
    """

    name: str
    image: Path
    label: Path
    encoding: Encoding = PLAIN
    overlay: Path | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class ShardFrame:
    """One sample of a shard set, to be judged like a benchmark's frame."""

    name: str
    shards: ShardSet | DeltaSet
    index: int


Frame = BenchmarkFrame | ShardFrame


@dataclass(frozen=True, slots=True)
class BenchmarkSet:
    """One set of a benchmark, judged on its own.

    Attributes:
        name: the folder's name; the key in results.json.
        benchmark: the benchmark that it is a part of.
        layout: as published, the flat layout that projects pass around, or shards built here.
        frames: in the order of their names.
        notes: what was recognised or left out; sentences for people.
        published: how many frames the published set has; None where that is not known.
        part: which set of the benchmark it is, such as "AnomalyTrack" or "Static"; empty where the benchmark has one
            only, or where nothing tells.
        options: of the benchmark, those that are not the default and change what is judged; JSON types.
    """

    name: str
    benchmark: str
    layout: Layout
    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()
    published: int | None = None
    part: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """How its labels are stored, in words; several where its frames differ."""
        stored = (frame.encoding if isinstance(frame, BenchmarkFrame) else PLAIN for frame in self.frames)
        return tuple(dict.fromkeys(encoding.name for encoding in stored))


@dataclass(frozen=True, slots=True)
class UnlabelledFrame:
    """One image that a host wants predicted, whether or not its label is public."""

    name: str
    image: Path


@dataclass(frozen=True, slots=True)
class UnlabelledSet:
    """Frames of a benchmark that is judged by its host.

    Attributes:
        name: the folder's name.
        benchmark: the benchmark that it is a part of.
        submission: the name that the host gives to the set; files of a submission lie in a folder of that name.
        frames: in the order of their names.
        notes: sentences for people.
    """

    name: str
    benchmark: str
    submission: str
    frames: tuple[UnlabelledFrame, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Pixels of a set by label."""

    known: int = 0
    anomaly: int = 0
    ignore: int = 0

    @classmethod
    def of(cls, label: UInt8[np.ndarray, "h w"]) -> PixelCounts:
        """Count one label, (H, W) uint8 of 0, 1 and 255."""
        counts = np.bincount(label.ravel(), minlength=256)
        return cls(int(counts[KNOWN]), int(counts[ANOMALY]), int(counts[IGNORE]))

    @property
    def total(self) -> int:
        """All pixels."""
        return self.known + self.anomaly + self.ignore

    def __add__(self, other: PixelCounts) -> PixelCounts:
        """Pool two counts."""
        return PixelCounts(self.known + other.known, self.anomaly + other.anomaly, self.ignore + other.ignore)


def read_image(frame: BenchmarkFrame | UnlabelledFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Read a frame's image, (H, W, 3) uint8 RGB, and add its overlay if it has one.

    Raises:
        UserError: missing, truncated or no picture; an overlay that is broken or of another size.
    """
    try:
        image = decode_image(_bytes(frame, frame.image), frame.image.name)
        if isinstance(frame, UnlabelledFrame) or frame.overlay is None:
            return image
        return add_overlay(image, _bytes(frame, frame.overlay), frame.overlay.name)
    except BadInput as error:
        raise UserError(f"Frame {frame.name}: the image cannot be read: {error.detail}.") from error


def read_label(frame: Frame) -> UInt8[np.ndarray, "h w"]:
    """Read a frame's label, (H, W) uint8: 0 known, 1 anomaly, 255 ignore.

    Raises:
        UserError: missing, truncated, in colour or with an unknown value.
    """
    if isinstance(frame, ShardFrame):
        return _sample(frame).anomaly
    stored = read_stored_label(frame)
    try:
        return frame.encoding.translate(stored)
    except ValueError as error:
        raise UserError(
            f"Frame {frame.name}: the label {frame.label.name} holds the values {_few(error.args[0])}; "
            f"expected {frame.encoding.name}."
        ) from error


def read_semantic(frame: Frame) -> UInt8[np.ndarray, "h w"] | None:
    """Read the classes of a frame's pixels, (H, W) uint8, 255 = none; None where its label knows no classes.

    What the numbers mean says `frame.encoding.classes`; those of shards are trainIds.

    Raises:
        UserError: missing, truncated or in colour.
    """
    if isinstance(frame, ShardFrame):
        return _sample(frame).semantic
    if frame.encoding.semantic is None:
        return None
    return frame.encoding.classify(read_stored_label(frame))


def read_stored_label(frame: BenchmarkFrame) -> UInt8[np.ndarray, "h w"]:
    """Read a frame's label as the file stores it.

    Raises:
        UserError: missing, truncated, in colour or with more than 8 bits.
    """
    try:
        stored = decode_map(_bytes(frame, frame.label), frame.label.name)
    except BadInput as error:
        raise UserError(f"Frame {frame.name}: the label cannot be read: {error.detail}.") from error
    if stored.dtype != np.uint8:
        raise UserError(f"Frame {frame.name}: the label {frame.label.name} holds 16 bits a pixel; expected 8.")
    return stored


def read_frame(frame: Frame) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """Read image and label of a frame.

    Raises:
        UserError: either is broken, or their sizes differ.
    """
    if isinstance(frame, ShardFrame):
        sample = _sample(frame)
        return sample.image, sample.anomaly
    image, label = read_image(frame), read_label(frame)
    if image.shape[:2] != label.shape:
        raise UserError(
            f"Frame {frame.name}: the label has {label.shape[1]}x{label.shape[0]} pixels "
            f"but the image {image.shape[1]}x{image.shape[0]}; they must be equal."
        )
    return image, label


def count_pixels(benchmark_set: BenchmarkSet) -> PixelCounts:
    """Count the labels of a set and refuse what cannot be judged, before a network spends hours on it.

    Raises:
        UserError: a broken label; labels that are hidden (void or dummy everywhere) or hold one side only.
    """
    counts = sum((PixelCounts.of(read_label(frame)) for frame in benchmark_set.frames), PixelCounts())
    check_judgeable(benchmark_set.name, counts)
    return counts


def with_anomaly(frames: tuple[BenchmarkFrame, ...], name: str) -> tuple[BenchmarkFrame, ...]:
    """The frames whose label holds an anomaly; reads every label.

    Raises:
        UserError: a broken label.
    """
    reading = track(frames, f"Labels of {name}", total=len(frames), unit="frames")
    return tuple(frame for frame in reading if (read_label(frame) == ANOMALY).any())


def check_judgeable(name: str, counts: PixelCounts) -> None:
    """Refuse the labels of a set that can give no figure.

    Raises:
        UserError: hidden (void or dummy everywhere), or one side only.
    """
    if not counts.known and not counts.anomaly:
        raise UserError(
            f"The labels of {name} are void everywhere: these are the stand-ins of a hidden test set. "
            "Evaluate on the validation frames, or submit to the benchmark."
        )
    if not counts.anomaly:
        other = (
            ", and so do labels in which 255 is the anomaly (`anomsynth eval scores --encoding 255-is-anomaly`)"
            if counts.ignore
            else ""
        )
        raise UserError(
            f"The labels of {name} hold no anomaly pixel, so AP, AUROC and FPR95 do not exist; "
            f"dummy labels of a hidden test set look like this{other}."
        )
    if not counts.known:
        raise UserError(f"The labels of {name} hold no known pixel, so AUROC and FPR95 do not exist: dummy labels?")


def _sample(frame: ShardFrame) -> Sample:
    try:
        return frame.shards[frame.index]
    except BadInput as error:
        raise UserError(f"Sample {frame.name} cannot be read: {error.detail}.") from error


def _bytes(frame: BenchmarkFrame | UnlabelledFrame, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"Frame {frame.name}: cannot read {path}: {error.strerror}.") from error


def _few(values: list[int]) -> str:
    shown = ", ".join(map(str, values[:5]))
    return shown if len(values) <= 5 else f"{shown} and {len(values) - 5} more"
