"""samples.jsonl and rejects.jsonl as they lie on the disk: read with distrust, one row a line."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shards.codec import encode_json
from shards.errors import BadInput
from shards.manifest import REJECTS, SAMPLES

Row = Mapping[str, Any]
"""One sample, or one input that could not be used."""

_SHARD: Final = re.compile(r"[^/\\\x00-\x1f]+\.tar")


def row_lines(rows: Iterable[Row]) -> bytes:
    """The bytes of samples.jsonl or rejects.jsonl."""
    return b"".join(encode_json(row) + b"\n" for row in rows)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of samples.jsonl, in storage order.

    Raises:
        BadInput: ``sample-list``: the file cannot be read, or a line of it is no row of a sample.
    """
    return _read(folder / SAMPLES, "sample-list", _is_sample)


def read_rejects(folder: Path) -> list[dict[str, Any]]:
    """The rows of rejects.jsonl, in the order of the build.

    Raises:
        BadInput: ``reject-list``: the file cannot be read, or a line of it is no row of a reject.
    """
    return _read(folder / REJECTS, "reject-list", _is_reject)


def objects_of(row: Row) -> Sequence[Row]:
    """The pasted objects of a sample; none where it records none."""
    found: Sequence[Row] = row.get("objects", ())
    return found


def categories_of(item: Row) -> tuple[str, ...]:
    """The categories of one object: several where all objects of a picture were pasted at once."""
    return tuple(str(item.get("category", "")).split("+"))


def has_anomaly(row: Row) -> bool:
    """Whether a sample shows an anomaly: a pasted object, or, where none is on record, one pixel of its labels."""
    return bool(objects_of(row)) or bool(row.get("pixels", {}).get("anomaly", 0))


def plain_bytes(path: Path) -> bytes:
    """What a file holds; OSError for anything else: whoever reads a pipe waits for ever, some devices never end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is no file", path.name)
    return path.read_bytes()


def _read(path: Path, reason: str, is_row: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        lines = plain_bytes(path).decode().splitlines()
    except OSError as error:
        raise BadInput(reason, f"{path.name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(reason, f"{path.name} is no text") from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not is_row(row):
            raise BadInput(reason, f"line {number} of {path.name} is no row of it")
        rows.append(row)
    return rows


def _is_sample(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("key"), str)
        and isinstance(row.get("shard"), str)
        and _SHARD.fullmatch(row["shard"]) is not None  # a row leads nowhere out of its folder
        and is_record(row)
    )


def is_record(row: Row) -> bool:
    """Whether what a sample's own JSON, or its row, says of frame, pixels and objects has the form that it should."""
    return (
        isinstance(row.get("frame", {}), dict)
        and _is_counts(row.get("pixels", {}))
        and isinstance(row.get("objects", []), list)
        and all(map(_is_object, row.get("objects", [])))
    )


def _is_object(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and all(isinstance(item.get(name, ""), str) for name in ("category", "licence", "licence_url"))
        and _is_whole(item.get("pixels", 0))
        and (box := item.get("box", [0, 0, 0, 0])) is not None
        and isinstance(box, list)
        and len(box) == 4
        and all(map(_is_whole, box))
    )


def _is_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_whole, value.values()))


def _is_reject(row: Any) -> bool:
    words = ("reason", "detail", "input")
    return isinstance(row, dict) and all(isinstance(row.get(word), str) for word in words)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48
