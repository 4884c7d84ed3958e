"""Benchmarks: one file each, with its card and `find(folder)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.benchmarks import (
    acdcpoc,
    bddanomaly,
    cityscapes,
    fishyscapes,
    lostandfound,
    muad,
    roadanomaly,
    shardset,
    smiyc,
    streethazards,
)
from eval.benchmarks.cityscapes import SegmentationSet
from eval.benchmarks.everything import Everything, find_everything
from eval.benchmarks.finder import AnySet, Finder, plain
from eval.benchmarks.sets import (
    BenchmarkFrame,
    BenchmarkSet,
    PixelCounts,
    UnlabelledFrame,
    UnlabelledSet,
    count_pixels,
    read_frame,
    read_semantic,
)
from shards.cards import Card
from shards.errors import UserError

FINDERS: Mapping[str, Finder[Any]] = {
    finder.card.name: finder
    for finder in (
        Finder(fishyscapes.CARD, fishyscapes.Options, fishyscapes.find, frozenset({"cityscapes", "version"})),
        plain(roadanomaly.CARD, roadanomaly.find),
        plain(smiyc.CARD, smiyc.find),
        Finder(lostandfound.CARD, lostandfound.Options, lostandfound.find),
        Finder(streethazards.CARD, streethazards.Options, streethazards.find),
        Finder(acdcpoc.CARD, acdcpoc.Options, acdcpoc.find),
        Finder(muad.CARD, muad.Options, muad.find),
        Finder(bddanomaly.CARD, bddanomaly.Options, bddanomaly.find),
        plain(cityscapes.CARD, cityscapes.find),
        plain(shardset.CARD, shardset.find),
    )
}
"""Benchmark name -> how its folder is read."""

CARDS: Mapping[str, Card] = {name: finder.card for name, finder in FINDERS.items()}
"""Benchmark name -> card."""

EVERYTHING = "all"


def find_sets(benchmark: str, folder: Path, overrides: Iterable[str] = ()) -> list[AnySet]:
    """The sets of a benchmark that a folder holds.

    Args:
        benchmark: a key of `FINDERS`, or "all" for every set that is recognised in the folder.
        folder: one set, or a parent of several.
        overrides: options of the benchmark as words `key=value`, or `benchmark.key=value` for "all".

    Raises:
        UserError: unknown benchmark or option; a folder that is something else or incomplete. Of "all", one that is
            incomplete; `find_all` leaves it out.
    """
    if benchmark == EVERYTHING:
        found = find_all([folder], overrides)
        if found.left_out:
            raise UserError(found.left_out[0])
        return list(found.sets)
    if benchmark not in FINDERS:
        raise UserError(f"There is no benchmark {benchmark!r}. The benchmarks are: {', '.join(FINDERS)}.")
    return FINDERS[benchmark](folder, overrides)


def find_all(folders: Sequence[Path], overrides: Iterable[str] = ()) -> Everything:
    """The sets of every benchmark in some folders, and what is left out there: `find_everything` of all `FINDERS`.

    Raises:
        UserError: a folder that does not exist, a wrong option, or no set that can be judged.
    """
    return find_everything(FINDERS, folders, overrides)


__all__ = [
    "CARDS",
    "EVERYTHING",
    "FINDERS",
    "AnySet",
    "BenchmarkFrame",
    "BenchmarkSet",
    "Everything",
    "Finder",
    "PixelCounts",
    "SegmentationSet",
    "UnlabelledFrame",
    "UnlabelledSet",
    "count_pixels",
    "find_all",
    "find_sets",
    "read_frame",
    "read_semantic",
]
