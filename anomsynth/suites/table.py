"""The table of a suite: figures of all seeds beside the published ones."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from anomsynth.suites.base import Figures, Row, Suite
from anomsynth.suites.runner import COST, Runner
from eval.report.grid import Cell, Grid, Part
from shards.errors import UserError

METRICS: Final = ("AP", "FPR95")


def table_of(runner: Runner, rows: Sequence[Row], seeds: Sequence[int], *, note: str = "") -> Grid:
    """Mean and standard deviation over the seeds that are there, beside what was published, in %.

    Args:
        runner: of the suite.
        rows: from top to bottom.
        seeds: those that count.
        note: a sentence of its own below the table.
    """
    suite = runner.suite
    titles = list(suite.sets.values())
    heads = [
        f"{title} {metric}{mark}" for title in titles for metric, mark in zip(METRICS, (" ↑", " ↓"), strict=True)
    ]
    cells = []
    for row in rows:
        found = [figures_of(suite, runner.folder(row, seed)) for seed in seeds if runner.has(row, seed)]
        ours, theirs = [], []
        for title in titles:
            for place in range(2):
                values = [figures[title][place] for figures in found if title in figures]
                ours.append(Cell(_spread(values)))
                theirs.append(Cell(f"{row.published[title][place]:.2f}"))
        cells += [
            (Cell(row.name), Cell(f"ours, {len(found)} of {len(seeds)} seeds"), *ours),
            (Cell(row.name), Cell("published"), *theirs),
        ]
    return Grid(
        title=f"{suite.title}, in %: mean and standard deviation over seeds",
        columns=("training", "figures", *heads),
        names=2,
        rows=tuple(cells),
        rules=frozenset(range(2, len(cells), 2)),
        notes=(f"Published: {suite.source}.", *((note,) if note else ())),
        repeating=1,
        parts=tuple(Part(2, title) for title in titles),
    )


def figures_of(suite: Suite, folder: Path) -> Figures:
    """(AP, FPR95) in % of a row by set; sets that were not judged are missing.

    Raises:
        UserError: its results cannot be read.
    """
    path = folder / "report" / "results.json"
    try:
        sets = json.loads(path.read_bytes())["sets"]
        return {
            title: tuple(100 * sets[name]["scores"][suite.score]["metrics"][metric] for metric in METRICS)
            for name, title in suite.sets.items()
            if name in sets
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read; remove {folder / COST} and repeat the command.") from error


def cost_of(runner: Runner, rows: Sequence[Row], seeds: Sequence[int]) -> tuple[float, float]:
    """Mean processor seconds of training and of judging a row, of those that are there."""
    costs = [
        json.loads((runner.folder(row, seed) / COST).read_bytes())
        for row in rows
        for seed in seeds
        if runner.has(row, seed)
    ]
    return tuple(statistics.mean(cost[part]["processor_seconds"] for cost in costs) for part in ("train", "judge"))


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2f}"
