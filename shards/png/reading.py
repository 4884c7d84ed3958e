"""Reading PNG files of the plain kind (8 bits, colour or grey, not interlaced), whole or only a rectangle.

For these it is three times as fast as common decoders; everything else is left to Pillow (`shards/coded.py`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

import numpy as np
from isal import isal_zlib
from jaxtyping import UInt8

from shards.errors import BadInput
from shards.png.filters import unfiltered
from shards.png.strips import MARK, SIGNATURE

_START = SIGNATURE + b"\x00\x00\x00\x0dIHDR"
_Damaged = cast(type[Exception], isal_zlib.IsalError)  # its type stubs say that the class were an instance


@dataclass(frozen=True, slots=True)
class PlainPng:
    """Where the parts of a plain PNG file are.

    Attributes:
        width: in pixels.
        height: in pixels.
        step: bytes a pixel: 3 or 1.
        pieces: (start, end) of the data of each IDAT chunk.
        strip: rows a strip where the file is made of strips, else None; piece k then holds strip k, the last one
            none.
    """

    width: int
    height: int
    step: int
    pieces: tuple[tuple[int, int], ...]
    strip: int | None


def plain_png(data: bytes, name: str = "image") -> PlainPng | None:
    """Look through the chunks of a file.

    The checksums of all kinds are compared: Pillow, which reads the other kinds, passes over those of the pixels.

    Returns:
        Where everything is; None for other formats, other kinds of PNG, and chunks in an order that PNG forbids.

    Raises:
        BadInput: ``truncated-image`` or ``unreadable-image`` for a PNG that is cut off or damaged.
    """
    if len(data) < 33 or not data.startswith(_START):
        return None
    width, height, depth, color, method, filtering, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    plain = depth == 8 and color in (0, 2) and not (method or filtering or interlaced) and width > 0 and height > 0
    view, at, mark, kind = memoryview(data), 8, None, b""
    pieces: list[tuple[int, int]] = []
    while kind != b"IEND":
        if at + 12 > len(data):
            raise BadInput("truncated-image", f"{name} is truncated: it ends before its last chunk")
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + size
        if end + 4 > len(data):
            raise BadInput("truncated-image", f"{name} is truncated: it ends within a chunk")
        if isal_zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise BadInput("unreadable-image", f"{name}: a checksum of the PNG file does not match")
        if kind == b"IDAT":
            plain = plain and (not pieces or at == pieces[-1][1] + 4)  # else something stands between them
            pieces.append((at + 8, end))
        elif kind == MARK and size == 2:
            mark = int.from_bytes(view[at + 8 : end])
        elif kind[0] < 97 and kind != b"IEND" and at != 8:  # a critical chunk that we do not know, or a second head
            plain = False
        at = end + 4
    if not plain:
        return None
    whole = mark and len(pieces) == -(-height // mark) + 1
    return PlainPng(width, height, 3 if color == 2 else 1, tuple(pieces), mark if whole else None)


def read_png(
    data: bytes, file: PlainPng, name: str = "image", box: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Pixels of a plain PNG.

    Args:
        data: the file's bytes.
        file: what `plain_png` says of them.
        name: what to call it in an error.
        box: (left, top, width, height) of the rectangle that is wanted, inside the picture; None: all of it. Of a
            file in strips only the strips that the rectangle meets are inflated.

    Returns:
        (H, W, 3) uint8 RGB, or (H, W) uint8 of a grey one.

    Raises:
        BadInput: ``truncated-image`` or ``unreadable-image``.
    """
    left, top, width, height = box or (0, 0, file.width, file.height)
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > file.width or top + height > file.height:
        raise ValueError(f"the box {box} does not lie in {file.width}x{file.height} pixels")
    # A whole picture is inflated as one stream, which checks its Adler-32 too: chunks that were swapped, doubled or
    # replaced by those of another picture have good CRCs. A crop of strips has only the CRCs, which suffice against
    # damage; it takes the file's word that its chunks are the picture's own and in order.
    strip = None if box is None else file.strip
    above, below, pieces = 0, file.height, file.pieces
    if strip is not None:
        first, last = top // strip, -(-(top + height) // strip)
        above, below, pieces = first * strip, min(last * strip, file.height), file.pieces[first:last]
    line = 1 + file.width * file.step
    view = memoryview(data)
    stream = b"".join([view[start:end] for start, end in pieces])
    if strip is not None and above == 0:
        stream = stream[2:]  # the stream's own head, which only its first strip has
    coded = _inflated(stream, (below - above) * line, name, zlib=strip is None).reshape(-1, line)
    if above > 0 and coded[0, 0] > 1:
        raise BadInput("unreadable-image", f"{name}: a strip looks at the rows above it")
    pixels = np.empty((top + height - above, (left + width) * file.step), np.uint8)
    if not unfiltered(coded, file.step, pixels):
        raise BadInput("unreadable-image", f"{name} names a filter that PNG does not have")
    pixels = pixels[top - above :, left * file.step :]
    return pixels.reshape(height, width, 3) if file.step == 3 else pixels


def _inflated(stream: bytes, size: int, name: str, *, zlib: bool) -> UInt8[np.ndarray, n]:
    """Inflate exactly `size` bytes, never more than one beyond: a guard against bombs.

    Args:
        stream: a whole zlib stream, or raw deflate blocks out of its middle.
        size: bytes that should come out.
        name: what to call the picture in an error.
        zlib: which of the two it is.
    """
    inflater = isal_zlib.decompressobj(15 if zlib else -15)
    try:
        data = inflater.decompress(stream, size + 1)
    except _Damaged as error:
        raise BadInput("unreadable-image", f"{name}: its compressed data are damaged") from error
    if len(data) > size:
        raise BadInput("unreadable-image", f"{name} holds more pixels than it says")
    if len(data) < size or inflater.eof != zlib:
        raise BadInput("truncated-image", f"{name} is truncated: it holds fewer pixels than it says")
    return np.frombuffer(data, np.uint8)
