"""Benchmarks: one file each, with its card and `find(folder)`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
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
from eval.benchmarks.encoding import PLAIN
from eval.benchmarks.finder import AnySet, Finder, plain
from eval.benchmarks.folders import WrongFolder, guess, is_flat
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
        UserError: unknown benchmark or option; a folder that is something else or incomplete.
    """
    if benchmark == EVERYTHING:
        return _find_all(folder, _by_benchmark(overrides))
    if benchmark not in FINDERS:
        raise UserError(f"There is no benchmark {benchmark!r}. The benchmarks are: {', '.join(FINDERS)}.")
    return FINDERS[benchmark](folder, overrides)


def _by_benchmark(overrides: Iterable[str]) -> Mapping[str, list[str]]:
    sorted_out: dict[str, list[str]] = {}
    for word in overrides:
        benchmark, dot, rest = word.partition(".")
        if not dot or benchmark not in FINDERS:
            raise UserError(
                f"--set {word}: for all benchmarks, say whose option it is, such as fishyscapes.cityscapes=DIR."
            )
        sorted_out.setdefault(benchmark, []).append(rest)
    return sorted_out


def _find_all(folder: Path, overrides: Mapping[str, list[str]]) -> list[AnySet]:
    """Every set of a folder and of the folders inside it; the shards that may lie there are no benchmark.

    Raises:
        UserError: nothing is recognised, or what is recognised is incomplete.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Give --data a folder that holds benchmarks.")
    if is_flat(folder) and guess(folder) is None:
        raise UserError(
            f"Neither the name of {folder} nor those of its labels tell which benchmark it is; "
            f"name it: anomsynth eval {'|'.join(FINDERS)} --data DIR."
        )
    sets: list[AnySet] = []
    for name, finder in FINDERS.items():
        if name not in ("cityscapes", "shards"):
            with contextlib.suppress(WrongFolder):
                sets = _owned([*sets, *finder(folder, overrides.get(name, ()))])
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if guess(place) == "cityscapes":
            sets += cityscapes.find(place)
    if not sets:
        raise UserError(
            f"No benchmark is recognised in {folder} or directly inside it; "
            f"name one: anomsynth eval {'|'.join(FINDERS)} --data DIR."
        )
    return sets


def _owned(sets: list[AnySet]) -> list[AnySet]:
    """Each folder of labels once: a flat LostAndFound is a set of Fishyscapes too by its name.

    Labels of 0, 1 and 255 are those of Fishyscapes, which comes first; values that only the benchmark itself stores
    make it the owner.
    """
    owners: dict[Path, AnySet] = {}
    for found in sets:
        frame = found.frames[0] if found.frames else None
        place = frame.label.parent if isinstance(frame, BenchmarkFrame) else Path(found.name)
        if place not in owners or (isinstance(frame, BenchmarkFrame) and frame.encoding != PLAIN):
            owners[place] = found
    return list(owners.values())


__all__ = [
    "CARDS",
    "EVERYTHING",
    "FINDERS",
    "AnySet",
    "BenchmarkFrame",
    "BenchmarkSet",
    "Finder",
    "PixelCounts",
    "SegmentationSet",
    "UnlabelledFrame",
    "UnlabelledSet",
    "count_pixels",
    "find_sets",
    "read_frame",
    "read_semantic",
]
