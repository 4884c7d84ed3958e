from __future__ import annotations

import pytest
import torch
from torch import nn

from train.networks.domain import FeatureDomainClassifier, OutputDomainClassifier, Projector

# Kernel and channels of every convolution, as the paper has them.
TABLES = [
    (FeatureDomainClassifier(512), 3, [(512, 256), (256, 128), (128, 64), (64, 1)]),
    (FeatureDomainClassifier(128), 3, [(128, 64), (64, 32), (32, 16), (16, 1)]),
    (OutputDomainClassifier(), 3, [(2, 32), (32, 64), (64, 128), (128, 256), (256, 1)]),
    (OutputDomainClassifier(1, width=0.25), 3, [(1, 8), (8, 16), (16, 32), (32, 64), (64, 1)]),
    (Projector(64), 1, [(64, 64), (64, 128)]),
    (Projector(16, width=0.25), 1, [(16, 16), (16, 32)]),
]


@pytest.mark.parametrize(("network", "kernel", "table"), TABLES)
def test_layers_are_the_published_ones(network: nn.Module, kernel: int, table: list[tuple[int, int]]) -> None:
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ReLU)]
    # ReLU behind every convolution but the last.
    assert [isinstance(m, nn.Conv2d) for m in layers] == [True, False] * (len(table) - 1) + [True]
    convolutions = [m for m in layers if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == table
    assert {(c.kernel_size, c.stride) for c in convolutions} == {((kernel, kernel), (1, 1))}
    assert sum(p.numel() for p in network.parameters()) == sum(kernel**2 * i * o + o for i, o in table)


@pytest.mark.parametrize("inputs", [64, 512])
def test_a_fresh_classifier_speaks_in_the_range_of_its_labels(inputs: int) -> None:
    """Labels are 0..1: neither a hundredth of that, nor ten times as much."""
    torch.manual_seed(0)
    features = FeatureDomainClassifier(inputs)(torch.randn(2, inputs, 8, 8)).detach()
    assert 0.2 < float(features.std()) < 3
    probabilities = torch.randn(2, 2, 16, 16).softmax(1)
    assert 0.1 < float(OutputDomainClassifier()(probabilities).detach().std()) < 3


@pytest.mark.parametrize(("network", "kernel", "table"), TABLES)
def test_the_map_has_the_size_of_the_input(network: nn.Module, kernel: int, table: list[tuple[int, int]]) -> None:
    x = torch.randn(2, table[0][0], 5, 9)
    with torch.no_grad():
        output = network(x)
        expected = x
        for i, layer in enumerate(m for m in network.modules() if isinstance(m, nn.Conv2d)):
            expected = nn.functional.conv2d(
                expected.relu() if i else expected, layer.weight, layer.bias, padding=kernel // 2
            )
    assert output.shape == (2, table[-1][1], 5, 9)
    torch.testing.assert_close(output, expected)
    assert bool((output < 0).any())  # neither ReLU nor sigmoid at the end
