"""What the main steps cost on this machine: `make bench`.

Draws a toy world of 1024x512 frames in a temporary folder and times, one thread, the parts that a user waits for:
building a mixed sample, streaming it, a training step, a forward pass, and the pooled metric. Figures on a shared
machine drift; compare ratios of one run, not seconds of two.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from eval.scores import score
from pipelines.recipe import Sources, make
from pipelines.recipes import find_recipe
from pipelines.toy import draw_world
from shards.codec import decode_sample, encode_sample
from train.networks import build_segmenter


def seconds(call: Callable[[], object], repeat: int = 5) -> float:
    """Median time of a call after one warm-up."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows: list[tuple[str, float, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        print("Drawing a world of 1024x512 frames ...", file=sys.stderr)
        draw_world(world, frames=4, size=(1024, 512), seed=0)
        sources = Sources(cityscapes=world / "cityscapes", coco=world / "coco")
        for name in ("cityscapes", "voidclass", "anomalymix"):
            entry = find_recipe(name)
            recipe = entry.open(entry.config(), sources)
            sample = make(recipe, 0, 0)
            members = dict(encode_sample(sample))
            size = sum(map(len, members.values())) / 1e3
            rows.append((f"make one {name} sample", seconds(lambda r=recipe: make(r, 0, 0)), ""))
            rows.append((f"encode it ({size:.0f} kB)", seconds(lambda s=sample: encode_sample(s)), ""))
            rows.append(("decode it", seconds(lambda k=sample.key, m=members: decode_sample(k, m)), ""))
    for name in ("erfnet", "lite"):
        network = build_segmenter(name, input_size=(512, 256)).eval()
        images = torch.rand(1, 3, 256, 512)
        with torch.inference_mode():
            rows.append((f"{name}: forward 512x256", seconds(lambda n=network, x=images: n(x)), ""))
    logits = torch.randn(1, 19, 512, 1024)
    for name in ("energy", "msp", "entropy"):
        rows.append((f"score {name} of 1024x512 logits", seconds(lambda s=name: score(s, logits)), ""))
    table = Table(title=f"One thread, torch {torch.__version__}")
    for column in ("step", "ms", "rate"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for name, took, rate in rows:
        table.add_row(name, f"{1e3 * took:.1f}", rate or f"{1 / took:.1f}/s")
    Console().print(table)


if __name__ == "__main__":
    main()
