"""What a build notes of each shard that it finished, so that neither the tar nor the sources are read again.

A note is a file of JSON lines in OUT/.build: first a `Note`, then the shard's lines of samples.jsonl, then its lines
of rejects.jsonl. It is written after the tar, so where there is a note there is a shard (law 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from isal import isal_zlib
from pydantic import BaseModel, ConfigDict

from shards.rows import row_lines
from shards.writer import ShardRecord, write_atomically


class Note(BaseModel):
    """The first line of a note."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    record: ShardRecord
    """Of the tar; with no sample in it there is none."""
    rows: int
    """Lines of samples.jsonl."""
    rejects: int
    """Lines of rejects.jsonl."""
    pixels: dict[str, int]
    """Pixels of the samples by label."""
    reasons: dict[str, int]
    """Rejects by reason."""
    bytes: int
    """Of all lines after this one."""
    crc32: int
    """Of the same."""


def write_note(
    path: Path, record: ShardRecord, rows: Sequence[Mapping[str, Any]], rejects: Sequence[Mapping[str, Any]]
) -> None:
    """Note that a shard is done.

    Args:
        path: of the note.
        record: what was written.
        rows: its lines of samples.jsonl.
        rejects: its lines of rejects.jsonl.
    """
    lines = row_lines(rows) + row_lines(rejects)
    pixels: Counter[str] = Counter()
    for row in rows:
        pixels.update(row.get("pixels", {}))  # a delta set leaves them out
    note = Note(
        record=record,
        rows=len(rows),
        rejects=len(rejects),
        pixels=dict(pixels),
        reasons=dict(Counter(row["reason"] for row in rejects)),
        bytes=len(lines),
        crc32=isal_zlib.crc32(lines),
    )
    write_atomically(path, note.model_dump_json().encode() + b"\n" + lines)


def read_note(path: Path, shard: Path) -> Note | None:
    """The note of a shard whose tar is there in full; None if it must be made (again).

    Args:
        path: of the note.
        shard: the tar.
    """
    try:
        with path.open("rb") as file:
            note = Note.model_validate_json(file.readline())
            lines = file.read()
        if (len(lines), isal_zlib.crc32(lines)) != (note.bytes, note.crc32):
            return None
        if note.record.samples and shard.stat().st_size != note.record.bytes:
            return None
    except (OSError, ValueError):
        return None
    return note


def copy_rows(path: Path, note: Note, target: IO[bytes]) -> None:
    """Append a shard's lines of samples.jsonl."""
    target.writelines(_lines(path, 0, note.rows))


def copy_rejects(path: Path, note: Note, target: IO[bytes]) -> None:
    """Append a shard's lines of rejects.jsonl."""
    if note.rejects:
        target.writelines(_lines(path, note.rows, note.rejects))


def _lines(path: Path, start: int, count: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from islice(file, 1 + start, 1 + start + count)
