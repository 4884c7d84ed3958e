"""Cutting an object out of its picture, scaling it and laying it over another one without a halo.

Colours are averaged with the mask as weight ("premultiplied"), so that no pixel of the object's old background leaks
over its edge, however far it is scaled down.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from shards.errors import BadInput

_EMPTY = 1e-4  # coverage below which a pixel has no colour of its own


@dataclass(frozen=True, slots=True)
class Cutout:
    """An object in the tight box around its mask.

    Attributes:
        rgb: (H, W, 3) uint8.
        mask: (H, W) bool, True on the object.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True)
class Layer:
    """An object ready to be pasted.

    Attributes:
        rgb: (H, W, 3) float32, 0..255.
        alpha: (H, W) float32, 0..1: how much of it is seen.
        label: (H, W) bool: which pixels are labelled as the object.
        margin: pixels on each side that only hold the soft edge.
    """

    rgb: Float32[np.ndarray, "h w 3"]
    alpha: Float32[np.ndarray, "h w"]
    label: Bool[np.ndarray, "h w"]
    margin: int = 0


def cut(image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> Cutout:
    """Cut the box around a mask out of a picture; BadInput("empty-mask") where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise BadInput("empty-mask", "the mask covers no pixel")
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Cutout(image[box].copy(), mask[box].copy())


def eroded(cutout: Cutout, radius: int) -> Cutout:
    """Take `radius` pixels off the mask's edge, where outlines drawn by hand hold background; the box is cut anew."""
    if radius == 0:
        return cutout
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = np.pad(cutout.mask.astype(np.uint8), radius + 1)
    inner = cv2.erode(padded, kernel)[radius + 1 : -radius - 1, radius + 1 : -radius - 1].astype(bool)
    return cut(cutout.rgb, inner)


def scaled(cutout: Cutout, width: int, height: int, *, flip: bool) -> Layer:
    """Scale an object to `width` x `height` pixels with a hard edge; mirrored left to right if `flip`.

    A pixel belongs to the object if at least half of it was covered.
    """
    rgb, mask = (cutout.rgb[:, ::-1], cutout.mask[:, ::-1]) if flip else (cutout.rgb, cutout.mask)
    weight = mask.astype(np.float32)
    shrinks = width <= mask.shape[1] and height <= mask.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    cover = _resized(weight, width, height, method)
    colors = _resized(rgb * weight[..., None], width, height, method) / np.maximum(cover, _EMPTY)[..., None]
    label = cover >= 0.5
    return Layer(np.clip(colors, 0, 255), label.astype(np.float32), label)


def feathered(layer: Layer, sigma: float) -> Layer:
    """Soften the edge with a Gaussian of `sigma` pixels; the label keeps its hard edge, where half is seen.

    Outside of the old edge the object's own colours are continued, so the soft rim shows no foreign background.
    """
    if sigma <= 0:
        return layer
    margin = ceil(3 * sigma)
    frame = ((margin, margin), (margin, margin))
    label = np.pad(layer.label, frame)
    cover = label.astype(np.float32)
    rgb = np.pad(layer.rgb, (*frame, (0, 0)))
    alpha = _blurred(cover, sigma)
    continued = _blurred(rgb * cover[..., None], sigma) / np.maximum(alpha, _EMPTY)[..., None]
    colors = np.where(label[..., None], rgb, np.clip(continued, 0, 255)).astype(np.float32)
    return Layer(colors, np.where(alpha < 1 / 512, np.float32(0), alpha), label, layer.margin + margin)


def window(
    layer: Layer, left: int, top: int, width: int, height: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a layer whose upper left corner lies at (left, top) meets a picture of `width` x `height`.

    Returns:
        Slices (rows, columns) into the picture, and into the layer; empty ones where they do not meet.
    """
    rows, columns = layer.label.shape
    y0, y1 = max(top, 0), max(min(top + rows, height), max(top, 0))
    x0, x1 = max(left, 0), max(min(left + columns, width), max(left, 0))
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))


def paste(image: UInt8[np.ndarray, "h w 3"], layer: Layer, left: int, top: int) -> None:
    """Lay a layer over `image`, in place: alpha * object + (1 - alpha) * picture, rounded to nearest."""
    inside, part = window(layer, left, top, image.shape[1], image.shape[0])
    alpha = layer.alpha[part][..., None]
    mixed = layer.rgb[part] * alpha + image[inside] * (1 - alpha)
    image[inside] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _resized(array: np.ndarray, width: int, height: int, method: int) -> np.ndarray:
    return np.asarray(cv2.resize(array, (width, height), interpolation=method), np.float32)


def _blurred(array: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(array, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)
