"""Figures of groups of frames beside those of the whole set: the towns of StreetHazards, the weather of ACDC.

Every group is a pool of its own (`pixel.py`), and the whole set is all of them merged: one pass over the frames, and
no pixel is counted twice. Memory is that of one pool a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from eval.metrics.conventions import TPR, Reach
from eval.metrics.frame import mean_figures
from eval.metrics.keys import FrameKeys
from eval.metrics.pixel import PixelMetrics, PixelResult

NO_GROUP = ""
"""The group of a frame whose benchmark names none."""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """What came out on one group.

    Attributes:
        frames: how many it has.
        metrics: figures by name, fractions 0..1; None where its frames hold one class only.
    """

    frames: int
    metrics: Mapping[str, float] | None


class GroupedPixels:
    """Stands where a `PixelMetrics` does, and tells the groups apart."""

    def __init__(self) -> None:
        self.pools: dict[str, PixelMetrics] = {}

    def add_keys(self, keys: FrameKeys, group: str = NO_GROUP) -> None:
        """Pool a frame that was taken apart before."""
        self.pools.setdefault(group, PixelMetrics()).add_keys(keys)

    def merge(self, other: GroupedPixels) -> None:
        """Add all frames that another one collected; in whatever order, the figures are the same."""
        for group, pool in other.pools.items():
            self.pools.setdefault(group, PixelMetrics()).merge(pool)

    @property
    def whole(self) -> PixelMetrics:
        """All groups as one pool: made anew at each call, but for the only group there is."""
        pools = list(self.pools.values())
        if len(pools) == 1:
            return pools[0]
        whole = PixelMetrics()
        for pool in pools:
            whole.merge(pool)
        return whole

    def result(self, *, reach: Reach = "first", tpr: float = TPR) -> PixelResult:
        """Judge the whole set; arguments and errors are those of `PixelMetrics.result`."""
        return self.whole.result(reach=reach, tpr=tpr)

    def figures(
        self, frames: Mapping[str, str], *, reach: Reach = "first", tpr: float = TPR
    ) -> dict[str, GroupFigures]:
        """Judge each group, by its name; nothing where frames have no group.

        Args:
            frames: frame -> group, of all that were added.
            reach: how the operating point is picked.
            tpr: the true positive rate that it is picked for, above 0 and at most 1.
        """
        return {
            group: GroupFigures(len(names), _figures(self.pools[group], reach, tpr))
            for group, names in members(frames).items()
        }

    def state(self) -> dict[str, np.ndarray]:
        """The pools as arrays to be saved."""
        return {
            f"{group}.{name}": array for group, pool in self.pools.items() for name, array in pool.state().items()
        }

    @classmethod
    def of(cls, state: Mapping[str, np.ndarray], groups: Iterable[str]) -> GroupedPixels:
        """The way back from `state`; what else the mapping holds is passed over.

        Args:
            state: arrays by name.
            groups: names of the groups that were saved.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays do not belong together.
        """
        self, names = cls(), PixelMetrics().state()
        for group in groups:
            self.pools[group] = PixelMetrics.of({name: state[f"{group}.{name}"] for name in names})
        return self


def members(frames: Mapping[str, str]) -> dict[str, list[str]]:
    """Group -> its frames, both in the order of their names; frames without a group are left out."""
    found: dict[str, list[str]] = {group: [] for group in sorted(set(frames.values()) - {NO_GROUP})}
    for frame, group in sorted(frames.items()):
        if group != NO_GROUP:
            found[group].append(frame)
    return found


def mean_of_groups(
    frames: Mapping[str, str], alone: Mapping[str, Mapping[str, float] | None]
) -> dict[str, GroupFigures]:
    """The mean over the frames of each group, for rules that average over frames; those of one class are passed over.

    Args:
        frames: frame -> group.
        alone: frame -> its own figures; None where it has none.
    """
    found = {}
    for group, names in members(frames).items():
        found[group] = GroupFigures(len(names), mean_figures(alone[name] for name in names))
    return found


def _figures(pool: PixelMetrics, reach: Reach, tpr: float) -> Mapping[str, float] | None:
    if not pool.anomaly.total or not pool.known.total:
        return None
    return pool.result(reach=reach, tpr=tpr).metrics
