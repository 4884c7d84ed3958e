"""Memory does not grow with the samples made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.engine import build
from pipelines.finish import ListedRows
from pipelines.recipe import Recipe, Sources
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from shards.rows import read_rows

FRAME_BYTES = 64 * 128 * 5
"""Picture and two maps of a test frame."""


def resident() -> int:
    """Bytes of this process in memory."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


class Measured:
    """A recipe that notes how much memory its process has, before each sample."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.found: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recipe, name)

    def change(self, seed: int, index: int, scene: Any) -> Any:
        self.found.append(resident())
        return self._recipe.change(seed, index, scene)


def test_memory_stays_flat(tmp_path: Path, sources: Sources) -> None:
    count = 800
    recipe = Measured(CityscapesRecipe.open(CityscapesConfig(), sources))
    build(recipe, tmp_path / "out", count=count, samples_per_shard=10)
    quarter = count // 4
    growth = max(recipe.found[-quarter:]) - max(recipe.found[:quarter])
    # Frames that were kept would be 25 MB.
    assert growth < quarter * 3 * FRAME_BYTES / 4, f"{growth / 1e6:.1f} MB"


def test_rows_are_read_anew(tmp_path: Path, sources: Sources) -> None:
    build(CityscapesRecipe.open(CityscapesConfig(), sources), tmp_path / "out", count=7)
    rows = ListedRows(tmp_path / "out" / "samples.jsonl", 7)
    listed = read_rows(tmp_path / "out")
    assert list(rows) == list(rows) == listed
    assert len(rows) == 7
    assert (rows[2], rows[-1], rows[1:3]) == (listed[2], listed[-1], listed[1:3])
