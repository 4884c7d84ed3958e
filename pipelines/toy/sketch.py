"""A small drawing surface in metres: every object of the toy world is drawn on one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float32

from pipelines.toy.textures import Colour, Real, patch

Point = tuple[Real, Real]

_SHIFT = 4  # cv2 takes polygon corners in sixteenths of a pixel: far objects do not jump by whole pixels
_MAX_SIDE = 4096


class Sketch:
    """Pixels drawn in metres: x to the right, y up, (0, 0) the point that stands on the ground.

    Attributes:
        rgb: (h, w, 3) uint8.
        paint: (h, w) uint8, 255 where ``rgb`` is to be seen.
        cover: (h, w) uint8, 255 where the object's label lies. It holds ``paint`` and what shines through the object
            (between spokes, between the bars of a fence), which Cityscapes labels as the object.
    """

    def __init__(self, left: Real, bottom: Real, right: Real, top: Real, scale: Real) -> None:
        self.left, self.top, self.right, self.bottom, self.scale = left, top, right, bottom, scale
        width = min(_MAX_SIDE, max(2, math.ceil((right - left) * scale)))
        height = min(_MAX_SIDE, max(2, math.ceil((top - bottom) * scale)))
        self.rgb = np.zeros((height, width, 3), np.uint8)
        self.paint = np.zeros((height, width), np.uint8)
        self.cover = np.zeros((height, width), np.uint8)

    def polygon(self, points: Sequence[Point], colour: Colour, *, inside: bool = False, ghost: bool = False) -> None:
        """Fill a polygon.

        Args:
            points: corners in metres.
            colour: RGB in 0..255.
            inside: paint only where something is already (a stripe on a body): the outline stays as it is.
            ghost: label without painting.
        """
        one, left, top = self.scale * (1 << _SHIFT), self.left, self.top
        half = (1 << _SHIFT) // 2
        corners = [
            np.array([(round((x - left) * one) - half, round((top - y) * one) - half) for x, y in points], np.int32)
        ]
        if not ghost:
            cv2.fillPoly(self.rgb, corners, colour, lineType=cv2.LINE_8, shift=_SHIFT)
            if not inside:
                cv2.fillPoly(self.paint, corners, (255.0,), lineType=cv2.LINE_8, shift=_SHIFT)
        if not inside:
            cv2.fillPoly(self.cover, corners, (255.0,), lineType=cv2.LINE_8, shift=_SHIFT)

    def rect(self, x0: Real, y0: Real, x1: Real, y1: Real, colour: Colour, *, inside: bool = False) -> None:
        """Fill an upright rectangle."""
        columns = sorted((round((x0 - self.left) * self.scale), round((x1 - self.left) * self.scale)))
        rows = sorted((round((self.top - y0) * self.scale), round((self.top - y1) * self.scale)))
        first, last = (columns[0], rows[0]), (max(columns[0], columns[1] - 1), max(rows[0], rows[1] - 1))
        cv2.rectangle(self.rgb, first, last, colour, cv2.FILLED)
        if not inside:
            cv2.rectangle(self.paint, first, last, (255.0,), cv2.FILLED)
            cv2.rectangle(self.cover, first, last, (255.0,), cv2.FILLED)

    def ellipse(
        self,
        x: Real,
        y: Real,
        rx: Real,
        ry: Real,
        colour: Colour,
        *,
        angle: Real = 0.0,
        inside: bool = False,
        ghost: bool = False,
    ) -> None:
        """Fill an ellipse, turned by ``angle`` degrees to the left."""
        turn = math.radians(angle)
        cos, sin = math.cos(turn), math.sin(turn)
        around = [2 * math.pi * k / 28 for k in range(28)]
        points = [
            (
                x + rx * math.cos(a) * cos - ry * math.sin(a) * sin,
                y + rx * math.cos(a) * sin + ry * math.sin(a) * cos,
            )
            for a in around
        ]
        self.polygon(points, colour, inside=inside, ghost=ghost)

    def ring(self, x: Real, y: Real, radius: Real, width: Real, colour: Colour) -> None:
        """Paint a circle's rim; its inside is labelled but not painted."""
        self.ellipse(x, y, radius, radius, colour, ghost=True)
        points = [
            (x + radius * math.cos(math.pi * k / 12), y + radius * math.sin(math.pi * k / 12)) for k in range(25)
        ]
        self.line(points, width, colour)

    def blob(self, points: Sequence[Point], colour: Colour, *, inside: bool = False) -> None:
        """Fill the smooth closed curve through the points (Catmull-Rom)."""
        self.polygon(smooth(points), colour, inside=inside)

    def line(self, points: Sequence[Point], width: Real, colour: Colour, *, inside: bool = False) -> None:
        """Paint a polyline of a width in metres, with round joints."""
        for (x0, y0), (x1, y1) in pairwise(points):
            self.limb((x0, y0), (x1, y1), width, width, colour, inside=inside)

    def limb(
        self, start: Point, end: Point, width0: Real, width1: Real, colour: Colour, *, inside: bool = False
    ) -> None:
        """Paint a tapering bar: an arm, a leg, a trunk."""
        (x0, y0), (x1, y1) = start, end
        length = math.hypot(x1 - x0, y1 - y0) or 1e-6
        nx, ny = -(y1 - y0) / length / 2, (x1 - x0) / length / 2
        floor = 0.8 / self.scale  # never thinner than a pixel or so
        a, b = max(width0, floor), max(width1, floor)
        self.polygon(
            [
                (x0 + nx * a, y0 + ny * a),
                (x1 + nx * b, y1 + ny * b),
                (x1 - nx * b, y1 - ny * b),
                (x0 - nx * a, y0 - ny * a),
            ],
            colour,
            inside=inside,
        )

    def shade(self, rng: np.random.Generator, *, grain: Real = 0.05, top: Real = 1.1, bottom: Real = 0.8) -> None:
        """Light from above and a little uneven dirt, over everything painted so far."""
        height, width = self.paint.shape
        light = np.linspace(top, bottom, height, dtype=np.float32)[:, None]
        dirt = patch(rng, height, width, max(2.0, height / 9)) + patch(rng, height, width, 1.0)
        dirt *= np.float32(grain)
        dirt += 1
        dirt *= light
        self.modulate(dirt)

    def modulate(self, gain: Float32[np.ndarray, "#h #w"]) -> None:
        """Multiply the colours by a gain."""
        full = np.ascontiguousarray(np.broadcast_to(gain, self.paint.shape))
        self.rgb = np.asarray(cv2.multiply(self.rgb, cv2.merge([full, full, full]), dtype=cv2.CV_8U), np.uint8)

    def haze(self, colour: Colour, share: Real) -> None:
        """Mix in the colour of the air."""
        if share > 0.01:
            grey = np.arange(256, dtype=np.float32)[None, :, None] * np.float32(1 - share)
            table = grey + np.asarray(colour, np.float32) * np.float32(share)
            self.rgb = np.asarray(cv2.LUT(self.rgb, table.astype(np.uint8)), np.uint8)

    def mirror(self) -> None:
        """Swap left and right."""
        self.left, self.right = -self.right, -self.left
        self.rgb = np.ascontiguousarray(self.rgb[:, ::-1])
        self.paint = np.ascontiguousarray(self.paint[:, ::-1])
        self.cover = np.ascontiguousarray(self.cover[:, ::-1])


def smooth(points: Sequence[Point], steps: int = 6) -> list[Point]:
    """Closed Catmull-Rom curve through the points."""
    knots = np.asarray(points, np.float64)
    before, after, beyond = (np.concatenate([knots[k:], knots[:k]])[:, None] for k in (-1, 1, 2))
    here = knots[:, None]
    t = (np.arange(steps) / steps)[None, :, None]
    curve = 0.5 * (
        2 * here
        + (after - before) * t
        + (2 * before - 5 * here + 4 * after - beyond) * t * t
        + (3 * here - before - 3 * after + beyond) * t * t * t
    )
    return [(x, y) for x, y in curve.reshape(-1, 2).tolist()]


def wobbly(
    rng: np.random.Generator, x: Real, y: Real, rx: Real, ry: Real, *, rough: Real, corners: int = 11
) -> list[Point]:
    """Corners of an uneven round outline; feed it to :meth:`Sketch.blob`."""
    radii = 1 + rough * rng.uniform(-1, 1, corners)
    return [
        (
            x + rx * float(radii[k]) * math.cos(2 * math.pi * k / corners),
            y + ry * float(radii[k]) * math.sin(2 * math.pi * k / corners),
        )
        for k in range(corners)
    ]
