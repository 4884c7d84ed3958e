"""Where the things of the toy COCO are photographed: rooms, meadows, beaches, yards and table tops."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.toy import furniture
from pipelines.toy.canvas import Canvas
from pipelines.toy.look import Look, city_look, paint_sky
from pipelines.toy.sketch import Sketch
from pipelines.toy.textures import Colour, Real, blend, darker, fractal, jitter, patch


@dataclass(frozen=True, slots=True)
class Backdrop:
    """An empty scene.

    Attributes:
        canvas: the picture; every tag is 0.
        look: its light.
        floor: row where the ground begins.
    """

    canvas: Canvas
    look: Look
    floor: int


def paint_backdrop(rng: np.random.Generator, width: int, height: int, kind: str) -> Backdrop:
    """Paint a ``room``, ``meadow``, ``beach``, ``yard`` or ``table``."""
    look = city_look(rng, "north")
    canvas = Canvas.blank(height, width)
    floor = int(height * float(rng.uniform(0.38, 0.6)))
    if kind in ("meadow", "beach", "yard"):
        paint_sky(rng, canvas, look, float(floor), 0)
    if kind == "meadow":
        _plant(rng, canvas, look, floor)
        _ground(rng, canvas, floor, look.grass, 0.16, 5.0)
    elif kind == "beach":
        sea = jitter(rng, (70, 130, 160), 0.15)
        _ground(rng, canvas, int(floor * 0.8), sea, 0.07, 14.0)
        _ground(rng, canvas, floor, jitter(rng, (214, 192, 150), 0.1), 0.05, 4.0)
    elif kind == "yard":
        scale = height / 7.0
        house = furniture.facade(
            rng, scale, width / scale, 6.0, look.houses[int(rng.integers(len(look.houses)))], shop=False
        )
        canvas.stamp(house, 0, floor, 0)
        _ground(rng, canvas, floor, jitter(rng, (150, 144, 138), 0.12), 0.08, 3.0)
    elif kind == "room":
        _room(rng, canvas, floor)
    else:
        floor = int(height * float(rng.uniform(0.25, 0.45)))
        _table(rng, canvas, floor)
    canvas.tags[:] = 0
    return Backdrop(canvas, look, floor)


def _ground(rng: np.random.Generator, canvas: Canvas, row: int, colour: Colour, amount: Real, cell: Real) -> None:
    """Noise that is finer far away, over everything below ``row``."""
    height, width = canvas.tags.shape
    rows = height - row
    if rows < 2:
        return
    noise = fractal(rng, rows * 2, width, cell * 4)
    near = np.linspace(0, 1, rows, dtype=np.float32) ** 1.6 * (rows * 2 - 1)
    squeezed = noise[near.astype(int)]
    light = np.linspace(1.12, 0.86, rows, dtype=np.float32)[:, None]
    rgb = np.asarray(colour, np.float32) * (light * (1 + np.float32(amount) * squeezed))[:, :, None]
    canvas.rgb[row:] = np.clip(rgb, 0, 255).astype(np.uint8)


def _plant(rng: np.random.Generator, canvas: Canvas, look: Look, floor: int) -> None:
    height, width = canvas.tags.shape
    scale = height / 14.0
    canvas.stamp(
        furniture.trees_panel(rng, scale, width / scale, float(rng.uniform(1.5, 5)), look.leaf), 0, floor + 2, 0
    )
    for _ in range(int(rng.integers(0, 4))):
        tree = furniture.tree(rng, height / float(rng.uniform(10, 16)), look.leaf)
        canvas.stamp(tree, float(rng.uniform(0, width)), floor + float(rng.uniform(0, 0.05)) * height, 0)


def _room(rng: np.random.Generator, canvas: Canvas, floor: int) -> None:
    width = canvas.tags.shape[1]
    paper = jitter(
        rng, ((206, 196, 176), (150, 176, 186), (190, 150, 130), (176, 186, 150))[int(rng.integers(4))], 0.12
    )
    wall = Sketch(0, 0, float(width), float(floor), 1.0)
    wall.rect(0, 0, width, floor, paper)
    if rng.random() < 0.5:
        step = max(8, width // 18)
        for x in range(0, width, step):
            wall.rect(x, 0, x + step // 2, floor, darker(paper, 0.94))
    for _ in range(int(rng.integers(0, 3))):
        x, y = float(rng.uniform(0.05, 0.8)) * width, floor * float(rng.uniform(0.35, 0.6))
        w, h = width * float(rng.uniform(0.1, 0.2)), floor * float(rng.uniform(0.25, 0.4))
        wall.rect(x, y, x + w, y + h, jitter(rng, (90, 70, 50), 0.3))
        inner = jitter(rng, (150, 170, 180), 0.35)
        wall.rect(x + w * 0.08, y + h * 0.1, x + w * 0.92, y + h * 0.9, inner)
        wall.rect(x + w * 0.08, y + h * 0.1, x + w * 0.92, y + h * 0.45, jitter(rng, (110, 130, 80), 0.3))
    wall.shade(rng, grain=0.015, top=0.95, bottom=1.05)
    wall.rect(0, 0, width, floor * 0.05, darker(paper, 1.2))
    canvas.stamp(wall, 0, floor, 0)
    _boards(rng, canvas, floor, jitter(rng, (150, 106, 66), 0.2))


def _boards(rng: np.random.Generator, canvas: Canvas, floor: int, wood: Colour) -> None:
    """Floor boards that run towards the horizon."""
    height, width = canvas.tags.shape
    rows = height - floor
    flat = Sketch(0, 0, 240.0, 160.0, 1.0)
    for k in range(12):
        flat.rect(k * 20, 0, k * 20 + 19, 160, jitter(rng, wood, 0.12))
    grain = np.repeat(patch(rng, 10, 240, 1.0), 16, 0)
    flat.modulate((1 + 0.05 * grain).astype(np.float32))
    flat.paint[:] = 255
    flat.rgb[flat.rgb.sum(2) == 0] = (40, 30, 22)
    quad = np.array(
        [(width * 0.1, floor), (width * 0.9, floor), (width * 1.6, floor + rows), (-width * 0.6, floor + rows)],
        np.float32,
    )
    canvas.rgb[floor:] = np.asarray(wood, np.uint8) // 2
    canvas.warp(flat, quad, 0)
    side = cv2.resize(canvas.rgb[floor : floor + 1, width // 4 : width // 2], (width, 1))
    canvas.rgb[floor] = side[0]


def _table(rng: np.random.Generator, canvas: Canvas, floor: int) -> None:
    height, width = canvas.tags.shape
    wall = jitter(rng, ((96, 110, 124), (150, 130, 110), (200, 196, 190))[int(rng.integers(3))], 0.2)
    blurred = fractal(rng, height, width, width / 4)[:, :, None]
    canvas.rgb[:] = np.clip(np.asarray(wall, np.float32) * (1 + 0.16 * blurred), 0, 255).astype(np.uint8)
    wood = jitter(rng, ((170, 120, 76), (226, 218, 206), (96, 66, 46))[int(rng.integers(3))], 0.15)
    rows = height - floor
    streaks = cv2.resize(patch(rng, rows // 3 + 1, 12, 1.0), (width, rows), interpolation=cv2.INTER_CUBIC)
    light = np.linspace(1.1, 0.85, rows, dtype=np.float32)[:, None]
    shade = (light * (1 + 0.06 * streaks))[:, :, None]
    canvas.rgb[floor:] = np.clip(np.asarray(blend(wood, wall, 0.1), np.float32) * shade, 0, 255).astype(np.uint8)
