"""docs/architecture.md is the house as it stands, as far as a program can tell."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
APART = {"__init__.py", "defaults.py", "plural.py", "pixels.py"}
"""Of a line or two each."""


def test_every_module_is_named() -> None:
    for room in ("pipelines", "shards"):
        modules = {path.name for path in (ROOT / room).glob("*.py")} - APART
        assert {name for name in modules if not re.search(rf"\b{re.escape(name)}", TEXT)} == set(), room


def test_the_row_is_one_that_a_build_writes(tmp_path: Path, sources: Sources) -> None:
    (block,) = re.findall(r'^    (\{"key": .*?)\n\n', TEXT, re.DOTALL | re.MULTILINE)
    shown = json.loads(block)
    build(AnomalyMix.open(AnomalyMixConfig(min_area=0), sources), tmp_path / "out", count=4)
    rows = map(json.loads, (tmp_path / "out" / "samples.jsonl").read_text().splitlines())
    row = next(row for row in rows if row["objects"])

    def shape(value: Any) -> Any:
        return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else type(value)

    for part in ("frame", "pixels"):
        assert shape(shown[part]) == shape(row[part])
    assert shape(shown["objects"][0]) == shape(row["objects"][0])
    assert shown.keys() == row.keys()
    for path in (tmp_path / "out").iterdir():
        assert path.name in TEXT


def test_the_signature_of_build() -> None:
    (shown,) = re.findall(r"^def build\((.*?)\) -> BuildSummary", TEXT, re.DOTALL | re.MULTILINE)
    names = [name for name in re.split(r"[\s,]+", shown) if name and name != "*"]
    assert sorted(names) == sorted(inspect.signature(build).parameters)
