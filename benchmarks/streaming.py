"""Crops of shard sets beside loose PNG files: `python benchmarks/streaming.py [--cityscapes DIR] [--quick]`.

Crops of 700x700 pixels from frames of 2048x1024, with their anomaly and semantic maps, in batches of 4 from two
workers. The peer is a DataLoader over loose PNG files that does what training code usually does: Pillow decodes the
whole files, the crop becomes a normalised float32 tensor, the default function makes batches. Ours come from shard
sets of the same frames, which `build` made, as uint8 and, for comparison, as the same float32.

All loaders start first and wait. Then they take turns, a few seconds in all a round, so that other programs on the
machine hit all alike; each turn begins with empty queues and ends with its last batch. Shown are medians over the
rounds, and medians of the ratios within a round. Frames are the toy world's where no Cityscapes folder is given.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from shards.batch import DEVIATION, MEAN, RandomCrop, collate_crops, to_device
from shards.coded import CodedSample
from shards.errors import BadInput
from shards.reader import ShardSet
from shards.stream import EpochSampler, Position, ShardDataset, stream

SIDE, BATCH, WORKERS = 700, 4, 2
PEER = "loose PNG, float32"
GOALS = {"strip PNG, uint8": 2.4, "JPEG in segments, uint8": 9.0}
FASTER = {
    "strip PNG, uint8": 5,
    "strip PNG, float32": 3,
    "JPEG in segments, uint8": 12,
    "JPEG in segments, float32": 5,
}
"""Roughly, so that turns take equally long."""
FORMATS = {"strip PNG": "png", "JPEG in segments": "jpeg"}

Floats = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class LooseFiles(Dataset[Floats]):
    """Frames and maps as files, cropped at the places that a seed gives."""

    def __init__(self, folder: Path) -> None:
        self._images = sorted(folder.glob("*.image.png"))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, position: Position) -> Floats:
        image = self._images[position.index]
        rng = np.random.default_rng((position.epoch, position.place))
        frame = Image.open(image).convert("RGB")
        left, top = (int(rng.integers(whole - SIDE + 1)) for whole in frame.size)
        box = (left, top, left + SIDE, top + SIDE)
        anomaly, semantic = (
            torch.from_numpy(np.array(Image.open(image.with_name(image.name.replace("image", name))).crop(box)))
            for name in ("anomaly", "semantic")
        )
        # The steps of torchvision's to_tensor and normalize; its import would take longer than a quick run.
        pixels = torch.from_numpy(np.array(frame.crop(box))).permute(2, 0, 1).contiguous().float().div_(255)
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        return pixels.sub_(mean).div_(deviation), anomaly, semantic


class FloatCrop(RandomCrop):
    """Our crops, made normalised float32 by the worker."""

    def floats(self, coded: CodedSample, rng: np.random.Generator) -> Floats:
        sample = self(coded, rng)
        pixels = torch.from_numpy(sample.image)[None]
        maps = (torch.from_numpy(np.ascontiguousarray(m)) for m in (sample.anomaly, sample.semantic))
        return to_device(pixels, torch.device("cpu"))[0].contiguous(), *maps


def collate_floats(items: list[Floats | BadInput]) -> Floats:
    """As the default function of the DataLoader does it."""
    batch = torch.utils.data.default_collate(items)
    return batch[0], batch[1], batch[2]


def write_loose(shards: Path, folder: Path) -> float:
    """Write the samples of a set as Pillow writes files; their mean size in bytes."""
    folder.mkdir()
    sizes = []
    for sample in ShardSet(shards):
        for name, pixels in (("image", sample.image), ("anomaly", sample.anomaly), ("semantic", sample.semantic)):
            Image.fromarray(pixels).save(folder / f"{sample.key}.{name}.png")
        sizes.append(sum(file.stat().st_size for file in folder.glob(f"{sample.key}.*")))
    return float(np.mean(sizes))


def rate(loader: Iterable[object], steps: int) -> float:
    """Samples a second."""
    start, batches = time.perf_counter(), 0
    for _ in loader:
        batches += 1
    if batches != steps:
        sys.exit(f"A loader gave {batches} batches instead of {steps}.")
    return steps * BATCH / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cityscapes", type=Path, help="folder of real frames")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, default=8, help="of the peer in a round; the others get more")
    parser.add_argument("--quick", action="store_true", help="fewer frames, rounds and batches")
    options = parser.parse_args()
    if options.quick:
        options.frames, options.rounds, options.batches = 4, 3, 3
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count, sizes = make_sets(folder, options.cityscapes, options.frames)
        loaders = make_loaders(folder, count, options.batches)
        rates: dict[str, list[float]] = {label: [] for label in loaders}
        for turn in range(1 + options.rounds):
            for label, (steps, loader) in loaders.items():
                found = rate(loader, steps)
                if turn:  # the first one starts the workers
                    rates[label].append(found)
    table = Table(title=f"{SIDE}x{SIDE} of 2048x1024 pixels with two label maps, {WORKERS} workers, medians")
    for column in ("loader", "samples/s", "beside the peer", "goal", "MB a sample"):
        table.add_column(column, justify="left" if column == "loader" else "right")
    for label, found in rates.items():
        ratio = float(np.median(np.divide(found, rates[PEER])))
        size = sizes[label.split(",")[0]] / 1e6
        table.add_row(label, f"{np.median(found):.1f}", f"{ratio:.1f}", str(GOALS.get(label, "")), f"{size:.2f}")
    console = Console()
    console.print(table)
    load = f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    console.print(f"{options.rounds} rounds of {count} frames; {load}, our two workers included.")


def make_sets(folder: Path, cityscapes: Path | None, frames: int) -> tuple[int, dict[str, float]]:
    """Make the shard sets and the loose files; how many samples, and the bytes of one by format."""
    # Here, and not above: the workers import this file too.
    from pipelines.coding import Packing
    from pipelines.engine import build
    from pipelines.recipe import Sources
    from pipelines.recipes import find_recipe
    from pipelines.toy.cityscapes import write_cityscapes

    if cityscapes is None:
        cityscapes = folder / "cityscapes"
        for _ in write_cityscapes(cityscapes, "train", frames, (2048, 1024), 0):
            pass
    entry = find_recipe("cityscapes")
    recipe = entry.open(entry.config(), Sources(cityscapes=cityscapes))
    count = min(frames, recipe.default_count)
    sizes = {}
    for label, kind in FORMATS.items():
        made = build(recipe, folder / kind, count=count, packing=Packing(image_format=kind))
        sizes[label] = made.bytes / count
    sizes[PEER.split(",")[0]] = write_loose(folder / "png", folder / "loose")
    return count, sizes


def make_loaders(folder: Path, count: int, batches: int) -> dict[str, tuple[int, DataLoader[object]]]:
    """By name: batches a turn, and the loader. All see the same order, those that are faster more of it."""

    def sampler(steps: int) -> EpochSampler:
        return EpochSampler(count, batch_size=BATCH, seed=0, steps=steps)

    crop = FloatCrop(SIDE, SIDE)
    ours = {}
    for label, kind in FORMATS.items():
        for values, transform, collate in (("uint8", crop, collate_crops), ("float32", crop.floats, collate_floats)):
            steps = batches * FASTER[f"{label}, {values}"]
            dataset = ShardDataset([folder / kind], transform, seed=0)
            ours[f"{label}, {values}"] = (steps, stream(dataset, sampler(steps), collate, workers=WORKERS))
    peer = DataLoader(
        LooseFiles(folder / "loose"),
        batch_sampler=sampler(batches),
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context="forkserver",
    )
    return {PEER: (batches, peer), **ours}


if __name__ == "__main__":
    main()
