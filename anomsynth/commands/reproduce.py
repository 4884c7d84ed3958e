"""`anomsynth reproduce`: tables of papers, made again by one command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from anomsynth.commands.options import Device, check_file, parse_size, split_words
from anomsynth.commands.screen import console
from anomsynth.suites import SUITES

if TYPE_CHECKING:
    from anomsynth.suites.base import Suite

Frames = Annotated[Path | None, typer.Option(metavar="DIR", help="Cityscapes with labelIds and instanceIds.")]
Coco = Annotated[Path | None, typer.Option(metavar="DIR", help="COCO 2017.")]
Benchmarks = Annotated[
    list[Path] | None, typer.Option(metavar="DIR", help="FS LostAndFound, FS Static, RoadAnomaly; may be repeated.")
]
Known = Annotated[Literal["erfnet"] | None, typer.Option(help="A known network, with --weights; else trained.")]
Vgg16 = Annotated[
    Path | None,
    typer.Option("--vgg16", metavar="FILE", help="ImageNet weights; without it the segmenter's features."),
]
Vgg19 = Annotated[
    Path | None,
    typer.Option("--vgg19", metavar="FILE", help="ImageNet weights, for generator and perceptual difference."),
]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        "--row",
        metavar="KEY",
        help=f"Only these, in the table's order: {', '.join(row.key for row in SUITES['mgcda-table3'].rows)}; may be "
        "repeated.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Rows at a time, each on one thread where several; default: 2 (toy), or 1."),
]


def reproduce(
    suite: Annotated[Literal["mgcda-table3"], typer.Argument(metavar="SUITE", help="Which table: mgcda-table3.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of it all; the same command resumes.")],
    toy: Annotated[bool, typer.Option("--toy", help="On a world that the tool draws itself: no data.")] = False,
    cityscapes: Frames = None,
    coco: Coco = None,
    benchmarks: Benchmarks = None,
    segmenter: Known = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Weights of --segmenter.")] = None,
    vgg16: Vgg16 = None,
    vgg19: Vgg19 = None,
    seeds: Annotated[int, typer.Option(min=1, help="Each row is trained with the seeds 0 to N - 1.")] = 3,
    rows: Rows = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each row; default: 300 (toy), or 37,200.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Default: 128x64 (toy), or 512x256.")] = None,
    width: Annotated[float | None, typer.Option(min=0.125, max=4, help="Default: 0.25 (toy), or 1.")] = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Of each domain; default: 192 or 2975.")] = None,
    segmenter_steps: Annotated[
        int | None, typer.Option(min=1, help="Where it is trained here; default: 25 epochs.")
    ] = None,
    generator_steps: Annotated[int | None, typer.Option(min=1, help="Default: 200 (toy), or 20,000.")] = None,
    generator_width: Annotated[float | None, typer.Option(min=0.125, max=4, help="Default: 0.25, or 1.")] = None,
    jobs: Jobs = None,
    device: Device = "auto",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that decode for a row; default: 4 on a GPU, else 0.")
    ] = None,
) -> None:
    """Build what is missing, train every row of a table with the same seeds, judge it, print it beside the paper's.

    Examples:
    * anomsynth reproduce mgcda-table3 --toy --out table3

    * anomsynth reproduce mgcda-table3 --cityscapes CITYSCAPES --coco COCO --benchmarks BENCHMARKS
      --segmenter erfnet --weights erfnet.pth --vgg16 vgg16.pth --vgg19 vgg19.pth --out table3
    """
    check_file(weights, "--weights")
    check_file(vgg16, "--vgg16")
    check_file(vgg19, "--vgg19")
    from shards.errors import UserError

    real = (cityscapes, coco, benchmarks)
    if toy and any(real):
        raise UserError("--toy draws its own world; leave --cityscapes, --coco and --benchmarks out.")
    if toy and (vgg16 or vgg19):
        raise UserError("--toy is small, and VGG's weights fit width 1 alone: leave --vgg16 and --vgg19 out.")
    if vgg16 and width not in (None, 1):
        raise UserError(f"--vgg16 holds weights of width 1, got --width {width:g}: leave one of them out.")
    if not toy and not all(real):
        raise UserError("Give --cityscapes DIR, --coco DIR and --benchmarks DIR, or --toy for a world drawn here.")
    if (segmenter is None) != (weights is None):
        raise UserError("--segmenter NAME and --weights FILE belong together; one of them is missing.")
    if segmenter and segmenter_steps:
        raise UserError("--segmenter-steps is for a segmenter that is trained here, and --segmenter names one.")
    chosen = SUITES[suite]
    wanted = split_words(rows)
    strangers = [key for key in wanted if key not in {row.key for row in chosen.rows}]
    if strangers:
        raise UserError(f"There is no row {strangers[0]!r}; they are: {', '.join(row.key for row in chosen.rows)}.")
    small, large = parse_size("128x64"), parse_size("512x256")
    picture = parse_size(size) if size else (small if toy else large)
    # Checked before torch is imported, which takes seconds
    from anomsynth.suites.base import Settings
    from anomsynth.suites.runner import Runner, Stopped
    from anomsynth.suites.table import cost_of, table_of, verdicts
    from eval.report.grid import markdown
    from eval.report.terminal import Shown
    from shards.writer import write_atomically
    from train.devices import choose_device
    from train.networks.resynthesis import SpadeGenerator
    from train.start import starting_segmenter

    stride = SpadeGenerator.stride
    if any(side % stride for side in picture):
        raise UserError(f"--size must be multiples of {stride}, got {picture[0]}x{picture[1]}.")
    settings = Settings(
        toy=toy,
        steps=steps or (300 if toy else 37_200),
        size=f"{picture[0]}x{picture[1]}",
        width=width or (0.25 if toy else 1.0),
        samples=samples or (192 if toy else 2975),
        generator_steps=generator_steps or (200 if toy else 20_000),
        generator_width=generator_width or (0.25 if toy else 1.0),
        cityscapes=str(cityscapes.resolve()) if cityscapes else "",
        coco=str(coco.resolve()) if coco else "",
        benchmarks=tuple(str(folder.resolve()) for folder in benchmarks or ()),
        segmenter=segmenter or "",
        weights=str(weights.resolve()) if weights else "",
        vgg16=str(vgg16.resolve()) if vgg16 else "",
        vgg19=str(vgg19.resolve()) if vgg19 else "",
        segmenter_steps=segmenter_steps,
        device=device,
        workers=workers if workers is not None else 4 if choose_device(device).type == "cuda" else 0,
    )
    if weights is not None:
        starting_segmenter(None, segmenter, weights)
    if cityscapes and coco:
        check_real(chosen, cityscapes, coco, benchmarks or (), vgg16, vgg19)
    out = out.resolve()
    runner = Runner(chosen, out, settings, jobs=jobs or (2 if toy else 1))
    picked = [row for row in chosen.rows if not wanted or row.key in wanted]
    try:
        runner.run(picked, range(seeds))
    except Stopped:
        name = signal.Signals(runner.signal).name
        print(f"Stopped by {name}; the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(128 + runner.signal) from None
    # With what earlier calls made: the table of a folder only grows.
    made = sorted({*range(seeds), *runner.seeds(chosen.rows)})
    told = [row for row in chosen.rows if row in picked or any(runner.has(row, seed) for seed in made)]
    compared = verdicts(runner, made)
    if not compared and {*chosen.versus} <= {row.key for row in told}:
        compared = [f"Whether {chosen.versus[0]} beats {chosen.versus[1]} by more than seeds vary takes two --seeds."]
    notes = [*chosen.notes(settings), *compared]
    grid = table_of(runner, told, made, notes=notes)
    write_atomically(out / "table.md", markdown([grid]).encode())
    console().print(Shown(grid))
    trained, judged = cost_of(runner, told, made)
    print(f"A row took {trained:.0f} s of a processor to train and {judged:.0f} s to judge.")
    print(f"Table: {out / 'table.md'}")


def check_real(
    suite: Suite,
    cityscapes: Path,
    coco: Path,
    benchmarks: Sequence[Path],
    vgg16: Path | None,
    vgg19: Path | None,
) -> None:
    """See now what would else be seen after hours: data that are not there, weights that do not fit.

    Raises:
        UserError: a folder is not what its option says, a set of the table is missing or there twice, or a file holds
            other weights.
    """
    from eval.benchmarks import find_all
    from eval.benchmarks.sets import BenchmarkSet
    from pipelines.recipe import Sources
    from pipelines.recipes import find_recipe
    from shards.errors import UserError
    from train.networks.features import VGGFeatures
    from train.networks.imagenet import load_imagenet

    try:
        found = find_all(benchmarks).sets
    except UserError as error:
        wanted = ", ".join(suite.sets.values())
        raise UserError(f"--benchmarks is to hold the sets of the table ({wanted}). {error}") from error
    parts = [(one.benchmark, one.part) for one in found if isinstance(one, BenchmarkSet)]
    missing = [title for part, title in suite.sets.items() if part not in parts]
    if missing:
        there = ", ".join(one.name for one in found) or "no set"
        raise UserError(f"--benchmarks holds no {', no '.join(missing)}; it holds {there}.")
    twice = [title for part, title in suite.sets.items() if parts.count(part) > 1]
    if twice:
        raise UserError(f"--benchmarks holds {twice[0]} more than once; give one of them.")
    if vgg16 is not None:
        load_imagenet(VGGFeatures("vgg16"), vgg16)
    if vgg19 is not None:
        load_imagenet(VGGFeatures("vgg19"), vgg19)
    for recipe in ("voidclass", "anomalymix"):
        entry = find_recipe(recipe)
        entry.open(entry.config(), Sources(cityscapes, coco=coco))
