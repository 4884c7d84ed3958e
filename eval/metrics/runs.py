"""The 8-connected components of a mask, found and compared by runs: stretches of a row without a gap.

A frame has a thousand times fewer runs than pixels, so that after one look at each pixel only runs are handled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Int64

from shards.compiled import compiled


@dataclass(frozen=True, slots=True)
class Components:
    """The components of a mask, numbered from 0 by their first pixel, row by row.

    Attributes:
        first: (H + 1,) number of the first run of each row, and how many runs there are.
        start: the column where each run starts.
        end: the column after its last.
        number: the component that it belongs to.
        areas: pixels of each component.
    """

    first: Int64[np.ndarray, " rows"]
    start: Int64[np.ndarray, " runs"]
    end: Int64[np.ndarray, " runs"]
    number: Int64[np.ndarray, " runs"]
    areas: Int64[np.ndarray, " components"]

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "h w"]) -> Components:
        """Find them."""
        first, start, end = find_runs(mask)
        number, areas = connect(first, start, end)
        return cls(first, start, end, number, areas)

    def __len__(self) -> int:
        return self.areas.size

    def erase(self, mask: Bool[np.ndarray, "h w"], chosen: Bool[np.ndarray, " components"]) -> None:
        """Clear the pixels of some components in a mask."""
        clear(mask, self.first, self.start, self.end, chosen[self.number])

    def shared(
        self, other: Components
    ) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
        """Where runs of both overlap: the component here, the component there, and how many pixels; pairs repeat."""
        mine, theirs, pixels = overlap(self.first, self.start, self.end, other.first, other.start, other.end)
        return self.number[mine], other.number[theirs], pixels


@compiled
@no_type_check
def find_runs(mask):
    """The runs of a (H, W) bool mask: first, start and end as in `Components`."""
    height, width = mask.shape
    first = np.empty(height + 1, np.int64)
    start, end = np.empty(height * ((width + 1) // 2), np.int64), np.empty(height * ((width + 1) // 2), np.int64)
    count = 0
    for y in range(height):
        first[y] = count
        inside = False
        for x in range(width):
            if mask[y, x] != inside:
                if inside:
                    end[count] = x
                    count += 1
                else:
                    start[count] = x
                inside = not inside
        if inside:
            end[count] = width
            count += 1
    first[height] = count
    return first, start[:count].copy(), end[:count].copy()


@compiled
@no_type_check
def connect(first, start, end):
    """Join runs of neighbouring rows that touch, be it at a corner: components of runs, and pixels of components.

    A union-find whose roots are the earliest runs, so that numbers follow in the order of rows.
    """
    parent = np.arange(start.size)
    for y in range(1, first.size - 1):
        above, here = first[y - 1], first[y]
        while above < first[y] and here < first[y + 1]:
            if start[above] <= end[here] and start[here] <= end[above]:
                one, other = above, here
                while parent[one] != one:
                    parent[one] = parent[parent[one]]
                    one = parent[one]
                while parent[other] != other:
                    parent[other] = parent[parent[other]]
                    other = parent[other]
                parent[max(one, other)] = min(one, other)
            if end[above] < end[here]:
                above += 1
            else:
                here += 1
    number, areas = np.empty(start.size, np.int64), np.zeros(start.size, np.int64)
    count = 0
    for run in range(start.size):
        if parent[run] == run:
            number[run] = count
            count += 1
        else:
            number[run] = number[parent[run]]
        areas[number[run]] += end[run] - start[run]
    return number, areas[:count].copy()


@compiled
@no_type_check
def clear(mask, first, start, end, chosen):
    """Clear the pixels of chosen runs in a (H, W) bool mask."""
    for y in range(first.size - 1):
        for run in range(first[y], first[y + 1]):
            if chosen[run]:
                mask[y, start[run] : end[run]] = False


@compiled
@no_type_check
def overlap(first, start, end, other_first, other_start, other_end):
    """Pairs of runs that share pixels: the run of one mask, the run of the other, and how many pixels."""
    most = start.size + other_start.size
    mine, theirs, pixels = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    for y in range(first.size - 1):
        one, other = first[y], other_first[y]
        while one < first[y + 1] and other < other_first[y + 1]:
            length = min(end[one], other_end[other]) - max(start[one], other_start[other])
            if length > 0:
                mine[count], theirs[count], pixels[count] = one, other, length
                count += 1
            if end[one] < other_end[other]:
                one += 1
            else:
                other += 1
    return mine[:count], theirs[:count], pixels[:count]
