"""Where the files of each sample lie: kept in flat arrays, since ten million samples have forty million files."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """Where one file of a sample lies: bytes ``start`` to ``start + size`` of its tar."""

    suffix: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample of the index."""

    key: str
    shard: str
    members: tuple[Member, ...]


class Index:
    """A sequence of entries, shard by shard, which are made anew each time that they are asked for.

    Samples of a set have the same few suffixes, so that a sample keeps its key, a number for its suffixes, and two
    integers a file.
    """

    def __init__(self) -> None:
        self._shards: list[str] = []
        self._shard_ends = array("q")  # entries up to the end of each shard
        self._keys = bytearray()
        self._key_ends = array("q", [0])
        self._suffixes: dict[tuple[str, ...], int] = {}
        self._kinds: list[tuple[str, ...]] = []  # the keys of _suffixes by number
        self._kind = array("i")
        self._firsts = array("q")  # of an entry's members, in the next two
        self._starts, self._sizes = array("q"), array("q")

    def add(self, shard: str, entries: Iterable[Entry]) -> None:
        """Append the entries of one shard."""
        for entry in entries:
            suffixes = tuple(member.suffix for member in entry.members)
            kind = self._suffixes.setdefault(suffixes, len(self._suffixes))
            if kind == len(self._kinds):
                self._kinds.append(suffixes)
            self._kind.append(kind)
            self._keys += entry.key.encode(errors="surrogateescape")  # as tarfile reads names that are no UTF-8
            self._key_ends.append(len(self._keys))
            self._firsts.append(len(self._starts))
            self._starts.extend(member.start for member in entry.members)
            self._sizes.extend(member.size for member in entry.members)
        self._shards.append(shard)
        self._shard_ends.append(len(self._kind))

    def __len__(self) -> int:
        return len(self._kind)

    def __getitem__(self, index: int) -> Entry:
        """The entry at a place; negative places count from the end."""
        place = range(len(self))[index]
        first = self._firsts[place]
        members = tuple(
            Member(suffix, self._starts[first + number], self._sizes[first + number])
            for number, suffix in enumerate(self._kinds[self._kind[place]])
        )
        return Entry(self.key(place), self._shards[bisect.bisect_right(self._shard_ends, place)], members)

    def __iter__(self) -> Iterator[Entry]:
        return (self[place] for place in range(len(self)))

    def key(self, place: int) -> str:
        """The key of the entry at a place from 0 on."""
        return self._keys[self._key_ends[place] : self._key_ends[place + 1]].decode(errors="surrogateescape")
