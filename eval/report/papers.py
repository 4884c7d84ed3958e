"""What papers print, by itself: `anomsynth list published`, for whoever has no full set to put beside it."""

from __future__ import annotations

from eval.report.columns import columns_of, head, parts_of, percent
from eval.report.grid import Cell, Grid
from eval.report.published import PublishedSet, published_sets
from shards.plural import plural


def published_grids() -> list[Grid]:
    """A table a set: method, network and figures; sources are numbered below."""
    return [_grid(found) for found in published_sets()]


def _grid(found: PublishedSet) -> Grid:
    metrics = columns_of([row.metrics for row in found.rows])
    sources = list(dict.fromkeys(row.source for row in found.rows))
    rows = tuple(
        (
            Cell(f"{row.title} [{sources.index(row.source) + 1}]"),
            *(Cell(percent(row.metrics[metric]) if metric in row.metrics else "-") for metric in metrics),
        )
        for row in found.rows
    )
    cautions = (found.caution,) if found.caution else ()
    return Grid(
        title=f"{found.name}, {plural(found.frames, 'frame')}, in %",
        columns=("method and network", *map(head, metrics)),
        names=1,
        rows=rows,
        notes=(*cautions, *(f"[{number}] {source}." for number, source in enumerate(sources, 1))),
        parts=parts_of(metrics),
    )
