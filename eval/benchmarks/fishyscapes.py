"""Fishyscapes validation: Lost & Found (100 frames) and Static (30 frames) (Blum et al., IJCV 2021).

The official Lost & Found download holds masks only, named after frames of the LostAndFound data set, which has to
be downloaded too; they are joined by that base name, wherever below the folder they lie:

    .../DDDD_<base>_labels.png          0 known, 1 anomaly, 255 void
    .../<base>_leftImg8bit.png

The flat layout (`folders.py`) is read for both. Static is read flat only, composed: the official download adds
overlays to Cityscapes images, and its versions 1 to 3 are not comparable with each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from eval.benchmarks.folders import (
    OFFICIAL_MASK,
    candidates,
    check_unique,
    flat_frames,
    guess,
    is_flat,
    wrong_folder,
)
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet
from shards.cards import Card
from shards.errors import UserError

CARD = Card(
    "benchmark",
    "fishyscapes",
    "Fishyscapes validation: Lost & Found (100 frames) and Static (30 frames)",
    title="The Fishyscapes Benchmark: Measuring Blind Spots in Semantic Segmentation",
    venue="IJCV",
    year=2021,
    url="https://fishyscapes.com",
    needs=("masks of Fishyscapes Lost & Found and images of LostAndFound, or flat images/ + labels_masks/ folders",),
    licence="LostAndFound and Cityscapes images: non-commercial, no redistribution",
)

_IMAGE = re.compile(r"(?P<base>.+)_leftImg8bit\.png")
_EXPECTED = (
    "masks DDDD_<base>_labels.png with LostAndFound images <base>_leftImg8bit.png anywhere below it, "
    "or images/ + labels_masks/"
)


def find(folder: Path) -> list[BenchmarkSet]:
    """The Fishyscapes sets of a folder: itself, or those inside it.

    Raises:
        UserError: it holds none, or an incomplete one.
    """
    flat = [path for path in candidates(folder, CARD.name) if is_flat(path)]
    sets = [BenchmarkSet(path.name, CARD.name, "flat", flat_frames(path)) for path in flat]
    if folder not in flat and guess(folder) in (CARD.name, None):
        sets += _official_sets(folder, flat)
    if not sets:
        raise wrong_folder(folder, CARD.name, _EXPECTED)
    return check_unique(sorted(sets, key=lambda found: found.name), folder)


def _official_sets(folder: Path, flat: list[Path]) -> list[BenchmarkSet]:
    below = [path for path in sorted(folder.rglob("*.png")) if not any(path.is_relative_to(other) for other in flat)]
    masks = [(path, match) for path in below if (match := OFFICIAL_MASK.fullmatch(path.name))]
    if not masks:
        return []
    images: dict[str, Path] = {}
    for path in below:
        if match := _IMAGE.fullmatch(path.name):
            images.setdefault(match["base"], path)
    _check_complete(folder, masks, images)
    frames = tuple(
        BenchmarkFrame(f"{match['number']}_{match['base']}", images[match["base"]], path)
        for path, match in sorted(masks, key=lambda mask: mask[0].name)
    )
    return [BenchmarkSet(_name(folder, masks), CARD.name, "official", frames)]


def _check_complete(folder: Path, masks: list[tuple[Path, re.Match[str]]], images: Mapping[str, Path]) -> None:
    missing = [match["base"] for _, match in masks if match["base"] not in images]
    if missing:
        shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        if any(folder.rglob("*.npz")):
            raise UserError(
                f"{folder} holds masks with .npz overlays: the official download of Fishyscapes Static. "
                "Compose the images first and lay them out flat: images/<key>.png and labels_masks/<key>.png."
            )
        raise UserError(
            f"{folder} is incomplete: {len(missing)} of {len(masks)} masks are without their LostAndFound image "
            f"<base>_leftImg8bit.png anywhere below it: {shown}. Put leftImg8bit/ of LostAndFound beside the masks."
        )
    names = [path.name for path, _ in masks]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{folder} holds the mask {twice[0]} twice.")


def _name(folder: Path, masks: list[tuple[Path, re.Match[str]]]) -> str:
    """The folder's name; in a parent of anything, that of the child which holds the masks and says what it is."""
    if _says_fishyscapes(folder):
        return folder.name
    children = {path.relative_to(folder).parts[0] for path, _ in masks}
    child = folder / children.pop() if len(children) == 1 else folder
    return child.name if child.is_dir() and _says_fishyscapes(child) else folder.name


def _says_fishyscapes(folder: Path) -> bool:
    """Whether a folder's name says Fishyscapes."""
    return bool(re.search(r"fishy|^fs_|^fs$", folder.name.lower()))
