"""Some shards by this call, some by another; and broken ones made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import build
from pipelines.folder import claimed
from pipelines.recipe import Sources
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from pipelines.tasks import shard_tasks
from shards.errors import UserError


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
