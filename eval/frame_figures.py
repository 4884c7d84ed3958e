"""The files of an evaluated set's frames, one by one: their own figures, and what the bootstrap needs of them.

    frames.json  {"schema": 1, "sets": {SET: {SCORE: {FRAME: {"AP": 0..1, "AUROC": 0..1, ...} | null, ...}}}}
    counts.npz   "schema": 2; "index": JSON, [[SET, SCORE], ...]; of the first of them "0.bins", "0.known" and
                 "0.anomaly": the counts of its frames, one after the other, and "0.ends": where each ends; and so on

A frame without anomaly or without known pixels has no figures of its own: null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from eval.files import BROKEN, write_arrays
from eval.metrics.bootstrap import FrameCounts
from shards.errors import UserError

FRAMES, COUNTS = "frames.json", "counts.npz"
_SCHEMA: Final = 2
"""Of counts.npz; 1 held scores that were rounded to 9 bits of their mantissa."""
_COLUMNS: Final = {"bins": (np.uint32,), "known": (np.uint16, np.uint32), "anomaly": (np.uint16, np.uint32)}
"""And what they may hold."""


Counts = Mapping[str, Mapping[str, Sequence[FrameCounts]]]
"""Set -> score -> frames."""


def save_counts(path: Path, counts: Counts) -> None:
    """Write counts.npz.

    Raises:
        UserError: it cannot be written.
    """
    index = [(name, score) for name, scores in counts.items() for score in scores]
    arrays: dict[str, Any] = {
        "schema": np.int64(_SCHEMA),
        "index": np.frombuffer(json.dumps(index).encode(), np.uint8),
    }
    for number, (name, score) in enumerate(index):
        frames = counts[name][score]
        for column in _COLUMNS:
            arrays[f"{number}.{column}"] = np.concatenate([getattr(frame, column) for frame in frames])
        arrays[f"{number}.ends"] = np.cumsum([frame.bins.size for frame in frames])
    write_arrays(path, arrays)


def load_counts(path: Path) -> Counts:
    """Read counts.npz.

    Raises:
        UserError: missing, cut off or something else.
    """
    found: dict[str, dict[str, list[FrameCounts]]] = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if arrays["schema"] != _SCHEMA:
                raise ValueError("counts of another version")
            for number, (name, score) in enumerate(json.loads(arrays["index"].tobytes())):
                ends, *columns = (arrays[f"{number}.{column}"] for column in ("ends", *_COLUMNS))
                if any(
                    column.dtype not in kinds or column.size != ends[-1]
                    for column, kinds in zip(columns, _COLUMNS.values(), strict=True)
                ):
                    raise ValueError(f"the counts of {score} on {name} do not belong together")
                splits = [np.split(column, ends[:-1]) for column in columns]
                found.setdefault(name, {})[score] = [
                    FrameCounts.narrow(*parts) for parts in zip(*splits, strict=True)
                ]
    except (OSError, *BROKEN) as error:
        raise UserError(f"{path} holds no counts of an evaluation, or is cut off: evaluate again.") from error
    return found
