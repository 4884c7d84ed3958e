"""Gaussian means, exact: the same bits whatever processor computes them.

OpenCV's own Gaussian adds up rounded products, in an order and with instructions that depend on the processor. Here
the kernel is made of whole numbers and so is what is blurred, and their sums fit into float64: nothing is rounded,
so no order matters. Division comes last, and IEEE 754 says what it gives.
"""

from __future__ import annotations

from math import ceil
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float64

EMPTY: Final = 1e-4
"""Coverage below which a pixel has no colour of its own."""

_ONE: Final = 2**16  # a kernel's sum; with values below 2**20 all sums stay below 2**52
_REACH: Final = 4  # standard deviations at which a kernel ends


def blurred(array: np.ndarray, sigma: float) -> np.ndarray:
    """Blur with a Gaussian; what lies outside is zero.

    Args:
        array: (H, W) or (H, W, C), whole numbers of -2**20..2**20 in any type.
        sigma: standard deviation in pixels, above 0.

    Returns:
        float64 of the same shape, exact up to the kernel, whose weights are multiples of 2**-16.
    """
    kernel = _kernel(sigma)
    if array.ndim == 3:
        return np.stack([blurred(array[..., channel], sigma) for channel in range(array.shape[2])], axis=2)
    whole = np.ascontiguousarray(array, np.float64)
    sums = cv2.sepFilter2D(whole, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, np.float64) / _ONE**2


def averaged(array: np.ndarray, mask: Bool[np.ndarray, "h w"], sigma: float) -> np.ndarray:
    """Gaussian means of what a mask covers: continues its values beyond its edge and mixes nothing else in.

    Args:
        array: as in `blurred`.
        mask: (H, W) bool: what counts.
        sigma: standard deviation in pixels, above 0.

    Returns:
        float64 of the shape of `array`; it fades to zero where next to nothing is covered.
    """
    cover = mask if array.ndim == 2 else mask[..., None]
    weight = np.maximum(blurred(mask, sigma), EMPTY)
    return np.asarray(blurred(array * cover, sigma) / weight.reshape(cover.shape), np.float64)


def _kernel(sigma: float) -> Float64[np.ndarray, n]:
    """Whole numbers that add up to `_ONE`."""
    reach = ceil(_REACH * sigma)
    weights = np.rint(cv2.getGaussianKernel(2 * reach + 1, sigma, cv2.CV_64F).ravel() * _ONE)
    weights[reach] += _ONE - weights.sum()
    return np.asarray(weights, np.float64)
