"""Components of a whole set, frames in several threads, wherever their maps come from.

They are those of a network that wait on disk (`official.py`), score maps in files (`judge_scores.py`), or a method's
own masks (`own_masks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from eval.metrics.component import ComponentMetrics, ComponentResult, Sizes
from eval.overlap import read_ahead
from shards.progress import track

Item = TypeVar("Item")


def judge_set(
    sizes: Sizes,
    frames: Sequence[Item],
    add: Callable[[ComponentMetrics, Item], object],
    shown: str,
    threads: int = 1,
) -> ComponentResult:
    """Judge the components of a set.

    Args:
        sizes: which components count.
        frames: whatever `add` reads a frame from.
        add: reads one and adds it, by `ComponentMetrics.add` or `add_mask`; threads do so at the same time.
        shown: what the progress bar calls it.
        threads: frames at a time, 1 or more. Figures do not depend on it.

    Raises:
        UserError: what `add` raises, of the first frame that has something.
    """
    metrics = ComponentMetrics(sizes)
    for _ in track(
        read_ahead(frames, lambda frame: add(metrics, frame), threads), shown, total=len(frames), unit="frames"
    ):
        pass
    return metrics.result()
