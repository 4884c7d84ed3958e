"""The shards of a set as work to be done, and which of them are done."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipelines.notes import Note, read_note
from shards.codec import encode_json
from shards.places import RemotePath, file_sizes

WORK: Final = ".build"
"""Name of the folder in OUT with what only a running build needs."""

_ASKED: Final = 32
"""Questions to a store at a time."""


class ShardTask(NamedTuple):
    """A shard: number `number`, samples first..last-1, of the plan with the digest `plan`."""

    shard: str
    number: int
    first: int
    last: int
    plan: str

    @property
    def note(self) -> str:
        """Name of its note; notes of other plans have other names."""
        return f"{Path(self.shard).stem}.{self.plan}.json"


def shard_tasks(plan: Mapping[str, Any]) -> list[ShardTask]:
    """All shards of a set."""
    digest = hashlib.sha256(encode_json(plan)).hexdigest()[:12]
    recipe, count, size = plan["recipe"], plan["count"], plan["samples_per_shard"]
    return [
        ShardTask(f"{recipe}-{number:06d}.tar", number, first, min(first + size, count), digest)
        for number, first in enumerate(range(0, count, size))
    ]


def noted(out: Path, tasks: Sequence[ShardTask]) -> dict[ShardTask, Note]:
    """The notes of those shards whose tars are there in full; the others must be made (again)."""
    found = _with_note(out, tasks)

    def read(task: ShardTask) -> Note | None:
        return read_note(out / WORK / task.note, out / task.shard)

    if isinstance(out, RemotePath):  # a store takes a while to answer, but many at once
        with ThreadPoolExecutor(_ASKED) as pool:
            notes = list(pool.map(read, found))
    else:
        notes = list(map(read, found))
    return {task: note for task, note in zip(found, notes, strict=True) if note is not None}


def missing_shards(out: Path, tasks: Sequence[ShardTask]) -> int:
    """How many shards must still be made; while there are many, one listing tells."""
    found = _with_note(out, tasks)
    return len(tasks) - (len(found) if len(found) < len(tasks) else len(noted(out, tasks)))


def _with_note(out: Path, tasks: Sequence[ShardTask]) -> list[ShardTask]:
    work = out / WORK
    names = file_sizes(work) if work.is_dir() else {}
    return [task for task in tasks if task.note in names]
