from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from shards.errors import UserError
from train.networks.resynthesis import MultiScaleDiscriminator, SpadeGenerator, SpadeResidualBlock

HEIGHT, WIDTH = 32, 64

# The paper's appendix: module -> (its input's channels and stride, its output's).
GENERATOR = {
    "first": ((20, 32), (1024, 32)),
    "blocks.0": ((1024, 32), (1024, 32)),
    "blocks.1": ((1024, 16), (1024, 16)),
    "blocks.2": ((1024, 16), (1024, 16)),
    "blocks.3": ((1024, 8), (512, 8)),
    "blocks.4": ((512, 4), (256, 4)),
    "blocks.5": ((256, 2), (128, 2)),
    "blocks.6": ((128, 1), (64, 1)),
    "last": ((64, 1), (3, 1)),
}
DISCRIMINATOR = [(23, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 1), (512, 1, 1)]


def labels(n: int = 1, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    maps = torch.randint(0, 20, (n, height, width), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    maps[maps == 19] = 255
    return maps


def conv(kernel: int, i: int, o: int, *, bias: bool = True) -> int:
    return kernel * kernel * i * o + (o if bias else 0)


def generator_parameters(classes: int) -> int:
    """Counted from the table."""

    def spade(c: int) -> int:
        return conv(3, classes, 128) + 2 * conv(3, 128, c)

    total = conv(3, classes, 1024) + conv(3, 64, 3)
    for name, ((i, _), (o, _)) in GENERATOR.items():
        if name.startswith("blocks"):
            total += spade(i) + conv(3, i, min(i, o)) + spade(min(i, o)) + conv(3, min(i, o), o)
            total += spade(i) + conv(1, i, o, bias=False) if i != o else 0
    return total


@pytest.fixture(scope="module")
def full() -> SpadeGenerator:
    return SpadeGenerator().eval()


@pytest.fixture
def generator() -> SpadeGenerator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SpadeGenerator(width=0.125)


def test_every_row_of_the_generator_has_the_published_shape(full: SpadeGenerator) -> None:
    seen: dict[str, Any] = {}
    for name in GENERATOR:
        full.get_submodule(name).register_forward_hook(
            lambda module, given, output, name=name: seen.update(
                {name: (tuple(given[0].shape[1:]), tuple(output.shape[1:]))}
            )
        )
    with torch.no_grad():
        picture = full(labels())
    assert seen == {name: tuple((c, HEIGHT // s, WIDTH // s) for c, s in row) for name, row in GENERATOR.items()}
    assert picture.shape == (1, 3, HEIGHT, WIDTH)
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1


def test_number_of_parameters_is_that_of_the_tables(full: SpadeGenerator) -> None:
    assert sum(p.numel() for p in full.parameters()) == generator_parameters(20) == 92_568_771
    # With the paper's 35 labels and edge plane: the 93.0 million that its code prints for Cityscapes.
    assert round(generator_parameters(36) / 1e6, 1) == 93.0
    discriminator = 2 * sum(conv(4, i, o, bias=i == 23 or o == 1) for i, o, _ in DISCRIMINATOR)
    assert sum(p.numel() for p in MultiScaleDiscriminator().parameters()) == discriminator == 5_568_642


def test_spectral_norm_is_where_it_is_published(generator: SpadeGenerator) -> None:
    normed = {name for name, m in generator.named_modules() if isinstance(m, nn.Conv2d) and is_parametrized(m)}
    assert normed == {
        *(f"blocks.{i}.conv_{j}" for i in range(7) for j in (1, 2)),
        *(f"blocks.{i}.short.1" for i in (3, 4, 5, 6)),
    }
    judge = MultiScaleDiscriminator(width=0.125)
    normed = {name for name, m in judge.named_modules() if isinstance(m, nn.Conv2d) and is_parametrized(m)}
    assert normed == {f"scales.{s}.layers.{i}.0" for s in (0, 1) for i in (1, 2, 3)}
    weight = generator.blocks[3].conv_1.weight.detach()
    assert float(torch.linalg.matrix_norm(weight.flatten(1), 2)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (6, 4)])
def test_the_residual_block_is_its_layers(inputs: int, outputs: int) -> None:
    block = SpadeResidualBlock(inputs, outputs, hidden=4).eval()
    x, classes = torch.randn(1, inputs, 4, 6), torch.rand(1, 20, 4, 6)

    def active(y: torch.Tensor) -> torch.Tensor:
        return torch.where(y > 0, y, 0.2 * y)

    with torch.no_grad():
        short = x
        if inputs != outputs:
            assert block.short is not None
            short = nn.functional.conv2d(block.short[0](x, classes), block.short[1].weight)
        middle = nn.functional.conv2d(
            active(block.spade_1(x, classes)), block.conv_1.weight, block.conv_1.bias, padding=1
        )
        expected = short + nn.functional.conv2d(
            active(block.spade_2(middle, classes)), block.conv_2.weight, block.conv_2.bias, padding=1
        )
        torch.testing.assert_close(block(x, classes), expected)
    assert (block.short is None) == (inputs == outputs)


def test_a_picture_depends_on_its_map_alone(generator: SpadeGenerator) -> None:
    maps = labels(2)
    generator.eval()
    with torch.no_grad():
        both = generator(maps)
        torch.testing.assert_close(both[1:], generator(maps[1:]))
        assert not torch.allclose(both[0], both[1])
        # 255 is the unknown, and so is whatever else is no trainId.
        assert torch.equal(generator(torch.full_like(maps, 255)), generator(torch.full_like(maps, 40)))


def test_the_discriminator_is_the_published_table() -> None:
    judge = MultiScaleDiscriminator()
    for scale in judge.scales:
        convolutions = [m for m in scale.modules() if isinstance(m, nn.Conv2d)]
        assert [(c.in_channels, c.out_channels, c.stride[0]) for c in convolutions] == DISCRIMINATOR
        assert {(c.kernel_size, c.padding) for c in convolutions} == {((4, 4), (2, 2))}
        norms = [any(isinstance(m, nn.InstanceNorm2d) for m in layer.modules()) for layer in scale.layers]
        assert norms == [False, True, True, True, False]
    with torch.no_grad():
        judged = judge(labels(2), torch.rand(2, 3, HEIGHT, WIDTH))
    for scale, (height, width) in zip(judged, ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2)), strict=True):
        for output, (_, channels, stride) in zip(scale, DISCRIMINATOR, strict=True):
            height, width = height // stride + 1, width // stride + 1  # a 4x4 window, padded by 2
            assert output.shape == (2, channels, height, width)


def test_the_discriminator_sees_classes_and_the_picture_in_minus_one_to_one() -> None:
    judge = MultiScaleDiscriminator(width=0.125).eval()
    given: list[torch.Tensor] = []
    for scale in judge.scales:
        scale.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    maps, picture = labels(), torch.rand(1, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        judge(maps, picture)
    assert torch.equal(given[0][:, 20:], 2 * picture - 1)
    assert torch.equal(given[0][:, :20].argmax(1), maps.long().clamp(max=19))
    # 3x3 windows around every other pixel; what lies outside the picture does not count.
    full = given[0]
    for y, x in ((0, 0), (0, 5), (7, 0), (9, 13)):
        window = full[0, :, max(2 * y - 1, 0) : 2 * y + 2, max(2 * x - 1, 0) : 2 * x + 2]
        torch.testing.assert_close(given[1][0, :, y, x], window.mean((1, 2)))


def test_gradient_reaches_every_parameter_of_both(generator: SpadeGenerator) -> None:
    judge = MultiScaleDiscriminator(width=0.125)
    maps = labels(2, 64, 64)
    picture = generator.train()(maps)
    sum((scale[-1] * torch.randn_like(scale[-1])).sum() for scale in judge(maps, picture)).backward()
    for name, parameter in (*generator.named_parameters(), *judge.named_parameters()):
        assert parameter.grad is not None, name
        assert parameter.ndim == 1 or parameter.grad.any(), name


def test_both_run_under_autocast(generator: SpadeGenerator) -> None:
    judge, maps = MultiScaleDiscriminator(width=0.125), labels(2, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        judged = judge(maps, generator(maps))
    loss = sum(scale[-1].float().square().mean() for scale in judged)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in generator.parameters())


def test_batch_norm_is_the_published_choice() -> None:
    network = SpadeGenerator(width=0.125, norm="batch")
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 7 * 2 + 4
    assert not any(m.affine for m in norms)
    assert not any(isinstance(m, nn.InstanceNorm2d) for m in network.modules())


def test_no_value_decides_what_is_computed(generator: SpadeGenerator) -> None:
    picture = generator.eval().to("meta")(labels().to("meta"))
    judged = MultiScaleDiscriminator(width=0.125).eval().to("meta")(labels().to("meta"), picture)
    assert [scale[-1].shape[0] for scale in judged] == [1, 1]


def test_weights_survive_saving(generator: SpadeGenerator) -> None:
    other = SpadeGenerator(width=0.125)
    other.load_state_dict(generator.state_dict())
    with torch.no_grad():
        assert torch.equal(other.eval()(labels()), generator.eval()(labels()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0.1}, "factor of 0.125 to 4"),
        ({"input_size": (100, 64)}, "multiples of 32, one of them at least 64, got 100x64"),
        ({"input_size": (32, 32)}, "at least 64, got 32x32"),
    ],
)
def test_impossible_options_are_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SpadeGenerator(**options)
