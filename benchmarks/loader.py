"""What a training run's loader gives a core: `python benchmarks/loader.py SHARDS... [--crop 704x704] [--extras a,b]`.

Each shard set is a stream of its own, as `train` reads it: read, cut, varied and stacked, in this process, with one
thread. Shown are samples/s of a core, and how many steps/s so many workers sustain, shared out among the streams as
`train` does, where a step takes a batch of each stream and nothing else needs their cores. On a CUDA device the data
wait that `train` prints says whether that is enough.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import torch

from shards.config import resolve
from shards.reader import ShardSet
from shards.stream import EpochSampler, stream
from train.config import TrainConfig
from train.data import TrainingPool, collate
from train.feed import shares
from train.run import native_input


def rate(pool: TrainingPool, batch: int, seconds: float) -> float:
    """Samples/s of one core, without the first batch."""
    batches = iter(stream(pool, EpochSampler(len(pool), batch_size=batch, seed=0), collate))
    next(batches)
    began, samples = time.process_time(), 0  # not the clock's: others may run here
    while (spent := time.process_time() - began) < seconds:
        given, _ = next(batches)
        samples += 0 if given is None else len(given.keys)
    return samples / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", nargs="+", type=Path)
    parser.add_argument("--size", help="WxH of whole frames; default: as `train segmenter` chooses it")
    parser.add_argument("--crop", help="WxH; default: the whole frame")
    parser.add_argument("--batch", type=int, default=8, help="samples a step and stream")
    parser.add_argument("--extras", default="", help="names of extras that batches hold, with commas")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=5.0, help="of processor time for each stream")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    overrides = [f"{name}={value}" for name in ("size", "crop") if (value := getattr(options, name))]
    config = resolve(TrainConfig, overrides=[text.replace("size=", "input_size=") for text in overrides])
    size = config.input_size or native_input([ShardSet(folder) for folder in options.shards])
    extras = [name for name in options.extras.split(",") if name]
    rates = []
    for folder in options.shards:
        pool = TrainingPool([folder], config, input_size=size, seed=0, extras=extras)
        samples = rate(pool, options.batch, options.seconds)
        rates.append(samples)
        print(f"{folder.name}: {samples:.1f} samples/s a core")
    for workers in options.workers:
        given = shares(workers, len(rates))
        steps = min(share * samples / options.batch for share, samples in zip(given, rates, strict=True))
        print(f"{sum(given)} workers sustain {steps:.2f} steps/s of {options.batch} samples a stream")


if __name__ == "__main__":
    main()
