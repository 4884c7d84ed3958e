"""Full disks, vanished sources, dead workers, other versions: one sentence each, and nothing finished is lost."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import build
from pipelines.recipe import Recipe, Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from shards.errors import UserError

NUMBERS: dict[str, Any] = {"count": 6, "samples_per_shard": 2}


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def plain(sources: Sources) -> CityscapesRecipe:
    return CityscapesRecipe.open(CityscapesConfig(), sources)


@pytest.fixture
def whole(tmp_path: Path, sources: Sources) -> dict[str, bytes]:
    build(plain(sources), tmp_path / "whole", **NUMBERS)
    return content(tmp_path / "whole")


def test_a_disk_that_is_full_at_any_moment(
    tmp_path: Path, sources: Sources, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for at in itertools.count(1):
        out = tmp_path / f"out-{at}"
        left[0] = at
        said = ""
        try:
            build(plain(sources), out, **NUMBERS)
        except UserError as error:
            said = str(error)
        if left[0] > 0:  # it was done before
            break
        again = "what is finished stays, and the same command goes on from there."
        assert said == f"The disk of {out} is full: make room; {again}"
        assert not list(out.rglob("*.tmp"))
        notes = len(list((out / ".build").glob("cityscapes-*.json")))
        summary = build(plain(sources), out, **NUMBERS)
        assert summary.complete or summary.resumed == notes
        assert content(out) == whole
    assert at > 2 * (3 + 3 + 1 + 4 + 1)  # files and their folders: shards, notes, plan, lists and documents, manifest


LIMITED = """
import resource, sys
from pathlib import Path
from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from shards.errors import UserError

if __name__ == "__main__":
    recipe = CityscapesRecipe.open(CityscapesConfig(), Sources(Path(sys.argv[1])))
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))  # workers inherit it
    try:
        build(recipe, Path(sys.argv[2]), count=6, samples_per_shard=2, workers=2)
    except UserError as error:
        print(error)
"""


def test_a_worker_that_cannot_write(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    assert max(len(data) for name, data in whole.items() if name.endswith(".tar")) > 30_000
    (tmp_path / "limited.py").write_text(LIMITED)
    out = tmp_path / "out"
    words = [sys.executable, str(tmp_path / "limited.py"), str(sources.cityscapes), str(out)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        f"Cannot write into {out} or read it: {os.strerror(errno.EFBIG)}; "
        "what is finished stays, and the same command goes on from there.\n"
    )
    assert "Traceback" not in result.stderr
    assert not list(out.rglob("*.tmp"))
    build(plain(sources), out, **NUMBERS)
    assert content(out) == whole


class Once:
    """A recipe during which something happens, before one of its samples."""

    def __init__(self, recipe: Recipe, at: int, what: Callable[[], object]) -> None:
        self._recipe, self._at, self._what = recipe, at, what

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recipe, name)

    def base(self, seed: int, index: int) -> Any:
        if index == self._at:
            self._what()
        return self._recipe.base(seed, index)


def test_a_source_that_vanishes(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    """Neither skipped nor recorded: what is missing would depend on when it went."""
    out, images, away = tmp_path / "out", sources.cityscapes / "leftImg8bit", tmp_path / "away"
    with pytest.raises(UserError, match=r"cityscapes/train/aachen_\w+ was there when the build began and cannot be"):
        build(Once(plain(sources), 2, lambda: images.rename(away)), out, **NUMBERS)
    assert len(list(out.glob("*.tar"))) == 1
    with pytest.raises(UserError, match="is not Cityscapes"):
        plain(sources)
    away.rename(images)
    assert build(plain(sources), out, **NUMBERS).resumed == 1
    assert content(out) == whole


def test_objects_that_vanish(tmp_path: Path, sources: Sources) -> None:
    assert sources.coco is not None
    recipe = AnomalyMix.open(AnomalyMixConfig(min_area=0), sources)
    pictures, away = sources.coco / "train2017", tmp_path / "away"
    with pytest.raises(UserError, match=r"coco/train2017/image \d/annotation \d+ was there when the build began"):
        build(Once(recipe, 2, lambda: pictures.rename(away)), tmp_path / "out", **NUMBERS)
    away.rename(pictures)
    build(recipe, tmp_path / "out", **NUMBERS)
    build(recipe, tmp_path / "other", **NUMBERS)
    assert content(tmp_path / "out") == content(tmp_path / "other")


def test_a_file_that_cannot_be_read(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    """Whoever runs the tests may read everything, but nobody reads a folder as a file."""
    out = tmp_path / "out"
    recipe = plain(sources)
    path = recipe.frames.at(0, recipe.name, 4).label_ids
    assert path is not None
    data = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=r"labelIds\.png: .*[Dd]irectory\. Bring it back or make it readable"):
        build(recipe, out, **NUMBERS)
    path.rmdir()
    path.write_bytes(data)
    build(plain(sources), out, **NUMBERS)
    assert content(out) == whole


def test_a_source_that_fails_while_it_is_read(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    """A network folder that goes away: nothing is wrong with OUT."""

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/far/away.png")

    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"^Cannot read cityscapes/train/\w+ for cityscapes-00000002: Input/ou"):
        build(Once(plain(sources), 2, fail), out, **NUMBERS)
    assert build(plain(sources), out, **NUMBERS).resumed == 1
    assert content(out) == whole


DYING = """
import os, signal, sys
from pathlib import Path
from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from shards.errors import UserError

if __name__ == "__mp_main__":  # in the workers
    signal.raise_signal(signal.SIGKILL)
if __name__ == "__main__":
    recipe = CityscapesRecipe.open(CityscapesConfig(), Sources(Path(sys.argv[1])))
    try:
        build(recipe, Path(sys.argv[2]), count=6, samples_per_shard=2, workers=2)
    except UserError as error:
        print(error)
"""


def test_workers_that_die(tmp_path: Path, sources: Sources, whole: dict[str, bytes]) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    out = tmp_path / "out"
    words = [sys.executable, str(tmp_path / "dying.py"), str(sources.cityscapes), str(out)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.stdout == (
        "A worker process died, most likely for want of memory: use fewer --workers; the same command resumes.\n"
    ), result.stderr
    build(plain(sources), out, **NUMBERS)
    assert content(out) == whole


def test_other_versions_are_named(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError):
        build(Once(plain(sources), 2, lambda: 1 // 0), out, **NUMBERS)
    file = out / ".build" / "plan.json"
    plan = json.loads(file.read_text())
    numpy, pillow = plan["tool"]["numpy"], plan["tool"]["pillow"]
    file.write_text(json.dumps({**plan, "tool": {**plan["tool"], "numpy": "1.0", "pillow": "9.0"}}))
    before = content(out)
    with pytest.raises(UserError) as caught:
        build(plain(sources), out, **NUMBERS)
    assert str(caught.value) == (
        f"{out} holds an unfinished build by other versions, whose bytes may differ: numpy 1.0 there, {numpy} here; "
        f"pillow 9.0 there, {pillow} here. Install those versions to finish it, choose another --out, or delete that "
        "folder first."
    )
    assert content(out) == before
    with pytest.raises(UserError, match=r"which differs in seed, tool\.numpy, tool\.pillow:"):
        build(plain(sources), out, **NUMBERS, seed=1)


def test_a_complete_set_of_other_versions(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    build(plain(sources), out, **NUMBERS)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["tool"]["numpy"] = "1.0"
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"which differs in the versions of numpy 1\.0 there, .* here: choose"):
        build(plain(sources), out, **NUMBERS)


def test_room_is_bounded_by_the_shards_in_flight(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    found = []

    class Watched(Once):
        def change(self, seed: int, index: int, scene: Any) -> Any:
            found.append([path.name.split(".")[1] for path in out.rglob("*.tmp")])
            return self._recipe.change(seed, index, scene)

    build(Watched(plain(sources), -1, lambda: None), out, **NUMBERS)
    assert found == [[f"cityscapes-{index // 2:06d}"] for index in range(6)]
