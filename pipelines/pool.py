"""The engine of one machine: a pool of processes, or one thread where one worker is asked for."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import cv2

from pipelines.tasks import ShardTask
from pipelines.work import Job, Stopped, make_shard
from shards.errors import UserError
from shards.progress import track

_AHEAD: Final = 2
"""Shards that are handed out for each worker: one to do and one to begin at once."""

_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What numerical libraries ask when they are imported: how many threads to start."""


@dataclass(frozen=True, slots=True)
class _Worker:
    """What a worker, thread or process, is given once, not once a shard.

    `job` is pickled once for all processes: the objects of all of COCO take a while. `ticking` is a queue that takes
    one item a sample, `stop` an event: of threads or of processes.
    """

    job: Job | bytes
    ticking: Any
    stop: Any


def run_here(job: Job, tasks: Sequence[ShardTask], workers: int) -> None:
    """Make shards on this machine and show the progress.

    Args:
        job: the build.
        tasks: the shards to make.
        workers: processes; one makes them in a thread of this one.

    Raises:
        UserError: as `make_shard`, or a worker died.
        OSError: of writing.
        KeyboardInterrupt: after the workers stopped.
    """
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
        worker = _Worker(pickle.dumps(job), context.SimpleQueue(), context.Event())
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_process, initargs=(worker,))
    total = sum(task.last - task.first for task in tasks)
    try:
        ticks = _ticks(pool, tasks, worker.ticking, _AHEAD * workers)
        for _ in track(ticks, job.recipe.name, total=total, unit="samples"):
            pass
    except BrokenProcessPool as error:
        raise UserError(
            "A worker process died, most likely for want of memory: use fewer --workers; the same command resumes."
        ) from error
    finally:
        # After an error or Ctrl-C, workers give up at the next sample; the shards that they finished stay.
        worker.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _ticks(pool: Executor, tasks: Sequence[ShardTask], ticking: Any, ahead: int) -> Iterator[int]:
    """One item for every sample that any worker finished; raises what a worker raised."""
    waiting = iter(tasks)
    pending: set[Future[None]] = set()
    while True:
        with _starting():
            pending |= {pool.submit(_make, task) for task in islice(waiting, ahead - len(pending))}
        if not pending:
            return
        done, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
        while not ticking.empty():
            yield ticking.get()
        for future in done:
            future.result()


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """What workers inherit that may start meanwhile: one thread each, and no Ctrl-C.

    Those still importing would answer Ctrl-C with tracebacks.
    """
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_this = threading.local()
"""Of a worker, thread or process: what it was started with."""


def _start_thread(worker: _Worker) -> None:
    _this.worker = worker


def _start_process(worker: _Worker) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    assert isinstance(worker.job, bytes)
    _this.worker = _Worker(pickle.loads(worker.job), worker.ticking, worker.stop)


def _die_with_parent() -> None:
    """A parent that is killed cannot stop its workers, and they must not write on without its lock."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(task: ShardTask) -> None:
    worker: _Worker = _this.worker
    if worker.stop.is_set():
        return
    assert isinstance(worker.job, Job)
    try:
        make_shard(worker.job, task, lambda: worker.ticking.put(1), worker.stop.is_set)
    except Stopped:
        return
    except BaseException:
        worker.stop.set()  # the build has failed: nobody, this worker included, need begin another shard
        raise
