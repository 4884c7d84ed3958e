"""Cards: what `anomsynth list` and the README tables say of a recipe, method, score or benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CardKind = Literal["recipe", "method", "network", "score", "benchmark"]


@dataclass(frozen=True, slots=True)
class Card:
    """One entry of the catalogue; lives in the file of the thing that it describes."""

    kind: CardKind
    name: str
    """The word that is typed on the command line."""
    summary: str
    """One line: what it does."""
    title: str = ""
    """Title of the paper that it follows; empty where it is our own or folklore."""
    venue: str = ""
    year: int | None = None
    url: str = ""
    needs: tuple[str, ...] = ()
    """What a user must bring: data sets, weights, labels."""
    licence: str = ""
    """Notes on the licences of what it needs or makes."""

    @property
    def paper(self) -> str:
        """Title, venue and year in one line; empty without a paper."""
        place = " ".join(str(part) for part in (self.venue, self.year) if part)
        return ", ".join(part for part in (self.title, place) if part)
