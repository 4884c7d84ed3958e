"""The training loop, from top to bottom, for every method.

What is method is in `methods/`; one step is in `steps.py`, where its batches come from in `feed.py`, what it tells in
`logs.py`, what it survives in `resume.py`, `guard.py` and `signals.py`, how processes share it in `ranks.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from shards.coded import SampleSet
from shards.progress import track
from shards.rng import generator
from train.checkpoint import RESUME, CheckpointInfo, save_checkpoint, truncate_logs
from train.config import TrainConfig
from train.data import TrainingPool, steps_per_epoch
from train.ema import MovingAverage
from train.feed import Feed
from train.guard import Guard
from train.logs import Log, open_board
from train.machine import Machine
from train.methods.base import Method, Progress, Task
from train.ranks import agree, check_batch_norm, own_device, rank, wrapped
from train.resume import load_resume, restore, save_resume
from train.schedule import learning_rate
from train.signals import Signals
from train.steps import take_step


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a call did.

    Attributes:
        run: the RUN folder.
        method: what was trained.
        steps: length of the run.
        first: the step at which this call began.
        step: the step at which it ended.
        samples: samples seen by this call, of all streams.
        seconds: that it took.
        loss: mean over the last rows of the log; None where no step was taken.
        rejected: samples that could not be read, by reason; `held-out ...` where they were to be judged.
        validation: figures on held-out shards, as fractions.
        data_wait: share of the seconds that the device waited for data.
        signal: number of the signal that ended the call before its time; 0 where none did.
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
    data_wait: float = 0.0
    signal: int = 0

    @property
    def finished(self) -> bool:
        """Whether the run reached its end."""
        return self.step == self.steps


def fit(
    method: Method,
    network: nn.Module,
    config: TrainConfig,
    pools: Sequence[TrainingPool],
    run: Path,
    info: CheckpointInfo,
    machine: Machine,
    val_shards: Sequence[SampleSet] = (),
) -> RunSummary:
    """Train, or go on training, until the end of the run, `machine.stop_at` or a signal.

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
        UserError: a loss or a gradient is not finite, no sample of a batch can be read, the batch cannot be shared
            out, or `resume.pt` is broken or of another run.
    """
    began = time.monotonic()
    device, steps = own_device(machine.device), info.steps

    # Model: what learns, what stays
    layout = memory_layout(device, machine)
    network = network.to(device).to(memory_format=layout)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()} if method.finish else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(info.seed, "prepare").integers(2**62)))
        task = method.prepare(network, config, pools)
    average = MovingAverage(network, config.ema) if config.ema is not None else None
    exported = network if average is None else average.network

    # Resume
    resume = load_resume(run, info)
    for name, module in task.modules.items():
        task.modules[name] = check_batch_norm(module, device).to(device).to(memory_format=layout)
    if resume is not None:
        restore(resume, task, average)
        info = info.model_copy(update={"step": resume.info.step, "rejected": resume.info.rejected})
    first = info.step
    stop = steps if machine.stop_at is None else max(first, min(steps, machine.stop_at))
    rejected = Counter(info.rejected)

    # Machine: processes, compilation; names of weights stay
    learning = learning_parameters(task)
    if machine.compile is not None:
        for module in task.modules.values():
            module.compile(backend=machine.compile)
    modules = {name: wrapped(module, device) for name, module in task.modules.items()}

    # Data: the position in every stream is the step
    feed = Feed(pools, config, device=device, workers=machine.workers, first=first, stop=stop)
    per_epoch = steps_per_epoch(pools, config.batch)
    if rank() == 0:
        truncate_logs(run, first)
    board = open_board(run, first) if machine.tensorboard and rank() == 0 else None
    log = Log(run, steps, pending=({}, 0) if resume is None else resume.pending, board=board)
    guard = Guard()

    def look() -> None:
        """Read the last steps from the device."""
        seen, events = guard.look()
        log.waits(feed.waits.take())
        for one in seen:
            log.add(one.terms, one.samples)
        rejected.update(event.reason for event in events)
        for event in events:
            log.event(event.step, {"rejected": event.reason, "detail": event.detail})

    def described(step: int, validation: dict[str, float] | None = None) -> CheckpointInfo:
        progress = {
            "step": step,
            "epoch": round(step / per_epoch, 4),
            "finished": step == steps,
            "rejected": dict(rejected),
            "validation": validation,
        }
        return info.model_copy(update=progress)

    def save(step: int) -> None:
        """Leave what the next call needs."""
        pending = log.pending()
        if rank() == 0:
            save_resume(run, described(step), task, average, pending)

    # Loop
    done, signal = first, 0
    with Signals() as signals:
        for step in track(
            range(first, stop), f"training {info.method}", total=stop - first, unit="steps", note=log.told
        ):
            try:
                batches, unreadable = ([], []) if signals.number else feed.next(step + 1)
            except RuntimeError:
                if not signals.number:  # which may have ended the workers too
                    raise
            if signal := agree(signals.number):
                break
            guard.unreadable(step + 1, unreadable)

            # Dropout draws from torch's own generator: seeding it by the step makes a resumed run the same run.
            words = ("torch", step) if rank() == 0 else ("torch", step, rank())
            torch.manual_seed(int(generator(info.seed, *words).integers(2**62)))
            rate = learning_rate(step, steps, config)
            for optimizer in task.optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = rate * group.get("factor", 1.0)
            values = take_step(task, modules, learning, batches, Progress(step, steps), config, device)
            done = step + 1
            if average is not None:
                average.update(task.modules["network"], done)
            guard.note(done, tuple(key for batch in batches for key in batch.keys), values)

            row, saving = done % machine.log_every == 0 or done == steps, done % machine.save_every == 0
            if device.type == "cpu" or row or saving:
                look()
            if row:
                log.write(done, rate)
            if saving and done != stop:
                save(done)
                if rank() == 0:
                    save_checkpoint(run, described(done), exported)

        # End: leave what the next call needs, should what follows fail
        look()
        save(done)
    # Then finish, evaluate, save: one process does it alone
    validation = None
    if rank() == 0:
        if done == steps and method.finish is not None:
            method.finish(exported, start, config)
        if done == steps and val_shards:
            validation, held_out = method.validate(exported, config, val_shards, device)
            rejected.update(f"held-out {reason}" for reason, _ in held_out)
            for reason, detail in held_out:
                log.event(steps, {"rejected": f"held-out {reason}", "detail": detail})
            log.validation(steps, validation)
        save_checkpoint(run, described(done, validation), exported)
        if done == steps:
            (run / RESUME).unlink(missing_ok=True)
        log.close()
    return RunSummary(
        run=run,
        method=info.method,
        steps=steps,
        first=first,
        step=done,
        samples=log.samples,
        seconds=time.monotonic() - began,
        loss=log.mean,
        rejected=dict(rejected),
        validation=validation,
        data_wait=log.waited,
        signal=signal,
    )


def memory_layout(device: torch.device, machine: Machine) -> torch.memory_format:
    """Channels last, which convolutions like best.

    Not for compiled modules on the CPU: PyTorch 2.15 traces backward passes there with other strides than the
    convolutions then have, and a view in the backward pass of an instance norm fails.
    """
    traced = machine.compile is not None and device.type == "cpu"
    return torch.contiguous_format if traced else torch.channels_last


def learning_parameters(task: Task) -> dict[str, list[nn.Parameter]]:
    """What each optimiser moves, in the order of the modules."""
    everything = [parameter for module in task.modules.values() for parameter in module.parameters()]
    found = {}
    for name, optimizer in task.optimizers.items():
        held = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        found[name] = [parameter for parameter in everything if parameter in held]
    return found
