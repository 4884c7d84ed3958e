"""How an unfinished run goes on as if it had never stopped.

The position in every stream is the step, the learning rate is a function of it, and torch's generator is seeded by
it; what else a run consists of is in `resume.pt`, which is written under a temporary name, flushed and renamed. A run
that was killed between two files goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from shards.errors import UserError
from shards.writer import write_atomically
from train.checkpoint import RESUME, CheckpointInfo
from train.ema import MovingAverage
from train.logs import Pending
from train.methods.base import Task


@dataclass(frozen=True, slots=True)
class Resume:
    """The whole of `resume.pt`.

    Attributes:
        info: description of the run, with the step.
        modules: state dicts of the task's modules.
        optimizers: state dicts of its optimisers.
        average: state dict of the moving average; None where the run has none.
        pending: what the log has not yet written.
    """

    info: CheckpointInfo
    modules: dict[str, dict[str, Tensor]]
    optimizers: dict[str, dict[str, Any]]
    average: dict[str, Tensor] | None
    pending: Pending


def save_resume(run: Path, info: CheckpointInfo, task: Task, average: MovingAverage | None, pending: Pending) -> None:
    """Write all that the next call needs."""
    state = {
        "info": info.model_dump_json(),
        "modules": {name: module.state_dict() for name, module in task.modules.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in task.optimizers.items()},
        "average": None if average is None else average.network.state_dict(),
        "pending": pending,
    }

    def write(file: IO[bytes]) -> None:
        torch.save(state, file)

    write_atomically(run / RESUME, write)


def load_resume(run: Path, info: CheckpointInfo) -> Resume | None:
    """An unfinished run; None where there is none.

    Args:
        run: the RUN folder.
        info: of the run that is to go on.

    Raises:
        UserError: the file is broken, or of another run.
    """
    path = run / RESUME
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        info_before = CheckpointInfo.model_validate_json(state.pop("info"))
        resume = Resume(info_before, **state)
    except Exception as error:  # torch.load lets through whatever its zip and pickle readers meet
        raise UserError(
            f"{path} is not complete, so the run cannot go on; delete the folder {run} to start again."
        ) from error
    difference = resume.info.same_run(info)
    if difference is not None:
        raise UserError(f"{run} holds an unfinished run with another {difference}; choose another --out.")
    return resume


def restore(resume: Resume, task: Task, average: MovingAverage | None) -> None:
    """Give modules, optimisers and moving average the state that was saved."""
    for name, module in task.modules.items():
        module.load_state_dict(resume.modules[name])
    for name, optimizer in task.optimizers.items():
        optimizer.load_state_dict(resume.optimizers[name])
    if average is not None and resume.average is not None:
        average.network.load_state_dict(resume.average)
