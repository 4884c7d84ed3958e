"""Progress for people: a bar with rate and time left on a terminal, sparse plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], label: str, *, total: int, unit: str = "it") -> Iterator[Item]:
    """Yield the items and report on stderr how far, how fast and how long still.

    Args:
        items: what is worked through.
        label: what is being done, in a word or two.
        total: how many items there will be.
        unit: what an item is, for the rate: "samples", "frames", "steps".
    """
    if sys.stderr.isatty():
        yield from _bar(items, label, total, unit)
    else:
        yield from _lines(items, label, total, unit)


def _bar(items: Iterable[Item], label: str, total: int, unit: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total, rate="")
        start = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            rate = done / max(time.monotonic() - start, 1e-9)
            progress.update(task, advance=1, rate=f"{rate:.3g} {unit}/s")


def _lines(items: Iterable[Item], label: str, total: int, unit: str, every: float = 10.0) -> Iterator[Item]:
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if done == total or now - last >= every:
            rate = done / max(now - start, 1e-9)
            left = (total - done) / rate
            print(
                f"{label}: {done}/{total} {unit}, {rate:.3g}/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
            last = now
