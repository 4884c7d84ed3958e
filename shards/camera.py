"""Making an object as sharp and as noisy as the frame is where it lies: blur first, then noise, as in a camera.

Brightness is Rec. 601's luma, in grey levels 0..255.

Sharpness is the root of the mean squared Laplacian over the mean squared gradient: the typical number of radians that
brightness turns through from pixel to pixel. Contrast cancels out, so that a road without texture does not count as
blurred; what the frame's noise adds to both means is taken off first. It is Hjorth's mobility (EEG analysis based on
time domain properties, 1970) of a picture's gradient; that it tells how sharp an object should be is a GUESS.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from shards.rng import generator

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_NOISE: Final = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_LAPLACIAN: Final = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
_EMPTY: Final = 1e-4  # coverage below which a pixel has no colour of its own

MAX_BLUR: Final = 4.0
"""Greatest standard deviation in pixels of an object's blur, which is also at most an eighth of its shorter side.
GUESS"""
MAX_NOISE: Final = 16.0
"""Greatest standard deviation in grey levels of the noise that is added. GUESS"""
_STEPS: Final = 7  # halvings of the range of the blur: to 1/32 pixel
_BLOCK: Final = 8  # side in pixels of the blocks whose noise is measured apart
_QUARTILE: Final = 0.882  # of such blocks of white noise, as a share of their mean: measured over 200 000 blocks


def sharpness(luma: Float32[np.ndarray, "h w"], inner: Bool[np.ndarray, "h w"], noise: float = 0.0) -> float | None:
    """How fast brightness changes from pixel to pixel: sqrt(mean(Laplacian^2) / mean(gradient^2)).

    Args:
        luma: (H, W) float32.
        inner: (H, W) bool: pixels that count; they and their four neighbours are looked at.
        noise: standard deviation of white noise, whose part is taken off.

    Returns:
        Radians a pixel, about 0..2.8; None where there is nothing but noise, or no pixel at all.
    """
    if not inner.any():
        return None
    # The gradient between neighbours, each way, and the Laplacian; white noise adds 2 + 2 and 20 times its variance.
    across, down = np.zeros_like(luma), np.zeros_like(luma)
    across[:, :-1], down[:-1] = luma[:, 1:] - luma[:, :-1], luma[1:] - luma[:-1]
    slope = float(np.mean(np.square(across[inner]) + np.square(down[inner]), dtype=np.float64))
    bend = float(np.mean(np.square(_filtered(luma, _LAPLACIAN)[inner]), dtype=np.float64))
    slope, bend = slope - 4 * noise**2, bend - 20 * noise**2
    if slope <= max(4 * noise**2, 0.25) or bend <= 0:
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
    answer = np.abs(_filtered(luma, _NOISE)) * inner
    count = _blocks(inner[:rows, :columns].astype(np.float32))
    filled = count >= _BLOCK**2 / 2
    if not filled.any():
        return None
    means = _blocks(answer[:rows, :columns])[filled] / count[filled]
    return sqrt(np.pi / 2) / 6 / _QUARTILE * float(np.quantile(means, 0.25))


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
    around = _luma(place)
    everywhere = _eroded(np.ones(around.shape, bool))
    wanted = sharpness(around, everywhere, noise_level(around, everywhere) or 0.0)
    luma, inner = _luma(rgb), _eroded(mask)
    found = sharpness(luma, inner)
    if wanted is None or found is None or found <= wanted:
        return rgb
    cover = mask.astype(np.float32)
    low, high = 0.0, min(MAX_BLUR, min(mask.shape) / 8)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        soft = _blurred(luma * cover, middle) / np.maximum(_blurred(cover, middle), _EMPTY)
        reached = sharpness(soft, inner)
        if reached is not None and reached > wanted:
            low = middle
        else:
            high = middle
    weight = np.maximum(_blurred(cover, high), _EMPTY)[..., None]
    soft = _blurred(rgb * cover[..., None], high) / weight
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


def _eroded(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The pixels whose eight neighbours all belong to the mask; none at the border."""
    kernel = np.ones((3, 3), np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inner, bool)


def _blocks(array: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "rows columns"]:
    """Sums over blocks; the sides are multiples of theirs."""
    rows, columns = (side // _BLOCK for side in array.shape)
    sums: Float32[np.ndarray, "rows columns"] = array.reshape(rows, _BLOCK, columns, _BLOCK).sum(axis=(1, 3))
    return sums


def _filtered(luma: Float32[np.ndarray, "h w"], kernel: np.ndarray) -> Float32[np.ndarray, "h w"]:
    return np.asarray(cv2.filter2D(luma, cv2.CV_32F, kernel), np.float32)


def _blurred(array: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(array, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)
