"""What stands along a street: trees, poles, signs, lights, bins, fences, walls and house fronts."""

from __future__ import annotations

import math

import numpy as np

from pipelines.toy.sketch import Point, Sketch, wobbly
from pipelines.toy.textures import Colour, Real, blend, darker, fractal, jitter, patch

LEAF: Colour = (70, 96, 44)
GREY: Colour = (122, 124, 126)


def tree(rng: np.random.Generator, scale: Real, leaf: Colour) -> Sketch:
    """A street tree of 4 to 8 m."""
    h = float(rng.uniform(4.2, 8.0))
    r = h * float(rng.uniform(0.26, 0.36))
    s = Sketch(-r * 1.5, -0.1, r * 1.5, h * 1.05, scale)
    bark = jitter(rng, (84, 66, 50), 0.15)
    s.limb((0, 0), (0.1, h * 0.6), h * 0.045, h * 0.03, bark)
    s.limb((0.05, h * 0.4), (r * 0.5, h * 0.62), h * 0.025, h * 0.012, bark)
    s.limb((0.05, h * 0.42), (-r * 0.5, h * 0.64), h * 0.025, h * 0.012, bark)
    colour = jitter(rng, leaf, 0.15)
    for _ in range(16):
        angle, reach = float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0.1, 0.75))
        x, y = math.cos(angle) * r * reach, h * 0.68 + math.sin(angle) * r * 0.9 * reach
        tone = darker(colour, 0.8 + 0.5 * (y / h - 0.45) + 0.15 * float(rng.normal()))
        size = r * float(rng.uniform(0.28, 0.5))
        s.blob(wobbly(rng, x, y, size, size * 0.85, rough=0.25), tone)
    _leafy(s, rng, scale * 0.5)
    return s


def bush(rng: np.random.Generator, scale: Real, width: Real, height: Real, leaf: Colour) -> Sketch:
    """A round bush."""
    s = Sketch(-width * 0.62, -0.05, width * 0.62, height * 1.2, scale)
    colour = jitter(rng, leaf, 0.15)
    for _ in range(7):
        x = float(rng.uniform(-0.3, 0.3)) * width
        s.blob(
            wobbly(rng, x, height * 0.45, width * 0.28, height * 0.5, rough=0.2),
            darker(colour, float(rng.uniform(0.8, 1.2))),
        )
    _leafy(s, rng, scale * 0.3)
    return s


def _leafy(s: Sketch, rng: np.random.Generator, cell: Real) -> None:
    height, width = s.paint.shape
    light = np.linspace(1.2, 0.7, height, dtype=np.float32)[:, None]
    s.modulate(light * (1 + 0.2 * fractal(rng, height, width, max(2.0, cell))))


def hedge(rng: np.random.Generator, scale: Real, length: Real, height: Real, leaf: Colour) -> Sketch:
    """A length of hedge or thicket, as a panel for :meth:`Canvas.warp`."""
    s = Sketch(0, 0, length, height, scale)
    colour = jitter(rng, leaf, 0.1)
    count = max(4, int(length / 0.8))
    crest: list[Point] = [(0, 0)]
    crest += [(length * k / count, height * float(rng.uniform(0.82, 1.0))) for k in range(count + 1)]
    s.polygon([*crest, (length, 0)], colour)
    _leafy(s, rng, scale * 0.4)
    return s


def trees_panel(rng: np.random.Generator, scale: Real, length: Real, height: Real, leaf: Colour) -> Sketch:
    """A row of trees far back, as a panel."""
    s = Sketch(0, 0, length, height, scale)
    colour = jitter(rng, leaf, 0.12)
    s.rect(0, 0, length, height * 0.45, darker(colour, 0.7))
    for k in range(max(4, int(length / 1.6))):
        x = length * float(rng.random())
        y = height * float(rng.uniform(0.35, 0.62))
        size = height * float(rng.uniform(0.2, 0.36))
        s.blob(
            wobbly(rng, x, y, size, size, rough=0.2), darker(colour, float(rng.uniform(0.75, 1.2)) - 0.01 * (k % 3))
        )
    _leafy(s, rng, scale * 0.7)
    return s


def wall(rng: np.random.Generator, scale: Real, length: Real, height: Real) -> Sketch:
    """A garden wall of large stones, as a panel."""
    s = Sketch(0, 0, length, height, scale)
    base = jitter(rng, (158, 138, 112), 0.12)
    s.rect(0, 0, length, height, darker(base, 0.7))
    rows = max(3, round(height / 0.42))
    step = height * 0.92 / rows
    for row in range(rows):
        x = -float(rng.uniform(0, 0.8))
        while x < length:
            wide = float(rng.uniform(0.5, 1.0))
            s.rect(x + 0.02, row * step + 0.02, x + wide - 0.02, (row + 1) * step - 0.02, jitter(rng, base, 0.14))
            x += wide
    s.rect(0, height * 0.92, length, height, darker(base, 1.15))
    s.shade(rng, grain=0.06, top=1.1, bottom=0.8)
    return s


def fence(rng: np.random.Generator, scale: Real, length: Real, height: Real) -> Sketch:
    """A picket fence, as a panel: what shines through is labelled fence too."""
    s = Sketch(0, 0, length, height, scale)
    colour = jitter(rng, ((196, 160, 112), (168, 120, 76))[int(rng.integers(2))], 0.12)
    s.polygon([(0, 0), (length, 0), (length, height), (0, height)], colour, ghost=True)
    step = 0.3
    for k in range(int(length / step) + 1):
        x = k * step
        s.polygon(
            [(x, 0), (x + 0.2, 0), (x + 0.2, height * 0.93), (x + 0.1, height), (x, height * 0.93)],
            jitter(rng, colour, 0.1),
        )
    for y in (0.2, 0.75):
        s.rect(0, height * y, length, height * (y + 0.09), darker(colour, 0.8))
    s.shade(rng, grain=0.05)
    return s


def facade(rng: np.random.Generator, scale: Real, length: Real, height: Real, base: Colour, *, shop: bool) -> Sketch:
    """A house front with rows of windows, as a panel."""
    s = Sketch(0, 0, length, height, scale)
    s.rect(0, 0, length, height, base)
    storey = float(rng.uniform(2.8, 3.4))
    bay = float(rng.uniform(2.0, 3.2))
    frame = darker(base, 1.3) if rng.random() < 0.6 else darker(base, 0.55)
    glass: Colour = jitter(rng, (66, 78, 92), 0.15)
    wide, tall = bay * float(rng.uniform(0.42, 0.6)), storey * float(rng.uniform(0.5, 0.62))
    floors = max(1, int((height - 0.6) / storey))
    across = max(1, int(length / bay))
    margin = (length - across * bay) / 2
    for floor in range(floors):
        y = floor * storey + storey * 0.26
        if floor == 0 and shop:
            continue
        s.rect(0, floor * storey - 0.08, length, floor * storey + 0.08, darker(base, 0.85), inside=True)
        for k in range(across):
            x = margin + k * bay + (bay - wide) / 2
            s.rect(x - 0.12, y - 0.12, x + wide + 0.12, y + tall + 0.12, frame, inside=True)
            tone = blend(glass, (255, 226, 150), 0.7) if rng.random() < 0.06 else jitter(rng, glass, 0.25)
            s.rect(x, y, x + wide, y + tall, tone, inside=True)
            if rng.random() < 0.6:
                s.polygon([(x, y), (x + wide * 0.5, y + tall), (x + wide * 0.8, y + tall), (x + wide * 0.3, y)],
                          blend(tone, (196, 210, 226), 0.35), inside=True)  # fmt: skip
            s.rect(x + wide / 2 - 0.035, y, x + wide / 2 + 0.035, y + tall, frame, inside=True)
            if rng.random() < 0.12:
                s.rect(x, y + tall * 0.45, x + wide, y + tall, jitter(rng, (206, 198, 180), 0.1), inside=True)
    if shop:
        awning = jitter(rng, ((170, 60, 50), (50, 90, 70), (60, 70, 110), (180, 150, 90))[int(rng.integers(4))], 0.15)
        s.rect(0.2, 0.3, length - 0.2, storey * 0.72, blend(glass, (255, 220, 160), 0.18), inside=True)
        for k in range(across + 1):
            x = margin + k * bay
            s.rect(x - 0.15, 0, x + 0.15, storey * 0.75, darker(base, 0.8), inside=True)
        s.rect(0.2, storey * 0.72, length - 0.2, storey * 0.92, awning, inside=True)
    else:
        x = margin + bay * int(rng.integers(across)) + bay * 0.3
        s.rect(x, 0, x + 1.2, 2.2, jitter(rng, (80, 56, 44), 0.2), inside=True)
    s.rect(0, height - 0.35, length, height, darker(base, 0.7), inside=True)
    rows, columns = s.paint.shape
    grain = patch(rng, rows, columns, max(2.0, scale * 1.5)) * np.float32(0.05)
    grain += patch(rng, rows, columns, 1.0) * np.float32(0.035)
    grain += np.linspace(1.04, 0.88, rows, dtype=np.float32)[:, None]
    if rng.random() < 0.35:  # bricks: courses show as faint lines
        grain[:: max(3, round(scale * 0.35))] *= np.float32(0.88)
    s.modulate(grain)
    return s


def gable(rng: np.random.Generator, scale: Real, length: Real, height: Real, base: Colour) -> Sketch:
    """The bare end wall of a house, as a panel."""
    s = Sketch(0, 0, length, height, scale)
    s.rect(0, 0, length, height, base)
    for _ in range(int(rng.integers(0, 4))):
        x, y = float(rng.uniform(0.5, length - 1.5)), float(rng.uniform(1.0, max(1.5, height - 2)))
        s.rect(x, y, x + 0.9, y + 1.3, jitter(rng, (66, 78, 92), 0.3), inside=True)
    s.shade(rng, grain=0.04, top=1.02, bottom=0.85)
    return s


def pole(rng: np.random.Generator, scale: Real, height: Real, width: Real) -> Sketch:
    """A bare pole."""
    s = Sketch(-width, -0.05, width, height, scale)
    colour = jitter(rng, GREY, 0.18)
    s.rect(-width / 2, 0, width / 2, height, colour)
    s.rect(-width / 2, 0, -width / 6, height, darker(colour, 1.35), inside=True)
    s.rect(width / 5, 0, width / 2, height, darker(colour, 0.6), inside=True)
    return s


def lamp_arm(rng: np.random.Generator, scale: Real, height: Real, width: Real, reach: Real) -> Sketch:
    """A street lamp: a tall pole with an arm."""
    s = Sketch(-abs(reach) - 0.4, -0.05, abs(reach) + 0.4, height + 0.5, scale)
    colour = jitter(rng, GREY, 0.15)
    s.rect(-width / 2, 0, width / 2, height, colour)
    s.rect(-width / 2, 0, -width / 6, height, darker(colour, 1.35), inside=True)
    s.limb((0, height - 0.1), (reach, height + 0.3), width * 0.8, width * 0.6, colour)
    s.ellipse(reach, height + 0.25, 0.42, 0.13, darker(colour, 0.6))
    return s


def sign(rng: np.random.Generator, scale: Real) -> Sketch:
    """A traffic sign's plate, its middle at (0, 0)."""
    r = float(rng.uniform(0.42, 0.58))
    s = Sketch(-r * 1.1, -r * 1.1, r * 1.1, r * 1.1, scale)
    kind = int(rng.integers(6))
    red: Colour = jitter(rng, (204, 30, 36), 0.08)
    blue: Colour = jitter(rng, (26, 84, 180), 0.08)
    white: Colour = (236, 236, 232)
    if kind == 0:
        s.ellipse(0, 0, r, r, red)
        s.ellipse(0, 0, r * 0.72, r * 0.72, white, inside=True)
        s.rect(-r * 0.35, -r * 0.3, -r * 0.05, r * 0.3, (20, 20, 20), inside=True)
        s.rect(r * 0.08, -r * 0.3, r * 0.38, r * 0.3, (20, 20, 20), inside=True)
    elif kind == 1:
        s.polygon([(-r, -r * 0.8), (r, -r * 0.8), (0, r)], red)
        s.polygon([(-r * 0.62, -r * 0.58), (r * 0.62, -r * 0.58), (0, r * 0.56)], white, inside=True)
        s.rect(-r * 0.1, -r * 0.45, r * 0.1, r * 0.15, (20, 20, 20), inside=True)
    elif kind == 2:
        s.rect(-r * 0.9, -r * 0.9, r * 0.9, r * 0.9, blue)
        s.polygon([(-r * 0.5, -r * 0.6), (r * 0.5, -r * 0.6), (0, r * 0.6)], white, inside=True)
    elif kind == 3:
        s.ellipse(0, 0, r, r, blue)
        s.limb((0, -r * 0.55), (0, r * 0.2), r * 0.28, r * 0.28, white, inside=True)
        s.polygon([(-r * 0.45, r * 0.1), (r * 0.45, r * 0.1), (0, r * 0.65)], white, inside=True)
    elif kind == 4:
        s.polygon([(0, -r), (r, 0), (0, r), (-r, 0)], white)
        s.polygon([(0, -r * 0.72), (r * 0.72, 0), (0, r * 0.72), (-r * 0.72, 0)], (246, 200, 30), inside=True)
    else:
        s.ellipse(0, 0, r, r, red)
        s.rect(-r * 0.66, -r * 0.16, r * 0.66, r * 0.16, white, inside=True)
    s.shade(rng, grain=0.03, top=1.05, bottom=0.92)
    return s


def traffic_light(rng: np.random.Generator, scale: Real) -> Sketch:
    """A signal head, its foot at (0, 0)."""
    s = Sketch(-0.34, 0, 0.34, 1.36, scale)
    s.rect(-0.3, 0.02, 0.3, 1.34, (214, 186, 70))
    s.rect(-0.25, 0.06, 0.25, 1.3, (22, 24, 24), inside=True)
    lit = int(rng.integers(3))
    colours: tuple[Colour, ...] = ((255, 54, 44), (255, 190, 40), (50, 240, 130))
    for k, colour in enumerate(colours):
        y = 1.1 - 0.42 * k
        s.ellipse(0, y, 0.19, 0.19, colour if k == lit else darker(colour, 0.3), inside=True)
        if k == lit:
            s.ellipse(0, y, 0.08, 0.08, blend(colour, (255, 255, 255), 0.6), inside=True)
    return s


def static_clutter(rng: np.random.Generator, scale: Real) -> Sketch:
    """A bin, a power box, a planter, a bench or an advertising column: Cityscapes calls it static."""
    kind = int(rng.integers(4))
    s = Sketch(-1.0, -0.04, 1.0, 1.7, scale)
    if kind == 0:
        colour = jitter(rng, (66, 88, 70), 0.2)
        s.polygon([(-0.3, 0), (0.3, 0), (0.36, 1.0), (-0.36, 1.0)], colour)
        s.rect(-0.4, 0.98, 0.4, 1.1, darker(colour, 0.7))
        s.rect(-0.25, 0.4, 0.25, 0.6, darker(colour, 1.35), inside=True)
    elif kind == 1:
        colour = jitter(rng, (150, 154, 150), 0.12)
        s.rect(-0.55, 0, 0.55, 1.2, colour)
        s.line([(0, 0), (0, 1.2)], 0.03, darker(colour, 0.6), inside=True)
        s.rect(-0.58, 1.16, 0.58, 1.25, darker(colour, 0.75))
    elif kind == 2:
        s.rect(-0.7, 0, 0.7, 0.55, jitter(rng, (140, 118, 100), 0.12))
        for _ in range(5):
            s.blob(
                wobbly(rng, float(rng.uniform(-0.5, 0.5)), 0.7, 0.25, 0.22, rough=0.3),
                jitter(rng, (96, 104, 60), 0.3),
            )
    else:
        wood = jitter(rng, (120, 84, 56), 0.15)
        for y in (0.45, 0.62, 0.8):
            s.rect(-0.9, y, 0.9, y + 0.11, wood)
        for x in (-0.7, 0.7):
            s.rect(x - 0.05, 0, x + 0.05, 0.85, (50, 50, 52))
    s.shade(rng, grain=0.05)
    return s


def dynamic_clutter(rng: np.random.Generator, scale: Real) -> Sketch:
    """A pram, a wheeled bin or a hand cart: Cityscapes calls it dynamic."""
    s = Sketch(-0.8, -0.04, 0.8, 1.2, scale)
    colour = jitter(rng, ((60, 60, 90), (110, 50, 60), (60, 84, 66))[int(rng.integers(3))], 0.15)
    if rng.random() < 0.5:
        s.blob([(-0.5, 0.45), (-0.45, 0.95), (0.0, 0.9), (0.45, 0.6), (0.3, 0.4)], colour)
        s.line([(0.4, 0.6), (0.68, 1.0)], 0.05, (60, 60, 62))
        for x in (-0.35, 0.35):
            s.ellipse(x, 0.15, 0.15, 0.15, (30, 30, 32))
            s.line([(x, 0.15), (0, 0.5)], 0.05, (120, 120, 124))
    else:
        s.polygon([(-0.28, 0.08), (0.28, 0.08), (0.36, 1.0), (-0.36, 1.0)], colour)
        s.rect(-0.4, 0.98, 0.42, 1.08, darker(colour, 0.75))
        s.ellipse(0.25, 0.1, 0.1, 0.1, (28, 28, 30))
        s.rect(-0.1, 0.4, 0.15, 0.6, (226, 206, 90), inside=True)
    s.shade(rng, grain=0.05)
    return s
