from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path

import numpy as np
import pytest

from shards.codec import encode_png
from shards.errors import BadInput, UserError
from shards.manifest import Manifest, read_manifest, write_manifest
from shards.places import located, remove_tree
from shards.reader import ShardSet, index_shard
from shards.sample import Sample
from shards.verify import verify
from shards.writer import write_atomically, write_members, write_shard


def tiny(key: str, value: int) -> Sample:
    shape = (8, 12)
    return Sample(
        key,
        np.full((*shape, 3), value, np.uint8),
        np.full(shape, value % 2, np.uint8),
        np.full(shape, value % 19, np.uint8),
        meta={"index": value},
    )


def make_set(folder: Path, counts: tuple[int, ...] = (3, 2)) -> Path:
    """A shard set whose sample i is filled with the value i."""
    folder.mkdir(parents=True)
    records, done = [], 0
    for number, count in enumerate(counts):
        samples = [tiny(f"toy-{done + i:08d}", done + i) for i in range(count)]
        records.append(write_shard(folder / f"toy-{number:06d}.tar", samples))
        done += count
    write_manifest(
        folder,
        Manifest(
            recipe="toy",
            config={},
            seed=0,
            count=done,
            samples_per_shard=max(counts),
            tool={"anomsynth": "0"},
            sources={},
            shards=records,
            pixels={},
            rejects={},
        ),
    )
    return folder


def test_two_writes_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [make_set(tmp_path / name) / "toy-000000.tar" for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "manifest.json",
        "toy-000000.tar",
        "toy-000001.tar",
    ]


def test_headers_hold_neither_time_nor_owner(tmp_path: Path) -> None:
    with tarfile.open(make_set(tmp_path / "s") / "toy-000000.tar") as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")


def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(file: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "x.tar", fail)
    assert list(tmp_path.iterdir()) == []


def test_random_access_and_order(tmp_path: Path) -> None:
    shards = ShardSet(make_set(tmp_path / "s"))
    assert len(shards) == 5
    assert shards.keys[4] == "toy-00000004"
    assert [int(shards[i].image[0, 0, 0]) for i in (4, 0, 3)] == [4, 0, 3]
    assert [sample.meta["index"] for sample in shards] == list(range(5))


def run_elsewhere(code: str, *arguments: str, **environment: str) -> str:
    """Run a strangers' library in a process of its own: its imports and open files are not ours to judge."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_opens_in_plain_webdataset(tmp_path: Path) -> None:
    code = """
import sys, webdataset
for sample in webdataset.WebDataset(sys.argv[1], shardshuffle=False).decode("pil"):
    print(sample["__key__"], sample["image.png"].getpixel((0, 0))[0], sample["json"]["index"])
"""
    folder = make_set(tmp_path / "s")
    printed = run_elsewhere(code, str(folder / "toy-{000000..000001}.tar"))
    assert printed.splitlines() == [f"toy-{i:08d} {i} {i}" for i in range(5)]


def test_opens_in_hugging_face_datasets(tmp_path: Path) -> None:
    code = """
import sys, datasets
rows = datasets.load_dataset("webdataset", data_files=sys.argv[1], split="train", streaming=True)
for row in rows:
    print(row["__key__"], row["image.png"].getpixel((0, 0))[0], row["json"]["index"])
"""
    folder = make_set(tmp_path / "s")
    printed = run_elsewhere(code, str(folder / "toy-*.tar"), HF_HOME=str(tmp_path / "hf"))
    assert printed.splitlines() == [f"toy-{i:08d} {i} {i}" for i in range(5)]


def test_wrong_folders_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        ShardSet(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is not a shard set"):
        ShardSet(tmp_path / "empty")
    folder = make_set(tmp_path / "s")
    tar = folder / "toy-000001.tar"
    tar.write_bytes(tar.read_bytes()[:-512])
    with pytest.raises(UserError, match="its manifest says"):
        ShardSet(folder)
    tar.unlink()
    with pytest.raises(UserError, match=r"lacks the shard toy-000001\.tar"):
        ShardSet(folder)
    with pytest.raises(UserError, match=r"manifest\.json is a file; a shard set is the folder that holds"):
        ShardSet(folder / "manifest.json")
    (folder / "manifest.json").write_text('{"recipe": 3}')
    with pytest.raises(UserError, match=r"manifest\.json is broken"):
        ShardSet(folder)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/x.tar", "a\\\\b.tar", ".tar.gz", ""])
def test_manifests_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    folder = make_set(tmp_path / "s")
    file = folder / "manifest.json"
    file.write_text(file.read_text().replace("toy-000001.tar", name))
    with pytest.raises(UserError, match=r"manifest\.json is broken at shards\.1\.name"):
        ShardSet(folder)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "info",
    [
        member("../k.image.png"),
        member("/etc/k.image.png"),
        member("folder/k.png"),
        member("k.image.png", tarfile.SYMTYPE, "/etc/passwd"),
        member("k.image.png", tarfile.LNKTYPE, "other"),
        member("noextension"),
        member(".hidden"),
    ],
    ids=lambda info: info.name,
)
def test_suspicious_members_are_refused(tmp_path: Path, info: tarfile.TarInfo) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        data = encode_png(np.zeros((2, 2), np.uint8))
        info.size = len(data) if info.isreg() else 0
        tar.addfile(info, io.BytesIO(data))
    with pytest.raises(BadInput, match="bad-tar"):
        index_shard(path)


def test_behind_a_url(tmp_path: Path) -> None:
    folder, there = make_set(tmp_path / "s"), located(f"memory://{uuid.uuid4().hex}")
    for path in folder.iterdir():
        write_atomically(there / path.name, path.read_bytes())
    here, shards = ShardSet(folder), pickle.loads(pickle.dumps(ShardSet(there)))
    assert shards.keys == here.keys
    assert [shards.raw(index) for index in range(5)] == [here.raw(index) for index in range(5)]
    tar = there / "toy-000001.tar"
    whole = tar.read_bytes()
    write_atomically(tar, whole[: len(whole) // 4])
    with pytest.raises(BadInput, match=r"bad-tar: toy-000001\.tar ends within toy-00000004\."):
        shards.raw(4)
    tar.unlink()
    with pytest.raises(BadInput, match=r"missing-shard: toy-000001\.tar: No such file"):
        shards.raw(4)
    assert shards.raw(0) == here.raw(0)
    remove_tree(there)


def reheaded(path: Path, at: int, **bytes_at: bytes) -> None:
    """Other bytes in the header at `at`, and a checksum that agrees; keywords are `x` and their offset."""
    data = bytearray(path.read_bytes())
    for place, new in bytes_at.items():
        start = at + int(place[1:])
        data[start : start + len(new)] = new
    head = data[at : at + 512]
    data[at + 148 : at + 156] = b"%06o\0 " % (sum(head[:148]) + 256 + sum(head[156:]))
    path.write_bytes(bytes(data))


def second_header(path: Path) -> int:
    with tarfile.open(path) as tar:
        return tar.getmembers()[1].offset


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    """Python's own reader stops there as if nothing followed."""
    path = make_set(tmp_path / "s") / "toy-000000.tar"
    data = bytearray(path.read_bytes())
    data[second_header(path) + 3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadInput, match=r"toy-000000\.tar has a damaged header at byte \d+"):
        index_shard(path)
    with pytest.raises(UserError, match="has a damaged header"):
        ShardSet(tmp_path / "s")


@pytest.mark.parametrize(
    "header",
    [
        {"x124": (2**96 - 1024).to_bytes(12)},  # a size that leads back, for ever
        {"x124": b"77777777777\0"},
        {"x124": b"\x80" + b"\xff" * 11},
        {"x156": tarfile.GNUTYPE_SPARSE, "x257": b"ustar  \0", "x483": b"77777777777\0"},  # a terabyte in few bytes
        {"x156": tarfile.GNUTYPE_LONGNAME},
        {"x156": tarfile.XHDTYPE},
        {"x156": tarfile.CHRTYPE},
        {"x0": b"\xff\xfe"},
    ],
)
def test_headers_of_other_writers_are_refused(tmp_path: Path, header: dict[str, bytes]) -> None:
    path = make_set(tmp_path / "s") / "toy-000000.tar"
    reheaded(path, second_header(path), **header)
    with pytest.raises(BadInput, match=r"toy-000000\.tar (ends within|holds|has a damaged header)"):
        index_shard(path)


def test_nothing_lies_behind_the_end(tmp_path: Path) -> None:
    path = make_set(tmp_path / "s") / "toy-000000.tar"
    path.write_bytes(path.read_bytes() + member("k.image.png").tobuf())
    with pytest.raises(BadInput, match="holds something behind its end"):
        index_shard(path)


def test_a_pipe_is_no_shard(tmp_path: Path) -> None:
    path = make_set(tmp_path / "s") / "toy-000000.tar"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadInput, match=r"toy-000000\.tar is no file"):
        index_shard(path)


def test_a_set_with_fewer_samples_than_it_says(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "s")
    manifest = read_manifest(folder)
    records = [record.model_copy(update={"samples": record.samples + 1}) for record in manifest.shards]
    write_manifest(folder, manifest.model_copy(update={"shards": records}))
    with pytest.raises(UserError, match=r"toy-000000\.tar holds 3 samples, its manifest says 4"):
        ShardSet(folder)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"json": None}, "missing-member"),
        ({"image.jpg": "image.png"}, "duplicate-member"),
        ({"image.png": "image.png"}, "duplicate-member"),
    ],
)
def test_samples_with_too_many_files_or_too_few(tmp_path: Path, files: dict[str, str | None], reason: str) -> None:
    folder = make_set(tmp_path / "s", (1,))
    coded = ShardSet(folder).raw(0)
    parts = [(name, data) for name, data in coded.items() if files.get(name, "") is not None]
    parts += [(name, coded[source]) for name, source in files.items() if source is not None]
    record = write_members(folder / "toy-000000.tar", [("toy-00000000", parts)])
    write_manifest(folder, read_manifest(folder).model_copy(update={"shards": [record]}))
    with pytest.raises(BadInput) as caught:
        ShardSet(folder)[0]
    assert caught.value.reason == reason
    assert reason in {problem.reason for problem in verify(folder).problems}
