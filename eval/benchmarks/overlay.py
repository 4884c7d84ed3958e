"""Overlays of Fishyscapes Static: what is added to a Cityscapes image, as the download stores it.

    image' = clip(image + overlay, 0, 255),  overlay (H, W, 3) signed integers, 0 where nothing was pasted

The differences are shared instead of the pictures because Cityscapes may not be redistributed.
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8

from eval.files import BROKEN
from shards.errors import BadInput

KEY = "rgb"
"""The array's name in the .npz file."""


def add_overlay(image: UInt8[np.ndarray, "h w 3"], data: bytes, name: str = "overlay") -> UInt8[np.ndarray, "h w 3"]:
    """Add an overlay to a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        data: bytes of an .npz file with the array `rgb`.
        name: what to call the file in an error.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BadInput: ``unreadable-overlay`` or ``size-mismatch``.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            overlay = arrays[KEY]
    except KeyError as error:
        raise BadInput("unreadable-overlay", f"{name} holds no array named {KEY!r}") from error
    except (OSError, *BROKEN) as error:
        raise BadInput("unreadable-overlay", f"{name} is no .npz file that holds the array {KEY!r}") from error
    if overlay.dtype.kind not in "iu":
        raise BadInput("unreadable-overlay", f"{name} holds {overlay.dtype} where signed integers are expected")
    if overlay.shape != image.shape:
        height, width = image.shape[:2]
        shown = "x".join(map(str, overlay.shape))
        raise BadInput(
            "size-mismatch", f"{name} is {shown} but its image {height}x{width}x3 (rows, columns, channels)"
        )
    added: UInt8[np.ndarray, "h w 3"] = np.clip(image + overlay.astype(np.int32), 0, 255).astype(np.uint8)
    return added
