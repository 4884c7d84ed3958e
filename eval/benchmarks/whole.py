"""Which sets are the published ones, whole: told by the number, the names and the sizes of their frames.

Published figures compare with nothing else. Ten frames are not yet AnomalyTrack: a toy world and a copy that somebody
shrank have as many.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from eval.benchmarks.fishyscapes import LOST_AND_FOUND
from eval.benchmarks.fishyscapes_static import STATIC
from eval.benchmarks.smiyc import ANOMALY_TRACK, OBSTACLE_TRACK

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PublishedFrames:
    """The frames of a set as they were published.

    Attributes:
        benchmark: its benchmark.
        part: which set of it (`BenchmarkSet.part`); empty where there is one only.
        frames: how many.
        name: what all their names look like, with the parts that flat copies leave out.
        sizes: (width, height) that they have; empty where that is not known.
    """

    benchmark: str
    part: str
    frames: int
    name: re.Pattern[str]
    sizes: tuple[Size, ...]

    def holds(self, names: Collection[str], pixels: int) -> bool:
        """Whether these are its frames.

        Args:
            names: of the frames.
            pixels: of all their labels together.
        """
        areas = sorted(width * height for width, height in self.sizes) or [0]
        most = areas[-1] or pixels
        return (
            len(names) == self.frames
            and all(self.name.fullmatch(name) for name in names)
            and self.frames * areas[0] <= pixels <= self.frames * most
        )


_CITYSCAPES: Final = (2048, 1024)
_HD: Final = (1280, 720)
_FULL_HD: Final = (1920, 1080)
PUBLISHED: Final = (
    PublishedFrames("fishyscapes", LOST_AND_FOUND, 100, re.compile(r"\d{4}(_\d\d_.+_\d{6}_\d{6})?"), (_CITYSCAPES,)),
    PublishedFrames("fishyscapes", STATIC, 30, re.compile(r"\d{4}(_[a-z]+_\d{6}_\d{6})?"), (_CITYSCAPES,)),
    # Its names are words; mirrors number them.
    PublishedFrames("roadanomaly", "", 60, re.compile(r"(?!toy).+"), (_HD,)),
    PublishedFrames("smiyc", ANOMALY_TRACK.name, 10, re.compile(r"validation\d{4}"), (_HD, _CITYSCAPES)),
    PublishedFrames("smiyc", OBSTACLE_TRACK.name, 30, re.compile(r"validation_\d+(_.+)?"), (_FULL_HD,)),
    PublishedFrames("acdc-poc", "", 200, re.compile(r"G(OPR|P)\d+_frame_\d{6}.*"), ()),
    PublishedFrames("muad", "", 240, re.compile(r"\d+"), (_CITYSCAPES,)),
)
"""Sets of which papers print figures."""


def is_whole(benchmark: str | None, part: str, names: Collection[str], pixels: int) -> bool:
    """Whether a set is a published one, and all of it.

    Args:
        benchmark: its benchmark; None where nothing tells.
        part: which set of it; empty where nothing tells.
        names: of its frames.
        pixels: of all its labels together.
    """
    return any(
        known.holds(names, pixels)
        for known in PUBLISHED
        if known.benchmark == benchmark and (not part or known.part == part)
    )
