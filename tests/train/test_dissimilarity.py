from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from shards.errors import UserError
from train.networks.dissimilarity import DissimilarityNetwork
from train.networks.erfnet import ERFNet
from train.networks.lite import LiteFPN

HEIGHT, WIDTH = 16, 32

# The published table: module -> (its input's channels and stride, its output's channels and stride).
TABLE: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "encoder.features.slices.0": ((3, 1), (64, 1)),
    "encoder.features.slices.1": ((64, 1), (128, 2)),
    "encoder.features.slices.2": ((128, 2), (256, 4)),
    "encoder.features.slices.3": ((256, 4), (512, 8)),
    "semantic_encoder.first": ((19, 1), (32, 1)),
    "semantic_encoder.rest.0": ((32, 1), (64, 2)),
    "semantic_encoder.rest.1": ((64, 2), (128, 4)),
    "semantic_encoder.rest.2": ((128, 4), (256, 8)),
    "prior_encoder.first": ((3, 1), (64, 1)),
    "prior_encoder.rest.0": ((64, 1), (128, 2)),
    "prior_encoder.rest.1": ((128, 2), (256, 4)),
    "prior_encoder.rest.2": ((256, 4), (512, 8)),
    "fusion.0": ((160, 1), (64, 1)),
    "fusion.1": ((320, 2), (128, 2)),
    "fusion.2": ((640, 4), (256, 4)),
    "fusion.3": ((1280, 8), (512, 8)),
    "decoder.3.conv": ((513, 8), (256, 8)),
    "decoder.3.block": ((256, 8), (256, 8)),
    "decoder.3.up": ((256, 8), (256, 4)),
    "decoder.2.conv": ((513, 4), (256, 4)),
    "decoder.2.block": ((256, 4), (256, 4)),
    "decoder.2.up": ((256, 4), (256, 2)),
    "decoder.1.conv": ((385, 2), (128, 2)),
    "decoder.1.block": ((128, 2), (128, 2)),
    "decoder.1.up": ((128, 2), (128, 1)),
    "decoder.0.conv": ((193, 1), (64, 1)),
    "decoder.0.block": ((64, 1), (64, 1)),
    "head": ((64, 1), (2, 1)),
}
KERNELS = {"first": (7, 7), "rest": (3, 3), "fusion": (1, 1), "conv": (3, 3), "up": (2, 2), "head": (1, 1)}
VGG16 = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 2, (256, 512), *[(512, 512)] * 2]


def inputs(n: int = 1, height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(seed)
    semantic = torch.randint(0, 20, (n, height, width), generator=rng).to(torch.uint8)
    semantic[semantic == 19] = 255
    image, synthesis, uncertainty = (torch.rand(n, 3, height, width, generator=rng) for _ in range(3))
    return image, synthesis, semantic, uncertainty


@pytest.fixture(scope="module")
def full() -> DissimilarityNetwork:
    return DissimilarityNetwork().eval()


@pytest.fixture
def quarter() -> DissimilarityNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DissimilarityNetwork(width=0.25)


def test_every_row_has_the_published_shape(full: DissimilarityNetwork) -> None:
    seen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    handles = [
        full.get_submodule(name).register_forward_hook(
            lambda module, given, output, name=name: seen.update(
                {name: (tuple(given[0].shape[1:]), tuple(output.shape[1:]))}
            )
        )
        for name in TABLE
    ]
    with torch.no_grad():
        output = full(*inputs())
    for handle in handles:
        handle.remove()
    assert seen == {name: tuple((c, HEIGHT // s, WIDTH // s) for c, s in row) for name, row in TABLE.items()}
    assert output.logits.shape == (1, 2, HEIGHT, WIDTH)
    assert [tuple(f.shape) for f in output.fused] == [
        (1, c, HEIGHT // s, WIDTH // s) for c, s in ((64, 1), (128, 2), (256, 4), (512, 8))
    ]
    assert output.decoded.shape == (1, 64, HEIGHT, WIDTH)


def test_kernels_are_the_published_ones(full: DissimilarityNetwork) -> None:
    for name in TABLE:
        layer = full.get_submodule(name)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            kind = next(k for k in KERNELS if k in name.split("."))
            assert layer.kernel_size == KERNELS[kind], name
            assert layer.bias is not None, name


def test_number_of_parameters_is_that_of_the_table(full: DissimilarityNetwork) -> None:
    def conv(kernel: int, i: int, o: int) -> int:
        return kernel * kernel * i * o + o

    def spade(c: int) -> int:
        return conv(3, 19, 128) + 2 * conv(3, 128, c)

    parts = {
        "encoder": sum(conv(3, i, o) for i, o in VGG16),
        "semantic_encoder": conv(7, 19, 32) + conv(3, 32, 64) + conv(3, 64, 128) + conv(3, 128, 256),
        "prior_encoder": conv(7, 3, 64) + conv(3, 64, 128) + conv(3, 128, 256) + conv(3, 256, 512),
        "fusion": conv(1, 160, 64) + conv(1, 320, 128) + conv(1, 640, 256) + conv(1, 1280, 512),
        "decoder.3": conv(3, 513, 256) + 2 * spade(256) + conv(3, 256, 256) + conv(2, 256, 256),
        "decoder.2": conv(3, 513, 256) + 2 * spade(256) + conv(3, 256, 256) + conv(2, 256, 256),
        "decoder.1": conv(3, 385, 128) + 2 * spade(128) + conv(3, 128, 128) + conv(2, 128, 128),
        "decoder.0": conv(3, 193, 64) + 2 * spade(64) + conv(3, 64, 64),
        "head": conv(1, 64, 2),
    }
    for name, expected in parts.items():
        assert sum(p.numel() for p in full.get_submodule(name).parameters()) == expected, name
    assert sum(p.numel() for p in full.parameters()) == sum(parts.values()) == 18_780_162


def test_it_is_its_equations(quarter: DissimilarityNetwork) -> None:
    image, synthesis, semantic, uncertainty = inputs(2)
    classes = torch.zeros(2, 19, HEIGHT, WIDTH)
    for n, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(HEIGHT), torch.arange(WIDTH)).tolist():
        if semantic[n, y, x] != 255:
            classes[n, int(semantic[n, y, x]), y, x] = 1
    with torch.no_grad():
        output = quarter(image, synthesis, semantic, uncertainty)
        o, s = quarter.encoder(image), quarter.encoder(synthesis)
        m, u = quarter.semantic_encoder(classes), quarter.prior_encoder(uncertainty)
        x = None
        for i in (3, 2, 1, 0):
            fused = quarter.fusion[i](torch.cat([o[i], s[i], m[i]], 1)) * u[i]
            torch.testing.assert_close(output.fused[i], fused)
            correlation = sum(o[i][:, c] * s[i][:, c] for c in range(o[i].shape[1]))[:, None]
            below = torch.cat([correlation, fused] if x is None else [x, correlation, fused], 1)
            level = quarter.decoder[i]
            x = level.up(level.block(nn.functional.selu(level.conv(below)), classes))
        torch.testing.assert_close(output.decoded, x)
        torch.testing.assert_close(output.logits, quarter.head(x))


def test_the_two_small_encoders_are_convolutions_and_relu(quarter: DissimilarityNetwork) -> None:
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        maps = quarter.prior_encoder(x)
        for mine, layer, stride in zip(
            maps, (quarter.prior_encoder.first, *quarter.prior_encoder.rest), (1, 2, 2, 2), strict=True
        ):
            padding = layer.kernel_size[0] // 2
            x = nn.functional.conv2d(x, layer.weight, layer.bias, stride=stride, padding=padding).relu()
            torch.testing.assert_close(mine, x)


def test_image_and_synthesis_share_one_encoder_and_nothing_else(quarter: DissimilarityNetwork) -> None:
    image, synthesis, semantic, uncertainty = inputs()
    swapped = copy.deepcopy(quarter)
    for fusion, mine in zip(swapped.fusion, swapped.encoder.channels, strict=True):
        weight = fusion.weight.detach().clone()
        fusion.weight.data[:, :mine], fusion.weight.data[:, mine : 2 * mine] = (
            weight[:, mine : 2 * mine],
            weight[:, :mine],
        )
    with torch.no_grad():
        before = quarter(image, synthesis, semantic, uncertainty)
        after = quarter(synthesis, image, semantic, uncertainty)
        # Where the fusion reads the two in the other order, swapping them changes nothing: one encoder, one product.
        same = swapped(synthesis, image, semantic, uncertainty)
    assert not torch.allclose(before.logits, after.logits, rtol=1e-3)
    torch.testing.assert_close(before.logits, same.logits)


def test_void_pixels_are_of_no_class(quarter: DissimilarityNetwork) -> None:
    image, synthesis, semantic, uncertainty = inputs()
    with torch.no_grad():
        void = quarter(image, synthesis, torch.full_like(semantic, 255), uncertainty)
        outside = quarter(image, synthesis, torch.full_like(semantic, 77), uncertainty)
        road = quarter(image, synthesis, torch.zeros_like(semantic), uncertainty)
    assert torch.isfinite(void.logits).all()
    assert torch.equal(void.logits, outside.logits)
    assert not torch.allclose(void.logits, road.logits)


@pytest.mark.parametrize("features", ["vgg16", "erfnet", "lite"])
def test_gradient_reaches_every_parameter(features: str) -> None:
    segmenter = None if features == "vgg16" else {"name": features, "options": {"width": 0.25}}
    network = DissimilarityNetwork(
        features="vgg16" if segmenter is None else "segmenter", width=0.25, segmenter=segmenter
    ).train()
    output = network(*inputs(2))
    (output.logits * torch.randn_like(output.logits)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # A bias that instance norm takes off again has no gradient but rounding.
        assert parameter.ndim == 1 or parameter.grad.any(), name


@pytest.mark.parametrize(("segmenter", "name"), [(ERFNet, "erfnet"), (LiteFPN, "lite")])
def test_a_segmenters_encoder_takes_the_place_of_vgg(segmenter: Any, name: str) -> None:
    mine = segmenter(width=0.5)
    mine.train()(torch.rand(2, 3, 32, 32))
    mine.eval()
    network = DissimilarityNetwork(
        features="segmenter", width=0.25, segmenter={"name": name, "options": {"width": 0.5}}
    )
    network.copy_features(mine)
    network.train()
    image, synthesis, semantic, uncertainty = inputs(2)
    seen = network.encoder(image)
    assert [tuple(m.shape) for m in seen] == [
        (2, c, HEIGHT // s, WIDTH // s) for c, s in zip((16, *mine.encoder.channels[:3]), (1, 2, 4, 8), strict=True)
    ]
    for a, b in zip(seen[1:], mine.features(image), strict=True):
        assert torch.equal(a, b)
    output = network(image, synthesis, semantic, uncertainty)
    assert [f.shape[1] for f in output.fused] == [16, 32, 64, 128]
    assert not any(m.training for m in network.encoder.features.encoder.modules())


def test_channels_last_gives_the_same_numbers(quarter: DissimilarityNetwork) -> None:
    image, synthesis, semantic, uncertainty = inputs(2)
    last = copy.deepcopy(quarter).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = quarter(image, synthesis, semantic, uncertainty)
        output = last(*(x.to(memory_format=torch.channels_last) for x in (image, synthesis)), semantic, uncertainty)
    torch.testing.assert_close(output.logits, expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.decoded, expected.decoded, rtol=1e-4, atol=1e-4)


def test_under_autocast_the_head_and_the_logits_are_float32(quarter: DissimilarityNetwork) -> None:
    given = inputs(2)
    with torch.autocast("cpu", torch.bfloat16):
        output = quarter(*given)
    assert output.logits.dtype == torch.float32
    output.logits.square().sum().backward()
    with torch.no_grad():
        exact = quarter(*given).logits
    assert torch.isfinite(output.logits).all()
    assert float((output.logits.detach() - exact).abs().mean() / exact.std()) < 0.1


def test_no_value_decides_what_is_computed(quarter: DissimilarityNetwork) -> None:
    # A fake tensor has no values: whatever asked for one, and so broke torch.compile's graph, would fail.
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        output = quarter(*(mode.from_tensor(x) for x in inputs(2)))
    assert output.logits.shape == (2, 2, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0.1}, "factor of 0.125 to 4"),
        ({"input_size": (100, 64)}, "multiples of 8, at least 16, got 100x64"),
        ({"input_size": (8, 64)}, "multiples of 8, at least 16, got 8x64"),
        ({"features": "segmenter"}, "its name and options are missing"),
    ],
)
def test_impossible_options_are_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DissimilarityNetwork(**options)


def test_vgg_takes_no_segmenters_weights(quarter: DissimilarityNetwork) -> None:
    with pytest.raises(UserError, match="features are not a segmenter's"):
        quarter.copy_features(ERFNet(width=0.25))
