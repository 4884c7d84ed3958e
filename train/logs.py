"""What a run tells: rows for machines, lines for people, curves for TensorBoard; each the mean since the last one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from shards.errors import UserError
from train.checkpoint import LOG, LOG_TEXT
from train.ranks import rank, total

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

BOARD = "tensorboard"
"""Folder of TensorBoard's files within a run."""

Pending = tuple[dict[str, float], int]
"""Sums of the losses and their terms since the last row, and of how many steps."""


class Log:
    """Rows of `log.jsonl`, lines of `log.txt`; only rank 0 writes, of the joint batch.

    Args:
        run: the RUN folder.
        steps: length of the run.
        pending: the steps since the last row, as `pending` gave them when the run was saved.
        board: writer of TensorBoard's files.

    Attributes:
        last: mean loss of the last row; None before the first.
    """

    def __init__(
        self,
        run: Path,
        steps: int,
        *,
        pending: Pending = ({}, 0),
        board: SummaryWriter | None = None,
    ) -> None:
        self._run, self._steps, self._board = run, steps, board
        self._began = self._since = time.monotonic()
        # The sums of a saved run are those of all processes: one of them takes them over.
        self._sums = {name: value if rank() == 0 else 0.0 for name, value in pending[0].items()}
        self._rounds = pending[1]
        self._waited = self._waited_before = 0.0
        self._samples = self._samples_before = self._fresh = self._taken = 0
        self._told = ""
        self.last: float | None = None

    def add(self, terms: Mapping[str, float], samples: int) -> None:
        """Take note of one step of this process."""
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._rounds += 1
        self._taken += 1
        self._fresh += samples

    def waits(self, seconds: float) -> None:
        """Take note of time that the device waited."""
        self._waited += seconds

    def pending(self) -> Pending:
        """What was summed since the last row, for a run that is to go on exactly; all processes together."""
        names = list(self._sums)
        joint = total(torch.tensor([*self._sums.values(), self._fresh], dtype=torch.float64)).tolist()
        self._samples += int(joint.pop())
        self._fresh = 0
        self._sums = {name: value if rank() == 0 else 0.0 for name, value in zip(names, joint, strict=True)}
        return dict(self._sums), self._rounds

    @property
    def samples(self) -> int:
        """Seen since the log was opened, by all processes, up to the last row or saving."""
        return self._samples

    @property
    def waited(self) -> float:
        """Share of the time since then that the device waited for data, 0..1."""
        return self._waited / max(time.monotonic() - self._began, 1e-9)

    @property
    def mean(self) -> float | None:
        """Mean loss since the last row; that of the last row where there was no step since."""
        return self._sums["loss"] / self._rounds if self._rounds else self.last

    def told(self) -> str:
        """Speed and data wait of the last row, in words for the progress bar."""
        return self._told

    def write(self, step: int, rate: float) -> None:
        """Write the means since the last row; all processes together."""
        self.pending()
        now = time.monotonic()
        seconds = max(now - self._since, 1e-9)
        means = {name: value / self._rounds for name, value in self._sums.items()}
        speed, wait = (self._samples - self._samples_before) / seconds, (self._waited - self._waited_before) / seconds
        left = (self._steps - step) * (now - self._began) / max(self._taken, 1)
        self._told = f"{speed:.1f} samples/s, {wait:.0%} data wait"
        row = {"step": step, **means, "lr": rate, "samples_per_second": speed, "data_wait": round(wait, 4)}
        self._append(LOG, json.dumps(row))
        terms = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        text = f"{terms}  lr {rate:.2e}  {self._told}  {left:.0f} s left"
        self._append(LOG_TEXT, f"step {step}/{self._steps}  {text}")
        self._draw(step, {name: value for name, value in row.items() if name != "step"})
        self.last = means["loss"]
        self._since, self._waited_before, self._samples_before, self._rounds = now, self._waited, self._samples, 0
        self._sums.clear()

    def event(self, step: int, what: dict[str, object]) -> None:
        """Write something that happened once."""
        self._append(LOG, json.dumps({"step": step, **what}))
        self._append(LOG_TEXT, f"step {step}/{self._steps}  {json.dumps(what)}")

    def validation(self, step: int, figures: dict[str, float]) -> None:
        """Write the figures on held-out shards."""
        self.event(step, {"validation": figures})
        self._draw(step, {f"held-out {name}": value for name, value in figures.items()})

    def close(self) -> None:
        """Write what TensorBoard's writer still holds."""
        if self._board is not None:
            self._board.close()

    def _draw(self, step: int, values: Mapping[str, float]) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def _append(self, name: str, line: str) -> None:
        if rank() == 0:
            with (self._run / name).open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def open_board(run: Path, first: int) -> SummaryWriter:
    """TensorBoard's files of a run; what an earlier call drew after `first` steps is hidden.

    Raises:
        UserError: the package is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "--tensorboard needs the package tensorboard; install it with `pip install 'anomsynth[log]'`."
        ) from error
    return SummaryWriter(str(run / BOARD), purge_step=first + 1)
