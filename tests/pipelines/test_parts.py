"""Some shards by this call, some by another; and broken ones made again."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import build
from pipelines.folder import claimed
from pipelines.recipe import Sources
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from pipelines.tasks import shard_tasks
from shards.errors import UserError
from shards.manifest import read_manifest
from shards.verify import broken_shards


def plain(sources: Sources) -> CityscapesRecipe:
    return CityscapesRecipe.open(CityscapesConfig(), sources)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NUMBERS: dict[str, Any] = {"count": 10, "samples_per_shard": 2}


@pytest.fixture
def whole(tmp_path: Path, sources: Sources) -> dict[str, bytes]:
    build(plain(sources), tmp_path / "whole", **NUMBERS)
    return content(tmp_path / "whole")


def test_the_last_part_completes_the_set(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    first = build(plain(sources), out, **NUMBERS, shards=(3, None))
    assert (first.shards, first.samples, first.missing, first.complete, first.whole) == (2, 4, 3, False, False)
    assert not (out / "manifest.json").exists()
    again = build(plain(sources), out, **NUMBERS, shards=(3, 5))
    assert (again.resumed, again.missing) == (2, 3)
    last = build(plain(sources), out, **NUMBERS, shards=(None, 3))
    assert (last.samples, last.shards, last.missing, last.whole) == (10, 5, 0, True)
    assert content(out) == whole
    assert build(plain(sources), out, **NUMBERS, shards=(0, 1)).complete


def test_parts_then_a_plain_call(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    build(plain(sources), out, **NUMBERS, shards=(1, 3))
    assert build(plain(sources), out, **NUMBERS).resumed == 2
    assert content(out) == whole


def test_parts_at_the_same_time(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    build(plain(sources), out, **NUMBERS, shards=(4, 5))
    plan = build(plain(sources), out, **NUMBERS, dry_run=True).plan
    plan = {name: plan[name] for name in plan if name not in ("shards", "estimated_bytes", "inputs")}
    tasks = shard_tasks(plan)
    with claimed(out, plan, tasks, tasks[0:2]):
        # Another call makes these two shards meanwhile; its temporary file stays.
        (out / ".cityscapes-000001.tar.5.tmp").write_bytes(b"half")
        for shards in ((0, 2), (1, 4), (0, 5)):
            with pytest.raises(
                UserError, match=r"Another build is making the shards 0:2 of .*: wait for it, or give"
            ):
                build(plain(sources), out, **NUMBERS, shards=shards)
        with pytest.raises(UserError, match="Another build is writing into"):
            build(plain(sources), out, **NUMBERS)
        assert build(plain(sources), out, **NUMBERS, shards=(2, 4)).missing == 2
        assert (out / ".cityscapes-000001.tar.5.tmp").exists()
    build(plain(sources), out, **NUMBERS, shards=(0, 2))
    assert content(out) == whole


@pytest.mark.parametrize("shards", [(3, 3), (4, 2), (0, 6), (7, None)])
@pytest.mark.parametrize("dry_run", [False, True])
def test_no_part_of_the_set(tmp_path: Path, sources: Sources, shards: tuple[int, int | None], dry_run: bool) -> None:
    with pytest.raises(UserError, match="is no part of this set, which has 5 shards: 0:5 is all of it"):
        build(plain(sources), tmp_path / "out", **NUMBERS, shards=shards, dry_run=dry_run)
    assert not (tmp_path / "out").exists()


def test_repair(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    out = tmp_path / "whole"
    changed = out / "cityscapes-000001.tar"
    changed.write_bytes(changed.read_bytes()[:600] + b"?" + changed.read_bytes()[601:])
    (out / "cityscapes-000004.tar").unlink()
    untouched = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path != changed}
    with pytest.raises(UserError, match=r"1 of its shards are gone, .*: repeat the command with --repair"):
        build(plain(sources), out, **NUMBERS)
    summary = build(plain(sources), out, **NUMBERS, repair=True)
    assert summary.repaired == ("cityscapes-000001.tar", "cityscapes-000004.tar")
    assert content(out) == whole
    assert {name: (out / name).stat().st_mtime_ns for name in untouched} == untouched
    assert broken_shards(out) == []
    assert build(plain(sources), out, **NUMBERS, repair=True).repaired == ()


def test_repair_keeps_what_it_cannot_make(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    """A frame whose pixels changed while name and size stayed."""
    out = tmp_path / "whole"
    shard = read_manifest(out).shards[0].name
    (out / shard).write_bytes(b"lost")
    for path in (sources.cityscapes / "gtFine").rglob("*.png"):
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
    with pytest.raises(UserError, match=rf"{shard}, made again, is not what the manifest describes"):
        build(plain(sources), out, **NUMBERS, repair=True)
    assert content(out) == {**whole, shard: b"lost"}


def test_what_cannot_be_repaired(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="holds no complete shard set to repair"):
        build(plain(sources), out, repair=True)
    build(plain(sources), out)
    with pytest.raises(UserError, match="leave --shards away"):
        build(plain(sources), out, repair=True, shards=(0, 1))
    with pytest.raises(UserError, match="which differs in seed"):
        build(plain(sources), out, repair=True, seed=1)


def test_a_repair_keeps_others_out(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    build(plain(sources), out)
    (out / ".build").mkdir()
    with (out / ".build" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another build is writing into"):
            build(plain(sources), out, repair=True)
        assert build(plain(sources), out).complete
        assert (out / ".build" / "lock").exists()
    assert build(plain(sources), out).complete
    assert not (out / ".build").exists()
