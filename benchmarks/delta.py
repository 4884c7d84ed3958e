"""What a sample of a delta set costs, in processor time and bytes: part of `make bench`.

The default recipe, one process, one thread, as a worker writes its shard. *Kept*: the engine as it is, which keeps
what it cut out lately; few hundred objects come again and again. *Cut anew*: nothing is kept, as if no object came
twice, which is what building from all of COCO is like. The bytes are those of the tars, beside a tar of the same
samples as PNG.

Without folders a toy world is drawn first; with `--cityscapes` and `--coco` it is real frames.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
from rich.console import Console
from rich.table import Table

from pipelines.coding import Coder, Packing, coder_of
from pipelines.delta import DeltaCoder
from pipelines.recipe import Sources, sample_key
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.sources.recent import RecentCutouts
from pipelines.toy import draw_world
from shards.writer import write_members

DELTA = Packing(layout="delta")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cityscapes", type=Path)
    parser.add_argument("--coco", type=Path)
    parser.add_argument("--samples", type=int, default=500, help="of each round")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.cityscapes is None or options.coco is None:
            print("Drawing a world of 2048x1024 frames ...", file=sys.stderr)
            draw_world(folder / "world", frames=4, size=(2048, 1024), seed=0)
            options.cityscapes, options.coco = folder / "world" / "cityscapes", folder / "world" / "coco"
        compare(Sources(options.cityscapes, coco=options.coco), folder, options.samples, options.rounds)


def compare(sources: Sources, folder: Path, samples: int, rounds: int) -> None:
    """Time both ways by turns, each round on samples of its own."""
    recipe = AnomalyMix.open(AnomalyMixConfig(), sources)
    anew = replace(recipe, objects=replace(recipe.objects, recent=RecentCutouts(0)))
    ways = {"kept cutouts (the engine as it is)": recipe, "each object cut anew": anew}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    sizes: list[int] = []
    for turn in range(rounds):
        for name, way in ways.items():
            tar = folder / "delta-000000.tar"
            seconds[name].append(written(coder_of(way, 0, DELTA), tar, turn * samples, samples) / samples)
            sizes.append(tar.stat().st_size)
    whole = folder / "whole-000000.tar"
    count = min(samples, 32)
    whole_seconds = written(coder_of(recipe, 0, Packing()), whole, 0, count) / count
    whole_size, size = whole.stat().st_size / count, sum(sizes) / len(sizes) / samples
    title = f"Delta sets, default recipe, {rounds} rounds of {samples} samples by turns, processor time"
    table = Table(title=title)
    for column in ("way", "ms a sample", "samples/s, all rounds", "samples/s, each round", "kB a sample"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, took in seconds.items():
        mean = sum(took) / len(took)
        single = " ".join(f"{1 / one:.0f}" for one in took)
        table.add_row(name, f"{1e3 * mean:.2f}", f"{1 / mean:.0f}", single, f"{size / 1e3:.1f}")
    table.add_row(
        "whole samples, PNG", f"{1e3 * whole_seconds:.1f}", f"{1 / whole_seconds:.0f}", "", f"{whole_size / 1e3:.0f}"
    )
    console = Console(width=140)
    console.print(table)
    console.print(f"A delta sample is 1/{whole_size / size:.0f} of a whole one.")


def written(coder: Coder | DeltaCoder, tar: Path, first: int, count: int) -> float:
    """Processor seconds of a tar of some samples."""
    start = time.process_time()
    write_members(tar, ((sample_key("mix", index), coder.members(index)[0]) for index in range(first, first + count)))
    return time.process_time() - start


if __name__ == "__main__":
    main()
