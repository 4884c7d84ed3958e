"""Locks on the folder of a build: the operating system's, on open files of OUT/.build.

They end with the process that holds them, however it ends. Stores behind URLs have none, nor have some network file
systems; there everything here says yes. Others (NFS) make them from locks on byte ranges, which need a file that is
open for reading and writing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from pipelines.tasks import WORK, ShardTask
from shards.errors import UserError
from shards.flock import try_lock
from shards.places import RemotePath
from shards.writer import sync_folder

_LOCK: Final = "lock"
_PLANNING: Final = "plan.lock"
_TRIES: Final = 20
"""To lock a file that whoever held it before removes each time."""


class FolderLock:
    """A lock on a whole folder, shared or exclusive.

    Attributes:
        file: the open lock file; None where there are no locks.
    """

    def __init__(self, out: Path, file: IO[Any] | None) -> None:
        self._out, self.file = out, file

    def wait_until_alone(self) -> bool:
        """Make a shared lock exclusive, which waits for all other holders; whether the lock still means anything.

        It is given back first: two that kept theirs would wait for each other. In between anything may happen to the
        folder; False where whoever was alone there removed the lock file.
        """
        if self.file is None:
            return True
        fcntl.flock(self.file, fcntl.LOCK_UN)
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self.keeps_others_out()

    def keeps_others_out(self) -> bool:
        """False where there are no locks, or somebody removed the file: a lock on it means nothing to anybody."""
        try:
            there = (self._out / WORK / _LOCK).stat().st_ino
            return self.file is not None and os.fstat(self.file.fileno()).st_ino == there
        except OSError:
            return False


def lock_folder(out: Path, stack: contextlib.ExitStack, *, shared: bool) -> FolderLock:
    """Lock a folder, which is made if there is none, until the stack ends.

    Raises:
        UserError: another process holds a lock that forbids this one, or nothing can be written there.
        OSError: the disk is full.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    for _ in range(_TRIES):
        try:
            if isinstance(out, RemotePath):
                (out / WORK).mkdir(parents=True, exist_ok=True)
                return FolderLock(out, None)
            _make_folder(out / WORK)
            file = stack.enter_context((out / WORK / _LOCK).open("a+"))
        except FileNotFoundError:  # the build before has just ended
            continue
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UserError(f"Cannot write into {out}: {error.strerror}.") from error
        got = try_lock(file, kind)
        if got is None:
            return FolderLock(out, None)
        if not got:
            raise UserError(f"Another build is writing into {out}: wait for it, or choose another --out.")
        lock = FolderLock(out, file)
        if lock.keeps_others_out():
            return lock
        file.close()
    raise UserError(f"Other builds come and go in {out}: repeat the command, or choose another --out.")


def lock_shards(out: Path, stack: contextlib.ExitStack, some: Sequence[ShardTask]) -> None:
    """Lock a range of shards; then look whether anybody holds a range that overlaps."""
    first, last = some[0].number, some[-1].number + 1
    own = out / WORK / f"shards-{first}-{last}.lock"
    file = stack.enter_context(own.open("a+"))
    busy = (first, last) if try_lock(file, fcntl.LOCK_EX) is False else None
    for path in () if busy else sorted((out / WORK).glob("shards-*.lock")):
        match = re.fullmatch(r"shards-([0-9]+)-([0-9]+)\.lock", path.name)
        if match is None or path == own:
            continue
        low, high = int(match[1]), int(match[2])
        if low < last and first < high:
            with path.open() as other:
                if try_lock(other, fcntl.LOCK_SH) is False:
                    busy = low, high
    if busy:
        raise UserError(
            f"Another build is making the shards {busy[0]}:{busy[1]} of {out}: wait for it, or give other --shards."
        )


@contextlib.contextmanager
def planning(out: Path, lock: FolderLock) -> Iterator[None]:
    """Be the only one of those that share a folder who looks for its plan and writes it."""
    if lock.file is None:
        yield
        return
    with (out / WORK / _PLANNING).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it; they are still there after a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        with contextlib.suppress(PermissionError):  # of a folder that this user may change but not list
            sync_folder(path.parent)
