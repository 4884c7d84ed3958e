"""Commands in documents work as they stand there: the card's, and the builds of README.md."""

from __future__ import annotations

import json
import re
import shlex
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
ROOT = Path(__file__).parents[2]
SMALL = ("--count", 3, "--workers", 1, "--samples-per-shard", 2, "--set", "min_area=200", "--set", "min_visible=20")


def commands(text: str) -> list[list[str]]:
    """The words of each command in the console blocks of a document."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for command in block.replace("\\\n", " ").splitlines():
            words = shlex.split(command.removeprefix("$ "), comments=True)
            if words:
                found.append(words)
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "packing",
    [(), ("--image-format", "webp"), ("--image-format", "jpeg"), ("--image-format", "jpeg", "--quality", 40),
     ("--layout", "delta"), ("--layout", "delta", "--image-format", "jpeg", "--quality", 40)],
)  # fmt: skip
def test_the_command_of_a_card(
    run: Run, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: tuple[Any, ...]
) -> None:
    sources = {"COCO": str(world / "coco"), "CITYSCAPES": str(world / "cityscapes")}
    options = ("--coco", sources["COCO"], "--cityscapes", sources["CITYSCAPES"], "--coco-split", "train2017")
    outcome = run("build", "anomalymix", *options, *SMALL, *packing, "--out", tmp_path / "first")
    assert outcome.status == 0, outcome.err
    card = (tmp_path / "first" / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (config,) = re.findall(r"where `config.json` holds\n\n```json\n(.*?)```", card, re.DOTALL)
    Path("config.json").write_text(json.dumps(json.loads(config)))
    (words,) = (words for words in commands(card) if words[:2] == ["anomsynth", "build"])
    outcome = run(*(sources.get(word, word) for word in words[1:]), "--workers", 1)
    assert outcome.status == 0, outcome.err
    assert content(tmp_path / "mix") == content(tmp_path / "first")


def test_the_builds_of_the_readme(run: Run, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one that the tool would start, and those that share a folder make one set."""
    monkeypatch.chdir(tmp_path)
    builds: dict[str, set[str]] = defaultdict(set)
    seen = 0
    for words in commands((ROOT / "README.md").read_text(encoding="utf-8")):
        if words[:2] not in (["anomsynth", "build"], ["anomsynth", "materialize"]):
            continue
        place = words.index("--out") + 1
        out, words[place] = words[place], "out"
        builds[out].add(shlex.join(words))
        if words[1] == "build":
            here = {"COCO": world / "coco", "CITYSCAPES": world / "cityscapes"}
            here |= {f"world/{name}": world / name for name in ("coco", "cityscapes")}  # of `anomsynth toy world`
            outcome = run(*(here.get(word, word) for word in words[1:]), "--dry-run")
            assert outcome.status == 0, (words, outcome.err)
            seen += 1
    assert seen > 5
    assert {out: made for out, made in builds.items() if len(made) > 1} == {}
