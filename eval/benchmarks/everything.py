"""Every set that some folders hold, of whichever benchmark: what `anomsynth eval all` judges, and what it leaves out.

A set that is incomplete or cannot be told is left out with a sentence, and the others stand: each is judged on its
own. Within a set nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from eval.benchmarks.encoding import PLAIN
from eval.benchmarks.finder import AnySet, Finder
from eval.benchmarks.folders import guess, is_flat
from eval.benchmarks.search import BrokenSets, WrongFolder, distinct, places
from eval.benchmarks.sets import BenchmarkFrame
from shards.errors import UserError

_STATIC: Final = "fishyscapes"
"""The benchmark whose overlays need the images of Cityscapes."""


@dataclass(frozen=True, slots=True)
class Everything:
    """What was found.

    Attributes:
        sets: in the order of the folders and of the benchmarks; their names differ.
        left_out: what is there but cannot be judged, a sentence a set.
    """

    sets: tuple[AnySet, ...]
    left_out: tuple[str, ...] = ()


def find_everything(
    finders: Mapping[str, Finder[Any]], folders: Sequence[Path], overrides: Iterable[str] = ()
) -> Everything:
    """The sets of every benchmark in some folders; the shards that may lie there are no benchmark.

    Args:
        finders: benchmark -> how its folder is read; of two that claim one set, the first.
        folders: each is searched; Cityscapes in one of them serves the overlays of Fishyscapes Static in another.
        overrides: options as words `benchmark.key=value`.

    Raises:
        UserError: a folder that does not exist, a wrong option, or no set that can be judged.
    """
    words = _by_benchmark(finders, overrides)
    for name, of_one in words.items():
        finders[name].resolved(of_one)
    cities: list[Path] = []
    unknown: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}. Give --data a folder that holds benchmarks.")
        around = places(folder)
        cities += [place for place in around if guess(place) == "cityscapes"]
        unknown += [place for place in around if is_flat(place) and guess(place) is None]
    sets: list[AnySet] = []
    left_out: list[str] = []
    for folder in folders:
        for name, finder in finders.items():
            # A flat folder that tells nothing would be anybody's.
            if name not in ("cityscapes", "shards") and folder not in unknown:
                whole, broken = _of_one(finder, folder, words.get(name, []), cities)
                sets = _owned([*sets, *whole])
                left_out += broken
    cities = list({place.resolve(): place for place in cities}.values())
    for city in cities:
        told = "cityscapes" if len(cities) == 1 else f"{city.absolute().parent.name}-{city.name}"
        try:
            sets += [replace(found, name=told) for found in finders["cityscapes"](city)]
        except UserError as error:
            left_out.append(str(error))
    names = "|".join(finders)
    left_out += [
        f"Neither the name of {place} nor those of its labels tell which benchmark it is; "
        f"name it: anomsynth eval {names} --data DIR."
        for place in unknown
    ]
    if not sets and left_out:
        more = "" if len(left_out) == 1 else f" (And {len(left_out) - 1} more that cannot be judged.)"
        raise UserError(left_out[0] + more)
    if not sets:
        where = ", ".join(map(str, folders))
        raise UserError(
            f"No benchmark is recognised in {where} or not far below; name one: anomsynth eval {names} --data DIR."
        )
    return Everything(tuple(distinct(sets)), tuple(dict.fromkeys(left_out)))


def _by_benchmark(finders: Mapping[str, Finder[Any]], overrides: Iterable[str]) -> Mapping[str, list[str]]:
    sorted_out: dict[str, list[str]] = {}
    for word in overrides:
        benchmark, dot, rest = word.partition(".")
        if not dot or benchmark not in finders:
            raise UserError(
                f"--set {word}: for all benchmarks, say whose option it is, such as fishyscapes.cityscapes=DIR."
            )
        sorted_out.setdefault(benchmark, []).append(rest)
    return sorted_out


def _of_one(
    finder: Finder[Any], folder: Path, words: list[str], cities: Sequence[Path]
) -> tuple[Sequence[AnySet], list[str]]:
    """The sets of one benchmark in a folder, and what is wrong with the others."""
    try:
        return _advised(finder, finder(folder, words)), []
    except WrongFolder:
        return [], []
    except BrokenSets as error:
        found = error
    told = any(word.startswith("cityscapes=") for word in words)
    if finder.card.name == _STATIC and cities and not told:
        # The folder lacks images of Cityscapes, perhaps, which another one holds.
        try:
            return _advised(finder, finder(folder, [*words, f"cityscapes={cities[0]}"])), []
        except BrokenSets as error:
            found = min(found, error, key=lambda fault: len(fault.broken))
    return _advised(finder, found.whole), [finder.among_all(sentence) for sentence in found.broken]


def _advised(finder: Finder[Any], sets: Iterable[AnySet]) -> list[AnySet]:
    """Sets whose notes give the options by the names that they have among all."""
    return [finder.noted_among_all(found) for found in sets]


def _owned(sets: list[AnySet]) -> list[AnySet]:
    """Each folder of labels once: a flat LostAndFound is a set of Fishyscapes too by its name.

    Labels of 0, 1 and 255 are those of Fishyscapes, which comes first; values that only the benchmark itself stores
    make it the owner.
    """
    owners: dict[Path, AnySet] = {}
    for found in sets:
        frame = found.frames[0] if found.frames else None
        place = frame.label.parent.resolve() if isinstance(frame, BenchmarkFrame) else Path(found.name)
        if place not in owners or (isinstance(frame, BenchmarkFrame) and frame.encoding != PLAIN):
            owners[place] = found
    return list(owners.values())
