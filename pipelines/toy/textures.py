"""Noise and surfaces: what makes a flat fill look like a material."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from jaxtyping import Float32

from shards.rng import generator

Real = int | float
"""A number. Spelled out because the test run checks annotations, and there 1 is no float."""

Colour = tuple[Real, Real, Real]
"""RGB in 0..255."""

_TILE = 256
_FINE = 1536


def patch(rng: np.random.Generator, height: int, width: int, cell: Real) -> Float32[np.ndarray, "h w"]:
    """Smooth noise around 0 with deviation of about 1; features are ``cell`` pixels wide."""
    if cell <= 1.5:  # a window of ready-made noise: drawing it anew would cost as much as all the rest
        dy, dx = (int(k) for k in rng.integers(0, _FINE, 2))
        if dy + height <= _FINE and dx + width <= _FINE:
            return _fine()[dy : dy + height, dx : dx + width].copy()
        wrapped = np.ix_((np.arange(height) + dy) % _FINE, (np.arange(width) + dx) % _FINE)
        return np.ascontiguousarray(_fine()[wrapped])
    rows, columns = int(height / cell) + 3, int(width / cell) + 3
    grid = rng.standard_normal((rows, columns), np.float32)
    # Cut a window of the enlarged grid, so that the edge cells are not stretched more than the others.
    big = cv2.resize(grid, (int(columns * cell) + 1, int(rows * cell) + 1), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(big[:height, :width], np.float32)


def fractal(rng: np.random.Generator, height: int, width: int, cell: Real) -> Float32[np.ndarray, "h w"]:
    """Four octaves of :func:`patch`, the coarsest ``cell`` pixels wide: clouds, foliage, dirt."""
    total = np.zeros((height, width), np.float32)
    for octave in range(4):
        size = cell / 2**octave
        if size < 1.0:
            break
        total += patch(rng, height, width, size) * np.float32(0.5**octave)
    return total


@cache
def _fine() -> Float32[np.ndarray, "1536 1536"]:
    noise: Float32[np.ndarray, "1536 1536"] = generator(0, "toy", "fine").standard_normal((_FINE, _FINE), np.float32)
    return noise


@cache
def tile(octave: int) -> Float32[np.ndarray, "256 256"]:
    """Noise that repeats without a seam, for surfaces that are looked up in world coordinates.

    Args:
        octave: features are ``2**octave`` texels wide.
    """
    cell = 2**octave
    count = _TILE // cell
    grid = generator(0, "toy", "tile", octave).standard_normal((count, count), np.float32)
    wrapped = np.pad(grid, 2, mode="wrap")
    size = (count + 4) * cell
    big = cv2.resize(wrapped, (size, size), interpolation=cv2.INTER_CUBIC if octave else cv2.INTER_NEAREST)
    return np.ascontiguousarray(big[2 * cell : 2 * cell + _TILE, 2 * cell : 2 * cell + _TILE], np.float32)


def lookup(
    octave: int, x: Float32[np.ndarray, "h w"], z: Float32[np.ndarray, "h 1"], texels: Real
) -> Float32[np.ndarray, "h w"]:
    """Noise at world positions (``x``, ``z`` of the row) in metres, at ``texels`` texels a metre."""
    columns = np.floor(x * np.float32(texels)).astype(np.int32) & (_TILE - 1)
    rows = np.floor(z * np.float32(texels)).astype(np.int32) & (_TILE - 1)
    found: Float32[np.ndarray, "h w"] = tile(octave)[rows, columns]
    return found


def jitter(rng: np.random.Generator, colour: Colour, amount: Real) -> Colour:
    """The colour, a little lighter or darker and a little off in hue."""
    gain = 1.0 + amount * float(rng.uniform(-1, 1))
    tint = rng.standard_normal(3).tolist()
    r, g, b = (min(255.0, max(0.0, c * gain + 20 * amount * t)) for c, t in zip(colour, tint, strict=True))
    return r, g, b


def darker(colour: Colour, factor: Real) -> Colour:
    """The colour times a factor (over 1: lighter)."""
    r, g, b = (min(255.0, c * factor) for c in colour)
    return r, g, b


def blend(one: Colour, other: Colour, share: Real) -> Colour:
    """``one`` with ``share`` of ``other`` mixed in."""
    r, g, b = (p * (1 - share) + q * share for p, q in zip(one, other, strict=True))
    return r, g, b
