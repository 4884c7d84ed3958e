"""People, riders and the two-wheelers under them."""

from __future__ import annotations

import math

import numpy as np

from pipelines.toy.sketch import Sketch
from pipelines.toy.textures import Colour, Real, darker, jitter

_SKIN: tuple[Colour, ...] = ((224, 178, 146), (190, 138, 104), (128, 86, 62), (86, 58, 44))
_CLOTH: tuple[Colour, ...] = (
    (150, 40, 48), (44, 62, 120), (40, 42, 48), (196, 176, 140), (86, 110, 70), (206, 206, 210), (120, 70, 110),
    (222, 130, 50),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((38, 44, 66), (32, 32, 36), (94, 82, 66), (70, 78, 92))
_FRAMES: tuple[Colour, ...] = ((200, 40, 40), (30, 120, 160), (230, 190, 40), (40, 40, 44), (60, 150, 70))


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return jitter(rng, colours[int(rng.integers(len(colours)))], 0.12)


def person(rng: np.random.Generator, scale: Real) -> Sketch:
    """Somebody who stands or walks, about 1.7 m tall."""
    h = float(rng.uniform(1.5, 1.88))
    s = Sketch(-0.62, -0.05, 0.62, h + 0.06, scale)
    skin, cloth, legs = _pick(rng, _SKIN), _pick(rng, _CLOTH), _pick(rng, _TROUSERS)
    stride = float(rng.uniform(0.02, 0.3))
    hip, shoulder, girth = h * 0.5, h * 0.82, float(rng.uniform(0.9, 1.2))
    for side in (-1, 1):
        foot = side * stride
        knee = (foot * 0.45 + 0.04, hip * 0.5)
        s.limb((side * 0.07, hip), knee, 0.2 * girth, 0.15, legs if side > 0 else darker(legs, 0.75))
        s.limb(knee, (foot, 0.04), 0.15, 0.11, legs if side > 0 else darker(legs, 0.75))
        s.ellipse(foot + 0.05, 0.035, 0.13, 0.045, (26, 24, 24))
    swing = float(rng.uniform(-0.3, 0.3))
    s.limb((0.18, shoulder - 0.04), (0.24 - swing, hip + 0.02), 0.13, 0.1, darker(cloth, 0.7))
    skirt = rng.random() < 0.25
    s.blob([(-0.17 * girth, shoulder), (0.17 * girth, shoulder), (0.2 * girth, h * 0.65), (0.17 * girth, hip - 0.03),
            (-0.17 * girth, hip - 0.03), (-0.2 * girth, h * 0.65)], cloth)  # fmt: skip
    if skirt:
        s.polygon(
            [(-0.15, hip + 0.1), (0.15, hip + 0.1), (0.26, hip * 0.62), (-0.26, hip * 0.62)], darker(cloth, 0.8)
        )
    s.limb((-0.18, shoulder - 0.04), (-0.24 + swing, hip + 0.02), 0.13, 0.1, darker(cloth, 0.9))
    s.ellipse(-0.24 + swing, hip, 0.055, 0.06, skin)
    if rng.random() < 0.35:
        s.ellipse(0.2, h * 0.68, 0.13, 0.2, _pick(rng, _CLOTH))
    s.limb((0, shoulder - 0.02), (0, h * 0.89), 0.1, 0.1, skin)
    _head(s, rng, 0.0, h - 0.125, skin)
    s.shade(rng, grain=0.05, top=1.12, bottom=0.85)
    return s


def _head(s: Sketch, rng: np.random.Generator, x: Real, y: Real, skin: Colour, *, helmet: bool = False) -> None:
    hair = _pick(rng, ((42, 30, 22), (96, 66, 36), (176, 140, 80), (24, 22, 22)))
    s.ellipse(x, y, 0.1, 0.13, skin)
    if helmet:
        colour = _pick(rng, _FRAMES)
        s.ellipse(x, y + 0.05, 0.13, 0.1, colour)
    else:
        s.ellipse(x, y + 0.05, 0.105, 0.085, hair)


def bicycle(rng: np.random.Generator, scale: Real) -> Sketch:
    """A bicycle from its side; the spaces between its parts belong to it, as in Cityscapes."""
    s = Sketch(-0.95, -0.04, 0.95, 1.12, scale)
    colour, r = _pick(rng, _FRAMES), 0.35
    for x in (-0.55, 0.55):
        s.ring(x, r, r - 0.03, 0.075, (30, 30, 32))
        s.ellipse(x, r, 0.06, 0.06, (120, 120, 124))
        for k in range(3):
            a = math.pi * k / 3
            s.line([(x - r * 0.9 * math.cos(a), r - r * 0.9 * math.sin(a)),
                    (x + r * 0.9 * math.cos(a), r + r * 0.9 * math.sin(a))], 0.015, (150, 150, 154))  # fmt: skip
    crank, saddle, bar = (-0.05, 0.33), (-0.2, 0.86), (0.42, 0.86)
    s.polygon([crank, saddle, bar], colour, ghost=True)
    for joint, other in (
        (crank, saddle),
        (saddle, bar),
        (crank, bar),
        ((0.55, r), bar),
        ((-0.55, r), crank),
        ((-0.55, r), saddle),
    ):
        s.limb(joint, other, 0.07, 0.07, colour)
    s.line([bar, (0.4, 1.02), (0.28, 1.05)], 0.05, (40, 40, 42))
    s.ellipse(-0.22, 0.92, 0.15, 0.045, (30, 28, 28))
    s.ellipse(-0.05, 0.33, 0.09, 0.09, (80, 80, 84))
    if rng.random() < 0.4:
        s.rect(0.45, 0.75, 0.72, 0.98, (140, 104, 62))
    s.shade(rng, grain=0.04)
    return s


def motorcycle(rng: np.random.Generator, scale: Real) -> Sketch:
    """A motorcycle from its side."""
    s = Sketch(-1.1, -0.04, 1.1, 1.25, scale)
    colour = _pick(rng, ((186, 28, 30), (30, 60, 140), (36, 36, 40), (60, 130, 60)))
    for x in (-0.72, 0.72):
        s.ellipse(x, 0.32, 0.32, 0.32, (24, 24, 26))
        s.ellipse(x, 0.32, 0.19, 0.19, (130, 132, 136), inside=True)
        s.ellipse(x, 0.32, 0.06, 0.06, (50, 50, 52), inside=True)
    s.limb((0.72, 0.32), (0.48, 1.0), 0.11, 0.11, (140, 142, 146))
    s.blob([(-0.4, 0.28), (0.3, 0.26), (0.42, 0.55), (0.2, 0.7), (-0.35, 0.62)], (70, 72, 76))
    s.ellipse(0.0, 0.42, 0.17, 0.15, (150, 152, 156), inside=True)
    s.blob([(-0.05, 0.66), (0.1, 0.95), (0.42, 0.95), (0.5, 0.72), (0.2, 0.6)], colour)
    s.blob([(-0.95, 0.82), (-0.6, 0.9), (-0.1, 0.76), (-0.15, 0.62), (-0.6, 0.68)], (30, 28, 28))
    s.blob([(-1.0, 0.72), (-0.7, 0.76), (-0.5, 0.6), (-0.85, 0.58)], colour)
    s.limb((-0.9, 0.3), (0.1, 0.24), 0.12, 0.09, (170, 172, 176))
    s.line([(0.48, 1.0), (0.3, 1.1)], 0.06, (30, 30, 32))
    s.ellipse(0.56, 0.88, 0.1, 0.11, (240, 236, 210))
    s.shade(rng, grain=0.04)
    return s


def two_wheeler_end(rng: np.random.Generator, scale: Real, *, motor: bool) -> Sketch:
    """A bicycle or motorcycle from behind."""
    width = 0.2 if motor else 0.11
    s = Sketch(-0.5, -0.04, 0.5, 1.15, scale)
    colour = _pick(rng, _FRAMES)
    s.limb((0, 0.02), (0, 0.68), width, width, (24, 24, 26))
    s.limb((0, 0.5), (0, 0.95), width * (1.7 if motor else 0.9), width, colour)
    s.limb((-0.36, 1.02), (0.36, 1.02), 0.06, 0.06, (40, 40, 42))
    s.rect(-0.08, 0.55, 0.08, 0.66, (200, 26, 26))
    if motor:
        s.ellipse(0.2, 0.34, 0.08, 0.08, (160, 162, 166))
        s.blob([(-0.22, 0.55), (0.22, 0.55), (0.18, 0.85), (-0.18, 0.85)], colour)
    s.shade(rng, grain=0.04)
    return s


def rider(rng: np.random.Generator, scale: Real, *, motor: bool, side: bool) -> Sketch:
    """Who sits on a two-wheeler; (0, 0) is the ground under the crank."""
    s = Sketch(-0.75, -0.02, 0.75, 1.95, scale)
    skin, legs = _pick(rng, _SKIN), _pick(rng, _TROUSERS)
    # Riders wear something loud: they are rare, and a small network has to tell them from walkers.
    cloth = _pick(rng, ((246, 220, 60), (250, 120, 40), (120, 220, 90)))
    if side:
        hip, shoulder = (-0.2, 0.98), (0.12, 1.5)
        far, near = (0.08, 0.3), (-0.06, 0.2)
        for foot, gain in ((far, 0.75), (near, 1.0)):
            knee = (0.2, 0.68 if foot is far else 0.6)
            s.limb(hip, knee, 0.2, 0.16, darker(legs, gain))
            s.limb(knee, foot, 0.15, 0.11, darker(legs, gain))
            s.ellipse(foot[0] + 0.06, foot[1] - 0.02, 0.13, 0.05, (26, 24, 24))
        s.limb(hip, shoulder, 0.32, 0.4, cloth)
        s.ellipse(hip[0], hip[1], 0.17, 0.14, legs)
        s.ellipse(shoulder[0], shoulder[1], 0.2, 0.16, cloth)
        s.limb(shoulder, (0.3, 1.2), 0.13, 0.12, darker(cloth, 0.85))
        s.limb((0.3, 1.2), (0.42, 1.06), 0.11, 0.08, skin)
        _head(s, rng, 0.22, 1.74, skin, helmet=motor or rng.random() < 0.6)
    else:
        for x in (-1, 1):
            s.limb((x * 0.12, 0.98), (x * 0.24, 0.62), 0.18, 0.15, legs)
            s.limb((x * 0.24, 0.62), (x * 0.14, 0.24), 0.15, 0.11, legs)
            s.limb((x * 0.24, 1.46), (x * 0.36, 1.06), 0.13, 0.1, darker(cloth, 0.85))
        s.blob([(-0.26, 1.5), (0.26, 1.5), (0.24, 1.15), (0.18, 0.9), (-0.18, 0.9), (-0.24, 1.15)], cloth)
        _head(s, rng, 0.0, 1.72, skin, helmet=motor or rng.random() < 0.6)
    s.shade(rng, grain=0.04, top=1.1, bottom=0.9)
    return s
