"""What judging costs beside the network: `anomsynth eval` with all scores against its forward passes alone.

    python benchmarks/evaluation.py --data BENCHMARKS --weights erfnet_cityscapes.pth [--frames 56]

Both run on one processor core, then on two, each in a process of its own. The forward passes see the same images at
the same input size, already read and resized; the rest is what judging adds: reading, upsampling, six scores, pooled
and single figures, intervals. Without --data and --weights, made-up frames of 2048x1024 and an untrained network take
their place.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORES = (1, 2)


def forward_passes(data: Path, weights: Path | None, frames: int) -> float:
    """Seconds of the forward passes alone."""
    import numpy as np
    import torch
    from PIL import Image

    from eval.benchmarks import BenchmarkSet, find_sets, read_frame

    network = build(weights)
    took = 0.0
    sets = [found for found in find_sets("all", data) if isinstance(found, BenchmarkSet)]
    with torch.inference_mode():
        for frame in [frame for found in sets for frame in found.frames][:frames]:
            image, _ = read_frame(frame)
            pixels = np.array(Image.fromarray(image).resize(network.input_size, Image.Resampling.BILINEAR))
            looked_at = torch.from_numpy(pixels).movedim(-1, 0)[None].float() / 255
            start = time.perf_counter()
            network(looked_at)
            took += time.perf_counter() - start
    return took


def everything(data: Path, weights: Path | None, frames: int) -> float:
    """Seconds of a whole evaluation, files written."""
    from dataclasses import replace

    from eval.benchmarks import BenchmarkSet, find_sets
    from eval.run import evaluate
    from train.predictor import NetworkPredictor

    predictor = NetworkPredictor(build(weights))
    sets, left = [], frames
    for found in find_sets("all", data):
        if isinstance(found, BenchmarkSet) and left > 0:
            sets.append(replace(found, frames=found.frames[:left]))
            left -= len(found.frames)
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        evaluate(sets, predictor, (), Path(out))
        return time.perf_counter() - start


def make_up(folder: Path, frames: int) -> None:
    """A set in the flat layout: coarse patches with fine noise, ellipses as anomalies, a void upper edge."""
    import cv2
    import numpy as np

    for part in ("images", "labels_masks"):
        (folder / part).mkdir(parents=True)
    for number in range(frames):
        rng = np.random.default_rng(number)
        patches = cv2.resize(rng.integers(0, 240, (16, 32, 3)).astype(np.uint8), (2048, 1024))
        image = patches + rng.integers(0, 8, patches.shape).astype(np.uint8)
        label = np.zeros((1024, 2048), np.uint8)
        for _ in range(5):
            x, y, across, down = (
                int(rng.integers(low, high)) for low, high in ((0, 2048), (300, 1024), (9, 90), (9, 60))
            )
            cv2.ellipse(label, (x, y), (across, down), 0, 0, 360, 1, -1)
        label[:100] = 255
        for part, content in (("images", image), ("labels_masks", label)):
            cv2.imwrite(str(folder / part / f"{number:04d}.png"), content)


def build(weights: Path | None):  # type: ignore[no-untyped-def]  # torch is imported in the measured process alone
    """ERFNet at its own input size, in eval mode."""
    import torch

    from train.networks import build_segmenter, load_weights

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_segmenter("erfnet").eval()
    if weights is not None:
        load_weights(network, weights)
    return network


MEASURED = {"forward passes alone": forward_passes, "evaluation, all scores": everything}


def main() -> None:
    """Measure in child processes, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--frames", type=int, default=56)
    parser.add_argument("--alone", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
        print(json.dumps(MEASURED[arguments.alone](arguments.data, arguments.weights, arguments.frames)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.data is None:
            arguments.data = Path(scratch)
            make_up(arguments.data / "fishyscapes_lostandfound", arguments.frames)
        print_ratios(arguments)


def print_ratios(arguments: argparse.Namespace) -> None:
    """One row a number of cores."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{arguments.frames} frames, ERFNet at 1024x512, six scores", title_justify="left")
    for column in ("cores", *(f"{name}, s" for name in MEASURED), "ratio"):
        table.add_column(column, justify="right")
    for cores in [number for number in CORES if number <= len(os.sched_getaffinity(0))]:
        seconds = [measure(name, cores, arguments) for name in MEASURED]
        table.add_row(str(cores), *(f"{took:.1f}" for took in seconds), f"{seconds[1] / seconds[0]:.2f}")
    Console(width=100).print(table)


def measure(name: str, cores: int, arguments: argparse.Namespace) -> float:
    """Run one of them in a process of its own."""
    command = [sys.executable, __file__, "--alone", name, "--cores", str(cores), "--data", str(arguments.data)]
    command += ["--frames", str(arguments.frames)]
    if arguments.weights is not None:
        command += ["--weights", str(arguments.weights)]
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    room = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **one_thread, "PYTHONPATH": room}
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
