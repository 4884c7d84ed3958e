"""The picture under the brush, with a tag for every pixel: whose it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16

from pipelines.toy.sketch import Sketch
from pipelines.toy.textures import Real

FIRST_OBJECT = 64
"""Tags below this are Cityscapes labelIds of stuff; objects are numbered from here."""


@dataclass(slots=True)
class Canvas:
    """A supersampled picture.

    Attributes:
        rgb: (H, W, 3) uint8.
        tags: (H, W) uint16: a labelId (< 64), or the number of an object.
        names: what each object is, by tag - 64; the writers give it meaning.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    tags: UInt16[np.ndarray, "h w"]
    names: list[str] = field(default_factory=list)

    @staticmethod
    def blank(height: int, width: int) -> Canvas:
        """A black canvas whose every pixel is unlabelled."""
        return Canvas(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint16))

    def object(self, name: str) -> int:
        """A new object's tag."""
        self.names.append(name)
        return FIRST_OBJECT + len(self.names) - 1

    def stamp(self, sketch: Sketch, u: Real, v: Real, tag: int) -> None:
        """Put a sketch's ground point on pixel (``u``, ``v``)."""
        left = round(u + sketch.left * sketch.scale)
        top = round(v - sketch.top * sketch.scale)
        self._put(sketch.rgb, sketch.paint, sketch.cover, left, top, tag)

    def warp(self, sketch: Sketch, quad: Float32[np.ndarray, "4 2"], tag: int) -> None:
        """Put a sketch on a quadrilateral: left top, right top, right bottom, left bottom, in pixels."""
        height, width = self.tags.shape
        low = np.floor(quad.min(0)).astype(int)
        high = np.ceil(quad.max(0)).astype(int) + 1
        x0, y0 = max(0, int(low[0])), max(0, int(low[1]))
        x1, y1 = min(width, int(high[0])), min(height, int(high[1]))
        if x1 <= x0 or y1 <= y0:
            return
        h, w = sketch.paint.shape
        source = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
        target = (quad - np.array((x0, y0), np.float32)).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(source, target)
        size = (x1 - x0, y1 - y0)
        # Colours are sampled past the sketch's edge, masks are not: no black seam between neighbours.
        rgb = cv2.warpPerspective(sketch.rgb, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        paint = cv2.warpPerspective(sketch.paint, matrix, size, flags=cv2.INTER_NEAREST)
        cover = cv2.warpPerspective(sketch.cover, matrix, size, flags=cv2.INTER_NEAREST)
        self._put(np.asarray(rgb, np.uint8), np.asarray(paint, np.uint8), np.asarray(cover, np.uint8), x0, y0, tag)

    def shadow(self, u: Real, v: Real, rx: Real, ry: Real, strength: Real) -> None:
        """Darken the ground softly around (``u``, ``v``): what makes an object stand and not float."""
        height, width = self.tags.shape
        x0, x1 = max(0, int(u - rx * 1.5)), min(width, int(u + rx * 1.5) + 1)
        y0, y1 = max(0, int(v - ry * 1.5)), min(height, int(v + ry * 1.5) + 1)
        if x1 <= x0 or y1 <= y0:
            return
        dx = (np.arange(x0, x1, dtype=np.float32) - np.float32(u)) / np.float32(max(rx, 0.5))
        dy = (np.arange(y0, y1, dtype=np.float32) - np.float32(v)) / np.float32(max(ry, 0.5))
        squared = dx[None, :] ** 2 + dy[:, None] ** 2
        gain = 1 - np.float32(strength) * np.clip(1.6 - squared, 0, 1)
        region = self.rgb[y0:y1, x0:x1]
        region[:] = (region * gain[:, :, None]).astype(np.uint8)

    def mask(self, tag: int) -> Bool[np.ndarray, "h w"]:
        """Where an object is seen."""
        found: Bool[np.ndarray, "h w"] = self.tags == tag
        return found

    def _put(
        self,
        rgb: UInt8[np.ndarray, "h w 3"],
        paint: UInt8[np.ndarray, "h w"],
        cover: UInt8[np.ndarray, "h w"],
        left: int,
        top: int,
        tag: int,
    ) -> None:
        height, width = self.tags.shape
        h, w = paint.shape
        x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + w), min(height, top + h)
        if x1 <= x0 or y1 <= y0:
            return
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        cv2.copyTo(np.ascontiguousarray(rgb[part]), np.ascontiguousarray(paint[part]), self.rgb[y0:y1, x0:x1])
        self.tags[y0:y1, x0:x1][cover[part] > 0] = tag
