"""Frames and label maps at other sizes: pictures averaged, labels never mixed."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image


def resize_image(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int] | None) -> UInt8[np.ndarray, "H W 3"]:
    """Scale a picture to (width, height): averaging the pixels that merge, or bilinear where it grows."""
    height, width = image.shape[:2]
    if size is None or size == (width, height):
        return image
    shrinks = size[0] <= width and size[1] <= height
    scaled: UInt8[np.ndarray, "H W 3"] = np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8
    )
    return scaled


def resize_seen(
    image: UInt8[np.ndarray, "h w *c"], size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> UInt8[np.ndarray, "H W *c"]:
    """Scale a picture, or a map of values, to (width, height) as networks see it, in training and when judged.

    Pillow's bilinear filter, which is as wide as the pixels that merge and the same in both directions.

    Args:
        image: RGB, or of one channel.
        size: of the result.
        box: (left, top, right, bottom) of the rectangle that is scaled, in pixels with fractions; all of it without.
    """
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, box=box))


def resize_labels(labels: Integer[np.ndarray, "h w"], size: tuple[int, int] | None) -> Integer[np.ndarray, "H W"]:
    """Scale a label map to (width, height): each pixel takes the label at its own centre."""
    height, width = labels.shape
    if size is None or size == (width, height):
        return labels
    # Not OpenCV's INTER_NEAREST, which takes the upper left neighbour and so shifts labels by half a pixel and more.
    rows = (2 * np.arange(size[1]) + 1) * height // (2 * size[1])
    columns = (2 * np.arange(size[0]) + 1) * width // (2 * size[0])
    scaled: Integer[np.ndarray, "H W"] = labels[rows[:, None], columns]
    return scaled
