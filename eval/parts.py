"""Parts of a benchmark that were counted elsewhere (`ScoreCounts.save`), joined to whole sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eval.score_counts import ScoreCounts
from shards.errors import UserError
from shards.progress import track

Names = tuple[str, str]
"""A set and a score."""


def join_parts(paths: Sequence[Path]) -> list[ScoreCounts]:
    """Join the parts of each score on each set.

    Args:
        paths: the files, in any order.

    Returns:
        Whole sets, in the order of their first parts.

    Raises:
        UserError: no part, a broken one, a frame in two parts, or frames that no part holds; says so where parts
            only name their set or score otherwise.
    """
    if not paths:
        raise UserError("No parts: give the files that `anomsynth eval scores --part` wrote.")
    joined: dict[Names, ScoreCounts] = {}
    files: dict[Names, list[Path]] = {}
    for path in track(paths, "parts", total=len(paths), unit="files"):
        part = ScoreCounts.load(path)
        names = part.about.set, part.about.score
        files.setdefault(names, []).append(path)
        whole = joined.setdefault(names, part)
        if whole is not part:
            try:
                whole.merge(part)
            except UserError as error:
                raise UserError(f"{path} does not fit to the parts before it: {error}") from error
    for names, whole in joined.items():
        _check_whole(names, whole, joined, files)
    return list(joined.values())


def _check_whole(
    names: Names, whole: ScoreCounts, joined: Mapping[Names, ScoreCounts], files: Mapping[Names, Sequence[Path]]
) -> None:
    """Refuse a set of which frames are missing; a part that has them under another name is the likely reason."""
    if not whole.missing:
        return
    total = len(whole.frames) + len(whole.missing)
    missing = f"{len(whole.missing)} of {total} frames of {whole.about.set} are in no part"
    for other, found in joined.items():
        if whole.missing & set(found.frames):
            what, option, place = ("score", "--score-name", 1) if other[0] == names[0] else ("set", "--set-name", 0)
            raise UserError(
                f"{missing} of the {what} {names[place]!r} ({_told(files[names])}), but of the {what} "
                f"{other[place]!r} ({_told(files[other])}): count all parts under one {option}."
            )
    raise UserError(f"{missing}, the first {min(whole.missing)}: give all parts.")


def _told(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files)
