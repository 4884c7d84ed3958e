from __future__ import annotations

import numpy as np
import pytest

from shards.patches import Blend, Layer, Patch, feathered, fitted, lay, rows_touched, window


def square(side: int = 9) -> Layer:
    return Layer(np.full((side, side, 3), 200, np.uint8), None, np.ones((side, side), bool), 3, 3)


def test_feather_keeps_the_mask_and_softens_the_edge() -> None:
    soft = feathered(square(), 1.0)
    assert (soft.left, soft.top, soft.mask.shape, soft.mask.sum()) == (0, 0, (15, 15), 81)
    image, anomaly, semantic = (
        np.zeros((15, 15, 3), np.uint8),
        np.zeros((15, 15), np.uint8),
        np.zeros((15, 15), np.uint8),
    )
    lay(soft, image, anomaly, semantic)
    profile = image[7, :, 0].astype(int)
    assert profile[7] == 200
    assert (np.diff(profile[:8]) >= 0).all()
    # Half is seen between the last pixel outside and the first one inside.
    assert profile[2] < 100 < profile[3]
    assert (anomaly[3:12, 3:12] == 1).all()
    assert anomaly.sum() == 81
    assert (semantic == 255).sum() == 81
    hard = square()
    assert feathered(hard, 0.0) is hard


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
