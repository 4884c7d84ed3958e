"""A rectangle of a JPEG file, decoded without the rest.

Where restart markers divide every row of MCUs into segments, the segments that a rectangle meets are, under the
file's own tables and a header with a smaller size, a JPEG file themselves. At 4:4:4 its pixels are exactly those of
the whole.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from shards.errors import BadInput
from shards.jpeg import BLOCK, check_seal
from shards.jpeg_head import EOI, decoded, jpeg_head, resized

_RESTARTS = tuple(bytes((0xFF, 0xD0 + number)) for number in range(8))


@dataclass(frozen=True, slots=True, eq=False)
class JpegIndex:
    """Where the segments of a JPEG file are.

    Attributes:
        width: in pixels.
        height: in pixels.
        interval: MCUs a segment.
        head: a file's begin up to the first segment, as far as decoding needs it.
        size_at: where in `head` height and width are, 2 bytes each.
        starts: where each segment begins in the file, row after row; it ends 2 bytes, those of a marker, before the
            next begins. One more is behind the end.
    """

    width: int
    height: int
    interval: int
    head: bytes
    size_at: int
    starts: Int64[np.ndarray, " n"]


def index_jpeg(data: bytes, name: str = "image") -> JpegIndex | None:
    """Look for the segments of a file.

    Args:
        data: the file's bytes.
        name: what to call it in an error.

    Returns:
        Where everything is. None for other formats and other kinds of JPEG (no or unsuitable restart markers,
        subsampled colours, progressive, grey), and for a header that cannot be understood: decode those as a whole.

    Raises:
        BadInput: ``truncated-image`` or ``unreadable-image`` where the file does not match its seal, or the header
            promises segments that are not there.
    """
    check_seal(data, name)
    head = jpeg_head(data)
    if head is None or head.sampling != (1, 1) or not head.interval:
        return None
    width, height, interval = head.width, head.height, head.interval
    across, down = -(-width // BLOCK), -(-height // BLOCK)
    if across % interval:
        return None
    starts = _segments(data, head.scan_at, across // interval * down, name)
    return None if starts is None else JpegIndex(width, height, interval, head.kept, head.size_at, starts)


def _segments(data: bytes, first: int, expected: int, name: str) -> Int64[np.ndarray, " n"] | None:
    """Where segments begin, and behind the last marker; None where a scan is not the file's last."""
    scan = np.frombuffer(data, np.uint8, offset=first)
    places = np.flatnonzero(scan[:-1] == 0xFF)
    kinds = scan[places + 1]
    # 0 stands for a 255 of the coded pixels, and markers may have more than one 255 in front of them.
    marks = (kinds != 0) & (kinds != 0xFF)
    places, kinds = places[marks], kinds[marks]
    others = np.flatnonzero((kinds & 0xF8) != 0xD0)
    if not others.size:
        raise BadInput("truncated-image", f"{name} ends before its end marker")
    last = others[0]
    if kinds[last] != 0xD9:
        return None
    if last != expected - 1:
        raise BadInput(
            "unreadable-image", f"{name} has {last} restart markers where its size asks for {expected - 1}"
        )
    if ((kinds[:last] ^ np.arange(last)) & 7).any():
        raise BadInput("unreadable-image", f"{name}: its restart markers are out of order")
    return first + np.concatenate(([0], places[: last + 1] + 2))


def crop_jpeg(
    data: bytes, index: JpegIndex, left: int, top: int, width: int, height: int, name: str = "image"
) -> UInt8[np.ndarray, "h w 3"]:
    """Decode a rectangle: the same pixels as those of the whole picture.

    Damage to the coded pixels of a file without a seal, if it leaves the markers alone, cannot be told from pixels,
    as in any JPEG file; libjpeg may say a word about it on stderr.

    Args:
        data: the file's bytes.
        index: what `index_jpeg` says of them.
        left: of the rectangle, in pixels; it lies inside the picture.
        top: of the rectangle, in pixels.
        width: of the rectangle, in pixels, at least 1.
        height: of the rectangle, in pixels, at least 1.
        name: what to call it in an error.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        BadInput: ``unreadable-image``.
    """
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > index.width or top + height > index.height:
        raise ValueError(f"the box {(left, top, width, height)} does not lie in {index.width}x{index.height} pixels")
    wide = index.interval * BLOCK
    across = -(-index.width // wide)
    begin, end = left // wide, -(-(left + width) // wide)
    above, below = top // BLOCK, -(-(top + height) // BLOCK)
    size = min(below * BLOCK, index.height) - above * BLOCK, min(end * wide, index.width) - begin * wide
    parts: list[bytes | memoryview] = list(resized(index.head, index.size_at, *size))
    view, number = memoryview(data), 0
    for row in range(above, below):
        starts = index.starts[row * across + begin : row * across + end + 1].tolist()
        for start, follows in itertools.pairwise(starts):
            parts += (view[start : follows - 2], _RESTARTS[number & 7])
            number += 1
    parts[-1] = EOI
    pixels = decoded(b"".join(parts), *size)
    if pixels is None:
        raise BadInput("unreadable-image", f"{name}: its JPEG data are damaged")
    y, x = top - above * BLOCK, left - begin * wide
    return pixels[y : y + height, x : x + width]
