from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from shards.camera import MAX_NOISE, as_noisy, as_sharp, noise_level, sharpness


def texture(side: int = 128, grain: float = 1.5, seed: int = 0) -> np.ndarray:
    """Soft blots of grey, (side, side, 3) uint8, without noise."""
    noise = np.random.default_rng(seed).normal(0, 1, (side, side)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), grain)
    grey = np.clip(128 + 40 * soft / soft.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def laplacian_variance(picture: np.ndarray, mask: np.ndarray) -> float:
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    return float(cv2.Laplacian(picture[..., 0].astype(np.float32), cv2.CV_32F)[inner].var())


def disc(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return y**2 + x**2 < (side / 2 - 2) ** 2


def inner(shape: tuple[int, ...]) -> np.ndarray:
    return np.pad(np.ones((shape[0] - 2, shape[1] - 2), bool), 1)


def naive_sharpness(luma: np.ndarray, mask: np.ndarray, sigma: float) -> float:
    """Pixel by pixel: a Gaussian mean of what is known, then slopes and bends where all neighbours are known."""
    height, width = luma.shape
    known = [(y, x) for y, x in np.ndindex(height, width) if mask[y, x]]
    soft = np.zeros(luma.shape)
    for y, x in np.ndindex(height, width):
        weights = [math.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * sigma**2)) for v, u in known]
        soft[y, x] = sum(w * float(luma[at]) for w, at in zip(weights, known, strict=True)) / sum(weights)
    slope, bend = [], []
    for y, x in known:
        if 0 < y < height - 1 and 0 < x < width - 1 and mask[y - 1 : y + 2, x - 1 : x + 2].all():
            near = [soft[y + dy, x + dx] for dy, dx in ((1, 0), (0, 1), (-1, 0), (0, -1))]
            slope.append((near[0] - soft[y, x]) ** 2 + (near[1] - soft[y, x]) ** 2)
            bend.append((sum(near) - 4 * soft[y, x]) ** 2)
    return math.sqrt(np.mean(bend) / np.mean(slope))


@pytest.mark.parametrize("blur", [0.0, 2.0])
def test_sharpness_against_a_naive_loop(blur: float) -> None:
    luma = np.random.default_rng(1).uniform(0, 255, (14, 17)).astype(np.float32)
    mask = np.ones(luma.shape, bool)
    mask[0, :9] = mask[3:6, 10] = mask[12:, 3:] = False
    expected = naive_sharpness(luma, mask, math.hypot(1.5, blur))
    assert sharpness(luma, mask, blur) == pytest.approx(expected, rel=1e-3)  # the kernel ends at 4 sigma
    assert sharpness(luma, np.zeros_like(mask)) is None
    assert sharpness(np.full((9, 11), 50, np.float32), np.ones((9, 11), bool)) is None


def test_sharpness_knows_how_soft_edges_are_and_nothing_else() -> None:
    everywhere = np.ones((96, 256), bool)
    for edges in (1, 5):
        for contrast in (20, 100):
            luma = np.zeros((96, 256), np.float32)
            for number in range(edges):
                luma[:, 256 * (number + 1) // (edges + 1) :] += contrast * (-1) ** number
            for sigma in (1.0, 2.0, 4.0):
                soft = np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma), np.float32)
                expected = 1 / (math.sqrt(2) * math.hypot(sigma, 1.5))
                assert sharpness(soft, everywhere) == pytest.approx(expected, rel=0.05)
                assert sharpness(luma, everywhere, sigma) == pytest.approx(expected, rel=0.05)
                noisy = soft + np.random.default_rng(2).normal(0, 5, soft.shape).astype(np.float32)
                if contrast == 100:
                    assert sharpness(noisy, everywhere, noise=5.0) == pytest.approx(expected, rel=0.15)


def test_noise_alone_is_no_structure() -> None:
    noise = np.random.default_rng(3).normal(100, 6, (200, 200)).astype(np.float32)
    assert sharpness(noise, np.ones((200, 200), bool), noise=6.0) is None
    assert sharpness(noise, np.ones((200, 200), bool)) is not None


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0, 12.0])
def test_noise_is_measured_within_bounds(sigma: float) -> None:
    rng = np.random.default_rng(3)
    plane = np.tile(np.linspace(60, 180, 160, dtype=np.float32), (120, 1))
    noisy = np.rint(plane + rng.normal(0, sigma, plane.shape)).astype(np.float32)
    assert noise_level(noisy, inner(noisy.shape)) == pytest.approx(sigma, rel=0.12)
    # Texture on six tenths of the picture does not hide it.
    noisy[:, :96] += rng.uniform(0, 100, (120, 96)).astype(np.float32)
    level = noise_level(noisy, inner(noisy.shape))
    assert level is not None
    assert sigma * 0.85 < level < sigma * 1.3
    assert noise_level(plane, inner(plane.shape)) == pytest.approx(0, abs=0.01)
    assert noise_level(plane[:6, :6], inner((6, 6))) is None


@pytest.mark.parametrize("sigma", [1.5, 3.0])
def test_a_sharp_object_becomes_as_soft_as_its_place(sigma: float) -> None:
    thing, place, mask = texture(96, seed=4), blurred(texture(160, seed=5), sigma), disc(96)
    soft = as_sharp(thing, mask, place)
    everywhere = np.ones(place.shape[:2], bool)
    before, after = laplacian_variance(thing, mask), laplacian_variance(soft, mask)
    wanted = laplacian_variance(place, everywhere)
    assert before > 4 * wanted
    assert abs(math.log(after / wanted)) < 0.35 * abs(math.log(before / wanted))
    assert not soft[~mask].any()
    # As if it had been blurred like its place, but for the edge, where only its own colours count.
    core = disc(96) & np.pad(np.ones((64, 64), bool), 16)
    error = np.abs(soft[core].astype(float) - blurred(thing, sigma)[core])
    assert error.mean() < 0.15 * np.abs(thing[core].astype(float) - blurred(thing, sigma)[core]).mean()


def test_nothing_is_sharpened_and_an_empty_road_says_nothing() -> None:
    mask = disc(96)
    sharp, soft = texture(96, seed=6), blurred(texture(96, seed=6), 3)
    assert as_sharp(soft, mask, texture(160, seed=7)) is soft
    road = np.random.default_rng(8).normal(100, 3, (160, 160, 1))
    for place in (np.full((160, 160, 3), 90, np.uint8), np.rint(road + np.zeros(3)).astype(np.uint8)):
        assert as_sharp(sharp, mask, place) is sharp
    assert as_sharp(np.full((96, 96, 3), 60, np.uint8), mask, blurred(texture(seed=9), 3)).max() == 60


def test_blurred_colours_come_from_the_object_alone() -> None:
    mask = disc(64)
    thing = np.where(mask[..., None], np.clip(texture(64, seed=10).astype(int), 100, 200), 0).astype(np.uint8)
    soft = as_sharp(thing, mask, blurred(texture(160, seed=11), 3))
    assert (soft != thing).any()
    assert soft[mask].min() >= 100


@pytest.mark.parametrize("sigma", [2.0, 6.0, 40.0])
def test_an_object_gets_the_noise_of_its_place(sigma: float) -> None:
    rng = np.random.default_rng(12)
    place = np.clip(np.rint(120 + rng.normal(0, sigma, (160, 160, 1)) + np.zeros(3)), 0, 255).astype(np.uint8)
    mask = disc(96)
    thing = np.where(mask[..., None], np.full((96, 96, 3), (60, 120, 180)), 0).astype(np.uint8)
    noisy = as_noisy(thing, mask, place, 7)
    added = noisy[mask].astype(float) - thing[mask]
    assert added.std() == pytest.approx(min(sigma, MAX_NOISE), rel=0.1)
    assert abs(added.mean()) < 0.05 * sigma + 0.1
    np.testing.assert_array_equal(added[:, 0], added[:, 1])  # brightness, no specks of colour
    assert not noisy[~mask].any()
    np.testing.assert_array_equal(noisy, as_noisy(thing, mask, place, 7))
    assert (noisy != as_noisy(thing, mask, place, 8)).any()


def test_noise_that_is_there_counts() -> None:
    rng = np.random.default_rng(13)

    def field(sigma: float, side: int) -> np.ndarray:
        return np.rint(120 + rng.normal(0, sigma, (side, side, 1)) + np.zeros(3)).astype(np.uint8)

    mask = np.ones((96, 96), bool)
    half = field(3, 96)
    whole = as_noisy(half, mask, field(5, 160), 1)
    assert whole[..., 0].std() == pytest.approx(5, rel=0.1)
    assert as_noisy(field(6, 96), mask, field(5, 160), 1)[..., 0].std() == pytest.approx(6, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (9, 9)])
def test_tiny_objects_and_places(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(14)
    thing, mask = rng.integers(0, 256, (*shape, 3)).astype(np.uint8), np.ones(shape, bool)
    for place in (texture(64), texture(64)[:1], texture(64)[:2, :3]):
        assert as_noisy(as_sharp(thing, mask, place), mask, place, 0).shape == thing.shape
