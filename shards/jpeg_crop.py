"""A rectangle of a JPEG file, decoded without the rest.

Where restart markers divide every row of MCUs into segments, the segments that a rectangle meets are, under the
file's own tables and a header with a smaller size, a JPEG file themselves. At 4:4:4 its pixels are exactly those of
the whole.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Int64, UInt8

from shards.errors import BadInput
from shards.jpeg import BLOCK, check_seal

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_SOF, _SOS, _DRI = 0xC0, 0xDA, 0xDD
_KEPT = (0xC4, 0xDB, 0xE0, 0xEE)  # tables, and what says how colours are coded; EXIF, profiles and comments are not
_DROPPED = (*range(0xE1, 0xEE), 0xEF, 0xFE)
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
    if not data.startswith(_SOI):
        return None
    head, at, size_at, width, height, interval = [_SOI], 2, 0, 0, 0, 0
    while True:
        if at + 4 > len(data) or data[at] != 0xFF:
            return None
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        field = data[at : at + 2 + size]
        if size < 2 or len(field) < 2 + size:
            return None
        if kind == _SOF:
            # Three channels of 8 bits that are coded at the same resolution.
            if size_at or size != 17 or field[4] != 8 or field[9] != 3 or field[11::3] != b"\x11\x11\x11":
                return None
            height, width = struct.unpack_from(">HH", field, 5)
            size_at = sum(map(len, head)) + 5
        elif kind == _DRI and size == 4:
            interval = int.from_bytes(field[4:])
        elif kind == _SOS:
            # All three in one scan, complete at once.
            if size != 12 or field[4] != 3 or field[11:] != b"\x00\x3f\x00":
                return None
        elif kind in _DROPPED:
            field = b""
        elif kind not in _KEPT:
            return None
        head.append(field)
        at += 2 + size
        if kind == _SOS:
            break
    across, down = -(-width // BLOCK), -(-height // BLOCK)
    if not (across and down and interval) or across % interval:
        return None
    starts = _segments(data, at, across // interval * down, name)
    return None if starts is None else JpegIndex(width, height, interval, b"".join(head), size_at, starts)


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
    parts: list[bytes | memoryview] = [
        index.head[: index.size_at],
        struct.pack(">HH", *size),
        index.head[index.size_at + 4 :],
    ]
    view, number = memoryview(data), 0
    for row in range(above, below):
        starts = index.starts[row * across + begin : row * across + end + 1].tolist()
        for start, follows in itertools.pairwise(starts):
            parts += (view[start : follows - 2], _RESTARTS[number & 7])
            number += 1
    parts[-1] = _EOI
    try:
        pixels = cv2.imdecode(
            np.frombuffer(b"".join(parts), np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        pixels = None
    if pixels is None or pixels.shape != (*size, 3):
        raise BadInput("unreadable-image", f"{name}: its JPEG data are damaged")
    y, x = top - above * BLOCK, left - begin * wide
    return pixels[y : y + height, x : x + width]
