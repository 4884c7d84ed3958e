"""The known classes of a set beside its anomalies: what came out, and its entry in results.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eval.benchmarks.encoding import CITYSCAPES_NAMES
from eval.metrics.bootstrap import interval_rows
from eval.metrics.frame_draws import class_intervals
from eval.metrics.open_miou import OpenResult
from eval.metrics.open_miou import convention as open_convention
from eval.metrics.segmentation import CONVENTION, SegmentationResult


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """What came out, whether a network or another tool's class maps were judged.

    Attributes:
        closed: mIoU and mAcc of the known pixels.
        classes: names of the classes.
        void: of these, the ones that were left out like void pixels.
        open: open-mIoU; None for a set of one group.
    """

    closed: SegmentationResult
    classes: tuple[str, ...] = CITYSCAPES_NAMES
    void: tuple[str, ...] = ()
    open: OpenResult | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The published figures under their published names."""
        return self.closed.metrics | ({} if self.open is None else {"open_mIoU": self.open.miou})

    def as_json(self) -> dict[str, Any]:
        """The `segmentation` of a set in results.json."""
        convention = dict(CONVENTION)
        if self.void:
            convention["void"] += f", as is the class {', '.join(self.void)}"
        entry: dict[str, Any] = {
            "metrics": self.metrics,
            "intervals": interval_rows(class_intervals(self.closed.frames)),
            "iou_per_class": dict(zip(self.classes, self.closed.iou, strict=True)),
            "convention": convention,
        }
        if self.open is not None:
            entry["open_groups"] = [
                {"group": name, "frames": found.frames, "threshold": found.threshold, "open_mIoU": found.miou}
                for name, found in self.open.groups.items()
            ]
            entry["open_convention"] = open_convention(self.open, self.classes)
        return entry
