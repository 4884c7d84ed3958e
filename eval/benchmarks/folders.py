"""Which benchmark a folder is, and the pairs in it: the path grammar that the benchmarks share.

The flat layout, which projects pass around for every benchmark, is

    SET/images/<key>.<png|jpg|jpeg|webp>
    SET/labels_masks/<key>.png      or  <key>_labels_semantic.png  or  <key>_labels.png

so a flat folder may need its own name to tell what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from eval.benchmarks.encoding import PLAIN, Encoding
from eval.benchmarks.sets import BenchmarkFrame
from eval.benchmarks.trees import IMAGE_SUFFIXES, TREES, halves
from shards.errors import UserError
from shards.plural import plural

OFFICIAL_MASK = re.compile(r"(?P<number>\d{4})_(?P<base>.+)_labels\.png")
"""A mask of the Fishyscapes download."""

FRAME_ENDINGS: Final = (
    *("_labels_semantic", "_labels", "_leftImg8bit", "_leftLabel", "_rgb_anon", "_rgb", "_train_id"),
    *(f"_{kind}_{ids}" for kind in ("gt", "gtCoarse", "gtFine") for ids in ("labelIds", "labelTrainIds")),
)
"""What the benchmarks append to the name of a frame, for its image and for its label: the one table of them, which
`eval/scoremaps.py` adds to what tools append."""

_NAMES: Mapping[str, re.Pattern[str]] = {
    # The first that matches wins: RoadAnomaly21 is SMIYC's AnomalyTrack, not RoadAnomaly.
    "smiyc": re.compile(
        r"anomaly_?track|obstacle_?track|road_?anomaly_?21|road_?obst[ai]cle|obsticle|\bra_?21|\bro_?21|smiyc"
    ),
    "fishyscapes": re.compile(r"fishy|^fs(_|$)|fs_|lost_?and_?found|lost_?found|^laf"),
    "roadanomaly": re.compile(r"road_?anomaly"),
    "cityscapes": re.compile(r"cityscapes"),
    "streethazards": re.compile(r"street_?hazards"),
    "acdc-poc": re.compile(r"acdc"),
    "muad": re.compile(r"muad"),
    "bdd-anomaly": re.compile(r"bdd"),
}
_FLAT = frozenset(_NAMES) - {"cityscapes"}
"""What a flat folder can be."""


def images_in(folder: Path) -> list[Path]:
    """Pictures directly inside a folder, hidden files left out, in the order of their names."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def is_flat(folder: Path) -> bool:
    """Whether it holds images/ and labels_masks/."""
    return (folder / "images").is_dir() and (folder / "labels_masks").is_dir()


def guess(folder: Path) -> str | None:
    """The benchmark that a folder looks like: by its structure, else by its name; None if neither tells."""
    for benchmark in TREES:
        if halves(folder, benchmark) is not None:
            return benchmark
    if (folder / "frames").is_dir():
        return "roadanomaly"
    by_name = named(folder)
    if is_flat(folder):
        if by_name in _FLAT:
            return by_name
        labels = [path.name for path in images_in(folder / "labels_masks")]
        if any(name.endswith("_labels_semantic.png") for name in labels):
            return "smiyc"
        return "fishyscapes" if any(OFFICIAL_MASK.fullmatch(name) for name in labels) else None
    # Looked at by name only: the folder may be one of a hundred thousand photographs.
    if by_name in (None, "fishyscapes") and any(OFFICIAL_MASK.fullmatch(path.name) for path in folder.iterdir()):
        return "fishyscapes"
    return None


def named(folder: Path) -> str | None:
    """The benchmark that a folder's name says, whatever is in it."""
    return next((key for key, pattern in _NAMES.items() if pattern.search(folder.name.lower())), None)


def pair(
    images: Iterable[Path], labels: Iterable[Path], where: Path, encoding: Encoding = PLAIN
) -> tuple[BenchmarkFrame, ...]:
    """Pair images and labels by the key in their names.

    Raises:
        UserError: one without the other, or two files of one key.
    """
    by_image, by_label = _by_key(images, where), _by_key(labels, where)
    for what, missing in (
        ("without a label", by_image.keys() - by_label.keys()),
        ("without an image", by_label.keys() - by_image.keys()),
    ):
        if missing:
            names = ", ".join(sorted(missing)[:5]) + (" ..." if len(missing) > 5 else "")
            raise UserError(
                f"{where} is incomplete: {plural(len(missing), 'frame is', 'frames are')} {what}: {names}."
            )
    return tuple(BenchmarkFrame(key, by_image[key], by_label[key], encoding) for key in sorted(by_image))


def flat_frames(
    folder: Path, keep: Callable[[str], bool] = lambda key: True, encoding: Encoding = PLAIN
) -> tuple[BenchmarkFrame, ...]:
    """The pairs of a flat folder; coloured copies of the labels are no labels.

    Args:
        folder: holds images/ and labels_masks/.
        keep: which keys count; the others need no partner.
        encoding: of the labels.

    Raises:
        UserError: unpaired files, or no pair at all.
    """
    images = [path for path in images_in(folder / "images") if keep(key_of(path))]
    labels = [
        path for path in images_in(folder / "labels_masks") if not path.stem.endswith("_color") and keep(key_of(path))
    ]
    if not images and not labels:
        raise UserError(f"{folder} holds no frames: images/ and labels_masks/ are empty.")
    return pair(images, labels, folder, encoding)


def key_of(path: Path) -> str:
    """The part of a file's name that an image and its label share."""
    return without_endings(path.stem, FRAME_ENDINGS)


def without_endings(stem: str, endings: Iterable[str]) -> str:
    """A name without all endings that it has, one after the other; it is never left empty.

    Args:
        stem: of a file.
        endings: the longest that fits is taken first.
    """
    longest = sorted(endings, key=len, reverse=True)
    while ending := next((text for text in longest if stem.endswith(text) and stem != text), ""):
        stem = stem.removesuffix(ending)
    return stem


def _by_key(paths: Iterable[Path], where: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        key = key_of(path)
        if key in found:
            raise UserError(f"{where} holds two files for frame {key}: {found[key].name} and {path.name}.")
        found[key] = path
    return found
