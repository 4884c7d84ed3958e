"""Locks of the operating system on open files and folders: they end with the processes that hold them, however."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from shards.errors import UserError

_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF)
"""What file systems without locks answer; those with locks on byte ranges alone (NFS) refuse folders by EBADF."""


def try_lock(file: IO[Any] | int, kind: int) -> bool | None:
    """Lock an open file or folder.

    Args:
        file: or its descriptor.
        kind: `fcntl.LOCK_SH` or `fcntl.LOCK_EX`.

    Returns:
        Whether the lock was got; None where there are no locks.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


@contextmanager
def alone_in(folder: Path, busy: str, *, patience: float = 0.0) -> Iterator[int]:
    """Within the block this process, and whoever inherits the descriptor, are the only ones that work in a folder.

    The lock is on the folder itself and leaves no file. Where there are no locks nobody is kept out.

    Args:
        folder: exists.
        busy: what is said where somebody else is in it.
        patience: seconds for which it is waited until they leave.

    Yields:
        A descriptor of the folder. The lock ends when the last process that has it closes it.

    Raises:
        UserError: `busy`, or the folder cannot be opened.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"Cannot open the folder {folder}: {error.strerror}.") from error
    try:
        until = time.monotonic() + patience
        while try_lock(descriptor, fcntl.LOCK_EX) is False:
            if time.monotonic() >= until:
                raise UserError(busy)
            time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)
