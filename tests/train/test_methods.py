from __future__ import annotations

import json
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from anomsynth.commands.training import segmenter as segmenter_command
from shards.config import resolve
from shards.errors import UserError
from train.cards import METHOD_CARDS, NETWORK_CARDS
from train.config import TrainConfig
from train.data import Batch, TrainingPool
from train.losses.known import known_cross_entropy
from train.losses.ovr import top_k_ovr
from train.methods import METHODS
from train.methods.base import Progress, Report, Task, at_size, known_labels, let_learn
from train.methods.ovr import OvrConfig, finish
from train.methods.ovr import prepare as prepare_ovr
from train.methods.segmenter import SegmenterConfig, class_counts, class_weights
from train.methods.segmenter import prepare as prepare_segmenter
from train.networks import NETWORKS, SEGMENTERS, SegmentationNetwork, build_network, build_segmenter
from train.networks.dissimilarity import DissimilarityNetwork
from train.networks.erfnet import ERFNet
from train.networks.resynthesis import SpadeGenerator
from train.optimizers import segmenter_optimizer
from train.schedule import learning_rate


@pytest.fixture
def pool(tiny_shards: Path) -> TrainingPool:
    return TrainingPool([tiny_shards], TrainConfig(), input_size=(64, 32), seed=0)


def batch_of(n: int = 2, height: int = 16, width: int = 24, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    anomaly = torch.tensor([0, 0, 0, 1, 255], dtype=torch.uint8)
    semantic = torch.tensor([*range(19), 255], dtype=torch.uint8)
    return Batch(
        keys=tuple(map(str, range(n))),
        pixels=torch.randint(0, 256, (n, height, width, 3), generator=rng).to(torch.uint8),
        anomaly=anomaly[torch.randint(0, 5, (n, height, width), generator=rng)],
        semantic=semantic[torch.randint(0, 20, (n, height, width), generator=rng)],
        padding=torch.zeros(n, height, width, dtype=torch.bool),
        seeds=torch.arange(n),
    )


def step_of(task: Task, batch: Batch) -> tuple[torch.Tensor, Report]:
    """Loss and terms of the only phase of a step."""
    (phase,) = task.step(task.modules, [batch], Progress(0, 1))
    assert phase.optimizer == "network"
    return phase.loss, phase.report


class Fixed(SegmentationNetwork):
    """Gives stored logits, so that their gradient can be looked at."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.num_outputs = logits.shape[1]
        self.input_size = (logits.shape[3], logits.shape[2])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits

    def part(self, which: object) -> nn.Module:
        return self


def test_cards_and_registries_agree() -> None:
    assert [card.name for card in METHOD_CARDS] == list(METHODS)
    assert [card.name for card in NETWORK_CARDS] == list(NETWORKS)
    assert list(NETWORKS)[: len(SEGMENTERS)] == list(SEGMENTERS)
    assert all(method.card.name == name for name, method in METHODS.items())


def test_only_segmenters_are_offered_as_segmenters() -> None:
    command = get_type_hints(segmenter_command, include_extras=True)
    assert set(get_args(get_args(command["network"])[0])) == set(SEGMENTERS)
    for name in SEGMENTERS:
        assert isinstance(build_segmenter(name, width=0.25), SegmentationNetwork)
    with pytest.raises(UserError, match="Unknown segmenter 'spade'; known are: erfnet, lite"):
        build_segmenter("spade")


def test_networks_are_built_again_from_what_json_keeps() -> None:
    mine = {"name": "lite", "options": {"width": 0.25, "input_size": [64, 32]}}
    options = {"features": "segmenter", "segmenter": mine, "width": 0.25, "input_size": [64, 32]}
    network = build_network("dissimilarity", **json.loads(json.dumps(options)))
    assert isinstance(network, DissimilarityNetwork)
    assert network.input_size == (64, 32)
    generator = build_network("spade", width=0.125, input_size=[64, 32])
    assert isinstance(generator, SpadeGenerator)
    with pytest.raises(UserError, match="Unknown network 'pix2pix'; known are: erfnet, lite, dissimilarity, spade"):
        build_network("pix2pix")


def test_the_defaults_are_the_papers() -> None:
    config = OvrConfig()
    assert (config.trainable, config.lr, config.gamma, config.k, config.s, config.epochs) == (
        "head", 1e-5, 0.05, 5, 2.0, 20.0,
    )  # fmt: skip
    assert (config.known, config.keep, config.average) == (1.0, 0.0, 1.0)


def test_the_ovr_step_is_its_equation(pool: TrainingPool) -> None:
    logits, batch = torch.randn(2, 20, 16, 24), batch_of()
    network = Fixed(logits.clone())
    config = OvrConfig(gamma=0.3, k=4, s=1.5, known=0.7)
    loss, report = step_of(prepare_ovr(network, config, [pool]), batch)
    first = logits[:, :19]
    semantic = batch.semantic.clone()
    semantic[batch.anomaly != 0] = 255
    known, outlier = known_cross_entropy(first, semantic), top_k_ovr(first, batch.anomaly == 1, k=4, s=1.5)
    torch.testing.assert_close(loss, 0.7 * known + 0.3 * outlier)
    torch.testing.assert_close(dict(report), {"known": known, "outlier": outlier})


def test_void_pixels_and_the_void_output_get_exactly_no_gradient(pool: TrainingPool) -> None:
    batch = batch_of()
    for keep, kind, keep_on in (
        (0.0, "kl", "labelled"),
        (1.0, "kl", "known"),
        (1.0, "logits", "known"),
        (1.0, "energy", "known"),
        (1.0, "logits", "labelled"),
    ):
        network = Fixed(torch.randn(2, 20, 16, 24))
        task = prepare_ovr(network, OvrConfig(keep=keep, keep_kind=kind, keep_on=keep_on, k=19), [pool])
        with torch.no_grad():
            network.logits += 0.5 * torch.randn(2, 20, 16, 24)
        loss, _ = step_of(task, batch)
        loss.backward()
        gradient = network.logits.grad
        assert gradient is not None
        assert not gradient[:, 19].any()
        void = batch.anomaly == 255
        if not keep:
            void |= (batch.anomaly == 0) & (batch.semantic == 255)
        assert not gradient.movedim(1, -1)[void].any()
        assert gradient.movedim(1, -1)[batch.anomaly == 1].any()


def test_keep_compares_with_the_start_network(pool: TrainingPool) -> None:
    network = ERFNet(width=0.25)
    task = prepare_ovr(network, OvrConfig(keep=2.0), [pool])
    batch = batch_of()
    assert float(step_of(task, batch)[1]["keep"]) == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        for parameter in network.part("head").parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    loss, report = step_of(task, batch)
    assert float(report["keep"]) > 1e-4
    torch.testing.assert_close(loss.detach(), report["known"] + 0.05 * report["outlier"] + 2.0 * report["keep"])


@pytest.mark.parametrize("which", ["head", "decoder", "all"])
@pytest.mark.parametrize("batch_norm", ["frozen", "learn"])
def test_what_does_not_learn_is_frozen_and_in_eval_mode(which: str, batch_norm: str, pool: TrainingPool) -> None:
    network = ERFNet(width=0.25)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    config = OvrConfig(trainable=which, batch_norm=batch_norm)
    task = prepare_ovr(network, config, [pool])
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    loss, _ = step_of(task, batch_of())
    loss.backward()
    optimizer.step()
    part = {"head": "decoder.output_conv.", "decoder": "decoder.", "all": ""}[which]
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    weights = {name for name, _ in network.named_parameters() if name.startswith(part)}
    statistics = {key for key in before.keys() - dict(network.named_parameters()).keys() if key.startswith(part)}
    assert changed <= weights | (statistics if batch_norm == "learn" else set())
    assert changed & weights
    assert bool(changed & statistics) == (batch_norm == "learn" and which != "head")
    assert not any(m.training for m in network.modules() if isinstance(m, nn.Dropout2d))


def test_dropout_only_where_asked_for() -> None:
    network = ERFNet(width=0.25)
    let_learn(network, "all", batch_norm="frozen", dropout=True)
    assert all(m.training for m in network.modules() if isinstance(m, nn.Dropout2d))
    assert not any(m.training for m in network.modules() if isinstance(m, nn.BatchNorm2d))


def test_labels_follow_the_size_of_the_logits() -> None:
    batch = batch_of()
    labels = known_labels(batch, (8, 12))
    assert labels.shape == (2, 8, 12)
    assert labels.dtype == torch.uint8
    assert (known_labels(batch, (16, 24))[batch.anomaly != 0] == 255).all()
    assert at_size(batch.anomaly, (16, 24)) is batch.anomaly


def test_the_segmenter_leaves_anomalies_and_void_out(pool: TrainingPool) -> None:
    batch = batch_of()
    for void_output in (False, True):
        network = Fixed(torch.randn(2, 20, 16, 24))
        task = prepare_segmenter(network, SegmenterConfig(void_output=void_output), [pool])
        step_of(task, batch)[0].backward()
        gradient = network.logits.grad
        assert gradient is not None
        at_pixels = gradient.movedim(1, -1).abs().sum(-1)
        assert not at_pixels[batch.anomaly == 1].any()
        void = (batch.anomaly != 1) & (batch.semantic == 255)
        assert bool(at_pixels[void].any()) == void_output
        assert bool(gradient[:, 19].any()) == void_output


def test_padding_is_not_trained_as_void(pool: TrainingPool) -> None:
    batch = batch_of()
    for labels in (batch.anomaly, batch.semantic, batch.padding):
        labels[:, 10:] = 255
    network = Fixed(torch.randn(2, 20, 16, 24))
    step_of(prepare_segmenter(network, SegmenterConfig(void_output=True), [pool]), batch)[0].backward()
    assert network.logits.grad is not None
    assert not network.logits.grad[:, :, 10:].any()
    assert network.logits.grad[:, 19, :10].any()


def test_averaging_takes_every_weight_part_of_the_way() -> None:
    start, tuned = ERFNet(width=0.25).state_dict(), ERFNet(width=0.25)
    before = {name: value.clone() for name, value in tuned.state_dict().items()}
    finish(tuned, start, OvrConfig(average=1.0))
    assert all(torch.equal(value, before[name]) for name, value in tuned.state_dict().items())
    finish(tuned, start, OvrConfig(average=0.25))
    for name, value in tuned.state_dict().items():
        torch.testing.assert_close(value, (0.75 * start[name] + 0.25 * before[name]).to(value.dtype))


def decayed(network: SegmentationNetwork, decay: float = 0.1) -> set[nn.Parameter]:
    """The weights that decay."""
    groups = segmenter_optimizer(network, TrainConfig(weight_decay=decay)).param_groups
    assert {group["weight_decay"] for group in groups} == {decay, 0.0}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    return {weight for group in groups if group["weight_decay"] for weight in group["params"]}


def test_only_kernels_decay() -> None:
    network = ERFNet(width=0.25)
    convolutions = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    # The head of 20 outputs is left alone, see the test of a run with trainable="head".
    assert decayed(network) == {m.weight for m in convolutions if m is not network.decoder.output_conv}
    without_void = ERFNet(width=0.25, num_outputs=19)
    assert without_void.decoder.output_conv.weight in decayed(without_void)


def test_the_encoder_learns_at_a_rate_of_its_own() -> None:
    network = ERFNet(width=0.25)
    groups = segmenter_optimizer(network, TrainConfig(encoder_lr=0.1)).param_groups
    slow = {weight for group in groups if group["factor"] == 0.1 for weight in group["params"]}
    assert slow == set(network.encoder.parameters())
    assert {group["factor"] for group in groups} == {0.1, 1.0}


def test_class_weights_are_inverse_square_roots(pool: TrainingPool) -> None:
    counts = class_counts(pool)
    assert counts.nonzero().flatten().tolist() == [0, 10]
    counts = torch.tensor([900, 100, *[0] * 17])
    weights = class_weights(counts)
    assert float(weights[1] / weights[0]) == pytest.approx(3.0)
    assert float(0.9 * weights[0] + 0.1 * weights[1]) == pytest.approx(1.0)
    assert set(weights[2:].tolist()) == {10.0}
    network = ERFNet(width=0.25, num_outputs=19)
    loss, _ = step_of(prepare_segmenter(network, SegmenterConfig(class_weights="sqrt"), [pool]), batch_of())
    assert float(loss.detach()) > 0


def test_learning_rate_rises_and_falls() -> None:
    config = TrainConfig(lr=1.0, warmup=4, poly_power=0.9)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[4] == pytest.approx(0.96**0.9)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0.01**0.9)
    assert {learning_rate(s, 10, TrainConfig(lr=1.0, poly_power=0)) for s in range(10)} == {1.0}


def test_fields_out_of_range_are_one_sentence() -> None:
    with pytest.raises(UserError, match="Field 'k'"):
        resolve(OvrConfig, overrides=["k=20"])
    with pytest.raises(UserError, match="'head', 'decoder' or 'all'"):
        resolve(OvrConfig, overrides=["trainable=neck"])


def test_sizes_are_words_or_pairs() -> None:
    config = resolve(SegmenterConfig, overrides=["input_size=768x384", "crop=[256, 128]"])
    assert (config.input_size, config.crop) == ((768, 384), (256, 128))
    assert SegmenterConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(UserError, match="multiples of 8, got 100x50"):
        resolve(TrainConfig, overrides=["crop=100x50"])


def test_no_method_renames_a_field_of_all_methods() -> None:
    # A method's `gamma` once hid the exponent of the photometric jitter, which then drew from 0..2 unasked.
    from train.config import TrainConfig
    from train.methods import METHODS

    for method in METHODS.values():
        for name, field in method.config.__annotations__.items():
            if name in TrainConfig.model_fields:
                assert method.config.model_fields[name].description == TrainConfig.model_fields[name].description, (
                    f"{method.config.__name__}.{name} means something else than TrainConfig.{name} ({field})"
                )
