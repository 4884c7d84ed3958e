"""What a mixed sample changes about its frame: patches, laid over it from back to front.

A patch holds an object as it will lie in the frame (cut out, scaled, mirrored) but none of the frame's pixels. How
its colours, its sharpness, its noise and its edge are fitted to the frame is only named, and done when it is laid. So
patches can be stored and passed on without the frames (delta sets), and laying them over the frames gives the same
bytes whoever does it.

Patches are fitted to the frame as it was, not to objects behind them.

With the frame x, trainIds y, and for each patch colours o and coverage m in 0..1, which is at least 1/2 on its mask:

    image    = m * o + (1 - m) * x, rounded to nearest
    anomaly  = 1 on the mask,    255 elsewhere where y = 255,    0 elsewhere
    semantic = 255 on the mask,  y elsewhere
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import ceil
from typing import Any, Final, Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from shards.camera import as_noisy, as_sharp
from shards.labels import ANOMALY, IGNORE
from shards.matching import histogram, reinhard
from shards.poisson import cloned

_EMPTY = 1e-4  # coverage below which a pixel has no colour of its own
_LEAST_AROUND: Final = 16


@dataclass(frozen=True, slots=True)
class Blend:
    """How a patch is fitted to the frame.

    Attributes:
        edge: ``hard``; ``feather``: a Gaussian edge; ``poisson``: the object's gradients in the light of the frame.
        sigma: of the feathered edge, in pixels.
        match: ``none``; ``reinhard``: the patch takes mean and contrast of the frame's colours; ``histogram``: it
            takes their histograms.
        sharpness: ``own``, or ``frame``: it is blurred until it is no sharper than the frame around it.
        noise: ``own``, or ``frame``: it gets noise until it has as much as the frame around it.
        seed: of the noise: 0..2**32-1.
    """

    edge: Literal["hard", "feather", "poisson"] = "hard"
    sigma: float = 0.0
    match: Literal["none", "reinhard", "histogram"] = "none"
    sharpness: Literal["own", "frame"] = "own"
    noise: Literal["own", "frame"] = "own"
    seed: int = 0

    @property
    def reads(self) -> Literal["nothing", "around", "frame"]:
        """What of the frame must be known to fit a patch: no pixel, those around it (`surroundings`), or all."""
        if self.match != "none":
            return "frame"
        return "around" if "frame" in (self.sharpness, self.noise) or self.edge == "poisson" else "nothing"

    def as_json(self) -> dict[str, Any]:
        """The edge, and what differs from the default: what a sample's provenance says of an object."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in told.items() if name == "edge" or value != getattr(_DEFAULT, name)}


_DEFAULT: Final = Blend()


@dataclass(frozen=True, slots=True)
class Patch:
    """An object as it lies in a frame.

    Attributes:
        rgb: (h, w, 3) uint8, zero outside of the mask.
        mask: (h, w) bool: the pixels that are labelled as the object.
        left: column of its upper left corner in the frame; what lies outside of the frame is cut off.
        top: row of it.
        blend: how it is fitted.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    left: int
    top: int
    blend: Blend = field(default_factory=Blend)


@dataclass(frozen=True, slots=True)
class Layer:
    """A patch that was fitted to its frame.

    Attributes:
        rgb: (h, w, 3) uint8 or float32, 0..255.
        alpha: (h, w) float32, 0..1: how much of it is seen; None: all of the mask and nothing else.
        mask: (h, w) bool.
        left: column of its upper left corner in the frame.
        top: row of it.
    """

    rgb: np.ndarray
    alpha: Float32[np.ndarray, "h w"] | None
    mask: Bool[np.ndarray, "h w"]
    left: int
    top: int

    @property
    def bottom(self) -> int:
        """The row below its last one."""
        return self.top + len(self.mask)


def fitted(patch: Patch, frame: UInt8[np.ndarray, "H W 3"]) -> Layer:
    """Fit a patch to the frame that it will be laid over: colours, sharpness, noise, and last the edge."""
    blend, mask, rgb = patch.blend, patch.mask, patch.rgb
    if blend.match == "reinhard":
        rgb = np.rint(reinhard(rgb.astype(np.float32), mask, frame)).astype(np.uint8)
    elif blend.match == "histogram":
        rgb = histogram(rgb, mask, frame)
    if "frame" in (blend.sharpness, blend.noise):
        place = frame[surroundings(patch, frame.shape[1], frame.shape[0])]
        if place.size:  # else it lies outside of the frame, and nothing of it will be seen
            rgb = as_sharp(rgb, mask, place) if blend.sharpness == "frame" else rgb
            rgb = as_noisy(rgb, mask, place, blend.seed) if blend.noise == "frame" else rgb
    if blend.edge == "poisson":
        rgb = cloned(rgb, mask, patch.left, patch.top, frame)
    layer = Layer(rgb, None, mask, patch.left, patch.top)
    return feathered(layer, blend.sigma) if blend.edge == "feather" else layer


def surroundings(patch: Patch, width: int, height: int) -> tuple[slice, slice]:
    """The part of a frame that tells how sharp and noisy it is around a patch.

    Returns:
        (rows, columns): its box and half of its longer side on each side, at least 16 pixels.
    """
    rows, columns = patch.mask.shape
    margin = max(_LEAST_AROUND, max(rows, columns) // 2)
    wide = (rows + 2 * margin, columns + 2 * margin)
    return window(wide, patch.left - margin, patch.top - margin, width, height)[0]


def feathered(layer: Layer, sigma: float) -> Layer:
    """Soften a hard edge with a Gaussian of `sigma` pixels; the mask stays where half is seen.

    Outside of the old edge the object's own colours are continued, so the soft rim shows no foreign background.
    """
    if sigma <= 0:
        return layer
    margin = ceil(3 * sigma)
    around = ((margin, margin), (margin, margin))
    mask = np.pad(layer.mask, around)
    cover = mask.astype(np.float32)
    rgb = np.pad(layer.rgb.astype(np.float32), (*around, (0, 0)))
    alpha = _blurred(cover, sigma)
    continued = _blurred(rgb * cover[..., None], sigma) / np.maximum(alpha, _EMPTY)[..., None]
    colors = np.where(mask[..., None], rgb, np.clip(continued, 0, 255)).astype(np.float32)
    seen = np.where(alpha < 1 / 512, np.float32(0), alpha)
    return Layer(colors, seen, mask, layer.left - margin, layer.top - margin)


def lay(
    layer: Layer,
    image: UInt8[np.ndarray, "h W 3"],
    anomaly: UInt8[np.ndarray, "h W"],
    semantic: UInt8[np.ndarray, "h W"],
    top: int = 0,
) -> None:
    """Lay one layer over rows of a frame, in place.

    Args:
        layer: what to lay.
        image: rows of the frame.
        anomaly: their anomaly map.
        semantic: their trainIds.
        top: the row of the frame that they begin with.
    """
    inside, part = window(layer.mask.shape, layer.left, layer.top - top, image.shape[1], image.shape[0])
    mask, rgb, target = layer.mask[part], layer.rgb[part], image[inside]
    if layer.alpha is None:
        np.copyto(target, rgb, where=mask[..., None], casting="unsafe")  # whole numbers in 0..255
    else:
        alpha = layer.alpha[part][..., None]
        target[...] = np.clip(np.rint(rgb * alpha + target * (1 - alpha)), 0, 255).astype(np.uint8)
    anomaly[inside][mask] = ANOMALY
    semantic[inside][mask] = IGNORE


def rows_touched(layers: Sequence[Layer], height: int, step: int) -> list[tuple[int, int]]:
    """Which rows of a frame some layers change, in whole strips of `step` rows: (first, behind the last), apart."""
    strips = set[int]()
    for layer in layers:
        first, last = max(layer.top, 0), min(layer.bottom, height)
        if first < last:
            strips.update(range(first // step, -(-last // step)))
    spans: list[tuple[int, int]] = []
    for strip in sorted(strips):
        bottom = min((strip + 1) * step, height)
        if spans and spans[-1][1] == strip * step:
            spans[-1] = (spans[-1][0], bottom)
        else:
            spans.append((strip * step, bottom))
    return spans


def window(
    shape: tuple[int, ...], left: int, top: int, width: int, height: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch of `shape` (rows, columns) at (left, top) meets a picture of `width` x `height`.

    Returns:
        Slices (rows, columns) into the picture, and into the patch; empty ones where they do not meet.
    """
    rows, columns = shape[:2]
    y0, y1 = max(top, 0), max(min(top + rows, height), max(top, 0))
    x0, x1 = max(left, 0), max(min(left + columns, width), max(left, 0))
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))


def _blurred(array: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(array, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)
