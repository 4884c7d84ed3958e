"""What plain frames have of anomalies: nothing, and what is unlabelled is ignored."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from shards.labels import IGNORE, count_pixels

__all__ = ["count_pixels", "void_as_ignore"]


def void_as_ignore(semantic: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """The anomaly map of a plain frame: 0 where the trainId is a class, 255 where it is 255."""
    # KNOWN is 0; a product takes a tenth of the time of a choice.
    ignored: UInt8[np.ndarray, "h w"] = (semantic == IGNORE).view(np.uint8) * np.uint8(IGNORE)
    return ignored
