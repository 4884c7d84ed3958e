"""From what was counted to the figures, intervals and frames of a set: the one way for networks and score files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eval.benchmarks import BenchmarkSet
from eval.class_figures import ClassFigures
from eval.metrics import ComponentResult
from eval.metrics.bootstrap import NEAR, Interval, intervals
from eval.metrics.component import FrameComponents
from eval.metrics.conventions import TPR
from eval.metrics.frame_draws import binned_intervals, component_intervals
from eval.metrics.groups import GroupFigures, mean_of_groups
from eval.official import official_entry
from eval.own_masks import told_of_masks
from eval.results import AnomalySetResult
from eval.score_counts import CountedSet, ScoreCounts


def judge_counts(
    found: BenchmarkSet | CountedSet,
    counted: Mapping[str, ScoreCounts],
    *,
    components: Mapping[str, ComponentResult] | None = None,
    own_masks: bool = False,
    beside: Mapping[str, Mapping[str, Any]] | None = None,
    inputs_sha256: str = "",
    segmentation: ClassFigures | None = None,
) -> AnomalySetResult:
    """Judge a set whose frames are all counted.

    Args:
        found: the set; its order of frames is that of all tables and draws.
        counted: by score, at least one; all by the same rules.
        components: component figures by score, where the rules have them and they were judged.
        own_masks: whether those are of masks that a method handed in, not of the official threshold.
        beside: by score, what else stands beside its metrics in results.json.
        inputs_sha256: of the frames' files, where all scores have the same.
        segmentation: of the known classes, where the labels tell them.

    Raises:
        UserError: the labels hold one class only; of a mean over frames, no frame has figures.
    """
    order = [frame if isinstance(frame, str) else frame.name for frame in found.frames]
    first = next(iter(counted.values()))
    protocol, tpr = first.protocol, first.about.tpr
    official: dict[str, tuple[Mapping[str, float], Mapping[str, Any]]] = {}
    official_intervals: dict[str, Mapping[str, Interval]] = {}
    for name, counts in counted.items():
        own = (components or {}).get(name)
        metrics, entry = official_entry(protocol, counts.binned.result(), own) if protocol.binned else ({}, {})
        if own_masks:
            entry = told_of_masks(entry)
        official[name] = metrics, {**entry, **(beside or {}).get(name, {})}
        official_intervals[name] = {
            **(binned_intervals([counts.frames[frame].bins for frame in order]) if protocol.binned else {}),
            **({} if own is None else component_intervals(_in_order(own, order))),
        }
    scores = {name: counts.pool.result(reach=protocol.reach, tpr=tpr) for name, counts in counted.items()}
    drawn = {name: _intervals(counts, scores[name].metrics, order) for name, counts in counted.items()}
    notes = [note for name, (_, astray) in drawn.items() for note in _without_interval(name, astray)]
    judged = AnomalySetResult(
        replace(found, notes=(*found.notes, *notes)),
        first.pixels,
        scores=scores,
        frames={name: counts.metrics_of(order) for name, counts in counted.items()},
        groups={name: _groups(counts, order) for name, counts in counted.items()},
        counts={name: counts.rounded_of(order) for name, counts in counted.items()},
        intervals={name: inside for name, (inside, _) in drawn.items()},
        inputs_sha256=inputs_sha256,
        official_intervals=official_intervals,
        official=official,
        segmentation=segmentation,
        protocol=protocol,
        tpr=tpr,
    )
    for name in counted:
        judged.metrics(name)  # a mean over frames of which none has figures is told before anything is written
    return judged


def _in_order(found: ComponentResult, order: list[str]) -> list[FrameComponents]:
    """The frames in the order of the set: what is drawn must not depend on where their files lie."""
    by_name = {frame.frame: frame for frame in found.frames}
    return [by_name[name] for name in order]


def _groups(counts: ScoreCounts, order: list[str]) -> dict[str, GroupFigures]:
    """Of towns and weathers, by the rules of the whole set."""
    if counts.protocol.pooling != "pooled":
        return mean_of_groups(counts.groups, counts.metrics_of(order))
    return counts.pool.figures(counts.groups, reach=counts.protocol.reach, tpr=counts.about.tpr)


def _intervals(
    counts: ScoreCounts, metrics: Mapping[str, float], order: list[str]
) -> tuple[dict[str, Interval], list[str]]:
    """Of the exact figures, and the figures that the frames' counts miss.

    The bootstrap pools pixels, and reads FPR95 at the first threshold with TPR >= .95.
    """
    if counts.protocol.pooling != "pooled":
        return {}, []
    usual = counts.protocol.reach == "first" and counts.about.tpr == TPR
    wanted = {figure: value for figure, value in metrics.items() if usual or not figure.startswith("FPR")}
    drawn = intervals(counts.rounded_of(order), wanted)
    return {figure: drawn[figure] for figure in wanted if figure in drawn}, [
        figure for figure in wanted if figure not in drawn
    ]


def _without_interval(name: str, astray: Sequence[str]) -> list[str]:
    if not astray:
        return []
    return [
        f"{name}: no interval of {', '.join(astray)}, as the counts of single frames, which are drawn from, give "
        f"figures that are more than {NEAR:g} away from those of the pixels."
    ]
