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
