"""The engine of a cluster: the same shards as tasks of Ray (https://www.ray.io), the extra ``cluster``.

Every node needs this package and sees sources and OUT under the same names: a shared file system, or URLs. Which node
makes a shard shows in no byte. A shard whose node died is made again elsewhere.

The cluster is the one that RAY_ADDRESS names or that `ray start` began here; without one, Ray starts on this machine.
"""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pipelines.tasks import ShardTask
from pipelines.work import Job, make_shard
from shards.errors import UserError
from shards.progress import track

_jobs: dict[str, Job] = {}
"""Of a worker process of Ray: the job that it unpickled, once."""


def run_on_ray(job: Job, tasks: Sequence[ShardTask], workers: int | None) -> None:
    """Make shards on a cluster and show the progress.

    Args:
        job: the build.
        tasks: the shards to make.
        workers: shards in the making at a time; None: one a core of the cluster.

    Raises:
        UserError: Ray is not installed or not reachable, or gives up on a shard, or as `make_shard`.
        OSError: of writing.
    """
    if not tasks:
        return
    ray = import_ray()
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, include_dashboard=False)
        except ValueError:  # it joins a cluster, to which only what concerns this process may be said
            ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False)
        except (ConnectionError, RuntimeError) as error:
            raise UserError(f"No Ray cluster can be reached: {error}.") from error
    try:
        cores = int(ray.cluster_resources().get("CPU", 1))
        total = sum(task.last - task.first for task in tasks)
        ticks = _ticks(ray, job, tasks, workers or 2 * cores)
        for _ in track(ticks, job.recipe.name, total=total, unit="samples"):
            pass
    finally:
        if started:
            ray.shutdown()


def import_ray() -> Any:
    """The package; UserError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before the import: Ray reports on itself otherwise
    try:
        import ray  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise UserError("--engine ray needs the package Ray: pip install 'anomsynth[cluster]'.") from error
    return ray


def _ticks(ray: Any, job: Job, tasks: Sequence[ShardTask], ahead: int) -> Iterator[int]:
    """One item for every sample of the shards that are done; raises what a task raised."""
    token = uuid.uuid4().hex
    stored = [ray.put(pickle.dumps(job))]  # in a list, so that a worker fetches it only if it has not yet
    make = ray.remote(num_cpus=1, max_retries=3)(_make)
    waiting = iter(tasks)
    pending: dict[Any, ShardTask] = {}
    try:
        while True:
            for task in islice(waiting, ahead - len(pending)):
                pending[make.remote(token, stored, task)] = task
            if not pending:
                return
            done, _ = ray.wait(list(pending), num_returns=1)
            for reference in done:
                task = pending.pop(reference)
                try:
                    failure = ray.get(reference)
                except ray.exceptions.WorkerCrashedError as error:
                    raise UserError(
                        f"{task.shard} could not be made in four tries, each time a worker of Ray died, most likely "
                        "for want of memory; the same command resumes."
                    ) from error
                except ray.exceptions.RayError as error:
                    raise UserError(
                        f"Ray could not make {task.shard}: {_reason(error)}; the same command resumes."
                    ) from error
                if failure is not None:
                    raise failure
                yield from range(task.first, task.last)
    finally:
        for reference in pending:
            ray.cancel(reference)
        if pending:
            ray.wait(list(pending), num_returns=len(pending))  # each removes its temporary file before it goes


def _reason(error: Exception) -> str:
    """The last line that Ray says; above it may be a traceback of the node."""
    lines = str(error).strip().splitlines() or ["no reason"]
    return f"{type(error).__name__}: {lines[-1].rstrip('.')}"


def _make(token: str, stored: Sequence[Any], task: ShardTask) -> UserError | OSError | None:
    """Runs on a node: what may go wrong comes back as it is, not wrapped."""
    import cv2
    import ray

    if token not in _jobs:
        cv2.setNumThreads(1)
        _jobs.clear()
        _jobs[token] = pickle.loads(ray.get(stored[0]))
    try:
        make_shard(_jobs[token], task, lambda: None, lambda: False)
    except (UserError, OSError) as error:
        return error
    return None
