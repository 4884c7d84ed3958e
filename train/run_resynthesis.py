"""The function behind `anomsynth train resynthesis`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from train.checkpoint import NetworkInfo, StartInfo
from train.loop import Machine, RunSummary
from train.methods.resynthesis import ResynthesisConfig
from train.networks import build_network
from train.networks.resynthesis import SpadeGenerator
from train.ranks import together
from train.run import check_out, native_input, open_sets, run_method


@together
def train_resynthesis(
    shards: Sequence[Path],
    out: Path,
    *,
    config: ResynthesisConfig | None = None,
    width: float = 1.0,
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
    return run_method(
        "resynthesis", config, network, built, StartInfo(kind="scratch"), [], [sets], out, seed, machine, held_out
    )
