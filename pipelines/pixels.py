"""Counting pixels by anomaly label."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from shards.labels import ANOMALY, IGNORE, KNOWN


def count_pixels(anomaly: UInt8[np.ndarray, "h w"]) -> dict[str, int]:
    """Pixels of an anomaly map (H, W) by label: ``known``, ``anomaly``, ``ignore``."""
    # Three comparisons take a sixth of the time of one histogram.
    values = {"known": KNOWN, "anomaly": ANOMALY, "ignore": IGNORE}
    return {name: int(np.count_nonzero(anomaly == value)) for name, value in values.items()}


def void_as_ignore(semantic: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """The anomaly map of a plain frame: 0 where the trainId is a class, 255 where it is 255."""
    # KNOWN is 0; a product takes a tenth of the time of a choice.
    ignored: UInt8[np.ndarray, "h w"] = (semantic == IGNORE).view(np.uint8) * np.uint8(IGNORE)
    return ignored
