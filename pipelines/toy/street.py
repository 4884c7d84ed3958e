"""A street in a town: where everything stands, and in which order it is painted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipelines.toy import furniture, people
from pipelines.toy.camera import Camera
from pipelines.toy.canvas import Canvas
from pipelines.toy.ground import PARKING, RAIL, ROAD, SIDEWALK, TERRAIN, Crossing, Paint, Strip, paint_ground
from pipelines.toy.look import Look, in_air, paint_sky
from pipelines.toy.sketch import Sketch
from pipelines.toy.textures import Real, darker, jitter
from pipelines.toy.vehicles import draw_vehicle, end_view, side_view

STATIC, DYNAMIC, BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, VEGETATION, SKY = 4, 5, 11, 12, 13, 17, 19, 20, 21, 23
LANE = 3.3

FEATURES = ("bus", "truck", "train", "motorcycle", "cyclists", "wall", "camping", "lights")
"""What a frame is sure to show; frames take turns, so that no class stays rare by bad luck."""


@dataclass(slots=True)
class Street:
    """A painted street, and what later painters need to know of it.

    Attributes:
        canvas: the picture.
        camera: its view.
        look: its light.
        left: world x of the road's left edge.
        right: world x of its right edge.
    """

    canvas: Canvas
    camera: Camera
    look: Look
    left: Real
    right: Real


def view(rng: np.random.Generator, width: int, height: int, *, bend: Real = 0.0016) -> Camera:
    """A camera behind a windscreen."""
    return Camera(
        width=width,
        height=height,
        focal=width * float(rng.uniform(0.72, 0.84)),
        centre=width * float(rng.uniform(0.44, 0.56)),
        horizon=height * float(rng.uniform(0.4, 0.46)),
        eye=float(rng.uniform(1.45, 1.75)),
        bend=float(rng.uniform(-bend, bend)),
    )


def paint_street(
    rng: np.random.Generator, width: int, height: int, look: Look, feature: str, *, clear: Real = 0.0
) -> Street:
    """Paint a street.

    Args:
        rng: of this scene.
        width: of the canvas.
        height: of the canvas.
        look: light and palette.
        feature: one of :data:`FEATURES`.
        clear: metres of our own lane that stay free of traffic, for what others will put there.
    """
    return _Builder(rng, width, height, look, feature, clear).build()


class _Builder:
    def __init__(
        self, rng: np.random.Generator, width: int, height: int, look: Look, feature: str, clear: Real
    ) -> None:
        self.rng, self.look, self.feature, self.clear = rng, look, feature, clear
        self.camera = view(rng, width, height)
        self.canvas = Canvas.blank(height, width)
        self.queue: list[tuple[float, Callable[[], None]]] = []
        self.oncoming = 1 + int(rng.random() < 0.35)
        self.own = 1 + int(rng.random() < 0.3)
        self.left = -LANE * self.oncoming - LANE / 2
        self.right = LANE * self.own - LANE / 2
        self.crossing: Crossing | None = None
        if feature == "lights" or rng.random() < 0.3:
            near = float(rng.uniform(13, 24))
            self.crossing = Crossing(near, near + float(rng.uniform(6, 9)), bool(rng.random() < 0.7))

    def build(self) -> Street:
        look, camera, rng = self.look, self.camera, self.rng
        paint_sky(rng, self.canvas, look, camera.horizon, SKY)
        strips = self._strips()
        lines = [Paint(-LANE / 2, self.oncoming == 1 or rng.random() < 0.3)]
        lines += [Paint(-LANE * 1.5, True)] if self.oncoming == 2 else []
        lines += [Paint(LANE / 2, True)] if self.own == 2 else []
        lines += [Paint(self.left + 0.25, False), Paint(self.right - 0.25, False)] if rng.random() < 0.5 else []
        paint_ground(rng, self.canvas, camera, look, strips, tuple(lines), self.crossing)
        self._skyline()
        for side in (-1, 1):
            self._boundary(side)
        self._furniture()
        self._traffic()
        self._walkers()
        for _, draw in sorted(self.queue, key=lambda item: -item[0]):
            draw()
        return Street(self.canvas, camera, look, self.left, self.right)

    # -- layout ----------------------------------------------------------------------------------------

    def _strips(self) -> tuple[Strip, ...]:
        """Bands of ground from left to right; remembers where walkers, parked cars and fronts go."""
        rng = self.rng
        self.parked: dict[int, float] = {}
        self.walk: dict[int, tuple[Real, Real]] = {}
        self.front: dict[int, float] = {}
        self.style: dict[int, str] = {}
        self.rail: Real | None = None
        bands: dict[int, list[tuple[int, float]]] = {}
        for side in (-1, 1):
            edge = abs(self.left if side < 0 else self.right)
            out: list[tuple[int, float]] = []
            if side < 0 and self.feature == "train":
                out.append((RAIL, edge))
                self.rail = -(edge + 1.55)
                edge += 3.1
            elif rng.random() < 0.45:
                out.append((PARKING, edge))
                self.parked[side] = side * (edge + 1.05)
                edge += 2.1
            verge = rng.random() < 0.35
            if verge:
                out.append((TERRAIN, edge))
                edge += float(rng.uniform(0.9, 1.8))
            wide = float(rng.uniform(2.2, 3.8))
            out.append((SIDEWALK, edge))
            self.walk[side] = (edge + 0.4, edge + wide - 0.4)
            edge += wide
            style = str(rng.choice(["urban", "garden", "park"], p=[0.44, 0.4, 0.16]))
            if self.feature == "wall" and side > 0:
                style = "garden"
            self.style[side] = style
            if style != "urban":
                out.append((TERRAIN, edge))
                edge += float(rng.uniform(0.8, 2.5))
            else:
                out.append((TERRAIN if rng.random() < 0.3 else 6, edge))
                edge += 0.3
            self.front[side] = edge
            bands[side] = out
        strips: list[Strip] = []
        # Going left, a band's outer edge is where its strip begins.
        outer = [*(start for _, start in bands[-1][1:]), 400.0]
        for (label, _), end in reversed(list(zip(bands[-1], outer, strict=True))):
            strips.append(Strip(label, -end))
        strips.append(Strip(ROAD, self.left))
        strips += [Strip(label, start) for label, start in bands[1]]
        return tuple(strips)

    def _panel(self, sketch: Sketch, side: int, x: Real, z0: Real, z1: Real, height: Real, tag: int) -> None:
        """Warp a sketch on the upright plane at ``x`` from ``z0`` to ``z1``."""
        in_air(sketch, self.look, (z0 + z1) / 2)
        if self.look.sun and side == self.look.sun:
            sketch.modulate(np.full((1, 1), 0.8, np.float32))
        ends = ((x, z1), (x, z0)) if side > 0 else ((x, z0), (x, z1))
        self.canvas.warp(sketch, self.camera.quad(*ends, 0.0, height), tag)

    def _detail(self, z: Real, length: Real) -> float:
        """Texels a metre for a panel that begins at ``z``."""
        return float(min(self.camera.scale(max(z, 6.0)), self.camera.width / 25, 900 / max(length, 1.0)))

    def _seen(self, x: Real, z: Real) -> bool:
        """Whether an upright plane at ``x`` that reaches from us to ``z`` comes into view."""
        return -2 < self.camera.u(x, z) < self.camera.width + 2

    def _skyline(self) -> None:
        rng, camera = self.rng, self.camera
        z = 95.0
        scale = camera.scale(z)
        x = -camera.centre / scale - 5 - camera.bend * z * z
        end = x + camera.width / scale + 20
        while x < end:
            wide = float(rng.uniform(7, 18))
            if rng.random() < 0.6:
                tall = float(rng.uniform(6, 17))
                base = jitter(rng, self.look.houses[int(rng.integers(len(self.look.houses)))], 0.1)
                panel = furniture.facade(rng, max(scale, 4.0), wide, tall, base, shop=False)
                tag = BUILDING
            else:
                tall = float(rng.uniform(4, 9))
                panel = furniture.trees_panel(rng, max(scale, 4.0), wide, tall, self.look.leaf)
                tag = VEGETATION
            in_air(panel, self.look, z)
            quad = camera.quad((x, z), (x + wide, z), -0.6, tall)
            self.canvas.warp(panel, quad, tag)
            x += wide * 0.92

    def _boundary(self, side: int) -> None:
        """House fronts, walls, fences and hedges, from far to near."""
        rng = self.rng
        cuts = [1.6]
        while cuts[-1] < 85:
            cuts.append(cuts[-1] + float(rng.uniform(7, 14)))
        for z0, z1 in reversed(list(pairwise(cuts))):
            if self.crossing is not None and z0 < self.crossing.far and z1 > self.crossing.near:
                continue  # the side street
            if not self._seen(side * (self.front[side] - 1), z1):
                continue
            style = self.style[side]
            if rng.random() < 0.12:
                style = "garden"
            x = self.front[side]
            if style == "urban":
                self._house(side, x, z0, z1, shop=bool(rng.random() < 0.4))
            elif style == "garden":
                self._garden(side, x, z0, z1)
            else:
                self._park(side, x, z0, z1)

    def _house(self, side: int, x: Real, z0: Real, z1: Real, *, shop: bool) -> None:
        rng, look = self.rng, self.look
        tall = float(rng.uniform(6.5, 16))
        base = jitter(rng, look.houses[int(rng.integers(len(look.houses)))], 0.15)
        length = z1 - z0
        detail = self._detail(z0, length)
        if self._seen(side * x, z0):  # its end wall shows where the next house is lower or missing
            end = furniture.gable(rng, detail * 0.5, 9.0, tall, darker(base, 0.85))
            in_air(end, look, z0)
            near, far = ((side * x, z0), (side * (x + 9), z0)) if side > 0 else ((side * (x + 9), z0), (side * x, z0))
            self.canvas.warp(end, self.camera.quad(near, far, 0, tall), BUILDING)
        front = furniture.facade(rng, detail, length, tall, base, shop=shop)
        self._panel(front, side, side * x, z0, z1, tall, BUILDING)

    def _garden(self, side: int, x: Real, z0: Real, z1: Real) -> None:
        rng, look = self.rng, self.look
        length, detail = z1 - z0, self._detail(z0, z1 - z0)
        if rng.random() < 0.5:
            self._house(side, x + float(rng.uniform(4, 7)), z0 + 1, z1 - 1, shop=False)
        else:
            tall = float(rng.uniform(4, 7))
            trees = furniture.trees_panel(rng, detail * 0.7, length, tall, look.leaf)
            self._panel(trees, side, side * (x + 4), z0, z1, tall, VEGETATION)
        kind = rng.random()
        if self.feature == "wall" and side > 0:
            kind *= 0.4
        if kind < 0.36:
            tall = float(rng.uniform(1.7, 2.8))
            self._panel(furniture.wall(rng, detail, length, tall), side, side * x, z0, z1, tall, WALL)
        elif kind < 0.82:
            tall = float(rng.uniform(1.3, 2.1))
            self._panel(furniture.fence(rng, detail, length, tall), side, side * x, z0, z1, tall, FENCE)
        else:
            tall = float(rng.uniform(1.2, 2.4))
            self._panel(
                furniture.hedge(rng, detail, length, tall, look.leaf), side, side * x, z0, z1, tall, VEGETATION
            )

    def _park(self, side: int, x: Real, z0: Real, z1: Real) -> None:
        rng, look = self.rng, self.look
        tall = float(rng.uniform(6, 10))
        detail = self._detail(z0, z1 - z0) * 0.7
        trees = furniture.trees_panel(rng, detail, z1 - z0, tall, look.leaf)
        self._panel(trees, side, side * (x + 11), z0, z1, tall, VEGETATION)
        if rng.random() < 0.5:
            z = float(rng.uniform(max(z0, 6.0), max(z1, 8.0)))
            self._later(furniture.tree, side * (x + float(rng.uniform(1.5, 6))), z, VEGETATION, look.leaf)

    # -- objects, queued by distance -------------------------------------------------------------------

    def _later(self, make: Callable[..., Sketch], x: Real, z: Real, tag: int | str, *args: object) -> None:
        """Queue an upright object: ``make(rng, scale, *args)`` stands at (``x``, ``z``)."""
        rng = np.random.default_rng(int(self.rng.integers(2**62)))

        def draw() -> None:
            sketch = make(rng, self.camera.scale(z), *args)
            self._stand(sketch, x, z, tag)

        self.queue.append((z, draw))

    def _stand(self, sketch: Sketch, x: Real, z: Real, tag: int | str, y: Real = 0.0) -> None:
        in_air(sketch, self.look, z)
        u, v, scale = self.camera.u(x, z), self.camera.v(y, z), self.camera.scale(z)
        if y == 0.0:
            reach = min(1.0, (sketch.right - sketch.left) / 2.6)
            self.canvas.shadow(u, v, reach * scale, reach * scale * 0.2, 0.35)
        self.canvas.stamp(sketch, u, v, self.canvas.object(tag) if isinstance(tag, str) else tag)

    def _vehicle(self, kind: str, x: Real, z: Real, *, front: bool) -> None:
        rng = np.random.default_rng(int(self.rng.integers(2**62)))

        def draw() -> None:
            put_vehicle(rng, self.canvas, self.camera, self.look, kind, x, z, front=front)

        self.queue.append((z, draw))

    def _thickness(self, z: Real, metres: Real) -> float:
        """A pole's width: never under about 3 pixels of the finished picture, or nothing could learn it."""
        return max(metres, self.camera.width / 135 / self.camera.scale(z))

    def _furniture(self) -> None:
        rng, look = self.rng, self.look
        for side in (-1, 1):
            inner, outer = self.walk[side]
            step = float(rng.uniform(13, 20))
            z = float(rng.uniform(6, 14))
            while z < 45:
                if self._free(z):
                    wide = self._thickness(z, 0.2)
                    self._later(
                        furniture.lamp_arm,
                        side * (inner - 0.1),
                        z,
                        POLE,
                        float(rng.uniform(5.5, 7.5)),
                        wide,
                        -side * 1.6,
                    )
                z += step
            if rng.random() < 0.55:
                z = float(rng.uniform(8, 16))
                while z < 60:
                    if self._free(z) and rng.random() < 0.8:
                        self._later(furniture.tree, side * (outer - 0.2), z, VEGETATION, look.leaf)
                    z += float(rng.uniform(8, 14))
            for _ in range(int(rng.integers(1, 4))):
                z = float(rng.uniform(8.0, 24))
                if self._free(z):
                    self._signpost(side * inner, z)
            for _ in range(int(rng.integers(0, 3))):
                self._later(furniture.static_clutter, side * (outer - 0.2), float(rng.uniform(6, 28)), STATIC)
            if rng.random() < 0.25:
                self._later(furniture.dynamic_clutter, side * (inner + outer) / 2, float(rng.uniform(6, 18)), DYNAMIC)
            for _ in range(int(rng.integers(0, 3))):
                size = float(rng.uniform(0.8, 1.6))
                self._later(furniture.bush, side * (self.front[side] - 0.3), float(rng.uniform(5, 30)), VEGETATION,
                            size * 1.6, size, look.leaf)  # fmt: skip
        lit = self.crossing is not None and (self.feature == "lights" or rng.random() < 0.6)
        if lit and self.crossing is not None:
            z = self.crossing.near - 1.0
            for side in (-1, 1):
                self._signal(side * self.walk[side][0], z, overhead=side > 0 and rng.random() < 0.5)
        if self.feature in ("lights", "camping") and (self.crossing is None or rng.random() < 0.7):
            self._signal(self.walk[1][0], float(rng.uniform(8, 12)), overhead=bool(rng.random() < 0.4))

    def _free(self, z: Real) -> bool:
        """Whether no side street lies at ``z``."""
        return self.crossing is None or not self.crossing.near - 0.5 < z < self.crossing.far + 0.5

    def _signpost(self, x: Real, z: Real) -> None:
        rng = np.random.default_rng(int(self.rng.integers(2**62)))
        tall, wide, two = float(rng.uniform(2.3, 3.0)), self._thickness(z, 0.12), rng.random() < 0.3

        def draw() -> None:
            scale = self.camera.scale(z)
            self._stand(furniture.pole(rng, scale, tall, wide), x, z, POLE)
            self._stand(furniture.sign(rng, scale), x, z, SIGN, tall - 0.3)
            if two:
                self._stand(furniture.sign(rng, scale), x, z, SIGN, tall - 1.35)

        self.queue.append((z, draw))

    def _signal(self, x: Real, z: Real, *, overhead: bool) -> None:
        rng = np.random.default_rng(int(self.rng.integers(2**62)))
        wide = self._thickness(z, 0.18)

        def draw() -> None:
            scale = self.camera.scale(z)
            self._stand(furniture.pole(rng, scale, 5.0 if overhead else 2.6, wide), x, z, POLE)
            if overhead:
                arm = Sketch(-3.4, -0.2, 0.2, 0.3, scale)
                arm.limb((0, 0), (-3.2, 0.1), wide, wide, (112, 114, 116))
                self._stand(arm, x, z, POLE, 4.8)
                self._stand(furniture.traffic_light(rng, scale), x - 3.0, z, LIGHT, 3.9)
            self._stand(furniture.traffic_light(rng, scale), x, z, LIGHT, 2.1)

        self.queue.append((z, draw))

    def _traffic(self) -> None:
        rng = self.rng
        free = max(self.clear, 9.0)
        own: list[str] = ["car"] if rng.random() < 0.75 else []
        other: list[str] = ["car"] * int(rng.integers(0, 4))
        if self.feature in ("bus", "truck"):
            (own if rng.random() < 0.5 and not self.clear else other).insert(0, self.feature)
        if self.feature == "camping":
            kind = "caravan" if rng.random() < 0.5 else "trailer"
            (own if not self.clear else other).insert(0, kind)
        elif rng.random() < 0.12:
            other.append(str(rng.choice(["bus", "truck"])))
        z = free + float(rng.uniform(0, 10))
        for kind in own:
            self._vehicle(kind, float(rng.normal(0, 0.15)), z, front=False)
            z += 14 + float(rng.uniform(0, 15))
        if self.own == 2 and rng.random() < 0.8:
            self._vehicle(str(rng.choice(["car", "car", "truck"])), LANE, float(rng.uniform(7, 22)), front=False)
        z = float(rng.uniform(8, 14))
        for kind in other:
            lane = int(rng.integers(self.oncoming)) + 1
            self._vehicle(kind, -LANE * lane + float(rng.normal(0, 0.15)), z, front=True)
            z += 13 + float(rng.uniform(0, 12))
        if self.rail is not None:
            self._vehicle("train", self.rail, float(rng.uniform(9, 22)), front=bool(rng.random() < 0.6))
        for side, x in self.parked.items():
            z = float(rng.uniform(5, 9))
            while z < 50:
                if self._free(z) and self._free(z + 4.5) and rng.random() < 0.72:
                    kind = "car"
                    if rng.random() < 0.04 or (self.feature == "camping" and rng.random() < 0.2):
                        kind = str(rng.choice(["caravan", "trailer"]))
                    self._vehicle(kind, x, z, front=side < 0)
                z += float(rng.uniform(5.6, 7.0))

    def _walkers(self) -> None:
        rng = self.rng
        for side in (-1, 1):
            inner, outer = self.walk[side]
            for _ in range(int(rng.integers(1, 5))):
                x = side * float(rng.uniform(inner, outer))
                self._later(people.person, x, 5.0 + 26.0 * float(rng.random()) ** 1.3, "person")
            parked = int(rng.integers(1, 3)) if self.feature == "cyclists" else int(rng.random() < 0.4)
            for k in range(parked):
                kind = people.bicycle if rng.random() < 0.55 else people.motorcycle
                name = "bicycle" if kind is people.bicycle else "motorcycle"
                self._later(kind, side * (outer - 0.3) - 0.7 * k, float(rng.uniform(5.5, 14)), name)
        if self.crossing is not None and self.crossing.zebra and rng.random() < 0.7:
            for _ in range(int(rng.integers(1, 4))):
                self._later(people.person, float(rng.uniform(self.left, self.right)),
                            self.crossing.near - float(rng.uniform(1, 3.4)), "person")  # fmt: skip
        riders: list[bool] = []
        if self.feature == "cyclists":
            riders += [False] * int(rng.integers(2, 4))
        elif rng.random() < 0.25:
            riders.append(False)
        if self.feature == "motorcycle":
            riders += [True] * int(rng.integers(1, 3))
            self._later(people.motorcycle, self.walk[1][0] + 0.4, float(rng.uniform(6, 11)), "motorcycle")
        z = max(6.0, self.clear * 0.6)
        for motor in riders:
            z += float(rng.uniform(0.5, 4.5))
            x = (
                self.right - float(rng.uniform(0.2, 1.0))
                if rng.random() < 0.6
                else self.left + float(rng.uniform(0.3, 1.5))
            )
            self._rider(x, z, motor)
            z += 2.5

    def _rider(self, x: Real, z: Real, motor: bool) -> None:
        rng = np.random.default_rng(int(self.rng.integers(2**62)))
        side, turn = rng.random() < 0.65, rng.random() < 0.5

        def draw() -> None:
            scale = self.camera.scale(z)
            make = people.motorcycle if motor else people.bicycle
            bike = make(rng, scale) if side else people.two_wheeler_end(rng, scale, motor=motor)
            who = people.rider(rng, scale, motor=motor, side=bool(side))
            if turn:
                bike.mirror()
                who.mirror()
            self._stand(bike, x, z, "motorcycle" if motor else "bicycle")
            in_air(who, self.look, z)
            tag = self.canvas.object("rider")
            self.canvas.stamp(who, self.camera.u(x, z), self.camera.v(0, z), tag)

        self.queue.append((z, draw))


def put_vehicle(
    rng: np.random.Generator,
    canvas: Canvas,
    camera: Camera,
    look: Look,
    kind: str,
    x: Real,
    z: Real,
    *,
    front: bool,
) -> int:
    """Paint a vehicle that looks along the street, its nearer end at ``z``; returns its tag."""
    vehicle = draw_vehicle(rng, kind)
    tag = canvas.object(kind)
    scale = camera.scale(z)
    half = vehicle.width / 2
    u, v = camera.u(x, z), camera.v(0, z)
    far = z + vehicle.length
    # The shadow under the body reaches back to the far axle.
    back = camera.v(0, far)
    canvas.shadow(
        (u + camera.u(x, far)) / 2, (v + back) / 2, half * scale * 1.15, max(2.0, abs(v - back) * 0.62), 0.45
    )
    seen = x + camera.bend * z * z
    if abs(seen) > half:
        side = side_view(rng, vehicle, min(scale, 800 / vehicle.length))
        in_air(side, look, z)
        inset = half * 0.97  # a little under the end view, or the ground would shine through the seam
        edge = x - inset if seen > 0 else x + inset
        # The side view looks to the left. Its nearer end is the front of who comes, the rear of who goes.
        if (seen > 0) == front:
            side.mirror()
        near, beyond = (edge, z), (edge, far)
        ends = (beyond, near) if seen > 0 else (near, beyond)
        side.modulate(np.full((1, 1), 0.86, np.float32))
        canvas.warp(side, camera.quad(*ends, -0.05, vehicle.height * 1.03), tag)
    end = end_view(rng, vehicle, scale, front=front)
    in_air(end, look, z)
    canvas.stamp(end, u, v, tag)
    return tag


def paint_hood(rng: np.random.Generator, canvas: Canvas, tag: int) -> None:
    """The bonnet of our own car along the lower edge."""
    height, width = canvas.tags.shape
    tall = float(rng.uniform(0.05, 0.085)) * height
    s = Sketch(-0.5, 0.0, 0.5, tall / width * 1.05, float(width))
    colour = jitter(rng, (46, 52, 56), 0.3)
    rise = [(-0.5 + k / 24, tall / width * (0.45 + 0.55 * math.sin(math.pi * k / 24))) for k in range(25)]
    s.polygon([(-0.5, 0), *rise, (0.5, 0)], colour)
    s.modulate(np.linspace(1.9, 0.7, s.paint.shape[0], dtype=np.float32)[:, None])
    canvas.stamp(s, width / 2, height, tag)
