from __future__ import annotations

from pathlib import Path

import pytest
import torch

from shards.errors import UserError
from train.checkpoint import load_checkpoint
from train.machine import Machine
from train.methods.ovr import OvrConfig
from train.methods.segmenter import SegmenterConfig
from train.networks import build_network
from train.networks.lite import LiteFPN
from train.predictor import predictor_from
from train.run_segmenters import train_ovr, train_segmenter

MACHINE = Machine(torch.device("cpu"))


@pytest.mark.parametrize("outputs", [19, 20])
def test_logits_are_at_half_the_input_size(outputs: int) -> None:
    network = LiteFPN(num_outputs=outputs, width=0.25).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, 32, 64)).shape == (2, outputs, 16, 32)
        assert network(torch.rand(1, 3, 24, 40)).shape == (1, outputs, 12, 20)
    assert network.has_void == (outputs == 20)


@pytest.mark.parametrize(("which", "prefix"), [("head", "decoder.classifier"), ("decoder", "decoder"), ("all", "")])
def test_parts(which: str, prefix: str) -> None:
    network = LiteFPN(width=0.25)
    mine = {id(p) for p in network.part(which).parameters()}
    assert mine == {id(p) for name, p in network.named_parameters() if name.startswith(prefix)}


def test_the_classifier_is_float32_under_autocast() -> None:
    network = LiteFPN(width=0.25).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 3, 16, 16)).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0.1}, "factor of 0.25 to 8"),
        ({"num_outputs": 3}, "19 outputs, or 20"),
        ({"input_size": (40, 32)}, "multiples of 16"),
    ],
)
def test_wrong_options_are_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network("lite", **options)


def test_both_methods_train_it_and_scores_are_native(tiny_shards: Path, tmp_path: Path) -> None:
    start, run = tmp_path / "start", tmp_path / "ovr"
    train_segmenter(
        [tiny_shards],
        start,
        config=SegmenterConfig(steps=3, batch=2, crop=(64, 32)),
        network_options={"width": 0.25},
        machine=MACHINE,
    )
    summary = train_ovr([tiny_shards], run, config=OvrConfig(steps=3, batch=2), checkpoint=start, machine=MACHINE)
    assert summary.finished
    network, info = load_checkpoint(run)
    assert isinstance(network, LiteFPN)
    assert info.network.name == "lite"
    predictor = predictor_from(checkpoint=run, device="cpu")
    prediction = predictor.predict(torch.zeros(33, 70, 3, dtype=torch.uint8).numpy(), ["energy"], semantic=True)
    assert prediction.semantic is not None
    assert prediction.scores["energy"].shape == prediction.semantic.shape == (33, 70)
