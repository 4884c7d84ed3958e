"""From a frame and what a sample changes about it to the sample: as arrays, or straight to the coded members.

Both ways give the same sample; a test holds them together. The second one decodes and codes a frame once for all
samples that are made of it, and codes again only the strips that an object touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from pipelines.pixels import count_pixels
from shards.codec import encode_png
from shards.labels import ANOMALY
from shards.patches import Layer, Patch, fitted, lay, rows_touched
from shards.png.strips import ROWS, StripPng
from shards.sample import Sample


@dataclass(frozen=True, slots=True)
class Base:
    """A frame as its samples begin with it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        anomaly: (H, W) uint8: 0, 1, 255.
        semantic: (H, W) uint8 trainIds, 255 = ignore.
    """

    image: UInt8[np.ndarray, "h w 3"]
    anomaly: UInt8[np.ndarray, "h w"]
    semantic: UInt8[np.ndarray, "h w"]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.semantic.shape[1], self.semantic.shape[0]

    def cropped(self, crop: tuple[int, int, int, int] | None) -> Base:
        """The rectangle (left, top, width, height) of it; None: itself."""
        if crop is None:
            return self
        left, top, width, height = crop
        part = np.s_[top : top + height, left : left + width]
        return Base(self.image[part], self.anomaly[part], self.semantic[part])

    def copied(self) -> Base:
        """A copy that can be changed."""
        return Base(self.image.copy(), self.anomaly.copy(), self.semantic.copy())


@dataclass(frozen=True, slots=True)
class Relabel:
    """What a sample says otherwise about its frame, without touching the picture.

    Attributes:
        anomaly: (H, W) bool: pixels that become anomalies.
        extras: maps that are stored beside the labels, by name: (H, W) or (H, W, 3) uint8.
    """

    anomaly: Bool[np.ndarray, "h w"]
    extras: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Change:
    """What a sample changes about its frame.

    Attributes:
        meta: provenance, without ``pixels``, which are counted when the patches are laid.
        patches: from back to front; places are those in the crop, if there is one.
        crop: (left, top, width, height) of the rectangle of the frame that the sample shows; None: all of it.
        relabel: of the whole frame, before anything is laid; not together with a crop.
    """

    meta: Mapping[str, Any]
    patches: tuple[Patch, ...] = ()
    crop: tuple[int, int, int, int] | None = None
    relabel: Relabel | None = None


def mixed(key: str, base: Base, change: Change) -> Sample:
    """Lay the patches over the frame.

    Args:
        key: of the sample.
        base: the frame; not changed.
        change: what is different.

    Returns:
        The sample; its meta has ``pixels``.
    """
    behind = base.cropped(change.crop)
    front = behind.copied()
    extras: Mapping[str, np.ndarray] = {}
    if change.relabel is not None:
        front.anomaly[change.relabel.anomaly] = ANOMALY
        extras = change.relabel.extras
    for layer in _layers(behind, change.patches):
        lay(layer, front.image, front.anomaly, front.semantic)
    meta = _told(change.meta, count_pixels(front.anomaly))
    return Sample(key, front.image, front.anomaly, front.semantic, extras, meta)


@dataclass(frozen=True, slots=True)
class CodedBase:
    """A frame with its PNG strips, ready for many samples.

    Attributes:
        base: the frame.
        image: its picture; None where samples store it in a format without strips, which is coded anew each time.
        anomaly: its anomaly map.
        semantic: its trainIds.
        pixels: of its anomaly map by label.
    """

    base: Base
    image: StripPng | None
    anomaly: StripPng
    semantic: StripPng
    pixels: Mapping[str, int]

    @classmethod
    def of(cls, base: Base, *, image: bool = True) -> CodedBase:
        """Code a frame; its picture only if `image`."""
        return cls(
            base,
            StripPng.of(base.image) if image else None,
            StripPng.of(base.anomaly),
            StripPng.of(base.semantic),
            count_pixels(base.anomaly),
        )

    def mixed(self, change: Change) -> Mixed:
        """Lay the patches of a sample, and code anew what they touch: what coding `mixed` would give."""
        if change.relabel is not None:
            return self._relabelled(change.relabel).mixed(replace(change, relabel=None)).beside(change.relabel.extras)
        image, anomaly, semantic, pixels = self.image, self.anomaly, self.semantic, dict(self.pixels)
        picture = self.base.image.copy() if image is None else None
        layers = _layers(self.base, change.patches)
        width, height = self.base.size
        for top, bottom in rows_touched(layers, height, ROWS):
            part = self.base.cropped((0, top, width, bottom - top)).copied()
            before = count_pixels(part.anomaly)
            for layer in layers:
                lay(layer, part.image, part.anomaly, part.semantic, top)
            after = count_pixels(part.anomaly)
            pixels = {name: count - before[name] + after[name] for name, count in pixels.items()}
            anomaly, semantic = anomaly.with_rows(top, part.anomaly), semantic.with_rows(top, part.semantic)
            if image is not None:
                image = image.with_rows(top, part.image)
            if picture is not None:
                picture[top:bottom] = part.image
        png = None if image is None else image.file()
        return Mixed(png, picture, anomaly.file(), semantic.file(), _told(change.meta, pixels))

    def _relabelled(self, relabel: Relabel) -> CodedBase:
        """The frame with other labels; its picture and its trainIds are not coded again."""
        anomaly = self.base.anomaly.copy()
        anomaly[relabel.anomaly] = ANOMALY
        base = replace(self.base, anomaly=anomaly)
        return replace(self, base=base, anomaly=StripPng.of(anomaly), pixels=count_pixels(anomaly))


@dataclass(frozen=True, slots=True)
class Mixed:
    """A sample of which all but perhaps the picture is coded.

    Attributes:
        image: PNG file of the picture, or None.
        picture: (H, W, 3) uint8 RGB where it is to be coded in another format, else None.
        anomaly: PNG file.
        semantic: PNG file.
        meta: with ``pixels``.
        extras: PNG files of further maps by name.
    """

    image: bytes | None
    picture: UInt8[np.ndarray, "h w 3"] | None
    anomaly: bytes
    semantic: bytes
    meta: Mapping[str, Any]
    extras: Mapping[str, bytes] = field(default_factory=dict)

    def beside(self, extras: Mapping[str, np.ndarray]) -> Mixed:
        """The same with further maps."""
        return replace(self, extras={name: encode_png(extra) for name, extra in extras.items()})


def _layers(base: Base, patches: Sequence[Patch]) -> list[Layer]:
    return [fitted(patch, base.image) for patch in patches]


def _told(meta: Mapping[str, Any], pixels: Mapping[str, int]) -> dict[str, Any]:
    """The meta with its pixel counts, before the list of what was rejected."""
    told = {**meta, "pixels": dict(pixels)}
    told["rejected"] = told.pop("rejected")
    return told
