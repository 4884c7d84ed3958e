from __future__ import annotations

import numpy as np
import pytest
import torch

from train.losses.gan import discriminator_loss, feature_matching, generator_loss, perceptual_loss

Maps = list[list[torch.Tensor]]


def judged(seed: int) -> Maps:
    """Two scales of two feature maps and a verdict, of two pictures."""
    rng = torch.Generator().manual_seed(seed)
    shapes = [[(2, 3, 4, 6), (2, 2, 3, 5), (2, 1, 3, 4)], [(2, 3, 2, 3), (2, 2, 2, 2), (2, 1, 1, 2)]]
    return [[(2 * torch.randn(shape, generator=rng)).requires_grad_() for shape in scale] for scale in shapes]


def values(tensor: torch.Tensor) -> list[float]:
    return [float(value) for value in tensor.detach().double().flatten()]


def gradients(maps: Maps) -> list[list[bool]]:
    return [[one.grad is not None and bool(one.grad.any()) for one in scale] for scale in maps]


def test_the_discriminators_hinge_pixel_by_pixel() -> None:
    real, painted = judged(0), judged(1)
    expected = np.mean(
        [
            np.mean([max(0.0, 1 - v) for v in values(x[-1])]) + np.mean([max(0.0, 1 + v) for v in values(y[-1])])
            for x, y in zip(real, painted, strict=True)
        ]
    )
    loss = discriminator_loss(real, painted)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert gradients(real) == gradients(painted) == [[False, False, True]] * 2


def test_the_generator_is_to_be_taken_for_real() -> None:
    painted = judged(1)
    loss = generator_loss(painted)
    assert loss.item() == pytest.approx(-np.mean([np.mean(values(scale[-1])) for scale in painted]), rel=1e-6)
    loss.backward()
    assert gradients(painted) == [[False, False, True]] * 2


def test_feature_matching_leaves_the_real_pictures_and_the_verdicts_alone() -> None:
    real, painted = judged(0), judged(1)
    expected = 0.0
    for x, y in zip(real, painted, strict=True):
        for a, b in zip(x[:2], y[:2], strict=True):
            expected += np.mean([abs(v - w) for v, w in zip(values(a), values(b), strict=True)]) / 2
    loss = feature_matching(real, painted)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert gradients(real) == [[False] * 3] * 2
    assert gradients(painted) == [[True, True, False]] * 2


def test_the_perceptual_loss_weights_its_maps() -> None:
    (real, _), (painted, _) = judged(0), judged(1)
    weights = (0.25, 1.0, 3.0)
    expected = sum(
        weight * np.mean([abs(v - w) for v, w in zip(values(a), values(b), strict=True)])
        for a, b, weight in zip(real, painted, weights, strict=True)
    )
    loss = perceptual_loss(real, painted, weights)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert gradients([real, painted]) == [[False] * 3, [True] * 3]
    with pytest.raises(ValueError, match="argument 3"):
        perceptual_loss(real, painted, weights[:2])


def test_bfloat16_maps_give_float32_losses() -> None:
    half = [[one.detach().bfloat16() for one in scale] for scale in judged(0)]
    for loss in (
        discriminator_loss(half, half),
        generator_loss(half),
        feature_matching(half, half),
        perceptual_loss(half[0], half[0], (1.0, 1.0, 1.0)),
    ):
        assert loss.dtype == torch.float32
