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
             PEBAL                    RPL                      RbA                  MultiShift
===========  =======================  =======================  ===================  ========================
pasted       all objects of one       all objects of one       all objects of one   one class of one picture
             picture at once          picture at once          picture at once
probability  297 of 3272              1                        .1 (its code: .2)    1
scale        native                   .1, .125, .25, .5 twice  native               .1, .2, ... 1
                                      as often, .75
place        uniform in the frame     uniform in a crop of     uniform in the       uniform in a crop of 700
                                      700                      frame
===========  =======================  =======================  ===================  ========================

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
from math import exp, log
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from jaxtyping import Int64, UInt8
from pydantic import Field, model_validator

from pipelines.cutout import Cutout, Layer, eroded, feathered, paste, scaled, window
from pipelines.pixels import count_pixels, void_as_ignore
from pipelines.recipe import Sources, sample_key
from pipelines.sources.frames import FrameConfig, FrameSource, OverFrames
from pipelines.sources.objects import CocoObject, ObjectRules, ObjectSource
from pipelines.style import reinhard
from shards.cards import Card
from shards.errors import BadInput, UserError
from shards.labels import ANOMALY, IGNORE, NUM_CLASSES
from shards.layouts.problem import Problem
from shards.rng import generator
from shards.sample import Sample

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

REFERENCE_HEIGHT: Final = 1024
"""Frame height in pixels that scales, crops and edge widths are given for."""

# One deviation from the originals: Meta-OOD's preparation, which the first four build upon, leaves COCO's trains in.
# Cityscapes knows trains, so here no preset pastes one; `exclude_categories` without "train" brings them back.
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    # PEBAL: an epoch draws from 2975 frames and 297 pictures together.
    "pebal": {
        "unit": "image",
        "probability": 297 / (297 + 2975),
        "objects": (1, 1),
        "scale": "native",
        "long_side": None,
        "flip": 0.0,
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
    },
    # RbA: as PEBAL; its configuration says .1, its code .2. What is larger than the frame is skipped.
    "rba": {
        "unit": "image",
        "probability": 0.1,
        "objects": (1, 1),
        "scale": "native",
        "long_side": None,
        "flip": 0.0,
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
    },
}

_Share = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(gt=0)]
_TrainId = Annotated[int, Field(ge=0, lt=NUM_CLASSES)]


class AnomalyMixConfig(FrameConfig, ObjectRules):
    """How objects are chosen, scaled, placed and laid over frames."""

    probability: _Share = 1.0
    """Share of the samples that get objects; the others are plain frames."""
    objects: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=64)]] = (1, 3)
    """Least and greatest number of objects in a mixed sample, drawn uniformly."""
    long_side: tuple[_Positive, _Positive] | None = (1 / 32, 5 / 16)
    """Least and greatest length of an object's longer side as a share of the frame's height, drawn log-uniformly: as
    many objects between 3 % and 6 % as between 15 % and 30 %. GUESS"""
    scale: Literal["native"] | tuple[_Positive, ...] | None = None
    """Instead of long_side: factors on the object's own pixels, drawn uniformly, or ``native`` for 1; at frames 1024
    pixels high."""
    max_enlarge: _Positive | None = None
    """Objects are not enlarged beyond this factor on their own pixels; None lets them be as blurred as they come."""
    placement: Literal["uniform", "road", "mixed"] = "uniform"
    """uniform: anywhere; road: the middle of the object's lower edge on a pixel of `ground`; mixed: one or the other,
    see `road_share`. A frame without such a pixel falls back to uniform."""
    road_share: _Share = 0.5
    """With mixed placement: the share of objects that stand on the ground."""
    ground: tuple[_TrainId, ...] = Field(default=(0, 1), min_length=1)
    """TrainIds on which objects may stand: road and sidewalk."""
    perspective: bool = True
    """On the ground, sizes hold at the frame's lower edge and shrink linearly to nothing at the horizon, as the size
    of a thing on a flat road does."""
    horizon: Annotated[float, Field(ge=0, lt=1)] = 0.42
    """Height of the horizon as a share of the frame's height, counted from above. GUESS, for Cityscapes' camera"""
    min_long_side: Annotated[float, Field(ge=0)] = 0.01
    """Perspective shrinks no object's longer side below this share of the frame's height."""
    inside: bool = True
    """Objects lie wholly in the frame. If not, their middle does, and the frame's edge may cut them."""
    flip: _Share = 0.5
    """Share of objects that are mirrored left to right."""
    erode: Annotated[int, Field(ge=0, le=32)] = 0
    """Pixels taken off the edge of an object's mask in its own picture, where outlines drawn by hand hold
    background."""
    blend: Literal["hard", "feather"] = "hard"
    """hard: a pixel is the object's or the frame's; feather: the edge is softened, its label stays where half is
    seen."""
    feather_px: tuple[_Positive, _Positive] = (1.0, 1.0)
    """With feather: least and greatest standard deviation of the soft edge in pixels, drawn uniformly; at frames 1024
    pixels high."""
    style: Literal["none", "reinhard"] = "none"
    """reinhard: objects take the frame's mean and contrast of colours (CIE Lab). GUESS: stands in for style
    alignment."""
    min_visible: Annotated[int, Field(ge=1)] = 100
    """Pixels of each object that must be seen in the end, else another draw; at frames 1024 pixels high (a quarter
    of it at 512, at least one)."""
    max_tries: Annotated[int, Field(ge=1, le=1000)] = 20
    """Draws for one object before the sample goes without it; each may fail of a broken picture or for want of
    room."""
    crop: Annotated[int, Field(ge=64)] | None = None
    """Side in pixels of a random square that is cut out of the frame before mixing; at frames 1024 pixels high. After
    cropping, objects of one size take a larger share of the picture than when a mixed frame is cropped."""

    @model_validator(mode="after")
    def _consistent(self) -> AnomalyMixConfig:
        if (self.scale is None) == (self.long_side is None):
            raise ValueError("give either scale or long_side, and null for the other one")
        if self.scale == ():
            raise ValueError("scale needs at least one factor")
        for field in ("objects", "long_side", "feather_px"):
            pair = getattr(self, field)
            if pair is not None and pair[0] > pair[1]:
                raise ValueError(f"{field}: the least value, {pair[0]:g}, exceeds the greatest, {pair[1]:g}")
        return self


@dataclass(frozen=True, slots=True)
class Canvas:
    """What objects are pasted into: a frame, or a crop of it.

    Attributes:
        image: (H, W, 3) uint8 RGB; changed in place.
        semantic: (H, W) uint8 trainIds of the frame.
        owner: (H, W) uint8: 0 for the frame, k for the k-th object; changed in place.
        left: column of the crop in the frame.
        top: row of the crop in the frame.
        frame_height: height of the frame in pixels.
    """

    image: UInt8[np.ndarray, "h w 3"]
    semantic: UInt8[np.ndarray, "h w"]
    owner: UInt8[np.ndarray, "h w"]
    left: int
    top: int
    frame_height: int

    @property
    def unit(self) -> float:
        """Pixels here that are one pixel in a frame of the reference height."""
        return self.frame_height / REFERENCE_HEIGHT


@dataclass(frozen=True, slots=True)
class Placed:
    """How an object came to lie where it lies.

    Attributes:
        layer: its pixels.
        left: column of the layer's upper left corner, may be negative.
        top: row of it.
        scale: factor on the object's own pixels.
        flip: mirrored left to right.
    """

    layer: Layer
    left: int
    top: int
    scale: float
    flip: bool


def canvas(
    image: UInt8[np.ndarray, "h w 3"],
    semantic: UInt8[np.ndarray, "h w"],
    crop: int | None,
    rng: np.random.Generator,
) -> Canvas:
    """Take the whole frame, or a random square of `crop` pixels (at the reference height) out of it."""
    height, width = semantic.shape
    left = top = 0
    if crop is not None:
        side = min(round(crop * height / REFERENCE_HEIGHT), height, width)
        left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        image, semantic = image[top : top + side, left : left + side], semantic[top : top + side, left : left + side]
    return Canvas(image.copy(), semantic.copy(), np.zeros(semantic.shape, np.uint8), left, top, height)


def draw_place(
    cutout: Cutout,
    board: Canvas,
    ground: Int64[np.ndarray, n],
    config: AnomalyMixConfig,
    rng: np.random.Generator,
) -> Placed | None:
    """Scale, mirror and place an object at random.

    Args:
        cutout: the object.
        board: the picture that it shall be pasted into; not changed.
        ground: flat indices of the pixels that objects can stand on.
        config: the ranges.
        rng: the sample's randomness.

    Returns:
        The object at its place; None where it does not fit.
    """
    rows, columns = cutout.mask.shape
    height, width = board.semantic.shape
    scale = _draw_scale(max(rows, columns), board, config, rng)
    on_ground = config.placement == "road" or (config.placement == "mixed" and rng.random() < config.road_share)
    foot = None
    if on_ground and ground.size:
        y, x = divmod(int(ground[rng.integers(ground.size)]), width)
        foot = (x, y)
        if config.perspective:
            horizon = config.horizon * board.frame_height
            nearness = (board.top + y + 1 - horizon) / (board.frame_height - horizon)
            smallest = config.min_long_side * board.frame_height / max(rows, columns)
            scale = max(scale * nearness, min(scale, smallest))
    if config.max_enlarge is not None:
        scale = min(scale, config.max_enlarge)
    w, h = max(1, round(columns * scale)), max(1, round(rows * scale))
    if config.inside and (w > width or h > height):
        return None
    if foot is not None:
        left, top = foot[0] - w // 2, foot[1] + 1 - h
    elif config.inside:
        left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
    else:
        left, top = int(rng.integers(width)) - w // 2, int(rng.integers(height)) - h // 2
    if config.inside and not (0 <= left <= width - w and 0 <= top <= height - h):
        return None
    flip = bool(rng.random() < config.flip)
    layer = scaled(cutout, w, h, flip=flip)
    if not layer.label.any():
        return None  # so thin that no pixel is half covered
    if config.style == "reinhard":
        layer = Layer(reinhard(layer.rgb, layer.label, board.image), layer.alpha, layer.label)
    if config.blend == "feather":
        layer = feathered(layer, float(rng.uniform(*config.feather_px)) * board.unit)
    return Placed(layer, left - layer.margin, top - layer.margin, scale, flip)


def _draw_scale(long_side: int, board: Canvas, config: AnomalyMixConfig, rng: np.random.Generator) -> float:
    """Factor on the pixels of an object whose longer side is `long_side`."""
    if config.long_side is not None:
        low, high = config.long_side
        return exp(rng.uniform(log(low), log(high))) * board.frame_height / long_side
    factors = (1.0,) if config.scale == "native" or config.scale is None else config.scale
    return float(factors[rng.integers(len(factors))]) * board.unit


def put(placed: Placed, board: Canvas, number: int, min_visible: int) -> bool:
    """Paste an object as the `number`-th one, unless it, or one behind it, would show fewer than `min_visible`
    pixels.

    Returns:
        Whether it was pasted.
    """
    height, width = board.owner.shape
    inside, part = window(placed.layer, placed.left, placed.top, width, height)
    label = placed.layer.label[part]
    if int(label.sum()) < min_visible:
        return False
    covered = np.bincount(board.owner[inside][label], minlength=number)
    if number > 1:
        seen = np.bincount(board.owner.ravel(), minlength=number)
        if (seen[1:number] - covered[1:number] < min_visible).any():
            return False
    paste(board.image, placed.layer, placed.left, placed.top)
    board.owner[inside][label] = number
    return True


@dataclass(frozen=True, slots=True)
class AnomalyMix(OverFrames):
    """Frames with pasted objects."""

    name: ClassVar[str] = CARD.name
    config: AnomalyMixConfig
    frames: FrameSource
    objects: ObjectSource

    @classmethod
    def open(cls, config: AnomalyMixConfig, sources: Sources) -> AnomalyMix:
        """Scan frames and objects; raises UserError."""
        if sources.coco is None:
            raise UserError("anomalymix needs objects: give the COCO folder with --coco DIR.")
        frames = FrameSource.open(sources.cityscapes, sources.split, config.size)
        return cls(config, frames, ObjectSource.open(sources.coco, sources.coco_split, config))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Files that make no pair, and annotations that cannot be used."""
        return self.frames.problems + self.objects.problems

    def plan(self) -> dict[str, Any]:
        """Frames, and the objects that each rule left over."""
        return {"cityscapes": self.frames.plan(), "coco": self.objects.plan()}

    def sources(self) -> dict[str, dict[str, Any]]:
        """Fingerprints of frames and objects."""
        return {"cityscapes": dict(self.frames.fingerprint), "coco": dict(self.objects.fingerprint)}

    def make(self, seed: int, index: int) -> Sample:
        """One mixed frame; BadInput where the frame is broken. Broken objects are recorded and drawn anew."""
        rng = generator(seed, self.name, index)
        frame = self.frames.at(seed, self.name, index)
        board = canvas(self.frames.image(frame), self.frames.semantic(frame), self.config.crop, rng)
        pasted: list[tuple[CocoObject, Placed]] = []
        rejected: list[dict[str, str]] = []
        if rng.random() < self.config.probability:
            self._mix(board, pasted, rejected, rng)
        anomaly = void_as_ignore(board.semantic)
        anomaly[board.owner > 0] = ANOMALY
        semantic = board.semantic.copy()
        semantic[board.owner > 0] = IGNORE
        origin = self.frames.provenance(frame)
        if self.config.crop is not None:
            height, width = semantic.shape
            origin["crop"] = [board.left, board.top, width, height]
        meta = {
            "recipe": self.name,
            "index": index,
            "seed": seed,
            "frame": origin,
            "objects": [
                {
                    **self.objects.provenance(item),
                    "box": _box(board, placed, number),
                    "scale": placed.scale,
                    "flip": placed.flip,
                    "pixels": int((board.owner == number).sum()),
                }
                for number, (item, placed) in enumerate(pasted, 1)
            ],
            "pixels": count_pixels(anomaly),
            "rejected": rejected,
        }
        return Sample(sample_key(self.name, index), board.image, anomaly, semantic, meta=meta)

    def _mix(
        self,
        board: Canvas,
        pasted: list[tuple[CocoObject, Placed]],
        rejected: list[dict[str, str]],
        rng: np.random.Generator,
    ) -> None:
        """Paste the objects of one sample; fills `pasted` and `rejected`."""
        config = self.config
        ground = np.empty(0, np.int64)
        if config.placement != "uniform":
            ground = np.flatnonzero(np.isin(board.semantic, np.array(config.ground, np.uint8)))
        min_visible = max(1, round(config.min_visible * board.unit**2))
        for _ in range(int(rng.integers(config.objects[0], config.objects[1] + 1))):
            for _ in range(config.max_tries):
                item = self.objects.objects[rng.integers(len(self.objects.objects))]
                try:
                    cutout = eroded(self.objects.load(item), config.erode)
                except BadInput as error:
                    row = {"reason": error.reason, "detail": error.detail, "input": self.objects.name(item)}
                    if row not in rejected:  # few objects are drawn again and again
                        rejected.append(row)
                    continue
                placed = draw_place(cutout, board, ground, config, rng)
                if placed is not None and put(placed, board, len(pasted) + 1, min_visible):
                    pasted.append((item, placed))
                    break
            else:
                detail = f"no object found room in {config.max_tries} tries"
                rejected.append({"reason": "not-placed", "detail": detail, "input": ""})


def _box(board: Canvas, placed: Placed, number: int) -> list[int]:
    """[x, y, width, height] of what is seen of an object, in pixels of the sample."""
    height, width = board.owner.shape
    (rows, columns), _ = window(placed.layer, placed.left, placed.top, width, height)
    seen = board.owner[rows, columns] == number
    y, x = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return [columns.start + int(x[0]), rows.start + int(y[0]), int(x[-1] - x[0] + 1), int(y[-1] - y[0] + 1)]
