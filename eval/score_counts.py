"""What is counted of a set of score maps: kept apart from judging, so that the pieces of a benchmark can be counted
anywhere, saved, and judged together.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from eval.benchmarks import PixelCounts
from eval.files import write_arrays
from eval.metrics import PixelMetrics
from eval.metrics.binned import BinnedMetrics, FrameBins
from eval.metrics.bootstrap import FIGURES, FrameCounts
from eval.metrics.frame import judge_frame
from eval.metrics.keys import frame_keys
from eval.protocols import PROTOCOLS, Protocol
from eval.scoremaps import ScoreMap
from shards.errors import UserError

PART_SCHEMA: Final = 2
_SIDES: Final = ("known", "anomaly")
_COLUMNS: Final[Mapping[str, Mapping[str, type]]] = {
    "binned": {"thresholds": np.float64, "tp": np.int64, "fp": np.int64},
    "rounded": {"bins": np.uint32, "known": np.uint32, "anomaly": np.uint32},
}
"""Arrays of all frames, one after the other."""


@dataclass(frozen=True, slots=True)
class About:
    """What was counted; parts that differ in it are of different sets.

    Attributes:
        set: name of the set, the key in results.json.
        score: name of the score, the key below it.
        protocol: a key of `PROTOCOLS`.
        benchmark: the benchmark that the labels were recognised as; empty for bare label files.
        layout: official, flat or files.
        source: name of the folder that held the score maps.
    """

    set: str
    score: str
    protocol: str
    benchmark: str
    layout: str
    source: str


@dataclass(slots=True)
class ScoreCounts:
    """The counts of one score on one set, or on a part of it.

    Attributes:
        about: what is counted.
        frames: names of the frames that were counted.
        missing: names of the set's frames that were not.
        pixels: the labels' pixels.
        pool: all pixels, where the protocol pools them.
        binned: the frames' thresholds, where the protocol's own curve is a binned one.
        of_frame: figures of each frame by the protocol's FPR95; None for a frame of one class.
        rounded: each frame's counts over rounded scores, for the bootstrap.
        hashes: sha256 of each frame's score map and label.
        kinds: what each frame's score map holds: float16, float32 or float64.
        inexact: names of the frames whose float64 scores are no float32 and were rounded.
        notes: sentences for people.
    """

    about: About
    frames: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    pixels: PixelCounts = field(default_factory=PixelCounts)
    pool: PixelMetrics = field(default_factory=PixelMetrics)
    binned: BinnedMetrics = field(default_factory=BinnedMetrics)
    of_frame: dict[str, Mapping[str, float] | None] = field(default_factory=dict)
    rounded: dict[str, FrameCounts] = field(default_factory=dict)
    hashes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    inexact: set[str] = field(default_factory=set)
    notes: tuple[str, ...] = ()

    @property
    def protocol(self) -> Protocol:
        """The rules that it is counted by."""
        return PROTOCOLS[self.about.protocol]

    def add(
        self,
        frame: str,
        score: ScoreMap,
        label: UInt8[np.ndarray, "h w"],
        file: str,
        hashes: Mapping[str, str] | None = None,
    ) -> None:
        """Count a frame.

        Args:
            frame: its name.
            score: (H, W), larger = more anomalous; float64 is rounded to float32.
            label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
            file: of the score map, for the error.
            hashes: sha256 of its files, by part.

        Raises:
            UserError: sizes that differ; values that are not finite, or too far apart for the binned curve.
        """
        keys = frame_keys(score, label, file)
        alone = judge_frame(keys, reach=self.protocol.reach)
        if self.protocol.pooling == "pooled":
            self.pool.add_keys(keys)
            self.rounded[frame] = FrameCounts.of(keys)
        if self.protocol.binned:
            self.binned.add_keys(keys, frame, half=score.dtype == np.float16)
        self.of_frame[frame] = None if alone is None else dict(alone.metrics)
        self.hashes[frame] = dict(hashes or {})
        self.kinds[frame] = score.dtype.name
        if score.dtype == np.float64 and (score.astype(np.float32) != score).any():
            self.inexact.add(frame)
        self.frames.add(frame)
        self.pixels += PixelCounts.of(label)

    def merge(self, other: ScoreCounts) -> None:
        """Add another part of the same set; in whatever order, the figures are the same.

        Raises:
            UserError: it is of another set, score or protocol, or holds a frame that is counted already.
        """
        mine, theirs = asdict(self.about), asdict(other.about)
        for key in ("set", "score", "protocol", "benchmark", "layout"):
            if mine[key] != theirs[key]:
                raise UserError(f"The parts differ in their {key}: {mine[key]!r} and {theirs[key]!r}.")
        twice = sorted(self.frames & other.frames)
        if twice:
            raise UserError(
                f"{len(twice)} frames of {self.about.set} are counted in two parts, the first {twice[0]}."
            )
        self.frames |= other.frames
        self.missing = (self.missing | other.missing) - self.frames
        self.pixels += other.pixels
        self.pool.merge(other.pool)
        self.binned.merge(other.binned)
        self.of_frame |= other.of_frame
        self.rounded |= other.rounded
        self.hashes |= other.hashes
        self.kinds |= other.kinds
        self.inexact |= other.inexact
        self.notes = tuple(dict.fromkeys((*self.notes, *other.notes)))

    def save(self, path: Path) -> None:
        """Write a part.

        Raises:
            UserError: the file cannot be written.
        """
        text = {
            "part": PART_SCHEMA,
            "about": asdict(self.about),
            "frames": sorted(self.frames),
            "missing": sorted(self.missing),
            "pixels": asdict(self.pixels),
            "of_frame": dict(sorted(self.of_frame.items())),
            "notes": list(self.notes),
            "hashes": dict(sorted(self.hashes.items())),
            "kinds": dict(sorted(self.kinds.items())),
            "inexact": sorted(self.inexact),
            "binned": [[found.frame, found.thresholds.size] for found in self.binned.frames],
            "rounded": [[frame, found.bins.size] for frame, found in self.rounded.items()],
        }
        arrays: dict[str, Any] = {"part": np.frombuffer(json.dumps(text, allow_nan=False).encode(), np.uint8)}
        arrays |= self.pool.state()
        for table, rows in (("binned", self.binned.frames), ("rounded", self.rounded.values())):
            for column, kind in _COLUMNS[table].items():
                arrays[f"{table}.{column}"] = np.concatenate(
                    [np.empty(0, kind), *(getattr(row, column) for row in rows)]
                )
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> ScoreCounts:
        """Read what `save` wrote.

        Raises:
            UserError: missing, cut off, of another version or something else.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                text = json.loads(arrays["part"].tobytes())
                if text["part"] != PART_SCHEMA:
                    raise ValueError(f"its schema is {text['part']}, not {PART_SCHEMA}")
                about = About(**text["about"])
                if about.protocol not in PROTOCOLS:
                    raise ValueError(f"it knows a protocol {about.protocol!r}")
                binned = BinnedMetrics()
                binned.frames = [FrameBins(frame, *row) for frame, row in _rows(text, arrays, "binned")]
                found = cls(
                    about=about,
                    frames=set(text["frames"]),
                    missing=set(text["missing"]),
                    pixels=PixelCounts(**text["pixels"]),
                    pool=PixelMetrics.of(arrays),
                    binned=binned,
                    of_frame=text["of_frame"],
                    rounded={frame: FrameCounts(*row) for frame, row in _rows(text, arrays, "rounded")},
                    hashes=text["hashes"],
                    kinds=text["kinds"],
                    inexact=set(text["inexact"]),
                    notes=tuple(text["notes"]),
                )
                found._check()
                return found
        except OSError as error:
            raise UserError(f"The part {path} cannot be read: {error.strerror or error}.") from error
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(
                f"{path} is no part that `anomsynth eval scores --part` wrote, or is cut off ({error}); "
                "count it again."
            ) from error

    def _check(self) -> None:
        """Raises ValueError where what was counted of the frames does not fit together."""
        pooled = self.frames if self.protocol.pooling == "pooled" else set()
        for what, named, expected in (
            ("figures", self.of_frame, self.frames),
            ("hashes", self.hashes, self.frames),
            ("kinds", self.kinds, self.frames),
            ("rounded scores", self.rounded, pooled),
        ):
            if set(named) != expected:
                raise ValueError(f"its {what} are of other frames")
        binned = {found.frame for found in self.binned.frames}
        if self.frames & self.missing or not (self.inexact | binned) <= self.frames:
            raise ValueError("its frames do not fit together")
        for frame, figures in self.of_frame.items():
            if figures is not None and (
                set(figures) != set(FIGURES) or not all(0 <= value <= 1 for value in figures.values())
            ):
                raise ValueError(f"{frame} has the figures {figures}")
        if not all(isinstance(found, dict) for found in self.hashes.values()):
            raise ValueError("its hashes are broken")
        if not set(self.kinds.values()) <= {"float16", "float32", "float64"}:
            raise ValueError(f"its score maps hold {sorted(set(self.kinds.values()))}")
        if not pooled:
            return
        for side, pool in (("known", self.pool.known), ("anomaly", self.pool.anomaly)):
            counted = sum(int(getattr(found, side).sum()) for found in self.rounded.values())
            if not pool.total == counted == getattr(self.pixels, side):
                raise ValueError(f"its {side} pixels do not add up")


def _rows(
    text: Mapping[str, Any], arrays: Mapping[str, np.ndarray], table: str
) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """(frame, its arrays) of a table."""
    ends = np.cumsum([size for _, size in text[table]], dtype=np.int64)
    columns = []
    for column, kind in _COLUMNS[table].items():
        array = arrays[f"{table}.{column}"]
        if array.dtype != kind or array.size != (ends[-1] if ends.size else 0):
            raise ValueError(f"{table}.{column} is {array.dtype} of shape {array.shape}")
        columns.append(np.split(array, ends)[:-1])
    for (frame, _), *row in zip(text[table], *columns, strict=True):
        yield frame, tuple(row)
