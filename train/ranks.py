"""Several processes that train one network, as `torchrun` starts them; in one process all of this does nothing.

Rank r of a world of w sees every w-th sample of a step's joint batch (`batch` samples of each stream). A loss divides
its local sum by the joint count,

    share_r = sum_{i in rank r} l_i / total(n_r),        loss = sum_r share_r

so that the sum of the ranks' gradients is the gradient of one process on the joint batch. DistributedDataParallel
takes the mean over ranks: the loop multiplies every share by w before the backward pass.
"""

from __future__ import annotations

import functools
import inspect
import os
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor, nn

from shards.errors import UserError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_ERRORS = "anomsynth/errors"
"""Key of the store in which ranks count their failures: the first one speaks."""
SETTLING = 0.5
"""Seconds that the ranks of a finished run leave to the threads of their process group."""


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is; 0 writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def speaks() -> bool:
    """Whether this process prints: rank 0, or the only one; known before and after the processes are joined."""
    return int(os.environ.get("RANK", "0")) == 0 or int(os.environ.get("WORLD_SIZE", "1")) == 1


def own_device(device: torch.device) -> torch.device:
    """The device of this process: each has a CUDA device of its own.

    Raises:
        UserError: the machine has fewer of them than processes.
    """
    if world() == 1 or device.type != "cuda":
        return device
    number = int(os.environ["LOCAL_RANK"])
    if number >= torch.cuda.device_count():
        raise UserError(
            f"Each process needs a CUDA device of its own, this machine has {torch.cuda.device_count()}: give "
            "torchrun a smaller --nproc-per-node, or --device cpu."
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def total(tensor: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """Sum over the ranks, without gradient; the tensor itself in one process."""
    if world() == 1:
        return tensor.detach()
    summed = tensor.detach().clone()
    dist.all_reduce(summed)
    return summed


def gather(tensor: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "m ..."]:
    """Rows of all ranks, in the order of the ranks; gradients flow back to the rank that a row is from.

    Args:
        tensor: (N, ...), where N may differ from rank to rank, and be 0.
    """
    if world() == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor)
    return gathered


class _Gather(torch.autograd.Function):
    """All-gather of unequally many rows; backward sums what all ranks' losses say of a row."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        counts = torch.zeros(world(), dtype=torch.int64, device=tensor.device)
        counts[rank()] = tensor.shape[0]
        sizes = total(counts).tolist()
        ctx.start, ctx.rows = sum(sizes[: rank()]), sizes[rank()]
        padded = tensor.new_zeros(max(sizes), *tensor.shape[1:])
        padded[: ctx.rows] = tensor
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return total(gradients[0].contiguous())[ctx.start : ctx.start + ctx.rows]


def agree(number: int) -> int:
    """The largest of the ranks' numbers; it waits for all ranks but for no device."""
    if world() == 1:
        return number
    largest = torch.tensor(number)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def collect(thing: Result) -> list[Result]:
    """What each rank holds, in the order of the ranks; things cross as pickles."""
    if world() == 1:
        return [thing]
    things: list[Any] = [None] * world()
    dist.all_gather_object(things, thing)
    return things


def bare(module: nn.Module) -> nn.Module:
    """The module within DistributedDataParallel, with its attributes; any other as it is."""
    return module.module if isinstance(module, nn.parallel.DistributedDataParallel) else module


def held(module: nn.Module, *inputs: Tensor) -> Any:
    """What a module says of its inputs, with weights that learn nothing from it; gradients reach the inputs.

    An adversary is asked so while its opponent learns: its own gradients, and what DistributedDataParallel does with
    them, belong to its own turn.
    """
    plain = bare(module)
    state = {name: tensor.detach() for name, tensor in (*plain.named_parameters(), *plain.named_buffers())}
    return torch.func.functional_call(plain, state, inputs)


def together(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorator of what all processes of a `torchrun` do together.

    It joins them, and ends them together: a rank that fails leaves, the others notice at their next exchange, and
    only the first one says why.

    Raises:
        UserError: by the first rank that failed, or by one that lost another without a word.
    """

    @functools.wraps(function)
    def joined(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
            return function(*args, **kwargs)
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            if _failed_before():
                raise SystemExit(1) from error
            if isinstance(error, RuntimeError) and "onnection" in str(error):  # of gloo, to a rank that was killed
                raise UserError(
                    "Another process of the run was ended; the same command goes on from where it was saved."
                ) from error
            raise
        # Under load a rank that left at once was aborted now and then ("terminate called"). The cause is a guess:
        # gloo's threads outlive the group once DistributedDataParallel was used (seen with PyTorch 2.15), and one may
        # still be busy with the last exchange when the interpreter ends.
        time.sleep(SETTLING)
        dist.destroy_process_group()
        return result

    return joined


def _failed_before() -> bool:
    """Count this failure; whether there was one before, or nobody is left to ask."""
    try:
        store = dist.distributed_c10d._get_default_store()
        return int(store.add(_ERRORS, 1)) > 1
    except RuntimeError:
        return True


def check_batch_norm(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with batch norm, where it follows the batches, over the joint batch; as it is in one process.

    Raises:
        UserError: PyTorch cannot do so on the CPU.
    """
    learns = any(isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training for part in module.modules())
    if world() == 1 or not learns:
        return module
    if device.type == "cpu":
        raise UserError(
            "Batch norm that follows the batches needs CUDA devices under several processes; train in one process, "
            "or freeze it where the method can (batch_norm=frozen)."
        )
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
    return converted


def wrapped(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with gradients averaged over the processes in the backward pass; as it is where nothing learns."""
    if world() == 1 or not any(parameter.requires_grad for parameter in module.parameters()):
        return module
    options: dict[str, Any] = {"device_ids": [device] if device.type == "cuda" else None}
    # Statistics of batch norm are equal everywhere: frozen, or those of the joint batch. PyTorch 2.15 has renamed it.
    parallel = nn.parallel.DistributedDataParallel
    known = inspect.signature(parallel).parameters
    options["forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"] = False
    return parallel(module, **options)
