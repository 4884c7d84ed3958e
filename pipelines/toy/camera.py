"""The pinhole that the toy streets are seen through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from pipelines.toy.textures import Real


@dataclass(frozen=True, slots=True)
class Camera:
    """A level camera above a flat ground: x metres to the right, y up, z ahead.

    Attributes:
        width: of the canvas, pixels.
        height: of the canvas, pixels.
        focal: pixels.
        centre: column of the vanishing point.
        horizon: row of the vanishing point.
        eye: metres above the ground.
        bend: the road's curvature: at distance z everything lies ``bend * z**2`` metres further right.
    """

    width: int
    height: int
    focal: Real
    centre: Real
    horizon: Real
    eye: Real
    bend: Real

    def scale(self, z: Real) -> float:
        """Pixels a metre at distance ``z``."""
        return self.focal / z

    def u(self, x: Real, z: Real) -> float:
        """Column of a point."""
        return self.centre + self.focal * (x + self.bend * z * z) / z

    def v(self, y: Real, z: Real) -> float:
        """Row of a point."""
        return self.horizon + self.focal * (self.eye - y) / z

    def quad(
        self, near: tuple[Real, Real], far: tuple[Real, Real], bottom: Real, top: Real
    ) -> Float32[np.ndarray, "4 2"]:
        """Corners of an upright rectangle from (x, z) ``near`` to ``far``, as :meth:`Canvas.warp` takes them."""
        (xn, zn), (xf, zf) = near, far
        corners = [
            (self.u(xn, zn), self.v(top, zn)),
            (self.u(xf, zf), self.v(top, zf)),
            (self.u(xf, zf), self.v(bottom, zf)),
            (self.u(xn, zn), self.v(bottom, zn)),
        ]
        return np.array(corners, np.float32)

    def ground(self, row: int) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h 1"]]:
        """World x of the ground under every pixel from ``row`` (below the horizon) down, and z of every row."""
        rows = np.arange(row, self.height, dtype=np.float32) + np.float32(0.5)
        columns = np.arange(self.width, dtype=np.float32) + np.float32(0.5) - np.float32(self.centre)
        below = np.maximum(rows - np.float32(self.horizon), np.float32(0.5))
        z: Float32[np.ndarray, "h 1"] = (np.float32(self.focal * self.eye) / below)[:, None]
        x = columns[None, :] * (z / np.float32(self.focal)) - np.float32(self.bend) * z * z
        return x, z
