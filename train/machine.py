"""What a run is done with: device, processes, how often it is saved and logged."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from shards.errors import UserError
from train.devices import choose_device


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run is done with; none of it changes what is learnt, but for rounding between devices.

    Attributes:
        device: where the network runs; of several processes each takes a CUDA device of its own.
        workers: processes that decode and augment; 0 does it between the steps.
        save_every: steps between two savings.
        log_every: steps between two rows of the log.
        stop_at: save and leave after this step, to go on with the same command; to the end without it.
        compile: backend of torch.compile for the modules, such as `inductor`; they run as they are without it.
        tensorboard: whether curves are written for TensorBoard too.
    """

    device: torch.device
    workers: int = 0
    save_every: int = 200
    log_every: int = 10
    stop_at: int | None = None
    compile: str | None = None
    tensorboard: bool = False


def make_machine(
    device: str,
    threads: int | None,
    workers: int,
    save_every: int,
    compile: bool,
    tensorboard: bool,
) -> Machine:
    """What the options of a command say of the machine; raises UserError where there is no such device."""
    if threads is not None:
        if threads < 1:
            raise UserError(f"--threads must be at least 1, got {threads}.")
        torch.set_num_threads(threads)
    return Machine(
        choose_device(device),
        workers=workers,
        save_every=save_every,
        compile="inductor" if compile else None,
        tensorboard=tensorboard,
    )
