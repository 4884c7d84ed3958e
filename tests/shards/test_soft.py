"""Blurs against naive loops, and their bits on another processor."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shards.soft import averaged, blurred

REPOSITORY = Path(__file__).parents[2]


def naive(array: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """Pixel by pixel, of an endless plane that is zero outside."""
    height, width = array.shape
    total = sum(math.exp(-(n**2) / (2 * sigma**2)) for n in range(-200, 201)) ** 2
    out = np.zeros(array.shape)
    for y, x in np.ndindex(height, width):
        for v, u in np.ndindex(height, width):
            near = math.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * sigma**2)) / total
            out[y, x] += near * float(array[v, u]) * float(weight[v, u])
    return out


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.0])
def test_against_a_naive_loop(sigma: float) -> None:
    rng = np.random.default_rng(0)
    array, mask = rng.integers(0, 256, (9, 13)).astype(np.uint8), rng.random((9, 13)) < 0.6
    np.testing.assert_allclose(blurred(array, sigma), naive(array, np.ones_like(mask), sigma), atol=0.05)
    colors = np.repeat(array[..., None], 3, axis=2)
    colors[..., 1] //= 2
    wanted = naive(array, mask, sigma) / naive(mask, mask, sigma)
    found = averaged(colors, mask, sigma)
    solid = naive(mask, mask, sigma) > 0.05
    np.testing.assert_allclose(found[..., 0][solid], wanted[solid], atol=0.3)
    assert (found[..., 1] <= found[..., 0]).all()
    np.testing.assert_array_equal(averaged(colors[..., 1], mask, sigma), found[..., 1])


def test_nothing_uncovered_is_mixed_in() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:, :10] = True
    found = averaged(np.where(mask, 100, 7), mask, 1.5)
    np.testing.assert_array_equal(found[:, :12], 100)
    assert found[:, -1].max() == 0


CODE = """
import hashlib
import cv2
import numpy as np
from shards.patches import Blend, Patch, fitted
rng = np.random.default_rng(0)
y, x = np.mgrid[:61, :70]
mask = (y - 30) ** 2 + (x - 33) ** 2 < 29 ** 2
rgb = cv2.GaussianBlur(rng.integers(0, 256, (61, 70, 3), dtype=np.uint8), (5, 5), 0)
rgb[~mask] = 0
digest = hashlib.sha256()
for number in range(24):
    frame = cv2.GaussianBlur(rng.integers(0, 256, (150, 160, 3), dtype=np.uint8), (11, 11), 0)
    noisy = np.clip(frame + rng.normal(0, 3, (150, 160, 1)), 0, 255).astype(np.uint8)
    for blend in (Blend(sharpness="frame"), Blend("feather", 1.7, noise="frame", sharpness="frame")):
        layer = fitted(Patch(rgb, mask, 40, 40, blend), noisy)
        digest.update(layer.rgb.tobytes() + layer.mask.tobytes())
        digest.update(b"" if layer.alpha is None else layer.alpha.tobytes())
print(digest.hexdigest())
"""


def test_the_same_bytes_with_other_instructions() -> None:
    found = set()
    for left_out in ("", "AVX512-SKX,AVX2,FMA3,FP16,AVX,SSE4.2,SSE4.1,SSSE3"):
        done = subprocess.run(
            [sys.executable, "-c", CODE],
            cwd=REPOSITORY,
            env={**os.environ, "OPENCV_CPU_DISABLE": left_out},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout.strip())
    assert len(found) == 1
    assert len(found.pop()) == len(hashlib.sha256().hexdigest())
