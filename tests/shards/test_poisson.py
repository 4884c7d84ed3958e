from __future__ import annotations

import cv2
import numpy as np
import pytest

from shards.poisson import cloned


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame with a slope of brightness, an object with texture, and its mask."""
    rng = np.random.default_rng(seed)
    frame = np.clip(rng.normal(120, 3, (60, 90, 3)) + np.linspace(-50, 50, 90)[:, None], 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(rng.normal(0, 1, (24, 30, 3)).astype(np.float32), (0, 0), 2)
    rgb = np.clip(60 + 100 * soft, 0, 255).astype(np.uint8)
    y, x = np.mgrid[:24, :30]
    mask = ((y - 11.5) / 12) ** 2 + ((x - 14.5) / 15) ** 2 < 1
    return frame, np.where(mask[..., None], rgb, 0).astype(np.uint8), mask


def naive(source: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """div grad u = div v in a box with the target on its edge, by relaxation."""

    def slopes(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        across, down = np.zeros_like(picture), np.zeros_like(picture)
        across[:, :-1], down[:-1] = picture[:, 1:] - picture[:, :-1], picture[1:] - picture[:-1]
        return across, down

    across, down = (
        np.where(mask[..., None], own, other) for own, other in zip(slopes(source), slopes(target), strict=True)
    )
    bend = across[1:-1, 1:-1] - across[1:-1, :-2] + down[1:-1, 1:-1] - down[:-2, 1:-1]
    u = target.copy()
    for _ in range(4000):
        near = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
        u[1:-1, 1:-1] = (near - bend) / 4
    return np.clip(u, 0, 255)


def test_against_a_naive_solver() -> None:
    """An object of one colour: however its colour is continued, its gradient is none."""
    frame, _, mask = scene()
    mask[:2], mask[-2:] = False, False
    rgb = np.where(mask[..., None], np.array((200, 40, 90)), 0).astype(np.uint8)
    found = cloned(rgb, mask, 20, 15, frame)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = 15 + rows[0] - 3, 15 + rows[-1] + 4, 20 + columns[0] - 3, 20 + columns[-1] + 4
    place = np.zeros(frame.shape[:2], bool)
    place[15:39, 20:50] = mask
    expected = naive(
        np.zeros((bottom - top, right - left, 3)),
        frame[top:bottom, left:right].astype(float),
        place[top:bottom, left:right],
    )
    whole = np.zeros(frame.shape)
    whole[top:bottom, left:right] = expected
    error = np.abs(found[mask] - whole[15:39, 20:50][mask])
    assert error.max() < 1.5  # OpenCV cuts decimals off
    # Nothing of its colour is left; a paste would be off by dozens of grey levels.
    assert np.abs(found[mask].astype(float) - (200, 40, 90)).mean() > 40


def test_gradients_are_the_objects_and_the_light_is_the_frames() -> None:
    frame, rgb, mask = scene()
    found = cloned(rgb, mask, 20, 15, frame).astype(float)
    inner = mask[:, 1:] & mask[:, :-1]
    own, new = (np.diff(picture.astype(float), axis=1)[inner] for picture in (rgb, found))
    assert np.corrcoef(own.ravel(), new.ravel())[0, 1] > 0.95
    under = frame[15:39, 20:50][mask].astype(float)
    assert abs(found[mask].mean() - under.mean()) < 0.3 * abs(rgb[mask].mean() - under.mean())
    assert not found[~mask].any()


def test_arguments_are_left_alone_and_calls_are_equal() -> None:
    frame, rgb, mask = scene()
    before = frame.copy(), rgb.copy(), mask.copy()
    threads = cv2.getNumThreads()
    results = []
    try:
        for number in (1, 2, 4):
            cv2.setNumThreads(number)
            results += [cloned(rgb, mask, 70, -9, frame) for _ in range(2)]
    finally:
        cv2.setNumThreads(threads)
    assert all((result == results[0]).all() for result in results)
    for old, new in zip(before, (frame, rgb, mask), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("left", "top"), [(-10, 20), (75, 20), (30, -12), (30, 50), (-5, -5), (500, 500)])
def test_over_the_edge_of_the_frame(left: int, top: int) -> None:
    """What lies in the frame is as it would be in a frame that goes on beyond its edge."""
    frame, rgb, mask = scene()
    beyond = cv2.copyMakeBorder(frame, 40, 40, 40, 40, cv2.BORDER_REPLICATE)
    expected = cloned(rgb, mask, left + 40, top + 40, beyond) if max(left, top) < 100 else None
    found = cloned(rgb, mask, left, top, frame)
    assert found.shape == rgb.shape
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (2, 3)])
def test_tiny_objects(shape: tuple[int, int]) -> None:
    frame, *_ = scene()
    found = cloned(np.full((*shape, 3), 250, np.uint8), np.ones(shape, bool), 30, 20, frame)
    under = frame[20 : 20 + shape[0], 30 : 30 + shape[1]].astype(int)
    assert np.abs(found - under).max() < 40
