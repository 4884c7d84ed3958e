"""The folder that a build writes into: whose it is, what in it is finished, and who else must stay out.

While a build runs, OUT holds a folder ``.build``::

    OUT/.build/plan.json                  what is being built; equal plans resume, others are refused
    OUT/.build/lock                       held by who builds: by one alone, or by several that make some shards each
    OUT/.build/shards-100-200.lock        held by who makes shards 100 to 199
    OUT/.build/<recipe>-000000.json       a shard is done: its note, written after its tar
    OUT/<recipe>-000000.tar

Locks are the operating system's, on open files: they end with the process that holds them, however it ends. Stores
behind URLs have none. There two equal builds at once do the same work twice, and since equal plans give equal bytes
(law 1) the set is the same; unequal ones are refused by the plan as everywhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from pipelines.notes import Note, read_note
from shards.documents import DOCUMENTS
from shards.errors import UserError
from shards.manifest import MANIFEST, REJECTS, SAMPLES, Manifest, read_manifest
from shards.places import RemotePath, file_sizes, forget_listings, remove_tree
from shards.writer import write_atomically

WORK: Final = ".build"
"""Name of the folder with what only a running build needs."""

_PLAN: Final = "plan.json"
_LOCK: Final = "lock"
_ASKED: Final = 32
"""Questions to a store at a time."""


class ShardTask(NamedTuple):
    """A shard: number `number`, samples first..last-1."""

    shard: str
    number: int
    first: int
    last: int

    @property
    def note(self) -> str:
        """Name of its note."""
        return Path(self.shard).stem + ".json"


def shard_tasks(recipe: str, count: int, samples_per_shard: int) -> list[ShardTask]:
    """All shards of a set."""
    return [
        ShardTask(f"{recipe}-{number:06d}.tar", number, first, min(first + samples_per_shard, count))
        for number, first in enumerate(range(0, count, samples_per_shard))
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


def finished_build(out: Path, plan: Mapping[str, Any], *, whole: bool = True) -> Manifest | None:
    """The manifest of a complete equal build, or None.

    Args:
        out: the folder.
        plan: of the wanted build.
        whole: a missing shard is an error.

    Raises:
        UserError: it is a complete other build, or a shard is missing.
    """
    if not (out / MANIFEST).exists():
        return None
    manifest = read_manifest(out)
    differences = _differences(plan, manifest.model_dump(mode="json", include=set(plan)))
    if differences:
        raise UserError(
            f"{out} already holds another shard set, which differs in {differences}: "
            "choose another --out, or delete that folder first."
        )
    missing = [shard.name for shard in manifest.shards if whole and not (out / shard.name).is_file()]
    if missing:
        raise UserError(
            f"{out} has a manifest, but {len(missing)} of its shards are gone, {missing[0]} first: "
            "repeat the command with --repair to build these again."
        )
    return manifest


# Who may write
# -------------------------------------------------------------------------------------------------------


class Claim:
    """The right to write into a folder: all of a set, or some of its shards.

    Attributes:
        created: the folder did not exist before.
    """

    def __init__(self, out: Path, plan: Mapping[str, Any], lock: IO[str] | None, *, created: bool) -> None:
        self._out, self._plan, self._lock = out, plan, lock
        self.created = created

    def whole(self) -> bool:
        """Become the only one, to complete the set; False while others make shards, or when it is complete.

        Of several that ask, the last one asks when nobody else is left, and is heard.
        """
        forget_listings(self._out)
        if self._lock is not None and not (_locked(self._lock, fcntl.LOCK_EX) and _is_current(self._lock, self._out)):
            return False
        if (self._out / MANIFEST).exists():
            return False
        _clean(self._out, self._plan, None)
        return True


@contextlib.contextmanager
def claimed(
    out: Path, plan: Mapping[str, Any], tasks: Sequence[ShardTask], some: Sequence[ShardTask] | None = None
) -> Iterator[Claim]:
    """Check that the folder is free or ours, write the plan, and keep other builds out.

    Args:
        out: the folder.
        plan: of the build.
        tasks: all shards of the set.
        some: neighbouring shards that this process makes while others may make others; None: all.

    Raises:
        UserError: the folder holds something else, or another process writes the same.
    """
    forget_listings(out)
    _refuse_strangers(out, plan, tasks)
    created = not out.exists()
    with contextlib.ExitStack() as stack:
        lock = _lock_folder(out, stack, fcntl.LOCK_EX if some is None else fcntl.LOCK_SH)
        if some is not None and lock is not None:
            _lock_shards(out, stack, some)
        _clean(out, plan, some)
        if not (out / WORK / _PLAN).exists():
            write_atomically(out / WORK / _PLAN, json.dumps(plan, indent=2).encode())
        yield Claim(out, plan, lock, created=created)


@contextlib.contextmanager
def reopened(out: Path) -> Iterator[None]:
    """Keep others out of a complete set while some of its shards are made again; then clear up.

    Raises:
        UserError: another process writes there.
    """
    with contextlib.ExitStack() as stack:
        _lock_folder(out, stack, fcntl.LOCK_EX)
        try:
            yield
        finally:
            remove_tree(out / WORK)


def clear(out: Path) -> None:
    """Remove what only a running build needs."""
    remove_tree(out / WORK)


def clear_unless_used(out: Path) -> None:
    """Remove what a build left behind that was killed when its set was complete; a running repair stays."""
    if not (out / WORK).exists():
        return
    with contextlib.suppress(UserError), contextlib.ExitStack() as stack:
        _lock_folder(out, stack, fcntl.LOCK_EX)
        clear(out)


def _lock_folder(out: Path, stack: contextlib.ExitStack, kind: int) -> IO[str] | None:
    """The open lock file of a folder; None where there are no locks."""
    work = out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        if isinstance(out, RemotePath):
            return None
        lock = stack.enter_context((work / _LOCK).open("w"))
    except OSError as error:
        raise UserError(f"Cannot write into {out}: {error.strerror}.") from error
    if not _locked(lock, kind):
        raise UserError(f"Another build is writing into {out}: wait for it, or choose another --out.")
    if not _is_current(lock, out):
        raise UserError(f"Another build has just finished in {out}: repeat the command.")
    return lock


def _lock_shards(out: Path, stack: contextlib.ExitStack, some: Sequence[ShardTask]) -> None:
    """Lock a range of shards; then look whether anybody holds a range that overlaps."""
    first, last = some[0].number, some[-1].number + 1
    own = out / WORK / f"shards-{first}-{last}.lock"
    lock = stack.enter_context(own.open("w"))
    busy = None if _locked(lock, fcntl.LOCK_EX) else (first, last)
    for path in () if busy else sorted((out / WORK).glob("shards-*.lock")):
        match = re.fullmatch(r"shards-([0-9]+)-([0-9]+)\.lock", path.name)
        if match is None or path == own:
            continue
        low, high = int(match[1]), int(match[2])
        if low < last and first < high:
            with path.open() as other:
                if not _locked(other, fcntl.LOCK_SH):
                    busy = low, high
    if busy:
        raise UserError(
            f"Another build is making the shards {busy[0]}:{busy[1]} of {out}: wait for it, or give other --shards."
        )


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(lock: IO[str], out: Path) -> bool:
    """False where whoever held the lock before removed the file: a lock on it keeps nobody out."""
    try:
        return os.fstat(lock.fileno()).st_ino == (out / WORK / _LOCK).stat().st_ino
    except OSError:
        return False


def _clean(out: Path, plan: Mapping[str, Any], some: Sequence[ShardTask] | None) -> None:
    """Remove the temporary files of builds that were killed: nobody else writes them here."""
    for folder in (out, out / WORK):
        for path in folder.glob(".*.tmp"):
            final = _final_name(path.name, plan["recipe"]) if folder == out else path.name
            if final is None:
                continue
            if some is None or any(path.name.startswith((f".{task.shard}.", f".{task.note}.")) for task in some):
                path.unlink(missing_ok=True)


def _refuse_strangers(out: Path, plan: Mapping[str, Any], tasks: Sequence[ShardTask]) -> None:
    """UserError if the folder holds anything that this build did not put there."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"--out {out} is a file: give a folder.")
    allowed = {WORK}
    plan_file = out / WORK / _PLAN
    if plan_file.is_file():
        try:
            begun = json.loads(plan_file.read_bytes())
        except (ValueError, RecursionError):
            begun = {}
        if isinstance(begun, dict) and (versions := _other_versions(plan, begun)):
            raise UserError(
                f"{out} holds an unfinished build by other versions, whose bytes may differ: {versions}. "
                "Install those versions to finish it, choose another --out, or delete that folder first."
            )
        differences = _differences(plan, begun)
        if differences:
            raise UserError(
                f"{out} holds an unfinished build, which differs in {differences}: "
                "repeat that command to finish it, choose another --out, or delete that folder first."
            )
        allowed |= {task.shard for task in tasks} | {SAMPLES, REJECTS, *DOCUMENTS}
    names = sorted(path.name for path in out.iterdir())
    strangers = [name for name in names if name not in allowed and _final_name(name, plan["recipe"]) is None]
    if MANIFEST in strangers:
        raise UserError(f"Another build has just finished in {out}: repeat the command.")
    if strangers:
        shown = ", ".join(strangers[:3]) + (f" and {len(strangers) - 3} more" if len(strangers) > 3 else "")
        raise UserError(f"{out} is not empty, it holds {shown}: choose another --out, nothing was touched.")


def _final_name(name: str, recipe: str) -> str | None:
    """What a temporary file in OUT should have become, if a build of this recipe left it when it was killed."""
    finals = rf"{re.escape(recipe)}-[0-9]+\.tar|" + "|".join(map(re.escape, (MANIFEST, SAMPLES, REJECTS, *DOCUMENTS)))
    match = re.fullmatch(rf"\.({finals})\.[0-9]+\.tmp", name)
    return None if match is None else match[1]


# What is being built
# -------------------------------------------------------------------------------------------------


def _differences(wanted: Mapping[str, Any], found: Any) -> str:
    """The fields in which two plans differ, such as ``config.size, seed``; of other recipes, that alone."""
    if not isinstance(found, dict):
        found = {}
    if found and wanted["recipe"] != found.get("recipe"):
        return f"recipe ({found.get('recipe')})"
    names = []
    for key, value in wanted.items():
        other = found.get(key)
        if value == other:
            continue
        if key == "tool" and (versions := _other_versions(wanted, found)):
            names.append(f"the versions of {versions}")
        elif isinstance(value, dict) and isinstance(other, dict):
            names += [f"{key}.{name}" for name in sorted({*value, *other}) if value.get(name) != other.get(name)]
        else:
            names.append(key)
    return ", ".join(names)


def _other_versions(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """``numpy 2.1.0 there, 2.4.6 here``; empty where no version differs, or more than versions."""
    here, there = wanted["tool"], found.get("tool")
    if not isinstance(there, dict) or any(wanted[key] != found.get(key) for key in wanted if key != "tool"):
        return ""
    names = [name for name in sorted({*here, *there}) if here.get(name) != there.get(name)]
    return "; ".join(f"{name} {there.get(name, 'none')} there, {here.get(name, 'none')} here" for name in names)
