"""Reading the next frame and judging the last one while the network works on this one.

Decoding and counting let other threads run, so on a second core they cost no time of their own. Order, errors and
figures are those of doing one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")
Content = TypeVar("Content")


def read_ahead(items: Iterable[Item], read: Callable[[Item], Content]) -> Iterator[tuple[Item, Content]]:
    """Each item with what `read` makes of it; the next one is read meanwhile. Raises what `read` raises, in order.

    Items are taken one ahead: to show what has been worked through, track what comes out, not the items.
    """
    thread = ThreadPoolExecutor(1, "read-ahead")
    try:
        waiting: tuple[Item, Future[Content]] | None = None
        for item in items:
            coming = (item, thread.submit(read, item))
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = coming
        if waiting is not None:
            yield waiting[0], waiting[1].result()
    finally:
        # After an error nobody waits for what would have come next.
        thread.shutdown(wait=False, cancel_futures=True)


class Behind:
    """Runs one call at a time in a thread of its own; leaving the block waits for the last.

    Whoever hands in a call waits until the one before is done, so no more than two frames are held.
    """

    def __enter__(self) -> Behind:
        """Start the thread."""
        self._thread = ThreadPoolExecutor(1, "behind")
        self._last: Future[None] | None = None
        return self

    def __call__(self, work: Callable[..., None], *arguments: Any) -> None:
        """Hand in a call; raises what the one before raised."""
        self.wait()
        self._last = self._thread.submit(work, *arguments)

    def wait(self) -> None:
        """Wait for the last call; raises what it raised."""
        if self._last is not None:
            self._last.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last call; raises what it raised, unless something else went wrong before."""
        self._thread.shutdown()
        if kind is None:
            self.wait()
