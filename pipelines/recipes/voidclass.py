"""VoidClass: the void objects of Cityscapes' own labels are the anomalies.

Di Biase et al., "Pixel-wise Anomaly Detection in Complex Driving Scenes" (SynBoost), CVPR 2021, learns from labelled
pixels of no evaluation class; MGCDA takes these as its VoidClass domain. With L the map of labelIds, V the anomaly
ids and t the trainId of a labelId:

    anomaly(p) = 1     if L(p) in V
               = 255   if L(p) not in V and t(L(p)) = 255
               = 0     if t(L(p)) is one of the 19 classes
    semantic(p) = t(L(p))

Which ids V holds cannot be recovered from what was published:

* the code of SynBoost lists {0, 1, 2, 3, 4, 29, 30}, and without the ego vehicle {0, 2, 3, 4, 29, 30}, in lines that
  are commented out; the labels behind its results came as an archive that is gone (presets ``synboost-ego``,
  ``synboost``);
* its class weights fit an anomaly share of about 11 % and 4 %: more than movable things alone make up, so borders and
  unlabelled pixels were in it;
* MGCDA's text says "objects of the void category are 1, the remaining void 255".

The default follows the text: *things* that are none of the 19 classes: static (4), dynamic (5), caravan (29), trailer
(30). Ego vehicle, rectification border and "out of roi" are properties of the recording: the same pixels in each
frame, a cue that teaches a detector where to look instead of what at. They stay 255, as do grounds and structures
(parking, rail track, guard rail, bridge, tunnel, pole group), and unlabelled (0), which is a mixture of everything.

SynBoost's other mechanism, swapped instances (`pipelines/swapping.py`), serves detectors that compare a photograph
with its resynthesis. ``mechanism`` says which of the two, or both at once, make the anomalies of a sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import field_validator

from pipelines.mixing import Base, Change, Relabel
from pipelines.pixels import void_as_ignore
from pipelines.recipe import Scene, Sources
from pipelines.sources.frames import FrameConfig, FrameSource, OverFrames
from pipelines.swapping import UNWEIGHTED, WEIGHTED, swap_instances
from shards.cards import Card
from shards.errors import UserError
from shards.labels import ANOMALY, CITYSCAPES_CLASSES, IGNORE, train_ids
from shards.rng import generator

CARD = Card(
    kind="recipe",
    name="voidclass",
    summary="Cityscapes' void objects (static, dynamic, ...), or things with swapped labels, are the anomalies",
    title="Pixel-wise Anomaly Detection in Complex Driving Scenes",
    venue="CVPR",
    year=2021,
    url="https://arxiv.org/abs/2103.05445",
    needs=("Cityscapes with labelIds", "instanceIds for swapped labels"),
    licence="Cityscapes: non-commercial; derived frames may not be redistributed",
)

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "synboost": {"anomaly_ids": (0, 2, 3, 4, 29, 30)},
    "synboost-ego": {"anomaly_ids": (0, 1, 2, 3, 4, 29, 30)},
    "synboost-swapped": {"mechanism": "swapped"},
    "synboost-swapped-unweighted": {"mechanism": "swapped", "swapped_to": UNWEIGHTED},
}

PUBLISHED_SHARES: Final[Mapping[str, float]] = {
    "with void": math.exp(1 / 8.0391) - 1.02,
    "without void": math.exp(1 / 16.520) - 1.02,
}
"""Share of anomalies among the labelled pixels that SynBoost's hard-coded class weights w = 1 / ln(1.02 + p) imply:
11.2 % and 4.2 %. A check of what a set holds, not a bound."""


class VoidClassConfig(FrameConfig):
    """Which void is an anomaly, and whether things are called by wrong names."""

    mechanism: Literal["void", "swapped", "both"] = "void"
    """void: the void objects are the anomalies; swapped: instances with a wrong label are (every void pixel is 255);
    both: either kind, in every sample."""
    anomaly_ids: tuple[int, ...] = (4, 5, 29, 30)
    """LabelIds that become 1; every other id without a trainId becomes 255. GUESS: see the head of this file."""
    swapped_to: tuple[int, ...] = WEIGHTED
    """LabelIds from which wrong labels are drawn; one that stands there more often is drawn more often."""

    @field_validator("anomaly_ids")
    @classmethod
    def _only_void(cls, ids: tuple[int, ...]) -> tuple[int, ...]:
        if not ids:
            raise ValueError("at least one labelId must be an anomaly")
        if len(set(ids)) != len(ids):
            raise ValueError("a labelId stands there twice")
        void = {row.label_id for row in CITYSCAPES_CLASSES if row.train_id == IGNORE}
        for label_id in ids:
            if label_id not in void:
                known = next((row for row in CITYSCAPES_CLASSES if row.label_id == label_id), None)
                what = f"is {known.name}, a known class" if known else "is no labelId of Cityscapes"
                raise ValueError(f"{label_id} {what}; the void ids are {sorted(void)}")
        return tuple(sorted(ids))

    @field_validator("swapped_to")
    @classmethod
    def _only_classes(cls, ids: tuple[int, ...]) -> tuple[int, ...]:
        known = {row.label_id for row in CITYSCAPES_CLASSES if row.train_id != IGNORE}
        for label_id in ids:
            if label_id not in known:
                raise ValueError(f"{label_id} is no labelId of an evaluation class; these are {sorted(known)}")
        if len(set(ids)) < 2:
            raise ValueError("at least two labelIds must be there: one may be the right one")
        return ids


def void_labels(label_ids: UInt8[np.ndarray, "h w"], anomaly_ids: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    """The equation at the head of this file.

    Args:
        label_ids: (H, W) uint8: 0..33, 255 = license plate.
        anomaly_ids: void labelIds that are anomalies.

    Returns:
        (H, W) uint8 anomaly map: 0, 1, 255.
    """
    anomaly = void_as_ignore(train_ids(label_ids))
    anomaly[np.isin(label_ids, np.array(anomaly_ids, np.uint8))] = ANOMALY
    return anomaly


@dataclass(frozen=True, slots=True)
class VoidClass(OverFrames):
    """Frames with their void objects, or with things of swapped labels, as anomalies."""

    name: ClassVar[str] = CARD.name
    config: VoidClassConfig
    frames: FrameSource

    @classmethod
    def open(cls, config: VoidClassConfig, sources: Sources) -> VoidClass:
        """Scan the frames; raises UserError, also where no frame has the labels that are needed."""
        swaps = config.mechanism != "void"
        frames = FrameSource.open(sources.cityscapes, sources.split, config, instances=swaps)
        if all(frame.label_ids is None for frame in frames.frames):
            raise UserError(
                f"voidclass needs *_gtFine_labelIds.png, which tell the kinds of void apart: none of the "
                f"{len(frames.frames)} frames of {sources.cityscapes} ({sources.split}) has them, "
                "labelTrainIds do not suffice."
            )
        if swaps and all(frame.instance_ids is None for frame in frames.frames):
            raise UserError(
                f"Swapping labels needs *_gtFine_instanceIds.png: none of the {len(frames.frames)} frames of "
                f"{sources.cityscapes} ({sources.split}) has them; use mechanism=void."
            )
        return cls(config, frames)

    def plan(self) -> dict[str, Any]:
        """Frames, and how many of them can be used."""
        usable = sum(frame.label_ids is not None for frame in self.frames.frames)
        plan = {**self.frames.plan(), "frames_with_label_ids": usable}
        if self.config.mechanism != "void":
            plan["frames_with_instance_ids"] = sum(frame.instance_ids is not None for frame in self.frames.frames)
        return {"cityscapes": plan}

    def base(self, seed: int, index: int) -> Base:
        """The frame of a sample with its void objects; BadInput where it is broken or has no labelIds."""
        frame = self.frames.at(seed, self.name, index)
        label_ids = self.frames.label_ids(frame)
        anomaly = void_labels(label_ids, () if self.config.mechanism == "swapped" else self.config.anomaly_ids)
        return Base(self.frames.image(frame), anomaly, train_ids(label_ids))

    def change(self, seed: int, index: int, scene: Scene) -> Change:
        """The swapped labels, which differ from sample to sample of one frame; BadInput without instanceIds."""
        plain = OverFrames.change(self, seed, index, scene)  # super() and slots do not go together
        if self.config.mechanism == "void":
            return plain
        frame = self.frames.at(seed, self.name, index)
        rng = generator(seed, self.name, "swap", index)
        swap = swap_instances(self.frames.instance_ids(frame), self.config.swapped_to, rng)
        meta = {**plain.meta, "swapped": list(swap.told)}
        return Change(meta, relabel=Relabel(swap.pixels, {"swapped": swap.labels}))
