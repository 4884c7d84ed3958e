"""`anomsynth inspect` and `anomsynth verify` as they are typed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.places import located, write_remotely

Run = Callable[..., Any]


@pytest.fixture
def mix(run: Run, world: Path, tmp_path: Path) -> Path:
    outcome = run(
        "build", "anomalymix", "--coco", world / "coco", "--cityscapes", world / "cityscapes",
        "--out", tmp_path / "mix", "--count", 6, "--workers", 1, "--samples-per-shard", 4,
        "--set", "min_area=200", "--set", "min_visible=20",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    return tmp_path / "mix"


def test_a_set_is_verified_against_its_sources(run: Run, world: Path, mix: Path) -> None:
    sources = ("--cityscapes", world / "cityscapes", "--coco", world / "coco")
    outcome = run("verify", mix, *sources, "--rebuild", 4)
    assert outcome.status == 0, outcome.out + outcome.err
    assert "4 of 4 samples byte for byte" in outcome.out
    assert outcome.out.rstrip().endswith("The set is as it was built.")
    assert run("verify", mix, "--quick").status == 0
    outcome = run("verify", mix, "--coco", world / "coco")
    assert outcome.status == 1
    assert "--cityscapes" in outcome.err


@pytest.mark.parametrize("source", ["cityscapes", "coco"])
def test_sources_behind_urls_are_checked(run: Run, world: Path, source: str) -> None:
    outcome = run("check", source, f"file://{world / source}")
    assert outcome.status == 0, outcome.out + outcome.err
    assert "--decode reads pi" in outcome.out
    store = located(f"memory://{uuid.uuid4().hex}")
    for file in (world / source).rglob("*"):
        if file.is_file():
            write_remotely(store / file.relative_to(world / source).as_posix(), file.read_bytes())
    assert run("check", source, store).out == outcome.out
    outcome = run("check", source, store, "--decode")
    assert outcome.status == 0, outcome.out + outcome.err
    assert "--decode" not in outcome.out


def test_what_is_broken_is_listed(run: Run, mix: Path) -> None:
    tar = mix / "anomalymix-000001.tar"
    data = bytearray(tar.read_bytes())
    data[-2000] ^= 1
    tar.write_bytes(bytes(data))
    outcome = run("verify", mix, "--quick")
    assert outcome.status == 1
    assert "broken shards" in outcome.out
    assert "checksum: 1" in outcome.out
    assert "anomalymix-000001.tar has another sha256" in outcome.out
    assert "copy it again" in outcome.out


def test_before_and_after_are_drawn(run: Run, world: Path, mix: Path, tmp_path: Path) -> None:
    outcome = run("inspect", mix, "--cityscapes", world / "cityscapes", "--limit", 2, "--out", tmp_path / "pages")
    assert outcome.status == 0, outcome.err
    assert "the frame as it was" in (tmp_path / "pages" / "index.html").read_text()
    outcome = run("inspect", mix, "--category", "cow,spoon", "--out", tmp_path / "none")
    assert outcome.status == 1
    assert "no object of the category 'cow'" in outcome.err
    assert not (tmp_path / "none").exists()


def test_rejects_are_listed(run: Run, mix: Path) -> None:
    (mix / "rejects.jsonl").write_text(
        '{"reason": "tiny", "detail": "too small", "input": "coco/1", "sample": null}\n'
    )
    assert run("inspect", mix, "--rejected").out == "tiny: 1\n  coco/1: too small\n"
    outcome = run("inspect", mix, "--rejected", "--min-size", 3)
    assert outcome.status == 1
    assert "filters of samples do not apply" in outcome.err
