from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.losses.balanced import balanced_cross_entropy, class_weights, enet_weight


def naive(logits: torch.Tensor, anomaly: torch.Tensor, weights: tuple[float, float]) -> float:
    total = share = 0.0
    for n, y, x in (anomaly != 255).nonzero().tolist():
        known, odd = logits[n, :, y, x].tolist()
        label = int(anomaly[n, y, x])
        total += weights[label] * (math.log(math.exp(known) + math.exp(odd)) - (odd if label else known))
        share += weights[label]
    return total / share if share else 0.0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), void=st.sampled_from([0.0, 0.4, 1.0]), weight=st.floats(0.1, 20))
def test_weighted_mean_pixel_by_pixel(seed: int, void: float, weight: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 2, 4, 5, generator=rng) * 4
    anomaly = (torch.rand(2, 4, 5, generator=rng) < 0.2).to(torch.uint8)
    anomaly[torch.rand(2, 4, 5, generator=rng) < void] = 255
    got = balanced_cross_entropy(logits, anomaly, (1.5, weight))
    assert float(got) == pytest.approx(naive(logits, anomaly, (1.5, weight)), rel=1e-4)


def test_all_void_is_zero_with_a_graph() -> None:
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = balanced_cross_entropy(logits, torch.full((1, 3, 3), 255, dtype=torch.uint8), (1.0, 2.0))
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_void_gets_no_gradient() -> None:
    logits = torch.randn(1, 2, 2, 2, requires_grad=True)
    balanced_cross_entropy(logits, torch.tensor([[[0, 1], [255, 0]]], dtype=torch.uint8), (1.0, 2.0)).backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(1).bool().tolist() == [[[True, True], [False, True]]]


def test_gradients() -> None:
    logits = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    anomaly = torch.tensor([[[0, 1, 255], [0, 0, 1]]], dtype=torch.uint8)
    assert torch.autograd.gradcheck(lambda z: balanced_cross_entropy(z, anomaly, (1.5, 8.0)), (logits,))


def test_float32_under_autocast() -> None:
    logits = (torch.randn(1, 2, 8, 8) * 5).bfloat16()
    anomaly = torch.randint(0, 2, (1, 8, 8)).to(torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        loss = balanced_cross_entropy(logits, anomaly, (1.5, 8.0))
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(naive(logits.float(), anomaly, (1.5, 8.0)), rel=1e-5)


def test_published_weights_and_the_shares_they_imply() -> None:
    assert class_weights("void", [(1, 1)]) == (1.5484, 8.0391)
    assert class_weights("no-void", [(1, 1)]) == (1.4649, 16.520)
    assert class_weights("even", [(1, 1)]) == (1.0, 1.0)
    assert class_weights("shares", [(8875, 1125)]) == pytest.approx((1.5484, 8.0391), rel=1e-3)
    assert class_weights("shares", [(9576, 424)]) == pytest.approx((1.4649, 16.520), rel=2e-3)
    assert class_weights((2.0, 5.5), [(1, 1)]) == (2.0, 5.5)
    # Streams count alike, however large they are.
    assert class_weights("shares", [(90, 10), (7000, 3000)]) == pytest.approx((enet_weight(0.8), enet_weight(0.2)))
    assert class_weights("shares", [(0, 0)]) == (enet_weight(0.0), enet_weight(0.0))
    assert enet_weight(0.0) == pytest.approx(50.5, abs=0.1)
