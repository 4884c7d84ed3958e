"""What a shard set holds, counted from the rows of samples.jsonl alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from jaxtyping import Float64

from shards.delta import size_of
from shards.rows import Row, categories_of, objects_of

GRID: Final = (16, 32)
"""Rows and columns of the placement map."""

SHARE_EDGES: Final = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Between bins of an object's longer side, as a share of the frame's height."""

PIXEL_EDGES: Final = (100, 400, 1600, 6400, 25600, 102400)
"""Between bins of an object's visible pixels."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over a shard set.

    Attributes:
        samples: rows.
        mixed: rows with an object.
        objects: pasted objects.
        categories: objects by category, the most frequent first.
        long_sides: objects by bin of their longer side; a bin more than `SHARE_EDGES`.
        pixels: objects by bin of their visible pixels; a bin more than `PIXEL_EDGES`.
        placement: share of the samples in which the box of an object covers a place of the frame, 0..1; rows from
            top to bottom, columns from left to right.
    """

    samples: int
    mixed: int
    objects: int
    categories: tuple[tuple[str, int], ...]
    long_sides: tuple[int, ...]
    pixels: tuple[int, ...]
    placement: Float64[np.ndarray, "rows columns"]


def statistics(rows: Sequence[Row], aspect: float) -> Statistics:
    """Count.

    Args:
        rows: of samples.jsonl.
        aspect: width by height of the pictures; how large each is follows from its row's pixels.

    Returns:
        The counts.
    """
    categories: Counter[str] = Counter()
    long_sides, pixels = [0] * (len(SHARE_EDGES) + 1), [0] * (len(PIXEL_EDGES) + 1)
    placement = np.zeros(GRID)
    mixed = 0
    for row in rows:
        width, height = frame_size(row, aspect)
        covered = np.zeros(GRID, bool)
        for item in objects_of(row):
            categories.update(categories_of(item))
            x, y, w, h = item["box"]
            long_sides[int(np.searchsorted(SHARE_EDGES, max(w, h) / height, side="right"))] += 1
            pixels[int(np.searchsorted(PIXEL_EDGES, item["pixels"], side="right"))] += 1
            covered[_cells(y, h, height, GRID[0]), _cells(x, w, width, GRID[1])] = True
        mixed += bool(objects_of(row))
        placement += covered
    return Statistics(
        samples=len(rows),
        mixed=mixed,
        objects=sum(long_sides),
        categories=tuple(sorted(categories.items(), key=lambda entry: (-entry[1], entry[0]))),
        long_sides=tuple(long_sides),
        pixels=tuple(pixels),
        placement=placement / max(1, len(rows)),
    )


def frame_size(row: Row, aspect: float) -> tuple[float, float]:
    """(width, height) in pixels of a sample's picture: its own, or from its count of pixels and the set's aspect."""
    if (size := size_of(row)) is not None:
        return float(size[0]), float(size[1])
    height = sqrt(max(1, sum(row.get("pixels", {}).values())) / aspect)
    return aspect * height, height


def _cells(start: int, length: int, whole: float, cells: int) -> slice:
    """The places of a grid whose middle lies in start..start+length, one at least."""
    first = round(start * cells / whole)
    return slice(min(first, cells - 1), max(first + 1, round((start + length) * cells / whole)))
