"""AnomalyMix: objects of another data set, cut out and pasted into road frames, are the anomalies.

Tian et al., "Pixel-wise Energy-biased Abstention Learning" (PEBAL), ECCV 2022, name it; RPL, RbA, Mask2Anomaly,
MultiShift and the style-aligned augmentation each do it in a way of their own. With a frame x, its trainIds y, an
object o with coverage m in 0..1, and S, R, T for scale, mirror and place:

    (o', m') = T(R(S(o, m)))
    image    = m' * o' + (1 - m') * x
    anomaly  = 1    where m' >= 1/2
             = 255  elsewhere, where y = 255
             = 0    elsewhere
    semantic = 255  where m' >= 1/2,  y elsewhere

An object wins over void: what is seen there is known to be an anomaly, whatever was unlabelled beneath it. Of several
objects the later one lies in front.

What the originals disagree about are fields; `PRESETS` holds their settings:

===========  =======================  =======================  ===================  ========================
             PEBAL                    RPL                      RbA, Mask2Anomaly    MultiShift
===========  =======================  =======================  ===================  ========================
pasted       all objects of one       all objects of one       all objects of one   one class of one picture
             picture at once          picture at once          picture at once
probability  297 of 3272              1                        .1 and .2            1
scale        native                   .1, .125, .25, .5 twice  native               .1, .2, ... 1
                                      as often, .75
place        uniform in the frame     uniform in a crop of     uniform in the       uniform in a crop of 700
                                      700                      frame
===========  =======================  =======================  ===================  ========================

RbA's configuration says .1, its code .2, which is what `mask2anomaly` does; all else is the same in both.

The originals paste once and keep whatever comes of it, so their presets ask for one visible pixel, not for 100
(`min_visible`). One thing stays otherwise: where a draw gives none (a picture that cannot be read, an object that
shrinks to nothing), another one is made (`max_tries`). For want of room none is: COCO's pictures have at most 640
pixels a side.

Scales and crops are those of frames 1024 pixels high and follow `size`, so that an object takes the same share of the
picture whatever the frames are scaled to. Mirroring, scaling and cropping of the mixed picture are the training's
task.

The default is none of these: single clean objects, one to three a frame, their long side log-uniform between about
3 % and 31 % of the frame's height, whole, with hard edges. Pasting whole pictures at native scale teaches that
anomalies are large and cut by straight lines; real ones are mostly small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import numpy as np
from pydantic import Field, model_validator

from pipelines.cutout import eroded
from pipelines.mixing import Change
from pipelines.placement import Board, PlacementRules, Share, draw_place, ground_of, hiders_of
from pipelines.recipe import Scene, Sources
from pipelines.sources.balance import Balance, BalanceRules
from pipelines.sources.frames import FrameConfig, FrameSource, OverPlainFrames, in_words
from pipelines.sources.objects import CocoObject, ObjectRules, ObjectSource
from shards.cards import Card
from shards.errors import BadInput, UserError
from shards.layouts.problem import Problem
from shards.rng import generator

CARD = Card(
    kind="recipe",
    name="anomalymix",
    summary="COCO objects pasted into Cityscapes frames are the anomalies",
    title="Pixel-wise Energy-biased Abstention Learning for Anomaly Segmentation on Complex Urban Driving Scenes",
    venue="ECCV",
    year=2022,
    url="https://arxiv.org/abs/2111.12264",
    needs=("Cityscapes with labelIds or labelTrainIds", "COCO instances, such as train2017"),
    licence="Cityscapes: non-commercial, no redistribution; COCO: each picture's own licence, recorded per object",
)

# One deviation from the originals: Meta-OOD's preparation, which the first four build upon, leaves COCO's trains in.
# Cityscapes knows trains, so here no preset pastes one; `street_categories` without "train" and
# `allow_known` with it bring them back.
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    # PEBAL: an epoch draws from 2975 frames and 297 pictures together.
    "pebal": {
        "unit": "image",
        "probability": 297 / (297 + 2975),
        "objects": (1, 1),
        "scale": "native",
        "long_side": None,
        "flip": 0.0,
        "min_visible": 1,
    },
    # RPL: .5 is drawn twice as often; the probability is decided per batch there, per sample here.
    "rpl": {
        "unit": "image",
        "probability": 1.0,
        "objects": (1, 1),
        "scale": (0.25, 0.5, 0.5, 0.75, 0.1, 0.125),
        "long_side": None,
        "crop": 700,
        "flip": 0.0,
        "min_visible": 1,
    },
    # RbA: as PEBAL. It skips what is larger than the frame, which no picture of COCO is.
    "rba": {
        "unit": "image",
        "probability": 0.1,
        "objects": (1, 1),
        "scale": "native",
        "long_side": None,
        "flip": 0.0,
        "min_visible": 1,
    },
    # Mask2Anomaly: as RbA, more often. The default of RbA's code is the same.
    "mask2anomaly": {
        "unit": "image",
        "probability": 0.2,
        "objects": (1, 1),
        "scale": "native",
        "long_side": None,
        "flip": 0.0,
        "min_visible": 1,
    },
    # MultiShift: its list of pictures by class is not public; that of Meta-OOD is assumed (GUESS).
    "multishift": {
        "unit": "class",
        "probability": 1.0,
        "objects": (1, 1),
        "scale": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        "long_side": None,
        "crop": 700,
        "flip": 0.0,
        "min_visible": 1,
    },
    # Style-aligned augmentation: "only non-occluded objects", probability .1. Number, scale, place and mirroring are
    # not stated (GUESS: PEBAL's). Its style transfer (ISSA) is not public: Reinhard stands in (GUESS).
    "style-aligned": {
        "unit": "object",
        "probability": 0.1,
        "objects": (1, 1),
        "scale": "native",
        "long_side": None,
        "style": "reinhard",
        "flip": 0.0,
        "min_visible": 1,
    },
}


class AnomalyMixConfig(FrameConfig, ObjectRules, BalanceRules, PlacementRules):
    """Which objects, how many, and where; see `ObjectRules`, `BalanceRules` and `PlacementRules` for the rest."""

    probability: Share = 1.0
    """Share of the samples that get objects; the others are plain frames."""
    objects: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=64)]] = (1, 3)
    """Least and greatest number of objects in a mixed sample, drawn uniformly."""
    erode: Annotated[int, Field(ge=0, le=32)] = 0
    """Pixels taken off the edge of an object's mask in its own picture, where outlines drawn by hand hold
    background."""
    max_tries: Annotated[int, Field(ge=1, le=1000)] = 20
    """Draws for one object before the sample goes without it; each may fail of a broken picture or for want of
    room."""
    crop: Annotated[int, Field(ge=64)] | None = None
    """Side of a random square that is cut out of the frame before mixing, in pixels of a frame 1024 pixels high: with
    size 1024x512, crop 700 gives samples of 350x350. It is at most as large as the frame. After cropping, objects of
    one size take a larger share of the picture than when a mixed frame is cropped."""

    @model_validator(mode="after")
    def _consistent(self) -> AnomalyMixConfig:
        if (self.scale is None) == (self.long_side is None):
            raise ValueError("give either scale or long_side, and null for the other one")
        if self.scale == ():
            raise ValueError("scale needs at least one factor")
        if self.category_weights and self.balance != "categories":
            raise ValueError("category_weights is of use with balance=categories only")
        for field in ("objects", "long_side", "feather_px"):
            pair = getattr(self, field)
            if pair is not None and pair[0] > pair[1]:
                raise ValueError(f"{field}: the least value, {pair[0]:g}, exceeds the greatest, {pair[1]:g}")
        return self


@dataclass(frozen=True, slots=True)
class AnomalyMix(OverPlainFrames):
    """Frames with pasted objects."""

    name: ClassVar[str] = CARD.name
    config: AnomalyMixConfig
    frames: FrameSource
    objects: ObjectSource
    balance: Balance

    @classmethod
    def open(cls, config: AnomalyMixConfig, sources: Sources) -> AnomalyMix:
        """Scan frames and objects; raises UserError."""
        if sources.coco is None:
            raise UserError("anomalymix needs objects: give the COCO folder with --coco DIR.")
        frames = FrameSource.open(sources.cityscapes, sources.split, config)
        objects = ObjectSource.open(sources.coco, sources.coco_split, config)
        return cls(config, frames, objects, Balance.of([item.category for item in objects.objects], config))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Files that make no pair, and annotations that cannot be used."""
        return self.frames.problems + self.objects.problems

    def plan(self) -> dict[str, Any]:
        """Frames, the objects that each rule left over, and the size of the samples."""
        inputs = {"cityscapes": self.frames.plan(), "coco": self.objects.plan()}
        return {**inputs, "sample_size": self._sample_size()}

    def _sample_size(self) -> str:
        """The size of the samples in words, judged by the first frame that can be read."""
        size = self.frames.size
        if size is not None:
            board = Board.draw(*size, self.config.crop, generator(0, self.name))
            size = board.width, board.height
        return in_words(size)

    def sources(self) -> dict[str, dict[str, Any]]:
        """Fingerprints of frames and objects."""
        return {"cityscapes": dict(self.frames.fingerprint), "coco": dict(self.objects.fingerprint)}

    def change(self, seed: int, index: int, scene: Scene) -> Change:
        """The objects of a sample. Broken ones are recorded and drawn anew."""
        rng = generator(seed, self.name, index)
        board = Board.draw(*scene.size, self.config.crop, rng)
        items: list[CocoObject] = []
        rejected: list[dict[str, str]] = []
        if rng.random() < self.config.probability:
            self._mix(board, scene, items, rejected, rng)
        origin = self.frames.provenance(self.frames.at(seed, self.name, index))
        crop = None
        if self.config.crop is not None:
            crop = (board.left, board.top, board.width, board.height)
            origin["crop"] = list(crop)
        meta = {
            "recipe": self.name,
            "index": index,
            "seed": seed,
            "frame": origin,
            "objects": [
                {
                    **self.objects.provenance(item),
                    "box": board.box(number),
                    "scale": placed.scale,
                    "flip": placed.flip,
                    "pixels": int(board.seen[number].sum()),
                    "placement": "road" if placed.on_ground else "uniform",
                    "occluded": placed.occluded,
                    "blend": placed.patch.blend.as_json(),
                }
                for number, (item, placed) in enumerate(zip(items, board.placed, strict=True))
            ],
            "rejected": rejected,
        }
        return Change(meta, tuple(placed.patch for placed in board.placed), crop)

    def _mix(
        self,
        board: Board,
        scene: Scene,
        items: list[CocoObject],
        rejected: list[dict[str, str]],
        rng: np.random.Generator,
    ) -> None:
        """Put the objects of one sample on the board; fills `items`, their origins, and `rejected`."""
        config = self.config
        ground = np.empty(0, np.int64)
        if config.placement != "uniform":
            ground = ground_of(scene.semantic, board, config.ground)
        hiders = hiders_of(scene.semantic, board, config.occluders) if config.occlusion else None
        min_visible = max(1, round(config.min_visible * board.unit**2))
        for _ in range(int(rng.integers(config.objects[0], config.objects[1] + 1))):
            for _ in range(config.max_tries):
                item = self.objects.objects[self.balance.draw(rng)]
                try:
                    cutout = eroded(self.objects.load(item), config.erode)
                except BadInput as error:
                    row = {"reason": error.reason, "detail": error.detail, "input": self.objects.name(item)}
                    if row not in rejected:  # few objects are drawn again and again
                        rejected.append(row)
                    continue
                placed = draw_place(cutout, board, ground, config, rng, hiders)
                if placed is not None and board.put(placed, min_visible):
                    items.append(item)
                    break
            else:
                detail = f"no object found room in {config.max_tries} tries"
                rejected.append({"reason": "not-placed", "detail": detail, "input": ""})
