"""Cityscapes validation: mIoU, what a detector costs on the task that it was trained for (Cordts et al., 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eval.benchmarks.folders import guess
from eval.benchmarks.search import wrong_folder
from shards.cards import Card
from shards.errors import UserError
from shards.layouts.cityscapes import CityscapesFrame, scan_cityscapes
from shards.plural import plural

CARD = Card(
    "benchmark",
    "cityscapes",
    "Cityscapes val: mIoU over the 19 classes, single scale",
    title="The Cityscapes Dataset for Semantic Urban Scene Understanding",
    venue="CVPR",
    year=2016,
    url="https://www.cityscapes-dataset.com",
    needs=("leftImg8bit/ and gtFine/",),
    licence="non-commercial, no redistribution",
)


@dataclass(frozen=True, slots=True)
class SegmentationSet:
    """A set that judges the semantic map; its name is the key in results.json."""

    name: str
    benchmark: str
    frames: tuple[CityscapesFrame, ...]
    notes: tuple[str, ...] = ()


def find(folder: Path, split: str = "val") -> list[SegmentationSet]:
    """The labelled frames of one split.

    Raises:
        UserError: it is not Cityscapes, the split is empty, or a file is without its partner.
    """
    if folder.is_dir() and guess(folder) not in (CARD.name, None):
        raise wrong_folder(folder, CARD.name, "leftImg8bit/ and gtFine/")
    scan = scan_cityscapes(folder, split)
    # A stray file is none of our business; half a pair means that the set is not whole.
    broken = [problem for problem in scan.problems if problem.reason != "unrecognised-name"]
    if broken:
        raise UserError(
            f"{folder} is incomplete: {plural(len(broken), 'file')} without a partner; first: {broken[0].detail}."
        )
    return [SegmentationSet(CARD.name, CARD.name, tuple(scan.frames))]
