"""What is counted of one score on one set, whether a network or files gave it: kept apart from judging, so that the
pieces of a benchmark can be counted anywhere, by several threads or machines, saved, and judged together.

    a pool of all pixels        the exact figures and curves (`metrics/pixel.py`), towns and weathers apart
    a record of every frame     its own figures, and what the bootstrap, the histograms and the official curve need
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8

from eval.benchmarks import PixelCounts
from eval.files import BROKEN, write_arrays
from eval.metrics.binned import BinnedMetrics, FrameBins, frame_bins
from eval.metrics.bootstrap import FrameCounts
from eval.metrics.conventions import TPR
from eval.metrics.frame import judge_frame
from eval.metrics.groups import NO_GROUP, GroupedPixels
from eval.metrics.keys import FrameKeys, frame_keys
from eval.metrics.pixel import fpr_name
from eval.protocols import PROTOCOLS, Protocol
from eval.scoremaps import ScoreMap
from shards.errors import UserError
from shards.plural import plural

PART_SCHEMA: Final = 5
_COLUMNS: Final[Mapping[str, Mapping[str, type]]] = {
    "bins": {"thresholds": np.float64, "tp": np.int64, "fp": np.int64},
    "rounded": {"bins": np.uint32, "known": np.uint32, "anomaly": np.uint32},
}
"""Arrays of all frames, one after the other."""


class _Unfit(ValueError):
    """What a part says does not fit together; in our words, unlike what libraries say of a broken file."""


@dataclass(frozen=True, slots=True)
class About:
    """What is counted; parts that differ in it are of different sets.

    Attributes:
        set: name of the set, the key in results.json.
        score: name of the score, the key below it.
        protocol: name of the rules.
        benchmark: the benchmark that the labels were recognised as; empty for bare label files.
        layout: official, flat, shards or files.
        sources: what the scores come from: names of the folders that held the score maps; none for a network.
        tpr: the true positive rate that the false positive rate is read at.
        part: which set of the benchmark it is; empty where nothing tells.
        labels: how they are stored, in words.
        options: of the benchmark, where they are not the default; JSON types.
    """

    set: str
    score: str
    protocol: str
    benchmark: str
    layout: str
    sources: tuple[str, ...] = ()
    tpr: float = TPR
    part: str = ""
    labels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CountedSet:
    """A set that is known by its counts alone; its attributes are those of a `BenchmarkSet`.

    Attributes:
        name: the key in results.json.
        benchmark: None for bare label files.
        layout: official, flat or files.
        frames: their names, in order.
        notes: sentences for people.
        part: which set of the benchmark it is; empty where nothing tells.
        labels: how they are stored, in words.
        options: of the benchmark, where they are not the default.
    """

    name: str
    benchmark: str | None
    layout: str
    frames: tuple[str, ...]
    notes: tuple[str, ...] = ()
    part: str = ""
    labels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CountedFrame:
    """What is kept of a frame once its pixels are pooled.

    Attributes:
        metrics: its own figures; None for a frame that lacks anomaly or known pixels.
        pixels: by label.
        rounded: its counts in bins.
        bins: of the official curve; None where the rules have none, and for a frame that is void everywhere.
        kind: what the score map holds: float16, float32 or float64.
        exact: whether the score map was judged as it is: float64 values that are no float32 are rounded.
        hashes: sha256 of its files by part, where each score has files of its own.
        group: the town or the weather that it is from; empty if the benchmark names none.
    """

    metrics: Mapping[str, float] | None
    pixels: PixelCounts
    rounded: FrameCounts
    bins: FrameBins | None = None
    kind: str = "float32"
    exact: bool = True
    hashes: Mapping[str, str] = field(default_factory=dict)
    group: str = NO_GROUP


@dataclass(slots=True)
class ScoreCounts:
    """The counts of one score on one set, or on a part of it. Threads may add frames at the same time.

    Attributes:
        about: what is counted.
        protocol: the rules that it is counted by.
        missing: names of the set's frames that are not counted.
        notes: sentences for people.
        pool: all pixels, by group.
        frames: what is kept of each frame by name, in any order: what is made of them goes by name.
    """

    about: About
    protocol: Protocol
    missing: set[str] = field(default_factory=set)
    notes: tuple[str, ...] = ()
    pool: GroupedPixels = field(default_factory=GroupedPixels)
    frames: dict[str, CountedFrame] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    @property
    def pixels(self) -> PixelCounts:
        """The pixels of all frames."""
        return sum((found.pixels for found in self.frames.values()), PixelCounts())

    @property
    def groups(self) -> dict[str, str]:
        """Frame -> group."""
        return {name: found.group for name, found in self.frames.items()}

    @property
    def binned(self) -> BinnedMetrics:
        """The official curve of the frames."""
        return BinnedMetrics([found.bins for found in self.frames.values() if found.bins is not None])

    def add(
        self,
        frame: str,
        score: ScoreMap,
        label: UInt8[np.ndarray, "h w"],
        file: str,
        hashes: Mapping[str, str] | None = None,
        group: str = NO_GROUP,
    ) -> None:
        """Count a frame.

        Args:
            frame: its name.
            score: (H, W), larger = more anomalous; float64 is rounded to float32.
            label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
            file: of the score map, for the error.
            hashes: sha256 of its files, by part.
            group: the town or the weather that it is from.

        Raises:
            UserError: sizes that differ; values that are not finite, or too far apart for the binned curve.
        """
        keys = frame_keys(score, label, file)
        alone = judge_frame(keys, reach=self.protocol.reach, tpr=self.about.tpr)
        counted = CountedFrame(
            metrics=None if alone is None else dict(alone.metrics),
            pixels=_pixels(keys, label.size),
            rounded=FrameCounts.of(keys),
            bins=frame_bins(keys, frame, half=score.dtype == np.float16) if self.protocol.binned else None,
            kind=score.dtype.name,
            exact=score.dtype != np.float64 or bool((score.astype(np.float32) == score).all()),
            hashes=dict(hashes or {}),
            group=group,
        )
        with self._lock:  # a pool takes one frame at a time; what is in it does not depend on their order
            self.pool.add_keys(keys, group)
            self.frames[frame] = counted

    def metrics_of(self, frames: Sequence[str]) -> dict[str, Mapping[str, float] | None]:
        """Figures of single frames, in the order given."""
        return {frame: self.frames[frame].metrics for frame in frames}

    def rounded_of(self, frames: Sequence[str]) -> list[FrameCounts]:
        """Counts of single frames in bins, in the order given."""
        return [self.frames[frame].rounded for frame in frames]

    def merge(self, other: ScoreCounts) -> None:
        """Add another part of the same set; in whatever order, the figures are the same.

        Raises:
            UserError: it is of another set, score or protocol, or holds a frame that is counted already.
        """
        mine, theirs = asdict(self.about), asdict(other.about)
        for key in mine:
            if key != "sources" and mine[key] != theirs[key]:
                raise UserError(f"The parts differ in their {key}: {mine[key]!r} and {theirs[key]!r}.")
        twice = sorted(self.frames.keys() & other.frames.keys())
        if twice:
            raise UserError(
                f"{plural(len(twice), 'frame')} of {self.about.set} would be counted in two parts, "
                f"the first {twice[0]}."
            )
        sources = sorted({*self.about.sources, *other.about.sources})
        self.about = replace(self.about, sources=tuple(sources))
        self.pool.merge(other.pool)
        self.frames |= other.frames
        self.missing = (self.missing | other.missing) - self.frames.keys()
        self.notes = tuple(dict.fromkeys((*self.notes, *other.notes)))

    def save(self, path: Path) -> None:
        """Write a part; its rules must be one of `PROTOCOLS`.

        Raises:
            UserError: the file cannot be written.
        """
        frames = dict(sorted(self.frames.items()))
        text = {
            "part": PART_SCHEMA,
            "about": asdict(self.about),
            "missing": sorted(self.missing),
            "notes": list(self.notes),
            "frames": {
                name: {
                    "metrics": found.metrics,
                    "pixels": asdict(found.pixels),
                    "kind": found.kind,
                    "exact": found.exact,
                    "hashes": dict(found.hashes),
                    "group": found.group,
                    "rounded": found.rounded.bins.size,
                    "bins": None if found.bins is None else found.bins.thresholds.size,
                }
                for name, found in frames.items()
            },
        }
        arrays: dict[str, Any] = {"part": np.frombuffer(json.dumps(text, allow_nan=False).encode(), np.uint8)}
        arrays |= self.pool.state()
        for table, columns in _COLUMNS.items():
            rows = [row for found in frames.values() if (row := getattr(found, table)) is not None]
            for column, kind in columns.items():
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
                    raise _Unfit(f"its schema is {text['part']}, not {PART_SCHEMA}")
                about = About(**text["about"] | {key: tuple(text["about"][key]) for key in ("labels", "sources")})
                if about.protocol not in PROTOCOLS:
                    raise _Unfit(f"it knows a protocol {about.protocol!r}")
                rounded, bins = (dict(_rows(text["frames"], arrays, table)) for table in ("rounded", "bins"))
                found = cls(
                    about,
                    PROTOCOLS[about.protocol],
                    missing=set(text["missing"]),
                    notes=tuple(text["notes"]),
                    pool=GroupedPixels.of(arrays, sorted({entry["group"] for entry in text["frames"].values()})),
                    frames={
                        name: CountedFrame(
                            metrics=entry["metrics"],
                            pixels=PixelCounts(**entry["pixels"]),
                            rounded=FrameCounts.narrow(*rounded[name]),
                            bins=FrameBins(name, *bins[name]) if name in bins else None,
                            kind=entry["kind"],
                            exact=entry["exact"],
                            hashes=entry["hashes"],
                            group=entry["group"],
                        )
                        for name, entry in text["frames"].items()
                    },
                )
                found._check()
                return found
        except OSError as error:
            raise UserError(f"The part {path} cannot be read: {error.strerror or error}.") from error
        except BROKEN as error:
            why = f" ({error})" if isinstance(error, _Unfit) else ", or is cut off"
            raise UserError(
                f"{path} is no part that `anomsynth eval scores --part` wrote{why}: count it again."
            ) from error

    def _check(self) -> None:
        """Raises `_Unfit` where what was counted of the frames does not fit together."""
        if self.frames.keys() & self.missing:
            raise _Unfit("its frames do not fit together")
        figures = {"AP", "AUROC", fpr_name(self.about.tpr), "best_F1"}
        for name, found in self.frames.items():
            alone = found.metrics
            if alone is not None and (set(alone) != figures or not all(0 <= value <= 1 for value in alone.values())):
                raise _Unfit(f"{name} has the figures {alone}")
            if found.kind not in ("float16", "float32", "float64"):
                raise _Unfit(f"the score map of {name} holds {found.kind}")
            if not isinstance(found.hashes, dict):
                raise _Unfit(f"the hashes of {name} are broken")
            curve = found.bins
            if self.protocol.binned and (curve is None) != (found.pixels.known + found.pixels.anomaly == 0):
                raise _Unfit(f"the curve of {name} is missing or too much")
            for side, points in (("known", "fp"), ("anomaly", "tp")):
                sums = [int(getattr(found.rounded, side).sum())]
                sums += [] if curve is None else [int(getattr(curve, points).sum())]
                if set(sums) != {getattr(found.pixels, side)}:
                    raise _Unfit(f"the {side} pixels of {name} do not add up")
        for group, pool in self.pool.pools.items():
            pixels = sum((found.pixels for found in self.frames.values() if found.group == group), PixelCounts())
            for side, counted in (("known", pool.known), ("anomaly", pool.anomaly)):
                if counted.total != getattr(pixels, side):
                    raise _Unfit(f"its {side} pixels do not add up")


def _pixels(keys: FrameKeys, total: int) -> PixelCounts:
    """Of a frame that was taken apart: what is neither known nor an anomaly is void."""
    return PixelCounts(keys.known.size, keys.anomaly.size, total - keys.known.size - keys.anomaly.size)


def _rows(
    frames: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, np.ndarray], table: str
) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """(frame, its arrays) of a table; frames without a row are left out."""
    sizes = {name: entry[table] for name, entry in frames.items() if entry[table] is not None}
    ends = np.cumsum(list(sizes.values()), dtype=np.int64)
    columns = []
    for column, kind in _COLUMNS[table].items():
        array = arrays[f"{table}.{column}"]
        if array.dtype != kind or array.size != (ends[-1] if ends.size else 0):
            raise _Unfit(f"{table}.{column} is {array.dtype} of shape {array.shape}")
        columns.append(np.split(array, ends)[:-1])
    for name, *row in zip(sizes, *columns, strict=True):
        yield name, tuple(row)
