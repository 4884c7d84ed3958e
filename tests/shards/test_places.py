from __future__ import annotations

import errno
import pickle
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import fsspec
import pytest

from shards.errors import UserError
from shards.places import RemotePath, file_sizes, located, remove_tree
from shards.writer import write_atomically


@pytest.fixture
def root() -> Iterator[RemotePath]:
    """A folder in a store of this process."""
    path = located(f"memory://{uuid.uuid4().hex}")
    assert isinstance(path, RemotePath)
    yield path
    remove_tree(path)


def test_words() -> None:
    assert located("mix") == Path("mix")
    assert type(located("file:///data/mix")) is type(Path())
    assert str(located("file:///data/mix")) == "/data/mix"
    assert isinstance(located("memory://a/b"), RemotePath)
    with pytest.raises(UserError, match=r"nothing here opens nowhere:// URLs"):
        located("nowhere://a/b")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(UserError, match=r"s3:// URLs need one more package: pip install 'anomsynth\[s3\]'\."):
        located("s3://bucket/mix")
    with pytest.raises(UserError, match=r"gs:// URLs need one more package: pip install gcsfs\."):
        located("gs://bucket/mix")


def test_names(root: RemotePath) -> None:
    path = root / "a" / "b.tar.gz"
    assert (path.name, path.suffix, path.parent.name) == ("b.tar.gz", ".gz", "a")
    assert str(path) == f"{root}/a/b.tar.gz"
    assert str(path).startswith("memory://")
    assert path.relative_to(root).as_posix() == "a/b.tar.gz"
    assert pickle.loads(pickle.dumps(path)) == path
    assert type(pickle.loads(pickle.dumps(path))) is RemotePath
    assert sorted([root / "b", root / "a"]) == [root / "a", root / "b"]
    assert path.with_name("c") == root / "a" / "c"


def test_files(root: RemotePath) -> None:
    assert not root.exists()
    write_atomically(root / "one.txt", b"1234")
    write_atomically(root / "deep" / "two.txt", lambda file: [file.write(b"12"), None][1])
    assert (root / "one.txt").read_bytes() == b"1234"
    assert (root / "one.txt").stat().st_size == 4
    assert (root / "one.txt").is_file()
    assert not (root / "one.txt").is_dir()
    assert root.is_dir()
    assert sorted(path.name for path in root.iterdir()) == ["deep", "one.txt"]
    assert sorted(root.glob("*.txt")) == [root / "one.txt"]
    assert list((root / "nowhere").glob("*")) == []
    assert file_sizes(root) == {"one.txt": 4}
    with (root / "one.txt").open("rb") as file:
        file.seek(2)
        assert file.read() == b"34"
    assert (root / "deep" / "two.txt").read_text(encoding="utf-8") == "12"
    (root / "one.txt").replace(root / "three.txt")
    assert not (root / "one.txt").exists()
    (root / "three.txt").unlink()
    (root / "three.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (root / "three.txt").unlink()
    remove_tree(root)
    assert not root.exists()
    remove_tree(root)


def test_local_sizes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"123")
    assert file_sizes(tmp_path) == {"file": 3}


def test_errors_name_the_path(root: RemotePath) -> None:
    path = root / "absent"
    for act in (path.read_bytes, path.stat, lambda: path.open("rb")):
        with pytest.raises(FileNotFoundError) as caught:
            act()
        assert caught.value.strerror == "No such file or directory"
        assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="is written as a whole only"):
        path.open("wb")


def test_whatever_a_store_raises_is_an_os_error(root: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied(Exception):
        pass

    def fail(*_: object, **__: object) -> None:
        raise Denied("no credentials")

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "cat_file", fail)
    with pytest.raises(OSError, match="Denied: no credentials") as caught:
        (root / "file").read_bytes()
    assert caught.value.errno == errno.EIO


def test_whole_or_absent(root: RemotePath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_atomically(root / "file", b"before")

    def stumble(file: IO[bytes]) -> None:
        file.write(b"half")
        assert len(list(tmp_path.iterdir())) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_atomically(root / "file", stumble)
    assert (root / "file").read_bytes() == b"before"
    assert file_sizes(root) == {"file": 6}
    assert list(tmp_path.iterdir()) == []

    kind = fsspec.implementations.memory.MemoryFileSystem
    seen: list[dict[str, int]] = []
    real = kind.mv

    def mv(self: Any, *words: Any, **options: Any) -> None:
        seen.append(file_sizes(root))
        real(self, *words, **options)

    monkeypatch.setattr(kind, "mv", mv)
    write_atomically(root / "file", b"afterwards")
    (sizes,) = seen
    assert sorted(sizes.values()) == [6, 10]  # the old one and, under another name, all of the new one
    assert file_sizes(root) == {"file": 10}
    monkeypatch.setattr(kind, "size", lambda self, path: 3)
    with pytest.raises(OSError, match="3 of 10 bytes arrived"):
        write_atomically(root / "file", b"afterwards")
