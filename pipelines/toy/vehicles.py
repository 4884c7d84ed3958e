"""Cars, trucks, buses, trams, caravans and trailers, from behind or in front and from the side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipelines.toy.sketch import Sketch
from pipelines.toy.textures import Colour, Real, blend, darker, jitter

GLASS: Colour = (52, 62, 72)
RUBBER: Colour = (24, 24, 26)


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle: what its two views share.

    Attributes:
        kind: Cityscapes class name.
        colour: of the body.
        width: metres.
        height: metres.
        length: metres.
        style: which of the kind's shapes, in 0..1.
    """

    kind: str
    colour: Colour
    width: Real
    height: Real
    length: Real
    style: Real


_PAINTS: tuple[Colour, ...] = (
    (170, 172, 176), (28, 30, 34), (205, 206, 204), (120, 24, 28), (32, 52, 110), (88, 92, 96), (60, 82, 66),
    (150, 130, 96), (196, 60, 30), (70, 120, 170),
)  # fmt: skip
_SIZES = {
    "car": (1.8, 1.5, 4.3),
    "truck": (2.5, 3.3, 7.5),
    "bus": (2.55, 3.1, 11.0),
    "train": (2.6, 3.5, 24.0),
    "caravan": (2.2, 2.5, 5.0),
    "trailer": (1.9, 1.5, 3.2),
}


def draw_vehicle(rng: np.random.Generator, kind: str) -> Vehicle:
    """A vehicle of a kind: ``car``, ``truck``, ``bus``, ``train``, ``caravan`` or ``trailer``."""
    width, height, length = _SIZES[kind]
    swell = float(rng.uniform(0.94, 1.1))
    if kind == "car":
        colour = jitter(rng, _PAINTS[int(rng.integers(len(_PAINTS)))], 0.2)
        if rng.random() < 0.2:  # a van
            height, length = height * 1.3, length * 1.1
    elif kind == "truck":
        colour = jitter(rng, ((214, 120, 40), (226, 224, 214), (52, 112, 92))[int(rng.integers(3))], 0.15)
    elif kind == "bus":
        colour = jitter(rng, ((222, 190, 40), (232, 196, 70))[int(rng.integers(2))], 0.1)
    elif kind == "train":
        colour = jitter(rng, ((176, 30, 44), (150, 24, 60))[int(rng.integers(2))], 0.1)
    elif kind == "caravan":
        colour = jitter(rng, (236, 232, 220), 0.05)
    else:
        colour = jitter(rng, (110, 116, 120), 0.15)
    return Vehicle(kind, colour, width * swell, height * swell, length, float(rng.random()))


def end_view(rng: np.random.Generator, vehicle: Vehicle, scale: Real, *, front: bool) -> Sketch:
    """The vehicle from behind, or from the front; stands on (0, 0)."""
    w, h = vehicle.width / 2, vehicle.height
    sketch = Sketch(-w * 1.12, -0.05, w * 1.12, h * 1.03, scale)
    if vehicle.kind == "car":
        _car_end(sketch, vehicle, front)
    elif vehicle.kind == "trailer":
        _trailer_end(sketch, vehicle)
    else:
        _box_end(sketch, vehicle, front)
    sketch.shade(rng, grain=0.035, top=1.15, bottom=0.72)
    return sketch


def side_view(rng: np.random.Generator, vehicle: Vehicle, scale: Real) -> Sketch:
    """The vehicle from its left side: it looks to the left; (0, 0) is the ground under its middle."""
    half = vehicle.length / 2
    sketch = Sketch(-half, -0.05, half, vehicle.height * 1.03, scale)
    if vehicle.kind == "car":
        _car_side(sketch, vehicle)
    elif vehicle.kind == "trailer":
        _trailer_side(sketch, vehicle)
    else:
        _box_side(sketch, vehicle)
    sketch.shade(rng, grain=0.035, top=1.12, bottom=0.7)
    return sketch


def _car_end(s: Sketch, v: Vehicle, front: bool) -> None:
    w, h, paint = v.width / 2, v.height, v.colour
    dark = darker(paint, 0.55)
    for side in (-1, 1):
        s.rect(side * w * 0.92, 0, side * w * 0.58, h * 0.32, RUBBER)
    s.blob([(-w, h * 0.18), (-w, h * 0.5), (-w * 0.9, h * 0.62), (w * 0.9, h * 0.62), (w, h * 0.5), (w, h * 0.18),
            (w * 0.6, h * 0.14), (-w * 0.6, h * 0.14)], paint)  # fmt: skip
    top = h * (0.98 if v.style < 0.5 else 1.0)
    s.polygon([(-w * 0.88, h * 0.58), (-w * 0.68, top), (w * 0.68, top), (w * 0.88, h * 0.58)], paint)
    glass = blend(GLASS, (150, 170, 190), 0.25 if front else 0.1)
    s.polygon(
        [(-w * 0.78, h * 0.62), (-w * 0.62, h * 0.93), (w * 0.62, h * 0.93), (w * 0.78, h * 0.62)], glass, inside=True
    )
    s.polygon([(-w * 0.3, h * 0.62), (-w * 0.1, h * 0.93), (w * 0.2, h * 0.93), (w * 0.02, h * 0.62)],
              blend(glass, (200, 215, 230), 0.3), inside=True)  # fmt: skip
    s.rect(-w * 0.96, h * 0.14, w * 0.96, h * 0.24, dark, inside=True)
    lamp: Colour = (246, 244, 224) if front else (196, 22, 24)
    for side in (-1, 1):
        s.rect(side * w * 0.95, h * 0.42, side * w * (0.6 if front else 0.7), h * 0.56, lamp, inside=True)
        s.ellipse(side * w * 1.04, h * 0.66, w * 0.1, h * 0.05, dark)
    if front:
        s.rect(-w * 0.5, h * 0.3, w * 0.5, h * 0.42, (30, 32, 34), inside=True)
        s.line([(-w * 0.5, h * 0.36), (w * 0.5, h * 0.36)], 0.03, (150, 150, 150), inside=True)
    else:
        s.line([(-w * 0.9, h * 0.38), (w * 0.9, h * 0.38)], 0.025, dark, inside=True)
    s.rect(-w * 0.26, h * 0.25, w * 0.26, h * 0.33, (232, 232, 224), inside=True)


def _wheel(s: Sketch, x: Real, radius: Real) -> None:
    s.ellipse(x, radius, radius, radius, RUBBER)
    s.ellipse(x, radius, radius * 0.62, radius * 0.62, (150, 152, 156), inside=True)
    for k in range(5):
        a = 2 * math.pi * k / 5
        s.line([(x, radius), (x + math.cos(a) * radius * 0.55, radius + math.sin(a) * radius * 0.55)],
               0.06, (62, 64, 68), inside=True)  # fmt: skip


def _car_side(s: Sketch, v: Vehicle) -> None:
    a, h, paint = v.length / 2, v.height, v.colour
    tail = 0.93 if v.style < 0.6 else 0.72  # hatchback or saloon
    s.blob([(-a, h * 0.22), (-a * 0.99, h * 0.48), (-a * 0.5, h * 0.6), (a * 0.9, h * 0.62), (a, h * 0.5),
            (a, h * 0.2), (0, h * 0.15)], paint)  # fmt: skip
    s.polygon([(-a * 0.55, h * 0.57), (-a * 0.2, h * 0.98), (a * 0.55, h), (a * tail, h * 0.6)], paint)
    s.polygon(
        [(-a * 0.42, h * 0.62), (-a * 0.17, h * 0.92), (a * 0.08, h * 0.93), (a * 0.08, h * 0.62)], GLASS, inside=True
    )
    s.polygon(
        [(a * 0.13, h * 0.62), (a * 0.13, h * 0.93), (a * 0.5, h * 0.93), (a * tail * 0.88, h * 0.62)],
        GLASS,
        inside=True,
    )
    s.polygon([(-a * 0.3, h * 0.64), (-a * 0.12, h * 0.9), (-a * 0.03, h * 0.9), (-a * 0.2, h * 0.64)],
              blend(GLASS, (200, 215, 230), 0.35), inside=True)  # fmt: skip
    s.line([(a * 0.1, h * 0.2), (a * 0.1, h * 0.6)], 0.03, darker(paint, 0.6), inside=True)
    s.line([(-a * 0.95, h * 0.42), (a * 0.95, h * 0.44)], 0.03, darker(paint, 1.25), inside=True)
    s.rect(-a * 0.7, h * 0.12, a * 0.7, h * 0.2, darker(paint, 0.4), inside=True)
    s.rect(a * 0.92, h * 0.44, a, h * 0.56, (190, 24, 24), inside=True)
    s.rect(-a, h * 0.4, -a * 0.9, h * 0.5, (240, 240, 220), inside=True)
    for x in (-a * 0.62, a * 0.62):
        s.ellipse(x, 0.34, 0.41, 0.41, darker(paint, 0.25), inside=True)
        _wheel(s, x, 0.33)


def _box_end(s: Sketch, v: Vehicle, front: bool) -> None:
    w, h, paint = v.width / 2, v.height, v.colour
    for side in (-1, 1):
        s.rect(side * w * 0.92, 0, side * w * 0.62, h * 0.2, RUBBER)
    s.rect(-w, h * 0.1, w, h, paint)
    s.rect(-w, h * 0.1, w, h * 0.18, darker(paint, 0.45), inside=True)
    lamp: Colour = (246, 244, 224) if front else (196, 22, 24)
    if v.kind in ("bus", "train"):
        s.rect(-w * 0.86, h * 0.45, w * 0.86, h * 0.82, GLASS, inside=True)
        s.polygon([(-w * 0.2, h * 0.45), (w * 0.15, h * 0.82), (w * 0.4, h * 0.82), (w * 0.05, h * 0.45)],
                  blend(GLASS, (190, 205, 220), 0.35), inside=True)  # fmt: skip
        s.line([(0, h * 0.45), (0, h * 0.82)], 0.05, darker(paint, 0.5), inside=True)
        s.rect(-w * 0.6, h * 0.86, w * 0.6, h * 0.95, (20, 20, 22), inside=True)
        s.rect(-w * 0.5, h * 0.88, w * 0.35, h * 0.93, (250, 160, 40), inside=True)
        if v.kind == "train":
            s.rect(-w, h * 0.28, w, h * 0.38, (238, 236, 230), inside=True)
    elif v.kind == "caravan":
        s.rect(-w * 0.7, h * 0.55, w * 0.7, h * 0.82, GLASS, inside=True)
        s.rect(-w, h * 0.32, w, h * 0.38, (150, 70, 50), inside=True)
    elif front:
        s.rect(-w, h * 0.1, w, h * 0.72, darker(paint, 0.85), inside=True)
        s.rect(-w * 0.88, h * 0.4, w * 0.88, h * 0.66, GLASS, inside=True)
        s.rect(-w * 0.6, h * 0.2, w * 0.6, h * 0.34, (40, 40, 42), inside=True)
    else:
        s.rect(-w * 0.94, h * 0.2, w * 0.94, h * 0.97, darker(paint, 1.08), inside=True)
        s.line([(0, h * 0.2), (0, h * 0.97)], 0.06, darker(paint, 0.4), inside=True)
        for y in (0.3, 0.55, 0.85):
            s.line([(-w * 0.9, h * y), (w * 0.9, h * y)], 0.03, darker(paint, 0.65), inside=True)
        s.rect(-w, h * 0.08, w, h * 0.14, (220, 60, 40), inside=True)
    for side in (-1, 1):
        s.rect(side * w * 0.97, h * 0.2, side * w * 0.74, h * 0.27, lamp, inside=True)
    s.rect(-w * 0.2, h * 0.12, w * 0.2, h * 0.17, (232, 232, 224), inside=True)


def _box_side(s: Sketch, v: Vehicle) -> None:
    a, h, paint = v.length / 2, v.height, v.colour
    s.rect(-a, h * 0.12, a, h, paint)
    s.rect(-a, h * 0.1, a, h * 0.2, darker(paint, 0.5), inside=True)
    if v.kind in ("bus", "train"):
        count = max(4, round(v.length / 1.6))
        step = 2 * a / count
        s.rect(-a * 0.99, h * 0.48, a * 0.99, h * 0.82, GLASS, inside=True)
        for k in range(count + 1):
            s.rect(-a + k * step - 0.06, h * 0.48, -a + k * step + 0.06, h * 0.82, darker(paint, 0.7), inside=True)
        for k in range(1, count, 3):
            s.rect(
                -a + k * step + 0.1,
                h * 0.14,
                -a + (k + 1) * step - 0.1,
                h * 0.8,
                blend(GLASS, paint, 0.2),
                inside=True,
            )
        if v.kind == "train":
            s.rect(-a, h * 0.28, a, h * 0.38, (238, 236, 230), inside=True)
    elif v.kind == "caravan":
        s.rect(-a * 0.7, h * 0.5, -a * 0.1, h * 0.8, GLASS, inside=True)
        s.rect(a * 0.1, h * 0.16, a * 0.45, h * 0.85, darker(paint, 0.9), inside=True)
        s.rect(-a, h * 0.32, a, h * 0.38, (150, 70, 50), inside=True)
    else:
        s.rect(-a, h * 0.1, -a * 0.62, h, darker(paint, 0.85), inside=True)
        s.rect(-a * 0.95, h * 0.42, -a * 0.7, h * 0.66, GLASS, inside=True)
        s.rect(-a * 0.61, h * 0.08, -a * 0.57, h, (30, 30, 32), inside=True)
        for k in range(7):
            s.line(
                [(-a * 0.5 + k * a * 0.25, h * 0.22), (-a * 0.5 + k * a * 0.25, h)],
                0.04,
                darker(paint, 0.8),
                inside=True,
            )
        if v.style < 0.6:
            s.rect(-a * 0.3, h * 0.45, a * 0.7, h * 0.65, blend(paint, (255, 255, 255), 0.55), inside=True)
    axles = [-a * 0.68, a * 0.62] + ([a * 0.36] if v.kind in ("truck", "train") else [])
    for x in axles:
        _wheel(s, x, 0.48 if v.kind != "caravan" else 0.34)


def _trailer_end(s: Sketch, v: Vehicle) -> None:
    w, h = v.width / 2, v.height
    for side in (-1, 1):
        s.rect(side * w, 0, side * w * 0.7, h * 0.4, RUBBER)
    s.rect(-w * 0.9, h * 0.25, w * 0.9, h * 0.6, v.colour)
    s.blob(
        [(-w * 0.9, h * 0.55), (-w * 0.8, h * 0.95), (0, h), (w * 0.8, h * 0.95), (w * 0.9, h * 0.55)], (60, 88, 120)
    )
    for side in (-1, 1):
        s.rect(side * w * 0.9, h * 0.28, side * w * 0.65, h * 0.38, (190, 24, 24), inside=True)


def _trailer_side(s: Sketch, v: Vehicle) -> None:
    a, h = v.length / 2, v.height
    s.rect(-a * 0.8, h * 0.25, a, h * 0.6, v.colour)
    s.line([(-a, h * 0.25), (-a * 0.6, h * 0.3)], 0.12, (70, 70, 72))
    s.blob([(-a * 0.8, h * 0.55), (-a * 0.7, h * 0.95), (a * 0.9, h * 0.95), (a, h * 0.55)], (60, 88, 120))
    _wheel(s, a * 0.15, 0.34)
