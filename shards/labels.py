"""The label space that every room shares.

Public sources disagree (0/1/255, 254, 19, 2, -1 ...): each reader translates at the door into

* **anomaly maps**: uint8, 0 = known (inlier), 1 = anomaly (outlier), 255 = ignore (void);
* **semantic maps**: uint8 Cityscapes trainIds 0..18, 255 = ignore.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

KNOWN = 0
ANOMALY = 1
IGNORE = 255
NUM_CLASSES = 19
"""Evaluation classes of Cityscapes: trainIds 0..18."""


class CityscapesClass(NamedTuple):
    """One row of the official Cityscapes class table."""

    name: str
    label_id: int
    train_id: int
    has_instances: bool
    color: tuple[int, int, int]


CITYSCAPES_CLASSES = (
    CityscapesClass("unlabeled", 0, 255, False, (0, 0, 0)),
    CityscapesClass("ego vehicle", 1, 255, False, (0, 0, 0)),
    CityscapesClass("rectification border", 2, 255, False, (0, 0, 0)),
    CityscapesClass("out of roi", 3, 255, False, (0, 0, 0)),
    CityscapesClass("static", 4, 255, False, (0, 0, 0)),
    CityscapesClass("dynamic", 5, 255, False, (111, 74, 0)),
    CityscapesClass("ground", 6, 255, False, (81, 0, 81)),
    CityscapesClass("road", 7, 0, False, (128, 64, 128)),
    CityscapesClass("sidewalk", 8, 1, False, (244, 35, 232)),
    CityscapesClass("parking", 9, 255, False, (250, 170, 160)),
    CityscapesClass("rail track", 10, 255, False, (230, 150, 140)),
    CityscapesClass("building", 11, 2, False, (70, 70, 70)),
    CityscapesClass("wall", 12, 3, False, (102, 102, 156)),
    CityscapesClass("fence", 13, 4, False, (190, 153, 153)),
    CityscapesClass("guard rail", 14, 255, False, (180, 165, 180)),
    CityscapesClass("bridge", 15, 255, False, (150, 100, 100)),
    CityscapesClass("tunnel", 16, 255, False, (150, 120, 90)),
    CityscapesClass("pole", 17, 5, False, (153, 153, 153)),
    CityscapesClass("polegroup", 18, 255, False, (153, 153, 153)),
    CityscapesClass("traffic light", 19, 6, False, (250, 170, 30)),
    CityscapesClass("traffic sign", 20, 7, False, (220, 220, 0)),
    CityscapesClass("vegetation", 21, 8, False, (107, 142, 35)),
    CityscapesClass("terrain", 22, 9, False, (152, 251, 152)),
    CityscapesClass("sky", 23, 10, False, (70, 130, 180)),
    CityscapesClass("person", 24, 11, True, (220, 20, 60)),
    CityscapesClass("rider", 25, 12, True, (255, 0, 0)),
    CityscapesClass("car", 26, 13, True, (0, 0, 142)),
    CityscapesClass("truck", 27, 14, True, (0, 0, 70)),
    CityscapesClass("bus", 28, 15, True, (0, 60, 100)),
    CityscapesClass("caravan", 29, 255, True, (0, 0, 90)),
    CityscapesClass("trailer", 30, 255, True, (0, 0, 110)),
    CityscapesClass("train", 31, 16, True, (0, 80, 100)),
    CityscapesClass("motorcycle", 32, 17, True, (0, 0, 230)),
    CityscapesClass("bicycle", 33, 18, True, (119, 11, 32)),
)
"""All 34 labelIds; the license plate (-1) is stored as 255 in label PNGs and is ignored."""

TRAIN_CLASSES = tuple(sorted((c for c in CITYSCAPES_CLASSES if c.train_id != IGNORE), key=lambda c: c.train_id))
"""The 19 evaluation classes in the order of their trainIds."""


def _train_id_table() -> np.ndarray:
    table = np.full(256, IGNORE, np.uint8)
    for row in CITYSCAPES_CLASSES:
        table[row.label_id] = row.train_id
    return table


_TRAIN_ID_OF_LABEL_ID = _train_id_table()


def train_ids(label_ids: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Translate Cityscapes labelIds (0..33, 255 = license plate) to trainIds (0..18, 255 = ignore)."""
    # A fifth of the time of indexing the table with the map.
    translated: UInt8[np.ndarray, "h w"] = np.asarray(cv2.LUT(label_ids, _TRAIN_ID_OF_LABEL_ID), np.uint8)
    return translated


def count_pixels(anomaly: UInt8[np.ndarray, "h w"]) -> dict[str, int]:
    """Pixels of an anomaly map (H, W) by label: ``known``, ``anomaly``, ``ignore``."""
    # Three comparisons take a sixth of the time of one histogram.
    values = {"known": KNOWN, "anomaly": ANOMALY, "ignore": IGNORE}
    return {name: int(np.count_nonzero(anomaly == value)) for name, value in values.items()}


def semantic_colors(semantic: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Official Cityscapes colours of a trainId map; ignore is black."""
    palette = np.zeros((256, 3), np.uint8)
    for row in TRAIN_CLASSES:
        palette[row.train_id] = row.color
    colored: UInt8[np.ndarray, "h w 3"] = palette[semantic]
    return colored
