"""`anomsynth check`: what source folders hold, what is missing or unpaired, and what to do about it.

Shard sets are not checked but verified: `shards/verify.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from shards.errors import BadInput, UserError
from shards.layouts import cityscapes, coco
from shards.layouts.problem import Problem
from shards.progress import track

Item = TypeVar("Item")

ADVICE = {
    "image-without-labels": "Unpack gtFine_trainvaltest.zip beside leftImg8bit, or remove these pictures.",
    "labels-without-image": "Unpack leftImg8bit_trainvaltest.zip beside gtFine; builds leave these labels out.",
    "duplicate-image": "Keep one of each pair of equal names; builds use the first.",
    "duplicate-label": "Keep one of each pair of equal names; builds use the first.",
    "unrecognised-name": "Name pictures <id>_leftImg8bit.png; builds leave other names out.",
    "size-mismatch": "Copy image and labels from the same release again; builds leave these frames out.",
    "truncated-image": "Copy these files again; builds leave them out.",
    "unreadable-image": "Copy these files again; builds leave them out.",
    "unknown-label": "These maps hold values outside of the label table: are they labelTrainIds renamed, or colours?",
    "missing-image": "Unpack the picture archive of this split again; builds leave these pictures out.",
    "unusable-split": "Unpack the archives of this split, or remove what is left of it; other splits can be used.",
    "missing-shard": "Copy the shard again, or repeat the build command with --repair, which makes it alone again.",
    "shard-size": "Was the copy cut off? Copy the shard again, or repeat the build command with --repair.",
    "checksum": "The shard was changed after it was built: copy it again, or repeat the build command with --repair.",
    "unknown-shard": "Move it away: tools that read *.tar would take it for a part of the set.",
    "sample-count": "The manifest or a shard was changed after the set was built; build it in another folder.",
    "sample-list": "Lost or changed after the build: repeat the build command with --repair, which writes it again.",
    "reject-list": "Lost or changed after the build: repeat the build command with --repair, which writes it again.",
    "description": "Lost or changed after the build: repeat the build command with --repair, which writes it again.",
    "other-build": "The manifest or the shards belong to another build; build the set in another folder.",
    "pixel-counts": "The records were changed after the set was built: try --repair, or build it in another folder.",
    "label-values": "The set was not made by this tool or was damaged; build it in another folder.",
    "not-rebuilt": "Do the versions of the libraries differ from those the set was made by? If not, report a bug.",
}
"""What to do about a reason; reasons without a line here explain themselves."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The outcome of a check.

    Attributes:
        facts: (what, value) pairs for a table, in reading order.
        problems: everything that a build, training or evaluation would leave out.
    """

    facts: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]

    def by_reason(self) -> list[tuple[str, list[Problem]]]:
        """Problems grouped by reason, the most frequent first."""
        counts = Counter(problem.reason for problem in self.problems)
        return [(reason, [p for p in self.problems if p.reason == reason]) for reason, _ in counts.most_common()]


def check_cityscapes(root: Path, *, decode: bool) -> CheckReport:
    """Pairs, kinds of labels and sizes, those of the labels too, of every split; with `decode`, every pixel is read.

    Raises:
        UserError: not Cityscapes, or no split with a usable frame.
    """
    splits = sorted(path.name for path in (root / "leftImg8bit").glob("*") if path.is_dir()) or ["train"]
    facts: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for split, scan in _scan_all(splits, lambda name: cityscapes.scan_cityscapes(root, name), facts, problems):
        problems += scan.problems
        frames = scan.frames
        read = _read_frame if decode else cityscapes.check_sizes
        sizes = _collect(frames, read, lambda frame: frame.id, problems, f"Reading {split}")
        facts += [
            (f"{split}: frames", str(len(frames))),
            (f"{split}: towns", str(len({frame.city for frame in frames}))),
            (f"{split}: sizes", _shares(f"{width}x{height}" for width, height in sizes)),
            (f"{split}: with labelIds", _label_ids(frames)),
            (f"{split}: with instanceIds", str(sum(frame.instance_ids is not None for frame in frames))),
            (f"{split}: with labelTrainIds", str(sum(frame.train_ids is not None for frame in frames))),
        ]
    return CheckReport(tuple(facts), tuple(problems))


_NAMED: Final = 8
"""Frames that are named in a line of the table."""


def _label_ids(frames: Sequence[cityscapes.CityscapesFrame]) -> str:
    """How many frames have them, which do not, and who misses them."""
    absent = [frame.id for frame in frames if frame.label_ids is None]
    if not absent:
        return str(len(frames))
    if len(absent) == len(frames):
        return "0; `build voidclass` needs them, the other builds do not"
    named = ", ".join(absent[:_NAMED]) + (f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else "")
    return f"{len(frames) - len(absent)}; `build voidclass` leaves out those without: {named}"


def check_coco(root: Path, *, decode: bool) -> CheckReport:
    """Images, annotations, categories and licences of every split; with `decode`, every picture and mask is read.

    Raises:
        UserError: not COCO.
    """
    names = sorted(path.stem.removeprefix("instances_") for path in (root / "annotations").glob("instances_*.json"))
    facts: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for split, index in _scan_all(names or ["train2017"], lambda name: coco.scan_coco(root, name), facts, problems):
        problems += index.problems
        categories = Counter(annotation.category for annotation in index.annotations)
        facts += [
            (f"{split}: images", str(len(index.images))),
            (f"{split}: annotations", str(len(index.annotations))),
            (f"{split}: crowds", str(sum(annotation.crowd for annotation in index.annotations))),
            (f"{split}: categories", str(len(categories))),
            (f"{split}: most frequent", ", ".join(f"{name} {count}" for name, count in categories.most_common(6))),
            (f"{split}: licences", _shares(image.licence.name or "none" for image in index.images.values())),
        ]
        if decode:
            images = list(index.images.values())
            _collect(images, coco.read_image, lambda image: image.path.name, problems, f"Reading {split}")
            masks = partial(_read_mask, index)
            _collect(index.annotations, masks, lambda row: f"annotation {row.id}", problems, f"Masks of {split}")
    return CheckReport(tuple(facts), tuple(problems))


Value = TypeVar("Value")


def _scan_all(
    splits: list[str], scan: Callable[[str], Value], facts: list[tuple[str, str]], problems: list[Problem]
) -> Iterator[tuple[str, Value]]:
    """Scan each split; one that cannot be used becomes a problem, unless none can.

    Raises:
        UserError: that of the first split, when no split can be used.
    """
    refused = []
    for split in splits:
        try:
            scanned = scan(split)
        except UserError as error:
            refused.append(error)
            facts.append((split, "cannot be used"))
            problems.append(Problem("unusable-split", str(error), split))
        else:
            yield split, scanned
    if len(refused) == len(splits):
        raise refused[0]


def _collect(
    items: Iterable[Item],
    read: Callable[[Item], Value],
    name: Callable[[Item], str],
    problems: list[Problem],
    label: str,
) -> list[Value]:
    """Values of the items that can be read; the others become problems."""
    items = list(items)
    values = []
    for item in track(items, label, total=len(items), unit="files"):
        try:
            values.append(read(item))
        except BadInput as error:
            problems.append(Problem(error.reason, error.detail, name(item)))
    return values


def _read_mask(index: coco.CocoIndex, row: coco.CocoAnnotation) -> None:
    coco.annotation_mask(index.images[row.image_id], row)


def _read_frame(frame: cityscapes.CityscapesFrame) -> tuple[int, int]:
    size = cityscapes.check_sizes(frame)
    cityscapes.read_image(frame)
    cityscapes.read_semantic(frame)
    if frame.instance_ids is not None:
        cityscapes.read_instance_ids(frame)
    return size


def _shares(words: Iterable[str]) -> str:
    counts = Counter(words)
    shown = ", ".join(f"{word} ({count})" for word, count in counts.most_common(6))
    return shown + (f" and {len(counts) - 6} more" if len(counts) > 6 else "")
