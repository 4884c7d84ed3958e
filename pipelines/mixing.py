"""From a frame and what a sample changes about it to the sample: as arrays, or straight to the coded members.

Both ways give the same sample; a test holds them together. The second one decodes and codes a frame once for all
samples that are made of it, and codes again only the strips that an object touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from pipelines.pixels import count_pixels
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
class Change:
    """What a sample changes about its frame.

    Attributes:
        meta: provenance, without ``pixels``, which are counted when the patches are laid.
        patches: from back to front; places are those in the crop, if there is one.
        crop: (left, top, width, height) of the rectangle of the frame that the sample shows; None: all of it.
    """

    meta: Mapping[str, Any]
    patches: tuple[Patch, ...] = ()
    crop: tuple[int, int, int, int] | None = None


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
    for layer in _layers(behind, change.patches):
        lay(layer, front.image, front.anomaly, front.semantic)
    meta = _told(change.meta, count_pixels(front.anomaly))
    return Sample(key, front.image, front.anomaly, front.semantic, meta=meta)


@dataclass(frozen=True, slots=True)
class CodedBase:
    """A frame with its PNG strips, ready for many samples.

    Attributes:
        base: the frame.
        image: its picture.
        anomaly: its anomaly map.
        semantic: its trainIds.
        pixels: of its anomaly map by label.
    """

    base: Base
    image: StripPng
    anomaly: StripPng
    semantic: StripPng
    pixels: Mapping[str, int]

    @classmethod
    def of(cls, base: Base) -> CodedBase:
        """Code a frame."""
        image, anomaly, semantic = (StripPng.of(array) for array in (base.image, base.anomaly, base.semantic))
        return cls(base, image, anomaly, semantic, count_pixels(base.anomaly))

    def mixed(self, change: Change) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The PNG members of a sample without a crop, and its meta: what coding `mixed` would give.

        Returns:
            Files by member name (``image``, ``anomaly``, ``semantic``), and the meta with ``pixels``.
        """
        image, anomaly, semantic, pixels = self.image, self.anomaly, self.semantic, dict(self.pixels)
        layers = _layers(self.base, change.patches)
        for top, bottom in rows_touched(layers, image.height, ROWS):
            part = self.base.cropped((0, top, image.width, bottom - top)).copied()
            before = count_pixels(part.anomaly)
            for layer in layers:
                lay(layer, part.image, part.anomaly, part.semantic, top)
            after = count_pixels(part.anomaly)
            pixels = {name: count - before[name] + after[name] for name, count in pixels.items()}
            image = image.with_rows(top, part.image)
            anomaly, semantic = anomaly.with_rows(top, part.anomaly), semantic.with_rows(top, part.semantic)
        files = {"image": image.file(), "anomaly": anomaly.file(), "semantic": semantic.file()}
        return files, _told(change.meta, pixels)


def _layers(base: Base, patches: Sequence[Patch]) -> list[Layer]:
    return [fitted(patch, base.image) for patch in patches]


def _told(meta: Mapping[str, Any], pixels: Mapping[str, int]) -> dict[str, Any]:
    """The meta with its pixel counts, before the list of what was rejected."""
    told = {**meta, "pixels": dict(pixels)}
    told["rejected"] = told.pop("rejected")
    return told
