"""Whether two figures compare: they must be of the same frames and labels, and by the same rules.

Name and number of frames are not enough: twelve frames of a toy world have the name of a benchmark's set, too. Two
entries of results.json are of the same frames where everything that both tell agrees: their number, the pixels of
their labels, and the digest of their files (`eval/inputs.py`; of score files there is one for each score, which
differs with the score and is not asked).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shards.plural import plural

Metrics = Mapping[str, float]
FRAMES: Final = "frames"
"""Stands among the rules in which two figures differ, where their frames do."""
_DIGITS: Final = 12
"""Of a digest, in a sentence."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run says of one set and score.

    Attributes:
        metrics: the figures.
        entry: what its results.json says of the set; empty where nothing is known.
        rules: its convention, as far as it tells.
    """

    metrics: Metrics
    entry: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)


def scores_judged(entry: Mapping[str, Any]) -> dict[str, Judged]:
    """The scores of a set's entry in results.json, by name."""
    return {
        score: Judged(found["metrics"], entry, found.get("convention", {}))
        for score, found in entry.get("scores", {}).items()
    }


def segmentation_judged(entry: Mapping[str, Any]) -> dict[str, Judged]:
    """What a set's entry in results.json says of the known classes, under no name; empty where it says nothing."""
    if "segmentation" not in entry:
        return {}
    found = entry["segmentation"]
    return {"": Judged(found["metrics"], entry, found.get("convention", {}))}


def apart(metric: str, one: Judged, first: Judged) -> list[str]:
    """The rules in which two figures differ, and `FRAMES`; empty where they compare."""
    keys = [
        key
        for key, rule in one.rules.items()
        if rule != first.rules.get(key, rule)
        # Rules of one figure say nothing of the others.
        and (key == metric.lower() or not (key in ("ap", "auroc") or key.startswith("fpr")))
    ]
    return [*([FRAMES] if other_frames(one.entry, first.entry) else []), *keys]


def other_frames(one: Mapping[str, Any], first: Mapping[str, Any], labels: tuple[str, str] = ("", "")) -> str:
    """How it is known that two entries are of other frames; empty where nothing tells.

    Args:
        one: an entry of results.json.
        first: another one.
        labels: names of their runs, for the sentence.

    Returns:
        A sentence without its end, such as "b judged 30 frames, a 4".
    """
    name, base = labels
    if _differ("frames", one, first):
        return f"{name} judged {plural(one['frames'], 'frame')}, {base} {first['frames']}"
    pixels = one.get("pixels", {}), first.get("pixels", {})
    kinds = [kind for kind in pixels[0] if _differ(kind, *pixels)]
    if kinds:
        counted = ", ".join(f"{pixels[0][kind]} and {pixels[1][kind]} {kind}" for kind in kinds)
        return f"{name} and {base} judged other frames or labels: their pixels are {counted}"
    if _differ("inputs_sha256", one, first):
        digests = " and ".join(found["inputs_sha256"][:_DIGITS] for found in (one, first))
        return f"{name} and {base} judged files of other bytes: their inputs_sha256 begin with {digests}"
    return ""


def sentences(metric: str, name: str, score: str, found: tuple[Judged, Judged], labels: tuple[str, str]) -> list[str]:
    """Why two figures do not compare, a sentence each; none where they do.

    Args:
        metric: of the figures.
        name: of the set.
        score: of the score; empty for the known classes.
        found: a later run and the first one.
        labels: names of the two.
    """
    one, first = found
    told = []
    for key in apart(metric, one, first):
        if key == FRAMES:
            told.append(f"{name}: {other_frames(one.entry, first.entry, labels)}.")
        else:
            told.append(
                f"{', '.join(filter(None, (name, score)))}: {labels[0]} and {labels[1]} differ in {key}: "
                f"{one.rules[key]!r} and {first.rules[key]!r}."
            )
    return told


def _differ(key: str, one: Mapping[str, Any], first: Mapping[str, Any]) -> bool:
    return None not in (one.get(key), first.get(key)) and one[key] != first[key]
