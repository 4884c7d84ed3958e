"""The function behind `anomsynth train resynthesis`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from train.checkpoint import NetworkInfo, StartInfo
from train.loop import RunSummary
from train.machine import Machine
from train.methods.resynthesis import ResynthesisConfig, prepare
from train.networks import build_network
from train.networks.features import VGGFeatures
from train.networks.imagenet import load_imagenet
from train.networks.resynthesis import SpadeGenerator
from train.networks.weights import weights_sha256
from train.ranks import together
from train.run import check_out, native_input, open_sets, run_method


@together
def train_resynthesis(
    shards: Sequence[Path],
    out: Path,
    *,
    config: ResynthesisConfig | None = None,
    width: float = 1.0,
    vgg: Path | None = None,
    seed: int = 0,
    machine: Machine,
    val_shards: Sequence[Path] = (),
    frames: Sequence[Path] = (),
) -> RunSummary:
    """Train a generator on plain frames and their semantic maps; type the same again to go on.

    Args:
        shards: shard sets with semantic maps, pooled.
        out: the RUN folder.
        config: the method's fields; without `input_size` it is the size of the first frame, at most 1024 wide.
        width: factor on the channels of the generator.
        vgg: a file with ImageNet weights of VGG19; without it there is no perceptual loss.
        seed: of weights, order and augmentation.
        machine: device, workers, how often to save and log.
        val_shards: held-out shard sets, judged at the end.
        frames: shard sets of plain frames, over which delta sets among the shards are laid.

    Raises:
        UserError: a wrong command, or what the loop raises.
    """
    config = config or ResynthesisConfig()
    check_out(out)
    sets, held_out = open_sets(shards, val_shards, frames)
    options = {"width": width, "input_size": list(config.input_size or native_input(sets, SpadeGenerator.stride))}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network("spade", **options)
    built = NetworkInfo(name="spade", options=options)
    start, perceptual = StartInfo(kind="scratch"), None
    if vgg is not None:  # its weights are named by what they are: a path says nothing in another place
        perceptual = VGGFeatures("vgg19")
        load_imagenet(perceptual, vgg)
        start = StartInfo(kind="scratch", name="beside ImageNet's VGG19", fingerprint=weights_sha256(perceptual))
    learnt = partial(prepare, vgg=perceptual)
    return run_method(
        "resynthesis", config, network, built, start, [], [sets], out, seed, machine, held_out, prepare=learnt
    )
