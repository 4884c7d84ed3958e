"""The training loop, from top to bottom. What is method is in `methods/`, what is data in `data.py`."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from shards.errors import UserError
from shards.progress import track
from shards.rng import generator
from shards.stream import EpochSampler, stream
from train.checkpoint import (
    LOG,
    LOG_TEXT,
    RESUME,
    CheckpointInfo,
    load_resume,
    save_checkpoint,
    save_resume,
    truncate_logs,
)
from train.config import TrainConfig
from train.data import TrainingPool, collate
from train.devices import autocast
from train.methods.base import Method, Progress
from train.networks import SegmentationNetwork
from train.schedule import learning_rate


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run is done with; none of it changes what is learnt, but for rounding between devices.

    Attributes:
        device: where the network runs.
        workers: processes that decode and augment; 0 does it between the steps.
        save_every: steps between two savings.
        log_every: steps between two rows of the log.
        stop_at: save and leave after this step, to go on with the same command; to the end without it.
    """

    device: torch.device
    workers: int = 0
    save_every: int = 200
    log_every: int = 10
    stop_at: int | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a call did.

    Attributes:
        run: the RUN folder.
        method: what was trained.
        steps: length of the run.
        first: the step at which this call began.
        step: the step at which it ended.
        samples: samples seen by this call.
        seconds: that it took.
        loss: mean over the last rows of the log; None where no step was taken.
        rejected: samples that could not be read, by reason; `held-out ...` where they were to be judged.
        validation: figures on held-out shards, as fractions.
    """

    run: Path
    method: str
    steps: int
    first: int
    step: int
    samples: int
    seconds: float
    loss: float | None
    rejected: dict[str, int]
    validation: dict[str, float] | None

    @property
    def finished(self) -> bool:
        """Whether the run reached its end."""
        return self.step == self.steps


def fit(
    method: Method,
    network: SegmentationNetwork,
    config: TrainConfig,
    pools: Sequence[TrainingPool],
    run: Path,
    info: CheckpointInfo,
    machine: Machine,
    val_shards: Sequence[Path] = (),
) -> RunSummary:
    """Train, or go on training, until the end of the run or `machine.stop_at`.

    Args:
        method: gives the loss.
        network: with its start weights, also when the run goes on (a method may compare with them).
        config: of the method.
        pools: the samples, one pool a stream.
        run: where everything is written; exists.
        info: the run's description at step 0.
        machine: device, workers, how often to save and log.
        val_shards: judged at the end.

    Raises:
        UserError: the loss is not finite, no sample of a batch can be read, or `resume.pt` is broken or of
            another run.
    """
    began = time.monotonic()

    # Model: what learns, what stays
    network = network.to(machine.device).to(memory_format=torch.channels_last)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    task = method.prepare(network, config, pools)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = task.optimizers["network"]

    # Resume
    resumed = load_resume(run)
    if resumed is not None:
        before, weights, optimizer_state = resumed
        difference = before.same_run(info)
        if difference is not None:
            raise UserError(f"{run} holds an unfinished run with another {difference}; choose another --out.")
        network.load_state_dict(weights)
        optimizer.load_state_dict(optimizer_state)
        info = info.model_copy(update={"step": before.step, "rejected": before.rejected})
    first, steps = info.step, info.steps
    stop = steps if machine.stop_at is None else max(first, min(steps, machine.stop_at))
    rejected = Counter(info.rejected)
    truncate_logs(run, first)

    # Data: the position in the stream is the step
    pool = pools[0]
    sampler = EpochSampler(len(pool), batch_size=config.batch, seed=info.seed, start=first, steps=stop)
    batches = iter(stream(pool, sampler, collate, workers=machine.workers, pin_memory=machine.device.type == "cuda"))

    def described(step: int, validation: dict[str, float] | None = None) -> CheckpointInfo:
        progress = {
            "step": step,
            "epoch": round(step / sampler.batches_per_epoch, 4),
            "finished": step == steps,
            "rejected": dict(rejected),
            "validation": validation,
        }
        return info.model_copy(update=progress)

    # Loop
    log = Log(run, steps)
    samples, loss_value = 0, None
    for step in track(range(first, stop), f"training {info.method}", total=stop - first, unit="steps"):
        batch, unreadable = next(batches)
        rejected.update(reason for reason, _ in unreadable)
        for reason, detail in unreadable:
            log.event(step + 1, {"rejected": reason, "detail": detail})
        if batch is None:
            raise UserError(
                f"No sample of step {step + 1} can be read ({unreadable[0][1]}); look with `anomsynth check`."
            )

        # Dropout draws from torch's own generator: seeding it by the step makes a resumed run the same run.
        torch.manual_seed(int(generator(info.seed, "torch", step).integers(2**62)))
        rate = learning_rate(step, steps, config)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        with autocast(machine.device, config.precision):
            phase = next(task.step(task.modules, [batch.to(machine.device)], Progress(step, steps)))
            loss, report = phase.loss, phase.report
        loss_value = float(loss.detach())
        if not math.isfinite(loss_value):
            raise UserError(
                f"The loss is {loss_value} at step {step + 1} (samples {', '.join(batch.keys)}); lower lr, or look "
                "at these samples with `anomsynth inspect`."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if config.clip is not None:
            nn.utils.clip_grad_norm_(learning, config.clip)
        optimizer.step()

        samples += len(batch.keys)
        log.add(loss_value, {name: float(term) for name, term in report.items()}, len(batch.keys))
        done = step + 1
        if done % machine.log_every == 0 or done == stop:
            log.write(done, rate)
        if done % machine.save_every == 0 and done != stop:
            save_resume(run, described(done), network, optimizer)
            save_checkpoint(run, described(done), network)

    # End: leave what the next call needs, should what follows fail; then finish, evaluate, save
    save_resume(run, described(stop), network, optimizer)
    validation = None
    if stop == steps and method.finish is not None:
        method.finish(network, start, config)
    if stop == steps and val_shards:
        validation, unreadable = method.validate(network, config, val_shards, machine.device)
        rejected.update(f"held-out {reason}" for reason, _ in unreadable)
        for reason, detail in unreadable:
            log.event(steps, {"rejected": f"held-out {reason}", "detail": detail})
        log.event(steps, {"validation": validation})
    save_checkpoint(run, described(stop, validation), network)
    if stop == steps:
        (run / RESUME).unlink(missing_ok=True)
    return RunSummary(
        run=run,
        method=info.method,
        steps=steps,
        first=first,
        step=stop,
        samples=samples,
        seconds=time.monotonic() - began,
        loss=log.last if log.last is not None else loss_value,
        rejected=dict(rejected),
        validation=validation,
    )


class Log:
    """Rows for machines in log.jsonl, lines for people in log.txt; each the mean since the one before."""

    def __init__(self, run: Path, steps: int) -> None:
        self._run, self._steps = run, steps
        self._began = self._since = time.monotonic()
        self._rounds = self._samples = self._done = 0
        self._sums: dict[str, float] = {}
        self.last: float | None = None

    def add(self, loss: float, report: dict[str, float], samples: int) -> None:
        """Take note of one step."""
        for name, value in {"loss": loss, **report}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._rounds += 1
        self._done += 1
        self._samples += samples

    def write(self, step: int, rate: float) -> None:
        """Write the means since the last row."""
        now = time.monotonic()
        means = {name: total / self._rounds for name, total in self._sums.items()}
        speed = self._samples / max(now - self._since, 1e-9)
        left = (self._steps - step) * (now - self._began) / self._done
        self._append(LOG, json.dumps({"step": step, **means, "lr": rate, "samples_per_second": speed}))
        terms = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        self._append(
            LOG_TEXT,
            f"step {step}/{self._steps}  {terms}  lr {rate:.2e}  {speed:.1f} samples/s  {left:.0f} s left",
        )
        self.last = means["loss"]
        self._since, self._rounds, self._samples = now, 0, 0
        self._sums.clear()

    def event(self, step: int, what: dict[str, object]) -> None:
        """Write something that happened once."""
        self._append(LOG, json.dumps({"step": step, **what}))
        self._append(LOG_TEXT, f"step {step}/{self._steps}  {json.dumps(what)}")

    def _append(self, name: str, line: str) -> None:
        with (self._run / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
