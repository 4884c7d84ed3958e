"""Open-mIoU: segmentation and anomaly detection in one figure, as for towns t5 and t6 of StreetHazards.

Grcić et al., "DenseHybrid: Hybrid Anomaly Detection for Dense Open-set Recognition" (ECCV 2022). A pixel whose score
is above a threshold is rejected: it is called unknown, whatever class was predicted for it. Each town takes the
threshold that reaches TPR 0.95 on the frames of the other ones, so that it is never chosen where it is judged. With
one confusion matrix a town, rows: the known classes and anomaly, columns: the classes and unknown,

    IoU_c     = TP_c / (TP_c + FP_c + FN_c)       for the known classes that the town's labels hold
    FP_c      : pixels of other classes, and accepted anomalies, that were called c
    FN_c      : pixels of c that were called another class, or rejected
    open-mIoU = sum over towns of frames * mean IoU / sum of frames

The threshold is read at half resolution: of every second row and column of score map and label. Void pixels are out
of every term.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float16, Float32, Float64, UInt8

from eval.metrics.component import above
from eval.metrics.conventions import REACHES, TPR
from eval.metrics.pixel import PixelMetrics
from shards.errors import UserError
from shards.labels import ANOMALY, IGNORE, KNOWN

CONVENTION: Final[Mapping[str, str]] = {
    "threshold": f"{REACHES['first'].format(tpr=f'{TPR:g}')}, of the other groups' frames at half resolution",
    "prediction": "score above the threshold is unknown",
    "mean": "classes present in the labels; groups by their frames",
    "void": "left out",
}
"""How `open_miou` is meant; stands beside it in results.json."""


@dataclass(frozen=True, slots=True)
class OpenMaps:
    """What is known and predicted of a frame; all maps of one size.

    Attributes:
        score: (H, W), finite, larger = more anomalous.
        prediction: (H, W) uint8, the predicted class from 0.
        classes: (H, W) uint8, the labelled class from 0; 255 = none.
        label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
    """

    score: Float16[np.ndarray, "_h _w"] | Float32[np.ndarray, "_h _w"] | Float64[np.ndarray, "_h _w"]
    prediction: UInt8[np.ndarray, "_h _w"]
    classes: UInt8[np.ndarray, "_h _w"]
    label: UInt8[np.ndarray, "_h _w"]


@dataclass(frozen=True, slots=True)
class OpenFrame:
    """A frame that `open_miou` reads twice: for the threshold, and for the figure.

    Attributes:
        name: for errors.
        group: the town.
        read: gives its maps.
    """

    name: str
    group: str
    read: Callable[[], OpenMaps]


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """What came out on one group.

    Attributes:
        frames: how many it has; its weight.
        threshold: of the other groups; a pixel above it is unknown.
        miou: mean of `iou`, 0..1.
        iou: of each class, 0..1; None for one that the labels do not hold.
    """

    frames: int
    threshold: float
    miou: float
    iou: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class OpenResult:
    """Open-mIoU of a set, 0..1, and that of its groups by name."""

    miou: float
    groups: Mapping[str, OpenGroup]


def open_miou(frames: Sequence[OpenFrame], num_classes: int, tpr: float = TPR) -> OpenResult:
    """Judge the frames of a set of several groups.

    Args:
        frames: of all groups.
        num_classes: how many known classes there are.
        tpr: the true positive rate that thresholds are chosen for, above 0 and at most 1.

    Raises:
        UserError: fewer than two groups; maps of different size; a class that does not exist; a score that is not
            finite; the frames beside a group hold no anomaly or no known pixel; a group holds no known class.
    """
    pools: dict[str, PixelMetrics] = {}
    for frame in frames:
        maps = _read(frame, num_classes)
        pools.setdefault(frame.group, PixelMetrics()).add(maps.score[::2, ::2], maps.label[::2, ::2], frame.name)
    if len(pools) < 2:
        raise UserError(
            "Open-mIoU takes the threshold of one town from the others, but there is "
            f"{'only ' + repr(next(iter(pools))) if pools else 'no frame'}."
        )
    thresholds = {group: _threshold(pools, group, tpr) for group in pools}
    matrices = {group: np.zeros((num_classes + 1, num_classes + 1), np.int64) for group in pools}
    counts = dict.fromkeys(pools, 0)
    for frame in frames:
        counts[frame.group] += 1
        matrices[frame.group] += _confusion(_read(frame, num_classes), thresholds[frame.group], num_classes)
    groups = {group: _judge(group, matrices[group], counts[group], thresholds[group]) for group in sorted(matrices)}
    total = math.fsum(found.frames * found.miou for found in groups.values())
    return OpenResult(total / len(frames), groups)


def _threshold(pools: Mapping[str, PixelMetrics], group: str, tpr: float) -> float:
    others = PixelMetrics()
    for name, pool in pools.items():
        if name != group:
            others.merge(pool)
    return others.result(tpr=tpr).point.threshold


def _confusion(maps: OpenMaps, threshold: float, num_classes: int) -> np.ndarray:
    """(C + 1, C + 1) int64; rows: labelled class, then anomaly; columns: predicted class, then unknown."""
    rows = np.where(maps.label == ANOMALY, num_classes, maps.classes).astype(np.int64)
    columns = np.where(above(maps.score, threshold), num_classes, maps.prediction).astype(np.int64)
    valid = (maps.label == ANOMALY) | ((maps.label == KNOWN) & (maps.classes != IGNORE))
    size = num_classes + 1
    return np.bincount(rows[valid] * size + columns[valid], minlength=size**2).reshape(size, size)


def _judge(group: str, confusion: np.ndarray, frames: int, threshold: float) -> OpenGroup:
    hits, labelled, called = confusion.diagonal()[:-1], confusion.sum(1)[:-1], confusion.sum(0)[:-1]
    iou = tuple(
        int(hit) / int(row + column - hit) if row else None
        for hit, row, column in zip(hits, labelled, called, strict=True)
    )
    present = [value for value in iou if value is not None]
    if not present:
        raise UserError(f"The labels of {group} hold no known class: open-mIoU does not exist for them.")
    return OpenGroup(frames, threshold, math.fsum(present) / len(present), iou)


def _read(frame: OpenFrame, num_classes: int) -> OpenMaps:
    maps = frame.read()
    shapes = {found.shape for found in (maps.score, maps.prediction, maps.classes, maps.label)}
    if len(shapes) > 1:
        sizes = " and ".join(f"{width}x{height}" for height, width in sorted(shapes))
        raise UserError(f"The maps of {frame.name} differ in size: {sizes}; they must be equal.")
    labelled = maps.classes[(maps.label == KNOWN) & (maps.classes != IGNORE)]
    for what, ids in (("label", labelled), ("prediction", maps.prediction[maps.label != IGNORE])):
        if ids.size and int(ids.max()) >= num_classes:
            raise UserError(
                f"The {what} of {frame.name} holds the class {int(ids.max())}; expected 0..{num_classes - 1}."
            )
    return maps
