"""One step of MGCDA: its terms against their pieces, who learns from what, and what each switch changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from shards.config import resolve
from shards.errors import UserError
from shards.sample import EXTRAS
from train.data import Batch, TrainingPool, stream_seed
from train.feed import Feed
from train.losses.contrast import contrastive_loss
from train.losses.domain import classifier_loss
from train.losses.sampling import Counts, draw_places, features_at
from train.methods.base import Phase, Progress, Task
from train.methods.mgcda import MgcdaConfig, joined, prepare
from train.networks.dissimilarity import DissimilarityNetwork, DissimilarityOutput, network_inputs
from train.run_mgcda import streams_of

PROGRESS = Progress(1, 4)
TAU = 1 - (1 - 1 / 2) * 1 / 4
OFF = {"oda": False, "fda": False, "contrastive": "none"}


@dataclass(frozen=True)
class Setting:
    config: MgcdaConfig
    pools: Sequence[TrainingPool]
    task: Task
    batches: Sequence[Batch]

    @property
    def network(self) -> DissimilarityNetwork:
        network = self.task.modules["network"]
        assert isinstance(network, DissimilarityNetwork)
        return network

    def phases(self, progress: Progress = PROGRESS) -> list[Phase]:
        """All phases of a step, without updates between them."""
        return list(self.task.step(self.task.modules, self.batches, progress))

    def report(self, progress: Progress = PROGRESS) -> Mapping[str, float]:
        return {name: term.item() for name, term in self.phases(progress)[0].report.items()}


def setting(streams: Sequence[Sequence[Path]], **fields: Any) -> Setting:
    """Equal networks and equal batches for whatever configuration."""
    config = MgcdaConfig(**{"steps": 4, "batch": 2, "anchors": 5, **fields})
    pools = [
        TrainingPool(folders, config, input_size=(64, 32), seed=stream_seed(0, number), extras=EXTRAS)
        for number, folders in enumerate(streams)
    ]
    torch.manual_seed(3)
    segmenter = {"name": "lite", "options": {"width": 0.25, "input_size": [64, 32]}}
    network = DissimilarityNetwork(features="segmenter", width=0.125, segmenter=segmenter, input_size=(64, 32))
    torch.manual_seed(4)
    task = prepare(network, config, pools)
    feed = Feed(pools, config, device=torch.device("cpu"), workers=0, first=0, stop=1)
    return Setting(config, pools, task, feed.next(1)[0])


def two(enriched: Path, **fields: Any) -> Setting:
    return setting([[enriched / "void"], [enriched / "mix"]], **fields)


def output_of(one: Setting) -> tuple[Batch, DissimilarityOutput]:
    seen = joined(one.batches)
    return seen, one.network(*network_inputs(seen.pixels, seen.extras))


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def squares(maps: Tensor, labels: Sequence[float], anomaly: Tensor) -> float:
    """Equation 2: mean over the positions that are not void, then over the images of each domain, then their sum."""
    stride = anomaly.shape[1] // maps.shape[2]
    total = 0.0
    for image, (one, label) in enumerate(zip(maps, labels, strict=True)):
        errors = [
            (one[0, y, x].item() - label) ** 2
            for y in range(maps.shape[2])
            for x in range(maps.shape[3])
            if anomaly[image, y * stride + stride // 2, x * stride + stride // 2] != 255
        ]
        total += sum(errors) / len(errors) / 2  # two images a domain
    return total


def test_the_loss_is_equation_4(enriched: Path) -> None:
    one = two(enriched)
    phase = one.phases()[0]
    seen, output = output_of(one)
    modules = one.task.modules

    pixels = [pool.manifests[0].pixels for pool in one.pools]
    shares = [sum(p[name] / (p["known"] + p["anomaly"]) for p in pixels) / 2 for name in ("known", "anomaly")]
    weights = [1 / math.log(1.02 + share) for share in shares]
    above, below = 0.0, 0.0
    for (plain, odd), label in zip(
        output.logits.movedim(1, -1).reshape(-1, 2).tolist(), seen.anomaly.flatten().tolist(), strict=True
    ):
        if label != 255:
            above += weights[label] * (math.log(math.exp(plain) + math.exp(odd)) - (plain, odd)[label])
            below += weights[label]
    swapped = [1 - TAU, 1 - TAU, TAU, TAU]
    features = squares(modules["feature_classifier"](output.fused[3]), swapped, seen.anomaly)
    outputs = squares(modules["output_classifier"](output.logits.softmax(1)), swapped, seen.anomaly)
    draws = draw_places(seen.anomaly, output.logits.argmax(1) == 1, seen.seeds, Counts(5, 10, 10, 30, 0.5))
    vectors = modules["projector"](output.decoded)
    contrast = contrastive_loss(features_at(vectors, draws.index), draws, torch.tensor([0, 0, 1, 1])).item()

    report = one.report()
    assert report["ce"] == pytest.approx(above / below, rel=1e-5)
    assert report["feature"] == pytest.approx(features, rel=1e-4)
    assert report["output"] == pytest.approx(outputs, rel=1e-4)
    assert report["contrast"] == pytest.approx(contrast, rel=1e-5)
    assert set(report) == {"ce", "feature", "output", "contrast"}
    expected = above / below + 0.04 * features + 0.06 * outputs + 0.1 * contrast
    assert phase.loss.item() == pytest.approx(expected, rel=1e-5)


def test_each_phase_moves_its_own_modules(enriched: Path) -> None:
    one = two(enriched)
    modules, classifiers = one.task.modules, ("feature_classifier", "output_classifier")
    step = one.task.step(modules, one.batches, PROGRESS)
    phase = next(step)
    assert phase.optimizer == "network"
    phase.loss.backward()
    for name, module in modules.items():
        found = gradients(module)
        assert set(found) == (set() if name in classifiers else {name for name, _ in module.named_parameters()}), name
        module.zero_grad()
    phase = next(step)
    assert phase.optimizer == "classifiers"
    phase.loss.backward()
    for name, module in modules.items():
        found = gradients(module)
        assert set(found) == ({name for name, _ in module.named_parameters()} if name in classifiers else set()), name
    with pytest.raises(StopIteration):
        next(step)

    held = {name: {id(p) for g in o.param_groups for p in g["params"]} for name, o in one.task.optimizers.items()}
    mine = {id(p) for name in ("network", "projector") for p in modules[name].parameters()}
    theirs = {id(p) for name in classifiers for p in modules[name].parameters()}
    assert held == {"network": mine, "classifiers": theirs}


def test_the_classifiers_learn_true_labels(enriched: Path) -> None:
    one = two(enriched)
    seen, output = output_of(one)
    true = [TAU, TAU, 1 - TAU, 1 - TAU]
    expected = squares(one.task.modules["feature_classifier"](output.fused[3]), true, seen.anomaly)
    expected += squares(one.task.modules["output_classifier"](output.logits.softmax(1)), true, seen.anomaly)
    phase = one.phases()[1]
    assert phase.loss.item() == pytest.approx(expected, rel=1e-4)
    assert set(phase.report) == {"feature_classifier", "output_classifier"}
    assert sum(term.item() for term in phase.report.values()) == pytest.approx(expected, rel=1e-4)


def test_what_learns_beside_the_network_is_as_wide_as_it(enriched: Path) -> None:
    one = two(enriched)  # at an eighth of the width
    sizes = {
        name: [layer.out_channels for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)]
        for name, module in one.task.modules.items()
        if name != "network"
    }
    assert sizes == {
        "feature_classifier": [32, 16, 8, 1],
        "output_classifier": [4, 8, 16, 32, 1],
        "projector": [8, 16],
    }


def test_reversal_moves_both_at_once_in_opposite_directions(enriched: Path) -> None:
    one = two(enriched, adversary="reversal", contrastive="none")
    (phase,) = one.phases()
    phase.loss.backward()
    found = {name: gradients(module) for name, module in one.task.modules.items()}
    assert set(one.task.optimizers) == {"network"}
    moved = {id(p) for group in one.task.optimizers["network"].param_groups for p in group["params"]}
    assert moved == {id(p) for module in one.task.modules.values() for p in module.parameters()}

    plain = two(enriched, **OFF)
    plain.phases()[0].loss.backward()
    alone = gradients(plain.network)
    seen, output = output_of(one)
    domain, anomaly = torch.tensor([0, 0, 1, 1]), seen.anomaly
    looks = {
        "feature_classifier": (output.fused[3], anomaly[:, 4::8, 4::8] != 255, 0.04),
        "output_classifier": (output.logits.softmax(1), anomaly != 255, 0.06),
    }
    expected = dict(alone)
    names, weights = zip(*one.network.named_parameters(), strict=True)
    for name, (maps, valid, coefficient) in looks.items():
        loss = classifier_loss(one.task.modules[name](maps), domain, TAU, valid=valid)
        own = torch.autograd.grad(loss, list(one.task.modules[name].parameters()), retain_graph=True)
        for (key, _), gradient in zip(one.task.modules[name].named_parameters(), own, strict=True):
            torch.testing.assert_close(found[name][key], gradient, rtol=1e-4, atol=1e-7)
        turned = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        for key, gradient in zip(names, turned, strict=True):
            if gradient is not None:
                expected[key] = expected[key] - coefficient * gradient
    assert any(not torch.equal(expected[key], alone[key]) for key in names)
    for key in names:
        torch.testing.assert_close(found["network"][key], expected[key], rtol=1e-3, atol=1e-6)


ALL = {"network", "projector", "output_classifier", "feature_classifier"}


@pytest.mark.parametrize(
    ("fields", "gone", "changed"),
    [
        ({"oda": False}, {"output_classifier"}, {"output"}),
        ({"fda": False}, {"feature_classifier"}, {"feature"}),
        ({"contrastive": "none"}, {"projector"}, {"contrast"}),
        ({"contrastive": "cpcl"}, set(), {"contrast"}),
        ({"contrastive": "pcl"}, set(), {"contrast"}),
        ({"dls": False}, set(), {"feature", "output"}),
        (OFF, ALL - {"network"}, {"feature", "output", "contrast"}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_switch_changes_what_it_names_and_nothing_else(
    fields: dict[str, Any], gone: set[str], changed: set[str], enriched: Path
) -> None:
    whole, one = two(enriched), two(enriched, **fields)
    assert set(one.task.modules) == ALL - gone
    assert ("classifiers" in one.task.optimizers) == bool({"feature_classifier", "output_classifier"} - gone)
    for name, module in one.task.modules.items():
        theirs = whole.task.modules[name].state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in module.state_dict().items()), name
    before, after = whole.report(), one.report()
    terms = {"projector": "contrast"} | {f"{name}_classifier": name for name in ("feature", "output")}
    assert set(before) - set(after) == {terms[name] for name in gone}
    for name in set(before) - changed:
        assert after[name] == before[name], name
    for name in changed & set(after):
        assert after[name] != before[name], name


def test_smoothing_changes_tau_alone(enriched: Path) -> None:
    first, half, last = Progress(0, 4), Progress(2, 4), Progress(4, 4)
    smooth, hard = two(enriched), two(enriched, dls=False)
    assert smooth.report(first) == hard.report(first) == hard.report(half)
    fixed = two(enriched, dls=False, tau=0.75)
    assert smooth.report(half) == fixed.report(first)
    coins = two(enriched, dls=False, tau=0.5)
    assert smooth.report(last) == coins.report(first)


@pytest.mark.parametrize("data", ["mix", "voidclass", "anomalymix"])
def test_pooled_data_and_single_domains_have_one_stream_and_nothing_to_align(data: Any, enriched: Path) -> None:
    domains = {"voidclass": [enriched / "void"], "anomalymix": [enriched / "mix"]}
    config = MgcdaConfig(data=data)
    streams = streams_of(domains, config)
    expected = {"mix": [*domains["voidclass"], *domains["anomalymix"]]}.get(data) or domains[data]
    assert (streams, config.batch) == ([expected], 8)
    one = setting(streams, data=data, batch=2)
    assert set(one.task.modules) == set(one.task.optimizers) == {"network"}
    (phase,) = one.phases()
    assert set(phase.report) == {"ce"}
    assert phase.loss.item() == phase.report["ce"].item()
    for field, value in (("oda", True), ("fda", True), ("dls", True), ("contrastive", "cacl")):
        with pytest.raises(UserError, match=rf"^[^.]*{field}[^.]* needs data=multi-domain[^.]*, got {data}\.$"):
            resolve(MgcdaConfig, options={"data": data, field: value})


def test_multi_domain_keeps_the_domains_apart_and_needs_two(enriched: Path) -> None:
    domains = {"voidclass": [enriched / "void"], "anomalymix": [], "domain1": [enriched / "third"]}
    assert streams_of(domains, MgcdaConfig()) == [[enriched / "void"], [enriched / "third"]]
    assert MgcdaConfig().batch == 4
    for given in ({}, {"voidclass": [enriched / "void"]}):
        with pytest.raises(UserError, match="needs at least two domains"):
            streams_of(given, MgcdaConfig())
    with pytest.raises(UserError, match=r"data=anomalymix needs --anomalymix DIR\."):
        streams_of({"voidclass": [enriched / "void"]}, MgcdaConfig(data="anomalymix"))


def test_three_domains_are_told_apart_by_a_channel_each(enriched: Path) -> None:
    one = setting([[enriched / name] for name in ("void", "mix", "third")])
    _, output = output_of(one)
    assert one.task.modules["feature_classifier"](output.fused[3]).shape[1] == 3
    assert one.task.modules["output_classifier"](output.logits).shape[1] == 3
    phases = one.phases()
    assert [phase.optimizer for phase in phases] == ["network", "classifiers"]
    for phase in phases:
        phase.loss.backward()
        assert math.isfinite(phase.loss.item())


@pytest.mark.parametrize("label", [0, 255, 1])
@pytest.mark.parametrize("which", [(0,), (0, 1)], ids=["one domain", "both"])
def test_images_of_one_label_leave_everything_finite(label: int, which: tuple[int, ...], enriched: Path) -> None:
    one = two(enriched)
    batches = [
        replace(batch, anomaly=torch.full_like(batch.anomaly, label)) if number in which else batch
        for number, batch in enumerate(one.batches)
    ]
    for phase in replace(one, batches=batches).phases():
        assert math.isfinite(phase.loss.item())
        assert all(math.isfinite(term.item()) for term in phase.report.values())
        phase.loss.backward()
    for name, module in one.task.modules.items():
        found = gradients(module)
        assert set(found) == {key for key, _ in module.named_parameters()}, name
        assert all(bool(gradient.isfinite().all()) for gradient in found.values()), name
    if label == 255 and len(which) == 2:  # law 6: nothing is left to learn from
        assert not any(bool(g.any()) for module in one.task.modules.values() for g in gradients(module).values())


def test_void_positions_count_in_the_domain_losses_where_asked_for(enriched: Path) -> None:
    one, other = two(enriched), two(enriched, domain_void=True)
    before, after = one.report(), other.report()
    assert after["feature"] != before["feature"]
    assert after["output"] != before["output"]
    assert (after["ce"], after["contrast"]) == (before["ce"], before["contrast"])
