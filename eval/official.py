"""Figures that an official evaluator prints beside the exact pooled ones: its own binned curve, and components.

Components are cut out at the threshold with the best F1 of the binned curve, which the last frame decides. Score
maps wait on disk until then: in memory, those of thirty frames and six scores would be 1.5 GB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from eval.benchmarks import BenchmarkSet, smiyc
from eval.metrics.binned import CONVENTION, BinnedMetrics, BinnedResult
from eval.metrics.component import ComponentMetrics, ComponentResult, convention
from eval.metrics.keys import FrameKeys
from eval.protocols import PROTOCOLS, Protocol
from shards.progress import track


def protocol_of(found: BenchmarkSet) -> Protocol | None:
    """The protocol of a set's benchmark that has figures of its own; None where the pooled ones are all there is.

    Of a set of an unknown track of SegmentMeIfYouCan: its curve, which is the same in both, and no components.
    """
    fitting = [
        protocol
        for protocol in PROTOCOLS.values()
        if protocol.binned and protocol.benchmark == found.benchmark and protocol.part in (None, found.part)
    ]
    if not fitting and found.benchmark == smiyc.CARD.name:
        return replace(PROTOCOLS["smiyc-anomaly"], name=smiyc.CARD.name, components=None, part=None)
    return fitting[0] if fitting else None


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


class OfficialFigures:
    """Collects the frames of a set for a protocol's own figures.

    Args:
        protocol: with a binned curve.
        scores: names of the scores.
        folder: where score maps wait, four bytes a pixel, frame and score.
    """

    def __init__(self, protocol: Protocol, scores: Sequence[str], folder: Path) -> None:
        self._protocol, self._folder = protocol, folder
        self._binned = {name: BinnedMetrics() for name in scores}
        self._labels: dict[str, Path] = {}
        self._maps: dict[str, dict[str, Path]] = {name: {} for name in scores}

    def add(
        self,
        frame: str,
        keys: Mapping[str, FrameKeys],
        scores: Mapping[str, Float32[np.ndarray, "h w"]],
        label: UInt8[np.ndarray, "h w"],
    ) -> None:
        """Take a frame: its keys and maps by score, and its label."""
        for name, binned in self._binned.items():
            binned.add_keys(keys[name], frame, half=False)
        if self._protocol.components is None:
            return
        number = len(self._labels)
        self._labels[frame] = self._wait(f"{number}_label", label)
        for name, waiting in self._maps.items():
            waiting[frame] = self._wait(f"{number}_{name}", scores[name])

    def result(self) -> dict[str, tuple[dict[str, float], dict[str, Any]]]:
        """By score: what to add to its `metrics`, and beside them.

        Raises:
            UserError: the labels hold no anomaly or no known pixel.
        """
        found = {}
        for name in track(self._binned, "components", total=len(self._binned), unit="scores"):
            binned = self._binned[name].result()
            found[name] = official_entry(self._protocol, binned, self._components(name, binned.best_threshold))
        return found

    def _components(self, name: str, threshold: float) -> ComponentResult | None:
        if self._protocol.components is None:
            return None
        metrics = ComponentMetrics(self._protocol.components)
        for frame, path in self._maps[name].items():
            score, label = (np.load(file, allow_pickle=False) for file in (path, self._labels[frame]))
            metrics.add(score, threshold, label, frame)
        return metrics.result()

    def _wait(self, name: str, array: np.ndarray) -> Path:
        path = self._folder / f"{name}.npy"
        np.save(path, array, allow_pickle=False)
        return path
