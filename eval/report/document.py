"""What `anomsynth report` gives: tables for the terminal, or a text in one of the formats."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console, RenderableType

from eval.report.compare import comparison
from eval.report.grid import comma_separated, latex, markdown
from eval.report.many import collect, grids, records
from eval.report.paired import paired
from eval.report.terminal import Shown
from shards.errors import UserError

Format = Literal["table", "markdown", "latex", "csv"]


def report_tables(
    paths: Sequence[Path],
    scores: Sequence[str] = (),
    *,
    compare: bool = False,
    published: bool = False,
    intervals: bool = False,
    width: int = 100,
) -> Sequence[RenderableType]:
    """Tables for the terminal.

    Args:
        paths: folders or files of evaluations, the baseline first.
        scores: only these; all without.
        compare: whether two runs differ, instead of their figures.
        published: with published figures beside those of full sets; a table a set then.
        intervals: with the bootstrap's intervals; a table a set then.
        width: of the terminal, for runs side by side; the other tables fit themselves to it.

    Raises:
        UserError: as `comparison`, `collect` and `paired`; `compare` with `published`.
    """
    _check(compare, published)
    if compare:
        return [Shown(paired(paths, scores).grid())]
    if published or intervals:
        made = grids(collect(paths, scores, published=published), intervals=intervals)
        return [Shown(grid) for grid in made]
    return comparison(paths, scores, width)


def report_text(
    paths: Sequence[Path],
    form: Format,
    scores: Sequence[str] = (),
    *,
    compare: bool = False,
    published: bool = False,
    intervals: bool = False,
) -> str:
    """The same as a text, to be written to a file or piped on.

    Args:
        paths: folders or files of evaluations, the baseline first.
        form: the format. CSV holds fractions and intervals always, the others percent.
        scores: only these; all without.
        compare: whether two runs differ, instead of their figures.
        published: with published figures beside those of full sets.
        intervals: with the bootstrap's intervals.

    Raises:
        UserError: as `report_tables`.
    """
    if form == "table":
        console = Console(file=io.StringIO(), width=120)
        for table in report_tables(
            paths, scores, compare=compare, published=published, intervals=intervals, width=console.width
        ):
            console.print(table)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()
    _check(compare, published)
    if compare:
        found = paired(paths, scores)
        made, rows = [found.grid()], found.records()
    else:
        sets = collect(paths, scores, published=published)
        made, rows = grids(sets, intervals=intervals), records(sets)
    return comma_separated(rows) if form == "csv" else latex(made) if form == "latex" else markdown(made)


def _check(compare: bool, published: bool) -> None:
    if compare and published:
        raise UserError("--compare and --published do not go together: published figures have no single frames.")
