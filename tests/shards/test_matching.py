from __future__ import annotations

import cv2
import numpy as np

from shards.matching import histogram, reinhard


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


def naive_histogram(content: np.ndarray, mask: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Sort both; walk from the median outwards in steps of at most two."""
    out = content.copy()
    for channel in range(3):
        own = np.sort(content[..., channel][mask].astype(int))
        other = np.sort(style[::4, ::4, channel].ravel().astype(int))

        def table(value: int, own: np.ndarray = own, other: np.ndarray = other) -> int:
            rank = (own < value).sum() + (own == value).sum() / 2
            share = rank / len(own)
            return next((v for v in range(256) if (other <= v).sum() >= share * len(other) - 1e-9), 256)

        full = [table(value) for value in range(256)]
        median = next(value for value in range(256) if 2 * (own <= value).sum() >= len(own))
        limited = list(full)
        for value in range(median + 1, 256):
            limited[value] = limited[value - 1] + min(2, full[value] - full[value - 1])
        for value in range(median - 1, -1, -1):
            limited[value] = limited[value + 1] - min(2, full[value + 1] - full[value])
        for y, x in np.ndindex(mask.shape):
            out[y, x, channel] = min(max(limited[content[y, x, channel]], 0), 255)
    return out


def test_histograms_against_a_naive_loop() -> None:
    rng = np.random.default_rng(2)
    for low, high in ((0, 256), (90, 130), (128, 129)):
        content = rng.integers(low, high, (17, 13, 3)).astype(np.uint8)
        style = np.clip(rng.normal((60, 120, 190), (10, 30, 50), (48, 44, 3)), 0, 255).astype(np.uint8)
        mask = rng.random((17, 13)) < 0.6
        np.testing.assert_array_equal(histogram(content, mask, style), naive_histogram(content, mask, style))


def test_histograms_become_those_of_the_frame() -> None:
    rng = np.random.default_rng(3)
    content = np.clip(rng.normal(150, 40, (60, 60, 3)), 0, 255).astype(np.uint8)
    style = np.clip(rng.gamma(4, (8, 12, 16), (200, 200, 3)), 0, 255).astype(np.uint8)
    moved = histogram(content, np.ones((60, 60), bool), style)
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        for channel in range(3):
            wanted = np.quantile(style[::4, ::4, channel], share)
            assert abs(np.quantile(moved[..., channel], share) - wanted) <= 3
    # An object of few colours is not filled with the grain of a whole picture.
    flat = np.clip(rng.normal(100, 1, (60, 60, 3)), 0, 255).astype(np.uint8)
    assert (histogram(flat, np.ones((60, 60), bool), style).std(axis=(0, 1)) < 2.2 * flat.std(axis=(0, 1))).all()
