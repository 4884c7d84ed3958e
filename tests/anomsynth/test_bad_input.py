"""Wrong commands and broken data: one clear sentence, a non-zero exit, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]


@pytest.fixture
def coco(world: Path, tmp_path: Path) -> Path:
    """A copy of the toy COCO that a test may break."""
    return Path(shutil.copytree(world / "coco", tmp_path / "coco"))


@pytest.fixture
def cityscapes(world: Path, tmp_path: Path) -> Path:
    """A copy of the toy Cityscapes that a test may break."""
    return Path(shutil.copytree(world / "cityscapes", tmp_path / "cityscapes"))


def edit(coco: Path, change: Callable[[dict[str, Any]], None], split: str = "train2017") -> None:
    """Change the annotations of a copy."""
    file = coco / "annotations" / f"instances_{split}.json"
    rows = json.loads(file.read_text())
    change(rows)
    file.write_text(json.dumps(rows))


def assert_refused(outcome: Any, *words: str, out: Path | None = None) -> None:
    """One sentence on stderr, no traceback, nothing written."""
    assert outcome.status != 0
    assert "Traceback" not in outcome.err
    sentences = [line for line in outcome.err.splitlines() if line.startswith("Error: ")]
    assert len(sentences) == 1, outcome.err
    for word in words:
        assert word in sentences[0], sentences[0]
    assert out is None or not out.exists() or not any(out.iterdir()), list(out.iterdir())


def mix(run: Run, coco: Path, cityscapes: Path, out: Path, *more: object) -> Any:
    """Build AnomalyMix with one worker."""
    return run("build", "anomalymix", "--coco", coco, "--cityscapes", cityscapes, "--out", out, "--workers", 1, *more)


def test_missing_folders(run: Run, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    none = tmp_path / "none"
    assert_refused(mix(run, none, world / "cityscapes", out), "none", out=out)
    assert_refused(mix(run, world / "coco", none, out), "none", out=out)
    assert_refused(run("build", "voidclass", "--cityscapes", none, "--out", out), "none", out=out)
    assert_refused(run("check", "coco", none), "none")
    assert_refused(run("inspect", none), "none")


def test_coco_given_as_cityscapes(run: Run, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert_refused(mix(run, world / "coco", world / "coco", out), "looks like COCO", out=out)
    assert_refused(mix(run, world / "cityscapes", world / "cityscapes", out), "COCO", out=out)


def test_empty_split(run: Run, world: Path, cityscapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run("build", "voidclass", "--cityscapes", world / "cityscapes", "--out", out, "--split", "test")
    assert_refused(outcome, "'test'", "train", out=out)
    shutil.rmtree(cityscapes / "leftImg8bit" / "val")
    (cityscapes / "leftImg8bit" / "val").mkdir()
    outcome = run("build", "cityscapes", "--cityscapes", cityscapes, "--out", out, "--split", "val")
    assert_refused(outcome, "'val'", out=out)


def test_truncated_pictures_are_skipped_counted_and_fatal_when_strict(
    run: Run, coco: Path, cityscapes: Path, tmp_path: Path
) -> None:
    broken = sorted(cityscapes.glob("leftImg8bit/train/*/*.png"))[0]
    broken.write_bytes(broken.read_bytes()[:-400])
    for picture in (coco / "train2017").iterdir():
        picture.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    out = tmp_path / "out"
    outcome = run("build", "cityscapes", "--cityscapes", cityscapes, "--out", out, "--workers", 1)
    assert outcome.status == 0
    assert "truncated-image: 1" in outcome.out
    assert json.loads((out / "rejects.jsonl").read_text())["reason"] == "truncated-image"
    strict = tmp_path / "strict"
    outcome = run("build", "cityscapes", "--cityscapes", cityscapes, "--out", strict, "--workers", 1, "--strict")
    assert_refused(outcome, "truncated-image", broken.name)
    assert not (strict / "manifest.json").exists()
    mixed = tmp_path / "mixed"
    outcome = mix(run, coco, cityscapes, mixed, "--set", "min_area=50", "--strict")
    assert_refused(outcome, "truncated-image")


def test_a_label_of_another_size(run: Run, cityscapes: Path, tmp_path: Path) -> None:
    label = sorted(cityscapes.glob("gtFine/train/*/*_labelIds.png"))[0]
    with Image.open(label) as image:
        image.resize((64, 32)).save(label)
    outcome = run("build", "voidclass", "--cityscapes", cityscapes, "--out", tmp_path / "out", "--workers", 1)
    assert outcome.status == 0
    assert "size-mismatch: 1" in outcome.out
    assert run("check", "cityscapes", cityscapes, "--decode").status == 1


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"images": []}', '{"images": 3, "annotations": [], "categories": []}', "\x00\x01"]
)
def test_a_json_that_is_not_coco(run: Run, coco: Path, world: Path, tmp_path: Path, text: str) -> None:
    (coco / "annotations" / "instances_train2017.json").write_text(text)
    out = tmp_path / "out"
    assert_refused(mix(run, coco, world / "cityscapes", out), "instances_train2017.json", out=out)


def test_broken_annotations_are_left_out_and_counted(run: Run, coco: Path, world: Path, tmp_path: Path) -> None:
    def change(rows: dict[str, Any]) -> None:
        rows["annotations"][0]["image_id"] = 987654
        polygons = [row for row in rows["annotations"][1:] if isinstance(row["segmentation"], list)]
        polygons[0]["segmentation"] = [[9000, 9000, 9100, 9000, 9100, 9100]]

    edit(coco, change)
    outcome = run("check", "coco", coco, "--decode")
    assert outcome.status == 1
    assert "annotation-without-image" in outcome.out
    assert "polygon-outside-image" in outcome.out
    outcome = mix(run, coco, world / "cityscapes", tmp_path / "out", "--set", "min_area=50")
    assert outcome.status == 0
    assert "annotation-without-image: 1" in outcome.out


def test_zero_objects_left(run: Run, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = mix(run, world / "coco", world / "cityscapes", out, "--set", "min_area=1e9")
    assert_refused(outcome, "tiny", out=out)


def test_an_output_folder_that_holds_another_build(run: Run, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build = ("build", "cityscapes", "--cityscapes", world / "cityscapes", "--out", out, "--workers", 1)
    assert run(*build).status == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert_refused(run(*build, "--seed", 1), "seed")
    assert "complete already" in run(*build).out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    assert_refused(run(*build[:-3], foreign), "thesis.txt")
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "flip=7"), "flip"),
        (("--set", "flop=1"), "flop"),
        (("--set", "flip"), "key=value"),
        (("--size", "big"), "WIDTHxHEIGHT"),
        (("--config", "none.json"), "none.json"),
    ],
)
def test_impossible_options(run: Run, world: Path, tmp_path: Path, words: tuple[str, str], message: str) -> None:
    out = tmp_path / "out"
    assert_refused(mix(run, world / "coco", world / "cityscapes", out, *words), message, out=out)


def test_usage_errors_do_not_trace(run: Run, tmp_path: Path) -> None:
    for words in (
        ("build", "anomalymux"),
        ("build", "anomalymix"),
        ("eval", "smiyc", "--data", tmp_path, "--device", "tpu"),
    ):
        outcome = run(*words)
        assert outcome.status == 2
        assert "Traceback" not in outcome.err


def test_benchmarks_with_dummy_labels(run: Run, world: Path, tmp_path: Path) -> None:
    track = tmp_path / "dataset_AnomalyTrack"
    shutil.copytree(world / "benchmarks" / "dataset_AnomalyTrack", track)
    weights = tmp_path / "none.pth"
    command = ("eval", "smiyc", "--data", track, "--segmenter", "erfnet", "--weights", weights)
    assert_refused(run(*command), "none.pth")
    for label in (track / "labels_masks").glob("*.png"):
        with Image.open(label) as image:
            void = Image.fromarray(np.full(image.size[::-1], 255, np.uint8))
        void.save(label)
    import torch

    from train.networks import build_network

    torch.save(build_network("erfnet").state_dict(), weights)
    assert_refused(run(*command), "void everywhere")
    assert_refused(run("eval", "roadanomaly", *command[2:]), "smiyc")


def test_weights_of_another_network_and_half_a_checkpoint(run: Run, world: Path, tmp_path: Path) -> None:
    import torch

    data = world / "benchmarks" / "dataset_AnomalyTrack"
    weights = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3, 3)}, weights)
    command = ("eval", "smiyc", "--data", data, "--segmenter", "erfnet", "--weights", weights)
    assert_refused(run(*command), "other.pth")
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    assert_refused(run(*command), "other.pth")
    assert_refused(run("eval", "smiyc", "--data", data), "--checkpoint")
    assert_refused(run("eval", "smiyc", "--data", data, "--checkpoint", tmp_path), str(tmp_path))


def test_names_that_are_no_text_are_printed(cityscapes: Path) -> None:
    picture = min(cityscapes.glob("leftImg8bit/train/*/*.png"))
    picture.rename(os.fsdecode(os.fsencode(picture.parent) + b"/\xff.png"))
    command = [sys.executable, "-m", "anomsynth", "check", "cityscapes", str(cityscapes)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert r"\udcff.png is not named <id>_leftImg8bit.(png|jpg|webp)" in told.stdout
    assert "Traceback" not in told.stderr
