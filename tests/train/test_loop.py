"""The loop with a method of two networks, two optimisers and two streams, as an adversarial one is."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch import nn

from anomsynth.commands.training import print_run
from shards.errors import UserError
from train import loop
from train.cards import SEGMENTER
from train.checkpoint import LOG, CheckpointInfo, NetworkInfo, StartInfo
from train.config import TrainConfig
from train.data import Batch, TrainingPool, stream_seed
from train.ema import MovingAverage
from train.guard import Guard
from train.loop import RunSummary, fit
from train.machine import Machine
from train.methods.base import Method, Modules, Phase, Progress, Task
from train.optimizers import groups
from train.steps import Values

STEPS = 6
CPU = torch.device("cpu")


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.2)
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(self.norm(self.first(images)).relu()))


def prepare(network: nn.Module, config: TrainConfig, pools: Sequence[TrainingPool]) -> Task:
    """One network raises the mean where the picture is bright, the other tells the two streams apart."""
    critic = nn.Conv2d(1, 1, 3)
    optimizers: dict[str, torch.optim.Optimizer] = {
        "network": torch.optim.AdamW(groups(network.parameters(), weight_decay=0.1), lr=config.lr),
        "critic": torch.optim.SGD(groups(critic.parameters(), factor=0.5), lr=config.lr, momentum=0.9),
    }

    def step(modules: Modules, batches: Sequence[Batch], progress: Progress) -> Iterator[Phase]:
        one, two = (modules["network"](batch.images) for batch in batches)
        loss = (one - batches[0].images.mean(1, keepdim=True)).square().mean() + two.square().mean()
        yield Phase("network", loss, {"fit": loss.detach()})
        told = (modules["critic"](one.detach()).mean() - modules["critic"](two.detach()).mean()).sigmoid()
        yield Phase("critic", -told.log(), {"told": told.detach()})

    return Task({"network": network, "critic": critic}, optimizers, step)


METHOD = Method(card=SEGMENTER, config=TrainConfig, prepare=prepare, validate=lambda *_: ({"seen": 1.0}, []))


def train(
    shards: Path, run: Path, method: Method = METHOD, machine: dict[str, Any] | None = None, **fields: Any
) -> RunSummary:
    config = TrainConfig(**{"steps": STEPS, "batch": 2, "lr": 1e-2, **fields})
    run.mkdir(exist_ok=True)
    pools = [TrainingPool([shards], config, input_size=(64, 32), seed=stream_seed(0, number)) for number in (0, 1)]
    torch.manual_seed(0)
    info = CheckpointInfo(
        method="tiny", config=config.model_dump(mode="json"), network=NetworkInfo(name="tiny", options={}),
        input_size=(64, 32), seed=0, shards=[], start=StartInfo(kind="scratch"), saw=[], steps=STEPS, step=0,
        epoch=0.0, finished=False, tool={},
    )  # fmt: skip
    return fit(method, Tiny(), config, pools, run, info, Machine(CPU, log_every=2, **(machine or {})))


def state(run: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(run / "checkpoint.safetensors")


def curve(run: Path) -> list[dict[str, float]]:
    """Rows of the log, without what a clock has measured."""
    rows = [json.loads(line) for line in (run / LOG).read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("samples_per_second", "data_wait")} for row in rows]


def assert_same_run(one: Path, two: Path) -> None:
    a, b = state(one), state(two)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert curve(one) == curve(two)


def test_every_phase_is_logged_and_steps_its_own_optimiser(tiny_shards: Path, tmp_path: Path) -> None:
    summary = train(tiny_shards, tmp_path / "run")
    rows = curve(tmp_path / "run")
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert set(rows[0]) == {"step", "loss", "critic_loss", "fit", "told", "lr"}
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert (summary.samples, summary.finished, summary.loss) == (2 * 2 * STEPS, True, rows[-1]["loss"])
    assert 0 <= summary.data_wait <= 1
    written = json.loads((tmp_path / "run" / LOG).read_text().splitlines()[0])
    assert 0 <= written["data_wait"] <= 1
    assert written["samples_per_second"] > 0


def test_phases_see_the_weights_that_the_phase_before_left(tiny_shards: Path, tmp_path: Path) -> None:
    seen: list[float] = []

    def watching(network: nn.Module, config: TrainConfig, pools: Sequence[TrainingPool]) -> Task:
        task = prepare(network, config, pools)

        def step(modules: Modules, batches: Sequence[Batch], progress: Progress) -> Iterator[Phase]:
            for phase in task.step(modules, batches, progress):
                seen.append(modules["network"].last.bias.item())
                yield phase
                seen.append(modules["network"].last.bias.item())

        return replace(task, step=step)

    train(tiny_shards, tmp_path / "run", replace(METHOD, prepare=watching))
    before, after, then, last = seen[:4]
    assert before != after
    assert after == then == last


def test_the_streams_are_read_in_orders_of_their_own(tiny_shards: Path, tmp_path: Path) -> None:
    keys: list[tuple[tuple[str, ...], ...]] = []

    def watching(network: nn.Module, config: TrainConfig, pools: Sequence[TrainingPool]) -> Task:
        task = prepare(network, config, pools)

        def step(modules: Modules, batches: Sequence[Batch], progress: Progress) -> Iterator[Phase]:
            keys.append(tuple(batch.keys for batch in batches))
            assert all(len(batch.seeds) == len(batch.keys) for batch in batches)
            yield from task.step(modules, batches, progress)

        return replace(task, step=step)

    train(tiny_shards, tmp_path / "run", replace(METHOD, prepare=watching))
    one, two = ([key for step in keys for key in step[number]] for number in (0, 1))
    assert sorted(one[:10]) == sorted(two[:10]) == sorted(set(one))
    assert one[:10] != two[:10]


@pytest.mark.parametrize("fields", [{}, {"ema": 0.9, "accumulate": 2, "clip": 0.1}], ids=["plain", "everything"])
def test_interrupted_anywhere_the_run_and_its_curve_are_the_same(
    fields: dict[str, Any], tiny_shards: Path, tmp_path: Path
) -> None:
    train(tiny_shards, tmp_path / "whole", **fields)
    for stop in (1, 3, 5, None):
        train(tiny_shards, tmp_path / "parts", machine={"stop_at": stop}, **fields)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_step_end_and_saves(
    number: signal.Signals, tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny_shards, tmp_path / "whole")
    handlers = [signal.getsignal(which) for which in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    steps, take_step = [], loop.take_step

    def third(*arguments: Any) -> Values:
        steps.append(len(steps) + 1)
        if len(steps) == 3:
            os.kill(os.getpid(), number)
        return take_step(*arguments)

    monkeypatch.setattr(loop, "take_step", third)
    summary = train(tiny_shards, tmp_path / "stopped")
    monkeypatch.undo()
    assert (summary.step, summary.signal, summary.finished) == (3, number, False)
    assert [signal.getsignal(which) for which in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)] == handlers
    assert (tmp_path / "stopped" / "resume.pt").is_file()
    assert train(tiny_shards, tmp_path / "stopped").signal == 0
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_the_command_of_a_stopped_run_says_so_with_its_status(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    summary = RunSummary(tmp_path, "ovr", 9, 0, 3, 12, 2.0, 0.5, {}, None, data_wait=0.04, signal=signal.SIGTERM)
    with pytest.raises(typer.Exit) as left:
        print_run(summary)
    assert left.value.exit_code == 143
    said = capsys.readouterr()
    assert "steps 1 to 3 of 9 in 2 s (6.0 samples/s, 4% data wait), last loss 0.5000." in said.out
    assert said.err == "Stopped by SIGTERM; all is saved, and the same command goes on from there.\n"


def test_accumulated_gradients_are_the_mean_over_the_parts(tiny_shards: Path, tmp_path: Path) -> None:
    moved = {}
    for name, parts in (("whole", 1), ("parts", 2)):

        def plain(network: nn.Module, config: TrainConfig, pools: Sequence[TrainingPool]) -> Task:
            task = prepare(network.eval(), config, pools)  # batch norm and dropout see no batch
            optimizers = {key: torch.optim.SGD(task.modules[key].parameters(), lr=0.1) for key in task.modules}
            return replace(task, optimizers=optimizers)

        method = replace(METHOD, prepare=plain)
        train(tiny_shards, tmp_path / name, method, {"stop_at": 2}, batch=4, accumulate=parts)
        moved[name] = state(tmp_path / name)
    for key, value in moved["whole"].items():  # the loss is a mean over pixels, and the parts are equal
        torch.testing.assert_close(moved["parts"][key], value, rtol=1e-4, atol=1e-6)
    assert curve(tmp_path / "parts")[0]["loss"] == pytest.approx(curve(tmp_path / "whole")[0]["loss"], rel=1e-5)
    with pytest.raises(ValueError, match="batch must be a multiple of accumulate, got 4 and 3"):
        TrainConfig(batch=4, accumulate=3)


def test_the_exported_weights_are_the_moving_average(tiny_shards: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = {name: tensor.clone() for name, tensor in Tiny().state_dict().items()}
    for step in (1, 2, 3):
        train(tiny_shards, tmp_path / "raw", machine={"stop_at": step})
        decay = min(0.3, (1 + step) / (10 + step))
        for name, value in state(tmp_path / "raw").items():
            floating = value.is_floating_point()
            expected[name] = decay * expected[name] + (1 - decay) * value if floating else value
    train(tiny_shards, tmp_path / "averaged", machine={"stop_at": 3}, ema=0.3)
    for name, value in state(tmp_path / "averaged").items():
        torch.testing.assert_close(value, expected[name])
    assert not MovingAverage(Tiny(), 0.5).network.training


def values(loss: float, norm: float = 1.0) -> Values:
    return Values({"loss": torch.tensor(loss)}, {"fit": torch.tensor(loss)}, {"critic": torch.tensor(norm)})


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (values(float("nan")), r"The loss is nan at step 2 \(samples b, c\); lower lr"),
        (values(float("inf"), float("nan")), r"The loss is inf at step 2 \(samples b, c\)"),
        (values(1.0, float("inf")), r"The gradient of critic is inf at step 2 \(samples b, c\)"),
    ],
)
def test_a_late_look_still_names_the_step_that_broke(broken: Values, message: str) -> None:
    guard = Guard()
    guard.note(1, ("a",), values(0.5))
    guard.note(2, ("b", "c"), broken)
    guard.note(3, ("d",), values(float("nan"), float("nan")))
    with pytest.raises(UserError, match=message):
        guard.look()


def test_a_look_reads_all_steps_and_samples_once() -> None:
    guard = Guard()
    for step in (1, 2):
        guard.note(step, ("a", "b"), values(0.5 * step))
    guard.unreadable(2, [("reason", "detail")])
    seen, events = guard.look()
    assert [(one.terms, one.samples) for one in seen] == [({"loss": x, "fit": x}, 2) for x in (0.5, 1.0)]
    assert [(event.step, event.reason, event.detail) for event in events] == [(2, "reason", "detail")]
    assert guard.look() == ([], [])


def test_compiled_modules_keep_names_and_losses(tiny_shards: Path, tmp_path: Path) -> None:
    # Traced and differentiated ahead as for any backend; machine code would take a minute to make.
    for name, backend in (("plain", None), ("compiled", "aot_eager")):
        torch._dynamo.utils.counters.clear()
        train(tiny_shards, tmp_path / name, machine={"stop_at": 2, "compile": backend})
        assert (torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0) == (name == "compiled")
    assert state(tmp_path / "compiled").keys() == state(tmp_path / "plain").keys()
    assert curve(tmp_path / "compiled")[0]["loss"] == pytest.approx(curve(tmp_path / "plain")[0]["loss"], rel=1e-4)


def test_tensorboard_is_asked_for_in_one_sentence(
    tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        UserError, match=r"needs the package tensorboard; install it with `pip install 'anomsynth\[log\]'"
    ):
        train(tiny_shards, tmp_path / "run", machine={"tensorboard": True})


def test_tensorboard_gets_the_rows_of_the_log(tiny_shards: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `log` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for stop in (3, None):
        train(tiny_shards, tmp_path / "run", machine={"tensorboard": True, "stop_at": stop})
    read = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    drawn = [(event.step, event.value) for event in read.Scalars("loss")]
    assert [step for step, _ in drawn] == [2, 4, 6]
    assert [value for _, value in drawn] == pytest.approx([row["loss"] for row in curve(tmp_path / "run")])
