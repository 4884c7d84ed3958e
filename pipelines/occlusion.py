"""What of a frame stands between the camera and an object: known from the semantic map and from where feet stand.

Things that stand on one flat ground are the nearer, the lower in the picture their feet are. So a pixel of a thing
hides an object if the thing's foot is lower than the object's. What the foot of a pixel's thing is, two rules tell
(GUESS):

* What stands on its own (poles with their lights and signs; persons, riders and their bicycles) is a connected piece
  of such pixels, and its foot is the lowest row of the piece: an arm belongs to the legs below.
* Vehicles parked in a row are one piece that runs into the distance, so a pixel's foot is the lowest row of the
  unbroken column of hiding things below it.

The hidden pixels leave the object's mask; there the sample keeps the picture and the labels of its frame.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Int32, UInt8

OCCLUDERS: Final = (5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 18)
"""TrainIds of what can hide: poles, lights, signs, persons, riders, vehicles of all kinds, two-wheelers."""
_STANDING: Final = ((5, 6, 7), (11, 12, 17, 18))


def feet(semantic: UInt8[np.ndarray, "h w"], occluders: tuple[int, ...] = OCCLUDERS) -> Int32[np.ndarray, "h w"]:
    """For each pixel of a frame the row on which the thing that it shows stands.

    Args:
        semantic: (H, W) uint8 trainIds of the whole frame.
        occluders: trainIds of what can hide.

    Returns:
        (H, W) int32 rows; -1 where nothing is that hides.
    """
    hides = _is_one_of(semantic, occluders)
    height = len(semantic)
    rows = np.arange(height, dtype=np.int32)[:, None]
    # The next row below that is not hiding, or the frame's end; the foot is the row above it.
    gaps = np.where(hides, np.int32(height), rows)
    below: Int32[np.ndarray, "h w"] = np.minimum.accumulate(gaps[::-1], axis=0)[::-1] - np.int32(1)
    for group in _STANDING:
        alone = _is_one_of(semantic, tuple(name for name in group if name in occluders))
        _, pieces, boxes, _ = cv2.connectedComponentsWithStats(alone.astype(np.uint8), connectivity=8)
        lowest = (boxes[:, cv2.CC_STAT_TOP] + boxes[:, cv2.CC_STAT_HEIGHT] - 1).astype(np.int32)
        below = np.where(alone, lowest[pieces], below)
    return np.where(hides, below, np.int32(-1))


def _is_one_of(semantic: UInt8[np.ndarray, "h w"], names: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    table = np.zeros(256, np.uint8)
    table[list(names)] = 1
    return np.asarray(cv2.LUT(semantic, table), bool)
