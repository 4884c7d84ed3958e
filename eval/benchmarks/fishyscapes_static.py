"""Fishyscapes Static as it is downloaded: overlays that are added to images of Cityscapes val (Blum et al., 2021).

    fs_val_v3/DDDD_<base>_rgb.npz        what is added: array `rgb`, (H, W, 3) signed integers (`overlay.py`)
    fs_val_v3/DDDD_<base>_labels.png     0 known, 1 anomaly, 255 void
    .../<base>_leftImg8bit.png           Cityscapes val, wherever below the folder or the one given as `cityscapes`

Three versions are in use, and no figure of one can be compared with one of another: 1 pastes without blending, 2
blends, 3 blends better and pastes known objects, too. The files themselves do not say which they are; the names of
the archives do (fs_val_v1 to fs_val_v3), so the version is read from the folders' names, or given as `version`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.benchmarks.folders import OFFICIAL_MASK
from eval.benchmarks.search import files_below
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet
from shards.errors import UserError
from shards.plural import plural

PUBLISHED = 30
"""Frames of the validation set."""

STATIC = "Static"
"""The `part` of its set."""

IMAGE = re.compile(r"(?P<base>.+)_leftImg8bit\.png")
"""An image of Cityscapes or LostAndFound."""

_OVERLAY = re.compile(r"(?P<key>\d{4}_.+?)_?rgb\.npz")
_VERSION = re.compile(r"(?:^|[_\-. ])v?([123])(?:\.0\.0)?$")


def overlay_folders(folder: Path, beside: Sequence[Path] = ()) -> list[Path]:
    """Folders with overlays at any depth, sorted; those in `beside` belong to other sets."""
    places = {path.parent for path in files_below(folder, ".npz") if _OVERLAY.fullmatch(path.name)}
    return sorted(place for place in places if not any(place.is_relative_to(other) for other in beside))


def static_set(
    folder: Path, benchmark: str, name: str, images: Mapping[str, Path], version: str | None
) -> BenchmarkSet:
    """Read the masks and overlays of one folder.

    Args:
        folder: holds both.
        benchmark: the benchmark's name.
        name: the set's name.
        images: base name -> image of Cityscapes.
        version: "1", "2" or "3"; taken from the folders' names if None.

    Raises:
        UserError: masks without overlays or the reverse, a number that is there twice, or images that are missing.
    """
    masks = {match.string.removesuffix("_labels.png"): match["base"] for match in _matches(folder, OFFICIAL_MASK)}
    overlays = {match["key"]: folder / match.string for match in _matches(folder, _OVERLAY)}
    for one, other, missing in (
        ("mask", "overlay <key>_rgb.npz", masks.keys() - overlays.keys()),
        ("overlay", "mask <key>_labels.png", overlays.keys() - masks.keys()),
    ):
        if missing:
            alone = plural(len(missing), f"{one} is without its", f"{one}s are without their")
            raise UserError(f"{folder} (Fishyscapes Static) is incomplete: {alone} {other}: {_few(missing)}.")
    numbers = [key[:4] for key in masks]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise UserError(
            f"{folder} holds two masks with the number {twice[0]}: a mixture of versions? Unpack one only."
        )
    without = {base for base in masks.values() if base not in images}
    if without:
        raise UserError(
            f"{folder} (Fishyscapes Static) holds overlays only; {len(without)} of the {len(set(masks.values()))} "
            f"Cityscapes images <base>_leftImg8bit.png that they are added to are missing: {_few(without)}. "
            "Give the folder of Cityscapes: --set cityscapes=DIR, or put leftImg8bit/val beside the overlays."
        )
    frames = tuple(
        BenchmarkFrame(key, images[masks[key]], folder / f"{key}_labels.png", overlay=overlays[key])
        for key in sorted(masks)
    )
    return BenchmarkSet(name, benchmark, "official", frames, (_version_note(folder, version),), PUBLISHED, STATIC)


def cityscapes_images(folder: Path) -> dict[str, Path]:
    """Images of Cityscapes by base name, below leftImg8bit/val where that exists, else anywhere below.

    Raises:
        UserError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: the option cityscapes is the folder that holds leftImg8bit/.")
    start = folder / "leftImg8bit" / "val"
    found = images_below(start if start.is_dir() else folder)
    if not found:
        raise UserError(f"{folder} holds no *_leftImg8bit.png: the option cityscapes is the folder of Cityscapes.")
    return found


def images_below(folder: Path) -> dict[str, Path]:
    """Images named <base>_leftImg8bit.png, by base name; the first of two."""
    found: dict[str, Path] = {}
    for path in files_below(folder, "_leftImg8bit.png"):
        if match := IMAGE.fullmatch(path.name):
            found.setdefault(match["base"], path)
    return found


def _matches(folder: Path, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    return [match for path in sorted(folder.iterdir()) if (match := pattern.fullmatch(path.name))]


def _version_note(folder: Path, version: str | None) -> str:
    told = version
    for place in (folder, *folder.parents) if told is None else ():
        match = _VERSION.search(place.name.lower())
        if match and re.search(r"fs|fishy|static|^v[123]$", place.name.lower()):
            told = match[1]
            break
    if told is None:
        return (
            "The version is not told by a folder name such as fs_val_v3: give it as --set version=3. "
            "Figures of versions 1 to 3 cannot be compared."
        )
    return f"Version {told}; figures of versions 1 to 3 cannot be compared."


def _few(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (" ..." if len(names) > 3 else "")
