"""A table before it has a format, and the formats: Markdown, LaTeX and, of values, CSV; `terminal.py` is one more."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    """What one place of a table says.

    Attributes:
        text: a name or a figure.
        strong: whether it is printed bold.
        interval: low and high end of the figure's interval.
    """

    text: str
    strong: bool = False
    interval: tuple[str, str] | None = None

    @property
    def line(self) -> str:
        """All of it in one line."""
        return self.text if self.interval is None else f"{self.text} [{', '.join(self.interval)}]"


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring columns of figures that stay in one table where they can.

    Attributes:
        columns: how many.
        name: stands behind the title of a table that does not begin with the first part.
    """

    columns: int
    name: str


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
        repeating: how many columns from the left are printed only where one of them changes.
        parts: what stays together where the columns of figures need several tables; all of them are one part without.
        a_table_each: whether the first column may become the title of a table of its own, for want of width.
    """

    title: str
    columns: tuple[str, ...]
    names: int
    rows: tuple[tuple[Cell, ...], ...]
    rules: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    repeating: int = 0
    parts: tuple[Part, ...] = ()
    a_table_each: bool = False

    @property
    def printed(self) -> list[tuple[Cell, ...]]:
        """The rows, without the names that repeat those above."""
        rows, last = [], None
        for row in self.rows:
            head = row[: self.repeating]
            rows.append((*(Cell("") for _ in head), *row[self.repeating :]) if head and head == last else row)
            last = head
        return rows


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
        plain = re.sub(r"([\\`*_\[\]<>|])", r"\\\1", cell.line)
        return f"**{plain}**" if cell.strong else plain

    heads = [text(Cell(column)) for column in grid.columns]
    marks = [":--" if place < grid.names else "--:" for place in range(len(heads))]
    rows = [line([text(cell) for cell in row]) for row in grid.printed]
    notes = [f"\n{text(Cell(note))}" for note in grid.notes]
    return "\n".join([f"### {text(Cell(grid.title))}\n", line(heads), line(marks), *rows, *notes, ""])


def _latex(grid: Grid) -> str:
    def text(cell: Cell) -> str:
        plain = "".join(_LATEX.get(sign, sign) for sign in cell.line)
        return rf"\textbf{{{plain}}}" if cell.strong else plain

    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(cells) + r" \\"

    columns = "l" * grid.names + "r" * (len(grid.columns) - grid.names)
    rows = []
    for place, row in enumerate(grid.printed):
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
