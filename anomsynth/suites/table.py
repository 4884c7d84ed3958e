"""The table of a suite: figures of all seeds beside the published ones."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from anomsynth.suites.base import Figures, Row, Suite
from anomsynth.suites.runner import COST, Runner
from eval.report.grid import Cell, Grid, Part
from shards.errors import UserError

METRICS: Final = ("AP", "FPR95")


def table_of(runner: Runner, rows: Sequence[Row], seeds: Sequence[int], *, notes: Sequence[str] = ()) -> Grid:
    """Mean and standard deviation over the seeds that are there, beside what was published, in %.

    Args:
        runner: of the suite.
        rows: from top to bottom.
        seeds: those that count.
        notes: further sentences below the table.
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
            (Cell(name := called(row)), Cell(f"ours, {len(found)} of {len(seeds)} seeds"), *ours),
            (Cell(name), Cell("published"), *theirs),
        ]
    return Grid(
        title=f"{suite.title}, in %{': mean and standard deviation over seeds' if len(seeds) > 1 else ''}",
        columns=("training", "figures", *heads),
        names=2,
        rows=tuple(cells),
        rules=frozenset(range(2, len(cells), 2)),
        notes=(f"Published: {suite.source}.", *notes),
        repeating=1,
        parts=tuple(Part(2, title) for title in titles),
    )


def called(row: Row) -> str:
    """The paper's name of a row, and what is typed for it where that is another word."""
    return row.name if row.key == row.name.lower() else f"{row.name} ({row.key})"


def figures_of(suite: Suite, folder: Path) -> Figures:
    """(AP, FPR95) in % of a row by set; sets that were not judged are missing.

    Raises:
        UserError: its results cannot be read.
    """
    path = folder / "report" / "results.json"
    try:
        sets = json.loads(path.read_bytes())["sets"]
        return {
            suite.sets[part]: tuple(100 * one["scores"][suite.score]["metrics"][metric] for metric in METRICS)
            for one in sets.values()
            if (part := (one["benchmark"], one.get("part", ""))) in suite.sets
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read; remove {folder / COST} and repeat the command.") from error


def verdicts(runner: Runner, seeds: Sequence[int]) -> list[str]:
    """Whether what the paper proposes is better than its baseline by more than the seeds vary, a sentence a set.

    The difference of two rows' means is compared with sqrt(s_1^2 + s_2^2), s their standard deviations over seeds.
    Nothing where fewer than two seeds of both rows are there.
    """
    suite = runner.suite
    better, base = (next(row for row in suite.rows if row.key == key) for key in suite.versus)
    both = [seed for seed in seeds if runner.has(better, seed) and runner.has(base, seed)]
    if len(both) < 2:
        return []
    found = [[figures_of(suite, runner.folder(row, seed)) for seed in both] for row in (better, base)]
    sentences = []
    for title in suite.sets.values():
        if not all(title in figures for of_row in found for figures in of_row):
            continue
        parts = []
        for place, metric in enumerate(METRICS):
            mine, theirs = ([figures[title][place] for figures in of_row] for of_row in found)
            gain = (statistics.mean(mine) - statistics.mean(theirs)) * (1 if place == 0 else -1)
            spread = math.hypot(statistics.stdev(mine), statistics.stdev(theirs))
            how = "better" if gain > 0 else "worse"
            where = "beyond" if abs(gain) > spread else "within"
            parts.append(f"{metric} {abs(gain):.2f} {how}, {where} the spread of the seeds ({spread:.2f})")
        sentences.append(f"{title}, {better.name!r} against {base.name!r}: {'; '.join(parts)}.")
    return sentences


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
