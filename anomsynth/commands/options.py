"""Options that several commands share, and the parsing of their words."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shards.errors import UserError

if TYPE_CHECKING:
    from eval.predictor import Predictor


def place(text: str) -> Path:
    """The folder that a path or URL means; typer's Path would make `s3:/bucket` of `s3://bucket`."""
    from shards.places import located

    return located(text)


def local(text: str) -> Path:
    """A folder of this machine: what an enriched set is read from and written to."""
    from shards.errors import UserError
    from shards.places import RemotePath, located

    path = located(text)
    if isinstance(path, RemotePath):
        raise UserError(f"Enriched sets lie in folders of this machine, and {text} is a URL: copy it to one.")
    return path


OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write; made when missing.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="JSON file with fields of the configuration.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one field of the configuration; may be repeated."),
]

Repair = Annotated[
    bool, typer.Option("--repair", help="Make what is broken or missing of a complete set again, and only that.")
]

BenchmarkOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one option of the benchmark; may be repeated."),
]

PROTOCOLS = (
    "smiyc-anomaly, smiyc-obstacle, lostandfound, fishyscapes, roadanomaly, caos, pooled, or the rules of a method's "
    "code: pebal, rpl, densehybrid, rba, eam, uno."
)
"""What --protocol may be."""

Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="RUN", help="Folder that `anomsynth train` wrote.")
]
Segmenter = Annotated[
    Literal["erfnet"] | None,
    typer.Option("--segmenter", help="Instead of a checkpoint: a known network, with --weights."),
]
Weights = Annotated[Path | None, typer.Option(metavar="FILE", help="Weights of --segmenter (.pth or .safetensors).")]
Size = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Network input size; default: that of training.")
]
Flip = Annotated[bool, typer.Option("--flip", help="Mean of the image's and its mirror image's logits.")]
Tile = Annotated[str | None, typer.Option("--tile", metavar="WxH", help="Look through windows of that size.")]
Stride = Annotated[
    str | None,
    typer.Option("--stride", metavar="SHARE", help="Step from window to window, as a share of it; default: 2/3."),
]
Batch = Annotated[int, typer.Option(min=1, help="Windows and mirror images in one forward pass.")]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(help="Of the forward pass; auto: bfloat16 on a GPU that has it."),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads of the network; default: all cores.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Frames judged at a time; default: free cores, at most 8."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the evaluation that --out holds.")]
Layout = Annotated[bool, typer.Option("--layout", help="Say what is recognised in the folders, and stop.")]


def network(
    checkpoint: Path | None,
    segmenter: str | None,
    weights: Path | None,
    size: str | None,
    device: str,
    threads: int | None,
    *,
    flip: bool = False,
    tile: str | None = None,
    stride: str | None = None,
    batch: int = 1,
    precision: Literal["auto", "float32", "bfloat16"] = "float32",
) -> Predictor:
    """The predictor that the options of a command describe.

    Raises:
        UserError: an option that says nothing possible; weights or a checkpoint that cannot be loaded.
    """
    check_file(weights, "--weights")
    if stride is not None and tile is None:
        raise UserError("--stride is the step between the windows of --tile, which is missing.")
    import torch

    from train.checkpoint import read_info
    from train.predictor import predictor_from
    from train.views import STRIDE, Views

    if threads is not None:
        torch.set_num_threads(threads)
    predictor = predictor_from(
        checkpoint=checkpoint,
        segmenter=segmenter,
        weights=weights,
        input_size=parse_size(size) if size else None,
        device=device,
        views=Views(
            flip=flip,
            tile=parse_size(tile) if tile else None,
            stride=STRIDE if stride is None else parse_share(stride),
            batch=batch,
            precision=precision,
        ),
    )
    if checkpoint is not None and not (info := read_info(checkpoint)).finished:
        print(f"Warning: the run in {checkpoint} is at step {info.step} of {info.steps}.", file=sys.stderr)
    return predictor


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of a word such as 512x256.

    Raises:
        UserError: the word has another form.
    """
    from shards.config import parse_size as parse

    try:
        return parse(text)
    except ValueError as error:
        raise UserError(f"Cannot read the size {text!r}: {error}.") from error


def parse_share(text: str) -> float:
    """The number that a word such as 1/3 or 0.5 means.

    Raises:
        UserError: it means none.
    """
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"Cannot read the share {text!r}: write it like 1/3 or 0.5.") from error


def split_words(words: list[str] | None) -> list[str]:
    """`--score msp --score energy` and `--score msp,energy` mean the same."""
    return [part for word in words or [] for part in word.split(",") if part]


def check_file(path: Path | None, option: str) -> None:
    """Say at once that a file is missing, not after the seconds that importing torch takes.

    Raises:
        UserError: a path is given and holds no file.
    """
    if path is not None and not path.is_file():
        raise UserError(f"{option} {path}: there is no such file.")
