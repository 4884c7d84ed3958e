"""`anomsynth inspect`, `anomsynth verify` and `anomsynth check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomsynth.commands.options import BenchmarkOptions, place, split_words
from anomsynth.commands.screen import console

if TYPE_CHECKING:
    from shards.check import CheckReport

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder to look at.")]
SourceFolder = Annotated[Path, typer.Argument(metavar="DIR", parser=place, help="The folder or URL to look at.")]
ShardSetFolder = Annotated[Path, typer.Argument(metavar="SHARDS", parser=place, help="A shard set: a folder or URL.")]
Decode = Annotated[bool, typer.Option("--decode", help="Read every pixel, not only names and headers.")]

check_app = typer.Typer(no_args_is_help=True, help="Tell what a folder holds, what is wrong in it and what to do.")


def inspect(
    shards: ShardSetFolder,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the pages; default: SHARDS-inspect beside it, of a URL here."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many samples (or rejects of a reason) are shown.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice among many samples.")] = 0,
    category: Annotated[
        list[str] | None, typer.Option(help="Only samples with an object of this category; may be repeated.")
    ] = None,
    min_size: Annotated[
        int | None, typer.Option(min=0, help="... with an object of at least so many pixels.")
    ] = None,
    max_size: Annotated[int | None, typer.Option(min=0, help="... with an object of at most so many pixels.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Only samples made by this recipe.")] = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="List what was left out, and stop.")] = False,
    cityscapes: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=place, help="Show each frame as it was beside what became of it."),
    ] = None,
) -> None:
    """Draw a contact sheet of a shard set: before and after, labels and provenance, as PNG and HTML.

    Examples:
    * anomsynth inspect mix --cityscapes CITYSCAPES

    * anomsynth inspect mix --category dog --category cat --max-size 400

    * anomsynth inspect mix --rejected
    """
    from shards.errors import UserError
    from shards.inspect import Filters, contact_sheet
    from shards.inspect import rejected as rejects
    from shards.places import RemotePath

    filters = Filters(tuple(split_words(category)), min_size, max_size, recipe)
    if rejected:
        if filters.describe():
            raise UserError(
                "--rejected lists inputs that became no part of a sample: filters of samples do not apply."
            )
        print("\n".join(rejects(shards, limit)))
        return
    if out is None:
        whole = shards.resolve()
        out = (Path() if isinstance(shards, RemotePath) else whole.parent) / f"{whole.name}-inspect"
    lay = None
    if cityscapes is not None:
        from pipelines.materialize import layer

        lay = layer(shards, cityscapes)
    for file in contact_sheet(shards, out, filters=filters, cityscapes=cityscapes, lay=lay, limit=limit, seed=seed):
        print(file)


def verify(
    shards: ShardSetFolder,
    quick: Annotated[bool, typer.Option("--quick", help="Checksums and lists only; decode no picture.")] = False,
    cityscapes: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=place, help="The frames of the set: make samples again and compare."),
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(metavar="DIR", parser=place, help="The objects of the set, where it has any.")
    ] = None,
    rebuild: Annotated[int, typer.Option(min=1, help="How many samples are made again, with --cityscapes.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice which ones.")] = 0,
) -> None:
    """Tell whether a shard set is still what was built: checksums, lists, labels, and samples made again.

    Examples:
    * anomsynth verify mix

    * anomsynth verify mix --cityscapes CITYSCAPES --coco COCO --rebuild 10
    """
    from shards.errors import UserError
    from shards.manifest import read_manifest
    from shards.verify import verify as check

    remake = None
    if cityscapes is not None:
        from pipelines.rebuild import rebuilder

        remake = rebuilder(read_manifest(shards), cityscapes, coco)
    elif coco is not None:
        raise UserError("--coco alone makes no sample again: give the frames with --cityscapes DIR, too.")
    report = check(shards, quick=quick, rebuild=remake, samples=rebuild, seed=seed)
    _print(report, "The set is as it was built.", examples=20)


@check_app.command("cityscapes")
def check_cityscapes(folder: SourceFolder, decode: Decode = False) -> None:
    """Pairs, label kinds and sizes. Example: `anomsynth check cityscapes CITYSCAPES`."""
    from shards.check import check_cityscapes as check

    _print(
        check(folder, decode=decode),
        unread="" if decode else "Only names and headers were read; --decode reads pixels.",
    )


@check_app.command("coco")
def check_coco(folder: SourceFolder, decode: Decode = False) -> None:
    """Images, annotations, categories and licences. Example: `anomsynth check coco COCO --decode`."""
    from shards.check import check_coco as check

    _print(
        check(folder, decode=decode),
        unread="" if decode else "Only annotations and names were read; --decode reads pictures and masks.",
    )


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


def _print(report: CheckReport, praise: str = "Nothing is wrong.", examples: int = 3, unread: str = "") -> None:
    """The table, what was not read, then each reason with examples and advice; exit status 1 with problems."""
    from rich.markup import escape
    from rich.table import Table

    from shards.check import ADVICE

    screen = console()
    table = Table(show_header=False, box=None, pad_edge=False)
    for what, value in report.facts:
        table.add_row(f"[bold]{escape(what)}[/bold]", escape(value))
    screen.print(table)
    if not report.problems:
        screen.print(f"{praise} {unread}".rstrip())
        return
    if unread:
        screen.print(unread)
    for reason, problems in report.by_reason():
        screen.print(f"\n[bold]{reason}[/bold]: {len(problems)}")
        for problem in problems[:examples]:
            screen.print(f"  {escape(problem.detail)}")
        if len(problems) > examples:
            screen.print(f"  ... and {len(problems) - examples} more")
        if reason in ADVICE:
            screen.print(f"  {ADVICE[reason]}")
    raise typer.Exit(1)
