from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.engine import build
from pipelines.recipe import Recipe, Sources, make
from pipelines.recipes import RECIPES, find_recipe
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from pipelines.recipes.voidclass import VoidClass, VoidClassConfig
from shards.errors import UserError
from shards.inspect import contact_sheet
from shards.manifest import read_manifest
from shards.reader import ShardSet
from shards.verify import verify

COMMAND = """
import sys
from pathlib import Path
from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig

if __name__ == "__main__":
    cityscapes, coco, out, workers, count = sys.argv[1:]
    recipe = AnomalyMix.open(AnomalyMixConfig(min_area=0), Sources(Path(cityscapes), coco=Path(coco)))
    build(recipe, Path(out), count=int(count), seed=3, workers=int(workers), samples_per_shard=4)
"""


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mix(sources: Sources, **fields: Any) -> AnomalyMix:
    return AnomalyMix.open(AnomalyMixConfig(**{"min_area": 0, **fields}), sources)


def plain(sources: Sources) -> CityscapesRecipe:
    return CityscapesRecipe.open(CityscapesConfig(), sources)


@pytest.fixture
def command(tmp_path: Path, sources: Sources) -> Any:
    """Arguments of a build of 14 samples in a process of its own."""
    script = tmp_path / "command.py"
    script.write_text(COMMAND)

    def arguments(out: Path, workers: int, count: int = 14) -> list[str]:
        words = [sys.executable, script, sources.cityscapes, sources.coco, out, workers, count]
        return [str(word) for word in words]

    return arguments


def test_a_set_as_the_contract_says(sources: Sources, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = build(mix(sources), out, count=7, seed=3, samples_per_shard=3)
    assert sorted(content(out)) == [
        "README.md",
        "anomalymix-000000.tar",
        "anomalymix-000001.tar",
        "anomalymix-000002.tar",
        "croissant.json",
        "licences.jsonl",
        "manifest.json",
        "placement.png",
        "rejects.jsonl",
        "samples.jsonl",
    ]
    assert (summary.samples, summary.shards, summary.skipped, summary.complete) == (7, 3, {}, False)
    manifest = read_manifest(out)
    assert summary.bytes == sum((out / shard.name).stat().st_size for shard in manifest.shards)
    assert (manifest.recipe, manifest.seed, manifest.count, manifest.samples) == ("anomalymix", 3, 7, 7)
    assert [shard.samples for shard in manifest.shards] == [3, 3, 1]
    assert manifest.config == mix(sources).config.model_dump(mode="json")
    assert set(manifest.tool) == {"anomsynth", "numpy", "opencv", "pillow", "pycocotools", "zlib"}
    assert set(manifest.sources) == {"cityscapes", "coco"}
    rows = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    shards = ShardSet(out)
    recipe = mix(sources)
    for index, row in enumerate(rows):
        expected, stored = make(recipe, 3, index), shards[index]
        np.testing.assert_array_equal(stored.image, expected.image)
        np.testing.assert_array_equal(stored.anomaly, expected.anomaly)
        np.testing.assert_array_equal(stored.semantic, expected.semantic)
        assert row == {
            **stored.meta,
            "key": f"anomalymix-{index:08d}",
            "shard": f"anomalymix-{index // 3:06d}.tar",
        }
        assert list(expected.meta) == ["recipe", "index", "seed", "frame", "objects", "pixels", "rejected"]
    for label in ("known", "anomaly", "ignore"):
        assert manifest.pixels[label] == sum(row["pixels"][label] for row in rows)
    # Law 1: nothing of this machine in any byte.
    for name, data in content(out).items():
        assert str(tmp_path).encode() not in data, name


def test_bytes_depend_neither_on_workers_nor_on_place(tmp_path: Path, sources: Sources, command: Any) -> None:
    one, two = tmp_path / "one", tmp_path / "deep" / "two"
    for out, workers in ((one, 1), (two, 2)):
        subprocess.run(command(out, workers), check=True)
    assert content(one) == content(two)
    other = tmp_path / "other"
    build(mix(sources), other, count=14, seed=4, samples_per_shard=4)
    assert content(other)["anomalymix-000000.tar"] != content(one)["anomalymix-000000.tar"]


@pytest.mark.parametrize("name", ["cityscapes", "voidclass"])
def test_bytes_do_not_depend_on_processes(tmp_path: Path, sources: Sources, name: str) -> None:
    entry = find_recipe(name)
    for workers in (1, 2):
        recipe = entry.open(entry.config(), sources)
        build(recipe, tmp_path / str(workers), count=5, seed=3, workers=workers, samples_per_shard=2)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_killed_and_resumed(tmp_path: Path, sources: Sources, command: Any) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    count = 120
    process = subprocess.Popen(command(torn, 2, count), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((torn / ".build").glob("anomalymix-*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (torn / "manifest.json").exists()
    finished = {path.name.split(".")[0] for path in (torn / ".build").glob("anomalymix-*.json")}
    assert finished
    time.sleep(0.5)  # orphans notice that their parent is gone
    stamps = {name: (torn / f"{name}.tar").stat().st_mtime_ns for name in finished}
    for out in (torn, whole):
        build(mix(sources), out, count=count, seed=3, samples_per_shard=4)
    assert content(torn) == content(whole)
    assert {name: (torn / f"{name}.tar").stat().st_mtime_ns for name in finished} == stamps  # not made again


class Interrupted(Exception):
    pass


class Stumbling:
    """A recipe that breaks down at one sample, once."""

    def __init__(self, recipe: Recipe, at: int) -> None:
        self._recipe, self._at = recipe, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recipe, name)

    def change(self, seed: int, index: int, scene: Any) -> Any:
        if index == self._at:
            raise Interrupted
        return self._recipe.change(seed, index, scene)


def test_interrupted_and_resumed(tmp_path: Path, sources: Sources) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    recipe = mix(sources)
    with pytest.raises(Interrupted):
        build(Stumbling(recipe, 7), out, count=10, samples_per_shard=3)
    assert sorted(path.name for path in out.glob("*.tar")) == ["anomalymix-000000.tar", "anomalymix-000001.tar"]
    assert not list(out.glob(".*.tmp"))
    # A tar that lost its end, and one that never got its record, are made again.
    with (out / "anomalymix-000000.tar").open("r+b") as file:
        file.truncate(1000)
    (out / "anomalymix-000002.tar").write_bytes(b"half")
    for name in (".anomalymix-000003.tar.1.tmp", ".samples.jsonl.1.tmp", ".manifest.json.1.tmp"):
        (out / name).write_bytes(b"half")
    summary = build(recipe, out, count=10, samples_per_shard=3)
    assert (summary.samples, summary.resumed) == (10, 1)
    build(recipe, whole, count=10, samples_per_shard=3)
    assert content(out) == content(whole)


def test_ctrl_c_stops_the_workers_and_can_be_resumed(tmp_path: Path, command: Any) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(command(out, 2, 2000), stderr=subprocess.PIPE, start_new_session=True, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("*.tar")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all
    _, noise = process.communicate(timeout=30)
    assert process.returncode != 0
    assert noise.count("Traceback") <= 1  # the parent's, which the command line turns into a sentence
    assert "KeyboardInterrupt" in noise
    assert not list(out.glob(".*.tmp"))
    assert (out / ".build" / "plan.json").exists()


def test_complete_is_said_and_left_alone(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    build(plain(sources), out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    summary = build(plain(sources), out, workers=2)
    assert summary.complete
    assert summary.samples == 3
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    # A build that died between its manifest and the removal of .build is complete, too.
    (out / ".build").mkdir()
    assert build(plain(sources), out).complete
    assert not (out / ".build").exists()


def test_other_sets_are_refused(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    build(plain(sources), out)
    before = content(out)
    small = CityscapesRecipe.open(CityscapesConfig(size=(64, 32)), sources)
    void = VoidClass.open(VoidClassConfig(), sources)
    for recipe, options, differing in [
        (small, {}, "config.size"),
        (plain(sources), {"seed": 1}, "seed"),
        (plain(sources), {"count": 2}, "count"),
        (void, {}, r"recipe \(cityscapes\):"),
    ]:
        with pytest.raises(UserError, match=f"already holds another shard set, which differs in {differing}"):
            build(recipe, out, **options)
    assert content(out) == before
    (out / "cityscapes-000000.tar").unlink()
    with pytest.raises(UserError, match=r"1 of its shards are gone, cityscapes-000000\.tar first"):
        build(plain(sources), out)


def test_unfinished_other_builds_are_refused(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        build(Stumbling(plain(sources), 1), out, samples_per_shard=1)
    before = content(out)
    with pytest.raises(UserError, match="holds an unfinished build, which differs in seed"):
        build(plain(sources), out, seed=1, samples_per_shard=1)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"it holds notes\.txt: choose another --out, nothing was touched"):
        build(plain(sources), out, samples_per_shard=1)
    (out / "notes.txt").unlink()
    assert content(out) == before


def test_foreign_folders_are_refused(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in "abcde":
        (out / name).write_text(name)
    with pytest.raises(UserError, match="it holds a, b, c and 2 more"):
        build(plain(sources), out)
    assert sorted(path.name for path in out.iterdir()) == list("abcde")
    # Somebody else's temporary file is somebody else's.
    swap = tmp_path / "swap"
    swap.mkdir()
    for name in (".thesis.tmp", ".voidclass-000000.tar.1.tmp", ".cityscapes-notes.1.tmp"):
        (swap / name).write_text("mine")
        with pytest.raises(UserError, match=f"it holds {name}: choose another"):
            build(plain(sources), swap)
        (swap / name).unlink()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="is a file"):
        build(plain(sources), file)
    with pytest.raises(UserError, match="Cannot write into"):
        build(plain(sources), file / "below")


def test_one_build_at_a_time(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        build(Stumbling(plain(sources), 0), out)
    with (out / ".build" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another build is writing into"):
            build(plain(sources), out)
    assert build(plain(sources), out).samples == 3


def break_frame(sources: Sources, number: int) -> None:
    path = sources.cityscapes / "leftImg8bit/train/aachen" / f"aachen_{number:06d}_000019_leftImg8bit.png"
    path.write_bytes(path.read_bytes()[:-30])


def test_broken_inputs_are_counted(tmp_path: Path, sources: Sources) -> None:
    break_frame(sources, 1)
    stray = sources.cityscapes / "gtFine/train/aachen/aachen_000009_000019_gtFine_labelIds.png"
    Image.fromarray(np.zeros((64, 128), np.uint8)).save(stray)
    out = tmp_path / "out"
    summary = build(plain(sources), out, count=6, samples_per_shard=1)
    assert summary.samples == 4
    assert summary.skipped == {"labels-without-image": 1, "truncated-image": 2}
    assert summary.shards == 4  # shards without a sample are not kept
    assert len(list(out.glob("*.tar"))) == 4
    rows = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert rows[0]["input"] == "aachen_000009_000019"
    assert rows[0]["sample"] is None
    assert [row["input"] for row in rows[1:]] == ["cityscapes/train/aachen_000001_000019"] * 2
    assert all(set(row) == {"reason", "detail", "input", "sample"} for row in rows)
    assert read_manifest(out).rejects == {"labels-without-image": 1, "truncated-image": 2}
    assert len(ShardSet(out)) == 4


def test_broken_objects_are_counted(tmp_path: Path, sources: Sources) -> None:
    assert sources.coco is not None
    dog = sources.coco / "train2017" / "000000000001.png"
    dog.write_bytes(dog.read_bytes()[:-30])
    summary = build(mix(sources), tmp_path / "out", count=6)
    assert summary.samples == 6
    assert summary.skipped["truncated-image"] > 0
    with pytest.raises(UserError, match="--strict: coco/train2017/image 1/annotation 100: truncated-image"):
        build(mix(sources), tmp_path / "strict", count=6, strict=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_strict(tmp_path: Path, sources: Sources, workers: int) -> None:
    break_frame(sources, 1)
    with pytest.raises(UserError, match="--strict: cityscapes/train/aachen_000001_000019: truncated-image"):
        build(plain(sources), tmp_path / "out", strict=True, workers=workers, samples_per_shard=1)
    assert not (tmp_path / "out" / "manifest.json").exists()
    (sources.cityscapes / "gtFine/train/aachen/aachen_000002_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(UserError, match="--strict: aachen_000002_000019: image-without-labels"):
        build(plain(sources), tmp_path / "other", strict=True)
    assert not (tmp_path / "other").exists()


def test_no_sample_at_all_leaves_nothing(tmp_path: Path, sources: Sources) -> None:
    for number in range(3):
        break_frame(sources, number)
    out = tmp_path / "out"
    with pytest.raises(
        UserError, match=r"all 3 inputs were left out \(3 truncated-image\), such as cityscapes/train"
    ):
        build(plain(sources), out)
    assert not out.exists()
    out.mkdir()
    with pytest.raises(UserError, match="Nothing was written"):
        build(plain(sources), out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"count": 0}, "The number of count must be at least 1, got 0"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"samples_per_shard": -1}, "samples per shard must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_impossible_numbers(tmp_path: Path, sources: Sources, options: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build(plain(sources), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_dry_run_touches_nothing(tmp_path: Path, sources: Sources) -> None:
    summary = build(mix(sources), tmp_path / "out", count=100, samples_per_shard=8, dry_run=True)
    assert not (tmp_path / "out").exists()
    assert summary.dry_run
    plan = summary.plan
    assert (plan["count"], plan["shards"], plan["inputs"]["cityscapes"]["frames"]) == (100, 13, 3)
    assert plan["inputs"]["coco"]["usable"] == 2
    real = build(mix(sources), tmp_path / "out", count=100, samples_per_shard=8)
    assert 0.8 < plan["estimated_bytes"] / real.bytes < 1.2
    json.dumps(plan)


def test_dry_run_over_broken_frames(tmp_path: Path, sources: Sources) -> None:
    frames = sorted((sources.cityscapes / "leftImg8bit/train/aachen").iterdir())
    for number, size in enumerate(["128x64", "128x64", "unknown"]):
        frames[number].write_bytes(b"no picture")
        summary = build(plain(sources), tmp_path / "out", dry_run=True)
        assert summary.plan["inputs"]["cityscapes"]["size"] == size


def test_more_samples_than_frames(tmp_path: Path, sources: Sources) -> None:
    build(plain(sources), tmp_path / "out", count=7)
    rows = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    frames = [row["frame"]["id"] for row in rows]
    assert len(set(frames[:3])) == len(set(frames[3:6])) == 3


def test_the_same_set_whatever_the_scan_finds_first(tmp_path: Path, make_cityscapes: Any) -> None:
    """Two copies of one data set at different places give the same bytes."""
    for name in ("a", "b"):
        build(plain(Sources(make_cityscapes(name=name))), tmp_path / f"out-{name}")
    assert content(tmp_path / "out-a") == content(tmp_path / "out-b")


def test_recipes_keep_the_protocol(sources: Sources) -> None:
    for name, entry in RECIPES.items():
        fields = {"min_area": 0} if name == "anomalymix" else {}
        recipe = entry.open(entry.config(**fields), sources)
        assert isinstance(recipe, Recipe)
        assert recipe.name == entry.card.name == name
        assert find_recipe(name) is entry


def test_config_is_part_of_the_plan(tmp_path: Path, sources: Sources) -> None:
    out = tmp_path / "out"
    recipe = mix(sources)
    with pytest.raises(Interrupted):
        build(Stumbling(recipe, 1), out)
    other = replace(recipe, config=AnomalyMixConfig(min_area=0, flip=0.1, erode=1))
    with pytest.raises(UserError, match=r"differs in config\.erode, config\.flip:"):
        build(other, out)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, pipelines.engine, pipelines.recipes\n"
        "heavy = {'torch', 'torchvision', 'diffusers', 'transformers', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.real
@pytest.mark.parametrize("name", list(RECIPES))
def test_real_builds(shared: Path, tmp_path: Path, name: str) -> None:
    data = shared / "data"
    entry = find_recipe(name)
    recipe = entry.open(entry.config(size="512x256"), Sources(data / "cityscapes", coco=data / "coco"))
    summary = build(recipe, tmp_path / "out", count=4, samples_per_shard=2)
    assert (summary.samples, summary.skipped) == (4, {})
    assert ShardSet(tmp_path / "out")[3].image.shape == (256, 512, 3)


@pytest.mark.parametrize("numbers", [{"count": 10**8 + 1}, {"count": 10**7, "samples_per_shard": 9}])
def test_more_than_names_can_tell_apart(tmp_path: Path, sources: Sources, numbers: dict[str, int]) -> None:
    with pytest.raises(UserError, match="A set holds at most 100,000,000 samples in 1,000,000 shards"):
        build(plain(sources), tmp_path / "out", **numbers)
    assert not (tmp_path / "out").exists()


def test_names_that_are_no_text(tmp_path: Path, sources: Sources) -> None:
    for path in list(sources.cityscapes.rglob("aachen_000000*")):
        path.rename(os.fsdecode(os.fsencode(path.parent) + b"/\xff" + os.fsencode(path.name)))
    build(plain(sources), tmp_path / "out")
    assert len(ShardSet(tmp_path / "out")) == 3
    assert verify(tmp_path / "out").problems == ()
    page = contact_sheet(tmp_path / "out", tmp_path / "page", width=40)[1]
    assert r"\udcffaachen_000000_000019" in page.read_text()


def test_damaged_notes_are_not_believed(tmp_path: Path, sources: Sources) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    made = plain(sources)
    build(made, whole, count=4, samples_per_shard=2)
    build(made, out, count=4, samples_per_shard=2, shards=(0, 1))
    (note,) = (out / ".build").glob("cityscapes-000000.*.json")
    data = note.read_bytes()
    note.write_bytes(data.replace(b'"index":0', b'"index":1'))
    assert note.stat().st_size == len(data)
    assert build(made, out, count=4, samples_per_shard=2).resumed == 0
    assert content(out) == content(whole)
