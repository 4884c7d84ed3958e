"""The end of a build: from the notes of all shards to the lists, the documents and, last, the manifest.

Rows go from file to file, one by one: a set may have more of them than fit into memory.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, overload

from pipelines.folder import clear, refuse_others_work
from pipelines.notes import Note, copy_rejects, copy_rows
from pipelines.recipe import Recipe
from pipelines.tasks import WORK, ShardTask, noted
from shards.documents import write_documents
from shards.errors import UserError
from shards.manifest import REJECTS, SAMPLES, Manifest, write_manifest
from shards.rows import Row, row_lines
from shards.writer import write_atomically


def finish(
    recipe: Recipe, out: Path, plan: Mapping[str, Any], tasks: Sequence[ShardTask], *, created: bool
) -> Manifest:
    """Gather the shards' notes into samples.jsonl, rejects.jsonl and, last, manifest.json; then clear up.

    Args:
        recipe: an opened recipe.
        out: the folder of the set.
        plan: what was built.
        tasks: all shards.
        created: this build made the folder, and removes it if there is nothing to keep.

    Raises:
        UserError: not a single sample could be made, or notes are missing.
    """
    notes = [(out / WORK / task.note, note) for task, note in noted(out, tasks).items()]
    if len(notes) != len(tasks):
        raise UserError(
            f"Of the {len(tasks)} shards in {out} some vanished while they were built: repeat the command. "
            "With --engine ray, --out must be a folder that all nodes share, or a URL."
        )
    before = problem_rows(recipe)
    reasons = Counter(row["reason"] for row in before)
    pixels: Counter[str] = Counter()
    for _, note in notes:
        reasons.update(note.reasons)
        pixels.update(note.pixels)
    if not any(note.rows for _, note in notes):
        _give_up(out, plan, tasks, notes, reasons, created=created)
    manifest = Manifest(
        **plan,
        shards=[note.record for _, note in notes if note.record.samples],
        pixels=dict(pixels),
        rejects=dict(sorted(reasons.items())),
    )

    def write_rows(file: IO[bytes]) -> None:
        for path, note in notes:
            copy_rows(path, note, file)

    def write_rejects(file: IO[bytes]) -> None:
        file.write(row_lines(before))
        for path, note in notes:
            copy_rejects(path, note, file)

    write_atomically(out / SAMPLES, write_rows)
    write_atomically(out / REJECTS, write_rejects)
    write_documents(out, manifest, ListedRows(out / SAMPLES, manifest.samples))
    refuse_others_work(out, plan)
    write_manifest(out, manifest)
    clear(out)
    return manifest


def problem_rows(recipe: Recipe) -> list[dict[str, Any]]:
    """The first rows of rejects.jsonl: what the scan of the sources found, before any sample."""
    return [
        {"reason": problem.reason, "detail": problem.detail, "input": problem.input, "sample": None}
        for problem in recipe.problems
    ]


def _give_up(
    out: Path,
    plan: Mapping[str, Any],
    tasks: Sequence[ShardTask],
    notes: Sequence[tuple[Path, Note]],
    reasons: Mapping[str, int],
    *,
    created: bool,
) -> None:
    """Remove what a build without a single sample made, and say why there is none."""
    path, note = next((path, note) for path, note in notes if note.rejects)
    with path.open("rb") as file:
        first = json.loads(next(islice(file, 1 + note.rows, None)))
    for task in tasks:
        (out / task.shard).unlink(missing_ok=True)
    clear(out)
    if created:
        with contextlib.suppress(OSError):
            out.rmdir()
    listed = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
    raise UserError(
        f"No sample could be made, all {plan['count']} inputs were left out ({listed}), "
        f"such as {first['input']}: {first['detail']}. Nothing was written."
    )


class ListedRows(Sequence[Row]):
    """The rows of a list that was just written or checked, read anew whenever they are walked through."""

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._count = path, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        with self._path.open("rb") as file:
            yield from map(json.loads, file)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            return list(self)[place]
        return next(islice(self, range(self._count)[place], None))
