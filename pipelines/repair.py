"""What lies beside the tars of a complete set, made again from them where it was lost or changed.

Every sample carries its own record, so the rows of samples.jsonl lie in the tars. Only inputs of which no sample came
are looked at anew, and what comes of them must be what the manifest counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from pipelines.coding import coder_of
from pipelines.finish import ListedRows, problem_rows
from pipelines.recipe import sample_key
from pipelines.tasks import ShardTask
from pipelines.work import Job
from shards.documents import DOCUMENTS, documents
from shards.errors import BadInput, UserError
from shards.manifest import MANIFEST, REJECTS, SAMPLES, Manifest, manifest_bytes
from shards.reader import index_shard, read_members
from shards.rows import Row, read_rejects, row_lines
from shards.writer import write_atomically


def repair_records(job: Job, tasks: Sequence[ShardTask], manifest: Manifest) -> list[str]:
    """Write lists and documents again that are not what they were; the tars are sound.

    Args:
        job: the build that made the set.
        tasks: all shards of the set.
        manifest: of the set.

    Returns:
        Names of the files that were written, or removed because the set never had them.

    Raises:
        UserError: an input was left out when the set was built, its row is lost, and today it would not be.
        OSError: of reading or writing.
    """
    out = job.out
    mended = []
    if not _is(out / SAMPLES, (row_lines((row,)) for row in _rows(out, manifest))):

        def write(file: IO[bytes]) -> None:
            file.writelines(row_lines((row,)) for row in _rows(out, manifest))

        write_atomically(out / SAMPLES, write)
        mended.append(SAMPLES)
    rejects = row_lines(_rejects(job, tasks, manifest))
    if not _is(out / REJECTS, (rejects,)):
        write_atomically(out / REJECTS, rejects)
        mended.append(REJECTS)
    wanted = {**documents(out, manifest, ListedRows(out / SAMPLES, manifest.samples))}
    wanted[MANIFEST] = manifest_bytes(manifest)
    for name in (*DOCUMENTS, MANIFEST):
        path = out / name
        if name not in wanted and path.exists():
            path.unlink()
            mended.append(name)
        elif name in wanted and not _is(path, (wanted[name],)):
            write_atomically(path, wanted[name])
            mended.append(name)
    return mended


def _rows(out: Path, manifest: Manifest) -> Iterator[Row]:
    """The rows of samples.jsonl, one by one, from the samples' own records."""
    for record in manifest.shards:
        path = out / record.name
        for entry in index_shard(path):
            own = replace(entry, members=tuple(member for member in entry.members if member.suffix == "json"))
            meta = json.loads(read_members(path, own)["json"])
            yield {**meta, "key": entry.key, "shard": record.name}


def _rejects(job: Job, tasks: Sequence[ShardTask], manifest: Manifest) -> list[dict[str, Any]]:
    """The rows of rejects.jsonl; those on the disk where they cannot be made again and are as many as they were."""
    rows = problem_rows(job.recipe)
    coder = coder_of(job.recipe, job.seed, job.packing)
    made = {row["key"]: row["rejected"] for row in _rows(job.out, manifest) if row["rejected"]}
    keys = {row["key"] for row in _rows(job.out, manifest)}
    for task in tasks:
        for index in range(task.first, task.last):
            key = sample_key(job.recipe.name, index)
            broken = made.get(key, ())
            if key not in keys:
                try:
                    coder.members(index)
                except BadInput as error:
                    where = job.recipe.input_of(job.seed, index)
                    broken = [{"reason": error.reason, "detail": error.detail, "input": where}]
            rows += [{**row, "sample": key} for row in broken]
    if _reasons(rows) == manifest.rejects:
        return rows
    try:
        listed = read_rejects(job.out)
    except BadInput:
        listed = []
    if _reasons(listed) != manifest.rejects:
        raise UserError(
            f"{REJECTS} cannot be written again: {sum(manifest.rejects.values())} inputs were left out when the set "
            f"was built, {len(rows)} would be today: did a source change under its name?"
        )
    return listed


def _reasons(rows: Sequence[Row]) -> dict[str, int]:
    return dict(Counter(row["reason"] for row in rows))


def _is(path: Path, parts: Iterable[bytes]) -> bool:
    """Whether a file holds these bytes and no others."""
    try:
        with path.open("rb") as file:
            return all(file.read(len(part)) == part for part in parts) and not file.read(1)
    except FileNotFoundError:
        return False
