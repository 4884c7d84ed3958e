"""The unit that is built, stored, streamed and trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

EXTRAS: Final = ("predicted", "synthesis", "entropy", "distance", "perceptual")
"""What an enriched sample holds beside the frame: all that a dissimilarity network compares it with."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame with its label maps; all maps have the size of the image.

    Attributes:
        key: name inside the shard set, unique, without dots or slashes.
        image: (H, W, 3) uint8 RGB.
        anomaly: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
        semantic: (H, W) uint8 Cityscapes trainIds 0..18, 255 ignore.
        extras: further maps by name, (H, W) or (H, W, 3) uint8: resynthesised image, predicted semantics,
            uncertainty maps, style donor.
        meta: provenance; JSON types only, no time, host, absolute path or worker number (law 1).
    """

    key: str
    image: UInt8[np.ndarray, "h w 3"]
    anomaly: UInt8[np.ndarray, "h w"]
    semantic: UInt8[np.ndarray, "h w"]
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
