from __future__ import annotations

import numpy as np
import pytest

from pipelines.cutout import Cutout, cut, eroded, scaled
from shards.errors import BadInput
from shards.patches import Blend, Patch, fitted, lay


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
    thing = scaled(cutout, 8, 6, flip=False)
    np.testing.assert_array_equal(thing.mask, cutout.mask)
    np.testing.assert_array_equal(thing.rgb[thing.mask], cutout.rgb[cutout.mask])
    assert not thing.rgb[~thing.mask].any()
    mirrored = scaled(cutout, 8, 6, flip=True)
    np.testing.assert_array_equal(mirrored.mask, cutout.mask[:, ::-1])


def test_halving_averages_with_the_mask_as_weight() -> None:
    thing = scaled(ring(), 4, 3, flip=False)
    # The upper left pixel was covered by three of four: it belongs to the object, and has no blue in it.
    assert thing.mask.all()
    np.testing.assert_array_equal(thing.rgb, np.broadcast_to((250, 10, 0), (3, 4, 3)))


@pytest.mark.parametrize(("width", "height"), [(3, 2), (5, 4), (8, 6), (13, 11), (24, 18)])
def test_no_background_leaks_at_any_scale(width: int, height: int) -> None:
    image = np.full((height + 20, width + 20, 3), (250, 10, 0), np.uint8)
    maps = np.zeros(image.shape[:2], np.uint8)
    thing = scaled(ring(), width, height, flip=False)
    for sigma in (0.0, 1.0, 2.5):
        patch = Patch.roomy(thing.rgb, thing.mask, 10, 10, Blend("feather", sigma))
        lay(fitted(patch, image), image, maps, maps)
    assert image[..., 2].max() <= 1


def test_erode() -> None:
    cutout = Cutout(np.zeros((8, 10, 3), np.uint8), np.ones((8, 10), bool))
    assert eroded(cutout, 0) is cutout
    assert eroded(cutout, 1).mask.shape == (6, 8)
    with pytest.raises(BadInput):
        eroded(cutout, 5)
