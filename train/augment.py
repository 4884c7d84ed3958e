"""From a stored frame to what a network sees: one resize that is also the crop, a mirror, a change of light.

All randomness comes from the generator that is passed in, so an item is a pure function of (seed, epoch, place).
Pixels stay uint8: the device makes them floating point numbers (a worker would spend as long on it as on decoding).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from shards.coded import Box, StoredSample
from shards.errors import BadInput
from shards.labels import IGNORE
from shards.resize import resize_seen
from train.config import TrainConfig

LABEL_EXTRAS = frozenset({"predicted", "swapped"})
"""Extras that hold trainIds, and 255 where there is none."""


@dataclass(frozen=True, slots=True)
class Item:
    """One training example; shapes as in `Sample`, at the size of the crop.

    `padding` tells the pixels beside the frame from its void ones: both are 255 in the label maps. `seed` is a number
    below 2 ** 63 from the item's generator, for what is drawn of the item later.
    """

    key: str
    image: UInt8[np.ndarray, "h w 3"]
    anomaly: UInt8[np.ndarray, "h w"]
    semantic: UInt8[np.ndarray, "h w"]
    padding: Bool[np.ndarray, "h w"]
    seed: int
    extras: Mapping[str, UInt8[np.ndarray, "h w *c"]]


@dataclass(frozen=True, slots=True)
class View:
    """Which part of a frame is seen, and how large.

    Attributes:
        size: (width, height) of the whole frame after scaling.
        corner: (x, y) of the crop in the scaled frame.
        crop: (width, height) of the crop; where it is larger than the frame the rest is padding.
        flip: mirror left and right.
    """

    size: tuple[int, int]
    corner: tuple[int, int]
    crop: tuple[int, int]
    flip: bool


@dataclass(frozen=True, slots=True)
class Part:
    """The rectangle of a stored frame that is decoded for a view.

    Attributes:
        frame: (width, height) of the whole frame as it is stored.
        box: (left, top, width, height) of the rectangle.
    """

    frame: tuple[int, int]
    box: Box


class Augment:
    """The transform of a `ShardDataset`; picklable, so that it can cross into workers.

    Args:
        config: ranges and sizes.
        input_size: (width, height) in pixels that frames have at scale 1.
        extras: which of a sample's extras an item holds. They are cut like the frame: those of `LABEL_EXTRAS` like
            label maps, the others like pictures. No change of light touches them.
    """

    def __init__(self, config: TrainConfig, input_size: tuple[int, int], extras: Sequence[str] = ()) -> None:
        self._config = config
        self._input_size = input_size
        self._extras = tuple(extras)

    def __call__(self, coded: StoredSample, rng: np.random.Generator) -> Item:
        """Cut and vary one sample. The labels are cut alike, so what is absent from the crop is absent from them.

        Raises:
            BadInput: what the crop shows cannot be decoded; ``missing-member`` where an extra is not there.
        """
        view = draw_view(rng, self._config, self._input_size)
        part = part_of((coded.width, coded.height), view)
        sample = coded.decode(part.box)
        missing = [name for name in self._extras if name not in sample.extras]
        if missing:
            raise BadInput("missing-member", f"{sample.key} has no {missing[0]}")
        return Item(
            key=sample.key,
            image=degrade(jitter(see_image(sample.image, view, part), rng, self._config), rng, self._config),
            anomaly=see_labels(sample.anomaly, view, part),
            semantic=see_labels(sample.semantic, view, part),
            padding=beside_frame(view),
            seed=int(rng.integers(2**63)),
            extras={name: see_extra(name, sample.extras[name], view, part) for name in self._extras},
        )


def draw_view(rng: np.random.Generator, config: TrainConfig, input_size: tuple[int, int]) -> View:
    """Draw scale, corner and mirror; always the same number of draws, whatever the ranges."""
    low, high = np.log(config.scale)
    factor = float(np.exp(rng.uniform(low, high)))
    stretch = float(np.exp(rng.uniform(-0.5, 0.5) * config.aspect))
    size = (max(1, round(input_size[0] * factor * stretch)), max(1, round(input_size[1] * factor / stretch)))
    crop = config.crop or input_size
    x, y = (int(rng.integers(0, max(0, s - c) + 1)) for s, c in zip(size, crop, strict=True))
    return View(size, (x, y), crop, bool(rng.random() < config.flip))


def part_of(frame: tuple[int, int], view: View) -> Part:
    """What of a frame a view is made of, with all that the low-pass of a resize sees around it."""
    if frame == view.size:
        return Part(frame, (*view.corner, *_visible(view)))
    starts, lengths = [], []
    for whole, scaled, corner, seen in zip(frame, view.size, view.corner, _visible(view), strict=True):
        factor = whole / scaled
        reach = max(1.0, factor) + 1  # of the filter, and a pixel for the rounding of its centre
        start = max(0, math.floor(corner * factor - reach))
        end = min(whole, math.ceil((corner + seen) * factor + reach))
        starts.append(start)
        lengths.append(end - start)
    return Part(frame, (starts[0], starts[1], lengths[0], lengths[1]))


def see_image(
    image: UInt8[np.ndarray, "h w *c"], view: View, part: Part | None = None
) -> UInt8[np.ndarray, "ch cw *c"]:
    """The view of a picture: bilinear with low-pass (Pillow, as at test time), padded with black.

    Args:
        image: the pixels of the part, in three channels or none.
        view: what is wanted of the whole frame.
        part: which part of it `image` is; without it the whole.
    """
    part = part or _whole(image)
    if part.frame == view.size:
        return _place(_cut(image, view, part), view, 0)
    # Pillow resizes a rectangle of the source: only the pixels of the crop are ever computed.
    box = []
    for axis, seen in enumerate(_visible(view)):
        whole, origin = part.frame[axis], part.box[axis]
        factor = whole / view.size[axis]
        start, end = view.corner[axis] * factor, (view.corner[axis] + seen) * factor
        box.append((start - origin, min(end, float(whole)) - origin))
    (left, right), (top, bottom) = box
    return _place(resize_seen(image, _visible(view), (left, top, right, bottom)), view, 0)


def see_labels(labels: UInt8[np.ndarray, "h w"], view: View, part: Part | None = None) -> UInt8[np.ndarray, "ch cw"]:
    """The view of a label map: nearest pixel, padded with 255; arguments as those of `see_image`."""
    part = part or _whole(labels)
    columns, rows = (
        ((view.corner[axis] + np.arange(seen) + 0.5) * (part.frame[axis] / view.size[axis])).astype(np.intp)
        - part.box[axis]
        for axis, seen in enumerate(_visible(view))
    )
    return _place(labels[rows[:, None], columns], view, IGNORE)


def see_extra(name: str, extra: np.ndarray, view: View, part: Part) -> UInt8[np.ndarray, "ch cw *c"]:
    """The view of an extra, as of a label map or of a picture.

    Raises:
        BadInput: ``extra-values`` where it does not have 8 bits.
    """
    if extra.dtype != np.uint8:
        raise BadInput("extra-values", f"{name} should have 8 bits, it has {extra.dtype}")
    return (see_labels if name in LABEL_EXTRAS else see_image)(extra, view, part)


def beside_frame(view: View) -> Bool[np.ndarray, "ch cw"]:
    """Which pixels of the crop are padding."""
    across, down = _visible(view)
    padding = np.ones((view.crop[1], view.crop[0]), bool)
    padding[:down, :across] = False
    return padding


def _whole(pixels: np.ndarray) -> Part:
    height, width = pixels.shape[:2]
    return Part((width, height), (0, 0, width, height))


def _cut(pixels: np.ndarray, view: View, part: Part) -> np.ndarray:
    """The view of what is not resized."""
    left, top = view.corner[0] - part.box[0], view.corner[1] - part.box[1]
    across, down = _visible(view)
    return pixels[top : top + down, left : left + across]


def _visible(view: View) -> tuple[int, int]:
    """(width, height) of the part of the crop that is not padding."""
    return min(view.crop[0], view.size[0]), min(view.crop[1], view.size[1])


def _place(seen: np.ndarray, view: View, fill: int) -> np.ndarray:
    """Mirror, and pad to the right and below."""
    width, height = view.crop
    if view.flip:
        seen = seen[:, ::-1]
    if seen.shape[:2] == (height, width):
        return np.ascontiguousarray(seen)
    padded = np.full((height, width, *seen.shape[2:]), fill, np.uint8)
    padded[: seen.shape[0], : seen.shape[1]] = seen
    return padded


def jitter(
    image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, config: TrainConfig
) -> UInt8[np.ndarray, "h w 3"]:
    """Change saturation, then exponent, contrast, brightness and tint; the identity where all strengths are 0."""
    strengths = (config.saturation, config.exponent, config.contrast, config.brightness)
    saturation, exponent, contrast, brightness = (1 + x * rng.uniform(-1, 1) for x in strengths)
    tint = 1 + config.tint * rng.uniform(-1, 1, 3)
    if not any(strengths) and not config.tint:
        return image
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mean = (float(grey.mean()) / 255) ** exponent
    image = cv2.addWeighted(image, saturation, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), 1 - saturation, 0)
    value = (np.arange(256) / 255) ** exponent
    value = (mean + (value - mean) * contrast) * brightness
    table = np.clip(value[:, None] * tint * 255 + 0.5, 0, 255).astype(np.uint8)  # (256, 3)
    return np.stack([table[image[..., c], c] for c in range(3)], axis=-1)


def degrade(
    image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, config: TrainConfig
) -> UInt8[np.ndarray, "h w 3"]:
    """Spoil the whole picture, with the configured probability, by blur, JPEG or noise.

    A pasted object differs from its frame in sharpness, compression and noise; what spoils both alike takes that clue
    away.
    """
    if rng.random() >= config.degrade:
        return image
    kind = int(rng.integers(3))
    if kind == 0:
        blurred: UInt8[np.ndarray, "h w 3"] = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2)))
        return blurred
    if kind == 1:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(30, 90)))
        return np.array(Image.open(buffer).convert("RGB"))
    noise = rng.normal(0, rng.uniform(2, 10), image.shape)
    noisy: UInt8[np.ndarray, "h w 3"] = np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)
    return noisy
