"""`anomsynth enrich`, `train resynthesis` and `train mgcda`: detectors that compare a frame with its resynthesis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from anomsynth.commands import training
from anomsynth.commands.options import (
    Checkpoint,
    ConfigFile,
    Device,
    Overrides,
    Repair,
    Seed,
    Segmenter,
    Threads,
    Weights,
    check_file,
    local,
    parse_size,
    place,
)
from shards.errors import UserError

Features = Annotated[
    Literal["vgg19", "segmenter"] | None,
    typer.Option(help="What the perceptual difference is taken in; default: vgg19 where --vgg is given."),
]
VggFile = Annotated[
    Path | None, typer.Option("--vgg", metavar="FILE", help="ImageNet weights of VGG, as torchvision publishes them.")
]


def enrich(
    shards: Annotated[
        Path, typer.Argument(metavar="SHARDS", parser=place, help="A shard set: `anomsynth build voidclass` ...")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", parser=local, help="Folder to write; made when missing.")
    ],
    checkpoint: Checkpoint = None,
    segmenter: Segmenter = None,
    weights: Weights = None,
    generator: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run of `anomsynth train resynthesis` paints.")
    ] = None,
    diffusers: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Or a ControlNet pipeline of diffusers, saved in a folder.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Or pictures made elsewhere, KEY.png for each sample; for training alone."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Of all that is stored, in multiples of 32; default: as the generator was trained, else 512x256.",
        ),
    ] = None,
    features: Features = None,
    vgg: VggFile = None,
    normalise: Annotated[
        Literal["max", "range"],
        typer.Option(help="Entropy and distance are stored as (x - min) / max, as published, or / (max - min)."),
    ] = "max",
    device: Device = "auto",
    threads: Threads = None,
    repair: Repair = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first broken sample.")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Of --diffusers: prompt, steps, guidance, seed."),
    ] = None,
) -> None:
    """Store beside each sample what a dissimilarity network compares it with: predicted classes, resynthesis, doubt.

    Examples:
    * anomsynth enrich void --checkpoint segmenter --generator generator --out void-rich

    * anomsynth enrich mix --segmenter erfnet --weights erfnet.pth --generator generator --size 256x128 --out rich

    * anomsynth enrich mix --checkpoint segmenter --diffusers CONTROLNET --set "prompt=a wet street" --out rich
    """
    check_file(weights, "--weights")
    check_file(vgg, "--vgg")
    if overrides and diffusers is None:
        raise UserError("--set says what a pipeline of --diffusers is asked for, which is missing.")
    wanted = parse_size(size) if size else None
    import torch

    from anomsynth.commands.summary import print_summary
    from pipelines.engine import build
    from pipelines.enrich import Enriched
    from shards.config import resolve
    from train.chain import chain_from
    from train.chain_info import FOLDER, DiffusersConfig

    if threads is not None:
        torch.set_num_threads(threads)
    chain = chain_from(
        size=wanted,
        checkpoint=checkpoint,
        segmenter=segmenter,
        weights=weights,
        generator=generator,
        diffusers=diffusers,
        asked=resolve(DiffusersConfig, overrides=overrides or ()),
        pictures=pictures,
        features=features or ("vgg19" if vgg is not None else "segmenter"),
        vgg=vgg,
        normalise=normalise,
        device=device,
    )
    recipe = Enriched.open(shards, chain)
    manifest = recipe.manifest
    summary = build(
        recipe,
        out,
        count=manifest.count,
        seed=manifest.seed,
        samples_per_shard=manifest.samples_per_shard,
        repair=repair,
        strict=strict,
    )
    chain.save(out / FOLDER)
    print_summary(summary, f"{chain.size[0]}x{chain.size[1]}")


@training.app.command("resynthesis")
def resynthesis(
    shards: training.Shards,
    out: training.Run,
    width: Annotated[float, typer.Option(min=0.125, max=4, help="Factor on the channels of both networks.")] = 1.0,
    vgg: VggFile = None,
    steps: training.Steps = None,
    batch: training.Batch = None,
    lr: training.Rate = None,
    size: training.Size = None,
    val_shards: training.ValShards = None,
    frames: training.Frames = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    workers: training.Workers = 0,
    save_every: training.SaveEvery = 200,
    compile: training.Compile = False,
    tensorboard: training.Board = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Train a generator that paints street frames from their class maps (SPADE).

    Example: `anomsynth train resynthesis --shards frames --size 512x256 --out generator`
    """
    check_file(vgg, "--vgg")
    from shards.config import resolve
    from train.machine import make_machine
    from train.methods.resynthesis import ResynthesisConfig
    from train.run_resynthesis import train_resynthesis

    options = training.fields_of(steps, batch, lr, size, None)
    summary = train_resynthesis(
        shards,
        out,
        config=resolve(ResynthesisConfig, file=config, options=options, overrides=overrides or ()),
        width=width,
        vgg=vgg,
        seed=seed,
        machine=make_machine(device, threads, workers, save_every, compile, tensorboard),
        val_shards=val_shards or (),
        frames=frames or (),
    )
    training.print_run(summary, then=f"Look through it: anomsynth enrich SHARDS --generator {out} --out DIR ...")


@training.app.command("mgcda")
def mgcda(
    out: training.Run,
    voidclass: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", parser=local, help="Enriched voidclass shards; may be repeated."),
    ] = None,
    anomalymix: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", parser=local, help="Enriched anomalymix shards; may be repeated."),
    ] = None,
    domain: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", parser=local, help="Enriched shards of one domain more; may be repeated."),
    ] = None,
    data: Annotated[
        Literal["multi-domain", "mix", "voidclass", "anomalymix"] | None,
        typer.Option(help="What is learnt from; all but multi-domain are baselines without alignment."),
    ] = None,
    oda: Annotated[bool | None, typer.Option("--oda/--no-oda", help="Align the output of the domains.")] = None,
    fda: Annotated[bool | None, typer.Option("--fda/--no-fda", help="Align their features.")] = None,
    dls: Annotated[bool | None, typer.Option("--dls/--no-dls", help="Smooth the domains' labels meanwhile.")] = None,
    contrast: Annotated[
        Literal["none", "pcl", "cpcl", "cacl"] | None,
        typer.Option(help="Pixel contrast: within a domain, across domains, across and anomaly-aware (default)."),
    ] = None,
    features: Annotated[
        Literal["vgg16", "segmenter"] | None,
        typer.Option(help="What looks at image and resynthesis; default: vgg16 where --vgg is given."),
    ] = None,
    vgg: VggFile = None,
    width: Annotated[float, typer.Option(min=0.125, max=4, help="Factor on the channels of the network.")] = 1.0,
    steps: training.Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples of each domain a step.")] = None,
    lr: training.Rate = None,
    val_shards: training.ValShards = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    workers: training.Workers = 0,
    save_every: training.SaveEvery = 200,
    compile: training.Compile = False,
    tensorboard: training.Board = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Train a detector that compares frames with their resynthesis, on domains that it must not tell apart (MGCDA).

    Examples:
    * anomsynth train mgcda --voidclass void-rich --anomalymix mix-rich --out run

    * anomsynth train mgcda --voidclass void-rich --anomalymix mix-rich --no-fda --contrast none --out ablation
    """
    check_file(vgg, "--vgg")
    from shards.config import resolve
    from train.chain_info import FOLDER, PicturesInfo, read_chain
    from train.machine import make_machine
    from train.methods.mgcda import MgcdaConfig
    from train.run_mgcda import train_mgcda

    options = training.fields_of(steps, batch, lr, None, None)
    options |= {"data": data, "contrastive": contrast, "oda": oda, "fda": fda, "dls": dls}
    domains = {"voidclass": voidclass or [], "anomalymix": anomalymix or []}
    domains |= {f"domain{number}": [folder] for number, folder in enumerate(domain or [])}
    summary = train_mgcda(
        domains,
        out,
        config=resolve(MgcdaConfig, file=config, options=options, overrides=overrides or ()),
        features=features,
        vgg=vgg,
        width=width,
        seed=seed,
        machine=make_machine(device, threads, workers, save_every, compile, tensorboard),
        val_shards=val_shards or (),
    )
    then = ""
    if isinstance(read_chain(out / FOLDER).generator, PicturesInfo):
        then = "It learnt from pictures made elsewhere: judging needs a set enriched with a generator for any image."
    training.print_run(summary, then=then)
