"""Folders that are not on this machine: ``s3://bucket/set`` and whatever else the `fsspec` package opens.

A `RemotePath` is a path like any other to the code that scans sources or writes shard sets; it holds nothing but its
text, so it crosses process borders. The stores' own settings (credentials, endpoints) come from their environment
variables or fsspec's configuration files.

**Whole or absent.** A file goes to the store from a finished local copy. Object stores show an object only once its
upload is complete, so it is put under its name at once; elsewhere it is put under a temporary name and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path, PosixPath
from typing import IO, Any, Final

from shards.errors import UserError

_URL: Final = re.compile(r"^([a-z][a-z0-9+.-]+)://(.*)$", re.IGNORECASE)
_COLLAPSED: Final = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+):/(?!/)")
_OBJECT_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci"})
_PACKAGES: Final = {
    **dict.fromkeys(("s3", "s3a"), "'anomsynth[s3]'"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
    "oss": "ossfs",
    "oci": "ocifs",
}
"""What opens each kind of store, as pip knows it."""
_CHANGED: Final = ("LastModified", "last_modified", "mtime", "created")
"""What stores call the time of a file's last change."""
_HEADER: Final = 1 << 16
"""Bytes that a read fetches at least: headers lie far apart, and pictures are read whole."""


def located(text: str) -> Path:
    """The folder that a word of the command line means.

    Args:
        text: a path, or a URL; ``file://`` URLs are paths.

    Raises:
        UserError: a URL of a kind that cannot be opened here.
    """
    match = _URL.match(text)
    if match is None:
        return Path(text)
    if match[1].lower() in ("file", "local"):
        return Path(match[2])
    path = RemotePath(text)
    _store(path)
    return path


class RemotePath(PosixPath):
    """A path in a store that `fsspec` opens. What is not overridden here works on names alone."""

    __slots__ = ()

    def __str__(self) -> str:
        """The URL; of a part of one, the path."""
        return _COLLAPSED.sub(r"\1://", super().__str__(), count=1)

    def resolve(self, strict: bool = False) -> RemotePath:
        """The path itself: it is absolute, and stores know no links."""
        return self

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is a file or folder of that name."""
        with _told(self) as (store, path):
            return bool(store.exists(path))

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file."""
        with _told(self) as (store, path):
            return bool(store.isfile(path))

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder; object stores know only folders with something in them."""
        with _told(self) as (store, path):
            return bool(store.isdir(path))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Kind, size and, where the store tells it, time of the last change; everything else is 0."""
        with _told(self) as (store, path):
            info = store.info(path)
        kind = stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG
        changed = next((info[name] for name in _CHANGED if info.get(name)), 0)
        seconds = changed.timestamp() if isinstance(changed, datetime) else float(changed)
        times = {f"st_{name}_ns": int(seconds * 1e9) for name in ("atime", "mtime", "ctime")}
        return os.stat_result((kind, 0, 0, 0, 0, 0, int(info["size"] or 0), *(int(seconds),) * 3), times)

    def iterdir(self) -> Generator[RemotePath, None, None]:
        """What lies in the folder."""
        return (self / name for name in self.listing())

    def listing(self) -> dict[str, int | None]:
        """Names in the folder: sizes of files, None for folders."""
        with _told(self) as (store, path):
            found = store.ls(path, detail=True, refresh=True)  # other machines write here, too
        names = {}
        for info in found:
            name = info["name"].rstrip("/").rpartition("/")[2]
            if name and info["name"].strip("/") != path.strip("/"):
                names[name] = None if info["type"] == "directory" else int(info["size"] or 0)
        return names

    def glob(self, pattern: str, **options: Any) -> Generator[RemotePath, None, None]:
        """What lies in the folder under a name that fits."""
        names = self.listing() if self.is_dir() else {}
        return (self / name for name in names if fnmatchcase(name, pattern))

    def open(self, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """Open for reading."""
        if set(mode) & set("wax+"):
            raise OSError(errno.EROFS, "is written as a whole only", str(self))
        with _told(self) as (store, path):
            return store.open(path, mode, block_size=_HEADER, **options)

    def read_bytes(self) -> bytes:
        """The whole file."""
        with _told(self) as (store, path):
            return bytes(store.cat_file(path))

    def read_part(self, start: int, end: int) -> bytes:
        """Bytes `start` to `end` of the file; fewer where it ends before."""
        if start >= end:
            return b""
        with _told(self) as (store, path):
            return bytes(store.cat_file(path, start=start, end=end))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Make the folder, and those above it, where the store has such a thing."""
        if _kind(self) in _OBJECT_STORES:
            return  # a slip of the finger must not make a bucket
        with _told(self) as (store, path):
            store.makedirs(path, exist_ok=True)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        try:
            with _told(self) as (store, path):
                store.rm_file(path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        """Remove the empty folder, where the store has such a thing."""
        with _told(self) as (store, path), contextlib.suppress(FileNotFoundError, NotImplementedError):
            store.rmdir(path)

    def replace(self, target: os.PathLike[str] | str) -> RemotePath:
        """Give the file another name in the same store."""
        goal = RemotePath(str(target))
        with _told(self) as (store, path):
            store.mv(path, _store(goal)[1])
        return goal


def write_remotely(path: RemotePath, content: bytes | Callable[[IO[bytes]], None]) -> None:
    """Write a file as `shards.writer.write_atomically` does, by way of a local temporary file.

    Args:
        path: the final name.
        content: the bytes, or a function that writes them into the open file.
    """
    with tempfile.NamedTemporaryFile(prefix="anomsynth-") as local:
        if isinstance(content, bytes):
            local.write(content)
        else:
            content(local)
        local.flush()
        size = os.fstat(local.fileno()).st_size
        with _told(path) as (store, target):
            if _kind(path) in _OBJECT_STORES:
                store.put_file(local.name, target)
            else:
                folder, _, name = target.rpartition("/")
                store.makedirs(folder, exist_ok=True)
                temporary = f"{folder}/{temporary_name(name)}"
                store.put_file(local.name, temporary)
                store.mv(temporary, target)
            arrived = store.size(target)
        if arrived != size:
            raise OSError(errno.EIO, f"{arrived} of {size} bytes arrived", str(path))


def temporary_name(name: str) -> str:
    """A name for a file in the making; machines that share a folder draw different ones, unlike process numbers."""
    return f".{name}.{int.from_bytes(os.urandom(8), 'big')}.tmp"


def file_sizes(folder: Path) -> dict[str, int]:
    """Sizes in bytes of the files in a folder by name, in one listing."""
    if isinstance(folder, RemotePath):
        return {name: size for name, size in folder.listing().items() if size is not None}
    sizes = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # a link that leads to itself, or a file that just went
                if entry.is_file():
                    sizes[entry.name] = entry.stat().st_size
    return sizes


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, as far as that is possible."""
    if not isinstance(folder, RemotePath):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(OSError), _told(folder) as (store, path):
        store.rm(path, recursive=True)


def forget_listings(folder: Path) -> None:
    """Ask the store anew from here on: other machines may have written."""
    if isinstance(folder, RemotePath):
        with _told(folder) as (store, _):
            store.invalidate_cache()


def _kind(path: RemotePath) -> str:
    return str(path).partition("://")[0].lower()


def _store(path: RemotePath) -> tuple[Any, str]:
    """The store's object, which fsspec keeps, and the path in it; UserError where that kind of URL is unknown."""
    kind = _kind(path)
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError as error:
        raise UserError(f"{path} is a URL, which needs the package fsspec: pip install fsspec.") from error
    try:
        store, inner = fsspec.core.url_to_fs(str(path))
    except ImportError as error:
        how = f"pip install {_PACKAGES[kind]}" if kind in _PACKAGES else str(error).rstrip(".")
        raise UserError(f"{kind}:// URLs need one more package: {how}.") from error
    except ValueError as error:
        raise UserError(f"{path}: nothing here opens {kind}:// URLs; give a folder, or such as s3://.") from error
    return store, inner


@contextlib.contextmanager
def _told(path: RemotePath) -> Iterator[tuple[Any, str]]:
    """The store and the path in it; whatever the store's library raises becomes an OSError that names the path."""
    store, inner = _store(path)
    try:
        yield store, inner
    except OSError as error:
        if error.errno is not None:
            raise
        number = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}.get(type(error), errno.EIO)
        said = os.strerror(number) if number != errno.EIO else str(error) or type(error).__name__
        raise OSError(number, said, str(path)) from error
    except Exception as error:  # each store's library has errors of its own
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}", str(path)) from error
