"""The function behind `anomsynth train mgcda`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from shards.errors import UserError
from shards.manifest import read_manifest
from shards.sample import EXTRAS
from train.chain import load_segmenter
from train.chain_info import FOLDER, ChainInfo, DiffusersInfo, PicturesInfo, copy_chain, read_chain
from train.checkpoint import NetworkInfo, StartInfo
from train.loop import RunSummary
from train.machine import Machine
from train.methods.mgcda import MgcdaConfig
from train.networks import build_network
from train.networks.dissimilarity import DissimilarityNetwork
from train.networks.features import VGGFeatures
from train.networks.imagenet import load_imagenet
from train.networks.weights import weights_sha256
from train.ranks import together
from train.run import check_anomalies, check_out, open_sets, run_method


@together
def train_mgcda(
    domains: Mapping[str, Sequence[Path]],
    out: Path,
    *,
    config: MgcdaConfig | None = None,
    features: Literal["vgg16", "segmenter"] | None = None,
    vgg: Path | None = None,
    width: float = 1.0,
    seed: int = 0,
    machine: Machine,
    val_shards: Sequence[Path] = (),
) -> RunSummary:
    """Train a dissimilarity network on enriched shards of two domains or more; type the same again to go on.

    Args:
        domains: enriched shard sets of each domain, by its name; `config.data` says which are used, and how.
        out: the RUN folder; gets the chain, so that it is all that an evaluation needs.
        config: the method's fields.
        features: what looks at image and resynthesis; `vgg16` where its weights are given, else `segmenter`.
        vgg: a file with ImageNet weights of VGG16.
        width: factor on the channels of the network.
        seed: of weights, order and augmentation.
        machine: device, workers, how often to save and log.
        val_shards: held-out enriched shard sets, judged at the end.

    Raises:
        UserError: a wrong command, sets that are not enriched or by different chains, or what the loop raises.
    """
    config = config or MgcdaConfig()
    check_out(out)
    streams = streams_of(domains, config)
    folders = [folder for stream in streams for folder in stream]
    chain = common_chain([*folders, *val_shards])
    check_places(domains)
    opened = [open_sets(stream, (), ())[0] for stream in streams]
    held_out = open_sets((), val_shards, ())[1]
    for stream in opened:
        check_anomalies(stream)
    if config.input_size is not None and config.input_size != chain.size:
        raise UserError(
            f"The shards are enriched at {chain.size[0]}x{chain.size[1]}, so input_size cannot be "
            f"{config.input_size[0]}x{config.input_size[1]}: enrich them at that --size."
        )
    used = features or ("vgg16" if vgg is not None else "segmenter")
    if vgg is not None and used == "segmenter":
        raise UserError("--vgg holds weights of VGG16, and the features are the segmenter's: give --features vgg16.")
    options: dict[str, Any] = {"features": used, "width": width, "input_size": list(chain.size)}
    if used == "segmenter":
        options["segmenter"] = chain.segmenter.network.model_dump(mode="json")
    network = fresh_network(options, seed)
    start = StartInfo(kind="scratch")
    if used == "segmenter":
        network.copy_features(load_segmenter(folders[0] / FOLDER, chain))
        start = StartInfo(kind="weights", name="features of the segmenter", fingerprint=chain.segmenter.sha256)
    else:
        if width != 1 and vgg is None:
            raise UserError(
                f"ImageNet's weights of VGG16 fit width 1, got {width:g}: leave --width away, or give --features "
                "segmenter."
            )
        extractor = network.encoder.features
        assert isinstance(extractor, VGGFeatures)
        load_imagenet(extractor, vgg)
        start = StartInfo(kind="weights", name="ImageNet's VGG16", fingerprint=weights_sha256(extractor))
    return run_method(
        "mgcda",
        config,
        network,
        NetworkInfo(name="dissimilarity", options=options),
        start,
        chain.saw,
        opened,
        out,
        seed,
        machine,
        held_out,
        EXTRAS,
        beside=lambda run: copy_chain(folders[0] / FOLDER, run / FOLDER),
    )


def streams_of(domains: Mapping[str, Sequence[Path]], config: MgcdaConfig) -> list[list[Path]]:
    """The shard sets of each stream, as `config.data` wants them.

    Raises:
        UserError: a domain is missing.
    """
    given = {name: list(folders) for name, folders in domains.items() if folders}
    if config.data in ("voidclass", "anomalymix"):
        if config.data not in given:
            raise UserError(f"data={config.data} needs --{config.data} DIR.")
        return [given[config.data]]
    if len(given) < 2:
        raise UserError(
            f"data={config.data} needs at least two domains, got {', '.join(given) or 'none'}: give --voidclass DIR "
            "and --anomalymix DIR, or train on one alone with --data."
        )
    if config.data == "mix":
        return [[folder for folders in given.values() for folder in folders]]
    return list(given.values())


def check_places(domains: Mapping[str, Sequence[Path]]) -> None:
    """See early that no set is given twice, nor the sets of one domain by the name of the other.

    Raises:
        UserError: one is, or a folder that is given is no shard set.
    """
    seen: set[Path] = set()
    for name, folders in domains.items():
        for folder in folders:
            if folder.resolve() in seen:
                raise UserError(f"{folder} is given twice: each domain needs shards of its own.")
            seen.add(folder.resolve())
            recipe = read_manifest(folder).recipe
            if recipe != name and {recipe, name} <= {"voidclass", "anomalymix"}:
                raise UserError(
                    f"{folder} holds {recipe} samples: give it with --{recipe}, or as one more domain with --domain."
                )


def common_chain(folders: Sequence[Path]) -> ChainInfo:
    """The chain that enriched all of these shard sets.

    Raises:
        UserError: a set is not enriched, or they were enriched by different chains.
    """
    chains = []
    for folder in folders:
        if "shards" not in read_manifest(folder).sources:
            raise UserError(
                f"{folder} is not enriched: `anomsynth enrich {folder} --segmenter ... --generator ... --out DIR` "
                "adds what the network compares."
            )
        chains.append(read_chain(folder / FOLDER))
    for folder, chain in zip(folders, chains, strict=True):
        mine, first = (_alike(one).model_dump() for one in (chain, chains[0]))
        differing = [name.removesuffix("_sha256") for name in first if mine[name] != first[name]]
        if differing:
            what = ", ".join(dict.fromkeys(differing))
            raise UserError(f"{folders[0]} and {folder} were enriched with another {what}: enrich both alike.")
    return chains[0]


def _alike(chain: ChainInfo) -> ChainInfo:
    """What the chains of two sets have in common.

    Pictures made elsewhere are made for one set each; a pipeline may lie in several places.
    """
    generator = chain.generator
    if isinstance(generator, PicturesInfo):
        return chain.model_copy(update={"generator": PicturesInfo(folder="", sha256="")})
    if isinstance(generator, DiffusersInfo):
        return chain.model_copy(update={"generator": generator.model_copy(update={"folder": ""})})
    return chain


def fresh_network(options: Mapping[str, object], seed: int) -> DissimilarityNetwork:
    """The network with weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network("dissimilarity", **options)
    assert isinstance(network, DissimilarityNetwork)
    return network
