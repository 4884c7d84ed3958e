"""What a power cut must not undo: a name counts as given once the folder that holds it was flushed to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe

NUMBERS: dict[str, Any] = {"count": 4, "samples_per_shard": 2}


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Renames, removals and new folders by the folder that they change, and which folders were flushed, in order."""
    noted: list[tuple[str, Path]] = []

    def watch(module: Any, name: str, where: Callable[..., Path]) -> None:
        real = getattr(module, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            answer = real(*arguments, **options)
            noted.append((name, where(*arguments)))
            return answer

        monkeypatch.setattr(module, name, watched)

    watch(os, "fsync", lambda descriptor: Path(f"/proc/self/fd/{descriptor}").readlink())
    watch(os, "replace", lambda source, target: Path(target).parent)
    watch(os, "mkdir", lambda path, *rest: Path(path).parent)
    watch(os, "rmdir", lambda path, *rest, **options: Path("rmdir"))
    return noted


def flushed(events: list[tuple[str, Path]], folder: Path) -> bool:
    """Every change of the folder is followed by a flush of it, before anything is removed."""
    changes = [place for place, (name, where) in enumerate(events) if name != "fsync" and where == folder]
    ends = [place for place, (name, _) in enumerate(events) if name == "rmdir"] or [len(events)]
    for change in changes:
        end = next(place for place in [*ends, len(events)] if place > change)
        if ("fsync", folder) not in events[change:end]:
            return False
    return bool(changes)


def test_a_new_folder(tmp_path: Path, sources: Sources, events: list[tuple[str, Path]]) -> None:
    out = tmp_path / "above" / "out"
    build(CityscapesRecipe.open(CityscapesConfig(), sources), out, **NUMBERS)
    for folder in (tmp_path, out.parent, out, out / ".build"):
        assert flushed(events, folder), folder


def test_a_repair(tmp_path: Path, sources: Sources, events: list[tuple[str, Path]]) -> None:
    out = tmp_path / "out"
    recipe = CityscapesRecipe.open(CityscapesConfig(), sources)
    build(recipe, out, **NUMBERS)
    (out / "cityscapes-000001.tar").write_bytes(b"lost")
    events.clear()
    assert build(recipe, out, **NUMBERS, repair=True).repaired == ("cityscapes-000001.tar",)
    assert flushed(events, out)
