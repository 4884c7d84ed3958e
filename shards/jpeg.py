"""Pictures as JPEG files of which a rectangle can be read alone.

Baseline, all channels at full resolution (4:4:4: an MCU, the smallest coded unit, is 8x8 pixels, and no pixel depends
on its neighbours in another one), and with restart markers at equal places of every row of MCUs. What lies between
two markers can be decoded without what came before; `shards/jpeg_crop.py` makes use of that. Any decoder opens the
files.

JPEG has no checksums, and decoders make some picture of almost any bytes. So the files carry a seal: an application
segment, which others skip, with the CRC-32 of everything else.
"""

from __future__ import annotations

import io
import struct
from typing import Final

import numpy as np
from isal import isal_zlib
from jaxtyping import UInt8
from PIL import Image

from shards.errors import BadInput, UserError

BLOCK: Final = 8
"""Pixels a side of an MCU at 4:4:4."""
RESTART: Final = 16
"""MCUs from one restart marker to the next, where the width allows it.

On Cityscapes frames (quality 95) markers every 32, 16 or 8 MCUs add 0.7, 1.3 or 2.7 % to the file, and a crop of
700x700 pixels takes 3.7, 3.3 or 3.1 ms."""
MAX_SIDE: Final = 65500
"""Pixels a side beyond which libjpeg does not go."""

_INTERVALS = range(8, 65)  # fewer MCUs between markers cost too many bytes, more make crops slow
_SEAL = b"\xff\xef\x00\x10anomsynth\x00"  # APP15 of 16 bytes: the size itself, the name, the checksum
_SEAL_WITHIN = 64  # bytes from the begin of a file


def encode_jpeg(image: UInt8[np.ndarray, "h w 3"], quality: int = 95) -> bytes:
    """Encode as JPEG with restart markers: equal pixels give equal bytes for equal versions of Pillow and libjpeg.

    The tables for Huffman codes are the standard's. Tables made for the picture would save 1.8 % of the file and cost
    more than twice the time.

    Args:
        image: (H, W, 3) uint8 RGB.
        quality: 1 to 100, as libjpeg counts it.

    Raises:
        UserError: for another quality, or for a picture that JPEG cannot hold.
    """
    if not 1 <= quality <= 100:
        raise UserError(
            f"The quality of JPEG goes from 1 to 100, {quality} was given: choose one, 95 is the default."
        )
    height, width = image.shape[:2]
    if max(height, width) > MAX_SIDE:
        raise UserError(f"JPEG holds at most {MAX_SIDE} pixels a side, not {width}x{height}: choose png.")
    file = io.BytesIO()
    Image.fromarray(image).save(
        file,
        "JPEG",
        quality=quality,
        subsampling=0,
        optimize=False,
        progressive=False,
        restart_marker_blocks=restart_interval(width),
    )
    data = file.getvalue()
    at = 4 + int.from_bytes(data[4:6])  # behind the first segment, JFIF's own
    return data[:at] + _SEAL + struct.pack(">I", isal_zlib.crc32(data)) + data[at:]


def restart_interval(width: int) -> int:
    """MCUs from one restart marker to the next for a picture of so many pixels a row.

    Every row of MCUs must begin with a marker, or a rectangle would need more than its own segments. So it is the
    divisor of the MCUs a row that is nearest to `RESTART`: 16 for 2048, 1920 and 1280 pixels, 15 for 720, 25 for
    1000. Where there is none from 8 to 64 (a prime number of MCUs, say), it is the whole row, and a crop saves only
    the rows above and below it.
    """
    blocks = -(-width // BLOCK)
    divisors = [interval for interval in _INTERVALS if blocks % interval == 0]
    return min(divisors, key=lambda interval: abs(interval - RESTART), default=blocks)


def check_seal(data: bytes, name: str = "image") -> None:
    """Compare a file with its seal; one without a seal passes, be it JPEG or not.

    Raises:
        BadInput: ``truncated-image`` where the end marker is missing, else ``unreadable-image``.
    """
    at = data.find(_SEAL, 0, _SEAL_WITHIN)
    if at < 0:
        return
    view, end = memoryview(data), at + len(_SEAL) + 4
    if int.from_bytes(view[end - 4 : end]) == isal_zlib.crc32(view[end:], isal_zlib.crc32(view[:at])):
        return
    if not data.endswith(b"\xff\xd9"):
        raise BadInput("truncated-image", f"{name} ends before its end marker")
    raise BadInput("unreadable-image", f"{name}: the checksum of the JPEG file does not match")
