"""One step of a run: the phases of a method, each a forward pass, a backward pass and an optimiser's update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from train.config import TrainConfig
from train.data import Batch
from train.devices import autocast
from train.methods.base import Modules, Phase, Progress, Task
from train.ranks import world


@dataclass(frozen=True, slots=True)
class Values:
    """What a step came to: scalars that still lie on the device, so that nobody waits for it.

    Attributes:
        losses: by phase; `loss` is that of the network's optimiser, `NAME_loss` of another. Shares under several
            processes, as in `Phase`.
        terms: of the losses.
        norms: of the gradients by optimiser, before they are clipped; those of the joint batch.
    """

    losses: dict[str, Tensor] = field(default_factory=dict)
    terms: dict[str, Tensor] = field(default_factory=dict)
    norms: dict[str, Tensor] = field(default_factory=dict)


def take_step(
    task: Task,
    modules: Modules,
    learning: Mapping[str, Sequence[nn.Parameter]],
    batches: Sequence[Batch],
    progress: Progress,
    config: TrainConfig,
    device: torch.device,
) -> Values:
    """All phases of one step.

    Args:
        task: of the method.
        modules: its modules, wrapped where several processes learn.
        learning: parameters of each optimiser.
        batches: one of each stream, on the device, at least `config.accumulate` samples in each.
        progress: which step it is.
        config: accumulate, clip, precision.
        device: where the modules are.
    """
    parts = zip(*(batch.parts(config.accumulate) for batch in batches), strict=True)
    turns = [task.step(modules, part, progress) for part in parts]
    values = Values()
    while True:
        phases: list[Phase] = []
        for number, turn in enumerate(turns):
            with ExitStack() as stack:
                if number < len(turns) - 1:  # gradients cross between processes once, after the last part
                    for module in modules.values():
                        if isinstance(module, DistributedDataParallel):
                            stack.enter_context(module.no_sync())
                with autocast(device, config.precision):
                    phase = next(turn, None)
                if phase is None:
                    continue
                if not phases:
                    task.optimizers[phase.optimizer].zero_grad(set_to_none=True)
                scale = world() / len(turns)
                loss = phase.loss if scale == 1 else phase.loss * scale
                loss.backward()  # type: ignore[no-untyped-call]
            phases.append(phase)
        if not phases:
            return values
        name = phases[0].optimizer
        values.norms[name] = _clip(learning[name], config.clip)
        task.optimizers[name].step()
        values.losses["loss" if name == "network" else f"{name}_loss"] = _mean([phase.loss for phase in phases])
        for term in phases[0].report:
            values.terms[term] = _mean([phase.report[term] for phase in phases])


def _clip(parameters: Sequence[nn.Parameter], limit: float | None) -> Tensor:
    """Norm of the gradient, which is shortened to the limit where it is longer."""
    if limit is not None:
        return nn.utils.clip_grad_norm_(parameters, limit)
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def _mean(values: Sequence[Tensor]) -> Tensor:
    return values[0].detach() if len(values) == 1 else torch.stack([value.detach() for value in values]).mean()
