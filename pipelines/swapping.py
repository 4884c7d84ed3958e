"""Swapped instances: the second mechanism of VoidClass, for detectors that compare a photograph with a resynthesis.

Di Biase et al., "Pixel-wise Anomaly Detection in Complex Driving Scenes" (SynBoost), CVPR 2021, and its public code.
Of the n instances of a frame (values of instanceIds from 1000 on: labelId * 1000 + number)

    m = floor(u n),  u ~ U[0, 1)

are drawn without replacement, so 0 to n - 1 of them, and each gets a wrong labelId, drawn anew until it is not its
own. There the photograph does not show what the labels say, just as at an anomaly that the segmenter takes for
something known: these pixels are 1 in the anomaly map, and the picture is resynthesised from the wrong labels.
Photograph and semantic map stay true; the wrong labels are a map of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Int32, UInt8

from shards.labels import CITYSCAPES_CLASSES, IGNORE

WEIGHTED: Final = (7, 7, 7, 8, 11, 12, 13, 20, 21, 22, 24, 24, 24, 25, *(26,) * 7, 27, 28, 32, 33)
"""The draw list that the published code uses: an id counts as often as it stands there."""

UNWEIGHTED: Final = (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)
"""The alternative list of the same code."""

FIRST_INSTANCE: Final = 1000
"""Smaller values of instanceIds are labelIds of what has no instances."""

_TRAIN_IDS: Final = {row.label_id: row.train_id for row in CITYSCAPES_CLASSES}
_NAMES: Final = {row.label_id: row.name for row in CITYSCAPES_CLASSES}


@dataclass(frozen=True, slots=True)
class Swap:
    """What a sample calls by a wrong name.

    Attributes:
        pixels: (H, W) bool: those of the swapped instances.
        labels: (H, W) uint8: their wrong trainIds, 255 elsewhere.
        told: provenance of each: JSON types.
    """

    pixels: Bool[np.ndarray, "h w"]
    labels: UInt8[np.ndarray, "h w"]
    told: tuple[Mapping[str, Any], ...]


def swap_instances(
    instance_ids: Int32[np.ndarray, "h w"], draw_list: Sequence[int], rng: np.random.Generator
) -> Swap:
    """Draw instances of a frame and a wrong label for each.

    Args:
        instance_ids: (H, W) int32: labelId, or labelId * 1000 + number of the instance.
        draw_list: labelIds of evaluation classes, at least two different ones.
        rng: of the sample.

    Returns:
        What is swapped; nothing where the frame has no instance or none is drawn.
    """
    instances = np.unique(instance_ids[instance_ids >= FIRST_INSTANCE])
    chosen = rng.choice(instances, int(rng.random() * len(instances)), replace=False)
    labels = np.full(instance_ids.shape, IGNORE, np.uint8)
    told = []
    for instance in sorted(chosen.tolist()):
        own = instance // FIRST_INSTANCE
        wrong = own
        while wrong == own:
            wrong = int(rng.choice(draw_list))
        seen = instance_ids == instance
        labels[seen] = _TRAIN_IDS[wrong]
        told.append(
            {
                "instance": instance,
                "category": _NAMES.get(own, "unknown"),
                "labelled": _NAMES[wrong],
                "pixels": int(np.count_nonzero(seen)),
            }
        )
    return Swap(labels != IGNORE, labels, tuple(told))
