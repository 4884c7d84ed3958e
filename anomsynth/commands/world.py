"""`anomsynth toy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anomsynth.commands.options import parse_size


def toy(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the world shall be drawn.")],
    frames: Annotated[int, typer.Option(min=4, help="Street frames for training; the rest follows from it.")] = 64,
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the street frames.")] = "512x256",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
) -> None:
    """Draw a small world: Cityscapes, COCO and benchmarks in their official layouts, free of any licence.

    Example: `anomsynth toy world --frames 64 --size 512x256 --seed 0`
    """
    from pipelines.toy import draw_world

    draw_world(folder, frames=frames, size=parse_size(size), seed=seed)
    print(f"Drew a world in {folder}:")
    for part, use in (
        ("cityscapes", "--cityscapes of `anomsynth build`, --data of `anomsynth eval cityscapes`"),
        ("coco", "--coco of `anomsynth build anomalymix`"),
        ("benchmarks", "--data of `anomsynth eval fishyscapes|roadanomaly|smiyc`"),
        (
            "layouts",
            "a few frames in the layout of every other benchmark: --data of `anomsynth eval muad` and its kin",
        ),
    ):
        print(f"  {folder / part}  ({use})")
