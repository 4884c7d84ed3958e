"""What a run leaves behind.

    RUN/
      checkpoint.safetensors   the network's weights (their moving average where there is one)
      checkpoint.json          what they are, for people and for `eval`; written last
      resume.pt                all that an unfinished run needs to go on, in one file: `resume.py`
      log.jsonl, log.txt       one row every few steps, for machines and for people
      tensorboard/             the same as curves, with `--tensorboard`

Every file is written under a temporary name, flushed and renamed. A run that was killed between two of them
goes on from `resume.pt`, which is complete in itself.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from torch import nn

from shards.errors import UserError
from shards.writer import write_atomically
from train.networks import SegmentationNetwork, build_network, load_weights
from train.networks.weights import save_weights

WEIGHTS = "checkpoint.safetensors"
INFO = "checkpoint.json"
RESUME = "resume.pt"
LOG, LOG_TEXT = "log.jsonl", "log.txt"
LOG_ROW = re.compile(r'(?:\{"step": |step )(\d+)[,}/]')
"""How a row of either log begins: with its step."""


class NetworkInfo(BaseModel):
    """How to build the network again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any]


class ShardsInfo(BaseModel):
    """One shard set that taught the network."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    folder: str
    recipe: str
    samples: int
    fingerprint: str
    stream: int = 0
    """Which of the streams it was drawn from, where a step draws from several: its domain."""
    frames: ShardsInfo | None = None
    """The set of frames that a delta set was laid over."""


class StartInfo(BaseModel):
    """Where the weights came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["scratch", "weights", "checkpoint"]
    name: str = ""
    fingerprint: str = ""


class CheckpointInfo(BaseModel):
    """The whole of checkpoint.json."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    schema_version: Literal[1] = 1
    method: str
    config: dict[str, Any]
    """Every field of the method's configuration, defaults included."""
    network: NetworkInfo
    input_size: tuple[int, int]
    """(width, height) that frames are resized to; evaluation does the same."""
    seed: int
    shards: list[ShardsInfo]
    start: StartInfo
    saw: list[str]
    """Data that the weights have seen, as `dataset/split`; `unknown` for weights from elsewhere."""
    steps: int
    """Length of the whole run."""
    step: int
    """Steps done."""
    epoch: float
    """Passes over the shards done: where in the data the run stands."""
    finished: bool
    rejected: dict[str, int] = {}
    """Samples that could not be read, by reason."""
    validation: dict[str, float] | None = None
    """Figures on the held-out shards, as fractions."""
    tool: dict[str, str]
    """Versions."""

    def same_run(self, other: CheckpointInfo) -> str | None:
        """The first field in which two runs differ, in words; None where one can continue the other.

        Of a configuration, a size or a length both values are told, this run's first.
        """
        progress = {"step", "epoch", "finished", "rejected", "validation", "tool"}
        mine, theirs = self.model_dump(exclude=progress), other.model_dump(exclude=progress)
        for field, value in mine.items():
            if value != theirs[field]:
                if field == "config":
                    # Versions differ in their fields; the Ellipsis tells a missing one from None.
                    before, now = (
                        {**dict.fromkeys((*value, *theirs[field]), ...), **one} for one in (value, theirs[field])
                    )
                    return next(
                        _both(key, before[key], now[key]) for key in sorted(before) if before[key] != now[key]
                    )
                return _both(field, value, theirs[field]) if field in ("steps", "seed", "input_size") else field
        return None


def _both(name: str, before: object, now: object) -> str:
    """A field and its two values; one that a version did not know yet is told as missing."""
    words = ["missing" if value is ... else f"{value}" for value in (before, now)]
    return f"{name} ({words[0]}, now {words[1]})"


def save_checkpoint(run: Path, info: CheckpointInfo, network: nn.Module) -> None:
    """Write weights and description; the description last."""
    save_weights(network, run / WEIGHTS, metadata={"step": str(info.step)})
    write_atomically(run / INFO, (info.model_dump_json(indent=2) + "\n").encode())


def read_info(run: Path) -> CheckpointInfo:
    """Read and validate checkpoint.json.

    Args:
        run: the RUN folder, or a file in it.

    Raises:
        UserError: there is none, or it is broken.
    """
    folder = run.parent if run.is_file() else run
    path = folder / INFO
    if not path.is_file():
        raise UserError(f"{folder} holds no checkpoint: there is no {INFO} in it; make one with `anomsynth train`.")
    try:
        return CheckpointInfo.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path} is broken at {where}: {first['msg']}.") from error


def load_checkpoint(run: Path) -> tuple[SegmentationNetwork, CheckpointInfo]:
    """The trained segmenter, in eval mode on the CPU, and what is known of it.

    Args:
        run: the RUN folder, or a file in it.

    Raises:
        UserError: as `load_run`, or the run's network is no segmenter.
    """
    network, info = load_run(run)
    if not isinstance(network, SegmentationNetwork):
        raise UserError(
            f"{run} holds the network {info.network.name!r} of `train {info.method}`, which is no segmenter."
        )
    return network, info


def load_run(run: Path) -> tuple[nn.Module, CheckpointInfo]:
    """The trained network of any method, in eval mode on the CPU, and what is known of it.

    Args:
        run: the RUN folder, or a file in it.

    Raises:
        UserError: no checkpoint there, a file of it is cut off, or the two files are of different steps.
    """
    info = read_info(run)
    folder = run.parent if run.is_file() else run
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(f"{folder} holds a {INFO} but no {WEIGHTS}; train it again.")
    try:
        with safe_open(path, framework="pt") as file:
            step = (file.metadata() or {}).get("step")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is cut off or broken: train it again.") from error
    if step != str(info.step):
        raise UserError(
            f"{path} is of step {step}, {INFO} of step {info.step}: saving was interrupted; type the same train "
            "command again to complete the run."
        )
    network = build_network(info.network.name, **info.network.options)
    load_weights(network, path)
    return network.eval(), info


def fingerprint(file: Path) -> str:
    """sha256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def truncate_logs(run: Path, step: int) -> None:
    """Drop the rows of both logs that lie after `step`: they will be written again."""
    for file in (run / LOG, run / LOG_TEXT):
        if file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
            # The last row of a killed run may be half written.
            rows = [(line, LOG_ROW.match(line)) for line in lines if line.endswith("\n")]
            kept = "".join(line for line, row in rows if row is not None and int(row[1]) <= step)
            write_atomically(file, kept.encode())
