"""Flat copies of benchmarks that store their own label values: which of the two encodings a copy has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from eval.benchmarks.encoding import PLAIN, Encoding
from eval.benchmarks.folders import flat_frames, is_flat, named
from eval.benchmarks.search import candidates, roots, wrong_folder
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet, read_stored_label
from eval.benchmarks.trees import Trees
from shards.labels import ANOMALY, IGNORE, KNOWN


def find_roots(folder: Path, benchmark: str, expected: str) -> tuple[list[Trees], list[Path]]:
    """The official and the flat sets of a benchmark with two trees: the folder itself, or those inside it.

    Args:
        folder: what the user gave.
        benchmark: its name, a key of `trees.TREES`.
        expected: what would be right, for the error.

    Raises:
        WrongFolder: it holds neither.
        UserError: the folder does not exist.
    """
    flat = [path for path in candidates(folder, benchmark) if is_flat(path)]
    official = [] if folder in flat else roots(folder, benchmark)
    if not flat and not official:
        raise wrong_folder(folder, benchmark, expected)
    return official, flat


def flat_set(
    folder: Path, benchmark: str, native: Encoding, published: int | None, notes: Iterable[str] = ()
) -> BenchmarkSet:
    """Read a flat folder, whose labels are 0, 1 and 255, or else the benchmark's own values.

    That is decided for the whole set: a single map of a benchmark's own values may hold 0 and 1 only.

    Args:
        folder: holds images/ and labels_masks/.
        benchmark: its name.
        native: the benchmark's own encoding.
        published: how many frames the published set has.
        notes: what else there is to say.

    Raises:
        UserError: unpaired files, no pair at all, or a broken label.
    """
    frames = flat_frames(folder)
    if any(_is_native(frame) for frame in frames):
        frames = tuple(replace(frame, encoding=native) for frame in frames)
    else:
        notes = (*notes, f"No label holds anything but 0, 1 and 255: read as {PLAIN.name}.")
    return BenchmarkSet(folder.name, benchmark, "flat", frames, tuple(notes), published)


def set_name(root: Path, benchmark: str, given: Path) -> str:
    """The key in results.json: the name of the folder that says what it is, from the root up to the one given.

    Downloads wrap their trees in folders such as test_sets/test_OOD, whose names say nothing of the benchmark;
    where no name does, it is the benchmark's own.
    """
    for place in (root, *root.parents):
        if named(place) == benchmark:
            return place.name
        if place == given:
            break
    return benchmark


def _is_native(frame: BenchmarkFrame) -> bool:
    stored = read_stored_label(frame)
    return bool(((stored != KNOWN) & (stored != ANOMALY) & (stored != IGNORE)).any())
