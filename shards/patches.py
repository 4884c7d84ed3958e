"""What a mixed sample changes about its frame: patches, laid over it from back to front.

A patch holds an object as it will lie in the frame (cut out, scaled, mirrored) but none of the frame's pixels. How
its colours, its sharpness, its noise and its edge are fitted to the frame is only named, and done when it is laid. So
patches can be stored and passed on without the frames (delta sets), and laying them over the frames gives the same
bytes whoever does it.

Patches are fitted to the frame as it was, not to objects behind them, and whole: what hides a part of one is taken
off last, so that nothing of it shines through.

With the frame x, trainIds y, and for each patch colours o and coverage m in 0..1:

    image    = m * o + (1 - m) * x, rounded to nearest
    anomaly  = 1 where m >= 1/2,    255 elsewhere where y = 255,    0 elsewhere
    semantic = 255 where m >= 1/2,  y elsewhere

m is known without the frame (`coverage`): 1 on the object's mask, softened with the edge, 0 on what is hidden.
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
from shards.soft import averaged, blurred

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
        mask: (h, w) bool: the object's pixels, with a hard edge and nothing in front.
        left: column of its upper left corner in the frame; what lies outside of the frame is cut off.
        top: row of it.
        blend: how it is fitted.
        hidden: (h, w) bool: where something stands in front, on the object and beside it; None: nowhere.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    left: int
    top: int
    blend: Blend = field(default_factory=Blend)
    hidden: Bool[np.ndarray, "h w"] | None = None

    @classmethod
    def roomy(
        cls, rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], left: int, top: int, blend: Blend
    ) -> Patch:
        """An object in a box that its soft edge fits into; a tight one would cut it off."""
        margin = ceil(3 * blend.sigma) if blend.edge == "feather" else 0
        if not margin:
            return cls(rgb, mask, left, top, blend)
        around = ((margin, margin), (margin, margin))
        return cls(np.pad(rgb, (*around, (0, 0))), np.pad(mask, around), left - margin, top - margin, blend)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, width, height) of the object itself in the frame."""
        x, y, width, height = cv2.boundingRect(np.ascontiguousarray(self.mask).view(np.uint8))
        return self.left + x, self.top + y, width, height


@dataclass(frozen=True, slots=True)
class Layer:
    """A patch that was fitted to its frame.

    Attributes:
        rgb: (h, w, 3) uint8 or float32, 0..255.
        alpha: (h, w) float32, 0..1: how much of it is seen; None: all of the mask and nothing else.
        mask: (h, w) bool: the pixels that are labelled: where at least half of it is seen.
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
    alpha, seen = coverage(patch)
    if alpha is None:
        return Layer(rgb, None, seen, patch.left, patch.top)
    # Outside of the old edge the object's own colours are continued, so the soft rim shows no foreign background.
    continued = averaged(rgb, mask, blend.sigma)
    colors = np.where(mask[..., None], rgb, continued).astype(np.float32)
    return Layer(colors, alpha, seen, patch.left, patch.top)


def coverage(patch: Patch) -> tuple[Float32[np.ndarray, "h w"] | None, Bool[np.ndarray, "h w"]]:
    """How much of an object is seen where, whatever the frame.

    A soft edge is the hard one, blurred with a Gaussian. It goes through the old edge where that is straight; corners
    and whatever is thinner than 1.35 sigma fall below one half and lose their label.

    Returns:
        (h, w) float32, 0..1, or None where every pixel is the object's or the frame's; and (h, w) bool: the pixels
        that show at least half of it, which are labelled.
    """
    free = None if patch.hidden is None else ~patch.hidden
    if patch.blend.edge != "feather" or patch.blend.sigma <= 0:
        return None, patch.mask if free is None else patch.mask & free
    exact = blurred(patch.mask, patch.blend.sigma)
    exact[exact < 1 / 512] = 0  # nobody sees it
    if free is not None:
        exact *= free
    return exact.astype(np.float32), exact >= 0.5


def surroundings(patch: Patch, width: int, height: int) -> tuple[slice, slice]:
    """The part of a frame that tells how sharp and noisy it is around a patch.

    Returns:
        (rows, columns): the object's box and half of its longer side on each side, at least 16 pixels.
    """
    left, top, columns, rows = patch.box
    margin = max(_LEAST_AROUND, max(rows, columns) // 2)
    wide = (rows + 2 * margin, columns + 2 * margin)
    return window(wide, left - margin, top - margin, width, height)[0]


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
