"""Pictures of a score map: a heat map over the photograph, and the outlines of the labelled anomalies."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from shards.labels import ANOMALY

_STOPS = (
    (0.0, (13, 18, 58)),
    (0.3, (72, 36, 132)),
    (0.55, (190, 55, 98)),
    (0.8, (247, 145, 45)),
    (1.0, (255, 240, 150)),
)
"""The colour map: position 0..1 and RGB; brightness rises steadily, so it survives grey print."""

OUTLINE = (0, 235, 255)
"""Cyan: no neighbour in the colour map, rare on roads."""


def colors(values: Float[np.ndarray, "*s"]) -> UInt8[np.ndarray, "*s 3"]:
    """RGB of values in 0..1; values outside take the end's colour."""
    table = np.stack(
        [
            np.interp(np.linspace(0, 1, 256), [stop for stop, _ in _STOPS], [color[i] for _, color in _STOPS])
            for i in range(3)
        ],
        axis=1,
    ).round()
    index = (np.clip(values, 0, 1) * 255).round().astype(np.int64)
    picture: UInt8[np.ndarray, "*s 3"] = table.astype(np.uint8)[index]
    return picture


def css_ramp() -> str:
    """The colour map as the stops of a CSS gradient."""
    return ", ".join(f"rgb({r}, {g}, {b}) {100 * stop:.0f}%" for stop, (r, g, b) in _STOPS)


def value_range(score: Float32[np.ndarray, "*s"]) -> tuple[float, float]:
    """The scores that take the two end colours: the 2nd percentile and the 99.8th, so that outliers do not rule."""
    low, high = (float(value) for value in np.percentile(score, (2, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)


def heat_map(
    image: UInt8[np.ndarray, "h w 3"],
    score: Float32[np.ndarray, "h w"],
    limits: tuple[float, float] | None = None,
    strength: float = 0.72,
) -> UInt8[np.ndarray, "h w 3"]:
    """The score as colours over a grey copy of the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        score: (H, W) float32.
        limits: scores of the end colours; `value_range` of this map if None.
        strength: share of the colours, 0..1; the rest is the image.
    """
    low, high = limits or value_range(score)
    heat = colors((score - np.float32(low)) / np.float32(high - low)).astype(np.float32)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    return (strength * heat + (1 - strength) * grey).round().astype(np.uint8)


def outline(
    picture: UInt8[np.ndarray, "h w 3"], label: UInt8[np.ndarray, "h w"], width: int = 2
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of the picture with a line along the outer edge of every labelled anomaly."""
    anomaly = (label == ANOMALY).astype(np.uint8)
    grown = cv2.dilate(anomaly, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1)))
    marked = picture.copy()
    marked[(grown > 0) & (anomaly == 0)] = OUTLINE
    return marked


def shrink(
    image: UInt8[np.ndarray, "h w 3"], label: UInt8[np.ndarray, "h w"], score: Float32[np.ndarray, "h w"], width: int
) -> tuple[UInt8[np.ndarray, "y x 3"], UInt8[np.ndarray, "y x"], Float32[np.ndarray, "y x"]]:
    """All three at a width of at most so many pixels; labels by nearest neighbour."""
    if image.shape[1] <= width:
        return image, label, score
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    return (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8),
        cv2.resize(label, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8),
        cv2.resize(score, size, interpolation=cv2.INTER_AREA).astype(np.float32),
    )


def with_legend(
    picture: UInt8[np.ndarray, "h w 3"], name: str, limits: tuple[float, float]
) -> UInt8[np.ndarray, "y w 3"]:
    """The picture with a bar below it: the score's name, the colours and the scores at their ends."""
    from PIL import Image, ImageDraw, ImageFont

    width = picture.shape[1]
    size = max(12, round(width / 64))
    band = Image.new("RGB", (width, round(2.4 * size)), (24, 26, 32))
    draw, font = ImageDraw.Draw(band), ImageFont.load_default(size)
    middle, gap = band.height // 2, size
    low, high = (f"{value:.3g}" for value in limits)
    x = float(gap)
    draw.text((x, middle), name, (240, 240, 240), font, anchor="lm")
    x += draw.textlength(name, font) + 2 * gap
    draw.text((x, middle), low, (190, 195, 205), font, anchor="lm")
    x += draw.textlength(low, font) + gap / 2
    end = max(x + 1, width - gap - draw.textlength(high, font) - gap / 2)
    ramp = np.repeat(colors(np.linspace(0, 1, max(1, round(end - x))))[None], size, axis=0)
    band.paste(Image.fromarray(ramp), (round(x), middle - size // 2))
    draw.text((end + gap / 2, middle), high, (190, 195, 205), font, anchor="lm")
    return np.concatenate([picture, np.asarray(band)], axis=0)
