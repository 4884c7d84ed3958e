"""The contract of a method: prepare a network, then give the loss of each batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from shards.cards import Card
from shards.labels import IGNORE, KNOWN
from train.config import TrainConfig
from train.data import Batch, TrainingPool
from train.networks.base import Part, SegmentationNetwork

Report = Mapping[str, Float[Tensor, ""]]
"""Terms of the loss by name, detached, for the log."""


Finish = Callable[[SegmentationNetwork, Mapping[str, Tensor], Any], None]
"""(network as it was tuned, state dict of the start network, config): changes the network in place."""


Step = Callable[[SegmentationNetwork, Batch], tuple[Tensor, Report]]
"""(network, batch) -> (the scalar loss to be minimised, its terms); the loop does the rest."""


@dataclass(frozen=True, slots=True)
class Method:
    """A row of `METHODS`.

    Attributes:
        card: name and paper.
        config: the configuration class.
        prepare: (network with its start weights, config, pool) -> step; says what learns and what stays.
        finish: what is done once after the last step; nothing without it.
    """

    card: Card
    config: type[TrainConfig]
    prepare: Callable[[SegmentationNetwork, Any, TrainingPool], Step]
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
