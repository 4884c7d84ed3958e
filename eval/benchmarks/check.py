"""`anomsynth check BENCHMARK`: what a benchmark's folder holds, and whether it can be judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from eval.benchmarks import EVERYTHING, AnySet, find_all, find_sets
from eval.benchmarks.sets import BenchmarkSet, PixelCounts, check_judgeable, read_frame, read_label
from shards.check import CheckReport
from shards.errors import UserError
from shards.layouts.problem import Problem
from shards.progress import track


def check_benchmark(benchmark: str, folder: Path, overrides: Iterable[str] = (), *, decode: bool) -> CheckReport:
    """Frames and label pixels of every set; with `decode`, the images are read, too.

    Args:
        benchmark: as for `find_sets`.
        folder: one set, or a parent of several.
        overrides: options of the benchmark as words `key=value`.
        decode: whether to read the images, not just the labels.

    Raises:
        UserError: the folder is no such benchmark, or a set of it has half pairs; of "all", nothing can be judged.
    """
    facts: list[tuple[str, str]] = []
    problems: list[Problem] = []
    sets: Sequence[AnySet]
    if benchmark == EVERYTHING:
        everything = find_all([folder], overrides)
        sets = everything.sets
        problems += [Problem("incomplete-set", sentence, str(folder)) for sentence in everything.left_out]
    else:
        sets = find_sets(benchmark, folder, overrides)
    for found in sets:
        if isinstance(found, BenchmarkSet):
            _check_set(found, facts, problems, decode=decode)
    return CheckReport(tuple(facts), tuple(problems))


def _check_set(found: BenchmarkSet, facts: list[tuple[str, str]], problems: list[Problem], *, decode: bool) -> None:
    counts: list[PixelCounts] = []
    for frame in track(found.frames, f"Checking {found.name}", total=len(found.frames), unit="frames"):
        try:
            label = read_frame(frame)[1] if decode else read_label(frame)
        except UserError as error:
            problems.append(Problem("broken-frame", f"{found.name}: {error}", frame.name))
        else:
            counts.append(PixelCounts.of(label))
    pixels = sum(counts, PixelCounts())
    facts += [
        (f"{found.name}: layout", found.layout),
        (f"{found.name}: frames", f"{len(found.frames)}, each with its label"),
        (f"{found.name}: with anomalies", str(sum(count.anomaly > 0 for count in counts))),
        (
            f"{found.name}: pixels",
            f"known {pixels.known:,}, anomaly {pixels.anomaly:,}, ignore {pixels.ignore:,}",
        ),
        *((f"{found.name}: note", note) for note in found.notes),
    ]
    if counts:
        try:
            check_judgeable(found.name, pixels)
        except UserError as error:
            problems.append(Problem("hidden-labels", str(error), found.name))
