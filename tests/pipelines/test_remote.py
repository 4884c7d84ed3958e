"""Sets and sources behind URLs: the same bytes as in folders."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from shards.errors import UserError
from shards.places import RemotePath, located, remove_tree
from shards.verify import broken_shards
from shards.writer import write_atomically

NUMBERS: dict[str, Any] = {"count": 7, "seed": 3, "samples_per_shard": 2}


@pytest.fixture
def store() -> Iterator[Path]:
    path = located(f"memory://{uuid.uuid4().hex}")
    yield path
    remove_tree(path)


def mix(sources: Sources) -> AnomalyMix:
    return AnomalyMix.open(AnomalyMixConfig(min_area=0), sources)


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder and, behind a URL, of the folders in it."""
    files = {}
    for path in folder.iterdir():
        if path.is_dir():
            files |= {f"{path.name}/{name}": data for name, data in content(path).items()}
        else:
            files[path.name] = path.read_bytes()
    return files


def uploaded(folder: Path, target: Path) -> Path:
    for name, data in content(folder).items():
        write_atomically(target / name, data)
    return target


@pytest.fixture
def whole(tmp_path: Path, sources: Sources) -> dict[str, bytes]:
    build(mix(sources), tmp_path / "whole", **NUMBERS)
    return content(tmp_path / "whole")


def test_out(store: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    summary = build(mix(sources), store / "out", **NUMBERS)
    assert (summary.samples, str(summary.out)) == (7, f"{store}/out")
    assert content(store / "out") == whole
    assert build(mix(sources), store / "out", **NUMBERS).complete
    with pytest.raises(UserError, match=r"memory://.*/out already holds another shard set, which differs in seed"):
        build(mix(sources), store / "out", count=7, samples_per_shard=2)


def test_out_in_parts_and_resumed(store: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    out = store / "out"
    build(mix(sources), out, **NUMBERS, shards=(2, 4))
    (note,) = (out / ".build").glob("anomalymix-000003.*.json")
    note.unlink()
    write_atomically(out / ".anomalymix-000000.tar.77.tmp", b"left by a build that was killed")
    assert build(mix(sources), out, **NUMBERS).resumed == 1
    assert content(out) == whole


def test_repair(store: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    out = store / "out"
    build(mix(sources), out, **NUMBERS)
    write_atomically(out / "anomalymix-000002.tar", b"?" * len(whole["anomalymix-000002.tar"]))
    assert broken_shards(out) == ["anomalymix-000002.tar"]
    assert build(mix(sources), out, **NUMBERS, repair=True).repaired == ("anomalymix-000002.tar",)
    assert content(out) == whole


def test_sources(tmp_path: Path, store: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    assert sources.coco is not None
    behind = Sources(uploaded(sources.cityscapes, store / "cityscapes"), coco=uploaded(sources.coco, store / "coco"))
    recipe = mix(behind)
    assert isinstance(recipe.frames.frames[0].image, RemotePath)
    assert recipe.sources() == mix(sources).sources()
    build(recipe, tmp_path / "out", **NUMBERS)
    assert content(tmp_path / "out") == whole


def test_sources_that_are_none(store: Path) -> None:
    with pytest.raises(UserError, match=r"There is no folder memory://.*/cityscapes: expected the Cityscapes"):
        mix(Sources(store / "cityscapes", coco=store / "coco"))


def test_a_source_that_vanishes(store: Path, tmp_path: Path, sources: Sources) -> None:
    recipe = mix(Sources(uploaded(sources.cityscapes, store / "cityscapes"), coco=sources.coco))
    remove_tree(store / "cityscapes")
    with pytest.raises(UserError, match=r"was there when the build began and cannot be read now: .*No such file"):
        build(recipe, tmp_path / "out", **NUMBERS)
