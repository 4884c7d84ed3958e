from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from train.networks.features import build_features
from train.uncertainty import VGG19_WEIGHTS, distance_map, entropy_map, halving_weights, perceptual_map


def softmax(row: list[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(z - top) for z in row]
    return [p / sum(powers) for p in powers]


def naive(logits: torch.Tensor, kind: str, normalise: str) -> torch.Tensor:
    """The published formulas, pixel by pixel in double precision."""
    n, _, h, w = logits.shape
    result = torch.zeros(n, h, w)
    for i in range(n):
        values = {}
        for y in range(h):
            for x in range(w):
                p = softmax(logits[i, :19, y, x].tolist())
                if kind == "entropy":
                    values[y, x] = -sum(q * math.log(q) for q in p if q > 0)
                else:
                    first, second = sorted(p)[:-3:-1]
                    values[y, x] = first - second
        least, most = min(values.values()), max(values.values())
        for (y, x), value in values.items():
            scaled = (value - least) / (most if normalise == "max" else most - least)
            result[i, y, x] = scaled if kind == "entropy" else 1 - scaled
    return result


@pytest.mark.parametrize("normalise", ["max", "range"])
@pytest.mark.parametrize(("kind", "function"), [("entropy", entropy_map), ("distance", distance_map)])
@pytest.mark.parametrize("outputs", [19, 20])
def test_maps_are_their_formulas(kind: str, function: Any, normalise: Any, outputs: int) -> None:
    logits = 3 * torch.randn(2, outputs, 4, 5)
    result = function(logits, normalise=normalise)
    torch.testing.assert_close(result, naive(logits, kind, normalise), atol=1e-6, rtol=1e-5)
    extremes = (result.amin((1, 2)), result.amax((1, 2)))
    if normalise == "range":
        torch.testing.assert_close(extremes[0], torch.zeros(2), atol=1e-6, rtol=0)
        torch.testing.assert_close(extremes[1], torch.ones(2), atol=1e-6, rtol=0)
    elif kind == "entropy":
        assert bool((extremes[1] < 0.999).all())  # as published: the division by the maximum leaves the top out


def test_a_void_output_takes_no_part() -> None:
    logits = torch.randn(1, 20, 3, 3)
    louder = logits.clone()
    louder[:, 19] += 50
    assert torch.equal(entropy_map(logits), entropy_map(louder))
    assert torch.equal(distance_map(logits), distance_map(louder))


def test_underflown_probabilities_and_flat_maps_are_finite() -> None:
    logits = torch.zeros(3, 19, 2, 2)
    logits[0, 3] = 1e4  # certain everywhere: entropy 0 / 0
    logits[2, 3, 0, 0] = 1e4  # certain in one pixel, undecided in the others
    entropy, distance = entropy_map(logits), distance_map(logits)
    assert torch.equal(entropy[:2], torch.zeros(2, 2, 2))
    torch.testing.assert_close(entropy[2], torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    assert torch.equal(distance[:2], torch.ones(2, 2, 2))
    torch.testing.assert_close(distance[2], torch.tensor([[0.0, 1.0], [1.0, 1.0]]))


def test_bfloat16_logits_are_judged_in_float32() -> None:
    logits = torch.randn(1, 19, 4, 4).bfloat16()
    assert entropy_map(logits).dtype == distance_map(logits).dtype == torch.float32
    torch.testing.assert_close(entropy_map(logits), naive(logits.float(), "entropy", "max"), atol=1e-6, rtol=1e-5)


def cubic(distance: float) -> float:
    """Keys' kernel with a = -3/4, which torch uses."""
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def upsampled(small: torch.Tensor, height: int, width: int) -> torch.Tensor:
    h, w = small.shape
    result = torch.zeros(height, width)
    for y in range(height):
        for x in range(width):
            v, u = (y + 0.5) * h / height - 0.5, (x + 0.5) * w / width - 0.5
            for i in range(math.floor(v) - 1, math.floor(v) + 3):
                for j in range(math.floor(u) - 1, math.floor(u) + 3):
                    value = small[min(max(i, 0), h - 1), min(max(j, 0), w - 1)]
                    result[y, x] += cubic(v - i) * cubic(u - j) * value
    return result


def test_the_perceptual_difference_is_its_formula() -> None:
    sizes = [(3, 8, 12), (5, 4, 6), (2, 2, 3)]
    image, synthesis = ([torch.randn(2, *size) for size in sizes] for _ in range(2))
    weights = (0.25, 0.5, 1.0)
    result = perceptual_map(image, synthesis, weights, (8, 12))
    for i in range(2):
        total = torch.zeros(8, 12)
        for mine, theirs, weight in zip(image, synthesis, weights, strict=True):
            c, h, w = mine.shape[1:]
            small = torch.zeros(h, w)
            for y in range(h):
                for x in range(w):
                    small[y, x] = sum(abs(float(mine[i, k, y, x] - theirs[i, k, y, x])) for k in range(c)) / c
            total += weight * upsampled(small, h * 8 // h, w * 12 // w)
        expected = (total - total.min()) / (total.max() - total.min())
        torch.testing.assert_close(result[i], expected, atol=1e-5, rtol=1e-4)


def test_equal_pictures_differ_nowhere() -> None:
    maps = [torch.randn(1, 3, 4, 4)]
    assert torch.equal(perceptual_map(maps, maps, (1.0,), (4, 4)), torch.zeros(1, 4, 4))


def test_the_difference_lies_where_the_pictures_differ() -> None:
    features = build_features("segmenter", segmenter={"name": "lite", "options": {"width": 0.25}}).eval()
    image = torch.rand(1, 3, 64, 64)
    synthesis = image.clone()
    synthesis[:, :, 32:, 32:] = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        result = perceptual_map(features(image), features(synthesis), halving_weights(3), (64, 64))
    assert float(result[0, 40:, 40:].mean()) > 2 * float(result[0, :24, :24].mean())


def test_weights_are_the_published_ones() -> None:
    assert VGG19_WEIGHTS == (0.03125, 0.0625, 0.125, 0.25, 1.0)
    assert halving_weights(3) == (0.25, 0.5, 1.0)
    with pytest.raises(ValueError, match="shorter"):
        perceptual_map([torch.zeros(1, 1, 1, 1)] * 3, [torch.zeros(1, 1, 1, 1)] * 3, (1.0, 1.0), (1, 1))
