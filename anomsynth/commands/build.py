"""`anomsynth build ...`. Nothing here may import torch, torchvision or diffusers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from anomsynth.commands.options import ConfigFile, Overrides, Repair, Seed
from pipelines.defaults import SAMPLES_PER_SHARD

if TYPE_CHECKING:
    from pipelines.engine import BuildSummary

app = typer.Typer(no_args_is_help=True, help="Build a training set as WebDataset shards, reproducible to the byte.")

Cityscapes = Annotated[
    str,
    typer.Option("--cityscapes", metavar="DIR", help="Cityscapes: the folder or URL with leftImg8bit/ and gtFine/."),
]
Out = Annotated[
    str, typer.Option("--out", metavar="DIR", help="Folder to write, made when missing; or a URL: s3://bucket/mix.")
]
Split = Annotated[str, typer.Option(help="Split of Cityscapes.")]
Count = Annotated[
    int | None, typer.Option(min=1, help="Samples to make; default: one a frame. More than frames: further epochs.")
]
Size = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Scale frames before anything else.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes; the bytes do not depend on it. Default: one a core.")
]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="ray: on a Ray cluster, with the extra cluster; the bytes do not depend on it."),
]
Shards = Annotated[
    str | None,
    typer.Option(
        "--shards", metavar="A:B", help="Make only these shards, A up to B - 1; the call that finds all ends the set."
    ),
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
    out: Out,
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
    engine: Engine = "local",
    shards: Shards = None,
    repair: Repair = False,
    strict: Strict = False,
    dry_run: DryRun = False,
) -> None:
    """Plain frames with their labels, to train a segmenter on.

    Examples:
    * anomsynth build cityscapes --cityscapes CITYSCAPES --size 1024x512 --out frames

    * anomsynth build cityscapes --cityscapes CITYSCAPES --image-format jpeg --quality 90 --out frames
    """
    sources = {"cityscapes": folder, "split": split}
    plan = {"count": count, "seed": seed, "samples_per_shard": samples_per_shard}
    way = {"workers": workers, "engine": engine, "shards": shards, "repair": repair, "strict": strict}
    fields = {"size": size, "samples_per_frame": samples_per_frame}
    stored = {"image_format": image_format, "quality": quality}
    _build("cityscapes", None, sources, out, fields, stored, config, overrides, {**plan, **way, "dry_run": dry_run})


@app.command("voidclass")
def voidclass(
    folder: Cityscapes,
    out: Out,
    split: Split = "train",
    preset: Annotated[
        Literal["synboost", "synboost-ego", "synboost-swapped", "synboost-swapped-unweighted"] | None,
        typer.Option(help="Void ids as published, or instances with swapped labels as published."),
    ] = None,
    mechanism: Annotated[
        Literal["void", "swapped", "both"] | None,
        typer.Option(help="What the anomalies are: void objects (default), instances with a wrong label, or both."),
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
    engine: Engine = "local",
    shards: Shards = None,
    repair: Repair = False,
    strict: Strict = False,
    dry_run: DryRun = False,
) -> None:
    """Cityscapes' own void objects are the anomalies: static, dynamic, caravan and trailer by default.

    Examples:
    * anomsynth build voidclass --cityscapes CITYSCAPES --out void --set "anomaly_ids=[4,5]"

    * anomsynth build voidclass --cityscapes CITYSCAPES --out swapped --mechanism swapped --samples-per-frame 4
    """
    sources = {"cityscapes": folder, "split": split}
    plan = {"count": count, "seed": seed, "samples_per_shard": samples_per_shard}
    way = {"workers": workers, "engine": engine, "shards": shards, "repair": repair, "strict": strict}
    fields = {"size": size, "samples_per_frame": samples_per_frame, "mechanism": mechanism}
    stored = {"image_format": image_format, "quality": quality}
    way["dry_run"] = dry_run
    summary = _build("voidclass", preset, sources, out, fields, stored, config, overrides, {**plan, **way})
    if summary.whole:
        _print_shares(summary)


@app.command("anomalymix")
def anomalymix(
    coco: Annotated[str, typer.Option("--coco", metavar="DIR", help="COCO: the folder, or URL, with annotations/.")],
    folder: Cityscapes,
    out: Out,
    coco_split: Annotated[str, typer.Option("--coco-split", help="Split of COCO.")] = "train2017",
    split: Split = "train",
    preset: Annotated[
        Literal["pebal", "rpl", "rba", "mask2anomaly", "multishift", "style-aligned"] | None,
        typer.Option(help="A published variant; default: single clean objects, log-uniform sizes."),
    ] = None,
    license_filter: Annotated[
        Literal["any", "known", "derivatives-allowed", "commercial-allowed"] | None,
        typer.Option("--license-filter", help="Only objects of pictures whose licence permits this; default: any."),
    ] = None,
    layout: Annotated[
        Literal["shards", "delta"],
        typer.Option("--layout", help="delta: only what is pasted, without the frames; see `anomsynth materialize`."),
    ] = "shards",
    shareable: Annotated[
        bool,
        typer.Option("--shareable", help="With --layout delta: only objects that may be passed on, and a report."),
    ] = False,
    exclude_categories: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Never paste these: categories, or those of a benchmark, such as roadanomaly; repeatable.",
        ),
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
    engine: Engine = "local",
    shards: Shards = None,
    repair: Repair = False,
    strict: Strict = False,
    dry_run: DryRun = False,
) -> None:
    """COCO objects, cut by their masks, scaled and pasted into street frames, are the anomalies.

    How they are mixed are fields, set with --set field=value; docs/mixing.md explains them all. The most useful:
    * objects=[1,3] how many, probability=0.5 in how many samples, long_side=[0.03,0.3] how large

    * placement=road where they stand, occlusion=true what stands in front of them

    * blend=feather soft edges, style=reinhard colours like the frame's

    Examples:
    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out mix

    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out mix --count 400 --size 1024x512
      --set "objects=[1,5]" --set placement=road

    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out mix --samples-per-frame 8
      --license-filter commercial-allowed

    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out mix --exclude-categories roadanomaly
      --set placement=road --set occlusion=true --set blend=feather --set balance=categories

    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out delta --layout delta --shareable
    """
    sources = {"cityscapes": folder, "split": split, "coco": coco, "coco_split": coco_split}
    plan = {"count": count, "seed": seed, "samples_per_shard": samples_per_shard}
    way = {"workers": workers, "engine": engine, "shards": shards, "repair": repair, "strict": strict}
    fields: dict[str, Any] = {"size": size, "samples_per_frame": samples_per_frame, "licences": license_filter}
    fields["held_out"] = exclude_categories
    if shareable:
        fields["licences"] = license_filter or "derivatives-allowed"
    stored = {"image_format": image_format, "quality": quality, "layout": layout}
    way["dry_run"] = dry_run
    _build(
        "anomalymix", preset, sources, out, fields, stored, config, overrides, {**plan, **way}, shareable=shareable
    )


def _build(
    recipe: str,
    preset: str | None,
    sources: dict[str, str],
    out: str,
    fields: dict[str, Any],
    stored: dict[str, Any],
    config: Path | None,
    overrides: list[str] | None,
    way: dict[str, Any],
    *,
    shareable: bool = False,
) -> BuildSummary:
    """Open the recipe, build and say what came of it.

    Args:
        recipe: its name.
        preset: of its configuration.
        sources: folders and splits of the sources; folders may be URLs.
        out: folder or URL of the set.
        fields: of the configuration, which have options of their own.
        stored: fields of `Packing`.
        config: file of further fields.
        overrides: words of --set.
        way: arguments of `build`.
        shareable: refuse what may not be passed on, and tell what remains restricted.
    """
    from anomsynth.commands.shareable import print_terms, refuse_unshareable
    from anomsynth.commands.summary import print_summary
    from pipelines.coding import Packing
    from pipelines.engine import build
    from pipelines.recipe import Sources
    from pipelines.recipes import find_preset, find_recipe
    from shards.config import resolve
    from shards.errors import UserError
    from shards.places import located

    if stored["quality"] is not None and stored["image_format"] != "jpeg":
        raise UserError(f"--quality is of --image-format jpeg; {stored['image_format']} is lossless.")
    entry = find_recipe(recipe)
    resolved = resolve(
        entry.config,
        preset=find_preset(recipe, preset),
        file=config,
        options=fields,
        overrides=overrides or (),
    )
    if shareable:
        refuse_unshareable(resolved, stored["layout"])
    way["shards"] = parse_shards(way["shards"])
    target = destination(out)
    folders: dict[str, Any] = {
        name: located(word) if name in ("cityscapes", "coco") else word for name, word in sources.items()
    }
    opened = entry.open(resolved, Sources(**folders))
    summary = build(opened, target, packing=resolve(Packing, options=stored), **way)
    inputs = opened.plan()
    print_summary(summary, inputs.get("sample_size") or inputs["cityscapes"]["size"])
    if shareable and summary.whole:
        print_terms(target, inputs["coco"]["left_out"]["no-derivatives"], resolved.model_dump()["unit"])
    return summary


def _print_shares(summary: BuildSummary) -> None:
    """How much of a set is anomaly, beside what the published class weights imply."""
    from pipelines.recipes.voidclass import PUBLISHED_SHARES

    pixels = summary.pixels
    share = pixels["anomaly"] / max(1, pixels["anomaly"] + pixels["known"])
    implied = ", ".join(f"{value:.1%} {name}" for name, value in PUBLISHED_SHARES.items())
    print(f"Anomalies are {share:.1%} of the labelled pixels; SynBoost's published class weights imply {implied}.")


def destination(text: str) -> Path:
    """The folder or URL of a set to be made.

    Raises:
        UserError: a URL of a kind that cannot be opened here, or one that is gone when the command ends.
    """
    from shards.errors import UserError
    from shards.places import located

    if text.lower().startswith("memory:"):
        raise UserError(f"--out {text} would be gone as soon as this command ends: give a folder, or such as s3://.")
    return located(text)


def parse_shards(text: str | None) -> tuple[int | None, int | None] | None:
    """The two ends of a range such as 100:200, :200 or 100:.

    Raises:
        UserError: it has another form, or is empty.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]*):([0-9]*)", text)
    if match is None:
        from shards.errors import UserError

        raise UserError(f"Cannot read the shards {text!r}: write them like 100:200, which is 100 to 199.")
    first, last = (int(word) if word else None for word in match.groups())
    if last is not None and (first or 0) >= last:
        from shards.errors import UserError

        raise UserError(
            f"--shards {text} is empty: the second number is not made; {last}:{last + 1} is shard {last}."
        )
    return first, last
