"""The main job from end to end, tiny: what the demo does, in seconds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]


def all_keys(value: Any) -> list[str]:
    """Every key of nested JSON."""
    if isinstance(value, dict):
        return [*value, *(key for inner in value.values() for key in all_keys(inner))]
    return [key for inner in value for key in all_keys(inner)] if isinstance(value, list) else []


@pytest.fixture
def job(run: Run, world: Path, tmp_path: Path) -> Path:
    """Folder with shards and two runs."""

    def must(*words: object) -> None:
        outcome = run(*words)
        assert outcome.status == 0, outcome.err

    city = world / "cityscapes"
    must("build", "cityscapes", "--cityscapes", city, "--out", tmp_path / "frames", "--workers", 1)
    must("build", "voidclass", "--cityscapes", city, "--out", tmp_path / "void", "--workers", 1)
    must(
        "build", "anomalymix", "--coco", world / "coco", "--cityscapes", city, "--out", tmp_path / "mix",
        "--count", 6, "--workers", 1, "--set", "min_area=200", "--set", "min_visible=20",
    )  # fmt: skip
    must(
        "train", "segmenter", "--shards", tmp_path / "frames", "--out", tmp_path / "segmenter",
        "--width", 0.25, "--steps", 4, "--batch", 2, "--threads", 1, "--set", "warmup=1",
    )  # fmt: skip
    must(
        "train", "ovr", "--shards", tmp_path / "mix", "--shards", tmp_path / "void",
        "--checkpoint", tmp_path / "segmenter", "--out", tmp_path / "ovr",
        "--steps", 3, "--batch", 2, "--threads", 1, "--val-shards", tmp_path / "mix",
    )  # fmt: skip
    return tmp_path


def test_the_main_job(run: Run, world: Path, job: Path) -> None:
    outcome = run(
        "eval", "all", "--data", world / "benchmarks", "--data", world / "cityscapes", "--checkpoint", job / "ovr",
        "--score", "energy", "--score", "msp", "--threads", 1, "--out", job / "after",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    results = json.loads((job / "after" / "results.json").read_text())
    assert results["schema"] == 1
    for name in (
        "fishyscapes_lostandfound", "fishyscapes_static", "RoadAnomaly_jpg", "dataset_AnomalyTrack",
        "dataset_ObstacleTrack",
    ):  # fmt: skip
        scores = results["sets"][name]["scores"]
        assert list(scores) == ["energy", "msp"]
        for score in scores.values():
            assert set(score["metrics"]) >= {"AP", "AUROC", "FPR95"}
            assert all(math.isfinite(value) and 0 <= value <= 1 for value in score["metrics"].values())
            assert score["convention"]
    assert 0 <= results["sets"]["cityscapes"]["segmentation"]["metrics"]["mIoU"] <= 1
    # No other object of the file has the key AP.
    assert all_keys(results).count("AP") == 2 * 5
    page = (job / "after" / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")

    before = run(
        "eval", "smiyc", "--data", world / "benchmarks", "--checkpoint", job / "segmenter", "--threads", 1,
        "--score", "energy", "--out", job / "before",
    )  # fmt: skip
    assert before.status == 0, before.err
    compared = run("report", job / "before", job / "after", "--score", "energy")
    assert compared.status == 0
    assert "dataset_AnomalyTrack" in compared.out
    assert "mean over sets (2)" in compared.out


def test_the_held_out_split_is_judged(run: Run, job: Path) -> None:
    outcome = run(
        "eval", "shards", "--data", job / "mix", "--checkpoint", job / "ovr", "--score", "energy", "--threads", 1,
        "--out", job / "held-out",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    results = json.loads((job / "held-out" / "results.json").read_text())
    assert 0 < results["sets"]["mix"]["scores"]["energy"]["metrics"]["AP"] <= 1
    assert json.loads((job / "ovr" / "checkpoint.json").read_text())["validation"]


def test_pictures_are_predicted_and_shards_inspected(run: Run, world: Path, job: Path) -> None:
    picture = sorted((world / "cityscapes" / "leftImg8bit" / "val").glob("*/*.png"))[0]
    (job / "broken.png").write_bytes(picture.read_bytes()[:200])
    outcome = run(
        "predict", picture, job / "broken.png", "--checkpoint", job / "ovr", "--score", "energy",
        "--out", job / "maps", "--threads", 1,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "broken.png" in outcome.err
    score = np.load(job / "maps" / f"{picture.stem}_energy.npy", allow_pickle=False)
    assert score.dtype == np.float32
    assert score.shape == (64, 128)
    assert (job / "maps" / f"{picture.stem}_energy.png").is_file()
    outcome = run("inspect", job / "mix")
    assert outcome.status == 0
    assert (job / "mix-inspect" / "index.html").is_file()
    assert run("verify", job / "mix").status == 0
    for name in ("fishyscapes", "roadanomaly", "smiyc"):
        assert run("check", name, world / "benchmarks", "--decode").status == 0


def test_dry_run_touches_nothing(run: Run, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "dry"
    outcome = run("build", "cityscapes", "--cityscapes", world / "cityscapes", "--out", out, "--dry-run")
    assert outcome.status == 0
    assert json.loads(outcome.out)["count"] == 4
    assert "4 samples of 128x64 in 1 shard," in outcome.err
    assert not out.exists()


def test_a_finished_run_is_not_written_over(run: Run, job: Path) -> None:
    outcome = run(
        "train", "ovr", "--shards", job / "mix", "--checkpoint", job / "segmenter", "--out", job / "ovr", "--steps", 3
    )
    assert outcome.status == 1
    assert re.search(r"holds a finished run with another batch \(\d+, now \d+\); choose another --out", outcome.err)


def test_a_checkpoint_cut_in_half_gets_a_sentence(run: Run, world: Path, job: Path) -> None:
    weights = job / "ovr" / "checkpoint.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    outcome = run("eval", "smiyc", "--data", world / "benchmarks", "--checkpoint", job / "ovr", "--out", job / "x")
    assert outcome.status == 1
    assert outcome.err.startswith("Error: ")
    assert not (job / "x").exists()
