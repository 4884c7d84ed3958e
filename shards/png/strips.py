"""Pictures as strips of rows, strips as an ordinary PNG file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from isal import isal_zlib
from jaxtyping import UInt8

from shards.png.filters import filtered
from shards.png.literals import FINAL_BLOCK, deflate_literals

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
ROWS: Final = 32
"""Rows a strip: fewer make a paste cheaper and the file larger (0.2 % from 64 to 32)."""
MARK: Final = b"stRP"
"""Chunk that says how many rows a strip has; a private one that others skip, and drop with a changed picture."""

_STREAM_HEAD = b"\x78\x01"  # zlib: deflate, a window of 32 KiB
_DENSE = 1.5  # bits a byte below which repetitions are worth looking for
_ADLER = 65521


@dataclass(frozen=True, slots=True)
class Strip:
    """Coded rows.

    Attributes:
        chunk: the whole IDAT chunk.
        adler: Adler-32 of the filtered rows.
        size: bytes of the filtered rows.
    """

    chunk: bytes
    adler: int
    size: int


@dataclass(frozen=True, slots=True)
class StripPng:
    """A picture of coded strips: what is pasted into it changes some of them, the others are used again.

    Attributes:
        width: in pixels.
        height: in pixels.
        step: bytes a pixel: 3 for colours, 1 for maps.
        strips: from top to bottom, `ROWS` rows each, the last one perhaps fewer.
    """

    width: int
    height: int
    step: int
    strips: tuple[Strip, ...]

    @classmethod
    def of(cls, pixels: np.ndarray) -> StripPng:
        """Code a picture: (H, W, 3) or (H, W) uint8.

        Raises:
            ValueError: the array is something else, or empty.
        """
        if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2 or not pixels.size:
            raise ValueError(f"a picture is (H, W, 3) or (H, W) uint8, not {pixels.shape} {pixels.dtype}")
        height, width = pixels.shape[:2]
        step = 3 if pixels.ndim == 3 else 1
        return cls(width, height, step, tuple(_coded(pixels, step, first=True)))

    def with_rows(self, top: int, rows: np.ndarray) -> StripPng:
        """The picture with other pixels in some whole strips.

        Args:
            top: first of the rows, a multiple of `ROWS`.
            rows: (H, W, 3) or (H, W) uint8: whole strips, or up to the picture's last row.

        Raises:
            ValueError: the rows are no whole strips of this picture, or no rows of its width and kind.
        """
        bottom = top + len(rows)
        if top < 0 or top % ROWS or (bottom % ROWS and bottom != self.height) or bottom > self.height:
            raise ValueError(f"rows {top} to {bottom} of {self.height} are no whole strips")
        if rows.dtype != np.uint8 or rows.shape[1:] != ((self.width, 3) if self.step == 3 else (self.width,)):
            raise ValueError(f"rows of {rows.shape} {rows.dtype} in a picture {self.width} wide, {self.step} deep")
        first = top // ROWS
        changed = tuple(_coded(rows, self.step, first=first == 0))
        return replace(self, strips=self.strips[:first] + changed + self.strips[first + len(changed) :])

    def file(self) -> bytes:
        """The PNG file; equal pixels give equal bytes, whichever strips were coded when."""
        color = 2 if self.step == 3 else 0
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, 8, color, 0, 0, 0))
        adler = 1
        for strip in self.strips:
            adler = _joined(adler, strip.adler, strip.size)
        tail = chunk(b"IDAT", FINAL_BLOCK + struct.pack(">I", adler)) + chunk(b"IEND", b"")
        mark = chunk(MARK, struct.pack(">H", ROWS))
        return b"".join([SIGNATURE, head, mark, *(strip.chunk for strip in self.strips), tail])


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file: length, kind, data, CRC-32 of kind and data."""
    check = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", check)])


def _coded(pixels: np.ndarray, step: int, *, first: bool) -> Iterable[Strip]:
    """The strips of some rows; `first` if the picture begins with them."""
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    lines = filtered(rows, step, ROWS)
    for top in range(0, len(lines), ROWS):
        raw = lines[top : top + ROWS].reshape(-1)
        blocks = _photo(raw) if step == 3 else _flat(raw)
        head = _STREAM_HEAD if first and top == 0 else b""
        yield Strip(chunk(b"IDAT", head + blocks), isal_zlib.adler32(raw), raw.size)


def _photo(raw: UInt8[np.ndarray, n]) -> bytes:
    """Deflate blocks of colours: literals, unless the strip is flat enough to repeat itself."""
    blocks = deflate_literals(raw)
    if 8 * len(blocks) > _DENSE * raw.size:
        return blocks
    return min(blocks, _deflated(raw, zlib.Z_DEFAULT_STRATEGY), key=len)


def _flat(raw: UInt8[np.ndarray, n]) -> bytes:
    """Deflate blocks of a map, whose differences are runs of zeros: a third of the time of a full search, and less
    bytes.
    """
    return _deflated(raw, zlib.Z_RLE)


def _deflated(raw: UInt8[np.ndarray, n], strategy: int) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    return packer.compress(raw.data) + packer.flush(zlib.Z_FULL_FLUSH)


def _joined(first: int, second: int, size: int) -> int:
    """Adler-32 of two pieces in a row, of which the second has `size` bytes, from the sums of each."""
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + size * ((first & 0xFFFF) - 1)
    return high % _ADLER << 16 | low % _ADLER
