from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from shards.errors import UserError
from train.networks import build_network, load_weights
from train.networks.erfnet import Downsampler, ERFNet, NonBottleneck1D, Upsampler

# The published table: output channels and stride of every stage, for an input of 128 x 64.
STAGES = {
    "encoder.initial_block": (16, 2),
    "encoder.layers.0": (64, 4),
    **{f"encoder.layers.{i}": (64, 4) for i in range(1, 6)},
    **{f"encoder.layers.{i}": (128, 8) for i in range(6, 15)},
    **{f"decoder.layers.{i}": (64, 4) for i in range(3)},
    **{f"decoder.layers.{i}": (16, 2) for i in range(3, 6)},
    "decoder.output_conv": (20, 1),
}


def test_every_stage_has_the_published_shape() -> None:
    network = ERFNet().eval()
    shapes: dict[str, tuple[int, ...]] = {}
    for name in STAGES:
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: shapes.update({name: tuple(output.shape)})
        )
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 128))
    assert shapes == {name: (1, c, 64 // stride, 128 // stride) for name, (c, stride) in STAGES.items()}


def test_number_of_parameters_is_the_published_one() -> None:
    assert sum(p.numel() for p in ERFNet().parameters()) == 2_064_256
    assert sum(p.numel() for p in ERFNet(width=0.5).parameters()) < 2_064_256 / 3.5


def test_dilations_dropout_and_epsilon() -> None:
    network = ERFNet()
    deep = [network.encoder.layers[i] for i in range(7, 15)]
    assert [b.conv3x1_2.dilation for b in deep] == [(d, 1) for d in (2, 4, 8, 16, 2, 4, 8, 16)]
    assert [b.conv1x3_2.dilation for b in deep] == [(1, d) for d in (2, 4, 8, 16, 2, 4, 8, 16)]
    assert all(b.conv3x1_1.dilation == (1, 1) for b in deep)
    assert {b.dropout.p for b in deep} == {0.3}
    assert {network.encoder.layers[i].dropout.p for i in range(1, 6)} == {0.03}
    assert all(m.eps == 1e-3 for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 2 * 17 + 5


def test_downsampler_puts_the_convolution_before_the_pooling() -> None:
    block = Downsampler(3, 8).eval()
    x = torch.rand(1, 3, 6, 10)
    conv = nn.functional.conv2d(x, block.conv.weight, block.conv.bias, stride=2, padding=1)
    expected = torch.cat([conv, nn.functional.max_pool2d(x, 2)], 1) / (1 + 1e-3) ** 0.5
    torch.testing.assert_close(block(x), expected.relu())


def test_residual_block_is_the_identity_when_its_last_norm_is_silent() -> None:
    block = NonBottleneck1D(4, dilation=2, dropout=0.0).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 4, 9, 7)
    torch.testing.assert_close(block(x), x)


def test_upsampler_doubles() -> None:
    assert Upsampler(6, 4).eval()(torch.rand(2, 6, 3, 5)).shape == (2, 4, 6, 10)


@pytest.mark.parametrize(("which", "prefix"), [("head", "decoder.output_conv"), ("decoder", "decoder"), ("all", "")])
def test_parts(which: str, prefix: str) -> None:
    network = ERFNet(width=0.25)
    mine = {id(p) for p in network.part(which).parameters()}
    assert mine == {id(p) for name, p in network.named_parameters() if name.startswith(prefix)}


def test_the_last_layer_is_float32_under_autocast() -> None:
    network = ERFNet(width=0.25).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 3, 8, 8)).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0.1}, "factor of at least 0.25"),
        ({"num_outputs": 3}, "19 outputs, or 20"),
        ({"input_size": (100, 64)}, "multiples of 8"),
        ({"colour": 3}, "colour"),
    ],
)
def test_wrong_options_are_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network("erfnet", **options)


def test_unknown_network_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="known are: erfnet"):
        build_network("resnet")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_load_with_and_without_the_prefix_of_data_parallel(tmp_path: Path, suffix: str, prefix: str) -> None:
    source, target = ERFNet(width=0.25), ERFNet(width=0.25)
    state = {prefix + key: value for key, value in source.state_dict().items()}
    file = tmp_path / f"weights{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save({"state_dict": state}, file)
    load_weights(target, file)
    for key, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[key])


def test_weights_of_another_network_are_refused_and_change_nothing(tmp_path: Path) -> None:
    network = ERFNet(width=0.25)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = {**before, "extra.weight": torch.zeros(1)}
    del state["decoder.output_conv.bias"]
    state["encoder.layers.0.conv.bias"] = torch.zeros(2)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError) as caught:
        load_weights(network, tmp_path / "w.pth")
    text = str(caught.value)
    assert "does not hold weights of ERFNet" in text
    assert "1 of 343 weights are missing (first: decoder.output_conv.bias)" in text
    assert "first: extra.weight" in text
    assert "encoder.layers.0.conv.bias is (2,), expected (12,)" in text
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_cut_in_half_is_one_sentence(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"w{suffix}"
    state = ERFNet(width=0.25).state_dict()
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match=r"w\.\w+ is cut off(,)? or no (safetensors|PyTorch) file[^()]*$"):
        load_weights(ERFNet(width=0.25), file)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04.", bytes(100)])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path, content: bytes, suffix: str) -> None:
    file = tmp_path / f"w{suffix}"
    file.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(str(file))):
        load_weights(ERFNet(width=0.25), file)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a weights file was run')",)


def test_code_in_a_weights_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"weight": Evil()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="safe to read"):
        load_weights(ERFNet(width=0.25), tmp_path / "w.pth")


def test_missing_file_folder_and_suffix(tmp_path: Path) -> None:
    network = ERFNet(width=0.25)
    with pytest.raises(UserError, match="no weights file"):
        load_weights(network, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"\.pth, \.pt, \.safetensors"):
        load_weights(network, tmp_path)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds list, expected a dict of tensors"):
        load_weights(network, tmp_path / "list.pth")


@pytest.mark.real
def test_published_weights_load_as_they_lie_there(shared: Path) -> None:
    load_weights(ERFNet(), shared / "weights" / "erfnet_cityscapes_20c.pth")
    with pytest.raises(UserError, match="does not hold weights of ERFNet"):
        load_weights(ERFNet(), shared / "weights" / "espnetv2_s_2.0_city_1024x512.pth")
