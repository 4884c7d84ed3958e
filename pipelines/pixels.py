"""Counting pixels by anomaly label."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from shards.labels import ANOMALY, IGNORE, KNOWN


def count_pixels(anomaly: UInt8[np.ndarray, "h w"]) -> dict[str, int]:
    """Pixels of an anomaly map (H, W) by label: ``known``, ``anomaly``, ``ignore``."""
    counts = np.bincount(anomaly.ravel(), minlength=256)
    return {"known": int(counts[KNOWN]), "anomaly": int(counts[ANOMALY]), "ignore": int(counts[IGNORE])}


def void_as_ignore(semantic: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """The anomaly map of a plain frame: 0 where the trainId is a class, 255 where it is 255."""
    return np.where(semantic == IGNORE, np.uint8(IGNORE), np.uint8(KNOWN))
