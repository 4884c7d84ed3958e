"""Calls that share a folder, interleaved at the moments that matter: hooks run one call within another."""

from __future__ import annotations

import errno
import fcntl
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines import engine, folder, plans
from pipelines.engine import BuildSummary, build
from pipelines.recipe import Sources
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from shards.errors import UserError
from shards.manifest import read_manifest
from shards.places import located, remove_tree
from shards.writer import write_atomically

NUMBERS: dict[str, Any] = {"count": 8, "samples_per_shard": 2}
PATIENCE = 60
"""Seconds after which a test fails that waits for something that never comes."""


@pytest.fixture
def call(sources: Sources) -> Callable[..., BuildSummary]:
    return lambda out, **changes: build(
        CityscapesRecipe.open(CityscapesConfig(), sources), out, **{**NUMBERS, **changes}
    )


@pytest.fixture
def whole(tmp_path: Path, call: Callable[..., BuildSummary]) -> dict[str, bytes]:
    call(tmp_path / "whole")
    return content(tmp_path / "whole")


@pytest.fixture
def store() -> Iterator[Path]:
    path = located(f"memory://{uuid.uuid4().hex}")
    yield path
    remove_tree(path)


def content(folder: Path) -> dict[str, bytes]:
    """Of a folder with only files in it."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def once(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], object], *, after: bool) -> None:
    """The first call of a function runs something before it, or between its answer and whoever asked."""
    real, acted = getattr(module, name), []

    def hooked(*arguments: Any, **options: Any) -> Any:
        if acted:
            return real(*arguments, **options)
        acted.append(True)
        if not after:
            act()
        answer = real(*arguments, **options)
        if after:
            act()
        return answer

    monkeypatch.setattr(module, name, hooked)


def waits_for(monkeypatch: pytest.MonkeyPatch, name: str) -> threading.Event:
    """Set when somebody begins to wait until he has a lock for himself."""
    real, waiting = fcntl.flock, threading.Event()

    def flock(file: Any, kind: int) -> None:
        if kind == fcntl.LOCK_EX and Path(file.name).name == name:
            waiting.set()
        real(file, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    return waiting


def test_the_last_two_parts_end_together(
    tmp_path: Path, call: Callable[..., BuildSummary], whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has counted what is missing and not yet gone when the other makes the last shard."""
    out, waiting = tmp_path / "out", waits_for(monkeypatch, "lock")
    with ThreadPoolExecutor(1) as pool:
        others = []

        def last() -> None:
            others.append(pool.submit(call, out, shards=(2, 4)))
            assert waiting.wait(PATIENCE)

        once(monkeypatch, engine, "missing_shards", last, after=True)
        summary = call(out, shards=(0, 2))
        assert (summary.missing, summary.whole) == (2, False)
        other = others[0].result(PATIENCE)
    assert (other.missing, other.whole, other.samples) == (0, True, 8)
    assert content(out) == whole


def test_two_that_both_see_nothing_missing(
    tmp_path: Path, call: Callable[..., BuildSummary], whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first waits for the second; whoever is alone first completes the set, and the other finds it."""
    out, waiting = tmp_path / "out", waits_for(monkeypatch, "lock")
    call(out, shards=(0, 2))
    with ThreadPoolExecutor(1) as pool:
        others = []

        def first() -> None:
            others.append(pool.submit(call, out, shards=(0, 2)))
            assert waiting.wait(PATIENCE)

        once(monkeypatch, engine, "missing_shards", first, after=True)
        summaries = [call(out, shards=(2, 4)), others[0].result(PATIENCE)]
    assert [(summary.missing, summary.whole, summary.samples) for summary in summaries] == [(0, True, 8)] * 2
    assert content(out) == whole


@pytest.mark.parametrize("shards", [None, (2, 4)])
def test_another_plan_between_look_and_lock(
    tmp_path: Path, call: Callable[..., BuildSummary], shards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    once(monkeypatch, folder, "lock_folder", lambda: call(out, shards=(0, 2), seed=1), after=False)
    with pytest.raises(UserError, match="holds an unfinished build, which differs in seed"):
        call(out, shards=shards)
    assert {path.name for path in out.glob("*.tar")} == {"cityscapes-000000.tar", "cityscapes-000001.tar"}
    call(out, seed=1)
    call(tmp_path / "other", seed=1)
    assert content(out) == content(tmp_path / "other")


def test_another_plan_while_one_is_written(
    tmp_path: Path, call: Callable[..., BuildSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, waiting = tmp_path / "out", waits_for(monkeypatch, "plan.lock")
    with ThreadPoolExecutor(1) as pool:
        others = []

        def another() -> None:
            waiting.clear()
            others.append(pool.submit(call, out, shards=(0, 2), seed=1))
            assert waiting.wait(PATIENCE)

        once(monkeypatch, plans, "write_atomically", another, after=False)
        assert call(out, shards=(2, 4)).missing == 2
        with pytest.raises(UserError, match="holds an unfinished build, which differs in seed"):
            others[0].result(PATIENCE)
    assert {path.name for path in out.glob("*.tar")} == {"cityscapes-000002.tar", "cityscapes-000003.tar"}


@pytest.mark.parametrize("shards", [None, (2, 4)])
def test_an_equal_build_ends_between_look_and_lock(
    tmp_path: Path, call: Callable[..., BuildSummary], shards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    files: dict[str, int] = {}

    def first() -> None:
        call(out)
        files.update({path.name: path.stat().st_ino for path in out.iterdir()})

    once(monkeypatch, folder, "lock_folder", first, after=False)
    summary = call(out, shards=shards)
    assert (summary.complete, summary.whole, summary.samples) == (True, True, 8)
    assert {path.name: path.stat().st_ino for path in out.iterdir()} == files


def test_another_set_ends_between_look_and_lock(
    tmp_path: Path, call: Callable[..., BuildSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    once(monkeypatch, folder, "lock_folder", lambda: call(out, seed=1), after=False)
    with pytest.raises(UserError, match="already holds another shard set, which differs in seed"):
        call(out, shards=(0, 2))
    call(tmp_path / "other", seed=1)
    assert content(out) == content(tmp_path / "other")


def test_a_store_in_which_two_plans_are_written_at_once(
    store: Path, call: Callable[..., BuildSummary], whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No locks: the later plan stays, and shards of the earlier one do not count."""
    once(monkeypatch, plans, "write_atomically", lambda: call(store, shards=(0, 2), seed=1), after=False)
    assert call(store, shards=(2, 4)).missing == 2
    with pytest.raises(UserError, match="which differs in seed"):
        call(store, shards=(0, 2), seed=1)
    assert call(store, shards=(0, 2)).whole
    assert content(store) == whole
    assert {json.loads(line)["seed"] for line in (store / "samples.jsonl").read_bytes().splitlines()} == {0}


class Once:
    """A recipe during which something happens, before one of its samples."""

    def __init__(self, recipe: CityscapesRecipe, at: int, what: Callable[[], object]) -> None:
        self._recipe, self._at, self._what = recipe, at, what

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recipe, name)

    def base(self, seed: int, index: int) -> Any:
        if index == self._at:
            self._at = -1
            self._what()
        return self._recipe.base(seed, index)


def test_a_store_whose_plan_is_written_over(store: Path, sources: Sources) -> None:
    def overwrite() -> None:
        path = store / ".build" / "plan.json"
        write_atomically(path, json.dumps({**json.loads(path.read_bytes()), "seed": 1}).encode())

    recipe = Once(CityscapesRecipe.open(CityscapesConfig(), sources), 2, overwrite)
    with pytest.raises(UserError, match="which differs in seed"):
        build(recipe, store, **NUMBERS)
    assert {path.name for path in store.iterdir()} == {".build", "cityscapes-000000.tar"}


def test_a_store_whose_set_another_call_completes(
    store: Path, sources: Sources, call: Callable[..., BuildSummary], whole: dict[str, bytes]
) -> None:
    recipe = Once(CityscapesRecipe.open(CityscapesConfig(), sources), 2, lambda: call(store))
    summary = build(recipe, store, **NUMBERS)
    assert (summary.whole, summary.samples, summary.missing) == (True, 8, 0)
    assert content(store) == whole


def test_a_file_system_without_locks(
    tmp_path: Path, call: Callable[..., BuildSummary], whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: Any, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    out = tmp_path / "out"
    call(out, shards=(0, 2))
    with pytest.raises(UserError, match="which differs in seed"):
        call(out, shards=(2, 4), seed=1)
    assert call(out, shards=(2, 4)).whole
    assert content(out) == whole
    assert read_manifest(out).seed == 0
