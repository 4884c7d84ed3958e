"""Files of a complete set that were lost or changed: found, and made again."""

from __future__ import annotations

import fcntl
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from shards.errors import UserError
from shards.manifest import read_manifest
from shards.verify import broken_shards, verify


def plain(sources: Sources) -> CityscapesRecipe:
    return CityscapesRecipe.open(CityscapesConfig(), sources)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NUMBERS: dict[str, Any] = {"count": 10, "samples_per_shard": 2}


@pytest.fixture
def whole(tmp_path: Path, sources: Sources) -> dict[str, bytes]:
    build(plain(sources), tmp_path / "whole", **NUMBERS)
    return content(tmp_path / "whole")


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


@pytest.fixture
def mixed(tmp_path: Path, sources: Sources) -> Path:
    """A set with objects, documents and rejects: one frame is cut off."""
    path = sorted((sources.cityscapes / "leftImg8bit").rglob("*.png"))[1]
    path.write_bytes(path.read_bytes()[:200])
    out = tmp_path / "mixed"
    build(objects(sources), out, **NUMBERS)
    assert len(read_manifest(out).rejects) > 0
    return out


def objects(sources: Sources) -> AnomalyMix:
    return AnomalyMix.open(AnomalyMixConfig(min_area=0), sources)


@pytest.mark.parametrize(
    "name",
    ["samples.jsonl", "rejects.jsonl", "README.md", "croissant.json", "licences.jsonl", "placement.png"],
)
def test_lists_and_documents_are_repaired(mixed: Path, sources: Sources, name: str) -> None:
    before = content(mixed)
    for change in (before[name] + b"{}\n", before[name][:-9], None):
        if change is None:
            (mixed / name).unlink()
        else:
            (mixed / name).write_bytes(change)
        assert {problem.input for problem in verify(mixed, quick=True).problems} >= {name}
        assert build(objects(sources), mixed, **NUMBERS, repair=True).repaired == (name,)
        assert content(mixed) == before
    assert verify(mixed).problems == ()
    assert build(objects(sources), mixed, **NUMBERS, repair=True).repaired == ()


def test_everything_at_once_is_repaired(mixed: Path, sources: Sources) -> None:
    before = content(mixed)
    for name in before:
        if name != "manifest.json":
            (mixed / name).unlink()
    assert len(build(objects(sources), mixed, **NUMBERS, repair=True).repaired) == len(before) - 1
    assert content(mixed) == before


def test_rejects_that_are_none_today(mixed: Path, sources: Sources) -> None:
    """A frame that came back whole under its name and size leaves no way to tell what was wrong with it."""
    before = (mixed / "rejects.jsonl").read_bytes()

    class Whole:
        def __getattr__(self, name: str) -> Any:
            return getattr(recipe, name)

        def base(self, seed: int, index: int) -> Any:
            return recipe.base(seed, next(i for i in range(10) if recipe.input_of(seed, i) != broken))

    recipe = objects(sources)
    broken = json.loads(before.splitlines()[0])["input"]
    assert build(Whole(), mixed, **NUMBERS, repair=True).repaired == ()
    (mixed / "rejects.jsonl").unlink()
    with pytest.raises(UserError, match=r"rejects\.jsonl cannot be written again: \d+ inputs were left out when the"):
        build(Whole(), mixed, **NUMBERS, repair=True)


def test_mutated_sets_are_found(mixed: Path) -> None:
    """Of a real build, whichever file, the manifest and the documents too."""
    whole = content(mixed)
    rng = random.Random(0)
    for _ in range(150):
        name = rng.choice(sorted(whole))
        data = bytearray(whole[name])
        kind = rng.randrange(4)
        if kind == 0:
            data = data[: rng.randrange(len(data))]
        elif kind == 1:
            for _ in range(rng.randrange(1, 9)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == 2:
            at = rng.randrange(len(data))
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 600)))
        else:
            data = bytearray(whole[rng.choice(sorted(whole))])
        (mixed / name).write_bytes(bytes(data))
        try:
            found = bool(verify(mixed, quick=True).problems)
        except UserError:
            found = name == "manifest.json"
        assert found or bytes(data) == whole[name], (name, kind)
        (mixed / name).write_bytes(whole[name])


def test_a_manifest_with_another_value_is_found(mixed: Path) -> None:
    """Every single value of the manifest, however deep."""
    text = (mixed / "manifest.json").read_text()

    def changed(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from ({**value, key: other} for other in changed(inner))
        elif isinstance(value, list) and value:
            yield from ([other, *value[1:]] for other in changed(value[0]))
        elif isinstance(value, str):
            yield value + "x"
        elif isinstance(value, (int, float)):
            yield value + 1

    count = 0
    for other in changed(json.loads(text)):
        (mixed / "manifest.json").write_text(json.dumps(other, indent=2) + "\n")
        try:
            found = bool(verify(mixed, quick=True).problems)
        except UserError:  # a value that no manifest has, such as another version of its schema
            found = True
        assert found, other
        count += 1
    assert count > 30


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
