"""`anomsynth inspect` and `anomsynth check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomsynth.commands.options import BenchmarkOptions
from anomsynth.commands.screen import console

if TYPE_CHECKING:
    from shards.check import CheckReport

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder to look at.")]
Decode = Annotated[bool, typer.Option("--decode", help="Read every pixel, not only names and headers.")]

check_app = typer.Typer(no_args_is_help=True, help="Tell what a folder holds, what is wrong in it and what to do.")


def inspect(
    shards: Annotated[Path, typer.Argument(metavar="SHARDS", help="A shard set.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the pages; default: SHARDS-inspect beside it.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many samples are shown.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice among many samples.")] = 0,
) -> None:
    """Draw a contact sheet of a shard set: image, label overlay and provenance, as PNG and HTML.

    Example: `anomsynth inspect mix`
    """
    from shards.inspect import contact_sheet

    folder = out or shards.resolve().parent / f"{shards.resolve().name}-inspect"
    for file in contact_sheet(shards, folder, limit=limit, seed=seed):
        print(file)


@check_app.command("cityscapes")
def check_cityscapes(folder: Folder, decode: Decode = False) -> None:
    """Pairs, label kinds and sizes. Example: `anomsynth check cityscapes CITYSCAPES`."""
    from shards.check import check_cityscapes as check

    _print(check(folder, decode=decode))


@check_app.command("coco")
def check_coco(folder: Folder, decode: Decode = False) -> None:
    """Images, annotations, categories and licences. Example: `anomsynth check coco COCO --decode`."""
    from shards.check import check_coco as check

    _print(check(folder, decode=decode))


@check_app.command("shards")
def check_shards(folder: Folder, decode: Decode = False) -> None:
    """Shards against their manifest. Example: `anomsynth check shards mix --decode`."""
    from shards.check import check_shards as check

    _print(check(folder, decode=decode))


def _add_benchmark(benchmark: str, summary: str) -> None:
    """Give `check` one sub-command a benchmark."""

    def command(folder: Folder, decode: Decode = False, overrides: BenchmarkOptions = None) -> None:
        from eval.benchmarks.check import check_benchmark

        _print(check_benchmark(benchmark, folder, overrides or (), decode=decode))

    command.__doc__ = f"{summary} Example: `anomsynth check {benchmark} {benchmark.upper()}`."
    check_app.command(benchmark)(command)


for _name, _summary in (
    ("fishyscapes", "Pairs and label pixels of Fishyscapes sets."),
    ("roadanomaly", "Pairs and label pixels of RoadAnomaly."),
    ("smiyc", "Pairs and label pixels of the SegmentMeIfYouCan tracks; tells hidden labels."),
    ("lostandfound", "Pairs and label pixels of LostAndFound."),
    ("streethazards", "Pairs and label pixels of StreetHazards' test towns."),
    ("acdc-poc", "Pairs and label pixels of ACDC with pasted objects."),
    ("muad", "Pairs and label pixels of MUAD's out-of-distribution challenge."),
    ("bdd-anomaly", "Pairs and label pixels of BDD-Anomaly."),
):
    _add_benchmark(_name, _summary)


def _print(report: CheckReport) -> None:
    """The table, then each reason with examples and advice; exit status 1 when there are problems."""
    from rich.markup import escape
    from rich.table import Table

    from shards.check import ADVICE

    screen = console()
    table = Table(show_header=False, box=None, pad_edge=False)
    for what, value in report.facts:
        table.add_row(f"[bold]{escape(what)}[/bold]", escape(value))
    screen.print(table)
    if not report.problems:
        screen.print("Nothing is wrong.")
        return
    for reason, problems in report.by_reason():
        screen.print(f"\n[bold]{reason}[/bold]: {len(problems)}")
        for problem in problems[:3]:
            screen.print(f"  {escape(problem.detail)}")
        if len(problems) > 3:
            screen.print(f"  ... and {len(problems) - 3} more")
        if reason in ADVICE:
            screen.print(f"  {ADVICE[reason]}")
    raise typer.Exit(1)
