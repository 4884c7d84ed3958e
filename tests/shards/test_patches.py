from __future__ import annotations

from dataclasses import replace
from math import exp

import cv2
import numpy as np
import pytest

from shards.patches import Blend, Layer, Patch, coverage, fitted, lay, rows_touched, surroundings, window


def soft(mask: np.ndarray, sigma: float, hidden: np.ndarray | None = None) -> Patch:
    """A grey object with a soft edge, its box wide enough for it; nothing of `hidden` lies outside of the mask's."""
    grey = np.where(mask[..., None], np.uint8(200), np.uint8(0)) * np.ones(3, np.uint8)
    patch = Patch.roomy(grey, mask, 0, 0, Blend("feather", sigma))
    return patch if hidden is None else replace(patch, hidden=np.pad(hidden, -patch.left))


def test_feather_softens_the_edge_around_the_old_one() -> None:
    patch = replace(soft(np.ones((9, 9), bool), 1.0), left=0, top=0)
    layer = fitted(patch, np.zeros((15, 15, 3), np.uint8))
    image, anomaly, semantic = (
        np.zeros((15, 15, 3), np.uint8),
        np.zeros((15, 15), np.uint8),
        np.zeros((15, 15), np.uint8),
    )
    lay(layer, image, anomaly, semantic)
    profile = image[7, :, 0].astype(int)
    assert profile[7] == 200
    assert (np.diff(profile[:8]) >= 0).all()
    # Half is seen between the last pixel outside and the first one inside; of the corners, less.
    assert profile[2] < 100 < profile[3]
    wanted = np.zeros((15, 15), np.uint8)
    wanted[3:12, 3:12] = 1
    wanted[np.ix_((3, 11), (3, 11))] = 0
    np.testing.assert_array_equal(anomaly, wanted)
    np.testing.assert_array_equal(semantic, wanted * 255)
    assert coverage(replace(patch, blend=Blend("feather", 0.0)))[0] is None


def shapes() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    cross = np.zeros((15, 21), bool)
    cross[7], cross[:, 9:11] = True, True
    return [np.ones((12, 1), bool), np.ones((2, 20), bool), np.ones((1, 1), bool), cross, rng.random((14, 17)) < 0.5]


@pytest.mark.parametrize("shape", range(5))
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0, 6.0])
@pytest.mark.parametrize("behind", [False, True])
def test_labelled_is_what_is_at_least_half_seen(shape: int, sigma: float, behind: bool) -> None:
    """Against a loop over pixels, for thin things and soft edges above all."""
    mask = shapes()[shape]
    hidden = np.zeros_like(mask)
    hidden[:, : (mask.shape[1] + 1) // 2] = behind
    patch = soft(mask, sigma, hidden if behind else None)
    layer = fitted(patch, np.zeros((8, 8, 3), np.uint8))
    assert layer.alpha is not None
    total = sum(exp(-(n**2) / (2 * sigma**2)) for n in range(-60, 61)) ** 2
    for y, x in np.ndindex(layer.mask.shape):
        seen = sum(exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * sigma**2)) / total for v, u in np.argwhere(patch.mask))
        if behind and patch.hidden is not None and patch.hidden[y, x]:
            seen = 0.0
        assert abs(float(layer.alpha[y, x]) - seen) < 3e-3
        if abs(seen - 0.5) > 3e-3:
            assert layer.mask[y, x] == (seen >= 0.5)
    np.testing.assert_array_equal(layer.mask, layer.alpha >= 0.5)


@pytest.mark.parametrize("hard", [True, False])
def test_lay_against_a_naive_loop(hard: bool) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    mask = rng.random((5, 7)) < 0.6
    alpha = mask.astype(np.float32) if hard else rng.uniform(0, 1, (5, 7)).astype(np.float32)
    for left, top in [(2, 1), (-3, -2), (8, 6), (-20, 0), (0, 30)]:
        image = rng.integers(0, 256, (9, 11, 3)).astype(np.uint8)
        anomaly, semantic = (rng.integers(0, 2, (9, 11)).astype(np.uint8) * 255 for _ in range(2))
        wanted, wanted_anomaly, wanted_semantic = image.copy(), anomaly.copy(), semantic.copy()
        for y in range(5):
            for x in range(7):
                if not (0 <= top + y < 9 and 0 <= left + x < 11):
                    continue
                place = (top + y, left + x)
                a = float(alpha[y, x])
                for c in range(3):
                    wanted[(*place, c)] = round(float(rgb[y, x, c]) * a + float(wanted[(*place, c)]) * (1 - a))
                if mask[y, x]:
                    wanted_anomaly[place], wanted_semantic[place] = 1, 255
        layer = Layer(rgb, None if hard else alpha, mask, left, top)
        # In one piece, or the lower rows on their own: the same.
        lower = [array[4:].copy() for array in (image, anomaly, semantic)]
        lay(layer, image, anomaly, semantic)
        lay(layer, *lower, 4)
        for found, expected, part in zip(
            (image, anomaly, semantic), (wanted, wanted_anomaly, wanted_semantic), lower, strict=True
        ):
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(part, expected[4:])


def test_window_outside_is_empty() -> None:
    for left, top in [(-4, 0), (10, 0), (0, -3), (0, 8)]:
        inside, part = window((3, 4), left, top, 10, 8)
        assert np.zeros((8, 10))[inside].size == 0
        assert np.zeros((3, 4))[part].shape == np.zeros((8, 10))[inside].shape


def test_rows_touched() -> None:
    def layer(top: int, rows: int) -> Layer:
        return Layer(np.zeros((rows, 1, 3), np.uint8), None, np.ones((rows, 1), bool), 0, top)

    assert rows_touched([], 100, 32) == []
    assert rows_touched([layer(33, 5)], 100, 32) == [(32, 64)]
    assert rows_touched([layer(60, 5), layer(0, 1)], 100, 32) == [(0, 96)]
    assert rows_touched([layer(-5, 6), layer(97, 50)], 100, 32) == [(0, 32), (96, 100)]
    assert rows_touched([layer(-5, 5), layer(100, 5)], 100, 32) == []


def test_colours_are_matched_to_the_whole_frame() -> None:
    rng = np.random.default_rng(1)
    frame = rng.integers(100, 110, (32, 32, 3)).astype(np.uint8)
    patch = Patch(
        rng.integers(0, 60, (8, 8, 3)).astype(np.uint8), np.ones((8, 8), bool), 2, 2, Blend(match="reinhard")
    )
    layer = fitted(patch, frame)
    assert abs(float(layer.rgb.mean()) - float(frame.mean())) < 3
    assert layer.alpha is None
    np.testing.assert_array_equal(layer.rgb, np.rint(layer.rgb))


BLENDS = [
    Blend(),
    Blend("feather", 2.0),
    Blend("poisson"),
    Blend(match="reinhard"),
    Blend(match="histogram"),
    Blend(sharpness="frame"),
    Blend(noise="frame", seed=3),
    Blend("feather", 1.0, "histogram", "frame", "frame", 3),
    Blend("poisson", 0.0, "reinhard", "frame", "frame", 3),
]


def soft_scene() -> tuple[np.ndarray, Patch]:
    """A blurred, noisy frame, and an object of two smooth halves with a sharp edge, without a blend."""
    rng = np.random.default_rng(5)
    soft = cv2.GaussianBlur(rng.normal(0, 1, (160, 200, 3)).astype(np.float32), (0, 0), 4)
    frame = np.clip(100 + 60 * soft / soft.std() + rng.normal(0, 2, (160, 200, 1)), 0, 255).astype(np.uint8)
    y, x = np.mgrid[:40, :40] - 19.5
    mask = y**2 + x**2 < 18**2
    colors = np.where(x[..., None] < 0, (200, 60, 30), (40, 90, 170)) + y[..., None]
    rgb = np.where(mask[..., None], colors, 0).astype(np.uint8)
    return frame, Patch(rgb, mask, 90, 60)


@pytest.mark.parametrize("blend", BLENDS, ids=str)
def test_what_blending_changes_and_what_not(blend: Blend) -> None:
    frame, patch = soft_scene()
    results = []
    for how in (Blend(), blend):
        image, labels, semantic = frame.copy(), np.zeros((160, 200), np.uint8), np.full((160, 200), 7, np.uint8)
        lay(fitted(replace(patch, blend=how), frame), image, labels, semantic)
        results.append((image, labels, semantic))
    (hard, *hard_maps), (image, *maps) = results
    for wanted, found in zip(hard_maps, maps, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert (blend == Blend()) == (image == hard).all()
    if blend.edge != "feather":
        np.testing.assert_array_equal(image[maps[0] == 0], frame[maps[0] == 0])
    again = fitted(replace(patch, blend=blend), frame.copy())
    np.testing.assert_array_equal(again.rgb, fitted(replace(patch, blend=blend), frame).rgb)


@pytest.mark.parametrize("blend", BLENDS, ids=str)
def test_what_of_the_frame_is_read(blend: Blend) -> None:
    frame, patch = soft_scene()
    patch = replace(patch, blend=blend)
    rows, columns = surroundings(patch, 200, 160)
    assert (rows, columns) == (slice(44, 116), slice(74, 146))  # half of the disc's 36 on each side
    near = np.zeros((160, 200), bool)
    near[rows, columns] = True
    other = 255 - frame[::-1, ::-1] // 2
    far_changed = np.where(near[..., None], frame, other)
    same_far = (fitted(patch, far_changed).rgb == fitted(patch, frame).rgb).all()
    same_all = (fitted(patch, other).rgb == fitted(patch, frame).rgb).all()
    assert same_all == (blend.reads == "nothing")
    assert same_far == (blend.reads != "frame")


@pytest.mark.parametrize("blend", BLENDS, ids=str)
@pytest.mark.parametrize("place", [(-30, 60), (185, -15), (1000, 0), (0, -1000)])
def test_partly_or_wholly_outside(blend: Blend, place: tuple[int, int]) -> None:
    frame, patch = soft_scene()
    patch = replace(patch, left=place[0], top=place[1], blend=blend)
    image, labels, semantic = frame.copy(), np.zeros((160, 200), np.uint8), np.zeros((160, 200), np.uint8)
    lay(fitted(patch, frame), image, labels, semantic)
    assert labels.any() == (abs(max(place, key=abs)) < 1000)
    assert (image == frame).all() != labels.any()


def test_a_blend_in_the_provenance() -> None:
    assert Blend().as_json() == {"edge": "hard"}
    assert Blend("feather", 1.5).as_json() == {"edge": "feather", "sigma": 1.5}
    full = Blend("poisson", 0.0, "histogram", "frame", "frame", 9)
    assert Blend(**full.as_json()) == full
