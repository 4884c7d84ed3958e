"""Runs of `train mgcda` and `train resynthesis`: what they leave, how they go on, what they refuse."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from shards.config import resolve
from shards.errors import UserError
from shards.sample import EXTRAS, Sample
from train.chain import Chain, load_chain
from train.chain_info import read_chain
from train.checkpoint import CheckpointInfo, load_run, read_info
from train.comparing import ComparingPredictor
from train.data import TrainingPool
from train.feed import Feed
from train.loop import RunSummary
from train.machine import Machine
from train.methods.mgcda import MgcdaConfig
from train.methods.mgcda import prepare as prepare_mgcda
from train.methods.resynthesis import ResynthesisConfig
from train.methods.resynthesis import prepare as prepare_resynthesis
from train.networks import build_network
from train.networks.dissimilarity import network_inputs
from train.networks.features import VGGFeatures
from train.networks.resynthesis import SpadeGenerator
from train.predictor import predictor_from
from train.run import fields_of_streams
from train.run_mgcda import common_chain, train_mgcda
from train.run_resynthesis import train_resynthesis

CPU = torch.device("cpu")


def learn(
    enriched: Path, out: Path, *, stop_at: int | None = None, steps: int = 3, sets: Any = None, **fields: Any
) -> RunSummary:
    config = MgcdaConfig(**{"steps": steps, "batch": 2, "anchors": 5, **fields})
    domains = sets or {"voidclass": [enriched / "void"], "anomalymix": [enriched / "mix"]}
    machine = Machine(CPU, log_every=1, stop_at=stop_at)
    return train_mgcda(domains, out, config=config, width=0.125, machine=machine)


def curve(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("samples_per_second", "data_wait")} for row in rows]


def assert_same_run(one: Path, two: Path) -> None:
    a, b = (load_file(run / "checkpoint.safetensors") for run in (one, two))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert curve(one) == curve(two)


@pytest.fixture(scope="module")
def trained(enriched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mgcda") / "run"
    learn(enriched, out)
    return out


def test_interrupted_anywhere_the_run_is_the_same(trained: Path, enriched: Path, tmp_path: Path) -> None:
    for stop in (1, 2, None):
        summary = learn(enriched, tmp_path / "run", stop_at=stop)
    assert summary.finished
    assert_same_run(trained, tmp_path / "run")
    terms = {"step", "lr", "loss", "classifiers_loss", "ce", "feature", "output", "contrast"}
    terms |= {"feature_classifier", "output_classifier"}
    assert [set(row) for row in curve(trained)] == [terms] * 3


def test_a_generator_goes_on_as_if_it_had_not_stopped(tiny_shards: Path, tmp_path: Path) -> None:
    for name, stops in (("whole", [None]), ("parts", [1, 2, None])):
        for stop in stops:
            config = ResynthesisConfig(steps=3, batch=2)
            machine = Machine(CPU, log_every=1, stop_at=stop)
            train_resynthesis([tiny_shards], tmp_path / name, config=config, width=0.125, machine=machine)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert set(curve(tmp_path / "whole")[0]) == {"step", "lr", "loss", "discriminator_loss", "gan", "matching"}
    network, info = load_run(tmp_path / "whole")
    assert isinstance(network, SpadeGenerator)
    assert info.input_size == (64, 32)
    assert set(load_file(tmp_path / "whole" / "checkpoint.safetensors")) == set(network.state_dict())


def test_vgg_is_told_by_its_weights_and_not_by_its_path(tiny_shards: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("a.pth", "b/a.pth", "other.pth")):
        torch.manual_seed(number // 2)
        state = VGGFeatures("vgg19").state_dict()
        (tmp_path / name).parent.mkdir(exist_ok=True)
        torch.save({f"features.{key.split('.', 2)[2]}": value for key, value in state.items()}, tmp_path / name)
    config, machine = ResynthesisConfig(steps=2, batch=2), Machine(CPU, log_every=1, stop_at=1)

    def learn_from(name: str) -> RunSummary:
        out, vgg = tmp_path / "run", tmp_path / name
        return train_resynthesis([tiny_shards], out, config=config, width=0.125, vgg=vgg, machine=machine)

    assert learn_from("a.pth").step == 1
    assert str(tmp_path) not in (tmp_path / "run" / "checkpoint.json").read_text()
    assert curve(tmp_path / "run")[0]["perceptual"] > 0
    with pytest.raises(UserError, match="an unfinished run with another start"):
        learn_from("other.pth")
    assert learn_from("b/a.pth").step == 1


def test_the_same_sets_in_other_domains_are_another_run(enriched: Path, tmp_path: Path) -> None:
    void, mix, third = (enriched / name for name in ("void", "mix", "third"))
    learn(enriched, tmp_path / "run", stop_at=1, sets={"a": [void, mix], "b": [third]})
    info = read_info(tmp_path / "run")
    assert [(found.folder, found.stream) for found in info.shards] == [("void", 0), ("mix", 0), ("third", 1)]
    with pytest.raises(UserError, match="an unfinished run with another shards"):
        learn(enriched, tmp_path / "run", sets={"a": [void], "b": [mix, third]})
    old = info.shards[0].model_dump(exclude={"stream"})
    assert type(info.shards[0]).model_validate(old).stream == 0


def test_a_generator_takes_what_it_can_paint(
    make_shards: Callable[[Sequence[Sample]], Path], make_sample: Callable[..., Sample], tmp_path: Path
) -> None:
    shards = make_shards([make_sample(i, width=80, height=48) for i in range(2)])
    config = ResynthesisConfig(steps=1, batch=2)
    train_resynthesis([shards], tmp_path / "run", config=config, width=0.125, machine=Machine(CPU))
    assert read_info(tmp_path / "run").input_size == (64, 32)
    for field in ("input_size", "crop"):
        with pytest.raises(UserError, match=rf"{field} must be multiples of 32, got 50x32\."):
            resolve(ResynthesisConfig, options={field: "50x32"})


def test_generator_and_discriminator_are_of_one_width(tiny_shards: Path) -> None:
    config = ResynthesisConfig(batch=2)
    pool = TrainingPool([tiny_shards], config, input_size=(64, 32), seed=0)
    for judge_width, channels in ((None, 8), (0.5, 32)):
        fields = config.model_copy(update={"judge_width": judge_width})
        task = prepare_resynthesis(SpadeGenerator(width=0.125, input_size=(64, 32)), fields, [pool])
        assert task.modules["discriminator"].get_parameter("scales.0.layers.0.0.weight").shape[0] == channels
        assert {group["factor"] for group in task.optimizers["discriminator"].param_groups} == {4.0}


@pytest.mark.parametrize(
    "fields",
    [{}, {"oda": False, "fda": False, "contrastive": "none"}, {"adversary": "reversal"}, {"data": "mix"}],
    ids=["all", "none", "reversal", "mix"],
)
def test_what_only_helped_to_learn_is_not_exported(fields: dict[str, Any], enriched: Path, tmp_path: Path) -> None:
    learn(enriched, tmp_path / "run", steps=1, **fields)
    info = read_info(tmp_path / "run")
    expected = build_network("dissimilarity", **info.network.options).state_dict()
    found = load_file(tmp_path / "run" / "checkpoint.safetensors")
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        name: tuple(value.shape) for name, value in expected.items()
    }
    assert info.saw == ["a/b", "painted/train", "tiny/train"]


def test_the_run_holds_its_chain(trained: Path, enriched: Path) -> None:
    assert read_chain(trained / "chain") == read_chain(enriched / "void" / "chain")
    assert sorted(path.name for path in (trained / "chain").iterdir()) == [
        "chain.json",
        "generator.safetensors",
        "segmenter.safetensors",
    ]
    predictor = predictor_from(checkpoint=trained, device="cpu")
    assert isinstance(predictor, ComparingPredictor)
    assert predictor.score_names == ("anomaly", "ensemble")
    told = {name: predictor.describe[name] for name in ("method", "features", "width")}
    assert told == {"method": "mgcda", "features": "segmenter", "width": 0.125}
    assert predictor.describe["chain"] == load_chain(trained / "chain", CPU).describe


def test_it_starts_from_the_segmenters_encoder(enriched: Path, tmp_path: Path) -> None:
    learn(enriched, tmp_path / "run", steps=2, stop_at=0)
    found = load_file(tmp_path / "run" / "checkpoint.safetensors")
    segmenter = load_file(enriched / "void" / "chain" / "segmenter.safetensors")
    copied = {name.removeprefix("encoder.features."): value for name, value in found.items() if ".features." in name}
    assert len(copied) > 4
    assert all(torch.equal(value, segmenter[name]) for name, value in copied.items())


def test_a_network_sees_at_test_time_what_it_saw_in_training(
    trained: Path,
    untrained: Callable[[int], Chain],
    make_enriched: Callable[[Path, Chain, Sequence[Sample]], Path],
    make_sample: Callable[..., Sample],
    tmp_path: Path,
) -> None:
    sample = make_sample(40)
    folder = make_enriched(tmp_path / "set", untrained(0), [sample])
    config = MgcdaConfig(flip=0, batch=1)
    pool = TrainingPool([folder], config, input_size=(64, 32), seed=0, extras=EXTRAS)
    ((batch,), _) = Feed([pool], config, device=CPU, workers=0, first=0, stop=1).next(1)
    network, _ = load_run(trained)
    with torch.inference_mode():
        expected = network(*network_inputs(batch.pixels, batch.extras)).logits.softmax(1)[0, 1].numpy()
    predictor = predictor_from(checkpoint=trained, device="cpu")
    found = predictor.predict(sample.image, ["anomaly", "ensemble"], semantic=True)
    np.testing.assert_array_equal(found.scores["anomaly"], expected)
    assert found.semantic is not None
    np.testing.assert_array_equal(found.semantic, batch.extras["predicted"][0])

    entropy = batch.extras["entropy"][0].numpy().astype(np.float32) / np.float32(255)
    mixed = np.float32(0.75) * expected + np.float32(0.25) * entropy
    np.testing.assert_array_equal(found.scores["ensemble"], mixed)
    orders = [np.argsort(score, axis=None, kind="stable") for score in found.scores.values()]
    assert not np.array_equal(*orders)

    larger = np.repeat(np.repeat(sample.image, 2, 0), 2, 1)
    assert predictor.predict(larger, ["ensemble"]).scores["ensemble"].shape == (64, 128)
    assert set(predictor.predict(larger, ["ensemble"]).scores) == {"ensemble"}


def test_held_out_enriched_shards_are_judged(enriched: Path, tmp_path: Path) -> None:
    config = MgcdaConfig(steps=1, batch=2, anchors=5)
    domains = {"voidclass": [enriched / "void"], "anomalymix": [enriched / "mix"]}
    summary = train_mgcda(
        domains, tmp_path / "run", config=config, width=0.125, machine=Machine(CPU), val_shards=[enriched / "third"]
    )
    assert summary.validation is not None
    assert set(summary.validation) == {"anomaly_AP", "anomaly_FPR95"}
    assert all(0 < value <= 1 for value in summary.validation.values())


COMPILED = """
import sys
from pathlib import Path

import torch

from train.machine import Machine
from train.methods.mgcda import MgcdaConfig
from train.run_mgcda import train_mgcda

torch.set_num_threads(1)
enriched, folder = map(Path, sys.argv[1:])
domains = {"voidclass": [enriched / "void"], "anomalymix": [enriched / "mix"]}
config = MgcdaConfig(steps=2, batch=2, anchors=5)
for name, backend in (("plain", None), ("compiled", "aot_eager")):
    torch._dynamo.utils.counters.clear()
    machine = Machine(torch.device("cpu"), log_every=1, compile=backend)
    train_mgcda(domains, folder / name, config=config, width=0.125, machine=machine)
    # Network, projector and both classifiers, these held still too
    assert (torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 4) == (name == "compiled")
"""


def test_compiled_modules_keep_names_and_terms(enriched: Path, tmp_path: Path) -> None:
    # In a process without the checks of types at run time, which nothing can trace.
    done = subprocess.run(
        [sys.executable, "-c", COMPILED, str(enriched), str(tmp_path)],
        capture_output=True, text=True, timeout=600, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("plain", "compiled"))
    assert one.keys() == two.keys()
    for term, value in curve(tmp_path / "plain")[0].items():
        assert curve(tmp_path / "compiled")[0][term] == pytest.approx(value, rel=1e-4), term


RANKS = """
from dataclasses import replace

from train.machine import Machine
from train import run
from train.methods import mgcda
from train.run_mgcda import train_mgcda


def prepare(network, config, pools):
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    return mgcda.prepare(network.double(), config, pools)


# Plain descent, since Adam hides a wrong scale of the gradients.
mgcda._adam = lambda parameters, config: torch.optim.SGD(parameters, lr=config.lr)
if {double}:
    run.METHODS = {{"mgcda": replace(mgcda.METHOD, prepare=prepare)}}
config = mgcda.MgcdaConfig(steps=20, batch=4, anchors=5, **{fields})
domains = {{"voidclass": [shards / "void"], "anomalymix": [shards / "mix"]}}
train_mgcda(domains, out, config=config, width=0.125, machine=Machine(torch.device("cpu"), log_every=1))
"""


@pytest.mark.parametrize(
    ("fields", "double", "bound"),
    [
        # A fresh contrast tears roundings apart, tenfold a step, until a pixel is drawn that was not, and so do large
        # steps: in double precision 20 of them are too few for that. In single precision the step is the published
        # one, without the contrast.
        ({"lr": 1e-2}, True, 1e-9),
        ({"lr": 1e-2, "adversary": "reversal", "accumulate": 2}, True, 1e-9),
        ({"lr": 1e-4, "contrastive": "none"}, False, 1e-5),
    ],
)
def test_two_processes_learn_what_one_does(
    enriched: Path,
    tmp_path: Path,
    joint_curves: Callable[[str, Path], tuple[list[dict[str, float]], ...]],
    fields: Mapping[str, object],
    double: bool,
    bound: float,
) -> None:
    alone, together = joint_curves(RANKS.format(fields=fields, double=double), enriched)
    assert [row["step"] for row in together] == [*range(1, 21)]
    terms = alone[0].keys() - {"step", "lr", "samples_per_second", "data_wait"}
    assert {"loss", "ce", "feature", "output"} <= terms
    assert ("contrast" in terms) == ("contrastive" not in fields)
    assert ("classifiers_loss" in terms) == ("adversary" not in fields)
    for one, two in zip(alone, together, strict=True):
        for term in terms:
            assert two[term] == pytest.approx(one[term], rel=bound), (one["step"], term)
    assert not double or alone[-1]["ce"] < 0.9 * alone[0]["ce"]
    before, after = (load_file(tmp_path / f"of-{n}" / "checkpoint.safetensors") for n in (1, 2))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=bound, atol=bound)


def test_a_step_in_bfloat16_keeps_float32_weights_and_terms(trained: Path, enriched: Path, tmp_path: Path) -> None:
    learn(enriched, tmp_path / "run", precision="bfloat16")
    exact, low = curve(trained)[0], curve(tmp_path / "run")[0]
    assert low != exact
    for term in ("loss", "ce", "feature", "output", "contrast"):
        assert low[term] == pytest.approx(exact[term], rel=0.05), term
    weights = load_file(tmp_path / "run" / "checkpoint.safetensors")
    assert {value.dtype for name, value in weights.items() if value.is_floating_point()} == {torch.float32}


GENERATOR = """
from train.machine import Machine
from train.methods import resynthesis
from train.run_resynthesis import train_resynthesis

# Plain descent in double precision: Adam's first step is the sign of a gradient, and that of a bias in front of a
# normalisation is the sign of a rounding.
torch.Tensor.float = torch.Tensor.double
torch.set_default_dtype(torch.float64)
resynthesis._adam = lambda module, config, factor: torch.optim.SGD(module.parameters(), lr=factor * config.lr)
config = resynthesis.ResynthesisConfig(steps=20, batch=4, lr=1e-3)
machine = Machine(torch.device("cpu"), log_every=1)
train_resynthesis([shards / "void"], out, config=config, width=0.125, machine=machine)
"""


def test_two_processes_learn_to_paint_what_one_does(
    enriched: Path, tmp_path: Path, joint_curves: Callable[[str, Path], tuple[list[dict[str, float]], ...]]
) -> None:
    alone, together = joint_curves(GENERATOR, enriched)
    assert [row["step"] for row in together] == [*range(1, 21)]
    for one, two in zip(alone, together, strict=True):
        for term in ("loss", "discriminator_loss", "gan", "matching"):
            # `gan` is a mean of numbers around 1 of either sign, and may be next to nothing
            assert two[term] == pytest.approx(one[term], rel=1e-9, abs=1e-9), (one["step"], term)
    assert abs(alone[-1]["matching"] / alone[0]["matching"] - 1) > 0.01
    before, after = (load_file(tmp_path / f"of-{n}" / "checkpoint.safetensors") for n in (1, 2))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-9, atol=1e-9)


def refused(match: str, domains: Mapping[str, Sequence[Path]], out: Path, **options: Any) -> None:
    with pytest.raises(UserError, match=match) as said:
        train_mgcda(domains, out, **{"width": 0.125, "machine": Machine(CPU), **options})
    assert "\n" not in str(said.value)
    assert not out.exists()


def test_sets_that_do_not_fit_are_one_sentence_and_leave_nothing(
    enriched: Path,
    tiny_shards: Path,
    untrained: Callable[[int], Chain],
    make_enriched: Callable[[Path, Chain, Sequence[Sample]], Path],
    make_sample: Callable[..., Sample],
    tmp_path: Path,
) -> None:
    out, void = tmp_path / "run", [enriched / "void"]
    refused("set is not enriched: `anomsynth enrich", {"voidclass": void, "anomalymix": [tiny_shards]}, out)
    other = make_enriched(tmp_path / "other", untrained(1), [make_sample(0)])
    refused(
        "were enriched with another segmenter, generator: enrich", {"voidclass": void, "anomalymix": [other]}, out
    )
    refused(
        "were enriched with another segmenter, generator: enrich",
        {"a": void, "b": [enriched / "mix"]},
        out,
        val_shards=[other],
    )
    refused(
        r"enriched at 64x32, so input_size cannot be 128x64",
        {"a": void, "b": [enriched / "mix"]},
        out,
        config=MgcdaConfig(input_size=(128, 64)),
    )
    refused("needs at least two domains, got voidclass", {"voidclass": void, "anomalymix": []}, out)
    for domains in ({"a": void, "b": void}, {"a": void + void, "b": [enriched / "mix"]}):
        refused("void is given twice: each domain needs shards of its own", domains, out)
    known = make_enriched(tmp_path / "known", untrained(0), [make_sample(0, anomaly=False)])
    refused("There is no anomaly pixel in .*known", {"voidclass": void, "anomalymix": [known]}, out)
    shutil.copytree(enriched / "mix", tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / "chain")
    refused(r"no chain/chain\.json in .*bare", {"voidclass": void, "anomalymix": [tmp_path / "bare"]}, out)


def test_a_pipeline_may_lie_in_two_places(enriched: Path, tmp_path: Path) -> None:
    asked = {"prompt": "a street", "steps": 2, "guidance": 1.0, "seed": 0}
    for name, change in {"one": {}, "two": {"folder": "elsewhere"}, "other": {"prompt": "a wet street"}}.items():
        shutil.copytree(enriched / "void", tmp_path / name)
        file = tmp_path / name / "chain" / "chain.json"
        generator = {"kind": "diffusers", "folder": "here", "sha256": "0", **asked, **change}
        file.write_text(json.dumps({**json.loads(file.read_text()), "generator": generator}))
    assert common_chain([tmp_path / "one", tmp_path / "two"]).generator.kind == "diffusers"
    with pytest.raises(UserError, match="were enriched with another generator: enrich both alike"):
        common_chain([tmp_path / "one", tmp_path / "other"])


def test_weights_that_do_not_fit_are_one_sentence_and_leave_nothing(enriched: Path, tmp_path: Path) -> None:
    out, domains = tmp_path / "run", {"a": [enriched / "void"], "b": [enriched / "mix"]}
    wrong = enriched / "void" / "chain" / "segmenter.safetensors"
    refused("ImageNet weights of vgg16 fit width 1 alone", domains, out, vgg=wrong)
    refused("does not hold torchvision's weights of vgg16", domains, out, vgg=wrong, width=1.0)
    refused("give --features vgg16", domains, out, vgg=wrong, features="segmenter")
    shutil.copytree(enriched / "void", tmp_path / "void")
    shutil.copy(enriched / "void" / "chain" / "generator.safetensors", tmp_path / "void/chain/segmenter.safetensors")
    refused("does not hold weights of LiteFPN", {"a": [tmp_path / "void"], "b": [enriched / "mix"]}, out)


def test_vgg_of_another_width_needs_weights(enriched: Path, tmp_path: Path) -> None:
    domains = {"a": [enriched / "void"], "b": [enriched / "mix"]}
    refused("VGG16 fit width 1, got 0.125: leave --width away", domains, tmp_path / "run", features="vgg16")


def test_other_rates_for_the_features_and_repeats_over_all_streams(enriched: Path, tmp_path: Path) -> None:
    config = MgcdaConfig(steps=1, batch=2, anchors=5, encoder_lr=0.25, repeat=(3, 1, 2))
    size = (64, 32)
    streams = [[enriched / "void", enriched / "third"], [enriched / "mix"]]
    pools = [
        TrainingPool(sets, fields, input_size=size, seed=0, extras=EXTRAS)
        for sets, fields in zip(streams, fields_of_streams(config, streams), strict=True)
    ]
    assert [len(pool) for pool in pools] == [8 * (3 + 1), 8 * 2]
    with pytest.raises(UserError, match=r"one number for each of the 3 shard sets, got \[1, 2\]"):
        fields_of_streams(config.model_copy(update={"repeat": (1, 2)}), streams)
    network = build_network("dissimilarity", **read_info_of(enriched, tmp_path).network.options)
    task = prepare_mgcda(network, config, pools)
    slow = {
        one for group in task.optimizers["network"].param_groups if group["factor"] == 0.25 for one in group["params"]
    }
    assert slow == set(network.encoder.features.parameters())
    assert {group["factor"] for group in task.optimizers["network"].param_groups} == {0.25, 1.0}
    with pytest.raises(ValueError, match="a generator has no encoder"):
        ResynthesisConfig(encoder_lr=0.5)


def read_info_of(enriched: Path, folder: Path) -> CheckpointInfo:
    learn(enriched, folder / "one", steps=1)
    return read_info(folder / "one")


def test_another_run_is_refused_and_keeps_its_chain(
    trained: Path,
    untrained: Callable[[int], Chain],
    make_enriched: Callable[[Path, Chain, Sequence[Sample]], Path],
    make_sample: Callable[..., Sample],
    enriched: Path,
    tmp_path: Path,
) -> None:
    others = {
        name: [make_enriched(tmp_path / name, untrained(1), [make_sample(i) for i in range(start, start + 2)])]
        for name, start in (("voidclass", 0), ("anomalymix", 2))
    }
    shutil.copytree(trained, tmp_path / "finished")
    learn(enriched, tmp_path / "unfinished", stop_at=1)
    for name in ("finished", "unfinished"):
        before = {path.name: path.read_bytes() for path in (tmp_path / name / "chain").iterdir()}
        with pytest.raises(UserError, match=rf"{name} run with another"):
            learn(enriched, tmp_path / name, sets=others)
        assert before == {path.name: path.read_bytes() for path in (tmp_path / name / "chain").iterdir()}
    assert math.isfinite(learn(enriched, tmp_path / "unfinished").loss or math.nan)
