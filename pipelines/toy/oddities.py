"""What has no business on a road: the anomalies of the toy benchmarks.

None is of a COCO category, and they are drawn by other means than :mod:`pipelines.toy.things`: straight facets seen
from an angle, rings, ribs, shards and plates, with the textures of cardboard, rubber, rust, straw and scales. A
detector that finds them has learnt what a road holds, not what the toy COCO looks like.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pipelines.toy.sketch import Point, Sketch
from pipelines.toy.textures import Colour, Real, blend, darker, jitter, patch

Maker = Callable[[np.random.Generator, float], Sketch]


def _grain(s: Sketch, rng: np.random.Generator, along: Real, across: Real, amount: Real) -> None:
    """Streaks: noise stretched to ``along`` x ``across`` metres (cardboard, straw, brushed steel)."""
    height, width = s.paint.shape
    wide, tall = max(1, round(along * s.scale)), max(1, round(across * s.scale))
    noise = patch(rng, -(-height // tall), -(-width // wide), 1.0)
    streaks = np.repeat(np.repeat(noise, tall, 0), wide, 1)[:height, :width]
    s.modulate(1 + np.float32(amount) * streaks)


def _facets(s: Sketch, rng: np.random.Generator, x: Real, y: Real, w: Real, h: Real, d: Real, colour: Colour) -> None:
    """A cuboid seen from above at an angle: front, side and lid in three tones."""
    dx, dy = d * 0.55, d * 0.4
    s.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], colour)
    s.polygon([(x + w, y), (x + w + dx, y + dy), (x + w + dx, y + h + dy), (x + w, y + h)], darker(colour, 0.62))
    s.polygon([(x, y + h), (x + w, y + h), (x + w + dx, y + h + dy), (x + dx, y + h + dy)], darker(colour, 1.22))


def cardboard(rng: np.random.Generator, scale: Real) -> Sketch:
    """One to three cardboard boxes."""
    s = Sketch(-0.75, -0.02, 0.95, 1.15, scale)
    colour = jitter(rng, (176, 130, 80), 0.1)
    count = int(rng.integers(1, 4))
    for x, y, size in ((-0.6, 0.0, 0.55), (0.05, 0.0, 0.45), (-0.4, 0.55, 0.38))[:count]:
        _facets(s, rng, x, y, size, size * 0.9, size * 0.7, jitter(rng, colour, 0.08))
        s.rect(x + size * 0.42, y, x + size * 0.58, y + size * 0.9, blend(colour, (226, 206, 160), 0.6), inside=True)
        s.line([(x, y + size * 0.9), (x + size, y + size * 0.9)], 0.02, darker(colour, 0.5), inside=True)
    _grain(s, rng, 0.3, 0.015, 0.08)
    return s


def tyres(rng: np.random.Generator, scale: Real) -> Sketch:
    """A heap of worn tyres."""
    s = Sketch(-0.75, -0.02, 0.75, 1.0, scale)
    for k in range(int(rng.integers(2, 5))):
        y, x = 0.13 + k * 0.21, float(rng.uniform(-0.08, 0.08))
        tone = darker((56, 56, 58), float(rng.uniform(0.75, 1.3)))
        s.ellipse(x, y, 0.55, 0.17, tone)
        for j in range(18):
            a = math.pi * (1 + j / 17)
            rim = (x + 0.55 * math.cos(a), y + 0.17 * math.sin(a))
            bead = (x + 0.47 * math.cos(a), y + 0.11 * math.sin(a))
            s.line([rim, bead], 0.02, (24, 24, 26), inside=True)
        s.ellipse(x, y + 0.05, 0.46, 0.11, darker(tone, 1.35), inside=True)
        s.ellipse(x, y + 0.05, 0.25, 0.06, (10, 10, 10), inside=True)
    _grain(s, rng, 0.04, 0.04, 0.07)
    return s


def cone(rng: np.random.Generator, scale: Real) -> Sketch:
    """A traffic cone, upright or fallen over."""
    s = Sketch(-0.45, -0.02, 0.55, 0.95, scale)
    orange = jitter(rng, (250, 104, 34), 0.06)
    if rng.random() < 0.7:
        s.polygon([(-0.3, 0), (0.3, 0), (0.36, 0.07), (-0.24, 0.07)], darker(orange, 0.75))
        s.polygon([(-0.2, 0.05), (0.22, 0.05), (0.05, 0.85), (-0.03, 0.85)], orange)
        for y, half in ((0.3, 0.155), (0.55, 0.095)):
            s.polygon(
                [(-half - 0.01, y), (half + 0.03, y), (half + 0.005, y + 0.13), (-half + 0.02, y + 0.13)],
                (240, 240, 236),
                inside=True,
            )
    else:
        s.polygon([(-0.4, 0.0), (-0.3, 0.0), (-0.24, 0.5), (-0.34, 0.52)], darker(orange, 0.75))
        s.polygon([(-0.3, 0.06), (-0.26, 0.46), (0.48, 0.16), (0.48, 0.06)], orange)
        s.polygon([(-0.08, 0.05), (-0.04, 0.38), (0.1, 0.33), (0.08, 0.05)], (240, 240, 236), inside=True)
    _grain(s, rng, 0.05, 0.05, 0.05)
    return s


def canoe(rng: np.random.Generator, scale: Real) -> Sketch:
    """A canoe that lies across the road."""
    s = Sketch(-2.1, -0.02, 2.1, 0.9, scale)
    colour = jitter(rng, ((30, 150, 130), (226, 60, 90), (250, 210, 50))[int(rng.integers(3))], 0.1)
    under = [(-2.0 + 0.2 * k, 0.5 - 0.5 * math.sin(math.pi * k / 20) ** 0.6 + 0.0) for k in range(21)]
    rim = [(2.0 - 0.2 * k, 0.5 + 0.25 * abs(1 - k / 10) ** 3) for k in range(21)]
    s.polygon([*under, *rim], colour)
    s.polygon(
        [(x * 0.93, y - 0.02 + 0.1 * (1 - (x / 2) ** 2)) for x, y in rim] + [(x * 0.93, 0.47) for x, _ in under],
        darker(colour, 0.35),
    )
    for x in (-0.8, 0.0, 0.8):
        s.limb((x, 0.44), (x + 0.08, 0.62), 0.1, 0.1, (196, 160, 110))
    s.line([(-1.8, 0.33), (1.8, 0.33)], 0.05, darker(colour, 1.4), inside=True)
    _grain(s, rng, 0.5, 0.03, 0.06)
    return s


def washing_machine(rng: np.random.Generator, scale: Real) -> Sketch:
    """A washing machine."""
    s = Sketch(-0.5, -0.02, 0.7, 1.15, scale)
    white = jitter(rng, (226, 228, 232), 0.05)
    _facets(s, rng, -0.42, 0, 0.75, 0.88, 0.5, white)
    s.ellipse(-0.045, 0.4, 0.26, 0.26, (150, 154, 160), inside=True)
    s.ellipse(-0.045, 0.4, 0.19, 0.19, (40, 50, 66), inside=True)
    s.ellipse(-0.1, 0.46, 0.06, 0.05, (150, 170, 196), inside=True)
    s.rect(-0.4, 0.74, 0.31, 0.86, (196, 198, 204), inside=True)
    for x in (-0.3, 0.2):
        s.ellipse(x, 0.8, 0.04, 0.04, (60, 62, 68), inside=True)
    _grain(s, rng, 0.02, 0.2, 0.02)
    return s


def rubble(rng: np.random.Generator, scale: Real) -> Sketch:
    """A heap of broken concrete."""
    s = Sketch(-1.0, -0.02, 1.0, 0.85, scale)
    for k in range(22):
        level = k / 22
        x = float(rng.normal(0, 0.42 * (1 - level) + 0.08))
        y, r = 0.06 + 0.5 * level * max(0.0, 1 - abs(x)), float(rng.uniform(0.1, 0.24))
        corners = int(rng.integers(4, 7))
        turn = float(rng.uniform(0, 6.28))
        shape: list[Point] = [
            (
                x + r * math.cos(turn + 2 * math.pi * j / corners),
                max(0.0, y + 0.8 * r * math.sin(turn + 2 * math.pi * j / corners)),
            )
            for j in range(corners)
        ]
        tone = jitter(rng, ((140, 130, 118), (164, 156, 148), (150, 90, 66))[int(rng.integers(3))], 0.25)
        s.polygon(shape, tone)
        s.polygon([shape[0], shape[1], (x, y)], darker(tone, 0.65))
        s.polygon([shape[1], shape[2], (x, y)], darker(tone, 1.25))
    _grain(s, rng, 0.03, 0.03, 0.1)
    return s


def oil_drum(rng: np.random.Generator, scale: Real) -> Sketch:
    """A rusty oil drum."""
    s = Sketch(-0.38, -0.05, 0.38, 1.05, scale)
    colour = jitter(rng, ((40, 90, 150), (150, 80, 30), (60, 120, 70))[int(rng.integers(3))], 0.12)
    s.ellipse(0, 0.04, 0.32, 0.07, darker(colour, 0.6))
    s.rect(-0.32, 0.04, 0.32, 0.9, colour)
    for k in range(12):
        x = -0.32 + k * 0.64 / 12
        shine = 0.6 + 0.65 * math.sin(math.pi * (k + 0.5) / 12) ** 2
        s.rect(x, 0.04, x + 0.055, 0.9, darker(colour, shine), inside=True)
    for y in (0.32, 0.6):
        s.rect(-0.33, y, 0.33, y + 0.045, darker(colour, 0.55), inside=True)
    s.ellipse(0, 0.9, 0.32, 0.08, darker(colour, 0.8))
    s.ellipse(0, 0.9, 0.27, 0.055, darker(colour, 0.45), inside=True)
    for _ in range(8):
        x, y = float(rng.uniform(-0.3, 0.25)), float(rng.uniform(0.05, 0.85))
        s.polygon(
            [(x, y), (x + 0.06, y - 0.02), (x + 0.09, y + 0.05), (x + 0.01, y + 0.07)], (120, 60, 30), inside=True
        )
    _grain(s, rng, 0.02, 0.12, 0.1)
    return s


def mattress(rng: np.random.Generator, scale: Real) -> Sketch:
    """A striped mattress, folded over."""
    s = Sketch(-1.15, -0.02, 1.15, 0.95, scale)
    pale = jitter(rng, (216, 206, 190), 0.08)
    stripe = jitter(rng, ((90, 110, 150), (150, 90, 90))[int(rng.integers(2))], 0.1)
    s.polygon([(-1.05, 0), (0.7, 0), (1.05, 0.25), (0.9, 0.42), (-0.8, 0.3), (-1.05, 0.22)], darker(pale, 0.8))
    s.polygon([(-1.05, 0.22), (-0.4, 0.3), (0.35, 0.86), (0.1, 0.92), (-0.75, 0.5)], pale)
    s.polygon([(-0.8, 0.3), (0.9, 0.42), (1.05, 0.25), (-0.6, 0.2)], darker(pale, 1.1))
    for k in range(9):
        x = -0.95 + k * 0.22
        s.line([(x, 0.0), (x + 0.25, 0.42)], 0.045, stripe, inside=True)
        s.line([(x, 0.3), (x + 0.5, 0.92)], 0.035, stripe, inside=True)
    _grain(s, rng, 0.06, 0.06, 0.05)
    return s


def straw_bale(rng: np.random.Generator, scale: Real) -> Sketch:
    """A round bale of straw."""
    s = Sketch(-0.85, -0.02, 1.25, 1.5, scale)
    straw = jitter(rng, (206, 172, 90), 0.08)
    s.polygon([(0.0, 1.42), (0.5, 1.42), (1.05, 0.95), (1.05, 0.4), (0.55, 0.02), (0, 0)], darker(straw, 0.72))
    s.ellipse(0, 0.71, 0.72, 0.71, straw)
    for k in range(1, 7):
        r = 0.72 - 0.1 * k
        turn = [(r * math.cos(a / 5), 0.71 + r * math.sin(a / 5)) for a in range(32)]
        s.line(turn, 0.03, darker(straw, 0.7 if k % 2 else 1.2), inside=True)
    _grain(s, rng, 0.12, 0.02, 0.16)
    return s


def pallet(rng: np.random.Generator, scale: Real) -> Sketch:
    """Stacked wooden pallets."""
    s = Sketch(-0.75, -0.02, 1.15, 0.95, scale)
    for k in range(int(rng.integers(1, 5))):
        wood = jitter(rng, (190, 150, 100), 0.14)
        y = k * 0.16
        for x in (-0.65, -0.08, 0.48):
            s.rect(x, y, x + 0.17, y + 0.1, darker(wood, 0.7))
        s.rect(-0.65, y + 0.09, 0.65, y + 0.14, wood)
        s.polygon([(-0.65, y + 0.14), (0.65, y + 0.14), (1.05, y + 0.4), (-0.3, y + 0.4)], darker(wood, 1.15))
        for j in range(5):
            x = -0.5 + 0.26 * j
            s.line([(x, y + 0.14), (x + 0.37, y + 0.4)], 0.03, darker(wood, 0.45), inside=True)
        s.polygon([(0.65, y), (1.05, y + 0.26), (1.05, y + 0.4), (0.65, y + 0.14)], darker(wood, 0.55))
    _grain(s, rng, 0.2, 0.012, 0.1)
    return s


def ostrich(rng: np.random.Generator, scale: Real) -> Sketch:
    """An ostrich of 2.2 m."""
    s = Sketch(-0.85, -0.02, 0.95, 2.3, scale)
    plume = jitter(rng, (34, 32, 36), 0.2)
    pink: Colour = jitter(rng, (206, 150, 130), 0.08)
    step = float(rng.uniform(-0.15, 0.15))
    for x, foot in ((-0.12, -0.1 + step), (0.1, 0.14 - step)):
        s.line([(x, 1.0), (x + 0.1, 0.55), (foot, 0.04), (foot + 0.18, 0.0)], 0.075, pink)
    for k in range(26):
        a = math.pi * 2 * k / 26
        quill = (0.56 * math.cos(a), 1.2 + 0.36 * math.sin(a))
        vane = (0.5 * math.cos(a + 0.2), 1.2 + 0.32 * math.sin(a + 0.2))
        s.polygon([(0.0, 1.05), (0.1, 1.3), quill, vane], darker(plume, float(rng.uniform(0.7, 1.7))))
    for k in range(5):
        s.limb((-0.4, 1.25), (-0.75, 1.05 + 0.1 * k), 0.14, 0.03, (226, 222, 216))
    s.line([(0.38, 1.25), (0.58, 1.5), (0.52, 1.85), (0.58, 2.15)], 0.095, pink)
    s.polygon([(0.5, 2.12), (0.56, 2.25), (0.7, 2.22), (0.88, 2.13), (0.68, 2.1)], pink)
    s.ellipse(0.63, 2.18, 0.025, 0.025, (14, 14, 14), inside=True)
    _grain(s, rng, 0.02, 0.07, 0.12)
    if rng.random() < 0.5:
        s.mirror()
    return s


def crocodile(rng: np.random.Generator, scale: Real) -> Sketch:
    """A crocodile: plates and teeth."""
    s = Sketch(-1.95, -0.02, 1.75, 0.72, scale)
    skin = jitter(rng, (96, 108, 60), 0.12)
    for x in (-0.55, 0.55):
        s.line([(x, 0.3), (x + 0.2, 0.1), (x + 0.38, 0.02)], 0.16, darker(skin, 0.7))
    s.polygon(
        [(-1.9, 0.04), (-0.8, 0.42), (0.7, 0.46), (0.95, 0.4), (1.68, 0.26), (1.7, 0.18), (0.9, 0.12), (-0.7, 0.06)],
        skin,
    )
    for k in range(22):
        x = -1.6 + k * 0.11
        y = min(0.45, 0.14 + (x + 1.6) * 0.34)
        s.polygon([(x, y - 0.02), (x + 0.1, y), (x + 0.05, y + 0.1)], darker(skin, 0.75))
        for j in range(3):
            s.rect(
                x,
                y - 0.11 * (j + 1),
                x + 0.085,
                y - 0.11 * j - 0.03,
                darker(skin, 0.8 + 0.25 * ((k + j) % 2)),
                inside=True,
            )
    s.polygon([(-0.7, 0.06), (0.9, 0.12), (0.9, 0.17), (-0.7, 0.14)], blend(skin, (230, 220, 170), 0.6), inside=True)
    s.line([(0.95, 0.22), (1.68, 0.21)], 0.02, (40, 30, 26), inside=True)
    for k in range(7):
        x = 1.02 + k * 0.09
        s.polygon([(x, 0.22), (x + 0.04, 0.22), (x + 0.02, 0.165)], (236, 232, 214), inside=True)
    s.ellipse(0.98, 0.42, 0.08, 0.06, darker(skin, 1.2))
    s.ellipse(1.0, 0.43, 0.03, 0.03, (230, 200, 60), inside=True)
    _grain(s, rng, 0.04, 0.04, 0.1)
    if rng.random() < 0.5:
        s.mirror()
    return s


def tractor(rng: np.random.Generator, scale: Real) -> Sketch:
    """A tractor with its large rear wheel."""
    s = Sketch(-1.7, -0.02, 1.9, 2.7, scale)
    colour = jitter(rng, ((60, 140, 50), (40, 80, 170))[int(rng.integers(2))], 0.1)
    s.polygon([(-0.3, 0.75), (1.6, 0.7), (1.7, 1.2), (1.6, 1.4), (-0.2, 1.5)], colour)
    for k in range(5):
        s.line([(0.9 + k * 0.14, 0.85), (0.9 + k * 0.14, 1.3)], 0.05, darker(colour, 0.4), inside=True)
    s.polygon([(-1.2, 1.2), (0.15, 1.2), (0.05, 2.55), (-1.1, 2.55)], (60, 76, 90))
    for foot, roof in (((-1.2, 1.2), (-1.1, 2.55)), ((0.15, 1.2), (0.05, 2.55)), ((-0.5, 1.2), (-0.5, 2.55))):
        s.limb(foot, roof, 0.09, 0.09, darker(colour, 0.7))
    s.rect(-1.25, 2.5, 0.2, 2.65, colour)
    s.limb((0.7, 1.4), (0.7, 2.3), 0.1, 0.08, (50, 50, 52))
    for x, r in ((-0.75, 0.85), (1.25, 0.52)):
        for k in range(20):
            a = 2 * math.pi * k / 20
            s.limb(
                (x + r * 0.8 * math.cos(a), r + r * 0.8 * math.sin(a)),
                (x + r * 1.0 * math.cos(a + 0.1), r + r * 1.0 * math.sin(a + 0.1)),
                0.16,
                0.13,
                (22, 22, 24),
            )
        s.ellipse(x, r, r * 0.92, r * 0.92, (34, 34, 36))
        s.ellipse(x, r, r * 0.5, r * 0.5, (236, 200, 50), inside=True)
        s.ellipse(x, r, r * 0.18, r * 0.18, (120, 100, 30), inside=True)
    _grain(s, rng, 0.05, 0.05, 0.06)
    if rng.random() < 0.5:
        s.mirror()
    return s


def trolley(rng: np.random.Generator, scale: Real) -> Sketch:
    """A wire shopping trolley."""
    s = Sketch(-0.6, -0.02, 0.75, 1.12, scale)
    wire = jitter(rng, (176, 180, 186), 0.08)
    basket: list[Point] = [(-0.4, 0.42), (0.4, 0.5), (0.52, 1.0), (-0.5, 0.9)]
    s.polygon(basket, blend(wire, (70, 72, 80), 0.6))
    for k in range(9):
        t = k / 8
        s.line([(-0.4 + 0.8 * t, 0.42 + 0.08 * t), (-0.5 + 1.02 * t, 0.9 + 0.1 * t)], 0.03, wire, inside=True)
        s.line([(-0.4 - 0.1 * t, 0.42 + 0.48 * t), (0.4 + 0.12 * t, 0.5 + 0.5 * t)], 0.03, wire, inside=True)
    s.line([(0.52, 1.0), (0.7, 1.06)], 0.06, (210, 40, 50))
    s.line([(0.4, 0.5), (0.3, 0.2), (-0.4, 0.16)], 0.05, darker(wire, 0.8))
    for x in (-0.35, 0.3):
        s.ellipse(x, 0.08, 0.085, 0.085, (26, 26, 28))
    _grain(s, rng, 0.03, 0.03, 0.04)
    return s


ODDITIES: dict[str, tuple[Maker, float]] = {
    "cardboard boxes": (cardboard, 1.0), "tyres": (tyres, 0.9), "traffic cone": (cone, 0.85), "canoe": (canoe, 0.75),
    "washing machine": (washing_machine, 1.1), "rubble": (rubble, 0.7), "oil drum": (oil_drum, 1.0),
    "mattress": (mattress, 0.92), "straw bale": (straw_bale, 1.42), "pallets": (pallet, 0.8),
    "ostrich": (ostrich, 2.25), "crocodile": (crocodile, 0.55), "tractor": (tractor, 2.65),
    "shopping trolley": (trolley, 1.06),
}  # fmt: skip
"""How to draw one, and how tall it is in metres."""

SMALL = ("cardboard boxes", "tyres", "traffic cone", "rubble", "oil drum", "pallets", "shopping trolley", "crocodile")
"""What may have fallen off a lorry: the obstacles."""
