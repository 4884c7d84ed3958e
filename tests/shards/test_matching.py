from __future__ import annotations

import cv2
import numpy as np

from shards.matching import reinhard


def lab(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.asarray(rgb, np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)


def test_statistics_become_those_of_the_frame() -> None:
    rng = np.random.default_rng(0)
    content = np.clip(rng.normal((150, 90, 60), 12, (40, 40, 3)), 0, 255).astype(np.float32)
    style = np.clip(rng.normal((90, 100, 95), 10, (80, 80, 3)), 0, 255).astype(np.uint8)
    mask = np.ones((40, 40), bool)
    mask[:5] = False
    moved = lab(reinhard(content, mask, style))[mask]
    donor = lab(style[::4, ::4]).reshape(-1, 3)
    np.testing.assert_allclose(moved.mean(axis=0), donor.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(moved.std(axis=0), donor.std(axis=0), rtol=0.1)


def test_an_object_of_one_colour_takes_the_mean_only() -> None:
    style = np.random.default_rng(1).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    flat = np.full((6, 6, 3), 128, np.float32)
    moved = reinhard(flat, np.ones((6, 6), bool), style)
    assert np.ptp(moved.reshape(-1, 3), axis=0).max() < 1
