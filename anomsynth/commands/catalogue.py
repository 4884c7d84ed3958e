"""`anomsynth list`, and the tables of the README, which are rendered from the same cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from anomsynth.commands.screen import console

if TYPE_CHECKING:
    from shards.cards import Card

Kind = Literal["recipes", "methods", "networks", "scores", "benchmarks"]

Listed = Literal["recipes", "methods", "networks", "scores", "benchmarks", "published"]
"""What `list` takes: a kind of cards, or the figures that papers print."""


def all_cards() -> dict[Kind, Sequence[Card]]:
    """Every card, by what it describes."""
    from eval.benchmarks import CARDS as BENCHMARKS
    from eval.score_cards import CARDS as SCORES
    from eval.score_cards import COMPARING_CARDS
    from pipelines.recipes import RECIPES
    from train.cards import METHOD_CARDS, NETWORK_CARDS

    return {
        "recipes": tuple(entry.card for entry in RECIPES.values()),
        "methods": METHOD_CARDS,
        "networks": NETWORK_CARDS,
        "scores": (*SCORES.values(), *COMPARING_CARDS.values()),
        "benchmarks": tuple(BENCHMARKS.values()),
    }


def list_cards(
    kind: Annotated[
        Listed | None, typer.Argument(help="Only this kind; published: figures that papers print, with sources.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables, as in the README.")] = False,
) -> None:
    """List recipes, methods, networks, scores and benchmarks with their papers and what they need.

    Example: `anomsynth list scores`

    `anomsynth list published` prints what papers print of the benchmarks whose labels are public.
    """
    if kind == "published":
        _print_published(markdown=markdown)
        return
    cards = {name: found for name, found in all_cards().items() if kind in (None, name)}
    print_tables(cards) if not markdown else print(markdown_tables(cards))


def _print_published(*, markdown: bool) -> None:
    from eval.report import grid
    from eval.report.papers import published_grids
    from eval.report.terminal import Shown

    if markdown:
        print(grid.markdown(published_grids()), end="")
        return
    screen = console()
    for found in published_grids():
        screen.print(Shown(found))


def print_tables(cards: dict[Kind, Sequence[Card]]) -> None:
    """One table a kind, for the terminal."""
    from rich.table import Table

    for kind, found in cards.items():
        table = Table(title=kind, title_justify="left", title_style="bold", expand=True)
        table.add_column("name", no_wrap=True, style="bold")
        table.add_column("what it does", ratio=3)
        table.add_column("paper", ratio=3)
        table.add_column("needs", ratio=2)
        for card in found:
            table.add_row(card.name, card.summary, card.paper, "; ".join(card.needs))
        console().print(table)


def markdown_tables(cards: dict[Kind, Sequence[Card]]) -> str:
    """The same as Markdown, with links to the papers and the notes on licences."""
    parts = []
    for kind, found in cards.items():
        rows = [f"### {kind.capitalize()}", "", "| name | what it does | paper | needs |", "|---|---|---|---|"]
        for card in found:
            paper = f"[{card.paper}]({card.url})" if card.url and card.paper else card.paper or card.url
            needs = "; ".join(part for part in (*card.needs, card.licence) if part)
            rows.append(f"| `{card.name}` | {_cell(card.summary)} | {_cell(paper)} | {_cell(needs)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
