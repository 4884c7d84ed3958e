"""`anomsynth build`: what its options do to the set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.manifest import read_manifest
from shards.reader import ShardSet

Run = Callable[..., Any]


@pytest.fixture
def mix(run: Run, world: Path) -> Run:
    """`build anomalymix` over the toy world with these words more."""

    def call(out: Path, *words: object) -> Any:
        return run(
            "build", "anomalymix", "--coco", world / "coco", "--cityscapes", world / "cityscapes", "--out", out,
            "--set", "min_area=100", "--set", "min_visible=4", *words,
        )  # fmt: skip

    return call


def test_samples_per_frame(mix: Run, tmp_path: Path) -> None:
    outcome = mix(tmp_path / "out", "--samples-per-frame", 3, "--count", 6, "--workers", 1)
    assert outcome.status == 0, outcome.err
    rows = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    frames = [row["frame"]["id"] for row in rows]
    assert frames == [frames[0]] * 3 + [frames[3]] * 3
    assert frames[0] != frames[3]
    assert read_manifest(tmp_path / "out").config["samples_per_frame"] == 3


@pytest.mark.parametrize(("form", "suffix"), [("png", "png"), ("webp", "webp"), ("jpeg", "jpg")])
def test_image_formats(mix: Run, tmp_path: Path, form: str, suffix: str) -> None:
    outcome = mix(tmp_path / "out", "--image-format", form, "--count", 1, "--workers", 1)
    assert outcome.status == 0, outcome.err
    assert sorted(ShardSet(tmp_path / "out").raw(0)) == sorted(
        ["anomaly.png", f"image.{suffix}", "json", "semantic.png"]
    )


def test_quality(mix: Run, tmp_path: Path) -> None:
    sizes = []
    for quality in (30, 95):
        out = tmp_path / str(quality)
        outcome = mix(out, "--image-format", "jpeg", "--quality", quality, "--count", 1, "--workers", 1)
        assert outcome.status == 0, outcome.err
        assert read_manifest(out).packing["quality"] == quality
        sizes.append(len(ShardSet(out).raw(0)["image.jpg"]))
    assert sizes[0] < sizes[1] / 2
    outcome = mix(tmp_path / "png", "--quality", 90)
    assert (outcome.status, outcome.err) == (1, "Error: --quality is of --image-format jpeg; png is lossless.\n")
    assert not (tmp_path / "png").exists()


def test_license_filter(mix: Run, tmp_path: Path) -> None:
    outcome = mix(tmp_path / "out", "--license-filter", "commercial-allowed", "--dry-run")
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["config"]["licences"] == "commercial-allowed"
    outcome = mix(tmp_path / "out", "--license-filter", "free", "--dry-run")
    assert outcome.status != 0


def test_shards_by_several_calls(mix: Run, tmp_path: Path) -> None:
    numbers = ("--count", 6, "--samples-per-shard", 2, "--workers", 1)
    outcome = mix(tmp_path / "out", *numbers, "--shards", "1:3")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("Made 4 samples in 2 shards")
    assert outcome.out.endswith("1 shard of the set is still to be made; then it is complete.\n")
    assert not (tmp_path / "out" / "manifest.json").exists()
    outcome = mix(tmp_path / "out", *numbers, "--shards", ":1")
    assert outcome.out.startswith("Made 6 samples in 3 shards")
    assert len(ShardSet(tmp_path / "out")) == 6
    (tmp_path / "out" / "anomalymix-000001.tar").unlink()
    assert mix(tmp_path / "out", *numbers, "--repair").out == "Made again: anomalymix-000001.tar.\n"
    again = mix(tmp_path / "out", *numbers, "--repair")
    assert again.out == "Nothing to repair: 6 samples in 3 shards, all as their manifest says.\n"


@pytest.mark.parametrize("word", ["3", "a:b", "1:2:3", "-1:2"])
def test_words_that_are_no_shards(mix: Run, tmp_path: Path, word: str) -> None:
    outcome = mix(tmp_path / "out", f"--shards={word}")
    assert outcome.status == 1
    assert outcome.err.startswith(f"Error: Cannot read the shards {word!r}: write them like 100:200")


def test_urls(run: Run, world: Path, tmp_path: Path) -> None:
    """Of files: what comes out lies where the URL says."""
    words = ("--set", "min_area=100", "--set", "min_visible=4", "--count", 2, "--workers", 1)
    outcome = run(
        "build", "anomalymix", "--coco", f"file://{world / 'coco'}", "--cityscapes", f"file://{world / 'cityscapes'}",
        "--out", f"file://{tmp_path / 'out'}", *words,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert len(ShardSet(tmp_path / "out")) == 2
    outcome = run(
        "build", "anomalymix", "--coco", world / "coco", "--cityscapes", world / "cityscapes",
        "--out", "memory://test_urls/out", *words,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert outcome.out.endswith("memory://test_urls/out\n")
    outcome = run("build", "cityscapes", "--cityscapes", "gopher://a/b", "--out", tmp_path / "other")
    assert outcome.err == "Error: gopher://a/b: nothing here opens gopher:// URLs; give a folder, or such as s3://.\n"
