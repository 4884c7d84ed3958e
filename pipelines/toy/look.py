"""Weather, light and palette of a scene, and the lens that it is photographed with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from pipelines.toy.canvas import Canvas
from pipelines.toy.sketch import Sketch
from pipelines.toy.textures import Colour, Real, blend, fractal, jitter, patch


@dataclass(frozen=True, slots=True)
class Look:
    """What the light of a scene does to everything in it.

    Attributes:
        sky: colour at the top of the picture.
        low: colour of the sky at the horizon, which is also the colour of the air.
        clouds: how much of the sky they cover, in 0..1.
        air: metres after which 63 % of a colour is air.
        sun: side from which the houses throw their shadow on the street: -1, 0 (none) or 1.
        leaf: of trees and hedges.
        grass: of verges and meadows.
        road: of the asphalt.
        houses: paint of the house fronts.
        gain: exposure.
        warmth: white balance; above 0 is warmer.
        noise: of the sensor, in grey levels.
    """

    sky: Colour
    low: Colour
    clouds: Real
    air: Real
    sun: int
    leaf: Colour
    grass: Colour
    road: Colour
    houses: tuple[Colour, ...]
    gain: Real
    warmth: Real
    noise: Real


_HOUSES: dict[str, tuple[Colour, ...]] = {
    "north": ((186, 150, 120), (168, 104, 80), (206, 190, 160), (150, 132, 122), (196, 172, 128)),
    "south": ((214, 190, 142), (204, 150, 108), (190, 168, 150), (178, 118, 92), (222, 208, 184)),
}


def city_look(rng: np.random.Generator, palette: str) -> Look:
    """Daylight in a town; ``palette`` names the paint of its houses (``north`` or ``south``)."""
    grey = float(rng.random())
    sky = blend((96, 146, 208), (196, 202, 208), grey)
    low = blend((202, 218, 232), (218, 220, 220), grey)
    autumn = float(rng.random()) ** 3
    return Look(
        sky=jitter(rng, sky, 0.06),
        low=jitter(rng, low, 0.04),
        clouds=float(rng.uniform(0.0, 0.7)),
        air=float(rng.uniform(110, 260)),
        sun=int(rng.integers(-1, 2)) if grey < 0.6 else 0,
        leaf=blend((66, 94, 42), (150, 110, 40), autumn * 0.7),
        grass=jitter(rng, blend((104, 132, 58), (140, 132, 70), float(rng.random())), 0.08),
        road=jitter(rng, (104, 104, 108), 0.14),
        houses=_HOUSES[palette],
        gain=float(rng.uniform(0.82, 1.14)),
        warmth=float(rng.normal(0, 0.035)),
        noise=float(rng.uniform(1.0, 3.2)),
    )


def country_look(rng: np.random.Generator) -> Look:
    """Far from any town, at dusk, in fog, in a dry summer or after rain."""
    kind = int(rng.integers(4))
    sky, low = (
        ((74, 82, 130), (236, 170, 120)),
        ((176, 180, 182), (196, 198, 198)),
        ((120, 162, 206), (232, 222, 196)),
        ((104, 112, 122), (158, 164, 168)),
    )[kind]
    grass = ((92, 98, 58), (122, 128, 92), (178, 156, 92), (80, 108, 56))[kind]
    return Look(
        sky=jitter(rng, sky, 0.06),
        low=jitter(rng, low, 0.05),
        clouds=(0.5, 0.1, 0.25, 0.9)[kind],
        air=(140.0, 55.0, 200.0, 110.0)[kind],
        sun=0,
        leaf=((50, 62, 38), (84, 96, 70), (112, 108, 52), (48, 72, 40))[kind],
        grass=jitter(rng, grass, 0.1),
        road=jitter(rng, ((96, 90, 92), (124, 124, 122), (168, 144, 112), (76, 80, 86))[kind], 0.1),
        houses=_HOUSES["south"],
        gain=(0.78, 1.0, 1.08, 0.85)[kind] * float(rng.uniform(0.94, 1.06)),
        warmth=(0.06, -0.01, 0.04, -0.03)[kind],
        noise=float(rng.uniform(1.5, 4.0)),
    )


def in_air(sketch: Sketch, look: Look, z: Real) -> None:
    """Let ``z`` metres of air lie before a sketch."""
    sketch.haze(look.low, 1 - math.exp(-z / look.air))


def paint_sky(rng: np.random.Generator, canvas: Canvas, look: Look, horizon: Real, label: int) -> None:
    """Sky and clouds from the top to a little below the horizon."""
    height, width = canvas.tags.shape
    rows = int(np.clip(horizon + height * 0.03, 1, height))
    # Nothing in a sky is sharp: a quarter of the rows and columns is enough. Clouds are stretched sideways,
    # as one sees them from below.
    tall, wide = rows // 4 + 2, width // 4 + 2
    ramp = np.linspace(0, 1, tall, dtype=np.float32)[:, None, None]
    sky, low = np.asarray(look.sky, np.float32), np.asarray(look.low, np.float32)
    small = fractal(rng, tall, width // 16 + 2, max(4.0, width / 60))
    drift = cv2.resize(small, (wide, tall), interpolation=cv2.INTER_CUBIC)[:, :, None]
    cover = np.clip((drift - 1.2 + 2.0 * look.clouds) * 0.6, 0, 0.85)
    white = np.asarray(blend(look.low, (250, 250, 250), 0.7), np.float32)
    colour = (sky * (1 - ramp) + low * ramp) * (1 - cover) + white * cover
    small_sky = np.clip(colour, 0, 255).astype(np.uint8)
    canvas.rgb[:rows] = cv2.resize(small_sky, (width, rows), interpolation=cv2.INTER_LINEAR)
    canvas.tags[:rows] = label


def photograph(
    rng: np.random.Generator, canvas: Canvas, look: Look, step: int
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt16[np.ndarray, "h w"]]:
    """Expose the canvas: pixels (averaged over ``step`` x ``step``) and tags (the middle one of them)."""
    height, width = canvas.tags.shape[0] // step, canvas.tags.shape[1] // step
    rgb = cv2.resize(canvas.rgb, (width, height), interpolation=cv2.INTER_AREA) if step > 1 else canvas.rgb
    tags = np.ascontiguousarray(canvas.tags[step // 2 :: step, step // 2 :: step])
    # A film-like shoulder keeps bright skies from clipping to a flat white.
    grey = np.arange(256, dtype=np.float32)[None, :, None] * np.float32(look.gain)
    grey = grey * np.array([1 + look.warmth, 1.0, 1 - look.warmth], np.float32)
    table = 255 * (1 - np.exp(-grey / np.float32(165))) / np.float32(1 - math.exp(-255 / 165))
    light = cv2.LUT(rgb, table.astype(np.float32))
    blur = float(rng.uniform(0.25, 0.6)) * max(1.0, width / 1024)
    soft = np.asarray(cv2.GaussianBlur(light, (0, 0), blur), np.float32)
    dx = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    dy = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    soft *= (1 - np.float32(0.08) * (dx * dx + dy * dy))[:, :, None]
    grain = patch(rng, height, width, 1.0) * np.float32(look.noise)
    for channel in range(3):
        soft[:, :, channel] += grain + patch(rng, height, width, 1.0) * np.float32(look.noise * 0.5)
    picture = np.clip(soft, 0, 255).astype(np.uint8)
    return picture, tags
