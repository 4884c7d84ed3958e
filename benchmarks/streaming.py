"""Crops of shard sets beside loose PNG files: `python benchmarks/streaming.py [--cityscapes DIR] [--maps]`.

Crops of 700x700 pixels from frames of 2048x1024, with --maps also those of their two label maps, in batches of 4 from
two workers. The peer is a DataLoader over loose PNG files that does what training code usually does: Pillow decodes
the whole files, the crop becomes a normalised float32 tensor, the default function makes batches. Ours come from
shard sets of the same frames, which `build` made, as uint8 and, for comparison, as the same float32.

All loaders start first and wait. Then they take turns, a few seconds in all a round, so that other programs on the
machine hit all alike; each turn begins with empty queues and ends with its last batch. Shown are medians over the
rounds, and medians of the ratios within a round; beside the rates the workers' processor time, which a busy machine
changes less. Frames are the toy world's where no Cityscapes folder is given.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from shards.batch import DEVIATION, MEAN, stacked, to_device
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

Tensors = tuple[torch.Tensor, ...]


class LooseFiles(Dataset[Tensors]):
    """Frames, and their maps if `maps`, as files, cropped at places that depend on the position in the stream."""

    def __init__(self, folder: Path, *, maps: bool) -> None:
        self._images = sorted(folder.glob("*.image.png"))
        self._maps = ("anomaly", "semantic") if maps else ()

    def __getitem__(self, position: Position) -> Tensors:
        path = self._images[position.index]
        rng = np.random.default_rng((position.epoch, position.place))
        frame = Image.open(path).convert("RGB")
        left, top = (int(rng.integers(whole - SIDE + 1)) for whole in frame.size)
        box = (left, top, left + SIDE, top + SIDE)
        # The steps of torchvision's to_tensor and normalize; its import would take longer than a quick run.
        pixels = torch.from_numpy(np.array(frame.crop(box))).permute(2, 0, 1).contiguous().float().div_(255)
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        files = (path.with_name(path.name.replace("image", name)) for name in self._maps)
        maps = [torch.from_numpy(np.array(Image.open(file).crop(box))) for file in files]
        return (pixels.sub_(mean).div_(deviation), *maps)


@dataclass(frozen=True, slots=True)
class Crop:
    """Our crops; as uint8, or made normalised float32 by the worker."""

    maps: bool
    floats: bool

    def __call__(self, coded: CodedSample, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        left = int(rng.integers(coded.width - SIDE + 1))
        top = int(rng.integers(coded.height - SIDE + 1))
        box = (left, top, SIDE, SIDE)
        if self.maps:
            sample = coded.decode(box)
            image, maps = sample.image, (sample.anomaly, sample.semantic)
        else:
            image, maps = coded.image(box), ()
        if self.floats:
            image = to_device(torch.from_numpy(image)[None], torch.device("cpu"))[0].contiguous().numpy()
        return (image, *maps)


def collate(items: list[tuple[np.ndarray, ...] | BadInput]) -> Tensors:
    """Batches of the image and of each map; a sample that cannot be read ends the measurement."""
    good = []
    for item in items:
        if isinstance(item, BadInput):
            raise item
        good.append(item)
    return tuple(map(stacked, zip(*good, strict=True)))


def write_loose(shards: Path, folder: Path) -> float:
    """Write the samples of a set as Pillow writes files; their mean size in bytes."""
    folder.mkdir()
    sizes = []
    for sample in ShardSet(shards):
        for name, pixels in (("image", sample.image), ("anomaly", sample.anomaly), ("semantic", sample.semantic)):
            Image.fromarray(pixels).save(folder / f"{sample.key}.{name}.png")
        sizes.append(sum(file.stat().st_size for file in folder.glob(f"{sample.key}.*")))
    return float(np.mean(sizes))


def turn(loader: Iterable[object], steps: int) -> tuple[float, float]:
    """Samples a second, and milliseconds of processor time that the workers take for one."""
    before, start, batches = worker_seconds(), time.perf_counter(), 0
    for _ in loader:
        batches += 1
    took, spent = time.perf_counter() - start, worker_seconds() - before
    if batches != steps:
        sys.exit(f"A loader gave {batches} batches instead of {steps}.")
    return steps * BATCH / took, 1e3 * spent / (steps * BATCH)


def worker_seconds() -> float:
    """Processor time of all workers so far; those of the other loaders wait. 0 where there is no /proc."""
    total = 0
    for process in multiprocessing.active_children():
        stat = Path(f"/proc/{process.pid}/stat")
        if stat.is_file():
            total += sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cityscapes", type=Path, help="folder of real frames")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, default=8, help="of the peer in a round; the others get more")
    parser.add_argument("--maps", action="store_true", help="read the anomaly and the semantic map of each crop, too")
    parser.add_argument("--quick", action="store_true", help="fewer frames, rounds and batches")
    options = parser.parse_args()
    if options.quick:
        options.frames, options.rounds, options.batches = 4, 3, 4
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count, sizes = make_sets(folder, options.cityscapes, options.frames)
        loaders = make_loaders(folder, count, options.batches, maps=options.maps)
        found: dict[str, list[tuple[float, float]]] = {label: [] for label in loaders}
        for number in range(1 + options.rounds):
            for label, (steps, loader) in loaders.items():
                result = turn(loader, steps)
                if number:  # the first one starts the workers
                    found[label].append(result)
    what = "with two label maps" if options.maps else "images alone"
    table = Table(title=f"{SIDE}x{SIDE} of 2048x1024 pixels, {what}, {WORKERS} workers, medians")
    columns = (
        "loader",
        "samples/s",
        "beside the peer",
        "goal",
        "worker ms a sample",
        "beside the peer",
        "MB a sample",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "loader" else "right")
    peer = np.array(found[PEER])
    for label, turns in found.items():
        ours = np.array(turns)
        rate, spent = np.median(ours, axis=0)
        faster, cheaper = np.median(ours[:, 0] / peer[:, 0]), np.median(peer[:, 1] / np.maximum(ours[:, 1], 1e-9))
        size = sizes[label.split(",")[0]] / 1e6
        goal = str(GOALS.get(label, ""))
        table.add_row(label, f"{rate:.1f}", f"{faster:.1f}", goal, f"{spent:.1f}", f"{cheaper:.1f}", f"{size:.2f}")
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


def make_loaders(folder: Path, count: int, batches: int, *, maps: bool) -> dict[str, tuple[int, DataLoader[object]]]:
    """By name: batches a turn, and the loader. All see the same order, those that are faster more of it."""

    def sampler(steps: int) -> EpochSampler:
        return EpochSampler(count, batch_size=BATCH, seed=0, steps=steps)

    ours = {}
    for label, kind in FORMATS.items():
        for values in ("uint8", "float32"):
            steps = batches * FASTER[f"{label}, {values}"]
            dataset = ShardDataset([folder / kind], Crop(maps, values == "float32"), seed=0)
            ours[f"{label}, {values}"] = (steps, stream(dataset, sampler(steps), collate, workers=WORKERS))
    peer = DataLoader(
        LooseFiles(folder / "loose", maps=maps),
        batch_sampler=sampler(batches),
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context="forkserver",
    )
    return {PEER: (batches, peer), **ours}


if __name__ == "__main__":
    main()
