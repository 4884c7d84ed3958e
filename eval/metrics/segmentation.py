"""Closed-set segmentation quality from one confusion matrix over all frames.

    IoU_c = TP_c / (TP_c + FP_c + FN_c)      Acc_c = TP_c / (TP_c + FN_c)

mIoU and mAcc are means over the classes that the labels hold; a class that never occurs has no IoU. Pixels whose
label is 255 are out of every term, so a prediction there is no false positive either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from shards.errors import UserError
from shards.labels import IGNORE, NUM_CLASSES

CONVENTION: Mapping[str, str] = {
    "pooling": "pixels of all frames",
    "mean": "classes present in the labels",
    "void": "left out",
}
"""How the figures of `SegmentationMetrics` are meant; stands beside them in results.json."""


@dataclass(frozen=True, slots=True)
class SegmentationResult:
    """Fractions, 0..1; None for a class that the labels do not hold."""

    miou: float
    macc: float
    iou: tuple[float | None, ...]
    pixels: int
    """Valid pixels."""
    frames: tuple[Int64[np.ndarray, "c c"], ...]
    """The confusion matrix of each frame, rows: label, columns: prediction."""

    @property
    def metrics(self) -> dict[str, float]:
        """The published figures under their published names."""
        return {"mIoU": self.miou, "mAcc": self.macc}


class SegmentationMetrics:
    """Collects frames with `add`, judges them with `result`."""

    def __init__(self, num_classes: int = NUM_CLASSES) -> None:
        self.num_classes = num_classes
        self.confusion = np.zeros((num_classes, num_classes), np.int64)
        """Rows: label; columns: prediction."""
        self.frames: list[Int64[np.ndarray, "c c"]] = []
        """The same of each frame, for the bootstrap."""

    def add(
        self, prediction: UInt8[np.ndarray, "h w"], label: UInt8[np.ndarray, "h w"], frame: str = "frame"
    ) -> None:
        """Count the valid pixels of a frame; arguments and errors are those of `count`."""
        self.add_counted(self.count(prediction, label, frame))

    def count(
        self, prediction: UInt8[np.ndarray, "h w"], label: UInt8[np.ndarray, "h w"], frame: str = "frame"
    ) -> Int64[np.ndarray, "c c"]:
        """The confusion matrix of a frame, which `add_counted` takes; threads may count at the same time.

        Args:
            prediction: (H, W) uint8 trainIds.
            label: (H, W) uint8 trainIds, 255 ignore.
            frame: its name, for the error.

        Raises:
            UserError: a label or, at a valid pixel, a prediction is no class.
        """
        valid = label != IGNORE
        predicted, labelled = prediction[valid].astype(np.int64), label[valid].astype(np.int64)
        for what, ids in (("label", labelled), ("prediction", predicted)):
            if ids.size and int(ids.max()) >= self.num_classes:
                raise UserError(
                    f"The {what} of {frame} holds the class {int(ids.max())}; expected 0..{self.num_classes - 1}."
                )
        cells = self.num_classes**2
        counted = np.bincount(labelled * self.num_classes + predicted, minlength=cells)
        return counted.reshape(self.num_classes, self.num_classes)

    def add_counted(self, confusion: Int64[np.ndarray, "c c"]) -> None:
        """Add a frame's confusion matrix; the bootstrap draws frames by the order in which they come here."""
        self.frames.append(confusion)
        self.confusion += confusion

    def result(self) -> SegmentationResult:
        """Judge all frames.

        Raises:
            UserError: no valid pixel at all.
        """
        hits, labelled = self.confusion.diagonal(), self.confusion.sum(1)
        present = labelled > 0
        if not present.any():
            raise UserError("The labels hold no valid pixel: mIoU does not exist for them.")
        union = labelled + self.confusion.sum(0) - hits
        iou = hits[present] / union[present]
        values = iter(iou.tolist())
        return SegmentationResult(
            miou=float(iou.mean()),
            macc=float((hits[present] / labelled[present]).mean()),
            iou=tuple(next(values) if there else None for there in present.tolist()),
            pixels=int(labelled.sum()),
            frames=tuple(self.frames),
        )
