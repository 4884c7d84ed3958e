"""What a set is judged by, and the figures that an official evaluator prints beside the exact pooled ones: its own
binned curve, and components.

Components are cut out at the threshold with the best F1 of the binned curve, which the last frame decides. Score
maps wait on disk until then: in memory, those of thirty frames and six scores would be 1.5 GB.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from eval.benchmarks import BenchmarkSet
from eval.components import judge_set
from eval.metrics.binned import CONVENTION, BinnedResult
from eval.metrics.component import ComponentMetrics, ComponentResult, Sizes, convention
from eval.metrics.frame import mean_figures
from eval.protocols import PROTOCOLS, Protocol
from shards.errors import UserError


def protocol_of(found: BenchmarkSet, chosen: Protocol | None = None) -> Protocol:
    """What a set is judged by: the protocol that was chosen, else that of its benchmark, else `pooled`.

    A set of an unknown track of SegmentMeIfYouCan has the curve, which is the same in both, and no components.

    Raises:
        UserError: the chosen one is for another benchmark, or for another set of this one.
    """
    if chosen is not None:
        if chosen.benchmark not in (None, found.benchmark) or (chosen.part and chosen.part != found.part):
            raise UserError(
                f"The protocol {chosen.name} is for {chosen.summary}, but {found.name} is "
                f"{' '.join(filter(None, (found.benchmark, found.part)))}."
            )
        return chosen
    own = [protocol for protocol in PROTOCOLS.values() if protocol.benchmark == found.benchmark]
    fitting = [protocol for protocol in own if protocol.part in (None, found.part)]
    if own and not fitting:
        return replace(own[0], name=found.benchmark, components=None, part=None)
    return fitting[0] if fitting else PROTOCOLS["pooled"]


def mean_over_frames(name: str, frames: Mapping[str, Mapping[str, float] | None]) -> dict[str, float]:
    """The mean of figures that each frame has for itself; frames of one class have none and are passed over.

    Raises:
        UserError: no frame has any; names the set.
    """
    means = mean_figures(frames.values())
    if means is None:
        raise UserError(f"No frame of {name} holds both an anomaly and known pixels, so no frame has figures.")
    return means


def room_needed(protocol: Protocol, pixels: int, scores: int) -> int:
    """Bytes on disk that the maps of a set take while they wait; 0 where none has to."""
    return 0 if protocol.components is None else pixels * (4 * scores + 1)


def check_room(name: str, needed: int, out: Path | None) -> None:
    """See that results can be written, and that the score maps of a set will have room while they wait.

    Args:
        name: of the set.
        needed: bytes, from `room_needed`.
        out: where the results will lie; None if they are not written.

    Raises:
        UserError: nothing can be written there, or the disk has less.
    """
    check_place(out)
    place = _place(out)
    while not place.is_dir() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"The score maps of {name} take {needed / 1e9:.2f} GB in {place} until their threshold is known, but "
            f"only {free / 1e9:.2f} GB are free there: choose fewer scores by --score, or --out on another disk."
        )


def check_place(out: Path | None) -> None:
    """See that files can be made in a folder, by making one and taking it away; None asks nothing.

    Raises:
        UserError: they cannot.
    """
    if out is not None:
        with waiting_room(out):
            pass


@contextmanager
def waiting_room(out: Path | None) -> Iterator[Path]:
    """A hidden folder in `out`, else in the system's temporary folder; it is removed, and what was made for it.

    Raises:
        UserError: it cannot be made.
    """
    place = _place(out)
    made = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix=".anomsynth-", dir=place)
    except OSError as error:
        raise UserError(
            f"Files cannot be made in {place} ({error.strerror}): give --out a folder that you may write to."
        ) from error
    try:
        with folder as name:
            yield Path(name)
    finally:
        with suppress(OSError):  # results lie there, or somebody else's files
            for empty in made:
                empty.rmdir()


def _place(out: Path | None) -> Path:
    return Path(gettempdir()) if out is None else out.absolute()


def official_entry(
    protocol: Protocol, binned: BinnedResult, components: ComponentResult | None
) -> tuple[dict[str, float], dict[str, Any]]:
    """What a protocol's own figures add to a score: to its `metrics`, and beside them."""
    metrics = dict(binned.metrics)
    entry: dict[str, Any] = {"protocol": protocol.name, "binned_convention": dict(CONVENTION)}
    if protocol.components is not None:
        entry["component_threshold"] = binned.best_threshold
    if components is not None and protocol.components is not None:
        metrics |= components.metrics
        entry["component_convention"] = convention(protocol.components)
    return metrics, entry


class WaitingMaps:
    """Keeps the score maps of a set until their threshold is known, and judges components then.

    Args:
        sizes: which components count.
        scores: names of the scores.
        folder: where score maps wait, four bytes a pixel, frame and score.
    """

    def __init__(self, sizes: Sizes, scores: Sequence[str], folder: Path) -> None:
        self._sizes, self._folder = sizes, folder
        self._numbers = itertools.count()
        self._labels: dict[str, Path] = {}
        self._maps: dict[str, dict[str, Path]] = {name: {} for name in scores}

    def add(
        self, frame: str, scores: Mapping[str, Float32[np.ndarray, "h w"]], label: UInt8[np.ndarray, "h w"]
    ) -> None:
        """Keep a frame's label and its maps by score; threads may do so at the same time.

        Raises:
            UserError: the disk is full, or gone.
        """
        number = next(self._numbers)
        self._labels[frame] = self._wait(f"{number}_label", label)
        for name, waiting in self._maps.items():
            waiting[frame] = self._wait(f"{number}_{name}", scores[name])

    def judge(self, score: str, threshold: float, threads: int = 1) -> ComponentResult:
        """The component figures of a score at a threshold, so many frames at a time."""
        maps = self._maps[score]

        def add(metrics: ComponentMetrics, frame: str) -> None:
            found, label = (np.load(file, allow_pickle=False) for file in (maps[frame], self._labels[frame]))
            metrics.add(found, threshold, label, frame)

        return judge_set(self._sizes, list(maps), add, f"{score}: components", threads)

    def _wait(self, name: str, array: np.ndarray) -> Path:
        path = self._folder / f"{name}.npy"
        try:
            np.save(path, array, allow_pickle=False)
        except OSError as error:
            raise UserError(f"A score map cannot wait in {path.parent}: {error.strerror or error}.") from error
        return path
