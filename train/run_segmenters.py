"""The functions behind `anomsynth train segmenter` and `train ovr`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from train.checkpoint import NetworkInfo, StartInfo
from train.loop import RunSummary
from train.machine import Machine
from train.methods.ovr import OvrConfig
from train.methods.segmenter import SegmenterConfig
from train.networks import build_segmenter
from train.ranks import together
from train.run import check_anomalies, check_out, native_input, open_sets, run_method
from train.start import starting_segmenter


@together
def train_segmenter(
    shards: Sequence[Path],
    out: Path,
    *,
    config: SegmenterConfig | None = None,
    network: str = "lite",
    network_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    machine: Machine,
    val_shards: Sequence[Path] = (),
    frames: Sequence[Path] = (),
) -> RunSummary:
    """Train a segmenter from scratch on the known classes; type the same again to go on.

    Args:
        shards: shard sets with semantic maps, pooled.
        out: the RUN folder.
        config: the recipe; without `input_size` it is the size of the first frame, at most 1024 pixels wide.
        network: a key of `SEGMENTERS`.
        network_options: arguments of its constructor, such as `width`.
        seed: of weights, order and augmentation.
        machine: device, workers, how often to save and log.
        val_shards: held-out shard sets, judged at the end.
        frames: shard sets of plain frames, over which delta sets among the shards are laid.

    Raises:
        UserError: a wrong command, or what the loop raises.
    """
    config = config or SegmenterConfig()
    check_out(out)
    options: dict[str, Any] = {"num_outputs": 20 if config.void_output else 19, **(network_options or {})}
    sets, held_out = open_sets(shards, val_shards, frames)
    options["input_size"] = list(config.input_size or native_input(sets))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build_segmenter(network, **options)
    return run_method(
        "segmenter",
        config,
        built,
        NetworkInfo(name=network, options=options),
        StartInfo(kind="scratch"),
        [],
        [sets],
        out,
        seed,
        machine,
        held_out,
    )


@together
def train_ovr(
    shards: Sequence[Path],
    out: Path,
    *,
    config: OvrConfig | None = None,
    checkpoint: Path | None = None,
    segmenter: str | None = None,
    weights: Path | None = None,
    seed: int = 0,
    machine: Machine,
    val_shards: Sequence[Path] = (),
    frames: Sequence[Path] = (),
) -> RunSummary:
    """Fine-tune a segmenter with the top-K one-vs-rest loss; type the same again to go on.

    Args:
        shards: shard sets with anomalies, pooled.
        out: the RUN folder.
        config: the method's fields; without `input_size` it is the segmenter's own.
        checkpoint: start from the RUN folder of `train segmenter`,
        segmenter: or from a network's name,
        weights: with its weight file.
        seed: of order and augmentation.
        machine: device, workers, how often to save and log.
        val_shards: held-out shard sets, judged at the end.
        frames: shard sets of plain frames, over which delta sets among the shards are laid.

    Raises:
        UserError: a wrong command, or what the loop raises.
    """
    config = config or OvrConfig()
    check_out(out)
    network, built, start, saw = starting_segmenter(checkpoint, segmenter, weights)
    if config.input_size is not None:
        network.input_size = network.check_input(config.input_size)
    sets, held_out = open_sets(shards, val_shards, frames)
    check_anomalies(sets)
    built = NetworkInfo(name=built.name, options={**built.options, "input_size": list(network.input_size)})
    return run_method("ovr", config, network, built, start, saw, [sets], out, seed, machine, held_out)
