"""Cutting an object out of its picture and scaling it without a halo.

Colours are averaged with the mask as weight ("premultiplied"), so that no pixel of the object's old background leaks
over its edge, however far it is scaled down.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from shards.errors import BadInput
from shards.soft import EMPTY


@dataclass(frozen=True, slots=True)
class Cutout:
    """An object in the tight box around its mask.

    Attributes:
        rgb: (H, W, 3) uint8.
        mask: (H, W) bool, True on the object.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]


def cut(image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> Cutout:
    """Cut the box around a mask out of a picture; BadInput("empty-mask") where the mask is empty."""
    left, top, width, height = box_around(mask)
    box = np.s_[top : top + height, left : left + width]
    return Cutout(image[box].copy(), mask[box].copy())


def box_around(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the box around a mask; BadInput("empty-mask") where the mask is empty."""
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    if not width:
        raise BadInput("empty-mask", "the mask covers no pixel")
    return left, top, width, height


def eroded(cutout: Cutout, radius: int) -> Cutout:
    """Take `radius` pixels off the mask's edge, where outlines drawn by hand hold background; the box is cut anew."""
    if radius == 0:
        return cutout
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = np.pad(cutout.mask.astype(np.uint8), radius + 1)
    inner = cv2.erode(padded, kernel)[radius + 1 : -radius - 1, radius + 1 : -radius - 1].astype(bool)
    return cut(cutout.rgb, inner)


def scaled(cutout: Cutout, width: int, height: int, *, flip: bool) -> Cutout:
    """Scale an object to `width` x `height` pixels; mirrored left to right if `flip`.

    A pixel belongs to the object if at least half of it was covered; the others are black.
    """
    # Through OpenCV, whose loops over three channels are several times as fast as NumPy's.
    rgb, weight = cutout.rgb, np.ascontiguousarray(cutout.mask).view(np.uint8)
    if flip:
        rgb, weight = np.asarray(cv2.flip(rgb, 1), np.uint8), np.asarray(cv2.flip(weight, 1), np.uint8)
    own = cv2.bitwise_and(rgb, rgb, mask=weight)
    shrinks = width <= weight.shape[1] and height <= weight.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    cover = _resized(weight.astype(np.float32), width, height, method)
    colors = _resized(own.astype(np.float32), width, height, method)
    colors /= cv2.merge([np.maximum(cover, EMPTY)] * 3)
    inner = cover >= 0.5
    rounded = cv2.convertScaleAbs(colors)  # to nearest, at most 255; nothing is negative
    return Cutout(cv2.bitwise_and(rounded, rounded, mask=inner.view(np.uint8)), inner)


def _resized(array: np.ndarray, width: int, height: int, method: int) -> np.ndarray:
    return np.asarray(cv2.resize(array, (width, height), interpolation=method), np.float32)
