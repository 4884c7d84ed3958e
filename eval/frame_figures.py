"""The frames of an evaluated set, one by one: their own figures, and what the bootstrap needs of them.

    frames.json  {"schema": 1, "sets": {SET: {SCORE: {FRAME: {"AP": 0..1, "AUROC": 0..1, ...} | null, ...}}}}
    counts.npz   SET|SCORE|bins, known, anomaly: the frames' counts, one after the other; ends: where each one ends

A frame without anomaly or without known pixels has no figures of its own: null.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.metrics.bootstrap import FrameCounts
from eval.metrics.frame import judge_frame
from eval.metrics.keys import FrameKeys
from eval.metrics.pixel import PixelMetrics
from shards.errors import UserError
from shards.writer import write_atomically

FRAMES, COUNTS = "frames.json", "counts.npz"


@dataclass(slots=True)
class ScoredFrames:
    """One score on one set: the pool, and each frame.

    Attributes:
        pool: the valid pixels of all frames.
        metrics: figures of a frame on its own, by name; None where it has none.
        counts: for the bootstrap, in the order of `metrics`.
    """

    pool: PixelMetrics = field(default_factory=PixelMetrics)
    metrics: dict[str, Mapping[str, float] | None] = field(default_factory=dict)
    counts: list[FrameCounts] = field(default_factory=list)

    def add(self, frame: str, keys: FrameKeys) -> None:
        """Judge a frame and pool it."""
        alone = judge_frame(keys)
        self.pool.add_keys(keys)
        self.metrics[frame] = None if alone is None else alone.metrics
        self.counts.append(FrameCounts.of(keys))


Counts = Mapping[str, Mapping[str, Sequence[FrameCounts]]]
"""Set -> score -> frames."""


def save_counts(path: Path, counts: Counts) -> None:
    """Write counts.npz.

    Raises:
        UserError: it cannot be written.
    """
    arrays: dict[str, Any] = {}
    for name, scores in counts.items():
        for score, frames in scores.items():
            for part in ("bins", "known", "anomaly"):
                arrays[f"{name}|{score}|{part}"] = np.concatenate([getattr(frame, part) for frame in frames])
            arrays[f"{name}|{score}|ends"] = np.cumsum([frame.bins.size for frame in frames])
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from error


def load_counts(path: Path) -> Counts:
    """Read counts.npz.

    Raises:
        UserError: missing, cut off or something else.
    """
    found: dict[str, dict[str, list[FrameCounts]]] = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for key in arrays.files:
                name, score, part = key.split("|")
                if part != "ends":
                    continue
                columns = [arrays[f"{name}|{score}|{other}"] for other in ("bins", "known", "anomaly")]
                splits = [np.split(column, arrays[key][:-1]) for column in columns]
                found.setdefault(name, {})[score] = [FrameCounts(*parts) for parts in zip(*splits, strict=True)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} holds no counts of an evaluation, or is cut off ({error}); evaluate again."
        ) from error
    return found
