"""Pooled AP, AUROC and FPR95 of many score maps: seconds and memory beside scikit-learn, torchmetrics and one sort.

    python benchmarks/metrics.py [--frames 100] [--size 2048x1024] [--contender NAME ...]

Each contender runs in a process of its own, one after the other, on one thread and on the same maps (1 % anomaly
pixels, 5 % void), which are drawn outside of the timed part. Peak memory is what the system reports of the process,
imports and the maps that a contender has to hold included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

FIGURES = ("AP", "AUROC", "FPR95")
EXACT = ("numpy, one sort", "scikit-learn")
"""Contenders whose figures must be ours; torchmetrics computes in float32."""

Figures = dict[str, float]
Maps = Iterator[tuple[np.ndarray, np.ndarray]]


def maps(frames: int, width: int, height: int) -> Maps:
    """Score maps that vary from frame to frame, with noise in every pixel, and their labels."""
    for number in range(frames):
        rng = np.random.default_rng(number)
        label = rng.choice(np.array([0, 1, 255], np.uint8), (height, width), p=[0.94, 0.01, 0.05])
        score = rng.standard_normal((height, width), np.float32) + np.float32(rng.normal()) / 2
        score += 2 * (label == 1)
        yield score, label


def ours(given: Maps) -> tuple[float, Figures]:
    """One frame after the other."""
    from eval.metrics import PixelMetrics

    tiny = PixelMetrics()
    tiny.add(np.array([[0, 1]], np.float32), np.array([[0, 1]], np.uint8))
    tiny.result()  # loads what numba compiled
    took, pool = 0.0, PixelMetrics()
    for score, label in given:
        start = time.perf_counter()
        pool.add(score, label)
        took += time.perf_counter() - start
    start = time.perf_counter()
    found = pool.result().metrics
    return took + time.perf_counter() - start, {key: found[key] for key in FIGURES}


def scikit_learn(given: Maps) -> tuple[float, Figures]:
    """Its three functions on the concatenation."""
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    held = list(given)
    start = time.perf_counter()
    truth, score = _pooled(held)
    held.clear()
    fpr, tpr, _ = roc_curve(truth, score)
    figures = {
        "AP": float(average_precision_score(truth, score)),
        "AUROC": float(roc_auc_score(truth, score)),
        "FPR95": float(fpr[np.searchsorted(tpr, 0.95)]),
    }
    return time.perf_counter() - start, figures


def torchmetrics(given: Maps) -> tuple[float, Figures]:
    """Its exact mode; its sigmoid on scores outside of 0..1 changes AP, so scores are squeezed into 0..1 before."""
    import torch
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision, binary_roc

    torch.set_num_threads(1)
    held = list(given)
    start = time.perf_counter()
    truth, score = _pooled(held)
    held.clear()
    low, high = float(score.min()), float(score.max())
    given_score = torch.from_numpy((score.astype(np.float64) - low) / (high - low))
    given_truth = torch.from_numpy(truth.astype(np.int64))
    fpr, tpr, _ = binary_roc(given_score, given_truth)
    figures = {
        "AP": float(binary_average_precision(given_score, given_truth)),
        "AUROC": float(binary_auroc(given_score, given_truth)),
        "FPR95": float(fpr[torch.searchsorted(tpr, 0.95)]),
    }
    return time.perf_counter() - start, figures


def one_sort(given: Maps) -> tuple[float, Figures]:
    """The naive implementation: sort everything once, count cumulatively."""
    held = list(given)
    start = time.perf_counter()
    truth, score = _pooled(held)
    held.clear()
    order = np.argsort(score, kind="stable")[::-1]
    score, truth = score[order], truth[order]
    last = np.flatnonzero(np.append(np.diff(score) != 0, True))
    tp = np.cumsum(truth, dtype=np.int64)[last]
    fp = last + 1 - tp
    tpr, fpr = tp / tp[-1], fp / fp[-1]
    figures = {
        "AP": float(np.sum(np.diff(tpr, prepend=0) * tp / (tp + fp))),
        "AUROC": float(np.trapezoid(np.append(0, tpr), np.append(0, fpr))),
        "FPR95": float(fpr[np.searchsorted(tpr, 0.95)]),
    }
    return time.perf_counter() - start, figures


def _pooled(held: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    valid = [label != 255 for _, label in held]
    truth = np.concatenate([label[keep] for (_, label), keep in zip(held, valid, strict=True)])
    return truth == 1, np.concatenate([score[keep] for (score, _), keep in zip(held, valid, strict=True)])


CONTENDERS: dict[str, Callable[[Maps], tuple[float, Figures]]] = {
    "anomsynth": ours,
    "numpy, one sort": one_sort,
    "scikit-learn": scikit_learn,
    "torchmetrics": torchmetrics,
}


def measure(name: str, arguments: argparse.Namespace) -> dict[str, float] | str:
    """Run one contender in a process of its own; what it died of, where it did."""
    command = [sys.executable, __file__, "--alone", name, "--frames", str(arguments.frames), "--size", arguments.size]
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    room = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **one_thread, "PYTHONPATH": room}
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["killed"])[-1]
    return dict(json.loads(done.stdout))


def main() -> None:
    """Measure, print a table of ratios, see that exact contenders agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", default="2048x1024", metavar="WxH")
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="Beside ours; default: all.")
    parser.add_argument("--alone", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    if arguments.alone:
        seconds, figures = CONTENDERS[arguments.alone](maps(arguments.frames, width, height))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(json.dumps({"seconds": seconds, "peak": peak, **figures}))
        return
    names = dict.fromkeys(["anomsynth", *(arguments.contender or CONTENDERS)])
    rows = {name: measure(name, arguments) for name in names}
    show(rows, f"AP, AUROC, FPR95 of {arguments.frames} maps of {arguments.size}, one thread")
    for name in EXACT:
        row, base = rows.get(name, "not measured"), rows["anomsynth"]
        if isinstance(row, dict) and isinstance(base, dict):
            far = max(abs(row[figure] - base[figure]) for figure in FIGURES)
            if far > 1e-9:
                sys.exit(f"{name} and anomsynth differ by {far:.1e}.")


def show(rows: dict[str, dict[str, float] | str], title: str) -> None:
    """One row a contender, with its ratios to ours."""
    from rich.console import Console
    from rich.table import Table

    base = rows["anomsynth"]
    table = Table(title=title, title_justify="left")
    for column in ("", "seconds", "times ours", "peak MB", "times ours", *FIGURES):
        table.add_column(column, justify="right" if column else "left")
    for name, row in rows.items():
        if isinstance(row, str) or isinstance(base, str):
            table.add_row(name, str(row))
            continue
        times, memory = (f"{row[key] / base[key]:.1f}" for key in ("seconds", "peak"))
        figures = (f"{row[figure]:.8f}" for figure in FIGURES)
        table.add_row(name, f"{row['seconds']:.2f}", times, f"{row['peak'] / 1e6:.0f}", memory, *figures)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
