"""Giving an object the colours of a frame; `shards/camera.py` does its sharpness and its noise."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

_FLAT = 1e-3  # standard deviation below which a channel has no contrast to be scaled
_MAX_GAIN = 2.0  # GUESS: beyond, what is stretched in an object of one colour is its noise


def reinhard(
    content: Float32[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    style: UInt8[np.ndarray, "H W 3"],
) -> Float32[np.ndarray, "h w 3"]:
    """Give an object the colour statistics of a picture.

    Reinhard et al., "Color Transfer between Images", IEEE CG&A 2001, in CIE Lab instead of their l-alpha-beta; for
    each channel, with mean m and standard deviation s over the object (o) and the picture (f):

        x' = (x - m_o) * min(s_f / s_o, 2) + m_f

    Args:
        content: (H, W, 3) float32 RGB, 0..255.
        mask: (H, W) bool: the object's pixels, whose statistics count.
        style: (H, W, 3) uint8 RGB of any size.

    Returns:
        (H, W, 3) float32 RGB, 0..255.
    """
    lab = cv2.cvtColor(content / np.float32(255), cv2.COLOR_RGB2LAB)
    # Every fourth pixel each way: the statistics of a frame do not need two million.
    donor = cv2.cvtColor(style[::4, ::4].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB).reshape(-1, 3)
    own = lab[mask]
    gain = np.minimum(donor.std(axis=0) / np.maximum(own.std(axis=0), _FLAT), _MAX_GAIN)
    moved = (lab - own.mean(axis=0)) * gain + donor.mean(axis=0)
    rgb = cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.asarray(np.clip(rgb, 0, 1) * 255, np.float32)


def histogram(
    content: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    style: UInt8[np.ndarray, "H W 3"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Give an object the colour histograms of a picture, channel by channel.

    Gonzalez and Woods, "Digital Image Processing", section 3.3, histogram specification: a value whose middle rank
    among the object's pixels is a share q of them becomes the least value that at least a share q of the picture's
    pixels does not exceed. From the object's median outwards the table of values rises by at most 2 from one value to
    the next: of an object of few colours a picture's whole range would be filled with grain.

    Args:
        content: (H, W, 3) uint8 RGB.
        mask: (H, W) bool: the object's pixels, whose ranks count.
        style: (H, W, 3) uint8 RGB of any size.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    donor = style[::4, ::4].reshape(-1, 3)
    moved = np.empty_like(content)
    for channel in range(3):
        own = np.bincount(content[..., channel][mask], minlength=256)
        other = np.bincount(donor[:, channel], minlength=256)
        # Twice the ranks, times the other's number of pixels: whole numbers, so that no rounding decides.
        ranks = (2 * np.cumsum(own) - own) * len(donor)
        table = np.searchsorted(2 * np.cumsum(other) * int(own.sum()), ranks)
        median = int(np.searchsorted(2 * np.cumsum(own), own.sum()))
        walk = np.concatenate([[0], np.cumsum(np.minimum(np.diff(table), int(_MAX_GAIN)))])
        table = np.clip(table[median] + walk - walk[median], 0, 255)
        moved[..., channel] = table.astype(np.uint8)[content[..., channel]]
    return moved
