"""The head of a JPEG file, looked through; and the one way to libjpeg.

Only the most common kind is understood: baseline, three channels of 8 bits, in one scan. Everything else is Pillow's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from jaxtyping import UInt8

EOI: Final = b"\xff\xd9"
"""The marker that ends a file."""

_SOI = b"\xff\xd8"
_SOF, _SOS, _DRI = 0xC0, 0xDA, 0xDD
_KEPT = (0xC4, 0xDB, 0xE0, 0xEE)  # tables, and what says how colours are coded; EXIF, profiles and comments are not
_DROPPED = (*range(0xE1, 0xEE), 0xEF, 0xFE)
_FULL = b"\x11\x11\x11"
_SAMPLINGS = (_FULL, b"\x21\x11\x11", b"\x12\x11\x11", b"\x22\x11\x11")


@dataclass(frozen=True, slots=True, eq=False)
class JpegHead:
    """What a file says before its first coded pixel.

    Attributes:
        width: in pixels.
        height: in pixels.
        sampling: pixels of brightness to one of colour, across and down: (1, 1) is 4:4:4, (2, 2) is 4:2:0.
        interval: MCUs from one restart marker to the next; 0: there are none.
        kept: the file up to the coded pixels, as far as decoding needs it.
        size_at: where in `kept` height and width are, 2 bytes each.
        scan_at: where in the file the coded pixels begin.
    """

    width: int
    height: int
    sampling: tuple[int, int]
    interval: int
    kept: bytes
    size_at: int
    scan_at: int


def jpeg_head(data: bytes) -> JpegHead | None:
    """Look through the head of a file; None for other formats, other kinds of JPEG and what cannot be understood."""
    if not data.startswith(_SOI):
        return None
    kept, at, size_at, width, height, interval, sampling = [_SOI], 2, 0, 0, 0, 0, (1, 1)
    while True:
        if at + 4 > len(data) or data[at] != 0xFF:
            return None
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        field = data[at : at + 2 + size]
        if size < 2 or len(field) < 2 + size:
            return None
        if kind == _SOF:
            # Three channels of 8 bits; the colours as fine as the brightness, or half as fine.
            if size_at or size != 17 or field[4] != 8 or field[9] != 3 or field[11::3] not in _SAMPLINGS:
                return None
            height, width = struct.unpack_from(">HH", field, 5)
            sampling = (field[11] >> 4, field[11] & 15)
            size_at = sum(map(len, kept)) + 5
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
        kept.append(field)
        at += 2 + size
        if kind == _SOS:
            break
    if not (width and height):
        return None
    return JpegHead(width, height, sampling, interval, b"".join(kept), size_at, at)


def resized(kept: bytes, size_at: int, height: int, width: int) -> tuple[bytes, bytes, bytes]:
    """The pieces of a head that says another size."""
    return kept[:size_at], struct.pack(">HH", height, width), kept[size_at + 4 :]


def decoded(data: bytes, height: int, width: int) -> UInt8[np.ndarray, "h w 3"] | None:
    """Pixels of a JPEG file of this size as RGB, as they lie in the file; None where libjpeg does not get that far.

    OpenCV's libjpeg and Pillow's give the same pixels; OpenCV needs two thirds of the time.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if pixels is None or pixels.shape != (height, width, 3) else np.asarray(pixels, np.uint8)
