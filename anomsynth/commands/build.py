"""`anomsynth build ...`. Nothing here may import torch, torchvision or diffusers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from anomsynth.commands.options import ConfigFile, OutFolder, Overrides, Seed
from pipelines.defaults import SAMPLES_PER_SHARD

if TYPE_CHECKING:
    from pipelines.engine import BuildSummary

app = typer.Typer(no_args_is_help=True, help="Build a training set as WebDataset shards, reproducible to the byte.")

Cityscapes = Annotated[
    Path, typer.Option("--cityscapes", metavar="DIR", help="Cityscapes: the folder with leftImg8bit/ and gtFine/.")
]
Split = Annotated[str, typer.Option(help="Split of Cityscapes.")]
Count = Annotated[
    int | None, typer.Option(min=1, help="Samples to make; default: one a frame. More than frames: further epochs.")
]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Scale frames before anything else.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes; the bytes do not depend on it. Default: one a core.")
]
PerShard = Annotated[int, typer.Option("--samples-per-shard", min=1, help="Samples in a tar.")]
PerFrame = Annotated[
    int | None,
    typer.Option(
        "--samples-per-frame", min=1, help="Samples made of each frame, which is read once for all of them."
    ),
]
ImageFormat = Annotated[
    Literal["png", "webp", "jpeg"],
    typer.Option("--image-format", help="Of pictures: png and webp are lossless, webp smaller and slower."),
]
Quality = Annotated[
    int | None, typer.Option("--quality", min=1, max=100, help="Of --image-format jpeg; default: 95.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first broken input instead of skipping it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and touch nothing.")]


@app.command("cityscapes")
def cityscapes(
    folder: Cityscapes,
    out: OutFolder,
    split: Split = "train",
    count: Count = None,
    size: Size = None,
    samples_per_frame: PerFrame = None,
    image_format: ImageFormat = "png",
    quality: Quality = None,
    seed: Seed = 0,
    workers: Workers = None,
    samples_per_shard: PerShard = SAMPLES_PER_SHARD,
    config: ConfigFile = None,
    overrides: Overrides = None,
    strict: Strict = False,
    dry_run: DryRun = False,
) -> None:
    """Plain frames with their labels, to train a segmenter on.

    Examples:
    * anomsynth build cityscapes --cityscapes CITYSCAPES --size 1024x512 --out frames

    * anomsynth build cityscapes --cityscapes CITYSCAPES --image-format jpeg --quality 90 --out frames
    """
    sources = {"cityscapes": folder, "split": split}
    amount = {"count": count, "seed": seed, "samples_per_shard": samples_per_shard}
    fields = {"size": size, "samples_per_frame": samples_per_frame}
    stored = {"image_format": image_format, "quality": quality}
    _build("cityscapes", None, sources, out, fields, stored, config, overrides, workers, amount, strict, dry_run)


@app.command("voidclass")
def voidclass(
    folder: Cityscapes,
    out: OutFolder,
    split: Split = "train",
    preset: Annotated[Literal["synboost", "synboost-ego"] | None, typer.Option(help="Void ids as published.")] = None,
    count: Count = None,
    size: Size = None,
    samples_per_frame: PerFrame = None,
    image_format: ImageFormat = "png",
    quality: Quality = None,
    seed: Seed = 0,
    workers: Workers = None,
    samples_per_shard: PerShard = SAMPLES_PER_SHARD,
    config: ConfigFile = None,
    overrides: Overrides = None,
    strict: Strict = False,
    dry_run: DryRun = False,
) -> None:
    """Cityscapes' own void objects are the anomalies: static, dynamic, caravan and trailer by default.

    Example: `anomsynth build voidclass --cityscapes CITYSCAPES --out void --set "anomaly_ids=[4,5]"`
    """
    sources = {"cityscapes": folder, "split": split}
    amount = {"count": count, "seed": seed, "samples_per_shard": samples_per_shard}
    fields = {"size": size, "samples_per_frame": samples_per_frame}
    stored = {"image_format": image_format, "quality": quality}
    _build("voidclass", preset, sources, out, fields, stored, config, overrides, workers, amount, strict, dry_run)


@app.command("anomalymix")
def anomalymix(
    coco: Annotated[Path, typer.Option("--coco", metavar="DIR", help="COCO: the folder with annotations/.")],
    folder: Cityscapes,
    out: OutFolder,
    coco_split: Annotated[str, typer.Option("--coco-split", help="Split of COCO.")] = "train2017",
    split: Split = "train",
    preset: Annotated[
        Literal["pebal", "rpl", "rba", "multishift", "style-aligned"] | None,
        typer.Option(help="A published variant; default: single clean objects, log-uniform sizes."),
    ] = None,
    license_filter: Annotated[
        Literal["any", "known", "derivatives-allowed", "commercial-allowed"] | None,
        typer.Option("--license-filter", help="Only objects of pictures whose licence permits this; default: any."),
    ] = None,
    count: Count = None,
    size: Size = None,
    samples_per_frame: PerFrame = None,
    image_format: ImageFormat = "png",
    quality: Quality = None,
    seed: Seed = 0,
    workers: Workers = None,
    samples_per_shard: PerShard = SAMPLES_PER_SHARD,
    config: ConfigFile = None,
    overrides: Overrides = None,
    strict: Strict = False,
    dry_run: DryRun = False,
) -> None:
    """COCO objects, cut by their masks, scaled and pasted into street frames, are the anomalies.

    Examples:
    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out mix

    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out mix --count 400 --size 1024x512
      --set "objects=[1,5]" --set placement=road

    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out mix --samples-per-frame 8
      --license-filter commercial-allowed
    """
    sources = {"cityscapes": folder, "split": split, "coco": coco, "coco_split": coco_split}
    amount = {"count": count, "seed": seed, "samples_per_shard": samples_per_shard}
    fields = {"size": size, "samples_per_frame": samples_per_frame, "licences": license_filter}
    stored = {"image_format": image_format, "quality": quality}
    _build("anomalymix", preset, sources, out, fields, stored, config, overrides, workers, amount, strict, dry_run)


def _build(
    recipe: str,
    preset: str | None,
    sources: dict[str, Any],
    out: Path,
    options: dict[str, Any],
    stored: dict[str, Any],
    config: Path | None,
    overrides: list[str] | None,
    workers: int | None,
    amount: dict[str, Any],
    strict: bool,
    dry_run: bool,
) -> None:
    from pipelines.coding import Packing
    from pipelines.engine import build
    from pipelines.recipe import Sources
    from pipelines.recipes import find_preset, find_recipe
    from shards.config import resolve
    from shards.errors import UserError

    if stored["quality"] is not None and stored["image_format"] != "jpeg":
        raise UserError(f"--quality is of --image-format jpeg; {stored['image_format']} is lossless.")
    entry = find_recipe(recipe)
    fields = resolve(
        entry.config,
        preset=find_preset(recipe, preset),
        file=config,
        options=options,
        overrides=overrides or (),
    )
    summary = build(
        entry.open(fields, Sources(**sources)),
        out,
        workers=workers or os.cpu_count() or 1,
        packing=resolve(Packing, options=stored),
        **amount,
        strict=strict,
        dry_run=dry_run,
    )
    _print(summary)


def _print(summary: BuildSummary) -> None:
    """The plan of a dry run, or what was made and what was left out."""
    import json

    from shards.plural import plural

    if summary.dry_run:
        print(json.dumps(summary.plan, indent=2))
        count, shards, size = (summary.plan[key] for key in ("count", "shards", "estimated_bytes"))
        made = f"{plural(count, 'sample')} in {plural(shards, 'shard')}"
        sentence = f"This would make {made}, about {size / 1e6:.1f} MB; nothing was touched."
        print(sentence, file=sys.stderr)
        return
    made = f"{plural(summary.samples, 'sample')} in {plural(summary.shards, 'shard')}"
    if summary.complete:
        print(f"{summary.out} is complete already: {made}.")
        return
    rate = summary.samples / max(summary.seconds, 1e-9)
    print(
        f"Made {made}, {summary.bytes / 1e6:.1f} MB, in {summary.seconds:.1f} s ({rate:.1f} samples/s): {summary.out}"
    )
    if summary.resumed:
        print(f"{summary.resumed} of the shards were finished by an earlier call.")
    for reason, number in sorted(summary.skipped.items()):
        print(f"  left out, {reason}: {number}")
