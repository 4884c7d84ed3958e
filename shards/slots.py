"""Shared memory that workers use again, batch after batch.

A DataLoader maps fresh memory for every batch, and the system fills it with zeros page by page, which takes longer
than to decode a crop of JPEG. Here a worker keeps its pieces of shared memory, slots, and fills one again as soon as
the process that received it has let go of the last tensor that lies in it. Who keeps batches for longer makes the
worker take more slots, and beyond `LIMIT` fresh memory as before.

The last byte of a slot says whether it is in use: the worker sets it, the receiver clears it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

LIMIT: Final = 32
"""Slots a worker."""


@dataclass(slots=True)
class _Slot:
    """A piece of shared memory, in the worker.

    Attributes:
        name: unique among all workers of all loaders of a process.
        memory: (N + 1) uint8 in shared memory.
        sent: whether the receiver knows the memory already.
    """

    name: tuple[str, int, int]
    memory: Tensor
    sent: bool = False


@dataclass(slots=True)
class _Worker:
    """The slots of this worker, by their size."""

    loader: str
    slots: dict[int, list[_Slot]] = field(default_factory=dict)

    def take(self, size: int) -> _Slot | None:
        of_size = self.slots.setdefault(size, [])
        slot = next((slot for slot in of_size if not slot.memory[-1]), None)
        if slot is None:
            number = sum(map(len, self.slots.values()))
            if number >= LIMIT:
                return None
            slot = _Slot((self.loader, os.getpid(), number), _fresh(size + 1))
            of_size.append(slot)
        slot.memory[-1] = 1
        return slot


class _InSlot(Tensor):
    """A tensor of a worker that lies in a slot: it crosses the border as the slot's name."""

    slot: _Slot


_worker: _Worker | None = None
_received: dict[tuple[str, int, int], Tensor] = {}


def start_worker(loader: str) -> None:
    """Use slots from now on; to be called in a worker process, with the name that its loader was given."""
    global _worker
    _worker = _Worker(loader)


def forget(loader: str) -> None:
    """Let go of a loader's slots; tensors that lie in them stay valid."""
    for name in [name for name in _received if name[0] == loader]:
        del _received[name]


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor: in a slot, or other shared memory, in a worker, and in ordinary memory elsewhere."""
    if _worker is None:
        return torch.empty(shape, dtype=dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    slot = _worker.take(size)
    memory = _fresh(size) if slot is None else slot.memory[:size]
    tensor = memory.view(dtype).view(shape)
    if slot is None:
        return tensor
    placed = torch.Tensor._make_subclass(_InSlot, tensor)
    placed.slot = slot
    return placed


def _fresh(size: int) -> Tensor:
    storage = torch.UntypedStorage._new_shared(size, device="cpu")  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _sent(tensor: _InSlot) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
    """How the pickler sends a tensor in a slot: the memory itself only for the first time."""
    slot = tensor.slot
    memory = None if slot.sent else slot.memory
    slot.sent = True
    return _arrived, (slot.name, memory, tuple(tensor.shape), tensor.dtype)


def _arrived(name: tuple[str, int, int], memory: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor at the receiver; the slot is free again when the tensor, and all that look into it, are gone."""
    memory = _received.setdefault(name, memory) if memory is not None else _received[name]
    assert memory is not None
    # Tensors cannot be watched, arrays can: the tensor holds this very array for as long as its storage lives.
    pixels = memory[:-1].view(dtype).view(shape).numpy()[...]
    weakref.finalize(pixels, _free, memory, os.getpid()).atexit = False
    return torch.from_numpy(pixels)


def _free(memory: Tensor, owner: int) -> None:
    if os.getpid() == owner:  # not in a fork of the receiver, which looks into the same memory
        memory[-1] = 0


ForkingPickler.register(_InSlot, _sent)
