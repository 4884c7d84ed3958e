"""What a mixed sample costs, beside the plain way: part of `make bench`.

The plain way is what a careful script does: Pillow decodes frame, labels and picture, pycocotools the mask, the
object is resized and pasted, Pillow writes PNG at its default level, webdataset's ShardWriter the tar. Ours goes
through the engine's own coder and writer. Both paste one object a sample into frames of 2048x1024, in one thread, by
turns; what is compared is processor time, which other programs on the machine disturb least.

Without folders a toy world is drawn first; with `--cityscapes` and `--coco` it is real frames.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import webdataset
from PIL import Image
from pycocotools import mask as coco_mask
from rich.console import Console
from rich.table import Table

from pipelines.coding import Coder, Packing
from pipelines.mixing import CodedBase
from pipelines.recipe import Sources, sample_key
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.toy import draw_world
from shards.codec import encode_json
from shards.labels import train_ids
from shards.layouts.coco import run_lengths
from shards.rng import generator
from shards.writer import write_members

SIZE = (2048, 1024)


class Plain:
    """One object into one frame, with the usual libraries."""

    def __init__(self, recipe: AnomalyMix) -> None:
        self._recipe = recipe

    def sample(self, index: int) -> dict[str, Any]:
        """The files of sample `index` by ending, with the key as webdataset wants it."""
        frame = self._recipe.frames.at(0, self._recipe.name, index)
        rng = generator(0, "plain", index)
        image = np.array(Image.open(frame.image).convert("RGB"))
        assert frame.label_ids is not None
        semantic = train_ids(np.array(Image.open(frame.label_ids)))
        anomaly = np.where(semantic == 255, np.uint8(255), np.uint8(0))
        objects = self._recipe.objects.objects
        thing = objects[rng.integers(len(objects))]
        picture = np.array(Image.open(thing.image.path).convert("RGB"))
        mask = coco_mask.decode(run_lengths(thing.image, thing.annotations[0])).astype(bool)
        ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = np.s_[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        picture, mask = picture[box], mask[box]
        scale = np.exp(rng.uniform(np.log(1 / 32), np.log(5 / 16))) * len(image) / max(mask.shape)
        size = tuple(max(1, round(side * scale)) for side in mask.shape[::-1])
        picture = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
        mask = np.array(Image.fromarray(mask).resize(size))
        top, left = (int(rng.integers(whole - side)) for whole, side in zip(image.shape, mask.shape, strict=False))
        part = np.s_[top : top + mask.shape[0], left : left + mask.shape[1]]
        image[part][mask], anomaly[part][mask], semantic[part][mask] = picture[mask], 1, 255
        files: dict[str, Any] = {"__key__": sample_key("plain", index), "json": {"index": index}}
        for name, array in (("image.png", image), ("anomaly.png", anomaly), ("semantic.png", semantic)):
            buffer = io.BytesIO()
            Image.fromarray(array).save(buffer, "PNG", compress_level=6)
            files[name] = buffer.getvalue()
        return files

    def shard(self, folder: Path, first: int, count: int) -> int:
        """Write some samples; returns the bytes of their pictures and maps."""
        size = 0
        with (
            contextlib.redirect_stdout(io.StringIO()),
            webdataset.ShardWriter(str(folder / "plain-%06d.tar"), verbose=0) as sink,
        ):
            for index in range(first, first + count):
                files = self.sample(index)
                size += sum(len(data) for data in files.values() if isinstance(data, bytes))
                sink.write(files)
        return size


class Ours:
    """The engine's coder and writer, a shard at a time, as a worker uses them."""

    def __init__(self, recipe: AnomalyMix, packing: Packing) -> None:
        self._recipe, self._packing = recipe, packing

    def shard(self, folder: Path, first: int, count: int) -> int:
        """Write some samples; returns the bytes of their pictures and maps."""
        coder = Coder(self._recipe, 0, self._packing)
        size = 0

        def samples() -> Iterator[Any]:
            nonlocal size
            for index in range(first, first + count):
                members, _ = coder.members(index)
                size += sum(len(data) for name, data in members if name != "json")
                yield sample_key("mix", index), members

        write_members(folder / "mix-000000.tar", samples())
        return size

    def stages(self, folder: Path, count: int) -> dict[str, float]:
        """Processor milliseconds a sample by stage, first-time costs left out."""
        took: dict[str, list[float]] = defaultdict(list)

        def timed(stage: str, call: Callable[[], Any]) -> Any:
            start = time.process_time()
            result = call()
            took[stage].append(time.process_time() - start)
            return result

        recipe, every = self._recipe, self._recipe.config.samples_per_frame
        for first in range(0, count, every):
            base = timed("read and decode the frame", lambda first=first: recipe.base(0, first))
            coded = timed("code its strips", lambda base=base: CodedBase.of(base))
            for index in range(first, first + every):
                change = timed("cut, scale and place", lambda i=index, b=base: recipe.change(0, i, b))
                sample = timed("paste, code touched strips", lambda c=coded, d=change: c.mixed(d))
                files = {"image": sample.image, "anomaly": sample.anomaly, "semantic": sample.semantic}
                members = [(f"{name}.png", data) for name, data in files.items()]
                members.append(("json", encode_json(sample.meta)))
                entry = [(sample_key("mix", index), members)]
                timed("hash and write", lambda e=entry: write_members(folder / "mix-000001.tar", e))
        return {stage: 1e3 * sum(times) / count for stage, times in took.items()}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cityscapes", type=Path)
    parser.add_argument("--coco", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer samples, a quarter of the frame")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.cityscapes is None or options.coco is None:
            print("Drawing a world of 2048x1024 frames ...", file=sys.stderr)
            draw_world(folder / "world", frames=2 if options.quick else 4, size=SIZE, seed=0)
            options.cityscapes, options.coco = folder / "world" / "cityscapes", folder / "world" / "coco"
        compare(Sources(options.cityscapes, coco=options.coco), folder, rounds=1 if options.quick else 4)


def compare(sources: Sources, folder: Path, rounds: int) -> None:
    """Time all contenders by turns, after one warm-up each."""

    def recipe(samples_per_frame: int) -> AnomalyMix:
        return AnomalyMix.open(AnomalyMixConfig(objects=(1, 1), samples_per_frame=samples_per_frame), sources)

    contenders: dict[str, Plain | Ours] = {"plain": Plain(recipe(1))}
    for every in (1, 8):
        contenders[f"png, {every} a frame"] = Ours(recipe(every), Packing())
        contenders[f"jpeg, {every} a frame"] = Ours(recipe(every), Packing(image_format="jpeg"))
    contenders["webp, 1 a frame"] = Ours(recipe(1), Packing(image_format="webp"))
    counts = {name: 8 if name.endswith("8 a frame") else 2 for name in contenders}
    seconds: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, list[float]] = defaultdict(list)
    for contender in contenders.values():
        contender.shard(folder, 0, 1)
    for turn in range(rounds):
        for name, contender in contenders.items():
            count = counts[name]
            start = time.process_time()
            size = contender.shard(folder, turn * count, count)
            seconds[name].append((time.process_time() - start) / count)
            sizes[name].append(size / count)
    table = Table(title=f"AnomalyMix, {SIZE[0]}x{SIZE[1]}, one object a sample, one thread, {rounds} rounds by turns")
    for column in ("way", "ms a sample", "samples/s", "MB a sample", "times as fast"):
        table.add_column(column, justify="left" if column == "way" else "right")
    reference = float(np.median(seconds["plain"]))
    for name in contenders:
        took, size = float(np.median(seconds[name])), float(np.mean(sizes[name])) / 1e6
        table.add_row(name, f"{1e3 * took:.1f}", f"{1 / took:.1f}", f"{size:.2f}", f"{reference / took:.1f}")
    console = Console()
    console.print(table)
    shares = Table(title="Where the time of ours (png) goes, ms a sample")
    for column in ("stage", "1 a frame", "8 a frame"):
        shares.add_column(column, justify="left" if column == "stage" else "right")
    parts = [Ours(recipe(every), Packing()).stages(folder, 8 * rounds) for every in (1, 8)]
    for stage in parts[0]:
        shares.add_row(stage, *(f"{part[stage]:.1f}" for part in parts))
    console.print(shares)


if __name__ == "__main__":
    main()
