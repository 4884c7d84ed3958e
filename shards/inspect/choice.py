"""Which samples of a set are looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shards.errors import BadInput, UserError
from shards.manifest import read_manifest
from shards.plural import plural
from shards.rng import generator
from shards.rows import Row, categories_of, has_anomaly, objects_of, read_rejects


@dataclass(frozen=True, slots=True)
class Filters:
    """What a sample must have to be shown.

    Attributes:
        categories: one of its objects is of one of these; empty: any.
        min_size: the same object shows at least so many pixels. Where no object is on record (anomalies that were in
            the frame), all of the sample's anomaly pixels count together.
        max_size: the same object shows at most so many pixels.
        recipe: the sample was made by this one.
    """

    categories: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    recipe: str | None = None

    def describe(self) -> str:
        """In words, such as ``category dog, at least 100 pixels``; empty where everything passes."""
        words = [
            *([f"category {' or '.join(self.categories)}"] if self.categories else []),
            *([f"at least {self.min_size:,} pixels"] if self.min_size is not None else []),
            *([f"at most {self.max_size:,} pixels"] if self.max_size is not None else []),
            *([f"recipe {self.recipe}"] if self.recipe is not None else []),
        ]
        return ", ".join(words)

    def passes(self, row: Row) -> bool:
        """Whether a sample is shown."""
        if self.recipe is not None and row.get("recipe") != self.recipe:
            return False
        if not self.categories and self.min_size is None and self.max_size is None:
            return True
        items = objects_of(row)
        if not items and not self.categories:
            return self._fits(row.get("pixels", {}).get("anomaly", 0))
        return any(self._fits(item.get("pixels", 0)) and self._is_wanted(item) for item in items)

    def _fits(self, pixels: int) -> bool:
        return (self.min_size is None or pixels >= self.min_size) and (
            self.max_size is None or pixels <= self.max_size
        )

    def _is_wanted(self, item: Row) -> bool:
        return not self.categories or not {*self.categories}.isdisjoint(categories_of(item))


ALL: Final = Filters()


def choose(rows: Sequence[Row], filters: Filters, limit: int, seed: int) -> tuple[int, list[Row]]:
    """How many samples pass, and those shown, in storage order: a seeded choice where more than `limit` pass.

    Raises:
        UserError: a category or recipe that the set does not have, or no sample passes.
    """
    if not rows:
        raise UserError("The shard set is empty: there is nothing to look at.")
    known = Counter(name for row in rows for item in objects_of(row) for name in categories_of(item))
    if filters.categories and not known:
        raise UserError("The set has no pasted objects: filters by category do not apply to it.")
    for name in filters.categories:
        if name not in known:
            there = ", ".join(sorted(known))
            raise UserError(f"The set has no object of the category {name!r}; its categories are: {there}.")
    if (filters.min_size, filters.max_size) != (None, None) and not any(map(has_anomaly, rows)):
        raise UserError("No sample of the set has an anomaly: filters by size do not apply to it.")
    recipes = {str(row.get("recipe")) for row in rows}
    if filters.recipe is not None and filters.recipe not in recipes:
        raise UserError(
            f"No sample was made by the recipe {filters.recipe!r}; there is: {', '.join(sorted(recipes))}."
        )
    passing = [row for row in rows if filters.passes(row)]
    if not passing:
        raise UserError(f"None of the {plural(len(rows), 'sample')} passes: {filters.describe()}.")
    if len(passing) <= limit:
        return len(passing), passing
    places = sorted(generator(seed, "inspect").choice(len(passing), limit, replace=False).tolist())
    return len(passing), [passing[place] for place in places]


def rejected(folder: Path, limit: int) -> list[str]:
    """Lines about what a build left out: each reason with its number, then up to `limit` inputs of it.

    Raises:
        UserError: not a complete shard set, or its list of rejects is lost or broken.
    """
    read_manifest(folder)
    try:
        rows = read_rejects(folder)
    except BadInput as error:
        raise UserError(
            f"{folder}: {error.detail}; `anomsynth verify {folder}` tells what else is broken."
        ) from error
    if not rows:
        return ["Nothing was left out."]
    lines = []
    for reason, count in Counter(str(row["reason"]) for row in rows).most_common():
        lines.append(f"{reason}: {count}")
        shown = [row for row in rows if row["reason"] == reason][:limit]
        for row in shown:
            sample = f"{row['sample']}: " if row.get("sample") else ""
            source = f"{row['input']}: " if row["input"] else ""
            lines.append(f"  {sample}{source}{row['detail']}")
        if count > len(shown):
            lines.append(f"  ... and {count - len(shown)} more")
    return lines
