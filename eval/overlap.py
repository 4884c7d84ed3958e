"""Reading the next frames and judging the last ones while the network works on this one, in some threads.

Decoding and counting let other threads run, so on further cores they cost no time of their own. Order, errors and
figures are those of doing one after the other, and no more frames are held than threads work on, and one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, TypeVar

Item = TypeVar("Item")
Content = TypeVar("Content")

MOST: Final = 8
"""Threads by default, however many cores there are: each holds a frame with its score maps."""


def judging_threads(wanted: int | None = None, *, spare: int = 0) -> int:
    """How many threads judge frames: as many as wanted, by default the cores of this process, 1 ... 8.

    Args:
        wanted: by the user.
        spare: cores that something else keeps busy.
    """
    if wanted is not None:
        return wanted
    affinity = getattr(os, "sched_getaffinity", None)  # where the system can keep a process off some cores
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return min(MOST, max(1, cores - spare))


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Content], threads: int = 1
) -> Iterator[tuple[Item, Content]]:
    """Each item, in order, with what `read` makes of it, a call a thread; the next ones are read meanwhile.

    As many items as there are threads are taken ahead: to show what has been worked through, track what comes out,
    not the items.

    Args:
        items: taken one by one.
        read: what is done with each; its errors are raised in the items' order.
        threads: how many calls run at a time, 1 or more.
    """
    pool = ThreadPoolExecutor(threads, "read-ahead")
    waiting: deque[tuple[Item, Future[Content]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(read, item)))
            if len(waiting) > threads:
                done, coming = waiting.popleft()
                yield done, coming.result()
        while waiting:
            done, coming = waiting.popleft()
            yield done, coming.result()
    finally:
        # After an error nobody waits for what would have come next.
        pool.shutdown(wait=False, cancel_futures=True)


class Behind:
    """Runs calls in threads of their own; leaving the block waits for the last.

    Whoever hands in a call waits until a thread is free, so no more frames are held than there are threads, and the
    one at hand. With one thread, calls run in order; with several, what they do must not depend on it.

    Args:
        threads: how many calls run at a time, 1 or more.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def __enter__(self) -> Behind:
        """Start the threads."""
        self._pool = ThreadPoolExecutor(self._threads, "behind")
        self._calls: deque[Future[None]] = deque()
        return self

    def __call__(self, work: Callable[..., None], *arguments: Any) -> None:
        """Hand in a call; raises what an earlier one raised."""
        while len(self._calls) >= self._threads:
            self._calls.popleft().result()
        self._calls.append(self._pool.submit(work, *arguments))

    def wait(self) -> None:
        """Wait for all calls; raises what the first of them to fail, in the order of handing in, raised."""
        while self._calls:
            self._calls.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all calls; raises what one raised, unless something else went wrong before."""
        self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.wait()
