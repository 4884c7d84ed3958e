"""Laying the objects of a delta over their frame: whole, or only a rectangle of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from shards.coded import Box, CodedSample
from shards.delta.storing import Delta
from shards.errors import BadInput
from shards.labels import IGNORE, KNOWN, count_pixels
from shards.patches import Patch, fitted, lay, surroundings, window
from shards.sample import Sample

_GREY: Final = 128  # of the frame that nobody has


def laid(key: str, delta: Delta, base: Sample) -> Sample:
    """The sample as a build over the frames gives it.

    Args:
        key: of the sample.
        delta: what it changes.
        base: its frame as a plain sample; not changed.

    Returns:
        The sample; its meta has ``pixels``.

    Raises:
        BadInput: ``size-mismatch``: the frame is of another size.
    """
    height, width = base.anomaly.shape
    _check_size(key, delta, width, height)
    sample = _over(key, delta, _cut(base, delta.crop or (0, 0, width, height)), 0, 0)
    return replace(sample, meta={**delta.meta, "pixels": count_pixels(sample.anomaly)})


def preview(key: str, delta: Delta) -> Sample:
    """The objects at their places on grey, for eyes that do not have the frame."""
    width, height = delta.frame
    grey, known = np.full((height, width, 3), _GREY, np.uint8), np.full((height, width), KNOWN, np.uint8)
    return laid(key, delta, Sample(key, grey, known, np.full((height, width), IGNORE, np.uint8)))


class LaidSample:
    """A sample of a delta set over its frame, of which nothing is decoded: used like a `CodedSample`.

    Attributes:
        key: as in `Sample`.
        width: of the sample in pixels.
        height: of the sample in pixels.

    Args:
        key: of the sample.
        delta: what it changes.
        base: its frame.

    Raises:
        BadInput: ``size-mismatch``: the frame is of another size.
    """

    __slots__ = ("_base", "_delta", "height", "key", "width")

    def __init__(self, key: str, delta: Delta, base: CodedSample) -> None:
        _check_size(key, delta, base.width, base.height)
        self.key, self._delta, self._base = key, delta, base
        self.width, self.height = delta.size

    @property
    def meta(self) -> dict[str, Any]:
        """Provenance without ``pixels``, which only the whole sample tells."""
        return dict(self._delta.meta)

    def decode(self, box: Box | None = None) -> Sample:
        """Decode what is wanted of the frame and lay the objects over it.

        Args:
            box: (left, top, width, height) of the rectangle that is wanted, inside the sample; all of it without one.

        Returns:
            The sample, its meta with ``pixels``; or what the rectangle shows of it, its meta without them.

        Raises:
            BadInput: as `CodedSample.decode`.
        """
        if box is None or box == (0, 0, self.width, self.height):
            return laid(self.key, self._delta, self._base.decode())
        left, top, width, height = box
        if left < 0 or top < 0 or width < 1 or height < 1 or left + width > self.width or top + height > self.height:
            raise ValueError(f"the box {box} does not lie in {self.width}x{self.height} pixels")
        x, y, wide, high = _needed(self._delta, box)
        origin = self._delta.crop or (0, 0)
        part = self._base.decode((origin[0] + x, origin[1] + y, wide, high))
        return _cut(_over(self.key, self._delta, part, x, y), (left - x, top - y, width, height))


def _over(key: str, delta: Delta, part: Sample, left: int, top: int) -> Sample:
    """The objects over a part of the frame whose upper left corner is (left, top) of the sample."""
    image, anomaly, semantic = part.image.copy(), part.anomaly.copy(), part.semantic.copy()
    moved = [replace(patch, left=patch.left - left, top=patch.top - top) for patch in delta.patches]
    whole = anomaly.shape == delta.size[::-1]
    for patch in moved:
        if whole or _meets(patch, anomaly.shape[1], anomaly.shape[0]):
            lay(fitted(patch, part.image), image, anomaly, semantic)
    return Sample(key, image, anomaly, semantic, meta=delta.meta)


def _needed(delta: Delta, box: Box) -> Box:
    """What must be decoded of a sample so that a rectangle of it is right: what its objects look at, too."""
    left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
    for patch in delta.patches:
        inside = replace(patch, left=patch.left - box[0], top=patch.top - box[1])
        if patch.blend.reads == "nothing" or not _meets(inside, box[2], box[3]):
            continue
        if patch.blend.reads == "frame":
            return (0, 0, *delta.size)
        rows, columns = surroundings(patch, *delta.size)
        left, top = min(left, columns.start), min(top, rows.start)
        right, bottom = max(right, columns.stop), max(bottom, rows.stop)
    return left, top, right - left, bottom - top


def _meets(patch: Patch, width: int, height: int) -> bool:
    """Whether an object, its soft edge included, may show in a picture of this size."""
    seen, _ = window(patch.mask.shape, patch.left, patch.top, width, height)
    return all(part.start < part.stop for part in seen)


def _cut(sample: Sample, box: Box) -> Sample:
    left, top, width, height = box
    part = np.s_[top : top + height, left : left + width]
    return replace(sample, image=sample.image[part], anomaly=sample.anomaly[part], semantic=sample.semantic[part])


def _check_size(key: str, delta: Delta, width: int, height: int) -> None:
    if (width, height) != delta.frame:
        wanted = f"{delta.frame[0]}x{delta.frame[1]}"
        raise BadInput("size-mismatch", f"{key} was made over a frame of {wanted}, this one is {width}x{height}")
