"""Where a network runs, and in which precision."""

from __future__ import annotations

from typing import Literal

import torch

from shards.errors import UserError


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
    if precision == "auto":
        low = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        low = precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=low)
