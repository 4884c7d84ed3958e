"""Making an object as sharp and as noisy as the frame is where it lies: blur first, then noise, as in a camera.

Brightness is Rec. 601's luma, in grey levels 0..255.

Sharpness is the root of the mean squared Laplacian over the mean squared gradient, in radians a pixel: Hjorth's
mobility (EEG analysis based on time domain properties, 1970) of a picture's gradient. Of an edge that a Gaussian of s
pixels blurred it is 1 / (sqrt(2) s), however strong the edge is and however many there are; so a road with little
texture does not count as blurred. Both pictures are smoothed before, and what is left of the frame's noise is taken
off. That it tells how sharp an object should be is a GUESS.

Both measures are sums of whole numbers, brightness in 1/256 of a grey level, so that every processor gets the same.
"""

from __future__ import annotations

from math import hypot, sqrt
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from shards.rng import generator
from shards.soft import averaged

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_NOISE: Final = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_FINE: Final = 256  # steps of brightness to a grey level
_LEAST_SLOPE: Final = 0.05  # mean squared gradient below which a picture is flat

MAX_BLUR: Final = 4.0
"""Greatest standard deviation in pixels of an object's blur, which is also at most an eighth of its shorter side.
GUESS"""
MAX_NOISE: Final = 16.0
"""Greatest standard deviation in grey levels of the noise that is added. GUESS"""
_STEPS: Final = 7  # halvings of the range of the blur: to 1/32 pixel
_SMOOTH: Final = 1.5  # pixels: standard deviation of the Gaussian that smooths noise before sharpness is measured
_SLOPE, _BEND = 0.0149, 0.0119  # what white noise of variance 1 adds to mean gradient^2 and Laplacian^2 after that
_BLOCK: Final = 8  # side in pixels of the blocks whose noise is measured apart
_QUARTILE: Final = 0.882  # of such blocks of white noise, as a share of their mean: measured over 200 000 blocks


def sharpness(
    luma: Float32[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], blur: float = 0.0, noise: float = 0.0
) -> float | None:
    """How fast brightness changes from pixel to pixel: sqrt(mean(Laplacian^2) / mean(gradient^2)).

    Args:
        luma: (H, W) float32.
        mask: (H, W) bool: the pixels that are known. Those that count lie 1 pixel inside of them.
        blur: standard deviation in pixels of a blur that it is asked for.
        noise: standard deviation of white noise, whose part is taken off; it is not blurred.

    Returns:
        Radians a pixel; None where there is nothing but noise, or no pixel at all.
    """
    inner = _eroded(mask)
    if not inner.any():
        return None
    soft = np.rint(averaged(_whole(luma), mask, hypot(_SMOOTH, blur)))
    here = soft[1:-1, 1:-1]
    across, down = soft[1:-1, 2:] - here, soft[2:, 1:-1] - here
    bends = across + down + soft[1:-1, :-2] + soft[:-2, 1:-1] - 2 * here
    count = _FINE**2 * int(np.count_nonzero(inner))
    slope = (_squares(across, inner) + _squares(down, inner)) / count - _SLOPE * noise**2
    bend = _squares(bends, inner) / count - _BEND * noise**2
    if slope <= max(_SLOPE * noise**2, _LEAST_SLOPE) or bend <= 0:
        return None
    return sqrt(bend / slope)


def noise_level(luma: Float32[np.ndarray, "h w"], inner: Bool[np.ndarray, "h w"]) -> float | None:
    """Standard deviation of the noise of a picture, from its flattest quarter.

    Immerkaer, "Fast Noise Variance Estimation", CVIU 1996: a filter that is blind to planes answers white noise with
    six times its standard deviation. The answers are averaged in blocks of 8 x 8, of which the lower quartile counts,
    since edges and texture raise the others (GUESS).

    Args:
        luma: (H, W) float32.
        inner: (H, W) bool: pixels that count; they and their eight neighbours are looked at.

    Returns:
        Grey levels; None without a block half of which counts.
    """
    rows, columns = (side // _BLOCK * _BLOCK for side in luma.shape)
    # Whole numbers below 2**24, which float32 holds exactly.
    answer = np.abs(cv2.filter2D(_whole(luma), cv2.CV_32F, _NOISE)) * inner
    count = _blocks(inner[:rows, :columns])
    filled = count >= _BLOCK**2 / 2
    if not filled.any():
        return None
    means = _blocks(answer[:rows, :columns])[filled] / count[filled]
    return sqrt(np.pi / 2) / 6 / _QUARTILE / _FINE * float(np.quantile(means, 0.25))


def as_sharp(
    rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], place: UInt8[np.ndarray, "H W 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Blur an object until it is no sharper than the place where it lies; nothing is ever sharpened.

    Args:
        rgb: (h, w, 3) uint8.
        mask: (h, w) bool: the object; its colours alone are mixed.
        place: (H, W, 3) uint8: the frame around it.

    Returns:
        (h, w, 3) uint8, as it was where either has no structure to judge by.
    """
    around, everywhere = _luma(place), np.ones(place.shape[:2], bool)
    wanted = sharpness(around, everywhere, noise=noise_level(around, _eroded(everywhere)) or 0.0)
    luma = _luma(rgb)
    found = sharpness(luma, mask)
    if wanted is None or found is None or found <= wanted:
        return rgb
    _, _, width, height = cv2.boundingRect(mask.astype(np.uint8))
    low, high = 0.0, min(MAX_BLUR, min(width, height) / 8)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        reached = sharpness(luma, mask, middle)
        if reached is not None and reached > wanted:
            low = middle
        else:
            high = middle
    soft = averaged(rgb, mask, high)
    return np.where(mask[..., None], np.clip(np.rint(soft), 0, 255), 0).astype(np.uint8)


def as_noisy(
    rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], place: UInt8[np.ndarray, "H W 3"], seed: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Add noise to an object until it has as much as the place where it lies; none is ever taken off.

    White Gaussian noise, the same in the three channels: brightness is what is measured and matched.

    Args:
        rgb: (h, w, 3) uint8.
        mask: (h, w) bool: the object.
        place: (H, W, 3) uint8: the frame around it.
        seed: of the noise, which is a pure function of it and of the object's size.

    Returns:
        (h, w, 3) uint8.
    """
    around = _luma(place)
    wanted = noise_level(around, _eroded(np.ones(around.shape, bool)))
    own = noise_level(_luma(rgb), _eroded(mask)) or 0.0
    if wanted is None or wanted <= own:
        return rgb
    sigma = min(sqrt(wanted**2 - own**2), MAX_NOISE)
    grain = generator(seed, "noise").standard_normal(mask.shape, np.float32) * np.float32(sigma)
    noisy = np.clip(np.rint(rgb + grain[..., None]), 0, 255)
    return np.where(mask[..., None], noisy, 0).astype(np.uint8)


def _luma(rgb: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w"]:
    # No matrix product: what that adds up first depends on the processor.
    red, green, blue = (rgb[..., channel] * _LUMA[channel] for channel in range(3))
    return np.asarray(red + green + blue, np.float32)


def _squares(array: Float64[np.ndarray, "_ _"], inner: Bool[np.ndarray, "h w"]) -> float:
    """Sum of squares over the pixels that count, of whole numbers without the border: below 2**53, so exact."""
    kept = (array * inner[1:-1, 1:-1]).ravel()
    return float(np.dot(kept, kept))


def _eroded(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The pixels whose eight neighbours all belong to the mask; none at the border."""
    kernel = np.ones((3, 3), np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inner, bool)


def _whole(luma: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Brightness in whole steps."""
    return np.rint(luma * np.float32(_FINE))


def _blocks(array: np.ndarray) -> Float64[np.ndarray, "rows columns"]:
    """Sums over blocks; the sides are multiples of theirs."""
    rows, columns = (side // _BLOCK for side in array.shape)
    sums = array.reshape(rows, _BLOCK, columns, _BLOCK).sum(axis=(1, 3), dtype=np.float64)
    return np.asarray(sums, np.float64)
