"""Writing shards: one POSIX tar each, with nothing in it that depends on when, where or by whom.

The standard library's tarfile writes the same USTAR headers that the `webdataset` package reads, without that
package's import of torch.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field

from shards.codec import encode_sample
from shards.sample import Sample


class ShardRecord(BaseModel):
    """What the manifest says of one shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[^/\\]+\.tar$")  # a manifest leads nowhere out of its folder
    samples: int
    bytes: int
    sha256: str


def write_shard(path: Path, samples: Iterable[Sample]) -> ShardRecord:
    """Write samples, in their order, as a WebDataset tar.

    The tar appears under its name only when it is complete: it is written under a temporary name, flushed to the disk
    and renamed (law 2).

    Args:
        path: where the tar shall be; its folder exists.
        samples: consumed one by one, so that memory holds one sample.

    Returns:
        Name, sample count, size in bytes and sha256.
    """
    count = 0

    def write(file: IO[bytes]) -> None:
        nonlocal count
        # format=USTAR: no extended headers, which would hold times as decimals.
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in samples:
                for suffix, data in encode_sample(sample):
                    tar.addfile(_header(f"{sample.key}.{suffix}", len(data)), io.BytesIO(data))
                count += 1

    write_atomically(path, write)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ShardRecord(name=path.name, samples=count, bytes=path.stat().st_size, sha256=digest)


def write_atomically(path: Path, content: bytes | Callable[[IO[bytes]], None]) -> None:
    """Write a temporary file beside `path`, flush it to the disk and give it its name.

    Whatever goes wrong, `path` is either untouched or complete, and no temporary file stays behind unless the process
    is killed.

    Args:
        path: the final name.
        content: the bytes, or a function that writes them into the open file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself must survive a power cut, too
    finally:
        os.close(directory)


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o644
    header.mtime = 0
    header.uid = header.gid = 0
    header.uname = header.gname = ""
    return header
