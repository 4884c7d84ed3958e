"""The folder that a build writes into: whose it is, what in it is finished, and who else must stay out.

While a build runs, OUT holds a folder ``.build``::

    OUT/.build/plan.json                  what is being built; equal plans resume, others are refused
    OUT/.build/lock                       held by the process that builds
    OUT/.build/<recipe>-000000.json       a shard is done: its record, rows and rejects; written after its tar
    OUT/<recipe>-000000.tar
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from shards.documents import DOCUMENTS
from shards.errors import UserError
from shards.manifest import MANIFEST, REJECTS, SAMPLES, Manifest, read_manifest
from shards.writer import ShardRecord, write_atomically

WORK: Final = ".build"
"""Name of the folder with what only a running build needs."""


class ShardTask(NamedTuple):
    """A shard: samples first..last-1."""

    shard: str
    first: int
    last: int

    @property
    def note(self) -> str:
        """Name of its done-record."""
        return Path(self.shard).stem + ".json"


def finished_build(out: Path, plan: Mapping[str, Any]) -> Manifest | None:
    """The manifest of a complete equal build; UserError if it is a complete other one."""
    if not (out / MANIFEST).exists():
        return None
    manifest = read_manifest(out)
    differences = _differences(plan, manifest.model_dump(mode="json", include=set(plan)))
    if differences:
        raise UserError(
            f"{out} already holds another shard set, which differs in {differences}: "
            "choose another --out, or delete that folder first."
        )
    missing = [shard.name for shard in manifest.shards if not (out / shard.name).is_file()]
    if missing:
        raise UserError(
            f"{out} has a manifest, but {len(missing)} of its shards are gone, {missing[0]} first: "
            f"delete {MANIFEST} to build them again."
        )
    return manifest


@contextlib.contextmanager
def claimed(out: Path, plan: Mapping[str, Any], tasks: Sequence[ShardTask]) -> Iterator[None]:
    """Check that the folder is free or ours, write the plan, and keep other builds out."""
    work = out / WORK
    _refuse_strangers(out, plan, tasks)
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    except OSError as error:
        raise UserError(f"Cannot write into {out}: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"Another build is writing into {out}: wait for it, or choose another --out.") from error
        leftovers = [path for path in out.glob(".*.tmp") if _is_leftover(path.name, plan["recipe"])]
        for leftover in (*leftovers, *work.glob(".*.tmp")):
            leftover.unlink()  # of a build that was killed; nobody else writes here
        if not (work / "plan.json").exists():
            write_atomically(work / "plan.json", json.dumps(plan, indent=2).encode())
        yield


def _refuse_strangers(out: Path, plan: Mapping[str, Any], tasks: Sequence[ShardTask]) -> None:
    """UserError if the folder holds anything that this build did not put there."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"--out {out} is a file: give a folder.")
    allowed = {WORK}
    plan_file = out / WORK / "plan.json"
    if plan_file.is_file():
        try:
            begun = json.loads(plan_file.read_bytes())
        except ValueError:
            begun = {}
        differences = _differences(plan, begun)
        if differences:
            raise UserError(
                f"{out} holds an unfinished build, which differs in {differences}: "
                "repeat that command to finish it, choose another --out, or delete that folder first."
            )
        allowed |= {task.shard for task in tasks} | {SAMPLES, REJECTS, *DOCUMENTS}
    names = sorted(path.name for path in out.iterdir())
    strangers = [name for name in names if name not in allowed and not _is_leftover(name, plan["recipe"])]
    if strangers:
        shown = ", ".join(strangers[:3]) + (f" and {len(strangers) - 3} more" if len(strangers) > 3 else "")
        raise UserError(f"{out} is not empty, it holds {shown}: choose another --out, nothing was touched.")


def _is_leftover(name: str, recipe: str) -> bool:
    """True for what `write_atomically` left in OUT when a build of this recipe was killed."""
    finals = rf"{re.escape(recipe)}-[0-9]+\.tar|" + "|".join(map(re.escape, (MANIFEST, SAMPLES, REJECTS, *DOCUMENTS)))
    return re.fullmatch(rf"\.({finals})\.[0-9]+\.tmp", name) is not None


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The fields in which two plans differ, such as ``config.size, seed``; of other recipes, that alone."""
    if found and wanted["recipe"] != found.get("recipe"):
        return f"recipe ({found.get('recipe')})"
    names = []
    for key, value in wanted.items():
        other = found.get(key)
        if value == other:
            continue
        if isinstance(value, dict) and isinstance(other, dict):
            names += [f"{key}.{name}" for name in sorted({*value, *other}) if value.get(name) != other.get(name)]
        else:
            names.append(key)
    return ", ".join(names)


def done_record(out: Path, task: ShardTask) -> dict[str, Any] | None:
    """The done-record of a shard whose tar is there in full; None if it must be made (again)."""
    try:
        note: dict[str, Any] = json.loads((out / WORK / task.note).read_bytes())
        record = ShardRecord.model_validate(note["record"])
        if record.samples == 0 or (out / task.shard).stat().st_size == record.bytes:
            return note
    except (OSError, ValueError, KeyError):
        pass
    return None


def clear(out: Path) -> None:
    """Remove what only a running build needs."""
    shutil.rmtree(out / WORK, ignore_errors=True)
