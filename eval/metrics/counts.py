"""How often each score occurs among any number of pixels: exact, in memory that their number does not decide.

A float32 score is a 32-bit key (`keys.py`). A page counts the 2^16 keys that share their upper half, one byte each; a
byte that wraps leaves its key in a list, where it means 256. A page is made when enough keys ask for it at once;
keys of rarer regions wait in a buffer. So memory grows with the range of the scores, never with the frames: a page is
64 KB, and the energies of a network take some 600 of them, 40 MB.

Keys are counted in batches that are first grouped by page: the byte that a pixel raises is then in the cache, where
counting at once would wait for memory at nearly every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, no_type_check

import numpy as np
from jaxtyping import Int32, Int64, UInt8, UInt32

from shards.compiled import compiled

PAGE: Final = 1 << 16
"""Keys in a page, and pages that can be."""

BATCH: Final = 1 << 22
"""Keys that wait at most: 16 MB."""
PAGE_WORTH: Final = 4096
"""Keys in a batch that make a page: a quarter of its memory as waiting keys."""
_QUICKER_THAN_SORTING: Final = 512
"""Keys that a page must hold so that making it costs less than sorting them."""
_HALF: Final = np.uint32(16)
_LOWER: Final = np.uint32(0xFFFF)
_ONE: Final = np.uint8(1)


class KeyCounts:
    """A multiset of 32-bit keys.

    Attributes:
        page_of: (65536,) upper half of a key -> number of its page, -1 where there is none.
        pages: (65536 * number of pages,) the counters, page after page.
        wrapped: keys whose counters wrapped, sorted and distinct.
        wraps: how often each did.
        sizes: (65536,) upper half of a key -> keys counted in pages.
    """

    def __init__(self) -> None:
        self.page_of: Int32[np.ndarray, " page"] = np.full(PAGE, -1, np.int32)
        self.pages: UInt8[np.ndarray, " c"] = np.empty(0, np.uint8)
        self.wrapped: UInt32[np.ndarray, " w"] = np.empty(0, np.uint32)
        self.wraps: Int64[np.ndarray, " w"] = np.empty(0, np.int64)
        self.sizes: Int64[np.ndarray, " page"] = np.zeros(PAGE, np.int64)
        self._buffer: UInt32[np.ndarray, " b"] = np.empty(PAGE, np.uint32)
        self._filled = 0

    @property
    def waiting(self) -> UInt32[np.ndarray, " n"]:
        """The keys that are in no page, in any order."""
        return self._buffer[: self._filled]

    @property
    def total(self) -> int:
        """Keys counted."""
        return int(self.sizes.sum()) + self._filled

    def add(self, keys: UInt32[np.ndarray, " n"]) -> None:
        """Count keys."""
        done = 0
        while done < keys.size:
            if self._filled == self._buffer.size:
                self._make_room()
            part = keys[done : done + self._buffer.size - self._filled]
            self._buffer[self._filled : self._filled + part.size] = part
            self._filled += part.size
            done += part.size

    def settle(self) -> None:
        """Count what waits, wherever that is quicker than sorting it; the multiset stays the same."""
        if self._filled > PAGE:
            self._count_waiting(_QUICKER_THAN_SORTING)

    def merge(self, other: KeyCounts) -> None:
        """Add all that another one counted."""
        highs = np.flatnonzero(other.page_of >= 0)
        self._make_pages(highs)
        for high in highs.tolist():
            mine, theirs = self._page(high), other._page(high)
            wrapped = np.flatnonzero(mine > 255 - theirs).astype(np.uint32)
            mine += theirs
            self._note_wraps((np.uint32(high) << np.uint32(16)) | wrapped, np.ones(wrapped.size, np.int64))
        self._note_wraps(other.wrapped, other.wraps)
        self.sizes += other.sizes
        self.add(other.waiting)

    def state(self) -> dict[str, np.ndarray]:
        """All of it, as arrays to be saved."""
        return {
            "page_of": self.page_of,
            "pages": self.pages,
            "wrapped": self.wrapped,
            "wraps": self.wraps,
            "sizes": self.sizes,
            "waiting": self.waiting,
        }

    @classmethod
    def of(cls, state: Mapping[str, np.ndarray]) -> KeyCounts:
        """The way back from `state`; the arrays are copied, as those of a file cannot grow.

        Raises:
            ValueError: the arrays do not belong together.
        """
        self = cls()
        for name, array in state.items():
            kept = getattr(self, name)
            if array.dtype != kept.dtype or array.ndim != 1 or (kept.size == PAGE and array.size != PAGE):
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
        numbers = np.sort(state["page_of"][state["page_of"] >= 0])
        if not np.array_equal(numbers * PAGE, np.arange(0, state["pages"].size, PAGE)) or (
            state["wrapped"].shape != state["wraps"].shape
        ):
            raise ValueError("pages and counters do not belong together")
        self.page_of, self.pages = state["page_of"].copy(), state["pages"].copy()
        self.wrapped, self.wraps, self.sizes = (state[name].copy() for name in ("wrapped", "wraps", "sizes"))
        self.add(state["waiting"])
        return self

    def _page(self, high: int) -> UInt8[np.ndarray, " page"]:
        first = int(self.page_of[high]) * PAGE
        return self.pages[first : first + PAGE]

    def _make_pages(self, highs: Int64[np.ndarray, " p"]) -> None:
        new = highs[self.page_of[highs] < 0]
        number = self.pages.size // PAGE
        self.page_of[new] = np.arange(number, number + new.size, dtype=np.int32)
        # In place where the system can: a copy would need twice the memory for a moment.
        self.pages.resize((number + new.size) * PAGE, refcheck=False)

    def _make_room(self) -> None:
        """Let the buffer grow, or count what waits in it."""
        if self._buffer.size < BATCH:
            self._buffer.resize(4 * self._buffer.size, refcheck=False)
            return
        sizes = group_sizes(self._buffer)
        paged, worth = self.page_of >= 0, PAGE_WORTH
        while int(sizes[~paged & (sizes < worth)].sum()) > BATCH // 8:
            worth //= 2
        self._count_waiting(worth)

    def _count_waiting(self, worth: int) -> None:
        """Count the waiting keys whose page exists or that are so many that they are worth one."""
        sizes = group_sizes(self.waiting)
        self._make_pages(np.flatnonzero(sizes >= worth))
        wrapped = np.empty(self._filled, np.uint32)  # as many as there can be; what is not written takes no memory
        self._filled, found = count_grouped(self.waiting, sizes, self.page_of, self.pages, wrapped)
        self.sizes += np.where(self.page_of >= 0, sizes, 0)
        self._note_wraps(wrapped[:found], np.ones(found, np.int64))

    def _note_wraps(self, keys: UInt32[np.ndarray, " k"], times: Int64[np.ndarray, " k"]) -> None:
        if not keys.size:
            return
        together, where = np.unique(np.concatenate([self.wrapped, keys]), return_inverse=True)
        wraps = np.zeros(together.size, np.int64)
        np.add.at(wraps, where, np.concatenate([self.wraps, times]))
        self.wrapped, self.wraps = together, wraps


@compiled
@no_type_check
def group_sizes(keys, shift=_HALF):
    """How many keys share their bits above `shift`, by default their upper half: (2^(32 - shift),) int32."""
    sizes = np.zeros(1 << (32 - shift), np.int32)
    for key in keys:
        sizes[key >> shift] += 1
    return sizes


@compiled
@no_type_check
def count_grouped(keys, sizes, page_of, pages, wrapped):
    """Raise the counters of the keys that have a page; leave the others at the front of `keys`.

    Args:
        keys: (B,) uint32; overwritten.
        sizes: (65536,) of `group_sizes`.
        page_of: (65536,) number of the page of an upper half, -1 without.
        pages: the counters.
        wrapped: (B,) uint32, takes the keys whose counters wrapped.

    Returns:
        How many keys are left, and how many counters wrapped.
    """
    place = np.empty(PAGE, np.int32)  # where the next key of an upper half goes
    first = 0
    for high in range(PAGE):
        place[high] = -1
        if page_of[high] >= 0:
            place[high] = first
            first += sizes[high]
    grouped = np.empty(first, np.uint16)
    left = 0
    for key in keys:
        high = key >> _HALF
        at = place[high]
        if at >= 0:
            grouped[at] = key & _LOWER
            place[high] = at + 1
        else:
            keys[left] = key
            left += 1
    found = 0
    for high in range(PAGE):
        if page_of[high] < 0 or sizes[high] == 0:
            continue
        start = page_of[high] * PAGE
        page = pages[start : start + PAGE]
        for i in range(place[high] - sizes[high], place[high]):
            count = np.uint8(page[grouped[i]] + _ONE)
            page[grouped[i]] = count
            if count == 0:
                wrapped[found] = (high << 16) | grouped[i]
                found += 1
    return left, found
