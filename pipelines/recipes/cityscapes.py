"""Plain frames: Cityscapes as it is, in the project's label space.

    anomaly = 0 where the trainId is one of the 19 classes, 255 elsewhere

The known half of every training mix, and what a detector is checked against for false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pipelines.recipe import Sources
from pipelines.sources.frames import FrameConfig, FrameSource, OverPlainFrames
from shards.cards import Card

CARD = Card(
    kind="recipe",
    name="cityscapes",
    summary="plain Cityscapes frames: known classes 0, void 255, no anomaly",
    title="The Cityscapes Dataset for Semantic Urban Scene Understanding",
    venue="CVPR",
    year=2016,
    url="https://www.cityscapes-dataset.com",
    needs=("Cityscapes with labelIds or labelTrainIds",),
    licence="Cityscapes: non-commercial; derived frames may not be redistributed",
)


class CityscapesConfig(FrameConfig):
    """Nothing but the size of the frames."""


@dataclass(frozen=True, slots=True)
class CityscapesRecipe(OverPlainFrames):
    """Plain frames."""

    name: ClassVar[str] = CARD.name
    config: CityscapesConfig
    frames: FrameSource

    @classmethod
    def open(cls, config: CityscapesConfig, sources: Sources) -> CityscapesRecipe:
        """Scan the frames; raises UserError."""
        return cls(config, FrameSource.open(sources.cityscapes, sources.split, config))

    def plan(self) -> dict[str, Any]:
        """Frames and their size."""
        return {"cityscapes": self.frames.plan()}
