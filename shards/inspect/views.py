"""One sample, drawn at the size at which it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from jaxtyping import UInt8

from shards.labels import ANOMALY, IGNORE, semantic_colors
from shards.sample import Sample

ANOMALY_COLOR: Final = (255, 80, 30)
_SEEN: Final = 0.1
"""Share of a reduced pixel from which on it shows the anomaly: small ones must not vanish."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One sample, ready to be shown.

    Attributes:
        key: of the sample.
        caption: key, frame, objects and share of anomaly, in two lines.
        views: (name, picture): before, after, and what else the page has.
        meta: provenance.
    """

    key: str
    caption: str
    views: tuple[tuple[str, UInt8[np.ndarray, "h w 3"]], ...]
    meta: Mapping[str, Any]


def tile(sample: Sample, before: UInt8[np.ndarray, "H W 3"] | None, width: int) -> Tile:
    """Reduce and draw a sample.

    Args:
        sample: at full size.
        before: its frame as it was; None: the sample itself stands before its labels.
        width: of each view in pixels; heights follow.

    Returns:
        With a frame: frame, outlined sample, labels, semantic map; without: sample, labels, semantic map. Behind them
        its smallest object close by.
    """
    share = 100 * float((sample.anomaly == ANOMALY).mean())
    small = reduced(sample, width)
    height = small.image.shape[0]
    views = [("labels", label_overlay(small)), ("semantic", semantic_colors(small.semantic))]
    if before is None:
        views.insert(0, ("image", small.image))
    else:
        frame = np.asarray(cv2.resize(before, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        around = cv2.dilate((small.anomaly == ANOMALY).astype(np.uint8), np.ones((3, 3), np.uint8))
        views[:0] = [("before", frame), ("after", _outlined(small.image.copy(), around > 0))]
    views.append(("close", close(sample, (width, height))))
    names = ", ".join(str(item.get("category", "?")) for item in sample.meta.get("objects", []))
    if not names:  # anomalies that were in the frame
        names = "void objects" if share else "no anomaly"
    origin = sample.meta.get("frame", {}).get("id", "")
    caption = f"{sample.key}   {origin}\n{names}   anomaly {share:.2f} %"
    return Tile(sample.key, caption, tuple(views), sample.meta)


def close(sample: Sample, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """The surroundings of a sample's smallest object, at most twice as wide and high; small ones are enlarged.

    Args:
        sample: at full size. Without objects, its anomalies count as one; without any, all of it is shown.
        size: (width, height) of the view.
    """
    height, width = sample.anomaly.shape
    boxes = [item.get("box") for item in sample.meta.get("objects", [])]
    inside = [
        box
        for box in boxes
        if isinstance(box, list)
        and len(box) == 4
        and all(type(side) is int and side >= 0 for side in box)
        and 0 < box[2] <= width - box[0]
        and 0 < box[3] <= height - box[1]
    ]
    if not inside and (sample.anomaly == ANOMALY).any():
        inside = [list(cv2.boundingRect((sample.anomaly == ANOMALY).astype(np.uint8)))]
    left, top, across, down = min(inside, key=lambda box: box[2] * box[3], default=[0, 0, width, height])
    scale = min(1.0, 2 * max(across / width, down / height))
    wide, high = max(1, round(scale * width)), max(1, round(scale * height))
    x = min(max(0, left + across // 2 - wide // 2), width - wide)
    y = min(max(0, top + down // 2 - high // 2), height - high)
    how = cv2.INTER_AREA if wide > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(sample.image[y : y + high, x : x + wide], size, interpolation=how), np.uint8)


def reduced(sample: Sample, width: int) -> Sample:
    """The sample at another width, without its extras: pictures averaged, labels by nearest pixel, anomalies kept."""
    size = (width, max(1, round(width * sample.image.shape[0] / sample.image.shape[1])))
    anomaly = cv2.resize(sample.anomaly, size, interpolation=cv2.INTER_NEAREST)
    seen = cv2.resize((sample.anomaly == ANOMALY).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    anomaly[seen >= _SEEN] = ANOMALY
    return Sample(
        sample.key,
        np.asarray(cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA), np.uint8),
        np.asarray(anomaly, np.uint8),
        np.asarray(cv2.resize(sample.semantic, size, interpolation=cv2.INTER_NEAREST), np.uint8),
        meta=sample.meta,
    )


def label_overlay(sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its anomalies tinted and outlined and its ignored pixels darkened and hatched."""
    shown = sample.image.astype(np.float32)
    anomaly, ignore = sample.anomaly == ANOMALY, sample.anomaly == IGNORE
    shown[anomaly] = 0.55 * shown[anomaly] + 0.45 * np.array(ANOMALY_COLOR, np.float32)
    rows, columns = np.indices(sample.anomaly.shape)
    stripe = (rows + columns) // max(2, sample.anomaly.shape[0] // 64) % 2 == 0
    shown[ignore] *= 0.35
    shown[ignore & stripe] += 40
    return _outlined(np.clip(shown, 0, 255).astype(np.uint8), anomaly)


def _outlined(image: UInt8[np.ndarray, "h w 3"], anomaly: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """Draw white contours of the anomalies into a picture."""
    outlines, _ = cv2.findContours(anomaly.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, (255, 255, 255), max(1, anomaly.shape[0] // 256))
    return image
