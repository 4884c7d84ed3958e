"""The folder that a build writes into: whose it is, what in it is finished, and who else must stay out.

While a build runs, OUT holds a folder ``.build``::

    OUT/.build/plan.json                  what is being built; equal plans resume, others are refused
    OUT/.build/lock                       held by who builds: by one alone, or by several that make some shards each
    OUT/.build/plan.lock                  held for as long as it takes to agree on the plan
    OUT/.build/shards-100-200.lock        held by who makes shards 100 to 199
    OUT/.build/<recipe>-000000.PLAN.json  a shard is done: its note, written after its tar; PLAN is the plan's digest
    OUT/<recipe>-000000.tar

**In.** Look without a lock, so that a folder of somebody else's is never touched; lock it, exclusively to make all
shards, shared to make some; look again, for what was seen before need not be so any more: a manifest (an equal build
has ended: nothing is left to do), strangers, another plan. Only now is the plan written, by one at a time, and read
back.

**Out.** Who makes some shards counts, as the last thing, how many are missing. If any are, somebody else is to make
them, counts after that, and so sees all that were made before: of the calls that make the last shards one sees none
missing. That one gives its shared lock back, waits until it is alone, and completes the set unless another has. Who
is alone at the end removes ``.build`` and with it the lock file, so that whoever locked that must begin anew.

**Killed** at any moment, a process leaves no lock, and what it leaves is finished files and temporary ones. A set
whose last call was killed while it waited is ended by any call that comes again.

**Without locks** (URLs, some network file systems) two equal builds at once do the same work twice and, since equal
plans give equal bytes (law 1), leave the same set; a call whose notes vanish because another completed the set takes
that. Unequal builds are kept apart by the plan alone: it is read back after it was written and read again before
every shard and the manifest get their names, and notes of another plan do not count. Of two that begin in the same
moment one therefore ends with a sentence.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.locks import FolderLock, lock_folder, lock_shards, planning
from pipelines.plans import differences, has_plan, refuse_other_plan, write_plan
from pipelines.tasks import WORK, ShardTask
from shards.documents import DOCUMENTS
from shards.errors import UserError
from shards.manifest import MANIFEST, REJECTS, SAMPLES, Manifest, read_manifest
from shards.places import forget_listings, remove_tree


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
    found = differences(plan, manifest.model_dump(mode="json", include=set(plan)))
    if found:
        raise UserError(
            f"{out} already holds another shard set, which differs in {found}: "
            "choose another --out, or delete that folder first."
        )
    missing = [shard.name for shard in manifest.shards if whole and not (out / shard.name).is_file()]
    if missing:
        raise UserError(
            f"{out} has a manifest, but {len(missing)} of its shards are gone, {missing[0]} first: "
            "repeat the command with --repair to build these again."
        )
    return manifest


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write into a folder: all of a set, or some of its shards.

    Attributes:
        out: the folder.
        plan: of the build.
        lock: on the folder.
        created: the folder did not exist before.
        finished: the manifest of an equal build that ended before this one got its lock: there is nothing to do.
    """

    out: Path
    plan: Mapping[str, Any]
    lock: FolderLock
    created: bool
    finished: Manifest | None

    def alone(self) -> Manifest | None:
        """Wait until nobody else writes here, to complete the set; the manifest where another has done so.

        Raises:
            UserError: another call found that no sample can be made, and removed everything.
        """
        valid = self.lock.wait_until_alone()
        forget_listings(self.out)
        finished = finished_build(self.out, self.plan)
        if finished is not None:
            return finished
        if not valid:
            raise UserError(f"Another build has just given up in {self.out}: repeat the command, which tells why.")
        refuse_other_plan(self.out, self.plan)
        _clean(self.out, self.plan, None)
        return None

    def overtaken(self) -> Manifest | None:
        """The manifest, where no lock kept another call from completing the set meanwhile."""
        if self.lock.keeps_others_out():
            return None
        forget_listings(self.out)
        return finished_build(self.out, self.plan)


@contextlib.contextmanager
def claimed(
    out: Path, plan: Mapping[str, Any], tasks: Sequence[ShardTask], some: Sequence[ShardTask] | None = None
) -> Iterator[Claim]:
    """Check that the folder is free or ours, agree on the plan, and keep other builds out.

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
    try:
        with contextlib.ExitStack() as stack:
            lock = lock_folder(out, stack, shared=some is not None)
            forget_listings(out)
            finished = finished_build(out, plan)
            if finished is None:
                _refuse_strangers(out, plan, tasks)
                if some is not None and lock.file is not None:
                    lock_shards(out, stack, some)
                _clean(out, plan, some)
                with planning(out, lock):
                    write_plan(out, plan)
                    refuse_other_plan(out, plan)
            yield Claim(out, plan, lock, created, finished)
    finally:
        if (out / MANIFEST).exists():
            clear_unless_used(out)


@contextlib.contextmanager
def reopened(out: Path) -> Iterator[None]:
    """Keep others out of a complete set while some of it is made again; then clear up.

    Raises:
        UserError: another process writes there.
    """
    with contextlib.ExitStack() as stack:
        lock_folder(out, stack, shared=False)
        try:
            yield
        finally:
            clear(out)


def refuse_others_work(out: Path, plan: Mapping[str, Any]) -> None:
    """UserError if the folder has become that of another build, which only happens where there are no locks."""
    if has_plan(out):
        refuse_other_plan(out, plan)
    else:
        finished_build(out, plan, whole=False)


def clear(out: Path) -> None:
    """Remove what only a running build needs."""
    remove_tree(out / WORK)


def clear_unless_used(out: Path) -> None:
    """Remove what a build left behind whose set is complete; a running repair stays."""
    if not (out / WORK).exists():
        return
    with contextlib.suppress(UserError), contextlib.ExitStack() as stack:
        lock_folder(out, stack, shared=False)
        clear(out)


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
    if (out / MANIFEST).exists():
        return  # `finished_build`, which has just seen none, looks again behind the lock
    allowed = {WORK}
    names = sorted(path.name for path in out.iterdir())  # before the plan: an equal build writes that before all else
    if has_plan(out):
        refuse_other_plan(out, plan)
        allowed |= {task.shard for task in tasks} | {SAMPLES, REJECTS, *DOCUMENTS}
    strangers = [name for name in names if name not in allowed and _final_name(name, plan["recipe"]) is None]
    if strangers and not (out / MANIFEST).exists():
        shown = ", ".join(strangers[:3]) + (f" and {len(strangers) - 3} more" if len(strangers) > 3 else "")
        raise UserError(f"{out} is not empty, it holds {shown}: choose another --out, nothing was touched.")


def _final_name(name: str, recipe: str) -> str | None:
    """What a temporary file in OUT should have become, if a build of this recipe left it when it was killed."""
    finals = rf"{re.escape(recipe)}-[0-9]+\.tar|" + "|".join(map(re.escape, (MANIFEST, SAMPLES, REJECTS, *DOCUMENTS)))
    match = re.fullmatch(rf"\.({finals})\.[0-9]+\.tmp", name)
    return None if match is None else match[1]
