"""What was cut out lately, kept while there is room: small sources of objects are drawn from again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Final

from pipelines.cutout import Cutout

ROOM: Final = 64 << 20
"""Bytes that a process spends on it: some 500 objects of COCO."""


class RecentCutouts:
    """The cutouts that were used last, up to a number of bytes in each process.

    A picture that was replaced is cut out anew. With more objects than there is room for (all of COCO) hardly any is
    drawn twice in time, and nothing is gained.

    It belongs to one source, whose objects are known by picture and annotations.

    Args:
        room: bytes of pixels and masks.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room, self._used = room, 0
        self._kept: OrderedDict[Hashable, Cutout] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """What crosses into another process: nothing but the room."""
        return type(self), (self._room,)

    def get(self, picture: Path, what: Hashable, make: Callable[[], Cutout]) -> Cutout:
        """A cutout of a picture: a kept one, or a new one.

        Args:
            picture: the file.
            what: which object of it.
            make: cuts it out; what it raises is raised here.
        """
        try:
            state = picture.stat()
        except OSError:
            return make()  # which says what is wrong
        key = (picture, state.st_size, state.st_mtime_ns, what)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._used += _size(made)
            while self._used > self._room:
                self._used -= _size(self._kept.popitem(last=False)[1])
        return made


def _size(cutout: Cutout) -> int:
    return cutout.rgb.nbytes + cutout.mask.nbytes
