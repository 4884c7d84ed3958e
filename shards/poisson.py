"""Poisson blending: an object's gradients, in the light of the frame around it.

Perez et al., "Poisson Image Editing", SIGGRAPH 2003, as OpenCV's `seamlessClone` solves it. With the frame x, the
object's colours o and its mask M, in the box B around M and 3 pixels more,

    u = x on the edge of B,    div grad u = div v inside,    v = grad o on M,  grad x elsewhere in B

and of u the pixels on M are taken; all others stay the frame's own, so that the label tells every changed pixel.

Three things about `seamlessClone` are made up for here. It takes 3 pixels off the mask before it solves, so the mask
is given 3 pixels wider, and the object's colours are continued there. It inverts the mask that it is given, in place,
so it gets one that nobody needs afterwards. And it needs the box to lie in the frame, so a frame is continued beyond
its edge where an object crosses it.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from shards.soft import averaged

_EATEN: Final = 3  # pixels that seamlessClone takes off a mask
_MARGIN: Final = _EATEN + 2  # and a frame of zeros around it, which it expects
_REACH: Final = 2.0  # pixels: standard deviation of the Gaussian that continues colours over the old edge


def cloned(
    rgb: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    left: int,
    top: int,
    frame: UInt8[np.ndarray, "H W 3"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of an object that is blended into a frame at (left, top).

    Args:
        rgb: (h, w, 3) uint8.
        mask: (h, w) bool.
        left: column of its upper left corner in the frame; parts of it may lie outside.
        top: row of it.
        frame: (H, W, 3) uint8: not changed.

    Returns:
        (h, w, 3) uint8, zero outside of the mask.
    """
    height, width = mask.shape
    around = ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
    cover, colors = np.pad(mask, around), np.pad(rgb, (*around, (0, 0)))
    source = np.where(cover[..., None], colors, np.rint(averaged(colors, cover, _REACH))).astype(np.uint8)
    rows = np.clip(np.arange(top - _MARGIN, top + height + _MARGIN), 0, len(frame) - 1)
    columns = np.clip(np.arange(left - _MARGIN, left + width + _MARGIN), 0, frame.shape[1] - 1)
    target = np.ascontiguousarray(frame[rows[:, None], columns])
    wide = cv2.dilate(cover.astype(np.uint8) * 255, np.ones((3, 3), np.uint8), iterations=_EATEN)
    x, y, box_width, box_height = cv2.boundingRect(wide)
    middle = (x + box_width // 2, y + box_height // 2)  # of the box, as seamlessClone counts, so that nothing moves
    mixed = cv2.seamlessClone(source, target, np.asarray(wide, np.uint8), middle, cv2.NORMAL_CLONE)
    inside = np.asarray(mixed, np.uint8)[_MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width]
    return np.where(mask[..., None], inside, 0).astype(np.uint8)
