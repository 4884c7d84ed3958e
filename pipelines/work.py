"""Making one shard: the same in a thread, in a process of a pool and on a node of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipelines.coding import Packing, coder_of
from pipelines.folder import refuse_others_work
from pipelines.notes import write_note
from pipelines.recipe import Recipe, sample_key
from pipelines.tasks import WORK, ShardTask
from shards.errors import BadInput, UserError
from shards.writer import Members, ShardRecord, sync_folder, write_members

_VANISHED: Final = ("missing-image", "missing-label")
"""Reasons of files that the scan has found and that cannot be opened now."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for all shards of a build.

    Attributes:
        recipe: an opened recipe.
        out: the folder of the set.
        plan: everything that decides about bytes.
        seed: of all randomness.
        packing: how samples are stored.
        strict: the first broken input ends the build.
        wanted: when shards of a complete set are made again: what the manifest says of each by its name.
    """

    recipe: Recipe
    out: Path
    plan: Mapping[str, Any]
    seed: int
    packing: Packing
    strict: bool = False
    wanted: Mapping[str, ShardRecord] = field(default_factory=dict)


class Stopped(Exception):
    """The build was given up by the thread or process that started it."""


def make_shard(job: Job, task: ShardTask, tick: Callable[[], None], stopped: Callable[[], bool]) -> None:
    """Make one shard, then its note; leaves nothing behind if it is stopped.

    Args:
        job: the build.
        task: the shard.
        tick: called after each sample.
        stopped: asked before each sample whether to give up.

    Raises:
        UserError: a source vanished or cannot be read, or, if strict, an input is broken; a shard made again is not
            what it was; the folder has become another build's.
        OSError: of writing.
        Stopped: on request.
    """
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    final = job.out / task.shard
    made = job.out / WORK / task.shard if job.wanted else final
    record = write_members(made, _samples(job, task, rows, rejects, tick, stopped))
    if job.wanted:
        if record != job.wanted[task.shard]:
            made.unlink()
            raise UserError(
                f"{task.shard}, made again, is not what the manifest describes: did a source change under its name? "
                "It was left as it is; to begin anew, delete the folder."
            )
        made.replace(final)
        sync_folder(job.out)
        return
    if record.samples == 0:
        final.unlink()  # readers need not cope with archives that hold nothing
    write_note(job.out / WORK / task.note, record, rows, rejects)


def _samples(
    job: Job,
    task: ShardTask,
    rows: list[dict[str, Any]],
    rejects: list[dict[str, Any]],
    tick: Callable[[], None],
    stopped: Callable[[], bool],
) -> Iterator[tuple[str, Members]]:
    """The samples of a shard, one by one; fills `rows` and `rejects` on the way."""
    coder = coder_of(job.recipe, job.seed, job.packing)
    for index in range(task.first, task.last):
        if stopped():
            raise Stopped
        key = sample_key(job.recipe.name, index)
        sample: tuple[Members, Mapping[str, Any]] | None = None
        try:
            sample = coder.members(index)
        except BadInput as error:
            broken = [{"reason": error.reason, "detail": error.detail, "input": job.recipe.input_of(job.seed, index)}]
        except OSError as error:
            what = f"{job.recipe.input_of(job.seed, index)} for {key}"
            where = "" if error.filename is None else f" ({Path(str(error.filename)).name})"
            raise UserError(
                f"Cannot read {what}: {error.strerror or error}{where}; "
                "what is finished stays, and the same command goes on from there."
            ) from error
        else:
            broken = list(sample[1]["rejected"])
        _refuse(broken, strict=job.strict)
        rejects += [{**row, "sample": key} for row in broken]
        if sample is not None:
            rows.append({**sample[1], "key": key, "shard": task.shard})
            yield key, sample[0]
        tick()
    if not job.wanted:
        refuse_others_work(job.out, job.plan)  # the last moment before the tar gets its name


def _refuse(broken: Sequence[Mapping[str, str]], *, strict: bool) -> None:
    """UserError for what must not become a row of rejects.jsonl."""
    for row in broken:
        if row["reason"] in _VANISHED:
            # Were it skipped, the set would depend on when the file went, and on what came back.
            raise UserError(
                f"{row['input']} was there when the build began and cannot be read now: {row['detail']}. Bring it "
                "back or make it readable and repeat the command, which goes on after the shards that are finished."
            )
        # What found no room names no input: nothing is broken then.
        if strict and row["input"]:
            raise UserError(f"--strict: {row['input']}: {row['reason']}: {row['detail']}.")
