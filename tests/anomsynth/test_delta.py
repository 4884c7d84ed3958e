"""`anomsynth build --layout delta`, `--shareable`, `materialize`, and what looks at delta sets, as they are typed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.documents.licences import licence_table
from shards.rows import read_rows

Run = Callable[..., Any]
SMALL = ("--count", 6, "--workers", 1, "--samples-per-shard", 4, "--set", "min_area=200", "--set", "min_visible=20")


@pytest.fixture
def build(run: Run, world: Path, tmp_path: Path) -> Callable[..., Any]:
    def made(name: str, *options: object) -> Any:
        sources = ("--coco", world / "coco", "--cityscapes", world / "cityscapes")
        return run("build", "anomalymix", *sources, "--out", tmp_path / name, *SMALL, *options)

    return made


@pytest.fixture
def delta(build: Any, tmp_path: Path) -> Path:
    outcome = build("delta", "--layout", "delta")
    assert outcome.status == 0, outcome.err
    return tmp_path / "delta"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_materialised_at_the_command_line(run: Run, build: Any, world: Path, delta: Path, tmp_path: Path) -> None:
    assert build("mix").status == 0
    command = ("materialize", delta, "--cityscapes", world / "cityscapes", "--out", tmp_path / "laid")
    outcome = run(*command, "--dry-run")
    assert outcome.status == 0
    assert json.loads(outcome.out)["inputs"]["delta"]["samples"] == 6
    assert not (tmp_path / "laid").exists()
    outcome = run(*command, "--workers", 1)
    assert outcome.status == 0, outcome.err
    assert "Made 6 samples in 2 shards" in outcome.out
    assert "Other versions" not in outcome.out
    assert content(tmp_path / "laid") == content(tmp_path / "mix")
    assert "is complete already" in run(*command).out
    outcome = run("materialize", tmp_path / "mix", "--cityscapes", world / "cityscapes", "--out", tmp_path / "no")
    assert outcome.status == 1
    assert "is no delta set" in outcome.err


def test_other_versions_are_told(run: Run, world: Path, delta: Path, tmp_path: Path) -> None:
    manifest = json.loads((delta / "manifest.json").read_text())
    manifest["tool"]["zlib"] = "0.1"
    (delta / "manifest.json").write_text(json.dumps(manifest))
    outcome = run("materialize", delta, "--cityscapes", world / "cityscapes", "--out", tmp_path / "laid")
    assert outcome.status == 0
    assert "(then 0.1)" in outcome.out


def test_a_delta_set_is_verified(run: Run, world: Path, delta: Path) -> None:
    sources = ("--cityscapes", world / "cityscapes", "--coco", world / "coco")
    outcome = run("verify", delta, *sources, "--rebuild", 4)
    assert outcome.status == 0, outcome.out + outcome.err
    assert "4 of 4 samples byte for byte" in outcome.out
    assert "not counted" in outcome.out
    tar = delta / "anomalymix-000001.tar"
    data = bytearray(tar.read_bytes())
    place = data.index(b"IDAT")
    data[place + 20] ^= 255
    tar.write_bytes(bytes(data))
    outcome = run("verify", delta)
    assert outcome.status == 1
    assert "checksum: 1" in outcome.out
    assert "unreadable-image: 1" in outcome.out


def test_a_delta_set_is_looked_at(run: Run, world: Path, delta: Path, tmp_path: Path) -> None:
    for name, options in (("grey", ()), ("laid", ("--cityscapes", world / "cityscapes"))):
        outcome = run("inspect", delta, "--limit", 2, "--out", tmp_path / name, *options)
        assert outcome.status == 0, outcome.err
    assert (tmp_path / "grey" / "contact-sheet.png").read_bytes() != (
        tmp_path / "laid" / "contact-sheet.png"
    ).read_bytes()
    assert "the frame as it was" in (tmp_path / "laid" / "index.html").read_text()


def test_what_may_be_passed_on(build: Any, tmp_path: Path) -> None:
    outcome = build("shared", "--layout", "delta", "--shareable")
    assert outcome.status == 0, outcome.err
    table = licence_table(read_rows(tmp_path / "shared"))
    assert table
    assert all(licence.passes("derivatives-allowed") for licence, _, _ in table)
    restricted = [licence for licence, _, _ in table if not licence.terms.commercial]
    for licence in restricted:
        assert f"under {licence.name}" in outcome.out
        assert licence.name in (tmp_path / "shared" / "README.md").read_text()
    assert ("nothing in it is non-commercial" in outcome.out) == (not restricted)
    alike = [licence for licence, _, _ in table if licence.terms.share_alike]
    assert ("(ShareAlike)" in outcome.out) == bool(alike)
    assert re.search(r"\(\d+ objects? left out\)", outcome.out)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--shareable",), "--shareable needs --layout delta"),
        (
            ("--shareable", "--layout", "delta", "--license-filter", "known"),
            "licences=known (--license-filter) does not",
        ),
        (("--shareable", "--layout", "delta", "--set", "licences=any"), "licences=any (--license-filter) does not"),
        (("--shareable", "--layout", "delta", "--set", "occlusion=true"), "outlines of Cityscapes' labels"),
    ],
)
def test_what_may_not(build: Any, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    outcome = build("refused", *options)
    assert outcome.status == 1
    assert words in outcome.err
    assert not (tmp_path / "refused").exists()
