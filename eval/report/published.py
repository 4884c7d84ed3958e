"""Figures that papers print, to stand beside ours: `published.json`, which names the source of each.

They compare only where the same frames were judged in the same way, so they are shown for full sets alone, told by
the number, names and sizes of frames (`eval/benchmarks/whole.py`), for pooled pixels alone, and with the benchmark's
default options alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shards.plural import plural

_FILE = Path(__file__).with_name("published.json")


@dataclass(frozen=True, slots=True)
class Published:
    """What one paper prints of one method on one set.

    Attributes:
        method: its name.
        network: its backbone; empty where the source does not say.
        source: where it is printed.
        metrics: figures by name, fractions 0..1.
    """

    method: str
    network: str
    source: str
    metrics: Mapping[str, float]

    @property
    def title(self) -> str:
        """Method and network."""
        return f"{self.method}, {self.network}" if self.network else self.method


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """A set of a benchmark whose labels are public.

    Attributes:
        name: what people call it.
        benchmark: name of its benchmark here.
        part: which set of the benchmark it is (`BenchmarkSet.part`); empty where there is one only.
        frames: how many the full set has.
        caution: a sentence on what does not compare; empty if there is none.
        rows: the figures.
    """

    name: str
    benchmark: str
    part: str
    frames: int
    caution: str
    rows: tuple[Published, ...]


@cache
def published_sets() -> tuple[PublishedSet, ...]:
    """All that published.json holds."""
    content = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(
        PublishedSet(
            name=found["name"],
            benchmark=found["benchmark"],
            part=found["part"],
            frames=found["frames"],
            caution=found.get("caution", ""),
            rows=tuple(
                Published(
                    method=row["method"],
                    network=row.get("network", ""),
                    source=content["sources"][row["source"]],
                    metrics={
                        key: value / 100 for key, value in row.items() if key not in ("method", "network", "source")
                    },
                )
                for row in found["rows"]
            ),
        )
        for found in content["sets"]
    )


def published_for(name: str, entry: Mapping[str, Any]) -> tuple[tuple[Published, ...], tuple[str, ...]]:
    """The published figures that stand beside those of a set, and sentences on why there are none or what to mind.

    Args:
        name: of the set in results.json.
        entry: what results.json says of it.
    """
    part = entry.get("part", "")
    candidates = [
        known
        for known in published_sets()
        if known.benchmark == entry.get("benchmark") and (not part or known.part == part)
    ]
    if not candidates:
        return (), (f"{name}: no published figures are known here.",)
    # Where nothing tells which set of its benchmark it is, its size does: no two of them have as many frames.
    found = next((known for known in candidates if known.frames == entry["frames"]), None)
    if found is None:
        full = " or ".join(f"{known.name}, {plural(known.frames, 'frame')}" for known in candidates)
        return (), (
            f"{name}: published figures are of the full set, {full}; "
            f"here {plural(entry['frames'], 'was', 'were')} judged, so they would not compare and are left out.",
        )
    if not entry.get("whole"):
        return (), (
            f"{name}: it has as many frames as {found.name}, but their names or sizes are others (a toy set, or a "
            "copy that was renamed or resized), so published figures would not compare and are left out.",
        )
    if entry.get("options"):
        chosen = ", ".join(f"{key}={value}" for key, value in entry["options"].items())
        return (), (f"{name}: published figures are judged without {chosen}, so they would not compare; left out.",)
    conventions = [score.get("convention", {}) for score in entry["scores"].values()]
    if any("mean over frames" in str(rules.get("pooling")) for rules in conventions):
        return (), (f"{name}: published figures are of pooled pixels, these are means over frames; left out.",)
    return found.rows, ((f"{name}: {found.caution}",) if found.caution else ())
