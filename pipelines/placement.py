"""Where objects come to lie in a frame, how large, and how much of each is still seen in the end.

Scales and crops are those of frames 1024 pixels high and follow the frame's height, so that an object takes the same
share of the picture whatever the frames are scaled to.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import exp, log
from typing import Annotated, Final, Literal

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from pydantic import Field

from pipelines.cutout import Cutout, scaled
from pipelines.occlusion import OCCLUDERS, Hiders
from shards.config import Config
from shards.labels import NUM_CLASSES
from shards.patches import Blend, Patch, coverage, window

REFERENCE_HEIGHT: Final = 1024
"""Frame height in pixels that scales, crops and edge widths are given for."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Width = Annotated[float, Field(gt=0, le=64)]
TrainId = Annotated[int, Field(ge=0, lt=NUM_CLASSES)]


class PlacementRules(Config):
    """How objects are scaled, placed and fitted to a frame."""

    long_side: tuple[Positive, Positive] | None = (1 / 32, 5 / 16)
    """Least and greatest length of an object's longer side as a share of the frame's height, drawn log-uniformly: as
    many objects between 3 % and 6 % as between 15 % and 30 %. GUESS"""
    scale: Literal["native"] | tuple[Positive, ...] | None = None
    """Instead of long_side: factors on the object's own pixels, drawn uniformly, or ``native`` for 1; at frames 1024
    pixels high."""
    max_enlarge: Positive | None = None
    """Objects are not enlarged beyond this factor on their own pixels; None lets them be as blurred as they come."""
    placement: Literal["uniform", "road", "mixed"] = "uniform"
    """uniform: anywhere; road: the object's foot, the middle one of its lowest pixels, on a pixel of `ground`; mixed:
    one or the other, see `road_share`. A frame without such a pixel falls back to uniform."""
    road_share: Share = 0.5
    """With mixed placement: the share of objects that stand on the ground."""
    ground: tuple[TrainId, ...] = Field(default=(0, 1), min_length=1)
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
    flip: Share = 0.5
    """Share of objects that are mirrored left to right."""
    occlusion: bool = False
    """Things of the frame that stand nearer to the camera, and objects pasted before that do, hide what lies behind
    them: whose foot is lower in the picture is nearer. The hidden pixels are no anomaly. GUESS, see
    `pipelines/occlusion.py`"""
    occluders: tuple[TrainId, ...] = OCCLUDERS
    """With occlusion: trainIds of the things that hide."""
    blend: Literal["hard", "feather", "poisson"] = "hard"
    """hard: a pixel is the object's or the frame's; feather: the edge is softened, and labelled is what is at least
    half seen; poisson: the object's gradients in the light of the frame (Perez et al., SIGGRAPH 2003), by OpenCV."""
    feather_px: tuple[Width, Width] = (1.0, 1.0)
    """With feather: least and greatest standard deviation of the soft edge in pixels, drawn uniformly; at frames 1024
    pixels high."""
    style: Literal["none", "reinhard", "histogram"] = "none"
    """reinhard: objects take the frame's mean and contrast of colours (Reinhard et al., IEEE CG&A 2001, in CIE Lab);
    histogram: its histograms of red, green and blue. GUESS: both stand in for style alignment."""
    sharpness: Literal["own", "frame"] = "own"
    """frame: an object that is sharper than the frame around it is blurred until it is not. GUESS, see
    `shards/camera.py`"""
    noise: Literal["own", "frame"] = "own"
    """frame: an object with less noise than the frame around it gets the rest (levels: Immerkaer, CVIU 1996)."""
    min_visible: Annotated[int, Field(ge=1)] = 100
    """Labelled pixels that each object must have in the end, else another draw; at frames 1024 pixels high (a quarter
    of it at 512, at least one)."""


@dataclass(frozen=True, slots=True)
class Placed:
    """How an object came to lie where it lies.

    Attributes:
        patch: its pixels and its place on the board.
        label: (h, w) bool: the pixels of the patch that show at least half of it.
        scale: factor on the object's own pixels.
        flip: mirrored left to right.
        on_ground: its foot was put on the ground.
        foot: row of the board on which it stands, hidden or not.
        occluded: pixels that what is nearer takes off its label.
    """

    patch: Patch
    label: Bool[np.ndarray, "h w"]
    scale: float
    flip: bool
    on_ground: bool
    foot: int
    occluded: int


@dataclass(slots=True)
class Board:
    """What objects are pasted into, a frame or a crop of it, and what of them is seen.

    Attributes:
        width: in pixels.
        height: in pixels.
        frame_height: height of the frame in pixels.
        left: column of the crop in the frame.
        top: row of the crop in the frame.
        placed: the objects, from back to front.
        seen: for each the pixels of its label that nothing hides, (h, w) bool like the label.
    """

    width: int
    height: int
    frame_height: int
    left: int = 0
    top: int = 0
    placed: list[Placed] = field(default_factory=list)
    seen: list[Bool[np.ndarray, "_ _"]] = field(default_factory=list)

    @classmethod
    def draw(cls, width: int, height: int, crop: int | None, rng: np.random.Generator) -> Board:
        """Take a whole frame, or a random square of `crop` pixels (at the reference height) out of it."""
        if crop is None:
            return cls(width, height, height)
        side = min(round(crop * height / REFERENCE_HEIGHT), height, width)
        left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        return cls(side, side, height, left, top)

    @property
    def unit(self) -> float:
        """Pixels here that are one pixel in a frame of the reference height."""
        return self.frame_height / REFERENCE_HEIGHT

    def put(self, item: Placed, min_visible: int) -> bool:
        """Lay an object in front, unless it, or one behind it, would show fewer than `min_visible` pixels.

        Returns:
            Whether it was put there.
        """
        patch, label = item.patch, item.label
        _, part = window(label.shape, patch.left, patch.top, self.width, self.height)
        own = np.zeros_like(label)
        own[part] = label[part]
        if int(own.sum()) < min_visible:
            return False
        hidden = []
        for other, seen in zip(self.placed, self.seen, strict=True):
            # The other one's pixels, seen from the upper left corner of this one.
            left, top = other.patch.left - patch.left, other.patch.top - patch.top
            here, there = window(seen.shape, left, top, label.shape[1], label.shape[0])
            covered = seen[there] & own[here]
            count = int(covered.sum())
            if count and int(seen.sum()) - count < min_visible:
                return False
            hidden.append((there, covered))
        for seen, (there, covered) in zip(self.seen, hidden, strict=True):
            seen[there] &= ~covered
        self.placed.append(item)
        self.seen.append(own)
        return True

    def box(self, number: int) -> list[int]:
        """[x, y, width, height] of what is seen of an object, in pixels of the board."""
        seen, patch = self.seen[number], self.placed[number].patch
        y, x = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        return [patch.left + int(x[0]), patch.top + int(y[0]), int(x[-1] - x[0] + 1), int(y[-1] - y[0] + 1)]


def ground_of(semantic: UInt8[np.ndarray, "h w"], board: Board, ground: tuple[int, ...]) -> Int64[np.ndarray, n]:
    """Flat indices of the pixels of a board on which objects can stand, from the frame's trainIds."""
    part = semantic[board.top : board.top + board.height, board.left : board.left + board.width]
    return np.flatnonzero(np.isin(part, np.array(ground, np.uint8)))


def hiders_of(semantic: UInt8[np.ndarray, "h w"], board: Board, occluders: tuple[int, ...]) -> Hiders:
    """What can hide objects on a board, from the frame's trainIds."""
    return Hiders.of(semantic, occluders).cropped(board.left, board.top, board.width, board.height)


def draw_place(
    cutout: Cutout,
    board: Board,
    ground: Int64[np.ndarray, n],
    rules: PlacementRules,
    rng: np.random.Generator,
    hiders: Hiders | None = None,
) -> Placed | None:
    """Scale, mirror and place an object at random.

    Args:
        cutout: the object.
        board: what it shall be pasted into; not changed.
        ground: flat indices of the pixels that objects can stand on.
        rules: the ranges.
        rng: the sample's randomness.
        hiders: what of the frame can hide it; None: nothing hides anything.

    Returns:
        The object at its place; None where it does not fit, or nothing of it is seen.
    """
    rows, columns = cutout.mask.shape
    height, width = board.height, board.width
    scale = _draw_scale(max(rows, columns), board, rules, rng)
    on_ground = rules.placement == "road" or (rules.placement == "mixed" and rng.random() < rules.road_share)
    foot = None
    if on_ground and ground.size:
        y, x = divmod(int(ground[rng.integers(ground.size)]), width)
        foot = (x, y)
        if rules.perspective:
            horizon = rules.horizon * board.frame_height
            nearness = (board.top + y + 1 - horizon) / (board.frame_height - horizon)
            smallest = rules.min_long_side * board.frame_height / max(rows, columns)
            scale = max(scale * nearness, min(scale, smallest))
    if rules.max_enlarge is not None:
        scale = min(scale, rules.max_enlarge)
    w, h = max(1, round(columns * scale)), max(1, round(rows * scale))
    if rules.inside and (w > width or h > height):
        return None
    flip = bool(rng.random() < rules.flip)
    thing = scaled(cutout, w, h, flip=flip)
    if not thing.mask.any():
        return None  # so thin that no pixel is half covered
    own_foot = _foot_of(thing.mask)
    if foot is not None:
        left, top = foot[0] - own_foot[0], foot[1] - own_foot[1]
    elif rules.inside:
        left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
    else:
        left, top = int(rng.integers(width)) - w // 2, int(rng.integers(height)) - h // 2
    if rules.inside and not (0 <= left <= width - w and 0 <= top <= height - h):
        return None
    sigma = float(rng.uniform(*rules.feather_px)) * board.unit if rules.blend == "feather" else 0.0
    seed = int(rng.integers(2**32)) if rules.noise == "frame" else 0
    blend = Blend(rules.blend, sigma, rules.style, rules.sharpness, rules.noise, seed)
    patch = Patch.roomy(thing.rgb, thing.mask, left, top, blend)
    stands, hidden = top + own_foot[1], 0
    alpha, label = coverage(patch)
    if hiders is not None:
        front = _front(patch, stands, board, hiders) & (patch.mask if alpha is None else alpha > 0)
        if front.any():
            patch, hidden = replace(patch, hidden=front), int((label & front).sum())
            label = label & ~front
    if not label.any():
        return None
    return Placed(patch, label, scale, flip, foot is not None, stands, hidden)


def _foot_of(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    """(column, row) of the pixel that an object stands on: of its lowest ones the middle one."""
    row = int(np.flatnonzero(mask.any(axis=1))[-1])
    lowest = np.flatnonzero(mask[row])
    return int(lowest[lowest.size // 2]), row


def _front(patch: Patch, foot: int, board: Board, hiders: Hiders) -> Bool[np.ndarray, "h w"]:
    """Which pixels of a patch show something that is nearer than an object that stands on row `foot`."""
    front = np.zeros_like(patch.mask)
    inside, part = window(front.shape, patch.left, patch.top, board.width, board.height)
    front[part] = hiders.hide(inside, foot)
    for item in board.placed:
        if item.foot > foot:
            left, top = item.patch.left - patch.left, item.patch.top - patch.top
            here, there = window(item.label.shape, left, top, front.shape[1], front.shape[0])
            front[here] |= item.label[there]
    return front


def _draw_scale(long_side: int, board: Board, rules: PlacementRules, rng: np.random.Generator) -> float:
    """Factor on the pixels of an object whose longer side is `long_side`."""
    if rules.long_side is not None:
        low, high = rules.long_side
        return exp(rng.uniform(log(low), log(high))) * board.frame_height / long_side
    factors = (1.0,) if rules.scale == "native" or rules.scale is None else rules.scale
    return float(factors[rng.integers(len(factors))]) * board.unit
