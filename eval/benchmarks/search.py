"""Where the sets of a benchmark lie below a folder: one search for all benchmarks.

A download is often wrapped in one or two more folders, and several downloads lie side by side, so a set is looked for
a few levels down: not in hidden folders or those that may not be read, not in the folders of a set that was found,
and not through links, but for those directly in the folder that was given: so people put their data together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from eval.benchmarks.folders import guess, is_flat
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet
from eval.benchmarks.trees import TREES, Trees, halves
from shards.errors import UserError

DEPTH = 4
"""world/layouts/MUAD_challenge/test_sets/test_OOD, seen from the world that `anomsynth toy` draws."""

MOST = 20_000
"""Folders that are looked at; a home folder has more, and nobody would wait for it."""

SetT = TypeVar("SetT")


class WrongFolder(UserError):
    """The folder holds nothing of the benchmark; an incomplete set is another error."""


class BrokenSets(UserError):
    """Some sets of a folder cannot be judged; its text is what is wrong with the first.

    Attributes:
        whole: the other sets.
        broken: what is wrong, a sentence a set; at least one.
    """

    def __init__(self, whole: Sequence[BenchmarkSet], broken: Sequence[str]) -> None:
        super().__init__(broken[0])
        self.whole = tuple(whole)
        self.broken = tuple(broken)


def places(folder: Path) -> list[Path]:
    """A folder and the folders up to `DEPTH` levels below it that may be sets, sorted.

    Raises:
        UserError: there are more than `MOST`.
    """
    found = [folder]
    level = [] if _has_frames(folder) else _inside(folder, links=True)
    for depth in range(DEPTH):
        found += level
        if len(found) > MOST:
            raise UserError(
                f"{folder} holds more than {MOST} folders, too many to look for benchmarks in; "
                "give --data a folder that is nearer to them."
            )
        if depth + 1 < DEPTH:
            level = [inside for path in level if not is_set(path) for inside in _inside(path)]
    return sorted(found)


def is_set(folder: Path) -> bool:
    """Whether a folder has the structure of a set, whichever it is."""
    return _has_frames(folder) or any(halves(folder, benchmark) for benchmark in TREES)


def candidates(folder: Path, benchmark: str) -> list[Path]:
    """Flat or framed folders of one benchmark: the folder itself, else those inside it.

    A folder that tells nothing of itself is taken at the user's word; one inside a parent is not.

    Raises:
        UserError: the folder does not exist.
    """
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {folder}. Give --data a folder of the benchmark, or a parent of several."
        )
    if _has_frames(folder):
        return [folder] if guess(folder) in (benchmark, None) else []
    return [path for path in places(folder) if _has_frames(path) and guess(path) == benchmark]


def roots(folder: Path, benchmark: str) -> list[Trees]:
    """The trees of a benchmark: those directly in a folder, else those below it, sorted by folder."""
    here = halves(folder, benchmark)
    if here is not None:
        return [here]
    # No benchmark lies inside the trees of another one.
    if is_set(folder):
        return []
    return [trees for path in places(folder) if (trees := halves(path, benchmark)) is not None]


def files_below(folder: Path, ending: str) -> list[Path]:
    """Files at any depth whose name ends so, sorted; neither in hidden folders nor through links to folders."""
    found: list[Path] = []
    for place, inside, files in os.walk(folder):
        inside[:] = [name for name in inside if not name.startswith(".")]
        found += [Path(place, name) for name in files if name.endswith(ending) and not name.startswith(".")]
    return sorted(found)


def wrong_folder(folder: Path, benchmark: str, expected: str) -> WrongFolder:
    """The sentence for a folder that is not the benchmark: expected, found, what it may be instead."""
    entries = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    found = ", ".join(entries[:6]) + (f" and {len(entries) - 6} more" if len(entries) > 6 else "") or "nothing"
    others = [other for other in _looks_like(folder) if other != benchmark]
    article = "an" if benchmark[0] in "aeio" else "a"
    hint = f" It looks like: {', '.join(others)}." if others else ""
    return WrongFolder(f"{folder} is not {article} {benchmark} folder: expected {expected}; found {found}.{hint}")


def read_each(readers: Iterable[Callable[[], BenchmarkSet]]) -> list[BenchmarkSet]:
    """Read the sets of a benchmark one by one, so that one which is broken does not hide the others.

    Raises:
        BrokenSets: one of them cannot be read; holds those that can.
    """
    whole: list[BenchmarkSet] = []
    broken: list[str] = []
    for read in readers:
        try:
            whole.append(read())
        except UserError as error:
            broken.append(str(error))
    if broken:
        raise BrokenSets(whole, broken)
    return whole


def distinct(sets: Sequence[SetT]) -> list[SetT]:
    """Tell sets of one name apart by the folder around each: results.json could not hold both.

    Raises:
        UserError: that does not tell them apart.
    """
    names = [_name(found) for found in sets]
    told = [
        replace(found, name=f"{_around(found)}-{found.name}")
        if isinstance(found, BenchmarkSet) and names.count(found.name) > 1
        else found
        for found in sets
    ]
    names = [_name(found) for found in told]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"Two of the sets would be named {twice[0]!r}; evaluate them one by one.")
    return told


def place_of(found: BenchmarkSet) -> Path:
    """The folder that a set was read from: the deepest that holds images and labels or has the set's name."""
    files = [
        file for frame in found.frames if isinstance(frame, BenchmarkFrame) for file in (frame.image, frame.label)
    ]
    if not files:
        return Path()
    near = Path(os.path.commonpath([path.absolute().parent for path in files]))
    labels = files[1].absolute().parent
    return next((path for path in (labels, *labels.parents) if path.name == found.name), near)


def _name(found: object) -> str:
    return str(getattr(found, "name", ""))


def _around(found: BenchmarkSet) -> str:
    return place_of(found).parent.name or "root"


def _has_frames(folder: Path) -> bool:
    return is_flat(folder) or (folder / "frames").is_dir()


def _inside(folder: Path, *, links: bool = False) -> list[Path]:
    """The folders directly inside one; of a set of two trees, those beside its trees."""
    trees = {part.split("/")[0] for names in TREES.values() for pair in names for part in pair}
    skipped = trees if is_set(folder) else frozenset[str]()
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=links)]
    paths = [folder / name for name in names if not name.startswith(".") and name not in skipped]
    return [path for path in paths if os.access(path, os.R_OK | os.X_OK)]


def _looks_like(folder: Path) -> list[str]:
    """What the folder, or else a folder below it, may be."""
    here = guess(folder)
    if here is not None:
        return [here]
    return sorted({other for path in places(folder) if (other := guess(path)) is not None})
