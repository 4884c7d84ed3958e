"""Progress for people: a bar with rate and time left on a terminal, sparse plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(
    items: Iterable[Item], label: str, *, total: int, unit: str = "it", note: Callable[[], str] = str
) -> Iterator[Item]:
    """Yield the items and report on stderr how far, how fast and how long still.

    Args:
        items: what is worked through.
        label: what is being done, in a word or two.
        total: how many items there will be.
        unit: what an item is, for the rate: "samples", "frames", "steps".
        note: what else there is to say at the moment, in a few words.
    """
    if sys.stderr.isatty():
        yield from _bar(items, label, total, unit, note)
    else:
        yield from _lines(items, label, total, unit, note)


def _bar(items: Iterable[Item], label: str, total: int, unit: str, note: Callable[[], str]) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total, rate="", note="")
        start = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            rate = done / max(time.monotonic() - start, 1e-9)
            progress.update(task, advance=1, rate=f"{rate:.3g} {unit}/s", note=note())


def _lines(
    items: Iterable[Item], label: str, total: int, unit: str, note: Callable[[], str], every: float = 10.0
) -> Iterator[Item]:
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if done == total or now - last >= every:
            rate = done / max(now - start, 1e-9)
            left = (total - done) / rate
            said = note()
            print(
                f"{label}: {done}/{total} {unit}, {rate:.3g}/s, {left:.0f} s left" + (f", {said}" if said else ""),
                file=sys.stderr,
                flush=True,
            )
            last = now
