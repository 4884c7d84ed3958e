"""Building a shard set: many processes, one result.

A shard is the unit of work, of retry and of resume (law 2). `folder.py` knows what of it is finished and who may
write, `work.py` makes one, `pool.py` and `ray_engine.py` make many, `finish.py` writes what lies beside them and,
last, the manifest. Nothing in a set depends on the number of processes or machines, on the order in which shards
finish, on time, host or folder (law 1).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal
from zlib import ZLIB_RUNTIME_VERSION

from pipelines.coding import Coder, Packing, coder_of
from pipelines.defaults import SAMPLES_PER_SHARD
from pipelines.delta import DeltaCoder
from pipelines.finish import finish
from pipelines.folder import Claim, claimed, clear_unless_used, finished_build, reopened
from pipelines.pool import run_here
from pipelines.ray_engine import import_ray, run_on_ray
from pipelines.recipe import Recipe
from pipelines.repair import repair_records
from pipelines.tasks import ShardTask, missing_shards, noted, shard_tasks
from pipelines.work import Job
from shards.codec import encode_json
from shards.errors import BadInput, UserError
from shards.manifest import Manifest
from shards.plural import plural
from shards.verify import broken_shards

_LIBRARIES: Final = {
    "anomsynth": "anomsynth",
    "numpy": "numpy",
    "opencv": "opencv-python-headless",
    "pillow": "pillow",
    "pycocotools": "pycocotools",
}

_MOST_SAMPLES: Final = 10**8
_MOST_SHARDS: Final = 10**6
"""Keys have eight digits, shards six: names of more would not sort like their numbers."""

Engine = Literal["local", "ray"]
"""Where shards are made: by processes of this machine, or by a Ray cluster."""


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What a build did.

    Attributes:
        out: the folder.
        plan: what was (to be) built: recipe, config, sources, samples, shards, estimated bytes.
        samples: samples in the set; of a part, in the shards of this call.
        skipped: inputs that were left out, by reason.
        shards: shards in the set; of a part, those of this call.
        resumed: shards among them that an earlier, interrupted build had finished.
        repaired: files that were broken and made again; None: that was not asked for.
        missing: shards that other calls still have to make: the set is not complete.
        whole: the set is complete, by this call or another.
        bytes: size of all these shards.
        pixels: of a complete set by anomaly label: known, anomaly, ignore.
        seconds: how long this call took.
        made: samples that this call made or tried to make, without those of finished shards.
        complete: the set was complete before; nothing was done.
        dry_run: nothing was done, on request.
    """

    out: Path
    plan: Mapping[str, Any]
    samples: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    shards: int = 0
    resumed: int = 0
    repaired: tuple[str, ...] | None = None
    missing: int = 0
    whole: bool = False
    bytes: int = 0
    pixels: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    made: int = 0
    complete: bool = False
    dry_run: bool = False


def build(
    recipe: Recipe,
    out: Path,
    *,
    count: int | None = None,
    seed: int = 0,
    workers: int | None = 1,
    samples_per_shard: int = SAMPLES_PER_SHARD,
    packing: Packing = Packing(),  # noqa: B008 (frozen)
    strict: bool = False,
    dry_run: bool = False,
    engine: Engine = "local",
    shards: tuple[int | None, int | None] | None = None,
    repair: bool = False,
) -> BuildSummary:
    """Make a shard set, or finish one that an equal call began.

    Args:
        recipe: an opened recipe.
        out: the folder of the set, or a `RemotePath`; absent, empty, or of the same build.
        count: samples to make; None: the recipe's default, one a frame.
        seed: of all randomness.
        workers: processes; the bytes do not depend on it. None: one a core, of this machine or of the cluster.
        samples_per_shard: samples in a tar; the bytes depend on it.
        packing: how samples are stored.
        strict: the first broken input ends the build instead of being skipped and recorded.
        dry_run: only say what would be made; touches nothing.
        engine: where the shards are made; the bytes do not depend on it.
        shards: make only the shards from the first number up to, not including, the second; None leaves an end open.
            Other calls may make others at the same time. Whichever call finds all shards made completes the set.
        repair: make those files of a complete set again that are missing or not what its manifest says.

    Returns:
        What was made and what was left out.

    Raises:
        UserError: impossible numbers, a folder that holds something else, a second build in the same folder, no
            sample at all, a source that vanished, a full disk, or, if strict, a broken input.
        KeyboardInterrupt: after the workers stopped; the same call resumes.
    """
    start = time.monotonic()
    if engine == "ray":
        import_ray()  # a dry run, too, says that it is missing
    count = recipe.default_count if count is None else count
    for name, value in (("count", count), ("workers", workers), ("samples per shard", samples_per_shard)):
        if value is not None and value < 1:
            raise UserError(f"The number of {name} must be at least 1, got {value}.")
    if seed < 0:
        raise UserError(f"The seed must not be negative, got {seed}.")
    if count > _MOST_SAMPLES or -(-count // samples_per_shard) > _MOST_SHARDS:
        raise UserError(
            f"A set holds at most {_MOST_SAMPLES:,} samples in {_MOST_SHARDS:,} shards, whose names can be told "
            f"apart, not {count:,} samples, {samples_per_shard:,} a shard: make several sets of several seeds."
        )
    plan = _plan(recipe, count, seed, samples_per_shard, packing)
    tasks = shard_tasks(plan)
    some = None if shards is None else _chosen(tasks, shards)
    if dry_run:
        estimate = _estimate(coder_of(recipe, seed, packing), count, samples_per_shard)
        described = {**plan, **estimate, "inputs": recipe.plan()}
        return BuildSummary(out, described, dry_run=True, seconds=time.monotonic() - start)
    if strict and recipe.problems:
        first = recipe.problems[0]
        raise UserError(f"--strict: {first.input}: {first.reason}: {first.detail}.")

    job = Job(recipe, out, plan, seed, packing, strict)
    try:
        if repair:
            return _repair(job, tasks, some, workers, engine, start)
        finished = finished_build(out, plan)
        if finished is not None:
            clear_unless_used(out)
            return _summary(out, plan, finished, start, complete=True)
        with claimed(out, plan, tasks, some) as claim:
            if claim.finished is not None:
                return _summary(out, plan, claim.finished, start, complete=True)
            try:
                return _made(job, tasks, some, claim, workers, engine, start)
            except (OSError, UserError):
                finished = claim.overtaken()
                if finished is None:
                    raise
                return _summary(out, plan, finished, start)
    except OSError as error:
        raise UserError(_what_failed(out, error)) from error


def _made(
    job: Job,
    tasks: Sequence[ShardTask],
    some: Sequence[ShardTask] | None,
    claim: Claim,
    workers: int | None,
    engine: Engine,
    start: float,
) -> BuildSummary:
    """Make what is missing of a set, or of a part, and complete the set if nobody else is to."""
    mine = tasks if some is None else some
    done = noted(job.out, mine)
    todo = [task for task in mine if task not in done]
    resumed, made = len(mine) - len(todo), sum(task.last - task.first for task in todo)
    _run(job, todo, workers, engine)
    finished = claim.overtaken()
    if some is not None and finished is None:
        part = _part(job.out, job.plan, some, start, resumed=resumed, made=made)
        missing = missing_shards(job.out, tasks)  # the last thing: whoever makes them counts after that
        if missing:
            return replace(part, missing=missing)
        finished = claim.alone()
    if finished is None:
        finished = finish(job.recipe, job.out, job.plan, tasks, created=claim.created)
    return _summary(job.out, job.plan, finished, start, resumed=resumed, made=made)


def _repair(
    job: Job,
    tasks: Sequence[ShardTask],
    some: Sequence[ShardTask] | None,
    workers: int | None,
    engine: Engine,
    start: float,
) -> BuildSummary:
    """Make the broken shards of a complete set again, then what lies beside them."""
    if some is not None:
        raise UserError("--repair finds the broken shards by itself: leave --shards away.")
    manifest = finished_build(job.out, job.plan, whole=False)
    if manifest is None:
        raise UserError(
            f"{job.out} holds no complete shard set to repair: the same command without --repair makes it."
        )
    with reopened(job.out):
        broken = set(broken_shards(job.out))
        todo = [task for task in tasks if task.shard in broken]
        wanted = {record.name: record for record in manifest.shards}
        _run(replace(job, wanted=wanted), todo, workers, engine)
        records = repair_records(job, tasks, manifest)
    repaired = (*(task.shard for task in todo), *records)
    return _summary(job.out, job.plan, manifest, start, repaired=repaired)


def _run(job: Job, tasks: Sequence[ShardTask], workers: int | None, engine: Engine) -> None:
    if engine == "ray":
        run_on_ray(job, tasks, workers)
    else:
        run_here(job, tasks, workers or len(os.sched_getaffinity(0)))


def _chosen(tasks: Sequence[ShardTask], shards: tuple[int | None, int | None]) -> Sequence[ShardTask]:
    """The shards of a range; UserError where it holds none or leaves the set."""
    first, last = 0 if shards[0] is None else shards[0], len(tasks) if shards[1] is None else shards[1]
    if not 0 <= first < last <= len(tasks):
        raise UserError(
            f"--shards {first}:{last} is no part of this set, which has {plural(len(tasks), 'shard')}: "
            f"0:{len(tasks)} is all of it."
        )
    return tasks[first:last]


def _what_failed(out: Path, error: OSError) -> str:
    """One sentence about an error of the system in OUT; those of the sources are told where they are read."""
    again = "what is finished stays, and the same command goes on from there"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {out} is full: make room; {again}."
    where = "" if error.filename is None else f" ({Path(str(error.filename)).name})"
    return f"Cannot write into {out} or read it: {error.strerror or error}{where}; {again}."


# What is built
# -------------------------------------------------------------------------------------------------------


def _plan(recipe: Recipe, count: int, seed: int, samples_per_shard: int, packing: Packing) -> dict[str, Any]:
    """Everything that decides about bytes. Equal plans mean equal shard sets."""
    plan = {
        "recipe": recipe.name,
        "config": recipe.config.model_dump(mode="json"),
        "seed": seed,
        "count": count,
        "samples_per_shard": samples_per_shard,
        "packing": packing.model_dump(mode="json"),
        "tool": {**{name: version(package) for name, package in _LIBRARIES.items()}, "zlib": ZLIB_RUNTIME_VERSION},
        "sources": recipe.sources(),
    }
    return dict(json.loads(encode_json(plan)))


def _estimate(coder: Coder | DeltaCoder, count: int, samples_per_shard: int) -> dict[str, Any]:
    """Shards and bytes, judged by the first sample that can be made."""
    members: list[int] = []
    for index in range(min(count, 8)):
        with contextlib.suppress(BadInput):
            # Each member lies in the tar behind a header of 512 bytes, filled up to a multiple of 512.
            members = [512 + -(-len(data) // 512) * 512 for _, data in coder.members(index)[0]]
            break
    return {"shards": -(-count // samples_per_shard), "estimated_bytes": sum(members) * count}


def _part(
    out: Path, plan: Mapping[str, Any], mine: Sequence[ShardTask], start: float, *, resumed: int, made: int
) -> BuildSummary:
    """What a call did that did not complete the set."""
    notes = noted(out, mine).values()
    skipped: Counter[str] = Counter()
    for note in notes:
        skipped.update(note.reasons)
    return BuildSummary(
        out=out,
        plan=plan,
        samples=sum(note.rows for note in notes),
        skipped=dict(sorted(skipped.items())),
        shards=len(mine),
        resumed=resumed,
        bytes=sum(note.record.bytes for note in notes),
        seconds=time.monotonic() - start,
        made=made,
    )


def _summary(
    out: Path,
    plan: Mapping[str, Any],
    manifest: Manifest,
    start: float,
    *,
    resumed: int = 0,
    made: int = 0,
    repaired: tuple[str, ...] | None = None,
    complete: bool = False,
) -> BuildSummary:
    return BuildSummary(
        out=out,
        plan=plan,
        samples=manifest.samples,
        skipped=manifest.rejects,
        shards=len(manifest.shards),
        resumed=resumed,
        repaired=repaired,
        whole=True,
        bytes=sum(shard.bytes for shard in manifest.shards),
        pixels=manifest.pixels,
        seconds=time.monotonic() - start,
        made=made,
        complete=complete,
    )
