"""Fishyscapes validation: Lost & Found (100 frames) and Static (30 frames) (Blum et al., IJCV 2021).

The official Lost & Found download holds masks only, named after frames of the LostAndFound data set, which has to
be downloaded too; they are joined by that base name, wherever below the folder they lie:

    .../DDDD_<base>_labels.png          0 known, 1 anomaly, 255 void
    .../<base>_leftImg8bit.png

The flat layout (`folders.py`) is read for both. The official download of Static holds overlays that are added to
images of Cityscapes: `fishyscapes_static.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from eval.benchmarks.fishyscapes_static import (
    IMAGE,
    PUBLISHED,
    STATIC,
    cityscapes_images,
    images_below,
    overlay_folders,
    static_set,
)
from eval.benchmarks.folders import OFFICIAL_MASK, flat_frames, guess, is_flat
from eval.benchmarks.search import candidates, distinct, files_below, read_each, wrong_folder
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet
from shards.cards import Card
from shards.config import Config
from shards.errors import UserError
from shards.plural import plural

CARD = Card(
    "benchmark",
    "fishyscapes",
    "Fishyscapes validation: Lost & Found (100 frames) and Static (30 frames)",
    title="The Fishyscapes Benchmark: Measuring Blind Spots in Semantic Segmentation",
    venue="IJCV",
    year=2021,
    url="https://fishyscapes.com",
    needs=(
        "Lost & Found: the masks, and the images of LostAndFound",
        "Static: masks and overlays of one version, and the images of Cityscapes val",
        "or flat images/ + labels_masks/ folders of either",
    ),
    licence="LostAndFound and Cityscapes images: non-commercial, no redistribution",
)

LOST_AND_FOUND = "Lost & Found"
"""The `part` of its set."""

_EXPECTED = (
    "masks DDDD_<base>_labels.png with LostAndFound images <base>_leftImg8bit.png anywhere below it, "
    "the same masks beside overlays DDDD_<base>_rgb.npz, or images/ + labels_masks/"
)


class Options(Config):
    """What may differ between copies of Fishyscapes."""

    cityscapes: Path | None = None
    """Folder of Cityscapes, to whose val images the overlays of Static are added; default: looked for in the data."""

    version: Literal["1", "2", "3"] | None = None
    """Version of Static, where no folder's name tells it."""

    @field_validator("version", mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        """A bare 3 is a number in JSON."""
        return str(value) if type(value) is int else value


DEFAULT = Options()


def find(folder: Path, options: Options = DEFAULT) -> list[BenchmarkSet]:
    """The Fishyscapes sets of a folder: itself, or those inside it.

    Raises:
        UserError: it holds none, or an incomplete one.
    """
    flat = [path for path in candidates(folder, CARD.name) if is_flat(path)]
    readers: list[Callable[[], BenchmarkSet]] = [partial(_flat, path) for path in flat]
    if folder not in flat and guess(folder) in (CARD.name, "lostandfound", None):
        static = overlay_folders(folder, flat)
        readers += _static_sets(folder, static, options)
        readers += _lost_and_found(folder, [*flat, *static])
    if not readers:
        raise wrong_folder(folder, CARD.name, _EXPECTED)
    return distinct(sorted(read_each(readers), key=lambda found: found.name))


def _flat(folder: Path) -> BenchmarkSet:
    """A flat set; which one it is says the folder's name."""
    part = STATIC if "static" in folder.name.lower() else ""
    if not part and re.search(r"lost|laf", folder.name.lower()):
        part = LOST_AND_FOUND
    published = {STATIC: PUBLISHED, LOST_AND_FOUND: 100}.get(part)
    return BenchmarkSet(folder.name, CARD.name, "flat", flat_frames(folder), (), published, part)


def _static_sets(folder: Path, places: list[Path], options: Options) -> list[Callable[[], BenchmarkSet]]:
    if not places:
        return []
    images = cityscapes_images(options.cityscapes) if options.cityscapes else images_below(folder)
    return [partial(static_set, place, CARD.name, place.name, images, options.version) for place in places]


def _lost_and_found(folder: Path, others: list[Path]) -> list[Callable[[], BenchmarkSet]]:
    below = [path for path in files_below(folder, ".png") if not any(path.is_relative_to(other) for other in others)]
    masks = [(path, match) for path in below if (match := OFFICIAL_MASK.fullmatch(path.name))]
    return [partial(_joined, folder, masks, below)] if masks else []


def _joined(folder: Path, masks: list[tuple[Path, re.Match[str]]], below: list[Path]) -> BenchmarkSet:
    labels = _around([path for path, _ in masks])
    images: dict[str, Path] = {}
    # Of two images of one name, the one in the masks' own download: LostAndFound may lie beside it.
    for path in sorted(below, key=lambda path: -len(_around([labels / "x", path]).parts)):
        if match := IMAGE.fullmatch(path.name):
            images.setdefault(match["base"], path)
    _check_complete(folder, masks, images)
    frames = tuple(
        BenchmarkFrame(f"{match['number']}_{match['base']}", images[match["base"]], path)
        for path, match in sorted(masks, key=lambda mask: mask[0].name)
    )
    root = _around([*(frame.image for frame in frames), *(frame.label for frame in frames)])
    return BenchmarkSet(_name(folder, root, labels), CARD.name, "official", frames, (), 100, LOST_AND_FOUND)


def _check_complete(folder: Path, masks: list[tuple[Path, re.Match[str]]], images: Mapping[str, Path]) -> None:
    missing = [match["base"] for _, match in masks if match["base"] not in images]
    if missing:
        shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise UserError(
            f"{folder} is incomplete: {len(missing)} of {plural(len(masks), 'mask')} "
            f"{'is' if len(missing) == 1 else 'are'} without the LostAndFound image "
            f"<base>_leftImg8bit.png anywhere below it: {shown}. Put leftImg8bit/ of LostAndFound beside the masks."
        )
    names = [path.name for path, _ in masks]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{folder} holds the mask {twice[0]} twice.")


def _name(folder: Path, root: Path, labels: Path) -> str:
    """The name of the set's own folder.

    Args:
        folder: what the user gave.
        root: the lowest folder that holds all masks and images.
        labels: the lowest folder that holds all masks.

    Returns:
        The name of the first folder that says Fishyscapes, from the root down to the masks, else from the root up to
        the folder that was given; where none does, the root's.
    """
    down = [path for path in (*reversed(labels.parents), labels) if path.is_relative_to(root)]
    up = [path for path in root.parents if path.is_relative_to(folder)]
    return next((path.name for path in (*down, *up) if _says_fishyscapes(path)), root.name)


def _around(files: list[Path]) -> Path:
    """The lowest folder that holds all of some files."""
    return Path(os.path.commonpath([path.parent for path in files]))


def _says_fishyscapes(folder: Path) -> bool:
    """Whether a folder's name says Fishyscapes."""
    return bool(re.search(r"fishy|^fs_|^fs$", folder.name.lower()))
