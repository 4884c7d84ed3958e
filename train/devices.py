"""Where a network runs, in which precision, and what to say when its memory ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from shards.errors import UserError

MEMORY_ENDED = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "DataLoader worker (pid")
"""What PyTorch says, always as a RuntimeError, when the device, the host or a worker process has no memory left."""


@contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Say in one sentence what to do when memory ends; also a decorator.

    Raises:
        UserError: memory ended within the block.
    """
    try:
        yield
    # A worker process that is killed with a batch in its hands breaks the pipe instead: ConnectionError or EOFError.
    except (MemoryError, RuntimeError, ConnectionError, EOFError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in MEMORY_ENDED):
            raise
        what = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"Memory is exhausted ({what}): {advice}.") from error


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA where there is a usable device, else the CPU.

    Raises:
        UserError: unknown name, or CUDA asked for where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device is auto, cpu or cuda, got {name!r}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no usable CUDA device here; use --device cpu or auto.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def autocast(device: torch.device, precision: Literal["auto", "float32", "bfloat16"]) -> torch.autocast:
    """The context of the forward pass: bfloat16 where asked for, and by itself on CUDA devices that have it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_low(device, precision))


def computes_low(device: torch.device, precision: Literal["auto", "float32", "bfloat16"]) -> bool:
    """Whether a forward pass there is in bfloat16."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bfloat16"
