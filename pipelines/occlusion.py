"""What of a frame stands between the camera and an object: known from the semantic map and from where feet stand.

Things that stand on one flat ground are the nearer, the lower in the picture their feet are. So a thing hides an
object if its foot is lower than the object's. The semantic map does not tell things apart, so (GUESS):

* What stands on its own (poles with their lights and signs; persons, riders and their bicycles) is a connected piece
  of such pixels, and its foot is the lowest row of the piece: an arm belongs to the legs below.
* Vehicles parked in a row are one piece that runs into the distance. Of each connected piece of them within the
  object's box, the foot is the lowest of the unbroken columns that stand there: a car hides wholly or not at all,
  though its sill is higher than its wheels, and one farther down the row does not become near.

In the hidden pixels, also those that only its soft edge would reach, the sample keeps the frame's picture and labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import cv2
import numpy as np
from jaxtyping import Bool, Int32, UInt8

OCCLUDERS: Final = (5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 18)
"""TrainIds of what can hide: poles, lights, signs, persons, riders, vehicles of all kinds, two-wheelers."""
_STANDING: Final = ((5, 6, 7), (11, 12, 17, 18))


@dataclass(frozen=True, slots=True)
class Hiders:
    """The things of a frame that can hide, or of a crop of it.

    Attributes:
        feet: (H, W) int32: on which row stands what the pixel shows; outside of a crop, too. Far above all rows where
            nothing is that hides.
        long: (H, W) bool: pixels of things that run into the distance, whose feet are those of their columns.
    """

    feet: Int32[np.ndarray, "h w"]
    long: Bool[np.ndarray, "h w"]

    NOTHING: ClassVar[int] = -(2**30)

    @classmethod
    def of(cls, semantic: UInt8[np.ndarray, "h w"], occluders: tuple[int, ...] = OCCLUDERS) -> Hiders:
        """Find them.

        Args:
            semantic: (H, W) uint8 trainIds of the whole frame.
            occluders: trainIds of what can hide.
        """
        standing = [tuple(name for name in group if name in occluders) for group in _STANDING]
        long = _is_one_of(semantic, tuple(name for name in occluders if not any(name in group for group in standing)))
        feet = np.full(semantic.shape, cls.NOTHING, np.int32)
        foot = np.empty(semantic.shape[1], np.int32)  # of the row's columns, from the lowest row up
        below = np.zeros_like(long[0])
        for row in range(len(semantic) - 1, -1, -1):
            np.copyto(foot, row, where=~below)
            below = long[row]
            np.copyto(feet[row], foot, where=below)
        for group in standing:
            alone = _is_one_of(semantic, group).view(np.uint8)
            x, y, width, height = cv2.boundingRect(alone)
            part = np.s_[y : y + height, x : x + width]
            if width:
                _, pieces, boxes, _ = cv2.connectedComponentsWithStats(alone[part], connectivity=8)
                lowest = (boxes[:, cv2.CC_STAT_TOP] + boxes[:, cv2.CC_STAT_HEIGHT] - 1 + y).astype(np.int32)
                mask = alone[part].view(bool)
                feet[part][mask] = lowest[pieces[mask]]
        return cls(feet, long)

    def cropped(self, left: int, top: int, width: int, height: int) -> Hiders:
        """Of a rectangle of the frame, with rows counted from its upper edge."""
        part = np.s_[top : top + height, left : left + width]
        return Hiders(np.maximum(self.feet[part] - np.int32(top), np.int32(self.NOTHING)), self.long[part])

    def hide(self, box: tuple[slice, slice], foot: int) -> Bool[np.ndarray, "rows columns"]:
        """Which pixels of a box hide an object that fills it and stands on row `foot`."""
        feet, long = self.feet[box], self.long[box]
        hidden = feet > foot
        if not (hidden & long).any():
            return np.asarray(hidden, bool)
        _, pieces = cv2.connectedComponents(long.astype(np.uint8), connectivity=8)
        nearer = np.zeros(int(pieces.max()) + 1, bool)
        nearer[pieces[hidden & long]] = True
        return np.asarray(hidden | (nearer[pieces] & long), bool)


def _is_one_of(semantic: UInt8[np.ndarray, "h w"], names: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    table = np.zeros(256, np.uint8)
    table[list(names)] = 1
    return np.asarray(cv2.LUT(semantic, table), np.uint8).view(bool)
