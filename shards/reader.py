"""Random access to a shard set: an index of the tars' members, and one sample at a time.

Behind a URL nothing is copied: headers are read when the set is opened, and the files of a sample by one request.
Archives are never extracted; members other than plain files, and names that lead out of the archive, are refused.
"""

from __future__ import annotations

import functools
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from shards.coded import CodedSample
from shards.errors import BadInput, UserError
from shards.index import Entry, Index, Member
from shards.manifest import Manifest, read_manifest
from shards.places import RemotePath, file_sizes
from shards.plural import plural
from shards.progress import track
from shards.sample import Sample

_OPEN = 64  # tars that a set keeps open, in each process
_REQUESTS = 16  # shards of a set behind a URL that are indexed at a time: answers take their time there
_MANY = 1000  # shards from which on it is told how far opening a set is
_REPAIR: Final = "repeat the command that made the set, with --repair."


class ShardSet:
    """The samples of one shard set, in storage order.

    The tars that were read last stay open, so that a set is read as it was even while its files are replaced or
    removed; behind a URL that is not so. Threads may share a set; it crosses into other processes, which open the
    tars for themselves.

    Args:
        folder: a folder with a manifest.json, or a `RemotePath`.

    Raises:
        UserError: not a complete shard set, or a shard is missing, cut off, or of another size or number of samples
            than recorded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        self._entries = Index()
        sizes = file_sizes(folder)
        for record in self.manifest.shards:
            if record.name not in sizes:
                raise UserError(f"{folder} lacks the shard {record.name}; {_REPAIR}")
            if sizes[record.name] != record.bytes:
                raise UserError(
                    f"{folder / record.name} has {sizes[record.name]} bytes, its manifest says {record.bytes}; "
                    f"{_REPAIR}"
                )
        paths = [folder / record.name for record in self.manifest.shards]
        found: Iterator[tuple[Path, list[Entry]]] = zip(paths, _index_all(paths), strict=True)
        if len(paths) >= _MANY:
            found = track(found, f"opening {folder.name}", total=len(paths), unit="shards")
        for record, (path, entries) in zip(self.manifest.shards, found, strict=True):
            if len(entries) != record.samples:
                raise UserError(
                    f"{path} holds {plural(len(entries), 'sample')}, its manifest says {record.samples}; {_REPAIR}"
                )
            self._entries.add(path.name, entries)
        self._keep_open()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the samples in storage order."""
        return tuple(map(self._entries.key, range(len(self))))

    def raw(self, index: int) -> dict[str, bytes]:
        """The still encoded members of a sample by suffix (``image.png``, ``json``, ...).

        Raises:
            BadInput: ``missing-shard`` where the tar cannot be read any more, ``bad-tar`` where it was cut off,
                ``duplicate-member`` where two files of the sample have one name.
        """
        entry = self._entries[index]
        try:
            if isinstance(self.folder, RemotePath):
                return read_members(self.folder / entry.shard, entry)
            tar = self._tar(entry.shard)
            return _read_all(entry, lambda size, start: os.pread(tar.descriptor, size, start))
        except OSError as error:
            raise BadInput("missing-shard", f"{entry.shard}: {error.strerror}") from error

    def coded(self, index: int) -> CodedSample:
        """A sample whose size is known and of which nothing is decoded yet.

        Raises:
            BadInput: its members cannot be read, or are broken.
        """
        return CodedSample(self._entries.key(range(len(self))[index]), self.raw(index))

    def __getitem__(self, index: int) -> Sample:
        """Decode one sample.

        Raises:
            BadInput: its members cannot be read, or are broken.
        """
        return self.coded(index).decode()

    def __iter__(self) -> Iterator[Sample]:
        """All samples in storage order."""
        return (self[index] for index in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        """What crosses into another process: everything but the open files."""
        return {name: value for name, value in self.__dict__.items() if name != "_tar"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._keep_open()

    def _keep_open(self) -> None:
        folder = self.folder  # not the set itself: that would be a circle, and files would stay open for longer
        self._tar = functools.lru_cache(maxsize=_OPEN)(lambda name: _OpenTar(folder / name))


class _OpenTar:
    """A file that is open for as long as anybody holds this object: threads may still read what a cache forgets."""

    def __init__(self, path: Path) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # `close` is bound here because a program that ends may have forgotten `os` by then.
        if self.descriptor >= 0:
            close(self.descriptor)


def read_members(path: Path, entry: Entry) -> dict[str, bytes]:
    """The still encoded members of one sample of a tar by suffix; of a tar behind a URL by one request.

    Raises:
        BadInput: as `ShardSet.raw`.
    """
    try:
        if isinstance(path, RemotePath):
            first = min(member.start for member in entry.members)
            span = path.read_part(first, max(member.start + member.size for member in entry.members))
            return _read_all(entry, lambda size, start: span[start - first : start - first + size])
        with path.open("rb") as file:

            def read(size: int, start: int) -> bytes:
                file.seek(start)
                return bytes(file.read(size))

            return _read_all(entry, read)
    except OSError as error:
        raise BadInput("missing-shard", f"{entry.shard}: {error.strerror}") from error


def _read_all(entry: Entry, read: Callable[[int, int], bytes]) -> dict[str, bytes]:
    """All members of a sample, none of them cut off or there twice; `read` takes size and start."""
    members: dict[str, bytes] = {}
    for member in entry.members:
        if member.suffix in members:
            raise BadInput("duplicate-member", f"{entry.key} has {member.suffix} twice")
        members[member.suffix] = data = read(member.size, member.start)
        if len(data) != member.size:
            raise BadInput("bad-tar", f"{entry.shard} ends within {entry.key}.{member.suffix}")
    return members


def index_shard(path: Path) -> list[Entry]:
    """Index one tar by reading its headers only.

    Only what the writer writes is read: plain files behind USTAR headers, then empty blocks. `tarfile` would take a
    damaged header for the end of the archive, sizes from further headers, and never end where one is negative.

    Raises:
        BadInput: ``bad-tar`` where the archive is cut off or damaged, or holds links, folders, devices, sparse files
            or names that lead out of it.
    """
    groups: dict[str, list[Member]] = {}
    try:
        if not path.is_file():  # whoever opens a pipe waits for ever
            raise BadInput("bad-tar", f"{path.name} is no file")
        with path.open("rb") as file:
            for name, start, size in _plain_files(file, path.name):
                key, dot, suffix = name.partition(".")
                if not dot or not key or "/" in name or "\\" in name:
                    raise BadInput("bad-tar", f"{path.name} holds {name!r}, which is no member of a sample")
                groups.setdefault(key, []).append(Member(suffix, start, size))
    except OSError as error:
        raise BadInput("bad-tar", f"{path.name}: {error.strerror}") from error
    return [Entry(key, path.name, tuple(members)) for key, members in groups.items()]


def _index_all(paths: Sequence[Path]) -> Iterator[list[Entry]]:
    """Entries of each tar; UserError where one is broken."""
    if paths and isinstance(paths[0], RemotePath):
        with ThreadPoolExecutor(_REQUESTS) as pool:
            yield from pool.map(_index_of, paths)
    else:
        yield from map(_index_of, paths)


def _index_of(path: Path) -> list[Entry]:
    try:
        return index_shard(path)
    except BadInput as error:
        raise UserError(f"{path} is broken: {error.detail}.") from error


def _plain_files(file: Any, archive: str) -> Iterator[tuple[str, int, int]]:
    """Name, start and size in bytes of each file of a tar; raises BadInput as `index_shard`.

    Args:
        file: open for reading; those of stores are no `typing.IO`.
        archive: its name, for errors.
    """
    length = file.seek(0, os.SEEK_END)
    at = file.seek(0)
    while (block := file.read(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        if len(block) < tarfile.BLOCKSIZE:
            raise BadInput("bad-tar", f"{archive} is cut off")
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.TarError, ValueError) as error:
            raise BadInput("bad-tar", f"{archive} has a damaged header at byte {at}") from error
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise BadInput("bad-tar", f"{archive} holds {info.name!r}, which is no plain file")
        start = at + tarfile.BLOCKSIZE
        at = start + info.size + -info.size % tarfile.BLOCKSIZE
        if info.size < 0 or at > length:
            raise BadInput("bad-tar", f"{archive} ends within {info.name!r}")
        yield info.name, start, info.size
        file.seek(at)
    while rest := file.read(1 << 16):
        if rest.strip(b"\0"):
            raise BadInput("bad-tar", f"{archive} holds something behind its end")
