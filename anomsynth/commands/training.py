"""`anomsynth train ...`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from anomsynth.commands.options import ConfigFile, Overrides, Seed, check_file, parse_size, place

if TYPE_CHECKING:
    from train.loop import RunSummary

app = typer.Typer(no_args_is_help=True, help="Train a segmenter, or teach one about anomalies.")

Shards = Annotated[
    list[Path],
    typer.Option("--shards", metavar="DIR", parser=place, help="A shard set; may be repeated, the sets are pooled."),
]
ValShards = Annotated[
    list[Path] | None,
    typer.Option(
        "--val-shards", metavar="DIR", parser=place, help="Held-out shards, judged at the end; may be repeated."
    ),
]
Frames = Annotated[
    list[Path] | None,
    typer.Option(
        "--frames",
        metavar="DIR",
        parser=place,
        help="Of delta sets: the frames, made by `anomsynth build cityscapes`; may be repeated.",
    ),
]
Run = Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder of the run; the same command resumes it.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps; without it, epochs of the configuration.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Samples a step.")]
Rate = Annotated[float | None, typer.Option("--lr", help="Learning rate of the optimiser, after the warm-up.")]
Size = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Network input size that frames are resized to.")
]
Crop = Annotated[str | None, typer.Option("--crop", metavar="WxH", help="Random crop after scaling.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads of the network; default: all cores.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes that decode; 0 decodes between the steps.")]
Compile = Annotated[bool, typer.Option("--compile", help="Run the network through torch.compile.")]
Board = Annotated[bool, typer.Option("--tensorboard", help="Write curves for TensorBoard too (extra `log`).")]
SaveEvery = Annotated[int, typer.Option(min=1, help="Steps between two checkpoints to resume from.")]


@app.command("segmenter")
def segmenter(
    shards: Shards,
    out: Run,
    network: Annotated[
        Literal["lite", "erfnet"], typer.Option(help="`lite` learns in minutes on a processor; ERFNet wants a GPU.")
    ] = "lite",
    width: Annotated[float, typer.Option(min=0.25, max=4, help="Factor on the channels of the network.")] = 1.0,
    steps: Steps = None,
    batch: Batch = None,
    lr: Rate = None,
    size: Size = None,
    crop: Crop = None,
    val_shards: ValShards = None,
    frames: Frames = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = 0,
    save_every: SaveEvery = 200,
    compile: Compile = False,
    tensorboard: Board = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Train a light segmenter from scratch on the known classes.

    Example: `anomsynth train segmenter --shards frames --out segmenter --steps 300`
    """
    from shards.config import resolve
    from train.machine import make_machine
    from train.methods.segmenter import SegmenterConfig
    from train.run_segmenters import train_segmenter

    fields = resolve(
        SegmenterConfig, file=config, options=fields_of(steps, batch, lr, size, crop), overrides=overrides or ()
    )
    summary = train_segmenter(
        shards,
        out,
        config=fields,
        network=network,
        network_options={"width": width},
        seed=seed,
        machine=make_machine(device, threads, workers, save_every, compile, tensorboard),
        val_shards=val_shards or (),
        frames=frames or (),
    )
    print_run(summary)


@app.command("ovr")
def ovr(
    shards: Shards,
    out: Run,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Start from a run of `anomsynth train segmenter`.")
    ] = None,
    segmenter: Annotated[
        Literal["erfnet"] | None, typer.Option(help="Or from a known network, with --weights.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Weights of --segmenter.")] = None,
    trainable: Annotated[
        Literal["head", "decoder", "all"] | None, typer.Option(help="What learns; `head` is the paper's.")
    ] = None,
    gamma: Annotated[float | None, typer.Option(min=0, help="Weight of the anomaly term.")] = None,
    k: Annotated[int | None, typer.Option(min=1, max=19, help="Logits pushed down at an anomaly pixel.")] = None,
    s: Annotated[float | None, typer.Option(help="Slope of the sigmoid.")] = None,
    steps: Steps = None,
    batch: Batch = None,
    lr: Rate = None,
    size: Size = None,
    crop: Crop = None,
    val_shards: ValShards = None,
    frames: Frames = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = 0,
    save_every: SaveEvery = 200,
    compile: Compile = False,
    tensorboard: Board = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Fine-tune a segmenter with the top-K one-vs-rest loss on shards with anomalies.

    Examples:
    * anomsynth train ovr --shards mix --segmenter erfnet --weights erfnet.pth --out run

    * anomsynth train ovr --shards mix --shards void --checkpoint segmenter --out run --set keep=1

    * anomsynth train ovr --shards delta --frames frames --checkpoint segmenter --out run
    """
    check_file(weights, "--weights")
    from shards.config import resolve
    from train.machine import make_machine
    from train.methods.ovr import OvrConfig
    from train.run_segmenters import train_ovr

    options = fields_of(steps, batch, lr, size, crop) | {"trainable": trainable, "gamma": gamma, "k": k, "s": s}
    fields = resolve(OvrConfig, file=config, options=options, overrides=overrides or ())
    summary = train_ovr(
        shards,
        out,
        config=fields,
        checkpoint=checkpoint,
        segmenter=segmenter,
        weights=weights,
        seed=seed,
        machine=make_machine(device, threads, workers, save_every, compile, tensorboard),
        val_shards=val_shards or (),
        frames=frames or (),
    )
    print_run(summary)


def fields_of(
    steps: int | None, batch: int | None, lr: float | None, size: str | None, crop: str | None
) -> dict[str, Any]:
    """The fields of every method's configuration that have an option of their own."""
    return {
        "steps": steps,
        "batch": batch,
        "lr": lr,
        "input_size": parse_size(size) if size else None,
        "crop": parse_size(crop) if crop else None,
    }


def print_run(summary: RunSummary, *, then: str = "") -> None:
    """What a run came to, and what to do next.

    Args:
        summary: of the run.
        then: a sentence of its own about what to do next.
    """
    from shards.plural import plural
    from train.ranks import speaks

    if not speaks():
        raise typer.Exit(128 + summary.signal if summary.signal else 0)
    speed = summary.samples / max(summary.seconds, 1e-9)
    loss = "" if summary.loss is None else f", last loss {summary.loss:.4f}"
    if summary.first == summary.steps:
        print(f"{summary.run} is complete already: {summary.method}, {plural(summary.steps, 'step')}.")
    else:
        steps = f"steps {summary.first + 1} to {summary.step} of {summary.steps}"
        pace = f"{summary.seconds:.0f} s ({speed:.1f} samples/s, {summary.data_wait:.0%} data wait)"
        print(f"{summary.method}: {steps} in {pace}{loss}.")
    for reason, count in summary.rejected.items():
        print(f"skipped {plural(count, 'sample')}: {reason}", file=sys.stderr)
    for name, value in (summary.validation or {}).items():
        print(f"held-out {name}: {value:.4f}")
    if summary.signal:
        import signal

        name = signal.Signals(summary.signal).name
        print(f"Stopped by {name}; all is saved, and the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(128 + summary.signal)
    print(then or f"Judge it: anomsynth eval all --data BENCHMARKS --checkpoint {summary.run} --out REPORT")
