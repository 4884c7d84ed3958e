"""Open-mIoU: segmentation and anomaly detection in one figure, as for towns t5 and t6 of StreetHazards.

Grcić et al., "DenseHybrid: Hybrid Anomaly Detection for Dense Open-set Recognition" (ECCV 2022). A pixel whose score
is above a threshold is rejected: it is called unknown, whatever class was predicted for it. Each town takes the
threshold that reaches TPR 0.95 on the frames of the other ones, so that it is never chosen where it is judged. With
one confusion matrix a town, rows: the known classes and anomaly, columns: the classes and unknown,

    IoU_c     = TP_c / (TP_c + FP_c + FN_c)
    FP_c      : pixels of other classes, and accepted anomalies, that were called c
    FN_c      : pixels of c that were called another class, or rejected
    open-mIoU = sum over towns of frames * mean IoU / sum of frames

Void pixels are out of every term, in both steps. The paper leaves open how the threshold is read; two readings:

    densehybrid   as its public code: the first threshold with TPR > 0.95; scores at half resolution as the means of
                  2x2 pixels, beside the label of the first of them; the mean is over the classes that labels or
                  predictions hold, so one that is only ever predicted counts as 0
    strided       the first threshold with TPR >= 0.95, of every second row and column; the mean is over the classes
                  that labels hold

On StreetHazards, "other" is void for that code and its networks know the 12 classes without it (`ignored`). It walks
a curve without the points that lie on a line between others, and so may take a lower threshold than the first one
here, which is that of the whole curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from jaxtyping import Float16, Float32, Float64, UInt8

from eval.metrics.component import above
from eval.metrics.conventions import REACHES, TPR, Reach
from eval.metrics.keys import as_judged
from eval.metrics.pixel import PixelMetrics
from shards.errors import UserError
from shards.labels import ANOMALY, IGNORE, KNOWN

Reading = Literal["densehybrid", "strided"]
"""How thresholds and means are read."""

DEFAULT: Final[Reading] = "densehybrid"
_REACHES: Final[Mapping[Reading, Reach]] = {"densehybrid": "beyond", "strided": "first"}
_RESOLUTIONS: Final[Mapping[Reading, str]] = {
    "densehybrid": "half: means of 2x2 scores beside the label of the first",
    "strided": "half: every second row and column",
}
_MEANS: Final[Mapping[Reading, str]] = {
    "densehybrid": "classes in the labels or the predictions; groups by their frames",
    "strided": "classes present in the labels; groups by their frames",
}


@dataclass(frozen=True, slots=True)
class OpenMaps:
    """What is known and predicted of a frame; all maps of one size.

    Attributes:
        score: (H, W), finite, larger = more anomalous; float64 is rounded to float32.
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
        iou: of each class, 0..1; None for one that is not in the mean.
    """

    frames: int
    threshold: float
    miou: float
    iou: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class OpenResult:
    """Open-mIoU of a set, 0..1, that of its groups by name, and how it was read."""

    miou: float
    groups: Mapping[str, OpenGroup]
    reading: Reading = DEFAULT
    ignored: tuple[int, ...] = ()
    tpr: float = TPR


def convention(found: OpenResult, classes: Sequence[str]) -> dict[str, str]:
    """How a result is meant; stands beside it in results.json.

    Args:
        found: from `open_miou`.
        classes: names of its classes.
    """
    ignored = ", ".join(classes[number] for number in found.ignored)
    reach = REACHES[_REACHES[found.reading]].format(tpr=f"{found.tpr:g}")
    return {
        "reading": found.reading,
        "threshold": f"{reach}, of the other groups' frames",
        "resolution": _RESOLUTIONS[found.reading],
        "prediction": "score above the threshold is unknown",
        "mean": _MEANS[found.reading],
        "void": "left out" + (f", as is the class {ignored}" if ignored else ""),
    }


def open_miou(
    frames: Sequence[OpenFrame],
    num_classes: int,
    tpr: float = TPR,
    *,
    reading: Reading = DEFAULT,
    ignored: Collection[int] = (),
) -> OpenResult:
    """Judge the frames of a set of several groups.

    Args:
        frames: of all groups.
        num_classes: how many known classes there are, those of `ignored` included.
        tpr: the true positive rate that thresholds are chosen for, above 0 and at most 1.
        reading: how thresholds and means are read.
        ignored: classes whose labelled pixels are void.

    Raises:
        UserError: fewer than two groups; maps of different size; a class that does not exist; a score that is not
            finite; the frames beside a group hold no anomaly or no known pixel; a group holds no known class.
    """
    pools: dict[str, PixelMetrics] = {}
    for frame in frames:
        maps = _read(frame, num_classes, ignored)
        pools.setdefault(frame.group, PixelMetrics()).add(*_halved(maps, reading), frame.name)
    if len(pools) < 2:
        raise UserError(
            "Open-mIoU takes the threshold of one town from the others, but there is "
            f"{'only ' + repr(next(iter(pools))) if pools else 'no frame'}."
        )
    thresholds = {group: _threshold(pools, group, tpr, _REACHES[reading]) for group in pools}
    matrices = {group: np.zeros((num_classes + 1, num_classes + 1), np.int64) for group in pools}
    counts = dict.fromkeys(pools, 0)
    for frame in frames:
        counts[frame.group] += 1
        maps = _read(frame, num_classes, ignored)
        matrices[frame.group] += _confusion(maps, thresholds[frame.group], num_classes)
    groups = {
        group: _judge(group, matrices[group], counts[group], thresholds[group], reading, ignored)
        for group in sorted(matrices)
    }
    total = math.fsum(found.frames * found.miou for found in groups.values())
    return OpenResult(total / len(frames), groups, reading, tuple(sorted(ignored)), tpr)


def _halved(
    maps: OpenMaps, reading: Reading
) -> tuple[Float16[np.ndarray, "_h _w"] | Float32[np.ndarray, "_h _w"], UInt8[np.ndarray, "_h _w"]]:
    """Score and label at half resolution; a last odd row or column has no partner for a mean and falls away."""
    if reading == "strided":
        return maps.score[::2, ::2], maps.label[::2, ::2]
    height, width = (length // 2 * 2 for length in maps.score.shape)
    quarters = maps.score[:height, :width].astype(np.float32) * np.float32(0.25)  # before the sum: it may overflow
    pairs = quarters[:, ::2] + quarters[:, 1::2]
    return pairs[::2] + pairs[1::2], maps.label[:height:2, :width:2]


def _threshold(pools: Mapping[str, PixelMetrics], group: str, tpr: float, reach: Reach) -> float:
    others = PixelMetrics()
    for name, pool in pools.items():
        if name != group:
            others.merge(pool)
    return others.result(reach=reach, tpr=tpr).point.threshold


def _confusion(maps: OpenMaps, threshold: float, num_classes: int) -> np.ndarray:
    """(C + 1, C + 1) int64; rows: labelled class, then anomaly; columns: predicted class, then unknown."""
    rows = np.where(maps.label == ANOMALY, num_classes, maps.classes).astype(np.int64)
    columns = np.where(above(maps.score, threshold), num_classes, maps.prediction).astype(np.int64)
    valid = (maps.label == ANOMALY) | ((maps.label == KNOWN) & (maps.classes != IGNORE))
    size = num_classes + 1
    return np.bincount(rows[valid] * size + columns[valid], minlength=size**2).reshape(size, size)


def _judge(
    group: str, confusion: np.ndarray, frames: int, threshold: float, reading: Reading, ignored: Collection[int]
) -> OpenGroup:
    hits, labelled, called = confusion.diagonal()[:-1], confusion.sum(1)[:-1], confusion.sum(0)[:-1]
    if not labelled.any():
        raise UserError(f"The labels of {group} hold no known class: open-mIoU does not exist for them.")
    counted = labelled + called if reading == "densehybrid" else labelled
    iou = tuple(
        int(hits[number]) / int(labelled[number] + called[number] - hits[number])
        if counted[number] and number not in ignored
        else None
        for number in range(hits.size)
    )
    present = [value for value in iou if value is not None]
    return OpenGroup(frames, threshold, math.fsum(present) / len(present), iou)


def _read(frame: OpenFrame, num_classes: int, ignored: Collection[int]) -> OpenMaps:
    """The maps of a frame, as they are judged: scores rounded, pixels of ignored classes void."""
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
    void = (maps.label == KNOWN) & np.isin(maps.classes, list(ignored))
    label = np.where(void, np.uint8(IGNORE), maps.label)
    return replace(maps, score=as_judged(maps.score), label=label)
