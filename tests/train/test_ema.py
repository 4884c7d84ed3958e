"""The moving average: weights and statistics by the formula, singular vectors by iterations of its own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from train.ema import MovingAverage


def test_weights_and_statistics_are_averaged_and_counters_copied() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).train()
    average = MovingAverage(network, 0.5)
    expected = copy.deepcopy(network).state_dict()
    for step in (1, 2, 40):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        network(torch.randn(2, 2, 4, 4))
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            counter = not value.is_floating_point()
            expected[name] = value.clone() if counter else decay * expected[name] + (1 - decay) * value
        average.update(network, step)
    for name, value in average.network.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
    assert int(average.network.state_dict()["1.num_batches_tracked"]) == 3


def test_other_buffers_are_those_of_the_network() -> None:
    network = nn.Linear(2, 2)
    network.register_buffer("seen", torch.zeros(2))
    average = MovingAverage(network, 0.9)
    network.seen = torch.tensor([3.0, 4.0])
    average.update(network, 1)
    assert average.network.state_dict()["seen"].tolist() == [3.0, 4.0]


def test_sigma_is_the_largest_singular_value_of_the_averaged_kernel() -> None:
    """Were the vectors averaged like weights, sigma would be too small and the layer would amplify."""
    torch.manual_seed(0)
    network = spectral_norm(nn.Conv2d(16, 24, 3)).train()
    average = MovingAverage(network, 0.97)
    kernel = network.parametrizations.weight.original
    for step in range(1, 201):
        with torch.no_grad():  # noisy steps that turn the singular vectors again and again
            turned = torch.outer(torch.randn(24), torch.randn(16 * 9)).view_as(kernel) / 30
            kernel.mul_(0.9).add_(turned)
        network(torch.randn(1, 16, 3, 3))
        average.update(network, step)
    averaged = average.network.parametrizations.weight.original
    assert not torch.allclose(averaged, kernel, rtol=0.1)
    effective = average.network.weight.flatten(1)
    assert not average.network.training
    assert float(torch.linalg.svdvals(effective)[0]) == pytest.approx(1.0, rel=0.05)
