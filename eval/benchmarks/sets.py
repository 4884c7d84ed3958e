"""A benchmark on disk: sets of frames, each an image and its label, and how they are read.

Benchmarks must be complete: a broken or missing file stops the evaluation with a sentence, where a builder of
training data would skip it. A figure over "most of the frames" could be compared with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from shards.codec import decode_image, decode_map
from shards.errors import BadInput, UserError
from shards.labels import ANOMALY, IGNORE, KNOWN
from shards.reader import ShardSet
from shards.sample import Sample

Layout = Literal["official", "flat", "shards"]
Encoding = Literal["0-1-255", "2-is-anomaly"]
"""How a label file stores its three meanings: as we do, or as RoadAnomaly does (2 and up; 0 and 1 are known)."""


@dataclass(frozen=True, slots=True)
class BenchmarkFrame:
    """One image and its label, paired by parsed name."""

    name: str
    image: Path
    label: Path
    encoding: Encoding = "0-1-255"


@dataclass(frozen=True, slots=True)
class ShardFrame:
    """One sample of a shard set, to be judged like a benchmark's frame."""

    name: str
    shards: ShardSet
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
    """

    name: str
    benchmark: str
    layout: Layout
    frames: tuple[Frame, ...]
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

    def __add__(self, other: PixelCounts) -> PixelCounts:
        """Pool two counts."""
        return PixelCounts(self.known + other.known, self.anomaly + other.anomaly, self.ignore + other.ignore)


def read_image(frame: BenchmarkFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Read a frame's image, (H, W, 3) uint8 RGB.

    Raises:
        UserError: missing, truncated or no picture.
    """
    try:
        return decode_image(_bytes(frame, frame.image), frame.image.name)
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
    if frame.encoding == "2-is-anomaly":
        return np.where(stored == IGNORE, IGNORE, stored >= 2).astype(np.uint8)
    unknown = (stored != KNOWN) & (stored != ANOMALY) & (stored != IGNORE)
    if unknown.any():
        found = np.unique(stored[unknown]).tolist()
        raise UserError(
            f"Frame {frame.name}: the label {frame.label.name} holds the values {_few(found)}; "
            "expected 0 (known), 1 (anomaly) and 255 (ignore)."
        )
    return stored


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
        raise UserError(
            f"The labels of {name} hold no anomaly pixel, so AP, AUROC and FPR95 do not exist; "
            "dummy labels of a hidden test set look like this."
        )
    if not counts.known:
        raise UserError(f"The labels of {name} hold no known pixel, so AUROC and FPR95 do not exist: dummy labels?")


def _sample(frame: ShardFrame) -> Sample:
    try:
        return frame.shards[frame.index]
    except BadInput as error:
        raise UserError(f"Sample {frame.name} cannot be read: {error.detail}.") from error


def _bytes(frame: BenchmarkFrame, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"Frame {frame.name}: cannot read {path}: {error.strerror}.") from error


def _few(values: list[int]) -> str:
    shown = ", ".join(map(str, values[:5]))
    return shown if len(values) <= 5 else f"{shown} and {len(values) - 5} more"
