from __future__ import annotations

import numpy as np
import pytest

from shards.codec import decode_image
from shards.errors import UserError
from shards.webp import MAX_SIDE, encode_webp


@pytest.mark.parametrize("size", [(1, 1), (37, 61), (64, 128)])
def test_webp_keeps_every_pixel(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    data = encode_webp(image)
    np.testing.assert_array_equal(decode_image(data), image)
    assert data == encode_webp(np.asfortranarray(image))


def test_a_picture_too_wide_for_webp_is_told() -> None:
    with pytest.raises(UserError, match="choose png"):
        encode_webp(np.zeros((1, MAX_SIDE + 1, 3), np.uint8))
