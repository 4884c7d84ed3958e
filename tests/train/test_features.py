from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import nn

from shards.errors import UserError
from train.networks.erfnet import ERFNet
from train.networks.features import SegmenterFeatures, VGGFeatures, build_features
from train.networks.imagenet import load_imagenet
from train.networks.lite import LiteFPN
from train.networks.segmenters import build_segmenter

# Convolutions of the papers' tables: (inputs, outputs) up to the last cut, and the maps behind every cut.
VGG16 = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 2, (256, 512), *[(512, 512)] * 2]
VGG19 = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 3, (256, 512), *[(512, 512)] * 4]
MAPS = {
    "vgg16": [(64, 1), (128, 2), (256, 4), (512, 8)],
    "vgg19": [(64, 1), (128, 2), (256, 4), (512, 8), (512, 16)],
}


@pytest.mark.parametrize(("name", "table"), [("vgg16", VGG16), ("vgg19", VGG19)])
def test_vgg_is_the_published_table_up_to_its_last_cut(name: Any, table: list[tuple[int, int]]) -> None:
    network = build_features(name)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == table
    assert {(c.kernel_size, c.stride, c.padding) for c in convolutions} == {((3, 3), (1, 1), (1, 1))}
    assert sum(p.numel() for p in network.parameters()) == sum(9 * i * o + o for i, o in table)
    with torch.no_grad():
        maps = network(torch.rand(1, 3, 32, 48))
    assert [tuple(m.shape) for m in maps] == [(1, c, 32 // s, 48 // s) for c, s in MAPS[name]]
    assert list(zip(network.channels, network.strides, strict=True)) == MAPS[name]
    assert all(float(m.min()) == 0 for m in maps)  # each is behind a ReLU


def test_maps_are_torchvisions_own_of_normalised_images(tmp_path: Path) -> None:
    from torchvision.models.vgg import cfgs, make_layers

    whole = nn.ModuleDict({"features": make_layers(cfgs["D"])})
    torch.save({**whole.state_dict(), "classifier.0.bias": torch.zeros(2)}, tmp_path / "vgg.pth")
    network = VGGFeatures("vgg16")
    load_imagenet(network, tmp_path / "vgg.pth")
    images = torch.rand(2, 3, 16, 24)
    x = images.clone()
    for c, (mean, deviation) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        x[:, c] = (x[:, c] - mean) / deviation
    with torch.no_grad():
        maps = network(images)
        for i, child in enumerate([*whole["features"].children()][:24]):
            if i in (4, 9, 16, 23):
                torch.testing.assert_close(maps[(4, 9, 16, 23).index(i)], x)
            # Not in place: the maps are compared afterwards.
            x = x.relu() if isinstance(child, nn.ReLU) else child(x)


def test_a_narrower_vgg_has_no_imagenet_weights() -> None:
    network = VGGFeatures("vgg19", width=0.25)
    assert network.channels == (16, 32, 64, 128, 128)
    with pytest.raises(UserError, match=r"ImageNet weights of vgg19 fit width 1 alone, got 0\.25"):
        load_imagenet(network, Path("vgg19.pth"))


def test_weights_of_another_vgg_change_nothing(tmp_path: Path) -> None:
    network = VGGFeatures("vgg16")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    weights = {f"features.{child}.{kind}": torch.zeros(1) for child in range(23) for kind in ("weight", "bias")}
    weights["features.0.bias"] = torch.zeros(64)
    torch.save(weights, tmp_path / "vgg.pth")
    with pytest.raises(
        UserError, match=r"vgg\.pth does not hold torchvision's weights of vgg16: features\.0\.weight"
    ):
        load_imagenet(network, tmp_path / "vgg.pth")
    with pytest.raises(UserError, match="no weights file"):
        load_imagenet(network, tmp_path / "absent.pth")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("error", [URLError("no network"), RuntimeError("invalid hash value"), OSError("disk full")])
def test_a_failed_download_is_one_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.models._api as api

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(api, "load_state_dict_from_url", fail)
    with pytest.raises(UserError, match="ImageNet weights of vgg16 could not be downloaded"):
        load_imagenet(VGGFeatures("vgg16"))


@pytest.mark.parametrize(
    ("name", "channels", "logits"), [("erfnet", (16, 64, 128), "decoder"), ("lite", (24, 48, 96), "decoder")]
)
def test_features_are_the_stages_that_the_segmenter_goes_through(
    name: str, channels: tuple[int, ...], logits: str
) -> None:
    network = build_segmenter(name).eval()
    assert network.encoder.channels[:3] == channels
    assert network.encoder.strides[:3] == (2, 4, 8)
    images = torch.rand(1, 3, 32, 64)
    seen: list[Any] = []
    network.get_submodule(logits).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        maps = network.features(images)
        network(images)
    assert [tuple(m.shape) for m in maps] == [
        (1, c, 32 // s, 64 // s) for c, s in zip(channels, (2, 4, 8), strict=True)
    ]
    # The decoder is fed with them: ERFNet's with the coarsest, LiteFPN's with all.
    for mine, fed in zip(reversed(maps), [seen[0]] if name == "erfnet" else seen[0][2::-1], strict=False):
        assert torch.equal(mine, fed)


def test_erfnets_stages_are_the_last_of_their_size() -> None:
    network = ERFNet(width=0.25).eval()
    outputs: dict[str, torch.Tensor] = {}
    for name in ("initial_block", "layers.5", "layers.14"):
        network.encoder.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: outputs.update({name: output})
        )
    with torch.no_grad():
        maps = network.features(torch.rand(1, 3, 16, 16))
    assert all(a is b for a, b in zip(maps, outputs.values(), strict=True))


@pytest.mark.parametrize(("name", "network"), [("erfnet", ERFNet), ("lite", LiteFPN)])
def test_the_copy_sees_what_the_segmenter_sees_and_stays_in_eval_mode(name: str, network: Any) -> None:
    segmenter = network(width=0.5)
    segmenter.train()(torch.rand(2, 3, 32, 32))  # its batch norm has statistics now
    segmenter.eval()
    features = build_features("segmenter", segmenter={"name": name, "options": {"width": 0.5}})
    assert isinstance(features, SegmenterFeatures)
    features.copy_from(segmenter)
    features.train()
    images = torch.rand(2, 3, 32, 32)
    before = {key: value.clone() for key, value in features.state_dict().items()}
    maps = features(images)
    for mine, theirs in zip(maps, segmenter.features(images), strict=True):
        assert torch.equal(mine, theirs)
    assert all(torch.equal(value, before[key]) for key, value in features.state_dict().items())
    sum(m.sum() for m in maps).backward()
    assert all(p.grad is not None for p in features.parameters())
    assert all(p is not q for p in features.parameters() for q in segmenter.parameters())


def test_a_copy_of_another_segmenter_is_refused() -> None:
    features = SegmenterFeatures("erfnet", {"width": 0.25})
    with pytest.raises(UserError, match="another segmenter than this ERFNet"):
        features.copy_from(ERFNet(width=0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet"}, "known are: vgg16, vgg19, segmenter"),
        ({"name": "segmenter"}, "its name and options are missing"),
        ({"name": "vgg16", "segmenter": {"name": "lite"}}, "take no segmenter"),
        ({"name": "segmenter", "segmenter": {"name": "deeplab"}}, "Unknown segmenter 'deeplab'; known are: erfnet"),
    ],
)
def test_impossible_features_are_one_sentence(arguments: dict[str, Any], message: str) -> None:
    # beartype would refuse the unknown name first.
    build = getattr(build_features, "__wrapped__", build_features)
    with pytest.raises(UserError, match=message):
        build(**arguments)


def test_torchvision_is_not_imported_with_the_module() -> None:
    import subprocess

    code = "import sys, train.networks.features, train.networks.imagenet; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
