"""The contract of a method: prepare what learns, then give each step's losses, one optimiser's after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from shards.cards import Card
from shards.coded import SampleSet
from shards.labels import IGNORE, KNOWN
from train.config import TrainConfig
from train.data import Batch, TrainingPool
from train.networks.base import Part, SegmentationNetwork

Report = Mapping[str, Float[Tensor, ""]]
"""Terms of the loss by name, detached, for the log."""

Modules = Mapping[str, nn.Module]
"""What learns, by name. `network` is what is exported (its moving average where there is one); the others only learn
with it. Under several processes a module here is wrapped: its attributes are those of `ranks.bare(module)`."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One optimiser's update within a step.

    Attributes:
        optimizer: its key in `Task.optimizers`.
        loss: the scalar to be minimised, float32; under several processes this process's share of the joint loss,
            see `train/ranks.py`: the shares add up to it.
        report: its terms, in shares like the loss; the same names at every step.
    """

    optimizer: str
    loss: Float[Tensor, ""]
    report: Report


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: `step` of `steps` is about to be taken, counted from 0."""

    step: int
    steps: int


Step = Callable[[Modules, Sequence[Batch], Progress], Iterator[Phase]]
"""(modules, one batch of each stream, progress) -> a generator of phases. After each yield the loop does the backward
pass, the clipping and the optimiser's step, so what follows sees the new weights. With `accumulate` the generators of
all parts of the batch go side by side: the first phase of each, one update, the second phase of each."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a method makes of a network and a configuration.

    Attributes:
        modules: what learns, `network` among them; the loop moves them to the device.
        optimizers: by name; `network` is that of the main loss. Each group carries the `factor` of its learning rate
            on the schedule's (`train/optimizers.py`).
        step: gives the losses.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    step: Step


Finish = Callable[[Any, Mapping[str, Tensor], Any], None]
"""(network as it was tuned, state dict of the start network, config): changes the network in place."""

Figures = tuple[dict[str, float], list[tuple[str, str]]]
"""Figures by name, as fractions; (reason, detail) of the held-out samples that could not be read."""

Validate = Callable[[Any, Any, Sequence[SampleSet], torch.device], Figures]
"""(network, config, held-out shard sets, device) -> figures."""


@dataclass(frozen=True, slots=True)
class Method:
    """A row of `METHODS`.

    Attributes:
        card: name and paper.
        config: the configuration class.
        prepare: (network with its start weights, config, one pool a stream) -> task; says what learns and what stays.
            Fresh weights that it draws from torch's generator depend on the run's seed alone.
        validate: judges the exported network on held-out shards after the last step.
        finish: what is done once after the last step; nothing without it.
    """

    card: Card
    config: type[TrainConfig]
    prepare: Callable[[Any, Any, Sequence[TrainingPool]], Task]
    validate: Validate
    finish: Finish | None = None


def let_learn(
    network: SegmentationNetwork, which: Part, *, batch_norm: Literal["frozen", "learn"], dropout: bool
) -> None:
    """Freeze a network but for one part. What is frozen is in eval mode too (methods.md, trap J1).

    Args:
        network: changed in place.
        which: the part whose weights learn.
        batch_norm: `frozen` keeps the statistics of the part's batch norm (its scale and shift learn);
            `learn` lets them follow the batches.
        dropout: whether the part drops features while it learns.
    """
    network.eval().requires_grad_(False)
    part = network.part(which).requires_grad_(True)
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(batch_norm == "learn")
        elif isinstance(module, (nn.Dropout, nn.Dropout2d)):
            module.train(dropout)


def known_labels(batch: Batch, size: tuple[int, int]) -> UInt8[Tensor, "n h w"]:
    """TrainIds of the pixels that are known and labelled, 255 elsewhere, at the size of the logits.

    Args:
        batch: anomaly and semantic maps.
        size: (height, width) of the logits before any final upsampling.
    """
    return at_size(batch.semantic.masked_fill(batch.anomaly != KNOWN, IGNORE), size)


def at_size(labels: UInt8[Tensor, "n h w"], size: tuple[int, int]) -> UInt8[Tensor, "n ch cw"]:
    """Labels resized to the logits: nearest, so that no label is invented."""
    if tuple(labels.shape[1:]) == size:
        return labels
    return functional.interpolate(labels[:, None], size, mode="nearest-exact")[:, 0]
