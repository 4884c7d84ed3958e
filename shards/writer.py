"""Writing shards: one POSIX tar each, with nothing in it that depends on when, where or by whom.

The standard library's tarfile writes the same USTAR headers that the `webdataset` package reads, without that
package's import of torch.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field

from shards.codec import encode_sample
from shards.places import RemotePath, temporary_name, write_remotely
from shards.sample import Sample


class ShardRecord(BaseModel):
    """What the manifest says of one shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[^/\\\x00-\x1f]+\.tar$")  # a manifest leads nowhere out of its folder
    samples: int = Field(ge=0, lt=2**48)
    bytes: int = Field(ge=0, lt=2**63)
    sha256: str


Members = Sequence[tuple[str, bytes]]
"""The files of a sample in their order: suffix after ``KEY.`` and bytes."""


def write_shard(path: Path, samples: Iterable[Sample]) -> ShardRecord:
    """Code samples and write them, in their order, as a WebDataset tar: see `write_members`."""
    return write_members(path, ((sample.key, encode_sample(sample)) for sample in samples))


def write_members(path: Path, samples: Iterable[tuple[str, Members]]) -> ShardRecord:
    """Write coded samples, in their order, as a WebDataset tar.

    The tar appears under its name only when it is complete: it is written under a temporary name, flushed to the disk
    and renamed (law 2).

    Args:
        path: where the tar shall be; its folder exists.
        samples: key and members of each, consumed one by one, so that memory holds one sample.

    Returns:
        Name, sample count, size in bytes and sha256.
    """
    count = 0
    hashed: _Hashed | None = None

    def write(file: IO[bytes]) -> None:
        nonlocal count, hashed
        hashed = _Hashed(file)
        for key, members in samples:
            for suffix, data in members:
                hashed.write(_header(f"{key}.{suffix}", len(data)))
                hashed.write(data)
                hashed.write(bytes(-len(data) % tarfile.BLOCKSIZE))
            count += 1
        # Two empty blocks are the archive's end, filled up to a record, as is the custom.
        hashed.write(bytes(2 * tarfile.BLOCKSIZE))
        hashed.write(bytes(-hashed.size % tarfile.RECORDSIZE))

    write_atomically(path, write)
    assert hashed is not None
    return ShardRecord(name=path.name, samples=count, bytes=hashed.size, sha256=hashed.sha256.hexdigest())


class _Hashed:
    """A file that is hashed as it is written: what was written need not be read again."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.size += len(data)
        self._file.write(data)


def write_atomically(path: Path, content: bytes | Callable[[IO[bytes]], None]) -> None:
    """Write a temporary file beside `path`, flush it to the disk and give it its name.

    Whatever goes wrong, `path` is either untouched or complete, and no temporary file stays behind unless the process
    is killed.

    Args:
        path: the final name; a `RemotePath` is written by way of a local file.
        content: the bytes, or a function that writes them into the open file.
    """
    if isinstance(path, RemotePath):
        write_remotely(path, content)
        return
    temporary = path.with_name(temporary_name(path.name))
    try:
        with temporary.open("wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)  # the rename itself must survive a power cut, too


def sync_folder(folder: Path) -> None:
    """Flush to the disk which names a folder holds; a store behind a URL does that by itself."""
    if isinstance(folder, RemotePath):
        return
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _header(name: str, size: int) -> bytes:
    """The block before a file in a tar; USTAR knows no extended headers, which would hold times as decimals."""
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o644
    header.mtime = 0
    header.uid = header.gid = 0
    header.uname = header.gname = ""
    return header.tobuf(tarfile.USTAR_FORMAT)
