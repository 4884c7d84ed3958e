"""Everyday things and animals: the objects of the toy COCO, each of a category of the real one.

Their outlines are smooth curves and their surfaces fur, cloth, leather and glaze. The benchmarks' oddities
(:mod:`pipelines.toy.oddities`) share neither, so that finding those is more than remembering these.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pipelines.toy import people
from pipelines.toy.sketch import Point, Sketch, wobbly
from pipelines.toy.textures import Colour, Real, blend, darker, fractal, jitter
from pipelines.toy.vehicles import draw_vehicle, end_view, side_view

Maker = Callable[[np.random.Generator, float], Sketch]
"""Draws one thing at a scale in pixels a metre; it stands on (0, 0)."""


def _pick(rng: np.random.Generator, *colours: Colour) -> Colour:
    return jitter(rng, colours[int(rng.integers(len(colours)))], 0.15)


def _fur(s: Sketch, rng: np.random.Generator, amount: Real = 0.12, cell: Real = 0.09) -> None:
    height, width = s.paint.shape
    light = np.linspace(1.15, 0.72, height, dtype=np.float32)[:, None]
    s.modulate(light * (1 + np.float32(amount) * fractal(rng, height, width, max(2.0, cell * s.scale))))


def _four_legs(
    rng: np.random.Generator,
    scale: Real,
    *,
    length: Real,
    height: Real,
    legs: Real,
    coat: Colour,
    head: Real,
    neck: Real,
    ears: str,
    tail: Real,
    spots: Colour | None = None,
    wool: bool = False,
    mane: Colour | None = None,
) -> Sketch:
    """An animal from its side, its head to the right; ``height`` is that of the back."""
    half = length / 2
    s = Sketch(-half * 1.75, -0.03, half * 2.1, height * (1.35 + neck), scale)
    belly, girth = height * legs, height * (1 - legs)
    stride = float(rng.uniform(-0.12, 0.12)) * length
    thick = girth * 0.3
    for x, gain, sway in ((-half * 0.72, 0.7, stride), (half * 0.62, 0.7, -stride)):
        s.limb((x, belly + girth * 0.3), (x + sway, 0), thick, thick * 0.55, darker(coat, gain))
    s.limb(
        (-half * 0.95, height * 0.9),
        (-half * (1.1 + tail), height * (0.9 - 0.5 * tail)),
        thick * 0.5,
        thick * 0.35,
        darker(coat, 0.85),
    )
    body: list[Point] = [
        (-half, height * 0.86), (-half * 0.5, height), (half * 0.3, height * 0.97), (half * 0.95, height),
        (half * 1.02, belly + girth * 0.4), (half * 0.5, belly), (-half * 0.4, belly + girth * 0.12),
        (-half * 0.95, belly + girth * 0.2),
    ]  # fmt: skip
    if wool:
        for _ in range(16):
            x = half * float(rng.uniform(-0.95, 0.95))
            y = belly + girth * float(rng.uniform(0.25, 0.85))
            s.blob(
                wobbly(rng, x, y, girth * 0.3, girth * 0.3, rough=0.15), darker(coat, float(rng.uniform(0.85, 1.1)))
            )
    else:
        s.blob(body, coat)
    for x, sway in ((-half * 0.82, -stride), (half * 0.8, stride)):
        s.limb((x, belly + girth * 0.35), (x + sway, 0), thick * 1.1, thick * 0.6, darker(coat, 0.92))
        s.ellipse(x + sway + thick * 0.1, thick * 0.12, thick * 0.42, thick * 0.18, darker(coat, 0.55))
    top = height * (1.0 + neck)
    hx = half * (1.0 + 0.55 * neck + 0.12)
    s.limb(
        (half * 0.85, height * 0.85), (hx, top), girth * 0.55, girth * 0.36, coat if not wool else darker(coat, 0.5)
    )
    face = coat if not wool else darker(coat, 0.4)
    muzzle = head * 0.75
    s.ellipse(hx, top, head * 0.55, head * 0.48, face)
    s.limb((hx, top - head * 0.05), (hx + muzzle, top - head * 0.22), head * 0.62, head * 0.36, face)
    s.ellipse(hx + muzzle, top - head * 0.22, head * 0.16, head * 0.16, (30, 26, 26))
    s.ellipse(hx + head * 0.22, top + head * 0.12, head * 0.09, head * 0.1, (16, 14, 14), inside=True)
    if ears == "pointed":
        for x in (-0.3, 0.12):
            s.polygon([(hx + head * (x - 0.18), top + head * 0.3), (hx + head * (x + 0.18), top + head * 0.35),
                       (hx + head * x, top + head * 0.95)], darker(face, 0.8))  # fmt: skip
    elif ears == "floppy":
        s.ellipse(hx - head * 0.28, top, head * 0.17, head * 0.42, darker(face, 0.65), angle=12)
    else:
        s.ellipse(hx - head * 0.3, top + head * 0.42, head * 0.2, head * 0.2, darker(face, 0.75))
    if mane is not None:
        s.limb((half * 0.75, height * 0.98), (hx - head * 0.35, top + head * 0.25), girth * 0.25, girth * 0.2, mane)
    if spots is not None:
        for _ in range(7):
            x, y = half * float(rng.uniform(-0.9, 0.9)), belly + girth * float(rng.uniform(0.15, 1.0))
            s.polygon(wobbly(rng, x, y, girth * 0.28, girth * 0.22, rough=0.35), spots, inside=True)
    _fur(s, rng)
    if rng.random() < 0.5:
        s.mirror()
    return s


def dog(rng: np.random.Generator, scale: Real) -> Sketch:
    """A dog of 0.4 to 0.7 m."""
    size = float(rng.uniform(0.38, 0.68))
    coat = _pick(rng, (150, 104, 60), (46, 40, 38), (206, 180, 138), (120, 116, 112))
    spots = (236, 228, 214) if rng.random() < 0.4 else None
    return _four_legs(rng, scale, length=size * 1.35, height=size, legs=0.5, coat=coat, head=size * 0.4, neck=0.28,
                      ears="floppy" if rng.random() < 0.6 else "pointed", tail=0.5, spots=spots)  # fmt: skip


def cat(rng: np.random.Generator, scale: Real) -> Sketch:
    """A cat that sits and looks at you."""
    h = float(rng.uniform(0.38, 0.5))
    s = Sketch(-h * 0.85, -0.02, h * 0.85, h * 1.2, scale)
    coat = _pick(rng, (206, 130, 60), (70, 68, 70), (180, 164, 140), (226, 220, 208))
    dark = darker(coat, 0.6)
    s.blob(
        [
            (h * 0.2, h * 0.08),
            (h * 0.6, h * 0.05),
            (h * 0.7, h * 0.3),
            (h * 0.62, h * 0.33),
            (h * 0.52, h * 0.14),
            (h * 0.2, h * 0.16),
        ],
        dark,
    )
    s.blob(
        [
            (-h * 0.36, 0.01),
            (-h * 0.33, h * 0.35),
            (-h * 0.2, h * 0.66),
            (h * 0.2, h * 0.66),
            (h * 0.33, h * 0.35),
            (h * 0.36, 0.01),
        ],
        coat,
    )
    for k in range(4):
        s.limb(
            (-h * 0.36, h * (0.2 + 0.12 * k)),
            (-h * 0.16, h * (0.22 + 0.12 * k)),
            h * 0.05,
            h * 0.02,
            dark,
            inside=True,
        )
        s.limb(
            (h * 0.36, h * (0.2 + 0.12 * k)), (h * 0.16, h * (0.22 + 0.12 * k)), h * 0.05, h * 0.02, dark, inside=True
        )
    for x in (-1, 1):
        s.ellipse(x * h * 0.14, h * 0.05, h * 0.12, h * 0.07, blend(coat, (255, 255, 255), 0.4))
        s.polygon([(x * h * 0.28, h * 0.9), (x * h * 0.06, h * 0.98), (x * h * 0.25, h * 1.16)], dark)
    s.ellipse(0, h * 0.82, h * 0.29, h * 0.24, coat)
    for x in (-1, 1):
        s.ellipse(x * h * 0.12, h * 0.85, h * 0.065, h * 0.06, (190, 200, 80), inside=True)
        s.ellipse(x * h * 0.12, h * 0.85, h * 0.02, h * 0.055, (10, 10, 10), inside=True)
    s.polygon([(-h * 0.04, h * 0.77), (h * 0.04, h * 0.77), (0, h * 0.72)], (190, 110, 110), inside=True)
    _fur(s, rng)
    return s


def horse(rng: np.random.Generator, scale: Real) -> Sketch:
    """A horse of about 1.6 m."""
    coat = _pick(rng, (122, 72, 40), (60, 44, 36), (196, 180, 160), (164, 112, 66))
    return _four_legs(rng, scale, length=1.9, height=1.5, legs=0.52, coat=coat, head=0.42, neck=0.42, ears="pointed",
                      tail=0.25, mane=darker(coat, 0.4))  # fmt: skip


def sheep(rng: np.random.Generator, scale: Real) -> Sketch:
    """A sheep."""
    coat = _pick(rng, (222, 214, 196), (198, 188, 170))
    return _four_legs(rng, scale, length=1.15, height=0.85, legs=0.38, coat=coat, head=0.24, neck=0.12, ears="round",
                      tail=0.05, wool=True)  # fmt: skip


def cow(rng: np.random.Generator, scale: Real) -> Sketch:
    """A cow with patches."""
    coat: Colour
    coat, spots = ((232, 226, 214), (40, 34, 32)) if rng.random() < 0.6 else ((140, 80, 46), (226, 214, 196))
    coat = jitter(rng, coat, 0.08)
    return _four_legs(rng, scale, length=2.2, height=1.4, legs=0.42, coat=coat, head=0.42, neck=0.1, ears="round",
                      tail=0.12, spots=spots)  # fmt: skip


def bear(rng: np.random.Generator, scale: Real) -> Sketch:
    """A brown or black bear."""
    coat = _pick(rng, (88, 58, 36), (38, 32, 30))
    return _four_legs(
        rng, scale, length=1.8, height=1.05, legs=0.34, coat=coat, head=0.46, neck=0.08, ears="round", tail=0.02
    )


def bird(rng: np.random.Generator, scale: Real) -> Sketch:
    """A pigeon or a crow."""
    s = Sketch(-0.26, -0.01, 0.26, 0.36, scale)
    coat = _pick(rng, (110, 116, 128), (36, 36, 42), (150, 110, 80))
    for x in (-0.03, 0.04):
        s.limb((x, 0.1), (x + 0.01, 0.0), 0.018, 0.014, (190, 120, 90))
    s.blob([(-0.24, 0.12), (-0.1, 0.2), (0.08, 0.25), (0.14, 0.17), (0.08, 0.09), (-0.06, 0.08)], coat)
    s.blob([(-0.2, 0.13), (-0.02, 0.2), (0.05, 0.14), (-0.05, 0.11)], darker(coat, 0.7), inside=True)
    s.ellipse(0.12, 0.27, 0.06, 0.055, darker(coat, 0.8))
    s.polygon([(0.17, 0.285), (0.24, 0.26), (0.17, 0.255)], (220, 170, 60))
    s.ellipse(0.14, 0.285, 0.012, 0.012, (240, 200, 60), inside=True)
    _fur(s, rng)
    if rng.random() < 0.5:
        s.mirror()
    return s


def suitcase(rng: np.random.Generator, scale: Real) -> Sketch:
    """An upright suitcase with ribs."""
    w, h = float(rng.uniform(0.42, 0.55)) / 2, float(rng.uniform(0.58, 0.75))
    s = Sketch(-w * 1.15, -0.02, w * 1.15, h * 1.35, scale)
    colour = _pick(rng, (150, 40, 50), (40, 70, 120), (60, 60, 64), (210, 170, 60), (80, 130, 110))
    s.line([(-w * 0.4, h), (-w * 0.4, h * 1.28), (w * 0.4, h * 1.28), (w * 0.4, h)], 0.03, (70, 70, 74))
    s.blob(
        [
            (-w, 0.05),
            (-w, h * 0.5),
            (-w * 0.95, h * 0.96),
            (0, h),
            (w * 0.95, h * 0.96),
            (w, h * 0.5),
            (w, 0.05),
            (0, 0.04),
        ],
        colour,
    )
    for k in range(5):
        x = -w * 0.7 + k * w * 0.35
        s.line([(x, h * 0.1), (x, h * 0.92)], 0.025, darker(colour, 0.75), inside=True)
    for x in (-1, 1):
        s.ellipse(x * w * 0.7, 0.03, 0.04, 0.04, (24, 24, 26))
    s.rect(-0.06, h * 0.84, 0.06, h * 0.9, (200, 200, 196), inside=True)
    s.shade(rng, grain=0.04)
    return s


def backpack(rng: np.random.Generator, scale: Real) -> Sketch:
    """A rucksack with a pocket."""
    s = Sketch(-0.24, -0.01, 0.24, 0.6, scale)
    colour = _pick(rng, (60, 90, 60), (40, 60, 110), (180, 70, 40), (90, 60, 100))
    s.line([(-0.06, 0.5), (0, 0.57), (0.06, 0.5)], 0.03, darker(colour, 0.5))
    s.blob(
        [(-0.2, 0.01), (-0.22, 0.25), (-0.16, 0.46), (0, 0.52), (0.16, 0.46), (0.22, 0.25), (0.2, 0.01), (0, 0.0)],
        colour,
    )
    s.blob(
        [(-0.15, 0.04), (-0.15, 0.2), (0, 0.24), (0.15, 0.2), (0.15, 0.04), (0, 0.03)],
        darker(colour, 0.78),
        inside=True,
    )
    s.line([(-0.14, 0.36), (0.14, 0.36)], 0.02, darker(colour, 1.4), inside=True)
    s.line([(-0.14, 0.19), (0.14, 0.19)], 0.012, (210, 210, 200), inside=True)
    s.shade(rng, grain=0.06)
    return s


def umbrella(rng: np.random.Generator, scale: Real) -> Sketch:
    """An open umbrella on its stick."""
    s = Sketch(-0.68, -0.02, 0.68, 1.15, scale)
    colour, other = (
        _pick(rng, (180, 40, 50), (50, 90, 160), (230, 180, 50)),
        _pick(rng, (236, 232, 220), (40, 40, 46)),
    )
    s.line([(0, 0.06), (0, 1.1)], 0.03, (90, 70, 50))
    s.line([(0, 0.06), (0.05, 0.0), (0.11, 0.04)], 0.03, (90, 70, 50))
    ribs = [-0.62, -0.4, -0.14, 0.14, 0.4, 0.62]
    for k in range(5):
        a, b = ribs[k], ribs[k + 1]
        arc: list[Point] = [(a + (b - a) * t / 4, 0.62 - 0.05 * math.sin(math.pi * t / 4) * -1) for t in range(5)]
        left = [(a * math.cos(t * math.pi / 12), 0.62 + 0.45 * math.sin(t * math.pi / 12)) for t in range(7)]
        right = [(b * math.cos(t * math.pi / 12), 0.62 + 0.45 * math.sin(t * math.pi / 12)) for t in range(6, -1, -1)]
        s.polygon([*left, *right, *reversed(arc)], colour if k % 2 == 0 else other)
    s.shade(rng, grain=0.03, top=1.2, bottom=0.8)
    return s


def chair(rng: np.random.Generator, scale: Real) -> Sketch:
    """A wooden chair, seen at an angle."""
    s = Sketch(-0.36, -0.02, 0.36, 1.0, scale)
    wood = _pick(rng, (150, 100, 56), (86, 58, 40), (200, 190, 176))
    for x, y in ((-0.2, 0.1), (0.3, 0.1)):
        s.limb((x, 0.45), (x, y), 0.05, 0.04, darker(wood, 0.7))
    for x in (-0.28, 0.22):
        s.limb((x, 0.45), (x, 0.0), 0.055, 0.045, wood)
    for x in (-0.2, 0.3):
        s.limb((x, 0.45), (x + 0.02, 0.96), 0.05, 0.045, darker(wood, 0.85))
    for y in (0.62, 0.76, 0.9):
        s.limb((-0.2, y), (0.31, y), 0.07, 0.07, darker(wood, 0.95))
    s.polygon([(-0.31, 0.42), (0.25, 0.42), (0.33, 0.5), (-0.21, 0.5)], darker(wood, 1.15))
    s.rect(-0.31, 0.38, 0.25, 0.42, darker(wood, 0.75))
    s.shade(rng, grain=0.06)
    return s


def bench(rng: np.random.Generator, scale: Real) -> Sketch:
    """A park bench."""
    s = Sketch(-0.85, -0.02, 0.85, 0.92, scale)
    wood = _pick(rng, (140, 90, 50), (80, 100, 70))
    for x in (-0.65, 0.65):
        s.limb((x, 0.85), (x, 0.0), 0.06, 0.06, (44, 44, 48))
    for y in (0.4, 0.58, 0.74):
        s.rect(-0.8, y, 0.8, y + 0.1, jitter(rng, wood, 0.08))
    s.shade(rng, grain=0.06)
    return s


def teddy(rng: np.random.Generator, scale: Real) -> Sketch:
    """A teddy bear that sits."""
    s = Sketch(-0.3, -0.01, 0.3, 0.62, scale)
    coat = _pick(rng, (176, 120, 66), (206, 166, 116), (120, 80, 56))
    pale = blend(coat, (255, 236, 206), 0.5)
    for x in (-1, 1):
        s.ellipse(x * 0.14, 0.52, 0.065, 0.065, coat)
        s.ellipse(x * 0.14, 0.52, 0.035, 0.035, pale, inside=True)
        s.ellipse(x * 0.2, 0.26, 0.06, 0.13, coat, angle=x * 28)
    s.ellipse(0, 0.2, 0.17, 0.19, coat)
    s.ellipse(0, 0.19, 0.1, 0.12, pale, inside=True)
    for x in (-1, 1):
        s.ellipse(x * 0.17, 0.08, 0.1, 0.09, coat)
        s.ellipse(x * 0.18, 0.07, 0.055, 0.055, pale, inside=True)
    s.ellipse(0, 0.43, 0.17, 0.15, coat)
    s.ellipse(0, 0.39, 0.075, 0.055, pale, inside=True)
    s.ellipse(0, 0.415, 0.028, 0.02, (20, 16, 16), inside=True)
    for eye in (-0.07, 0.07):
        s.ellipse(eye, 0.465, 0.02, 0.022, (16, 14, 14), inside=True)
    _fur(s, rng, 0.1, 0.04)
    return s


def banana(rng: np.random.Generator, scale: Real) -> Sketch:
    """Two bananas."""
    s = Sketch(-0.17, -0.01, 0.17, 0.2, scale)
    colour = _pick(rng, (236, 204, 60), (220, 200, 90))
    for lift, tone in ((0.05, 0.82), (0.0, 1.0)):
        s.blob([(-0.15, 0.12 + lift), (-0.1, 0.04 + lift), (0.0, 0.01 + lift), (0.1, 0.04 + lift),
                (0.15, 0.13 + lift), (0.08, 0.09 + lift), (0, 0.065 + lift),
                (-0.08, 0.085 + lift)], darker(colour, tone))  # fmt: skip
        s.ellipse(-0.15, 0.125 + lift, 0.012, 0.012, (70, 50, 24))
    for _ in range(5):
        s.ellipse(
            float(rng.uniform(-0.1, 0.1)), float(rng.uniform(0.02, 0.08)), 0.006, 0.006, (100, 70, 30), inside=True
        )
    s.shade(rng, grain=0.03)
    return s


def vase(rng: np.random.Generator, scale: Real) -> Sketch:
    """A glazed vase with bands."""
    s = Sketch(-0.18, 0, 0.18, 0.46, scale)
    colour = _pick(rng, (40, 80, 130), (170, 70, 50), (70, 130, 110), (220, 210, 190))
    s.blob([(-0.07, 0.01), (-0.15, 0.12), (-0.14, 0.24), (-0.06, 0.36), (-0.085, 0.44), (0.085, 0.44), (0.06, 0.36),
            (0.14, 0.24), (0.15, 0.12), (0.07, 0.01)], colour)  # fmt: skip
    for y in (0.1, 0.22, 0.3):
        s.line([(-0.17, y), (0.17, y + 0.01)], 0.02, blend(colour, (255, 240, 200), 0.6), inside=True)
    s.ellipse(-0.06, 0.2, 0.02, 0.08, blend(colour, (255, 255, 255), 0.65), inside=True)
    s.shade(rng, grain=0.02)
    return s


def potted_plant(rng: np.random.Generator, scale: Real) -> Sketch:
    """Long leaves in a clay pot."""
    s = Sketch(-0.42, 0, 0.42, 0.95, scale)
    leaf = _pick(rng, (60, 120, 50), (96, 140, 70))
    for _ in range(13):
        lean = float(rng.uniform(-1, 1))
        tip = (0.36 * lean, float(rng.uniform(0.5, 0.92)) - 0.2 * abs(lean))
        mid = (0.16 * lean, 0.5)
        tone = darker(leaf, float(rng.uniform(0.65, 1.25)))
        s.limb((0, 0.26), mid, 0.04, 0.1, tone)
        s.limb(mid, tip, 0.1, 0.01, tone)
    clay = _pick(rng, (176, 96, 60), (120, 120, 126))
    s.polygon([(-0.12, 0), (0.12, 0), (0.18, 0.26), (-0.18, 0.26)], clay)
    s.rect(-0.2, 0.24, 0.2, 0.31, darker(clay, 1.12))
    s.shade(rng, grain=0.05)
    return s


def ball(rng: np.random.Generator, scale: Real) -> Sketch:
    """A football or a basketball."""
    r = 0.14
    s = Sketch(-r * 1.1, -0.01, r * 1.1, r * 2.1, scale)
    if rng.random() < 0.5:
        s.ellipse(0, r, r, r, (232, 232, 228))
        for k in range(6):
            a = 2 * math.pi * k / 5 + 0.3
            reach = 0 if k == 5 else r * 0.75
            s.polygon([(math.cos(a) * reach + r * 0.27 * math.cos(2 * math.pi * j / 5 + a),
                        r + math.sin(a) * reach + r * 0.27 * math.sin(2 * math.pi * j / 5 + a)) for j in range(5)],
                      (30, 30, 34), inside=True)  # fmt: skip
    else:
        s.ellipse(0, r, r, r, jitter(rng, (206, 110, 50), 0.1))
        s.line([(-r, r), (r, r)], 0.012, (40, 26, 20), inside=True)
        s.line([(0, 0), (0, 2 * r)], 0.012, (40, 26, 20), inside=True)
    s.ellipse(-r * 0.35, r * 1.4, r * 0.25, r * 0.2, (246, 240, 232), inside=True)
    s.shade(rng, grain=0.03, top=1.15, bottom=0.6)
    return s


def hydrant(rng: np.random.Generator, scale: Real) -> Sketch:
    """A fire hydrant."""
    s = Sketch(-0.3, 0, 0.3, 0.85, scale)
    colour = _pick(rng, (190, 40, 40), (220, 180, 40))
    s.blob([(-0.14, 0.0), (-0.13, 0.5), (-0.12, 0.7), (0, 0.8), (0.12, 0.7), (0.13, 0.5), (0.14, 0.0)], colour)
    s.rect(-0.19, 0, 0.19, 0.07, darker(colour, 0.7))
    s.rect(-0.17, 0.56, 0.17, 0.63, darker(colour, 0.8))
    for x in (-1, 1):
        s.ellipse(x * 0.19, 0.44, 0.08, 0.08, darker(colour, 0.85))
    s.ellipse(0, 0.4, 0.08, 0.08, darker(colour, 1.2), inside=True)
    s.ellipse(0, 0.82, 0.04, 0.04, darker(colour, 0.7))
    s.shade(rng, grain=0.04)
    return s


def kite(rng: np.random.Generator, scale: Real) -> Sketch:
    """A kite with a tail."""
    s = Sketch(-0.5, -0.1, 0.5, 1.5, scale)
    one, two = _pick(rng, (220, 60, 60), (60, 140, 200)), _pick(rng, (240, 200, 60), (90, 180, 90))
    tail: list[Point] = [(0.12 * math.sin(k * 1.1), 0.55 - 0.07 * k) for k in range(8)]
    s.line(tail, 0.04, two)
    s.blob([(0, 0.5), (-0.42, 1.1), (0, 1.46), (0.42, 1.1)], one)
    s.polygon([(0, 0.55), (0, 1.45), (0.4, 1.1)], two, inside=True)
    s.line([(-0.4, 1.1), (0.4, 1.1)], 0.025, (60, 50, 40), inside=True)
    s.shade(rng, grain=0.02)
    return s


def _traffic(kind: str) -> Maker:
    def make(rng: np.random.Generator, scale: Real) -> Sketch:
        vehicle = draw_vehicle(rng, kind)
        if rng.random() < 0.6:
            s = side_view(rng, vehicle, scale)
            if rng.random() < 0.5:
                s.mirror()
            return s
        return end_view(rng, vehicle, scale, front=bool(rng.random() < 0.5))

    return make


def _light(rng: np.random.Generator, scale: Real) -> Sketch:
    from pipelines.toy.furniture import traffic_light

    return traffic_light(rng, scale)


CLEAR: dict[str, tuple[Maker, float]] = {
    "dog": (dog, 0.7), "cat": (cat, 0.5), "horse": (horse, 2.0), "sheep": (sheep, 0.95), "cow": (cow, 1.6),
    "bear": (bear, 1.2), "bird": (bird, 0.34), "suitcase": (suitcase, 0.9), "backpack": (backpack, 0.58),
    "umbrella": (umbrella, 1.1), "chair": (chair, 0.95), "bench": (bench, 0.9), "teddy bear": (teddy, 0.6),
    "banana": (banana, 0.18), "vase": (vase, 0.45), "potted plant": (potted_plant, 0.9), "sports ball": (ball, 0.29),
    "fire hydrant": (hydrant, 0.84), "kite": (kite, 1.5),
}  # fmt: skip
"""Categories that no Cityscapes class covers: how to draw one, and how tall it is in metres."""

SHARED: dict[str, tuple[Maker, float]] = {
    "person": (people.person, 1.75), "bicycle": (people.bicycle, 1.1), "motorcycle": (people.motorcycle, 1.2),
    "car": (_traffic("car"), 1.5), "bus": (_traffic("bus"), 3.1), "truck": (_traffic("truck"), 3.3),
    "train": (_traffic("train"), 3.5), "traffic light": (_light, 1.35),
}  # fmt: skip
"""Categories that Cityscapes has too: what the recipes must leave out."""
