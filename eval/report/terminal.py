"""A grid in a terminal of any width: no figure is cut off, and no word broken that a column can hold.

Of these, the first that fits:

    one table, every cell on one line
    one table, intervals below their figures and names broken between words
    a table for each name of the first column, where the grid says that these may be titles
    several tables with the same names, each with as many parts of the figures as fit; rows without any are left out
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from eval.report.grid import Cell, Grid, Part

_NAME: Final = 24
"""What a column of names may ask for before a single word of it is broken."""
_PHRASE: Final = 20
"""What a column of names asks for before it is broken between words."""
_HEAD: Final = 14
"""What the head of a figure may ask for."""
_LEAST: Final = 6
_BORDER: Final = 3
"""Characters between two columns."""
_NOTHING: Final = ("", "-")


@dataclass(frozen=True, slots=True)
class Shown:
    """A grid that a console prints as wide as it is itself.

    Attributes:
        grid: what is printed.
    """

    grid: Grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text | Table]:
        """The tables, each below its title, and the notes."""
        for grid, tight in fitted(self.grid, options.max_width):
            yield Text(grid.title, style="italic")
            yield _table(grid, options.max_width, tight)
        for note in self.grid.notes:
            yield Text(note, style="dim italic")


def fitted(grid: Grid, width: int) -> list[tuple[Grid, bool]]:
    """The tables that a grid takes, and whether their cells may have several lines.

    Args:
        grid: the whole of it.
        width: characters of a line.
    """
    for tight in (False, True):
        if _total(_widths(grid, tight)) <= width:
            return [(grid, tight)]
    if grid.a_table_each and grid.names > 1:
        return [found for each in _a_table_each(grid) for found in fitted(each, width)]
    return [(part, True) for part in _by_parts(grid, width)]


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many characters: broken between words, a longer word at its signs, else anywhere.

    Args:
        text: one line.
        width: at least 1.
    """
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if len(joined) <= width:
            lines[-1] = joined
            continue
        lines.append("")
        for piece in [word] if len(word) <= width else re.findall(r"[^-_/.]*[-_/.]|[^-_/.]+", word):
            if len(lines[-1] + piece) > width:
                lines.append("")
            while len(piece) > width:
                lines[-1], piece = piece[:width], piece[width:]
                lines.append("")
            lines[-1] += piece
    return [line for line in lines if line] or [""]


def _total(widths: Sequence[int]) -> int:
    """Of a table with such columns, borders included."""
    return sum(width + _BORDER for width in widths) + 1


def _widths(grid: Grid, tight: bool) -> list[int]:
    """What each column asks for."""
    found = []
    for place, head in enumerate(grid.columns):
        column = [row[place] for row in grid.rows]
        whole = max(cell_len(text) for text in (head, *(cell.line for cell in column)))
        if not tight:
            found.append(whole)
        elif place < grid.names:
            words = [word for text in (head, *(cell.text for cell in column)) for word in text.split(" ")]
            found.append(max(min(whole, _PHRASE), min(max(map(cell_len, words)), _NAME)))
        else:
            lines = [cell_len(line) for cell in column for line in _stacked(cell)]
            found.append(max(min(cell_len(head), _HEAD), *lines, _LEAST))
    return found


def _stacked(cell: Cell) -> list[str]:
    """A figure, and its interval below it."""
    if cell.interval is None:
        return [cell.text]
    return [cell.text, f"[{', '.join(cell.interval)}]"]


def _a_table_each(grid: Grid) -> Iterator[Grid]:
    """A grid for each name of the first column, which becomes part of its title."""
    for name in dict.fromkeys(row[0].text for row in grid.rows):
        kept = [place for place, row in enumerate(grid.rows) if row[0].text == name]
        yield replace(
            _of_rows(grid, kept, range(1, len(grid.columns))),
            title=f"{grid.title}: {name}",
            names=grid.names - 1,
            repeating=max(0, grid.repeating - 1),
            a_table_each=False,
        )


def _by_parts(grid: Grid, width: int) -> list[Grid]:
    """Grids with the same names, and as many parts of the columns each as fit."""
    widths = _widths(grid, tight=True)
    names = list(range(grid.names))
    parts = grid.parts or (Part(len(grid.columns) - grid.names, ""),)
    units: list[list[int]] = []
    part_of: dict[int, str] = {}
    first = grid.names
    for part in parts:
        columns = list(range(first, first + part.columns))
        fits = _total([widths[place] for place in (*names, *columns)]) <= width
        units += [columns] if fits else [[place] for place in columns]
        part_of |= dict.fromkeys(columns, part.name)
        first += part.columns
    chosen: list[list[int]] = []
    for unit in units:
        if chosen and _total([widths[place] for place in (*names, *chosen[-1], *unit)]) <= width:
            chosen[-1] += unit
        else:
            chosen.append(list(unit))
    made = []
    for number, columns in enumerate(chosen):
        told = list(filter(None, dict.fromkeys(part_of[place] for place in columns)))
        behind = f"; {' and '.join(told)}" if number and told else ""
        kept = [
            place
            for place, row in enumerate(grid.rows)
            if _holds(row, columns) or (not number and not _holds(row, range(grid.names, len(grid.columns))))
        ]
        made.append(replace(_of_rows(grid, kept, (*names, *columns)), title=grid.title + behind, parts=()))
    return made


def _holds(row: Sequence[Cell], columns: Sequence[int]) -> bool:
    return any(row[place].text not in _NOTHING for place in columns)


def _of_rows(grid: Grid, kept: Sequence[int], columns: Sequence[int]) -> Grid:
    """Some rows and columns; a rule above a row that is left out goes to the next."""
    before = (-1, *kept)
    rules = {
        number
        for number, place in enumerate(kept)
        if number and any(above in grid.rules for above in range(before[number] + 1, place + 1))
    }
    return replace(
        grid,
        columns=tuple(grid.columns[place] for place in columns),
        rows=tuple(tuple(grid.rows[row][place] for place in columns) for row in kept),
        rules=frozenset(rules),
    )


def _table(grid: Grid, width: int, tight: bool) -> Table:
    widths = _widths(grid, tight)
    _share(grid, widths, width)
    table = Table()
    for place, (head, wide) in enumerate(zip(grid.columns, widths, strict=True)):
        lines = "\n".join(wrapped(head, wide))
        table.add_column(Text(lines), justify="left" if place < grid.names else "right", width=wide, overflow="fold")
    for number, row in enumerate(grid.printed):
        cells = [
            _name(cell, wide) if place < grid.names else _figure(cell, tight)
            for place, (cell, wide) in enumerate(zip(row, widths, strict=True))
        ]
        table.add_row(*cells, end_section=number + 1 in grid.rules)
    return table


def _share(grid: Grid, widths: list[int], width: int) -> None:
    """Give the names what is left of the line, as far as they need it; take from the widest name what is missing."""
    whole = _widths(grid, tight=False)
    left = width - _total(widths)
    names = range(grid.names)
    for place in names:
        more = min(max(left, 0), whole[place] - widths[place])
        widths[place] += more
        left -= more
    while left < 0 and names and widths[widest := max(names, key=widths.__getitem__)] > _LEAST:
        widths[widest] -= 1
        left += 1


def _name(cell: Cell, width: int) -> Text:
    return Text("\n".join(wrapped(cell.text, width)), style=_style(cell))


def _figure(cell: Cell, tight: bool) -> Text:
    first, *below = _stacked(cell) if tight else [cell.line]
    text = Text(first, style=_style(cell))
    for line in below:
        text.append(f"\n{line}", style="not bold dim default")
    return text


def _style(cell: Cell) -> str:
    return "bold green" if cell.strong else ""
