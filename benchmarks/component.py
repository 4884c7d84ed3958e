"""Component metrics against a literal transcription of their definition: `python benchmarks/component.py`.

Draws 2048x1024 frames with some tens of labelled and predicted components and judges each in turn with
`eval.metrics.ComponentMetrics` and with the transcription, which compares the whole frame once for every component,
as the definition reads, and finds the components with OpenCV. One thread; processor time, so that other programs on
the machine do not count. The figures must agree, or the script ends with an error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from eval.metrics import SIZES, ComponentMetrics
from eval.metrics.component import Sizes

Found = TypeVar("Found")
THRESHOLD = 0.5
REPEAT = 7


def literal(score: np.ndarray, label: np.ndarray, sizes: Sizes) -> tuple[list[float], list[float]]:
    """sIoU and PPV, one component after the other, sorted: OpenCV numbers components in an order of its own."""
    label = label.copy()
    truths, amount = numbered(label == 1)
    for k in range(1, amount + 1):
        if (truths == k).sum() < sizes.labelled:
            label[truths == k] = 255
            truths[truths == k] = 0
    prediction = score > THRESHOLD
    prediction[label == 255] = False
    guesses, amount = numbered(prediction)
    for p in range(1, amount + 1):
        if (guesses == p).sum() < sizes.predicted:
            guesses[guesses == p] = 0
    siou = []
    for k in np.unique(truths[truths > 0]):
        here = truths == k
        partners = np.unique(guesses[here & (guesses > 0)])
        together = np.isin(guesses, partners)
        elsewhere = together & (truths > 0) & ~here
        siou.append((here & together).sum() / ((here | together) & ~elsewhere).sum())
    ppv = [((guesses == p) & (truths > 0)).sum() / (guesses == p).sum() for p in np.unique(guesses[guesses > 0])]
    return sorted(map(float, siou)), sorted(map(float, ppv))


def numbered(mask: np.ndarray) -> tuple[np.ndarray, int]:
    amount, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return numbers, amount - 1


def frame(seed: int, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Ellipses as objects, most of them found with errors; false alarms; components below the sizes; void on top."""
    rng = np.random.default_rng(seed)
    height, width = 1024, 2048
    label, guess = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)

    def ellipse(canvas: np.ndarray, x: int, y: int, size: int) -> None:
        axes = size, max(size * int(rng.integers(4, 10)) // 10, 2)
        cv2.ellipse(canvas, (x, y), axes, int(rng.integers(180)), 0, 360, 1, -1)

    for number in range(objects):
        x, y, size = int(rng.integers(width)), int(rng.integers(200, height)), int(rng.integers(3, 70))
        ellipse(label, x, y, size)
        if number % 4:
            shift = max(size // 4, 1)
            ellipse(guess, x + int(rng.integers(-shift, shift + 1)), y, size)
        else:
            ellipse(guess, int(rng.integers(width)), int(rng.integers(200, height)), size)
    score = np.where(guess == 1, 0.55, 0.05) + rng.random((height, width)) * 0.4
    label[:150] = 255
    return score.astype(np.float32), label


def timed(call: Callable[[], Found]) -> tuple[float, Found]:
    """Seconds that a call took, and what it gave."""
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    table = Table(title=f"Component metrics of a 2048x1024 frame, one thread, median of {REPEAT}")
    for column in ("sizes", "labelled", "predicted", "literal ms", "ours ms", "ratio"):
        table.add_column(column, justify="left" if column == "sizes" else "right")
    for name, sizes in SIZES.items():
        for seed, objects in enumerate((20, 40, 80)):
            score, label = frame(seed, objects)
            ComponentMetrics(sizes).add(score, THRESHOLD, label)  # compiles
            slow, fast = [], []
            for _ in range(REPEAT):
                seconds, (siou, ppv) = timed(lambda s=score, t=label, z=sizes: literal(s, t, z))
                slow.append(seconds)
                seconds, ours = timed(lambda s=score, t=label, z=sizes: ComponentMetrics(z).add(s, THRESHOLD, t))
                fast.append(seconds)
                if (sorted(ours.siou), sorted(ours.ppv)) != (siou, ppv):
                    sys.exit(f"The two disagree on the frame with {objects} objects.")
            one, other = float(np.median(slow)), float(np.median(fast))
            row = (len(siou), len(ppv), f"{1e3 * one:.1f}", f"{1e3 * other:.2f}", f"{one / other:.0f}")
            table.add_row(name, *map(str, row))
    Console().print(table)


if __name__ == "__main__":
    main()
