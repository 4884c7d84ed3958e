"""Benchmarks: one file each, with its card and `find(folder)`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eval.benchmarks import cityscapes, fishyscapes, roadanomaly, shardset, smiyc
from eval.benchmarks.cityscapes import SegmentationSet
from eval.benchmarks.folders import WrongFolder, guess
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet, PixelCounts, count_pixels, read_frame
from shards.cards import Card
from shards.errors import UserError

AnySet = BenchmarkSet | SegmentationSet

CARDS: Mapping[str, Card] = {
    module.CARD.name: module.CARD for module in (fishyscapes, roadanomaly, smiyc, cityscapes, shardset)
}
"""Benchmark name -> card."""


FINDERS: Mapping[str, Callable[[Path], Sequence[AnySet]]] = {
    "fishyscapes": fishyscapes.find,
    "roadanomaly": roadanomaly.find,
    "smiyc": smiyc.find,
    "cityscapes": cityscapes.find,
    "shards": shardset.find,
}
"""Benchmark name -> how its folder is read."""

EVERYTHING = "all"


def find_sets(benchmark: str, folder: Path) -> list[AnySet]:
    """The sets of a benchmark that a folder holds.

    Args:
        benchmark: a key of `FINDERS`, or "all" for every set that is recognised in the folder.
        folder: one set, or a parent of several.

    Raises:
        UserError: unknown benchmark; a folder that is something else or incomplete.
    """
    if benchmark == EVERYTHING:
        return _find_all(folder)
    if benchmark not in FINDERS:
        raise UserError(f"There is no benchmark {benchmark!r}. The benchmarks are: {', '.join(FINDERS)}.")
    return list(FINDERS[benchmark](folder))


def _find_all(folder: Path) -> list[AnySet]:
    """Every set of a folder and of the folders inside it; the shards that may lie there are no benchmark.

    Raises:
        UserError: nothing is recognised, or what is recognised is incomplete.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Give --data a folder that holds benchmarks.")
    sets: list[AnySet] = []
    for find in (fishyscapes.find, roadanomaly.find, smiyc.find):
        with contextlib.suppress(WrongFolder):
            sets += find(folder)
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if guess(place) == "cityscapes":
            sets += cityscapes.find(place)
    if not sets:
        raise UserError(
            f"No benchmark is recognised in {folder} or directly inside it; "
            f"name one: anomsynth eval {'|'.join(FINDERS)} --data DIR."
        )
    return sets


__all__ = [
    "CARDS",
    "EVERYTHING",
    "FINDERS",
    "AnySet",
    "BenchmarkFrame",
    "BenchmarkSet",
    "PixelCounts",
    "SegmentationSet",
    "count_pixels",
    "find_sets",
    "read_frame",
]
