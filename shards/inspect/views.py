"""One sample, drawn at the size at which it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from jaxtyping import UInt8

from shards.labels import ANOMALY, IGNORE, semantic_colors
from shards.sample import EXTRAS, Sample

ANOMALY_COLOR: Final = (255, 80, 30)
_SEEN: Final = 0.1
"""Share of a reduced pixel from which on it shows the anomaly: small ones must not vanish."""
_SPECK: Final = 1e-3
_CLASSES: Final = frozenset({"predicted", "swapped"})
"""Extras that hold trainIds."""


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
        whatever else is stored beside it, and its smallest anomaly close by, where it has one.
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
    views += [(name, extra_view(name, extra, (width, height))) for name, extra in _in_order(sample.extras)]
    near = close(sample, (width, height))
    views += [] if near is None else [("close", near)]
    names = ", ".join(str(item.get("category", "?")) for item in sample.meta.get("objects", []))
    if not names:  # anomalies that were in the frame
        names = "void objects" if share else "no anomaly"
    origin = sample.meta.get("frame", {}).get("id", "")
    caption = f"{sample.key}   {origin}\n{names}   anomaly {share:.2f} %"
    return Tile(sample.key, caption, tuple(views), sample.meta)


def extra_view(name: str, extra: np.ndarray, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """A map that is stored beside a sample: classes in their colours, pictures as they are, doubt in greys.

    Args:
        name: of the extra.
        extra: (H, W) or (H, W, 3) uint8.
        size: (width, height) of the view.
    """
    if name in _CLASSES:
        small = cv2.resize(extra, size, interpolation=cv2.INTER_NEAREST)
        return semantic_colors(np.asarray(small, np.uint8))
    small = np.asarray(cv2.resize(extra, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2)


def _in_order(extras: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """As an enriched sample is thought of; others behind them."""
    names = [name for name in EXTRAS if name in extras]
    return [(name, extras[name]) for name in (*names, *sorted(extras.keys() - set(names)))]


def close(sample: Sample, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"] | None:
    """The surroundings of a sample's smallest anomaly, at most twice as wide and high; small ones are enlarged.

    Args:
        sample: at full size. Without objects on record, the smallest connected anomaly that is no speck is shown.
        size: (width, height) of the view.

    Returns:
        The view; None where there is no anomaly.
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
    ] or _connected(sample)
    if not inside:
        return None
    left, top, across, down = min(inside, key=lambda box: box[2] * box[3])
    scale = min(1.0, 2 * max(across / width, down / height))
    wide, high = max(1, round(scale * width)), max(1, round(scale * height))
    x = min(max(0, left + across // 2 - wide // 2), width - wide)
    y = min(max(0, top + down // 2 - high // 2), height - high)
    how = cv2.INTER_AREA if wide > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(sample.image[y : y + high, x : x + wide], size, interpolation=how), np.uint8)


def _connected(sample: Sample) -> list[list[int]]:
    """Boxes of connected anomalies; those of under a thousandth of the picture only where there is no other."""
    _, _, found, _ = cv2.connectedComponentsWithStats((sample.anomaly == ANOMALY).astype(np.uint8))
    boxes = [(box[:4].tolist(), int(box[4])) for box in found[1:]]
    large = [box for box, pixels in boxes if pixels >= _SPECK * sample.anomaly.size]
    return large or [box for box, _ in boxes]


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
