"""`anomsynth reproduce`: tables of papers, made again by one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from anomsynth.commands.options import Device, check_file, parse_size, split_words

Frames = Annotated[Path | None, typer.Option(metavar="DIR", help="Cityscapes with labelIds and instanceIds.")]
Coco = Annotated[Path | None, typer.Option(metavar="DIR", help="COCO 2017.")]
Benchmarks = Annotated[list[Path] | None, typer.Option(metavar="DIR", help="Benchmarks; may be repeated.")]
Known = Annotated[Literal["erfnet"] | None, typer.Option(help="A known network, with --weights; else trained.")]
Vgg = Annotated[
    Path | None, typer.Option(metavar="FILE", help="ImageNet weights of VGG16; without it the segmenter's features.")
]
Rows = Annotated[list[str] | None, typer.Option("--row", metavar="KEY", help="Only these rows; may be repeated.")]
Jobs = Annotated[int, typer.Option(min=1, help="Rows made at a time, each on one thread where there are several.")]


def reproduce(
    suite: Annotated[Literal["mgcda-table3"], typer.Argument(metavar="SUITE", help="Which table: mgcda-table3.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of it all; the same command resumes.")],
    toy: Annotated[bool, typer.Option("--toy", help="On a world that the tool draws itself: no data.")] = False,
    cityscapes: Frames = None,
    coco: Coco = None,
    benchmarks: Benchmarks = None,
    segmenter: Known = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Weights of --segmenter.")] = None,
    vgg: Vgg = None,
    seeds: Annotated[int, typer.Option(min=1, help="Each row is trained with the seeds 0 to N - 1.")] = 3,
    rows: Rows = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each row; default: 300 (toy), or 37,200.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Default: 128x64 (toy), or 512x256.")] = None,
    width: Annotated[float | None, typer.Option(min=0.125, max=4, help="Default: 0.25 (toy), or 1.")] = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Of each domain; default: 192 or 2975.")] = None,
    generator_steps: Annotated[int | None, typer.Option(min=1, help="Default: 400 (toy), or 20,000.")] = None,
    generator_width: Annotated[float | None, typer.Option(min=0.125, max=4, help="Default: 0.25, or 1.")] = None,
    jobs: Jobs = 1,
    device: Device = "auto",
) -> None:
    """Build what is missing, train every row of a table with the same seeds, judge it, print it beside the paper's.

    Examples:
    * anomsynth reproduce mgcda-table3 --toy --jobs 2 --out table3

    * anomsynth reproduce mgcda-table3 --cityscapes CITYSCAPES --coco COCO --benchmarks BENCHMARKS
      --segmenter erfnet --weights erfnet.pth --vgg vgg16.pth --out table3
    """
    check_file(weights, "--weights")
    check_file(vgg, "--vgg")
    from rich.console import Console

    from anomsynth.suites import SUITES
    from anomsynth.suites.base import Settings
    from anomsynth.suites.runner import Runner
    from anomsynth.suites.table import cost_of, table_of
    from eval.report.grid import markdown
    from eval.report.terminal import Shown
    from shards.errors import UserError
    from shards.writer import write_atomically

    real = (cityscapes, coco, benchmarks)
    if toy and any(real):
        raise UserError("--toy draws its own world; leave --cityscapes, --coco and --benchmarks out.")
    if not toy and not all(real):
        raise UserError("Give --cityscapes DIR, --coco DIR and --benchmarks DIR, or --toy for a world drawn here.")
    if (segmenter is None) != (weights is None):
        raise UserError("--segmenter NAME and --weights FILE belong together; one of them is missing.")
    chosen = SUITES[suite]
    wanted = split_words(rows)
    strangers = [key for key in wanted if key not in {row.key for row in chosen.rows}]
    if strangers:
        raise UserError(f"There is no row {strangers[0]!r}; they are: {', '.join(row.key for row in chosen.rows)}.")
    small, large = parse_size("128x64"), parse_size("512x256")
    picture = parse_size(size) if size else (small if toy else large)
    settings = Settings(
        toy=toy,
        steps=steps or (300 if toy else 37_200),
        size=f"{picture[0]}x{picture[1]}",
        width=width or (0.25 if toy else 1.0),
        samples=samples or (192 if toy else 2975),
        generator_steps=generator_steps or (400 if toy else 20_000),
        generator_width=generator_width or (0.25 if toy else 1.0),
        cityscapes=str(cityscapes.resolve()) if cityscapes else "",
        coco=str(coco.resolve()) if coco else "",
        benchmarks=tuple(str(folder.resolve()) for folder in benchmarks or ()),
        segmenter=segmenter or "",
        weights=str(weights.resolve()) if weights else "",
        vgg=str(vgg.resolve()) if vgg else "",
        device=device,
    )
    out = out.resolve()
    runner = Runner(chosen, out, settings, jobs=jobs)
    picked = [row for row in chosen.rows if not wanted or row.key in wanted]
    runner.run(picked, range(seeds))
    note = "Drawn by the tool: not comparable with the published figures." if toy else ""
    grid = table_of(runner, picked, range(seeds), note=note)
    write_atomically(out / "table.md", markdown([grid]).encode())
    console = Console()
    console.print(Shown(grid))
    trained, judged = cost_of(runner, picked, range(seeds))
    print(f"A row took {trained:.0f} s of a processor to train and {judged:.0f} s to judge.")
    print(f"Table: {out / 'table.md'}")
