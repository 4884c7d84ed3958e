"""Building a shard set: many processes, one result.

A shard is the unit of work, of retry and of resume (law 2); `pipelines/folder.py` knows what of it is finished.
At the end come samples.jsonl, rejects.jsonl and, last, manifest.json; then ``.build`` goes. Nothing in them depends
on the number of processes, on the order in which shards finish, on time, host or folder (law 1).
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from zlib import ZLIB_RUNTIME_VERSION

import cv2

from pipelines.coding import Coder, Packing
from pipelines.defaults import SAMPLES_PER_SHARD
from pipelines.folder import WORK, ShardTask, claimed, clear, done_record, finished_build
from pipelines.recipe import Recipe, sample_key
from shards.codec import encode_json
from shards.documents import write_documents
from shards.errors import BadInput, UserError
from shards.manifest import REJECTS, SAMPLES, Manifest, write_manifest
from shards.progress import track
from shards.writer import Members, ShardRecord, write_atomically, write_members

_LIBRARIES: Final = {
    "anomsynth": "anomsynth",
    "numpy": "numpy",
    "opencv": "opencv-python-headless",
    "pillow": "pillow",
    "pycocotools": "pycocotools",
}


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What a build did.

    Attributes:
        out: the folder.
        plan: what was (to be) built: recipe, config, sources, samples, shards, estimated bytes.
        samples: samples in the set.
        skipped: inputs that were left out, by reason.
        shards: shards in the set.
        resumed: shards among them that an earlier, interrupted build had finished.
        bytes: size of all shards.
        seconds: how long this call took.
        complete: the set was complete before; nothing was done.
        dry_run: nothing was done, on request.
    """

    out: Path
    plan: Mapping[str, Any]
    samples: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    shards: int = 0
    resumed: int = 0
    bytes: int = 0
    seconds: float = 0.0
    complete: bool = False
    dry_run: bool = False


def build(
    recipe: Recipe,
    out: Path,
    *,
    count: int | None = None,
    seed: int = 0,
    workers: int = 1,
    samples_per_shard: int = SAMPLES_PER_SHARD,
    packing: Packing = Packing(),  # noqa: B008 (frozen)
    strict: bool = False,
    dry_run: bool = False,
) -> BuildSummary:
    """Make a shard set, or finish one that an equal call began.

    Args:
        recipe: an opened recipe.
        out: the folder of the set; absent, empty, or of the same build.
        count: samples to make; None: the recipe's default, one a frame.
        seed: of all randomness.
        workers: processes; the bytes do not depend on it.
        samples_per_shard: samples in a tar; the bytes depend on it.
        packing: how samples are stored.
        strict: the first broken input ends the build instead of being skipped and recorded.
        dry_run: only say what would be made; touches nothing.

    Returns:
        What was made and what was left out.

    Raises:
        UserError: impossible numbers, a folder that holds something else, a second build in the same folder, no
            sample at all, or, if strict, a broken input.
        KeyboardInterrupt: after the workers stopped; the same call resumes.
    """
    start = time.monotonic()
    count = recipe.default_count if count is None else count
    for name, value in (("count", count), ("workers", workers), ("samples per shard", samples_per_shard)):
        if value < 1:
            raise UserError(f"The number of {name} must be at least 1, got {value}.")
    if seed < 0:
        raise UserError(f"The seed must not be negative, got {seed}.")
    plan = _plan(recipe, count, seed, samples_per_shard, packing)
    if dry_run:
        estimate = _estimate(Coder(recipe, seed, packing), count, samples_per_shard)
        described = {**plan, **estimate, "inputs": recipe.plan()}
        return BuildSummary(out, described, dry_run=True, seconds=time.monotonic() - start)
    if strict and recipe.problems:
        first = recipe.problems[0]
        raise UserError(f"--strict: {first.input}: {first.reason}: {first.detail}.")

    tasks = [
        ShardTask(f"{recipe.name}-{number:06d}.tar", first, min(first + samples_per_shard, count))
        for number, first in enumerate(range(0, count, samples_per_shard))
    ]
    finished = finished_build(out, plan)
    if finished is not None:
        clear(out)
        return _summary(out, plan, finished, start, complete=True)
    created = not out.exists()
    with claimed(out, plan, tasks):
        done = [task for task in tasks if done_record(out, task) is not None]
        todo = [task for task in tasks if task not in done]
        _run(Job(recipe, out, seed, packing, strict), todo, workers)
        manifest = _finish(recipe, out, plan, tasks, created=created)
    return _summary(out, plan, manifest, start, resumed=len(done))


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


def _estimate(coder: Coder, count: int, samples_per_shard: int) -> dict[str, Any]:
    """Shards and bytes, judged by the first sample that can be made."""
    members: list[int] = []
    for index in range(min(count, 8)):
        with contextlib.suppress(BadInput):
            # Each member lies in the tar behind a header of 512 bytes, filled up to a multiple of 512.
            members = [512 + -(-len(data) // 512) * 512 for _, data in coder.members(index)[0]]
            break
    return {"shards": -(-count // samples_per_shard), "estimated_bytes": sum(members) * count}


# The work
# ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job:
    """What is the same for all shards of a build.

    Attributes:
        recipe: an opened recipe.
        out: the folder of the set.
        seed: of all randomness.
        packing: how samples are stored.
        strict: the first broken input ends the build.
    """

    recipe: Recipe
    out: Path
    seed: int
    packing: Packing
    strict: bool


@dataclass(frozen=True, slots=True)
class _Worker:
    """What a worker, thread or process, is given once, not once a shard.

    `ticking` is a queue that takes one item a sample, `stop` an event: of threads or of processes.
    """

    job: Job
    ticking: Any
    stop: Any


class _Stopped(Exception):
    """The build was given up by the thread or process that started it."""


def _run(job: Job, tasks: Sequence[ShardTask], workers: int) -> None:
    """Make shards, in processes or, with one worker, in one thread, and show the progress."""
    workers = min(workers, len(tasks))
    if not workers:
        return
    pool: Executor
    if workers == 1:
        worker = _Worker(job, queue.SimpleQueue(), threading.Event())
        pool = ThreadPoolExecutor(1, initializer=_start_thread, initargs=(worker,))
    else:
        # spawn: workers start clean, whatever threads and locks this process has.
        context = multiprocessing.get_context("spawn")
        worker = _Worker(job, context.SimpleQueue(), context.Event())
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_process, initargs=(worker,))
    total = sum(task.last - task.first for task in tasks)
    try:
        with _no_interrupt():
            futures = [pool.submit(_make_shard, task) for task in tasks]
        for _ in track(_ticks(futures, worker.ticking), job.recipe.name, total=total, unit="samples"):
            pass
    except BrokenProcessPool as error:
        raise UserError(
            "A worker process died, most likely for want of memory: use fewer --workers; the same command resumes."
        ) from error
    finally:
        # After an error or Ctrl-C, workers give up at the next sample; the shards that they finished stay.
        worker.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back while workers start: they inherit it, or those still importing would print tracebacks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ticks(futures: Sequence[Future[None]], ticking: Any) -> Iterator[int]:
    """One item for every sample that any worker finished; raises what a worker raised."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
        while not ticking.empty():
            yield ticking.get()
        for future in done:
            future.result()


_this = threading.local()
"""Of a worker, thread or process: what it was started with."""


def _start_thread(worker: _Worker) -> None:
    _this.worker = worker


def _start_process(worker: _Worker) -> None:
    _this.worker = worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    cv2.setNumThreads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A parent that is killed cannot stop its workers, and they must not write on without its lock."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_shard(task: ShardTask) -> None:
    """Make one shard, then its done-record; leaves nothing behind if it is stopped."""
    worker: _Worker = _this.worker
    out = worker.job.out
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    if worker.stop.is_set():
        return
    try:
        record = write_members(out / task.shard, _samples(worker, task, rows, rejects))
    except _Stopped:
        return
    except BaseException:
        worker.stop.set()  # the build has failed: nobody, this worker included, need begin another shard
        raise
    if record.samples == 0:
        (out / task.shard).unlink()  # readers need not cope with archives that hold nothing
    note = {"record": record.model_dump(), "rows": rows, "rejects": rejects}
    write_atomically(out / WORK / task.note, encode_json(note))


def _samples(
    worker: _Worker, task: ShardTask, rows: list[dict[str, Any]], rejects: list[dict[str, Any]]
) -> Iterator[tuple[str, Members]]:
    """The samples of a shard, one by one; fills `rows` and `rejects` on the way."""
    job = worker.job
    coder = Coder(job.recipe, job.seed, job.packing)
    for index in range(task.first, task.last):
        if worker.stop.is_set():
            raise _Stopped
        key = sample_key(job.recipe.name, index)
        try:
            members, meta = coder.members(index)
        except BadInput as error:
            broken = [{"reason": error.reason, "detail": error.detail, "input": job.recipe.input_of(job.seed, index)}]
        else:
            broken = list(meta["rejected"])
            rows.append({**meta, "key": key, "shard": task.shard})
            yield key, members
        # What found no room names no input: nothing is broken then.
        if job.strict and (first := next((row for row in broken if row["input"]), None)):
            raise UserError(f"--strict: {first['input']}: {first['reason']}: {first['detail']}.")
        rejects += [{**row, "sample": key} for row in broken]
        worker.ticking.put(1)


# The end
# -------------------------------------------------------------------------------------------------------------


def _finish(
    recipe: Recipe, out: Path, plan: Mapping[str, Any], tasks: Sequence[ShardTask], *, created: bool
) -> Manifest:
    """Gather the shards' records into samples.jsonl, rejects.jsonl and, last, manifest.json."""
    notes = [note for task in tasks if (note := done_record(out, task)) is not None]
    if len(notes) != len(tasks):
        raise UserError(
            f"Of the {len(tasks)} shards in {out} some vanished while they were built: repeat the command."
        )
    rows = [row for note in notes for row in note["rows"]]
    rejects = [
        {"reason": problem.reason, "detail": problem.detail, "input": problem.input, "sample": None}
        for problem in recipe.problems
    ]
    rejects += [row for note in notes for row in note["rejects"]]
    reasons = Counter(row["reason"] for row in rejects)
    if not rows:
        _give_up(out, tasks, created=created)
        listed = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        first = next(row for row in rejects if row["sample"] is not None)
        raise UserError(
            f"No sample could be made, all {plan['count']} inputs were left out ({listed}), "
            f"such as {first['input']}: {first['detail']}. Nothing was written."
        )
    manifest = Manifest(
        **plan,
        shards=[ShardRecord.model_validate(note["record"]) for note in notes if note["record"]["samples"]],
        pixels={name: sum(row["pixels"][name] for row in rows) for name in ("known", "anomaly", "ignore")},
        rejects=dict(sorted(reasons.items())),
    )
    write_atomically(out / SAMPLES, _lines(rows))
    write_atomically(out / REJECTS, _lines(rejects))
    write_documents(out, manifest, rows)
    write_manifest(out, manifest)
    clear(out)
    return manifest


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(encode_json(row) + b"\n" for row in rows)


def _give_up(out: Path, tasks: Sequence[ShardTask], *, created: bool) -> None:
    """Remove what a build without a single sample made."""
    for task in tasks:
        (out / task.shard).unlink(missing_ok=True)
    clear(out)
    if created:
        out.rmdir()


def _summary(
    out: Path,
    plan: Mapping[str, Any],
    manifest: Manifest,
    start: float,
    *,
    resumed: int = 0,
    complete: bool = False,
) -> BuildSummary:
    return BuildSummary(
        out=out,
        plan=plan,
        samples=manifest.samples,
        skipped=manifest.rejects,
        shards=len(manifest.shards),
        resumed=resumed,
        bytes=sum(shard.bytes for shard in manifest.shards),
        seconds=time.monotonic() - start,
        complete=complete,
    )
