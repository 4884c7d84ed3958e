"""From a painted street to a photograph with Cityscapes labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from pipelines.toy.canvas import FIRST_OBJECT
from pipelines.toy.look import photograph
from pipelines.toy.street import Street
from shards.labels import CITYSCAPES_CLASSES

_LABEL_IDS = {row.name: row.label_id for row in CITYSCAPES_CLASSES}
ODDITY = "oddity: "
"""What the names of benchmark anomalies on a canvas begin with."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A finished frame.

    Attributes:
        rgb: (h, w, 3) uint8.
        label_ids: (h, w) uint8 Cityscapes labelIds; oddities are ``dynamic`` (5).
        instance_ids: (h, w) uint16: labelId * 1000 + n for the instance classes, else the labelId.
        odd: (h, w) bool, where a benchmark anomaly is seen.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    label_ids: UInt8[np.ndarray, "h w"]
    instance_ids: UInt16[np.ndarray, "h w"]
    odd: Bool[np.ndarray, "h w"]


def supersampling(height: int) -> int:
    """Canvas pixels a side for one pixel: two, where that is cheap."""
    return 2 if height <= 512 else 1


def take_photo(rng: np.random.Generator, street: Street, step: int) -> Photo:
    """Photograph a street and read its labels off the canvas' tags."""
    canvas = street.canvas
    rgb, tags = photograph(rng, canvas, street.look, step)
    label_of = np.arange(FIRST_OBJECT + len(canvas.names), dtype=np.uint16)
    instance_of = label_of.copy()
    odd_of = np.zeros(label_of.shape, bool)
    seen = np.bincount(tags.ravel(), minlength=len(label_of)) > 0
    counts: dict[int, int] = {}
    for k, name in enumerate(canvas.names):
        tag = FIRST_OBJECT + k
        if name.startswith(ODDITY):
            label_of[tag], instance_of[tag], odd_of[tag] = _LABEL_IDS["dynamic"], _LABEL_IDS["dynamic"], True
            continue
        label = _LABEL_IDS[name]
        number = counts.get(label, 0)
        label_of[tag], instance_of[tag] = label, label * 1000 + number
        counts[label] = number + int(seen[tag])  # numbers go only to what is still seen
    return Photo(rgb, label_of[tags].astype(np.uint8), instance_of[tags], odd_of[tags])


def frame_border(photo: Photo) -> None:
    """Blacken what rectification leaves along the edges: out of roi (3) and rectification border (2)."""
    height, width = photo.label_ids.shape
    edge = max(1, width // 400)
    wedge = np.arange(width)[None, :] < (edge + (np.arange(height)[:, None] * 2 * edge) // height)
    rim = np.zeros((height, width), bool)
    rim[:edge], rim[height - edge :], rim[:, width - edge :] = True, True, True
    for where, label in ((wedge, 2), (rim, 3)):
        photo.rgb[where] = photo.rgb[where] // 12
        photo.label_ids[where] = label
        photo.instance_ids[where] = label
        photo.odd[where] = False
