from __future__ import annotations

import numpy as np
import pytest

from pipelines.cutout import Cutout, Layer, cut, eroded, feathered, paste, scaled, window
from shards.errors import BadInput


def ring() -> Cutout:
    """A red square in a blue picture: blue must never be seen again."""
    image = np.zeros((12, 12, 3), np.uint8)
    image[...] = (0, 0, 255)
    image[3:9, 2:10] = (250, 10, 0)
    mask = np.zeros((12, 12), bool)
    mask[3:9, 2:10] = True
    mask[3, 2] = False  # one corner is missing, and blue
    image[3, 2] = (0, 0, 255)
    return cut(image, mask)


def test_cut_takes_the_tight_box() -> None:
    cutout = ring()
    assert cutout.mask.shape == (6, 8)
    assert not cutout.mask[0, 0]
    with pytest.raises(BadInput) as caught:
        cut(np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3), bool))
    assert caught.value.reason == "empty-mask"


def test_native_scale_changes_nothing() -> None:
    cutout = ring()
    layer = scaled(cutout, 8, 6, flip=False)
    np.testing.assert_array_equal(layer.label, cutout.mask)
    np.testing.assert_array_equal(layer.rgb[layer.label], cutout.rgb[cutout.mask])
    mirrored = scaled(cutout, 8, 6, flip=True)
    np.testing.assert_array_equal(mirrored.label, cutout.mask[:, ::-1])


def test_halving_averages_with_the_mask_as_weight() -> None:
    layer = scaled(ring(), 4, 3, flip=False)
    # The upper left pixel was covered by three of four: it belongs to the object, and has no blue in it.
    assert layer.label.all()
    np.testing.assert_allclose(layer.rgb, np.broadcast_to((250, 10, 0), (3, 4, 3)), atol=1e-2)


@pytest.mark.parametrize(("width", "height"), [(3, 2), (5, 4), (8, 6), (13, 11), (24, 18)])
def test_no_background_leaks_at_any_scale(width: int, height: int) -> None:
    image = np.full((height + 20, width + 20, 3), (250, 10, 0), np.uint8)
    for sigma in (0.0, 1.0, 2.5):
        layer = feathered(scaled(ring(), width, height, flip=False), sigma)
        paste(image, layer, 10 - layer.margin, 10 - layer.margin)
    assert image[..., 2].max() <= 1


def test_feather_keeps_the_label_and_softens_the_edge() -> None:
    hard = Layer(np.full((9, 9, 3), 200, np.float32), np.ones((9, 9), np.float32), np.ones((9, 9), bool))
    soft = feathered(hard, 1.0)
    assert soft.margin == 3
    assert soft.label.shape == (15, 15)
    assert soft.label.sum() == 81
    image = np.zeros((15, 15, 3), np.uint8)
    paste(image, soft, 0, 0)
    profile = image[7, :, 0].astype(int)
    assert profile[7] == 200
    assert (np.diff(profile[:8]) >= 0).all()
    # Half is seen between the last pixel outside and the first one inside.
    assert profile[2] < 100 < profile[3]
    assert feathered(hard, 0.0) is hard


def test_paste_against_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    layer = Layer(
        rng.uniform(0, 255, (5, 7, 3)).astype(np.float32),
        rng.uniform(0, 1, (5, 7)).astype(np.float32),
        np.ones((5, 7), bool),
    )
    for left, top in [(2, 1), (-3, -2), (8, 6), (-20, 0), (0, 30)]:
        image = rng.integers(0, 256, (9, 11, 3)).astype(np.uint8)
        expected = image.copy()
        for y in range(5):
            for x in range(7):
                if 0 <= top + y < 9 and 0 <= left + x < 11:
                    for c in range(3):
                        a = float(layer.alpha[y, x])
                        mixed = float(layer.rgb[y, x, c]) * a + float(expected[top + y, left + x, c]) * (1 - a)
                        expected[top + y, left + x, c] = round(mixed)
        paste(image, layer, left, top)
        np.testing.assert_array_equal(image, expected)


def test_window_outside_is_empty() -> None:
    layer = Layer(np.zeros((3, 4, 3), np.float32), np.zeros((3, 4), np.float32), np.zeros((3, 4), bool))
    for left, top in [(-4, 0), (10, 0), (0, -3), (0, 8)]:
        inside, part = window(layer, left, top, 10, 8)
        assert np.zeros((8, 10))[inside].size == 0
        assert layer.alpha[part].shape == np.zeros((8, 10))[inside].shape


def test_erode() -> None:
    cutout = Cutout(np.zeros((8, 10, 3), np.uint8), np.ones((8, 10), bool))
    assert eroded(cutout, 0) is cutout
    assert eroded(cutout, 1).mask.shape == (6, 8)
    with pytest.raises(BadInput):
        eroded(cutout, 5)
