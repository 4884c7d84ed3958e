"""COCO's run lengths: runs of zeros and ones by turns, column by column, as text and as pixels."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Int64

from shards.compiled import compiled

_LARGEST = 55  # bits that numbers of a picture's size stay far below


def expanded(text: bytes) -> Int64[np.ndarray, n]:
    """The run lengths that COCO's compressed form says.

    Each number is coded little end first in characters that carry five bits and a "more follows" bit, with a sign bit
    in the last one; from the third on, numbers are differences to the number two before.

    Raises:
        ValueError: what is wrong with the text, as the end of a sentence.
    """
    counts = np.empty(len(text), np.int64)
    size = _expand(np.frombuffer(text, np.uint8), counts)
    if size == -1:
        raise ValueError("end in the middle of a number")
    if size == -2:
        raise ValueError("hold a number beyond all pictures")
    if size < 0:
        raise ValueError(f"hold the byte {-size - 3}")
    return counts[:size]


def painted(counts: Int64[np.ndarray, n], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The pixels of runs that add up to height * width: (H, W) bool.

    Raises:
        ValueError: they do not.
    """
    if (counts < 0).any() or int(counts.sum()) != height * width:
        raise ValueError("do not add up to the picture's pixels")
    mask = np.zeros((height, width), np.bool_)
    _paint(counts, mask)
    return mask


@compiled
@no_type_check
def _expand(text, counts):
    """Fills `counts`; returns how many there are, or what is wrong as a negative number."""
    size = 0
    value = shift = np.int64(0)
    for character in text:
        code = np.int64(character) - 48
        if not 0 <= code < 64:
            return -3 - np.int64(character)
        if shift > _LARGEST:
            return -2
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            if code & 0x10:
                value -= np.int64(1) << shift
            counts[size] = value + (counts[size - 2] if size > 2 else 0)
            size += 1
            value = shift = np.int64(0)
    return -1 if shift else size


@compiled
@no_type_check
def _paint(counts, mask):
    """Every second run becomes True."""
    height = len(mask)
    y = x = 0
    for place in range(len(counts)):
        left = counts[place]
        if place % 2 == 0:
            x += (y + left) // height
            y = (y + left) % height
            continue
        while left > 0:
            rows = min(left, height - y)
            for row in range(y, y + rows):
                mask[row, x] = True
            left -= rows
            y += rows
            if y == height:
                x, y = x + 1, 0
