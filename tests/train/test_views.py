"""Several looks at an image against doing the same by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional

from shards.errors import UserError
from train.networks import SegmentationNetwork, build_segmenter
from train.predictor import NetworkPredictor
from train.views import Views, starts, view_logits

IMAGE = torch.rand(3, 32, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=["lite", "erfnet"])
def network(request: pytest.FixtureRequest) -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_segmenter(request.param, width=0.25, input_size=(96, 32)).eval()


@pytest.mark.parametrize(
    ("length", "window", "stride", "found"),
    [(2048, 1024, 2 / 3, [0, 512, 1024]), (1024, 1024, 2 / 3, [0]), (100, 40, 1.0, [0, 30, 60]), (10, 40, 0.5, [0])],
)
def test_windows_cover_a_side(length: int, window: int, stride: float, found: list[int]) -> None:
    assert starts(length, window, stride) == found


@pytest.mark.parametrize("share", ["1/3", "2/3", "0.6", "0.7", "1/2", "0.667", "3/7", "1"])
def test_rounding_adds_no_window(share: str) -> None:
    exact, stride = Fraction(share), float(Fraction(share))
    for length in range(128, 2561, 64):
        for window in range(64, length, 64):
            count = math.ceil((length - window) / (window * exact)) + 1
            assert len(starts(length, window, stride)) == count, (length, window)


@torch.inference_mode()
def test_flip_is_the_mean_of_both(network: SegmentationNetwork) -> None:
    mirrored = network(IMAGE[None].flip(3)).flip(3)[0]
    expected = (network(IMAGE[None])[0] + mirrored) / 2
    for batch in (1, 2):
        found = view_logits(network, IMAGE, Views(flip=True, batch=batch))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("flip", [False, True])
def test_windows_are_averaged_pixel_by_pixel(network: SegmentationNetwork, batch: int, flip: bool) -> None:
    views = Views(tile=(48, 32), stride=0.5, batch=batch, flip=flip)
    total, seen = torch.zeros(network.num_outputs, 32, 96), torch.zeros(96)
    for left in (0, 24, 48):
        window = IMAGE[None, :, :, left : left + 48]
        looks = [network(window), network(window.flip(3)).flip(3)] if flip else [network(window)]
        logits = sum(looks) / len(looks)
        total[:, :, left : left + 48] += functional.interpolate(logits, (32, 48), mode="bilinear")[0]
        seen[left : left + 48] += 1
    torch.testing.assert_close(view_logits(network, IMAGE, views), total / seen, rtol=1e-4, atol=1e-5)


def test_a_predictor_says_how_it_looked(network: SegmentationNetwork) -> None:
    image = (IMAGE * 255).byte().movedim(0, 2).numpy()
    plain = NetworkPredictor(network)
    assert plain.describe == {"input_size": [96, 32]}
    views = Views(flip=True, tile=(48, 32), precision="bfloat16")
    predictor = NetworkPredictor(network, views=views)
    assert predictor.describe == {
        "input_size": [96, 32], "flip": True, "tile": [48, 32], "precision": "bfloat16", "stride": 2 / 3,
    }  # fmt: skip
    # What was computed, not what was asked for: no processor takes bfloat16 by itself.
    assert NetworkPredictor(network, views=Views(precision="auto")).describe["precision"] == "float32"
    found = predictor.predict(image, ["energy"]).scores["energy"]
    assert found.shape == (32, 96)
    assert np.isfinite(found).all()
    assert not np.array_equal(found, plain.predict(image, ["energy"]).scores["energy"])


@pytest.mark.parametrize(
    ("views", "sentence"),
    [
        (Views(tile=(50, 32)), "multiples of"),
        (Views(tile=(192, 32)), "--tile 192x32 is larger than the 96x32 that images are resized to"),
        (Views(tile=(99, 33)), "--tile 99x33 is larger than the 96x32"),
        (Views(stride=0.0), "--stride is a share of the window"),
        (Views(batch=0), "--batch must be at least 1"),
    ],
)
def test_impossible_views(network: SegmentationNetwork, views: Views, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        NetworkPredictor(network, views=views)
