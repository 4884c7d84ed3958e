"""A table before it has a format, and the formats: terminal, Markdown, LaTeX; and rows of values as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "Δ": r"$\Delta$",
    "−": "$-$",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What one place of a table says; `strong` is printed bold."""

    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        title: above it.
        columns: the heads.
        names: how many columns from the left hold names; the others hold figures and are set to the right.
        rows: one cell a column.
        rules: rows that have a line above them.
        notes: sentences below it.
    """

    title: str
    columns: tuple[str, ...]
    names: int
    rows: tuple[tuple[Cell, ...], ...]
    rules: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def terminal(grid: Grid) -> Table:
    """The table for a terminal; its notes stand below it."""
    caption = escape("\n".join(grid.notes)) or None
    table = Table(title=escape(grid.title), title_justify="left", caption=caption, caption_justify="left")
    for place, column in enumerate(grid.columns):
        if place < grid.names:
            table.add_column(escape(column), overflow="fold")
        else:
            table.add_column(escape(column), justify="right", no_wrap=True)
    for place, row in enumerate(grid.rows):
        cells = [f"[bold green]{escape(cell.text)}[/]" if cell.strong else escape(cell.text) for cell in row]
        table.add_row(*cells, end_section=place + 1 in grid.rules)
    return table


def markdown(grids: Sequence[Grid]) -> str:
    """All tables as GitHub's Markdown."""
    return "\n".join(map(_markdown, grids))


def latex(grids: Sequence[Grid]) -> str:
    """All tables as LaTeX, to be put into a document that loads booktabs."""
    return "\n".join(["% These tables need \\usepackage{booktabs}.", *map(_latex, grids)])


def comma_separated(records: Sequence[Mapping[str, object]]) -> str:
    """Records as CSV; a column a key, in the order of first appearance, empty where a record lacks it."""
    columns = list(dict.fromkeys(key for record in records for key in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _markdown(grid: Grid) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def text(cell: Cell) -> str:
        plain = re.sub(r"([\\`*_\[\]<>|])", r"\\\1", cell.text)
        return f"**{plain}**" if cell.strong else plain

    heads = [text(Cell(column)) for column in grid.columns]
    marks = [":--" if place < grid.names else "--:" for place in range(len(heads))]
    rows = [line([text(cell) for cell in row]) for row in grid.rows]
    notes = [f"\n{text(Cell(note))}" for note in grid.notes]
    return "\n".join([f"### {text(Cell(grid.title))}\n", line(heads), line(marks), *rows, *notes, ""])


def _latex(grid: Grid) -> str:
    def text(cell: Cell) -> str:
        plain = "".join(_LATEX.get(sign, sign) for sign in cell.text)
        return rf"\textbf{{{plain}}}" if cell.strong else plain

    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(cells) + r" \\"

    columns = "l" * grid.names + "r" * (len(grid.columns) - grid.names)
    rows = []
    for place, row in enumerate(grid.rows):
        rows += [r"    \midrule"] if place in grid.rules else []
        rows.append(line([text(cell) for cell in row]))
    notes = [rf"  \par\footnotesize {text(Cell(note))}" for note in grid.notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{text(Cell(grid.title))}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            line([text(Cell(column)) for column in grid.columns]),
            r"    \midrule",
            *rows,
            r"    \bottomrule",
            r"  \end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )
