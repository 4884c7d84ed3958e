"""The processes that train together: who is who, and sums and rows over all of them.

One process needs no set-up: every function is then the identity. A loss is a rank's share of the loss of the joint
batch: local sum / `total(count)`; the shares of all ranks add up to it. DistributedDataParallel takes the mean of the
ranks' gradients, so the loop multiplies a share by `world()` before backward.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Num, Shaped
from torch import Tensor, distributed


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _together() else 1


def rank() -> int:
    """Number of this process, 0..world-1."""
    return distributed.get_rank() if _together() else 0


def total(tensor: Num[Tensor, "*shape"]) -> Num[Tensor, "*shape"]:
    """Sum of the ranks' tensors, equal on all of them; carries no gradient."""
    tensor = tensor.detach()
    if world() == 1:
        return tensor
    tensor = tensor.clone()
    distributed.all_reduce(tensor)
    return tensor


def gather(tensor: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "gathered ..."]:
    """Rows of all ranks, in the order of the ranks, on each of them; they may differ in number.

    A row's gradient is the sum of what all ranks send back to it, so every rank that gathers must run backward
    through what it gathered.
    """
    if world() == 1:
        return tensor
    sizes = torch.zeros(world(), dtype=torch.int64, device=tensor.device)
    sizes[rank()] = tensor.shape[0]
    rows: Tensor = _Gather.apply(tensor, total(sizes).tolist())
    return rows


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        # Collectives want equal shapes: shorter ranks are filled up to the longest.
        padded = tensor.new_zeros((max(sizes), *tensor.shape[1:]))
        padded[: tensor.shape[0]] = tensor
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous().clone()
        distributed.all_reduce(gradient)
        first = sum(ctx.sizes[: rank()])
        return gradient[first : first + ctx.sizes[rank()]], None
