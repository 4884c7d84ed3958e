"""Detectors that compare a frame with its resynthesis, from end to end on a tiny world."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shards.errors import UserError
from shards.manifest import read_manifest
from shards.reader import ShardSet
from shards.rows import read_rejects
from train.chain import load_chain
from train.chain_info import DiffusersConfig

Run = Callable[..., Any]
SIZE = ("--size", "64x32")


@pytest.fixture
def job(run: Run, world: Path, tmp_path: Path) -> Path:
    """Folder with shards, a segmenter, a generator and two enriched sets."""

    def must(*words: object) -> None:
        outcome = run(*words)
        assert outcome.status == 0, outcome.err

    city, short = world / "cityscapes", ("--batch", 2, "--threads", 1)
    must("build", "cityscapes", "--cityscapes", city, "--out", tmp_path / "frames", "--workers", 1)
    swap = ("--set", "mechanism=swapped", "--samples-per-frame", 2)
    must("build", "voidclass", "--cityscapes", city, "--out", tmp_path / "void", "--workers", 1, *swap)
    must(
        "build", "anomalymix", "--coco", world / "coco", "--cityscapes", city, "--out", tmp_path / "mix",
        "--count", 4, "--workers", 1, "--set", "min_area=200", "--set", "min_visible=20",
    )  # fmt: skip
    must(
        "train", "segmenter", "--shards", tmp_path / "frames", "--out", tmp_path / "segmenter", "--width", 0.25,
        "--steps", 4, *short, "--set", "warmup=1",
    )  # fmt: skip
    must(
        "train", "resynthesis", "--shards", tmp_path / "frames", "--out", tmp_path / "generator", "--width", 0.125,
        "--steps", 2, *short, *SIZE, "--val-shards", tmp_path / "mix",
    )  # fmt: skip
    for name in ("void", "mix"):
        must(
            "enrich", tmp_path / name, "--checkpoint", tmp_path / "segmenter", "--generator", tmp_path / "generator",
            "--out", tmp_path / f"{name}-rich", *SIZE, "--threads", 1,
        )  # fmt: skip
    return tmp_path


def learn(job: Path, out: str, *more: object) -> tuple[object, ...]:
    sets = ("--voidclass", job / "void-rich", "--anomalymix", job / "mix-rich")
    small = ("--width", 0.125, "--steps", 3, "--batch", 2, "--threads", 1, "--set", "anchors=5")
    return ("train", "mgcda", *sets, "--out", job / out, *small, *more)


def test_the_job(run: Run, world: Path, job: Path) -> None:
    outcome = run(*learn(job, "run", "--val-shards", job / "mix-rich"))
    assert outcome.status == 0, outcome.err
    assert "held-out anomaly_AP" in outcome.out
    info = json.loads((job / "run" / "checkpoint.json").read_text())
    assert info["saw"] == ["cityscapes/train"]

    evaluated = run(
        "eval", "roadanomaly", "--data", world / "benchmarks", "--checkpoint", job / "run", "--out", job / "report",
        "--threads", 1,
    )  # fmt: skip
    assert evaluated.status == 0, evaluated.err
    untuned = json.loads((job / "report" / "results.json").read_text())["sets"]["RoadAnomaly_jpg"]
    assert list(untuned["scores"]) == ["anomaly"]
    assert not any("test data" in note for note in untuned["notes"])

    evaluated = run(
        "eval", "roadanomaly", "--data", world / "benchmarks", "--checkpoint", job / "run", "--out", job / "report",
        "--threads", 1, "--score", "anomaly,ensemble", "--overwrite",
    )  # fmt: skip
    assert evaluated.status == 0, evaluated.err
    sentence = "ensemble: its weights were found by a grid search on test data, so its figures are optimistic."
    assert sentence in " ".join(evaluated.out.split())
    results = json.loads((job / "report" / "results.json").read_text())
    scores = results["sets"]["RoadAnomaly_jpg"]["scores"]
    assert list(scores) == ["anomaly", "ensemble"]
    assert sentence in results["sets"]["RoadAnomaly_jpg"]["notes"]
    assert results["predictor"]["precision"] == "float32"
    found = [score["metrics"]["AP"] for score in scores.values()]
    assert all(0 < value < 1 for value in found)
    assert found[0] != found[1]

    picture = sorted((world / "cityscapes" / "leftImg8bit" / "val").glob("*/*.png"))[0]
    predicted = run("predict", picture, "--checkpoint", job / "run", "--out", job / "maps", "--threads", 1)
    assert predicted.status == 0, predicted.err
    assert np.load(job / "maps" / f"{picture.stem}_anomaly.npy", allow_pickle=False).shape == (64, 128)

    for folder, what in ((job / "run", "a training run"), (job / "mix", "a shard set")):
        lost = run(
            "eval", "roadanomaly", "--data", world / "benchmarks", "--checkpoint", job / "run", "--out", folder,
            "--overwrite",
        )  # fmt: skip
        assert (lost.status, lost.err.count("\n")) == (1, 1)
        assert f"holds {what} (" in lost.err

    sized = run("predict", picture, "--checkpoint", job / "run", "--size", "128x64", "--out", job / "no")
    assert (sized.status, sized.err.count("\n")) == (1, 1)
    assert "--size, --flip, --tile, --batch and --precision are of segmenters; leave them out." in sized.err
    painter = run("predict", picture, "--checkpoint", job / "generator", "--out", job / "no")
    assert (painter.status, painter.err.count("\n")) == (1, 1)
    assert "`train resynthesis`, which scores no image." in painter.err
    assert not (job / "no").exists()


def test_enriched_maps_are_what_the_chain_says(run: Run, job: Path) -> None:
    swapped = 0
    for name in ("void", "mix"):
        plain, rich = ShardSet(job / name), ShardSet(job / f"{name}-rich")
        chain = load_chain(job / f"{name}-rich" / "chain", torch.device("cpu"))
        assert rich.manifest.config["chain"] == chain.describe
        assert rich.keys == plain.keys
        for before, after in zip(plain, rich, strict=True):
            seen = chain.look(before.image, swapped=before.extras.get("swapped"))
            assert set(after.extras) | {"image"} == set(seen)
            np.testing.assert_array_equal(after.image, seen["image"])
            for key, value in after.extras.items():
                np.testing.assert_array_equal(value, seen[key])
            other = chain.look(before.image)["predicted"]
            swapped += np.count_nonzero(other != seen["predicted"])
        assert run("verify", job / f"{name}-rich").status == 0
    assert swapped

    words = (
        "enrich", job / "mix", "--checkpoint", job / "segmenter", "--generator", job / "generator",
        "--out", job / "mix-rich", *SIZE, "--threads", 1,
    )  # fmt: skip
    again = run(*words)
    assert again.status == 0
    assert "is complete already" in again.out
    before = {path.name: path.read_bytes() for path in (job / "mix-rich").iterdir() if path.is_file()}
    tar = next((job / "mix-rich").glob("*.tar"))
    tar.write_bytes(tar.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"repeat the command that made the set, with --repair\.$"):
        ShardSet(job / "mix-rich")
    mended = run(*words, "--repair")
    assert (mended.status, mended.out) == (0, f"Made again: {tar.name}.\n")
    assert before == {path.name: path.read_bytes() for path in (job / "mix-rich").iterdir() if path.is_file()}


def test_pictures_made_elsewhere_that_are_missing_are_recorded(run: Run, job: Path) -> None:
    painted, keys = job / "painted", ShardSet(job / "mix").keys
    painted.mkdir()
    for key in keys[1:]:
        Image.new("RGB", (64, 32), (9, 99, 199)).save(painted / f"{key}.png")
    words = ("enrich", job / "mix", "--checkpoint", job / "segmenter", "--pictures", painted, *SIZE)
    outcome = run(*words, "--out", job / "rich")
    assert outcome.status == 0, outcome.err
    assert ShardSet(job / "rich").keys == keys[1:]
    (row,) = read_rejects(job / "rich")
    assert (row["sample"], row["reason"]) == (keys[0], "missing-picture")
    assert row["detail"] == f"painted holds no {keys[0]}.png"
    assert (ShardSet(job / "rich")[0].extras["synthesis"] == (9, 99, 199)).all()
    assert str(job) not in (job / "rich" / "manifest.json").read_text()
    strict = run(*words, "--out", job / "strict", "--strict")
    assert strict.status == 1
    assert "missing-picture" in strict.err or "holds no" in strict.err


def test_a_generator_learns_from_delta_sets_too(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Sequence[Path]] = []

    def catch(shards: Sequence[Path], out: Path, *, frames: Sequence[Path], **_: Any) -> None:
        seen.append(frames)
        raise UserError("enough")

    monkeypatch.setattr("train.run_resynthesis.train_resynthesis", catch)
    words = ("train", "resynthesis", "--shards", tmp_path / "delta", "--out", tmp_path / "run")
    assert "enough" in run(*words, "--frames", tmp_path / "frames").err
    assert "enough" in run(*words).err
    assert [list(frames) for frames in seen] == [[tmp_path / "frames"], []]


def test_what_a_pipeline_is_asked_for_reaches_it(run: Run, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Path, str, int]] = []

    def catch(folder: Path, device: object, asked: DiffusersConfig) -> None:
        seen.append((folder, asked.prompt, asked.steps))
        raise UserError("enough")

    monkeypatch.setattr("train.chain.Diffusers", catch)
    words = ("enrich", job / "mix", "--checkpoint", job / "segmenter", "--diffusers", job, "--out", job / "none")
    assert "enough" in run(*words, "--set", "prompt=a wet street", "--set", "steps=3").err
    assert "enough" in run(*words).err
    assert seen == [(job, "a wet street", 3), (job, DiffusersConfig().prompt, 20)]
    assert "There is no field 'promt'. Did you mean 'prompt'?" in run(*words, "--set", "promt=x").err


def test_bad_input_of_mgcda_is_one_sentence_and_leaves_nothing(run: Run, job: Path) -> None:
    enrich = ("enrich", job / "mix", "--checkpoint", job / "segmenter", "--generator", job / "generator")
    assert run(*enrich, "--out", job / "larger", "--size", "128x64", "--threads", 1).status == 0
    shutil.copytree(job / "mix-rich", job / "bare")
    shutil.rmtree(job / "bare" / "chain")
    assert read_manifest(job / "larger").config["size"] == [128, 64]
    both = ("--voidclass", job / "void-rich", "--anomalymix")
    remote = run("train", "mgcda", "--voidclass", "memory://void-rich", "--out", job / "none")
    assert "Enriched sets lie in folders of this machine, and memory://void-rich is a URL" in remote.err
    asked = run(*enrich, "--out", job / "none", "--set", "prompt=a road")
    assert (asked.status, asked.err.count("\n")) == (1, 1)
    assert "--set says what a pipeline of --diffusers is asked for" in asked.err
    for sentence, words in {
        "mix is not enriched: `anomsynth enrich": (*both, job / "mix"),
        "were enriched with another size: enrich both alike.": (*both, job / "larger"),
        "There is no chain/chain.json in": (*both, job / "bare"),
        "data=multi-domain needs at least two domains, got voidclass": both[:2],
        "fda needs data=multi-domain": (*both, job / "mix-rich", "--data", "mix", "--fda"),
        "data=anomalymix needs --anomalymix DIR.": (*both[:2], "--data", "anomalymix"),
        "does not hold torchvision's weights of vgg16": (
            *both, job / "mix-rich", "--vgg", job / "segmenter" / "checkpoint.safetensors",
        ),
        "is not a shard set: it holds no manifest.json": (*both, job / "segmenter"),
        "mix-rich holds anomalymix samples: give it with --anomalymix": (
            "--voidclass", job / "mix-rich", "--anomalymix", job / "void-rich",
        ),
        "void-rich is given twice": (*both[:2], "--domain", job / "void-rich"),
    }.items():  # fmt: skip
        outcome = run("train", "mgcda", *words, "--out", job / "none", "--steps", 1)
        assert (outcome.status, outcome.err.count("\n")) == (1, 1), outcome.err
        assert outcome.err.startswith("Error: ")
        assert sentence in outcome.err
        assert not (job / "none").exists()
