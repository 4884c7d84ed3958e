"""`anomsynth eval scores`, `eval merge` and `eval submit`: figures of score files, and files for the hosts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

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
)
from anomsynth.commands.screen import console
from shards.errors import UserError
from shards.plural import plural

Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for results.json, curves.json and report.html.")
]


def scores(
    scores: Annotated[
        Path,
        typer.Option("--scores", metavar="DIR", help="Score maps, one a frame: npy, npz, HDF5 `value`, 16-bit PNG."),
    ],
    labels: Annotated[
        Path,
        typer.Option("--labels", metavar="DIR", help="The benchmark's set, or any folder of its label PNGs."),
    ],
    protocol: Annotated[str, typer.Option("--protocol", metavar="NAME", help=PROTOCOLS)],
    out: Out = None,
    part: Annotated[
        Path | None,
        typer.Option(
            "--part", metavar="FILE", help="Only count the frames that have a map; `anomsynth eval merge` judges."
        ),
    ] = None,
    set_name: Annotated[
        str | None, typer.Option("--set-name", metavar="NAME", help="Name of the set; default: that of its folder.")
    ] = None,
    score_name: Annotated[str, typer.Option("--score-name", metavar="NAME", help="Name of the score.")] = "score",
    ending: Annotated[
        str, typer.Option(metavar="TEXT", help="Only files that end so, such as _energy.npy; no part of the name.")
    ] = "",
    encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How labels are stored, if not as the protocol says: 0-1-255, 2-is-anomaly, 254-is-anomaly, "
            "255-is-anomaly, streethazards, lostandfound, acdc-poc or muad.",
        ),
    ] = None,
    semantic: Annotated[
        Path | None,
        typer.Option(
            "--semantic", metavar="DIR", help="Predicted classes, for mIoU and the open-mIoU of StreetHazards' towns."
        ),
    ] = None,
    open_reading: Annotated[
        Literal["densehybrid", "strided"],
        typer.Option("--open-reading", help="How open-mIoU reads thresholds: as DenseHybrid's code, or TPR >= .95."),
    ] = "densehybrid",
    without_other: Annotated[
        bool,
        typer.Option(
            "--without-other", help="StreetHazards: --semantic holds 12 classes, those without 'other', from 0."
        ),
    ] = False,
    masks: Annotated[
        Path | None,
        typer.Option("--masks", metavar="DIR", help="A method's own masks, to judge components by instead."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", metavar="DIR", help="Images of the frames, for the page; default: those of the benchmark."
        ),
    ] = None,
    tpr: Annotated[
        float | None,
        typer.Option("--tpr", metavar="SHARE", help="True positive rate at which FPR is read; default: 0.95."),
    ] = None,
    workers: Workers = None,
    overrides: BenchmarkOptions = None,
    allow_extra: Annotated[bool, typer.Option("--allow-extra", help="Pass over score maps without a label.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what --out or --part names.")] = False,
) -> None:
    """Judge score maps that any tool wrote, as a benchmark's evaluator or a method's code does.

    Maps and labels are paired by the names of their files; larger values are more anomalous.

    Example: `anomsynth eval scores --scores maps --labels dataset_AnomalyTrack --protocol smiyc-anomaly --out report`

    Example of two machines: each with `--part part1.npz` or `part2.npz` instead of `--out`, then
    `anomsynth eval merge part1.npz part2.npz --out report`
    """
    from eval.class_maps import judge_classes
    from eval.judge_scores import count_scores, judge_scores
    from eval.metrics.conventions import TPR
    from eval.own_masks import judge_masks
    from eval.pictures import StoredPictures
    from eval.protocols import encoding_named, protocol_named
    from eval.report import write_page
    from eval.results import check_out
    from eval.scoremaps import find_pairs

    if out is not None and part is not None:
        raise UserError("Give either --out DIR to judge the whole set, or --part FILE to count a part of it.")
    if (semantic or masks or images) and part is not None:
        raise UserError("--semantic, --masks and --images go with the whole set, not with a --part of it.")
    if without_other and semantic is None:
        raise UserError("--without-other says what the class maps of --semantic hold: give both.")
    if part is not None and part.exists() and not overwrite:
        raise UserError(f"--part {part} exists already: give another file, or replace it with --overwrite.")
    share = TPR if tpr is None else tpr
    check_out(out, overwrite=overwrite)
    rules = protocol_named(protocol)
    paired = find_pairs(
        scores,
        labels,
        rules,
        encoding=encoding_named(encoding) if encoding else None,
        name=set_name,
        ending=ending,
        extra=allow_extra,
        part=part is not None,
        overrides=overrides or (),
    )
    source = scores.resolve().name
    if part is None:
        # Images, class maps and masks first: if they are broken, nothing has been written.
        pictures = StoredPictures(paired, images)
        classes = (
            None
            if semantic is None
            else judge_classes(paired, semantic, reading=open_reading, without_other=without_other)
        )
        components = None if masks is None else judge_masks(paired, rules, masks, workers=workers)
        results = judge_scores(
            paired,
            rules,
            score_name,
            source=source,
            out=out,
            tpr=share,
            workers=workers,
            masks=components,
            segmentation=classes,
        )
        _print(results.as_json(), out, None if out is None else write_page(results, pictures, out))
        return
    counts = count_scores(paired, rules, score_name, source, tpr=share, workers=workers)
    counts.save(part)
    total = len(counts.frames) + len(counts.missing)
    print(f"Counted {len(counts.frames)} of {total} frames of {paired.name}: {part}")


def merge(
    parts: Annotated[list[Path], typer.Argument(metavar="PARTS...", help="Files of `anomsynth eval scores --part`.")],
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Judge together what was counted in parts, by several processes or machines.

    Parts of several sets or scores may be given at once; every frame must be in exactly one part.

    Example: `anomsynth eval merge part1.npz part2.npz --out report`
    """
    from eval.judge_scores import merge_parts
    from eval.report import write_page
    from eval.results import check_out

    check_out(out, overwrite=overwrite)
    results = merge_parts(parts, out)
    _print(results.as_json(), out, None if out is None else write_page(results, None, out))


def submit(
    host: Annotated[
        Literal["smiyc", "fishyscapes"], typer.Argument(metavar="smiyc|fishyscapes", help="Whose files.")
    ],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The host's set; labels are not needed.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files; made when missing.")],
    checkpoint: Checkpoint = None,
    segmenter: Segmenter = None,
    weights: Weights = None,
    score: Annotated[str, typer.Option("--score", metavar="NAME", help="Which score is handed in.")] = "energy",
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="smiyc: name of the method; default: that of the score."),
    ] = None,
    size: Size = None,
    flip: Flip = False,
    tile: Tile = None,
    stride: Stride = None,
    batch: Batch = 1,
    precision: Precision = "float32",
    device: Device = "auto",
    threads: Threads = None,
    layout: Layout = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of an earlier call.")] = False,
) -> None:
    """Write the files that the host of a hidden test set wants.

    smiyc: anomaly_p/METHOD/AnomalyTrack-all/FID.hdf5 and ObstacleTrack-all, float16. fishyscapes: DDDD_anomaly.npy
    and DDDD_segmentation.npy, and on the validation frames validation_performance.json.

    Example: `anomsynth eval submit smiyc --data dataset_AnomalyTrack --checkpoint RUN --out outputs`
    """
    from eval.benchmarks.layout import describe_layout
    from eval.benchmarks.smiyc import find_submission
    from eval.submission import fishyscapes_set, frames_of_set, submit_fishyscapes, submit_smiyc

    if method is not None and host != "smiyc":
        raise UserError("--method names a folder of SegmentMeIfYouCan; Fishyscapes has none.")
    # The frames first: a wrong folder is told before torch is imported.
    tracks = find_submission(data) if host == "smiyc" else []
    cities = fishyscapes_set(data) if host == "fishyscapes" else None
    if layout:
        for found in tracks if cities is None else [cities]:
            print(describe_layout(found), end="\n\n")
        return
    frames = () if cities is None else frames_of_set(cities, data)
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
    if host == "smiyc":
        done = submit_smiyc(tracks, predictor, score, out, method=method or score, overwrite=overwrite)
    else:
        done = submit_fishyscapes(frames, predictor, score, out, overwrite=overwrite)
    for note in done.notes:
        print(note)
    print(f"{plural(len(done.files), 'file')}: {out}")


def _print(results: Mapping[str, Any], out: Path | None, page: Path | None) -> None:
    from eval.report import tables
    from eval.report.table import further_lines

    screen = console()
    for table in tables(results):
        screen.print(table)
    for line in further_lines(results):
        print(line)
    if out is not None:
        print(f"Figures: {out / 'results.json'}\nPage:    {page}")
    else:
        print("Nothing was kept: --out DIR keeps the figures and a page to open.", file=sys.stderr)
