"""What all functions behind `anomsynth train` share: describe a run, see early what would fail, call the loop."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import math
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from shards.delta import DeltaSet, open_set
from shards.errors import UserError
from shards.flock import alone_in
from shards.manifest import MANIFEST, SAMPLES
from shards.reader import ShardSet
from shards.rows import objects_of, read_rows
from train.checkpoint import (
    INFO,
    RESUME,
    CheckpointInfo,
    NetworkInfo,
    ShardsInfo,
    StartInfo,
    fingerprint,
    read_info,
)
from train.config import TrainConfig
from train.data import TrainingPool, steps_per_epoch, stream_seed
from train.devices import memory_advice
from train.loop import RunSummary, fit
from train.machine import Machine
from train.methods import METHODS
from train.methods.base import Task
from train.ranks import rank

OWN = (RESUME, "checkpoint.", "log.", "tensorboard", "chain", ".")
"""How names begin that a run may leave behind before its first checkpoint."""
LARGEST_INPUT = 1024
"""Widest input that a segmenter gets by itself, in pixels; Cityscapes frames are halved to it."""


def run_method(
    name: str,
    config: TrainConfig,
    network: nn.Module,
    built: NetworkInfo,
    start: StartInfo,
    saw: Sequence[str],
    streams: Sequence[Sequence[ShardSet | DeltaSet]],
    out: Path,
    seed: int,
    machine: Machine,
    held_out: Sequence[ShardSet | DeltaSet],
    extras: Sequence[str] = (),
    beside: Callable[[Path], None] | None = None,
    prepare: Callable[..., Task] | None = None,
) -> RunSummary:
    """Describe a run, and train.

    Args:
        name: of the method.
        config: its fields.
        network: with its start weights.
        built: how to build it again.
        start: where its weights came from.
        saw: data that they have seen.
        streams: shard sets of each stream, pooled.
        out: the RUN folder.
        seed: of order and augmentation.
        machine: device, workers, how often to save and log.
        held_out: held-out shard sets, judged at the end.
        extras: names of the samples' extras that the method reads.
        beside: writes into `out` what else an evaluation needs; called by one process, once `out` is known to hold
            no other run.
        prepare: the method's, with what no configuration can hold; the method's as it is without it.

    Raises:
        UserError: `out` holds another run, or another process trains in it, memory ends, or what the loop raises.
    """
    size = input_size_of(network)
    pools = [
        TrainingPool(stream, fields, input_size=size, seed=stream_seed(seed, number), extras=extras)
        for number, (stream, fields) in enumerate(zip(streams, fields_of_streams(config, streams), strict=True))
    ]
    per_epoch = steps_per_epoch(pools, config.batch)
    sets = [(number, found) for number, stream in enumerate(streams) for found in stream]
    info = CheckpointInfo(
        method=name,
        config=config.model_dump(mode="json"),
        network=built,
        input_size=size,
        seed=seed,
        shards=[describe_shards(found, number) for number, found in sets],
        start=start,
        saw=sorted({*saw, *(frames for _, found in sets for frames in frames_of(found.folder))}),
        steps=config.steps or max(1, math.ceil(config.epochs * per_epoch)),
        step=0,
        epoch=0.0,
        finished=False,
        tool=versions(),
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {out}: {error.strerror}.") from error
    with alone(out):
        done = finished_run(out, info, judged=bool(held_out))
        if done is not None:
            return done
        if beside is not None and rank() == 0:
            beside(out)
        with memory_advice(
            "the same command with fewer --workers goes on where it was saved; a smaller --batch, --crop or --size "
            "needs another --out"
        ):
            method = METHODS[name] if prepare is None else replace(METHODS[name], prepare=prepare)
            return fit(method, network, config, pools, out, info, machine, held_out)


def alone(out: Path) -> AbstractContextManager[object]:
    """Within the block no other command trains in a RUN folder; of several processes the first one sees to that.

    Raises:
        UserError: by the block's beginning, where one does.
    """
    if rank() != 0:
        return nullcontext()
    return alone_in(out, f"Another process trains in {out}: wait for it, or choose another --out.")


def fields_of_streams(config: TrainConfig, streams: Sequence[Sequence[object]]) -> list[TrainConfig]:
    """The configuration of each stream: `repeat` has a number for each shard set of all of them.

    Raises:
        UserError: it has more of them, or fewer.
    """
    ends = list(itertools.accumulate(map(len, streams)))
    if config.repeat and len(config.repeat) != ends[-1]:
        raise UserError(f"repeat needs one number for each of the {ends[-1]} shard sets, got {list(config.repeat)}.")
    starts = [0, *ends[:-1]]
    return [config.model_copy(update={"repeat": config.repeat[a:b]}) for a, b in zip(starts, ends, strict=True)]


def input_size_of(network: nn.Module) -> tuple[int, int]:
    """(width, height) that a network's samples have; every network here says it."""
    size: Any = network.input_size
    return int(size[0]), int(size[1])


def check_out(out: Path) -> None:
    """See early that a run can be written, or gone on with, at `out`.

    Raises:
        UserError: it is a file, holds an unfinished run that lost what it needs to go on, or something else.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out must be a folder, {out} is a file.")
    if (out / INFO).is_file() and not read_info(out).finished and not (out / RESUME).is_file():
        raise UserError(f"The unfinished run in {out} cannot go on without its {RESUME}; choose another --out.")
    strangers = [] if (out / INFO).is_file() or not out.is_dir() else [path.name for path in sorted(out.iterdir())]
    strangers = [name for name in strangers if not name.startswith(tuple(OWN))]
    if strangers:
        raise UserError(f"{out} holds something else ({strangers[0]}); choose another --out.")


def check_anomalies(sets: Sequence[ShardSet | DeltaSet]) -> None:
    """See early that there is something to learn.

    Raises:
        UserError: none of these shard sets holds an anomaly pixel.
    """
    if not any(map(_has_anomalies, sets)):
        names = ", ".join(str(found.folder) for found in sets)
        raise UserError(
            f"There is no anomaly pixel in {names or 'no folder at all'}, so there is nothing to learn; "
            "`anomsynth build anomalymix` makes shards with anomalies."
        )


def finished_run(out: Path, info: CheckpointInfo, *, judged: bool) -> RunSummary | None:
    """What a finished run of the same command did; None where `out` holds none, or an unfinished one of it.

    Args:
        out: the RUN folder.
        info: what the command would do.
        judged: whether held-out shards are given.

    Raises:
        UserError: the run is another one, which is never written over.
    """
    if not (out / INFO).is_file():
        return None
    before = read_info(out)
    difference = before.same_run(info)
    if not before.finished:
        if difference is not None:
            raise UserError(f"{out} holds an unfinished run with another {difference}; choose another --out.")
        return None
    if difference is None and judged and before.validation is None:
        raise UserError(f"The run in {out} is finished; judge it on held-out shards with `anomsynth eval shards`.")
    if difference is not None:
        raise UserError(f"{out} holds a finished run with another {difference}; choose another --out.")
    return RunSummary(
        run=out,
        method=before.method,
        steps=before.steps,
        first=before.step,
        step=before.step,
        samples=0,
        seconds=0.0,
        loss=None,
        rejected=before.rejected,
        validation=before.validation,
    )


def open_sets(
    shards: Sequence[Path], val_shards: Sequence[Path], frames: Sequence[Path]
) -> tuple[list[ShardSet | DeltaSet], list[ShardSet | DeltaSet]]:
    """The sets of a run, and those that it is judged on: a wrong path is said now, not after hours of training.

    Raises:
        UserError: as `open_set`; or frames are given, and nothing to lay over them.
    """
    sets, held_out = ([open_set(folder, frames) for folder in folders] for folders in (shards, val_shards))
    if frames and not any(isinstance(found, DeltaSet) for found in (*sets, *held_out)):
        raise UserError("--frames is for delta sets, and none is given: leave it away, or name them with --shards.")
    return sets, held_out


def _has_anomalies(found: ShardSet | DeltaSet) -> bool:
    """Whether there is anything to learn; delta sets count no pixels, but list what is laid."""
    if isinstance(found, DeltaSet):
        return any(map(objects_of, read_rows(found.folder)))
    return bool(found.manifest.pixels.get("anomaly"))


def native_input(sets: Sequence[ShardSet | DeltaSet], multiple: int = 16) -> tuple[int, int]:
    """(width, height) of the first frame, halved until it is at most 1024 wide, in multiples of so many pixels."""
    for found in sets:
        if len(found):
            sample = found.coded(0)
            height, width = sample.height, sample.width
            while width > LARGEST_INPUT:
                height, width = height // 2, width // 2
            return max(multiple, width // multiple * multiple), max(multiple, height // multiple * multiple)
    names = ", ".join(str(found.folder) for found in sets)
    raise UserError(f"There are no samples in {names or 'no folder at all'}.")


def describe_shards(found: ShardSet | DeltaSet, stream: int = 0) -> ShardsInfo:
    """What checkpoint.json says of a stream's shard set: no path, so that runs in other places compare."""
    return ShardsInfo(
        folder=found.folder.resolve().name,
        recipe=found.manifest.recipe,
        samples=len(found),
        fingerprint=fingerprint(found.folder / MANIFEST),
        stream=stream,
        frames=describe_shards(found.frames) if isinstance(found, DeltaSet) else None,
    )


def frames_of(folder: Path) -> set[str]:
    """The data sets and splits that the frames of a shard set come from, as `dataset/split`."""
    found: set[str] = set()
    path = folder / SAMPLES
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            frame = json.loads(line).get("frame")
            if isinstance(frame, dict) and frame.get("dataset"):
                found.add(f"{frame['dataset']}/{frame.get('split', '')}".rstrip("/"))
    return found or {"unknown"}


def versions() -> dict[str, str]:
    """Versions that decide about the result."""
    names = ("anomsynth", "torch", "numpy", "pillow", "opencv-python-headless")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}
