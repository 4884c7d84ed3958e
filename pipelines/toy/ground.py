"""The ground under a street: asphalt, kerbs, paving, grass and paint, computed for every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, UInt16

from pipelines.toy.camera import Camera
from pipelines.toy.canvas import Canvas
from pipelines.toy.look import Look
from pipelines.toy.textures import Real, blend, lookup

ROAD, SIDEWALK, PARKING, RAIL, GROUND, TERRAIN = 7, 8, 9, 10, 6, 22


@dataclass(frozen=True, slots=True)
class Strip:
    """A band of ground along the street.

    Attributes:
        label: Cityscapes labelId.
        left: world x where it begins; it reaches to the next strip.
    """

    label: int
    left: Real


@dataclass(frozen=True, slots=True)
class Paint:
    """White paint on the road.

    Attributes:
        x: of a line along the street.
        dashed: whether the line is broken.
    """

    x: Real
    dashed: bool


@dataclass(frozen=True, slots=True)
class Crossing:
    """A side street.

    Attributes:
        near: where it begins, metres ahead.
        far: where it ends.
        zebra: whether pedestrians have a crossing before it.
    """

    near: Real
    far: Real
    zebra: bool


def paint_ground(
    rng: np.random.Generator,
    canvas: Canvas,
    camera: Camera,
    look: Look,
    strips: tuple[Strip, ...],
    paint: tuple[Paint, ...],
    crossing: Crossing | None,
    *,
    dirt: bool = False,
) -> None:
    """Paint and label everything below the horizon.

    Args:
        rng: of this scene.
        canvas: painted from the horizon down.
        camera: the view.
        look: colours and light.
        strips: from left to right; the first begins far to the left.
        paint: lines on the road.
        crossing: a side street, if there is one.
        dirt: an unpaved road.
    """
    first = min(int(camera.horizon + canvas.tags.shape[0] * 0.006) + 1, camera.height - 1)
    x, z = camera.ground(first)
    shift = float(rng.uniform(0, 256))
    label = _labels(x, strips)
    if crossing is not None:
        label[(z > crossing.near) & (z < crossing.far) & (label != RAIL)] = ROAD
    road = label == ROAD
    # Fine texture would flicker where a pixel is wider than a texel.
    fine = lookup(0, x + shift, z, 28.0) * np.clip(9.0 / z, 0.0, 1.0)
    gain = _surface(x, z, label, fine, shift, dirt=dirt)
    gain *= _manholes(rng, x, z, road)
    if look.sun:
        gain *= _house_shadow(x, z, strips, look.sun, shift)

    colours = np.zeros((256, 3), np.float32)
    for key, colour in (
        (ROAD, look.road),
        (SIDEWALK, blend((168, 160, 156), look.houses[0], 0.18)),
        (PARKING, (122, 112, 108)),
        (RAIL, (112, 100, 90)),
        (GROUND, (148, 136, 124)),
        (TERRAIN, look.grass),
    ):
        colours[key] = colour
    rgb = colours[label]
    for strip in strips:
        if strip.label == RAIL:
            for offset in (0.8, 2.3):
                rgb[np.abs(x - strip.left - offset) < 0.07] = (176, 172, 168)
    # Kerbs: a light stone with a dark edge wherever the paving meets the carriageway.
    for before, after in pairwise(strips):
        kinds = {before.label, after.label}
        if kinds & {ROAD, PARKING} and kinds & {SIDEWALK, TERRAIN} and not dirt:
            inner = 1 if after.label in (ROAD, PARKING) else -1
            edge = (x - after.left) * np.float32(inner)
            rgb[(edge > -0.22) & (edge <= 0) & ~road] = (186, 184, 180)
            gain[(edge > 0) & (edge < 0.09)] *= 0.66
    painted = _markings(x, z, strips, paint, crossing) & road
    white = np.array((226, 226, 220), np.float32)
    rgb[painted] = rgb[painted] * 0.2 + (0.75 + 0.12 * fine[painted])[:, None] * white
    air = 1 - np.exp(-z / np.float32(look.air))
    gain *= 1 - air
    rgb *= gain[:, :, None]
    rgb += air[:, :, None] * np.asarray(look.low, np.float32)
    canvas.rgb[first:] = np.clip(rgb, 0, 255).astype(np.uint8)
    canvas.tags[first:] = label


def _labels(x: Float32[np.ndarray, "h w"], strips: tuple[Strip, ...]) -> UInt16[np.ndarray, "h w"]:
    """Whose ground every pixel is."""
    label = np.full(x.shape, strips[0].label, np.uint16)
    for strip in strips[1:]:
        label[x >= strip.left] = strip.label
    return label


def _surface(
    x: Float32[np.ndarray, "h w"],
    z: Float32[np.ndarray, "h 1"],
    label: UInt16[np.ndarray, "h w"],
    fine: Float32[np.ndarray, "h w"],
    shift: float,
    *,
    dirt: bool,
) -> Float32[np.ndarray, "h w"]:
    """How much lighter or darker than its colour the ground is: grain, wear, joints."""
    road = label == ROAD
    amount = np.full(256, 0.045, np.float32)
    amount[TERRAIN], amount[ROAD] = 0.16, (0.19 if dirt else 0.05)
    mid = lookup(2, x, z + np.float32(shift), 9.0) * np.clip(15.0 / z, 0, 0.5)
    gain: Float32[np.ndarray, "h w"] = amount[label] * (fine + mid)
    gain += np.float32(0.05) * lookup(5, x + np.float32(shift), z, 6.0)
    # Tyres polish two tracks in every lane.
    gain -= np.float32(0.14 if dirt else 0.045) * np.cos(x * np.float32(2 * np.pi / 1.65)) * road
    gain += 1
    # Patches of newer asphalt, paving stones, sleepers.
    gain[road & (lookup(6, x, z + np.float32(shift), 14.0) > 1.5)] *= np.float32(0.86)
    paved = (label == SIDEWALK) | (label == PARKING)
    joints = paved & ((_phase(x, 0.62) < 0.05) | (_phase(z, 0.62) < 0.06))
    depth = np.broadcast_to(1 - 0.26 * np.clip(7.0 / z, 0, 1), x.shape)
    gain[joints] *= depth[joints]
    gain[(label == RAIL) & (_phase(z, 0.7) < 0.24)] *= np.float32(0.68)
    return gain


def _markings(
    x: Float32[np.ndarray, "h w"],
    z: Float32[np.ndarray, "h 1"],
    strips: tuple[Strip, ...],
    paint: tuple[Paint, ...],
    crossing: Crossing | None,
) -> Bool[np.ndarray, "h w"]:
    """Where the road is painted white."""
    painted = np.zeros(x.shape, bool)
    open_road = np.ones(z.shape, bool)
    if crossing is not None:
        open_road = (z < crossing.near - 4.5) | (z > crossing.far)
    for line in paint:
        rows = open_road & (_phase(z, 6.0) < 3.2) if line.dashed else open_road
        painted |= (np.abs(x - line.x) < 0.085) & rows
    if crossing is not None and crossing.zebra:
        rows = (z > crossing.near - 3.8) & (z < crossing.near - 0.8)
        left, right = _road_edges(strips)
        painted |= rows & (_phase(x, 1.0) < 0.5) & (x > left) & (x < right)
    return painted


def _house_shadow(
    x: Float32[np.ndarray, "h w"], z: Float32[np.ndarray, "h 1"], strips: tuple[Strip, ...], sun: int, shift: float
) -> Float32[np.ndarray, "h w"]:
    """The ragged shadow of the houses on the sunny side's opposite."""
    left, right = _road_edges(strips)
    reach = left + 3.0 if sun < 0 else right - 3.0
    ragged = reach + 1.2 * np.sign(np.sin(z * 0.35 + shift)) + 0.6 * np.sign(np.sin(z * 0.83))
    return np.where((x < ragged) if sun < 0 else (x > ragged), np.float32(0.62), np.float32(1.06))


def _phase(position: Float32[np.ndarray, "h w"], period: float) -> Float32[np.ndarray, "h w"]:
    """Remainder after whole periods; several times as fast as ``np.mod``."""
    step = np.float32(period)
    rest: Float32[np.ndarray, "h w"] = position - np.floor(position / step) * step
    return rest


def _road_edges(strips: tuple[Strip, ...]) -> tuple[Real, Real]:
    """World x of the road's left and right edge."""
    at = next(k for k, strip in enumerate(strips) if strip.label == ROAD)
    return strips[at].left, strips[at + 1].left


def _manholes(
    rng: np.random.Generator,
    x: Float32[np.ndarray, "h w"],
    z: Float32[np.ndarray, "h 1"],
    road: Bool[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"]:
    gain = np.ones(x.shape, np.float32)
    for _ in range(int(rng.integers(0, 4))):
        cx, cz = float(rng.uniform(-3, 3)), float(rng.uniform(5, 20))
        rows = np.flatnonzero(np.abs(z[:, 0] - cz) < 0.35)
        if rows.size:
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            gain[part][road[part] & ((x[part] - cx) ** 2 + (z[part] - cz) ** 2 < 0.12)] = 0.66
    return gain
