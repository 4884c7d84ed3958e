from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from train.networks.spade import Spade, SpadeBlock, one_hot


def test_one_hot_is_all_zero_where_there_is_no_class() -> None:
    labels = torch.tensor([[[0, 18, 19, 254, 255]]], dtype=torch.uint8)
    planes = one_hot(labels)
    assert planes.shape == (1, 19, 1, 5)
    assert planes[0, :, 0, 0].nonzero().flatten().tolist() == [0]
    assert planes[0, :, 0, 1].nonzero().flatten().tolist() == [18]
    assert not planes[..., 2:].any()
    assert set(planes.unique().tolist()) == {0.0, 1.0}


def test_one_hot_with_a_plane_for_the_unknown() -> None:
    planes = one_hot(torch.tensor([[[3, 19, 255]]], dtype=torch.uint8), unknown=True)
    assert planes.argmax(1).tolist() == [[[3, 19, 19]]]
    assert planes.sum(1).tolist() == [[[1.0, 1.0, 1.0]]]


def naive(spade: Spade, x: torch.Tensor, semantic: torch.Tensor, statistics: tuple[int, ...]) -> torch.Tensor:
    """Equation 1 pixel by pixel."""
    n, _, h, w = x.shape
    resized = torch.zeros(n, semantic.shape[1], h, w)
    for i in range(h):
        for j in range(w):  # the pixel that the corner of (i, j) falls into
            resized[:, :, i, j] = semantic[:, :, i * semantic.shape[2] // h, j * semantic.shape[3] // w]

    def convolve(layer: nn.Conv2d, maps: torch.Tensor) -> torch.Tensor:
        padded = nn.functional.pad(maps, (1, 1, 1, 1))
        out = torch.zeros(n, layer.out_channels, h, w)
        for i in range(h):
            for j in range(w):
                window = padded[:, None, :, i : i + 3, j : j + 3]
                out[:, :, i, j] = (window * layer.weight).sum((2, 3, 4)) + layer.bias
        return out

    hidden = convolve(spade.shared, resized).clamp(min=0)
    mean = x.mean(statistics, keepdim=True)
    deviation = ((x - mean).square().mean(statistics, keepdim=True) + 1e-5).sqrt()
    return (x - mean) / deviation * (1 + convolve(spade.gamma, hidden)) + convolve(spade.beta, hidden)


@pytest.mark.parametrize(("norm", "statistics"), [("instance", (2, 3)), ("batch", (0, 2, 3))])
def test_spade_is_its_equation(norm: Any, statistics: tuple[int, ...]) -> None:
    spade = Spade(5, 3, hidden=4, norm=norm)
    x, semantic = torch.randn(2, 5, 4, 6), torch.randn(2, 3, 8, 9)
    with torch.no_grad():
        torch.testing.assert_close(spade(x, semantic), naive(spade, x, semantic, statistics))


def test_spade_has_the_published_layers() -> None:
    spade = Spade(64, 19)
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in (spade.shared, spade.gamma, spade.beta)] == [
        (19, 128, (3, 3)), (128, 64, (3, 3)), (128, 64, (3, 3)),
    ]  # fmt: skip
    # Nothing learns in the norm.
    assert sum(p.numel() for p in spade.parameters()) == (9 * 19 + 1) * 128 + 2 * (9 * 128 + 1) * 64
    assert not [*spade.norm.parameters()]
    assert not [*spade.norm.buffers()]


def test_the_block_is_its_five_layers_in_order() -> None:
    block = SpadeBlock(4, 3, hidden=2)
    x, semantic = torch.randn(1, 4, 5, 6), torch.rand(1, 3, 5, 6)
    with torch.no_grad():
        first = nn.functional.selu(naive(block.spade_1, x, semantic, (2, 3)))
        expected = nn.functional.selu(naive(block.spade_2, block.conv(first), semantic, (2, 3)))
        torch.testing.assert_close(block(x, semantic), expected)
    assert (block.conv.kernel_size, block.conv.padding) == ((3, 3), (1, 1))
