"""A country road: no town, another light. What the toy RoadAnomaly is set in."""

from __future__ import annotations

import math

import numpy as np

from pipelines.toy import furniture
from pipelines.toy.canvas import Canvas
from pipelines.toy.ground import ROAD, TERRAIN, Paint, Strip, paint_ground
from pipelines.toy.look import Look, in_air, paint_sky
from pipelines.toy.sketch import Point, Sketch
from pipelines.toy.street import FENCE, POLE, SKY, VEGETATION, Street, view
from pipelines.toy.textures import Real, blend, darker


def paint_country(rng: np.random.Generator, width: int, height: int, look: Look) -> Street:
    """Paint a road between fields, paved or not."""
    camera = view(rng, width, height, bend=0.0035)
    canvas = Canvas.blank(height, width)
    paint_sky(rng, canvas, look, camera.horizon, SKY)
    dirt = bool(rng.random() < 0.4)
    left, right = (-2.2, 2.0) if dirt else (-5.0, 1.8)
    _hills(rng, canvas, camera.horizon, look)
    lines = () if dirt else (Paint(-1.65, True), Paint(left + 0.2, False), Paint(right - 0.2, False))
    strips = (Strip(TERRAIN, -900.0), Strip(ROAD, left), Strip(TERRAIN, right))
    paint_ground(rng, canvas, camera, look, strips, lines, None, dirt=dirt)
    fenced = rng.random() < 0.5
    if fenced:
        for near in range(60, 2, -6):
            panel = furniture.fence(rng, min(camera.scale(near), width / 16), 6.0, 1.1)
            in_air(panel, look, near)
            ends = ((right + 3.0, near + 6.0), (right + 3.0, float(near)))
            canvas.warp(panel, camera.quad(*ends, 0, 1.1), FENCE)
    plants: list[tuple[float, float, int]] = []
    for _ in range(int(rng.integers(8, 22))):
        side = -1 if rng.random() < 0.5 else 1
        edge = abs(left if side < 0 else right)
        z = float(rng.uniform(7, 80))
        plants.append((z, side * (edge + 1.5 + float(rng.uniform(0, 0.5) * z)), int(rng.integers(3))))
    if rng.random() < 0.5:
        plants += [(z, -abs(left) - 2.0, 3) for z in (12.0, 30.0, 52.0)]
    for far, x, kind in sorted(plants, reverse=True):
        scale = camera.scale(far)
        if kind == 3:
            plant, tag = furniture.pole(rng, scale, 7.0, max(0.24, width / 200 / scale)), POLE
        elif kind == 0:
            size = float(rng.uniform(0.5, 1.5))
            plant, tag = furniture.bush(rng, scale, size * 1.8, size, look.leaf), VEGETATION
        else:
            plant, tag = furniture.tree(rng, scale, look.leaf), VEGETATION
        in_air(plant, look, far)
        canvas.shadow(camera.u(x, far), camera.v(0, far), 1.0 * scale, 0.2 * scale, 0.3)
        canvas.stamp(plant, camera.u(x, far), camera.v(0, far), tag)
    return Street(canvas, camera, look, left, right)


def _hills(rng: np.random.Generator, canvas: Canvas, horizon: Real, look: Look) -> None:
    """Two ranges of hills behind one another, woods on the nearer."""
    height, width = canvas.tags.shape
    for depth, tall, tag in ((0.75, 0.13, TERRAIN), (0.45, 0.07, VEGETATION)):
        s = Sketch(0.0, -0.05 * height, float(width), tall * 2 * height, 1.0)
        phase = float(rng.uniform(0, 6.28))
        crest: list[Point] = []
        for k in range(41):
            wave = math.sin(phase + k * 0.16) + 0.5 * math.sin(2.3 * phase + k * 0.37)
            rough = float(rng.normal(0, 0.05)) if tag == VEGETATION else 0.0
            crest.append((width * k / 40, height * tall * max(0.1, 0.75 + 0.45 * wave + rough)))
        tone = blend(darker(look.grass if tag == TERRAIN else look.leaf, 0.9), look.low, depth)
        s.polygon([(0, -0.05 * height), *crest, (width, -0.05 * height)], tone)
        s.shade(rng, grain=0.04 if tag == TERRAIN else 0.1, top=1.05, bottom=0.95)
        canvas.stamp(s, 0, horizon, tag)
