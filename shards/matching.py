"""Making an object look as if the frame's camera had taken it."""

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
