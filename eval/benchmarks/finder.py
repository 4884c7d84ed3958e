"""How a benchmark is registered: its card, its options, and the function that finds its sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic

from eval.benchmarks.cityscapes import SegmentationSet
from eval.benchmarks.search import BrokenSets
from eval.benchmarks.sets import BenchmarkSet
from shards.cards import Card
from shards.config import Config, ConfigT, resolve
from shards.errors import UserError

AnySet = BenchmarkSet | SegmentationSet


class NoOptions(Config):
    """Of a benchmark on which all evaluations agree."""


@dataclass(frozen=True, slots=True)
class Finder(Generic[ConfigT]):
    """One benchmark.

    Attributes:
        card: what `anomsynth list` says of it.
        options: what may differ between evaluations on it; the fields of `--set`.
        find: (folder, options) -> its sets.
        places: options that only say where files lie or what they are called, and change no figure.
    """

    card: Card
    options: type[ConfigT]
    find: Callable[[Path, ConfigT], Sequence[AnySet]]
    places: frozenset[str] = frozenset()

    def __call__(self, folder: Path, overrides: Iterable[str] = ()) -> list[AnySet]:
        """The sets of a folder.

        Args:
            folder: one set, or a parent of several.
            overrides: options as words `key=value`.

        Raises:
            UserError: an option that does not exist; a folder that is something else or incomplete.
        """
        options = self.resolved(overrides)
        # Of a path, which is somebody's own, the name of the file is enough.
        changed = {
            name: value.name if isinstance(value := getattr(options, name), Path) else dumped
            for name, dumped in options.model_dump(mode="json", exclude_defaults=True).items()
            if name not in self.places
        }

        def noted(found: AnySet) -> AnySet:
            return replace(found, options=changed) if isinstance(found, BenchmarkSet) else found

        try:
            return [noted(found) for found in self.find(folder, options)]
        except BrokenSets as error:
            raise BrokenSets([replace(found, options=changed) for found in error.whole], error.broken) from error

    def resolved(self, overrides: Iterable[str]) -> ConfigT:
        """The options of some words `key=value`.

        Raises:
            UserError: an option that does not exist, or a value that it cannot have.
        """
        words = list(overrides)
        if words and not self.options.model_fields:
            raise UserError(f"The benchmark {self.card.name} has no options; --set {words[0]} does not apply.")
        return resolve(self.options, overrides=words)

    def among_all(self, advice: str) -> str:
        """A sentence whose `--set key=value` is meant for this benchmark, as "all" wants it: with its name."""
        keys = "|".join(map(re.escape, self.options.model_fields))
        return re.sub(rf"--set (?=({keys})=)", f"--set {self.card.name}.", advice) if keys else advice

    def noted_among_all(self, found: AnySet) -> AnySet:
        """A set whose notes advise so."""
        return replace(found, notes=tuple(map(self.among_all, found.notes)))


def plain(card: Card, find: Callable[[Path], Sequence[AnySet]]) -> Finder[NoOptions]:
    """A benchmark without options."""
    return Finder(card, NoOptions, lambda folder, options: find(folder))
