"""The upper rows of an ordinary JPEG file, decoded without those below.

Rows of MCUs follow each other, so a file whose head says a smaller height is a file of its upper rows. Its end marker
is left away: libjpeg would look for it through all the rest and complain about what lies in between. Without one,
OpenCV gives the picture if the rows were complete, and none where the data ended before (4.11 and 5.0 do).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from shards.jpeg import BLOCK
from shards.jpeg_head import EOI, JpegHead, decoded, resized


def upper_rows(data: bytes, head: JpegHead, bottom: int) -> UInt8[np.ndarray, "h w 3"] | None:
    """Decode the rows above `bottom`.

    Args:
        data: the file's bytes.
        head: what `jpeg_head` says of them.
        bottom: 1 to the height of the picture.

    Returns:
        (bottom, W, 3) uint8 RGB, the same pixels as those of the whole. None where the file does not end
        with its end marker (it was cut off, or something follows the picture), or its data seem to end too early.
    """
    if not data.endswith(EOI):
        return None
    tall = BLOCK * head.sampling[1]
    # Colours at half the resolution are interpolated between rows, so one more row of MCUs is looked at.
    rows = -(-bottom // tall) + (head.sampling[1] > 1)
    height = min(rows * tall, head.height)
    if head.interval:
        height = head.height  # or libjpeg would stumble over the next restart marker
    scan = memoryview(data)[head.scan_at :]
    if height < head.height:
        scan = scan[: -len(EOI)]
    parts = (*resized(head.kept, head.size_at, height, head.width), scan)
    pixels = decoded(b"".join(parts), height, head.width)
    return None if pixels is None else pixels[:bottom]
