"""`anomsynth eval ...`, `anomsynth predict` and `anomsynth report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from anomsynth.commands import score_files
from anomsynth.commands.options import (
    PROTOCOLS,
    Batch,
    BenchmarkOptions,
    Checkpoint,
    Device,
    Flip,
    Layout,
    Overwrite,
    Precision,
    Segmenter,
    Size,
    Stride,
    Threads,
    Tile,
    Weights,
    Workers,
    network,
    place,
    split_words,
)
from anomsynth.commands.screen import console
from anomsynth.commands.seen import told_of_training

if TYPE_CHECKING:
    from eval.benchmarks import AnySet
    from eval.predictor import Predictor
    from eval.protocols import Protocol as ProtocolRules

app = typer.Typer(
    no_args_is_help=True, help="Judge a detector on a public benchmark, as its official evaluator does."
)

Data = Annotated[
    list[Path],
    typer.Option(
        "--data", metavar="DIR", parser=place, help="Folder of one set, or one that holds several; may be repeated."
    ),
]
_SCORES = (
    "msp, entropy, maxlogit, energy, maxmin or void; of a run of mgcda anomaly, or ensemble (tuned on test data); "
    "may be repeated."
)
Scores = Annotated[
    list[str] | None,
    typer.Option("--score", metavar="NAME", help=f"{_SCORES} Default: all that the network gives, untuned."),
]
Protocol = Annotated[
    str | None,
    typer.Option("--protocol", metavar="NAME", help=f"The rules; default: those of the benchmark. {PROTOCOLS}"),
]
Tpr = Annotated[
    float | None,
    typer.Option("--tpr", metavar="SHARE", help="True positive rate at which FPR is read; default: 0.95."),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for results.json, curves.json and report.html.")
]


def _add_command(benchmark: str, summary: str) -> None:
    """Give `eval` one sub-command a benchmark; all have the same options."""

    def command(
        data: Data,
        checkpoint: Checkpoint = None,
        segmenter: Segmenter = None,
        weights: Weights = None,
        score: Scores = None,
        size: Size = None,
        flip: Flip = False,
        tile: Tile = None,
        stride: Stride = None,
        batch: Batch = 1,
        precision: Precision = "float32",
        device: Device = "auto",
        threads: Threads = None,
        workers: Workers = None,
        protocol: Protocol = None,
        tpr: Tpr = None,
        overrides: BenchmarkOptions = None,
        layout: Layout = False,
        out: Out = None,
        overwrite: Overwrite = False,
    ) -> None:
        from eval.benchmarks import EVERYTHING, find_all, find_sets
        from eval.protocols import protocol_named
        from eval.results import check_out
        from shards.errors import UserError
        from shards.places import RemotePath

        if benchmark != "shards" and any(isinstance(folder, RemotePath) for folder in data):
            raise UserError("Only shard sets are judged behind URLs: copy the benchmark to a folder and give that.")
        rules = None if protocol is None else protocol_named(protocol)
        words, left_out = overrides or (), tuple[str, ...]()
        sets: Sequence[AnySet]
        if benchmark == EVERYTHING:
            everything = find_all(data, words)
            sets, left_out = everything.sets, everything.left_out
        else:
            sets = [found for folder in data for found in find_sets(benchmark, folder, words)]
        if layout:
            _print_layout(sets)
            _print_left_out(left_out)
            return
        check_out(out, overwrite=overwrite)
        predictor = network(
            checkpoint,
            segmenter,
            weights,
            size,
            device,
            threads,
            flip=flip,
            tile=tile,
            stride=stride,
            batch=batch,
            precision=precision,
        )
        # Told at once, since it may be mended, and again below the figures, where it is looked for.
        _print_left_out(left_out)
        _judge(told_of_training(sets, checkpoint), predictor, score, out, rules, tpr, workers)
        _print_left_out(left_out)

    example = f"anomsynth eval {benchmark} --data {benchmark.upper()} --checkpoint RUN --out REPORT"
    command.__doc__ = f"{summary}\n\nExample: `{example}`"
    app.command(benchmark)(command)


for _name, _summary in (
    ("fishyscapes", "Fishyscapes Lost & Found and Static, official or flat layout."),
    ("roadanomaly", "RoadAnomaly, official or flat layout."),
    ("smiyc", "SegmentMeIfYouCan: AnomalyTrack and ObstacleTrack, validation frames."),
    ("lostandfound", "LostAndFound: official exclusion lists; everything but the road is void."),
    ("streethazards", "StreetHazards test: towns t5 and t6."),
    ("acdc-poc", "ACDC with pasted out-of-distribution objects: fog, night, rain and snow."),
    ("muad", "MUAD's out-of-distribution challenge."),
    ("bdd-anomaly", "BDD-Anomaly: motorcycles, bicycles and trains of BDD100K as anomalies."),
    ("cityscapes", "Cityscapes val: mIoU and mAcc of the known classes."),
    ("shards", "Shards that were built here, such as a held-out synthetic split."),
    ("all", "Every benchmark that a folder holds, and Cityscapes val."),
):
    _add_command(_name, _summary)
app.command("scores")(score_files.scores)
app.command("merge")(score_files.merge)
app.command("submit")(score_files.submit)


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Pictures, or folders of pictures.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the maps; made when missing.")],
    checkpoint: Checkpoint = None,
    segmenter: Segmenter = None,
    weights: Weights = None,
    score: Annotated[
        list[str] | None,
        typer.Option("--score", metavar="NAME", help=f"{_SCORES} Default: energy, or the network's own."),
    ] = None,
    size: Size = None,
    flip: Flip = False,
    tile: Tile = None,
    stride: Stride = None,
    batch: Batch = 1,
    precision: Precision = "float32",
    device: Device = "auto",
    threads: Threads = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first picture that cannot be read.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace maps of an earlier call.")] = False,
) -> None:
    """Score single pictures: a float32 array and a heat map for each picture and score.

    Example: `anomsynth predict street.jpg --checkpoint RUN --score energy --out maps`
    """
    from eval.predict import predict_images

    predictor = network(
        checkpoint,
        segmenter,
        weights,
        size,
        device,
        threads,
        flip=flip,
        tile=tile,
        stride=stride,
        batch=batch,
        precision=precision,
    )
    default = ["energy"] if "energy" in predictor.score_names else list(predictor.score_names[:1])
    summary = predict_images(
        images, predictor, split_words(score) or default, out, strict=strict, overwrite=overwrite
    )
    for file in summary.written:
        print(file)
    for name, error in summary.skipped.items():
        print(f"skipped {name}: {error}", file=sys.stderr)
    if summary.skipped and not summary.written:
        raise typer.Exit(1)


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that `anomsynth eval --out` wrote.")],
    score: Annotated[list[str] | None, typer.Option("--score", metavar="NAME", help="Only these scores.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Of two runs: do they differ beyond the choice of frames?")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Put published figures beside those of full sets.")
    ] = False,
    intervals: Annotated[bool, typer.Option("--intervals", help="Print the 95 % interval of each figure.")] = False,
    form: Annotated[Literal["table", "markdown", "latex", "csv"], typer.Option("--format", help="How to print.")] = (
        "table"
    ),
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead.")] = None,
) -> None:
    """Put several evaluations side by side; differences are to the first.

    Example: `anomsynth report before after --format markdown --out table.md`

    `anomsynth report --compare before after` says which differences are more than chance.
    """
    from eval.files import write_text
    from eval.report import report_tables, report_text

    options = {"compare": compare, "published": published, "intervals": intervals}
    if form == "table" and out is None:
        screen = console()
        for table in report_tables(runs, split_words(score), **options, width=screen.width):
            screen.print(table)
        return
    text = report_text(runs, form, split_words(score), **options)
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(out)


def _print_layout(sets: Sequence[AnySet]) -> None:
    from eval.benchmarks.layout import describe_layout

    for found in sets:
        print(describe_layout(found), end="\n\n")


def _print_left_out(left_out: Sequence[str]) -> None:
    for sentence in left_out:
        print(f"left out: {sentence}", file=sys.stderr)


def _judge(
    sets: Sequence[AnySet],
    predictor: Predictor,
    score: list[str] | None,
    out: Path | None,
    protocol: ProtocolRules | None,
    tpr: float | None,
    workers: int | None,
) -> None:
    from eval.metrics.conventions import TPR
    from eval.report import tables, write_page
    from eval.report.table import further_lines
    from eval.run import evaluate

    share = TPR if tpr is None else tpr
    results = evaluate(sets, predictor, split_words(score), out, protocol=protocol, tpr=share, workers=workers)
    content = results.as_json()
    screen = console()
    for table in tables(content):
        screen.print(table)
    for line in further_lines(content):
        print(line)
    if out is not None:
        page = write_page(results, predictor, out)
        print(f"Figures: {out / 'results.json'}\nPage:    {page}")
    else:
        print("Nothing was kept: --out DIR keeps the figures and a page to open.", file=sys.stderr)
