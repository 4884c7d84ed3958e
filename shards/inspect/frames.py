"""The frames as they were before anything was pasted into them."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from shards.errors import UserError
from shards.layouts.cityscapes import CityscapesFrame, read_image, scan_cityscapes
from shards.rows import Row


class StreetFrames:
    """Frames of a Cityscapes folder by the records of samples; each split is scanned once, when it is asked for.

    Args:
        root: the folder with leftImg8bit/ and gtFine/.
        size: (width, height) that frames are scaled to; None keeps theirs.
    """

    def __init__(self, root: Path, size: tuple[int, int] | None) -> None:
        self._root, self._size = root, size
        self._splits: dict[str, dict[str, CityscapesFrame]] = {}
        self._lock = threading.Lock()

    def of(self, row: Row) -> UInt8[np.ndarray, "h w 3"]:
        """The frame behind a sample, scaled and cropped as the sample's was: (H, W, 3) uint8 RGB.

        Raises:
            UserError: the folder is no Cityscapes, or does not hold this frame.
            BadInput: the picture is broken.
        """
        origin = row.get("frame", {})
        split, name = str(origin.get("split", "")), str(origin.get("id", ""))
        with self._lock:
            if split not in self._splits:
                self._splits[split] = {frame.id: frame for frame in scan_cityscapes(self._root, split).frames}
            frames = self._splits[split]
        if name not in frames:
            raise UserError(
                f"{self._root} ({split}) has no frame {name!r}: give the folder that the set was made of."
            )
        image = read_image(frames[name])
        if self._size is not None and self._size != (image.shape[1], image.shape[0]):
            image = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        crop = origin.get("crop")
        if isinstance(crop, list) and len(crop) == 4 and all(type(side) is int and side >= 0 for side in crop):
            left, top, width, height = crop
            part = image[top : top + height, left : left + width]
            image = part if part.size else image
        return image
