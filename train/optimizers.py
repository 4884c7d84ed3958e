"""What learns, in groups, each at its own share of the schedule's learning rate."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn

from train.config import TrainConfig
from train.networks.base import SegmentationNetwork


def groups(
    parameters: Iterable[nn.Parameter],
    *,
    weight_decay: float = 0.0,
    factor: float = 1.0,
    held: Collection[nn.Parameter] = (),
) -> list[dict[str, Any]]:
    """Groups for any optimiser of PyTorch: kernels decay; biases and batch norm do not.

    Args:
        parameters: of a part of the network; those that do not learn are left out.
        weight_decay: of the kernels.
        factor: on the schedule's learning rate; the loop looks for it in the group.
        held: kernels that do not decay either.
    """
    split: dict[bool, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            split.setdefault(parameter.ndim > 1 and parameter not in held, []).append(parameter)
    return [
        {"params": some, "weight_decay": weight_decay if decays else 0.0, "factor": factor}
        for decays, some in split.items()
    ]


def segmenter_optimizer(network: SegmentationNetwork, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over what learns of a segmenter; a head with a void output does not decay.

    Output 19 gets no gradient, and decay would be all that moves it.
    """
    held = set(network.part("head").parameters()) if network.has_void else set()
    decoder = set(network.part("decoder").parameters())
    outside = [parameter for parameter in network.parameters() if parameter not in decoder]
    return torch.optim.AdamW(
        [
            *groups(outside, weight_decay=config.weight_decay, factor=config.encoder_lr, held=held),
            *groups(network.part("decoder").parameters(), weight_decay=config.weight_decay, held=held),
        ],
        lr=config.lr,
    )
