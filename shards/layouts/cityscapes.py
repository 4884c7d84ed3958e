"""Cityscapes on disk.

The official layout, where SPLIT is train, val, test ... and CITY the recording's town::

    ROOT/leftImg8bit/SPLIT/CITY/<id>_leftImg8bit.png
    ROOT/gtFine/SPLIT/CITY/<id>_gtFine_labelIds.png        the 34 labelIds, void ids among them
    ROOT/gtFine/SPLIT/CITY/<id>_gtFine_labelTrainIds.png   0..18 and 255, if somebody made them
    ROOT/gtFine/SPLIT/CITY/<id>_gtFine_instanceIds.png     16 bit: labelId, or labelId * 1000 + number

and the flat sets that are passed around: the same names without a CITY folder, often with labelTrainIds only, their
pictures sometimes as jpg or webp. Pairs are found by the parsed <id>, never by sort order (law 4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Int32, UInt8

from shards.codec import decode_image, decode_map, decode_size
from shards.errors import BadInput, UserError
from shards.labels import CITYSCAPES_CLASSES, IGNORE, NUM_CLASSES, train_ids
from shards.layouts.problem import Problem

_IMAGES: Final = "leftImg8bit"
_LABELS: Final = "gtFine"
_IMAGE_NAME: Final = re.compile(r"(?P<id>.+)_leftImg8bit\.(png|jpg|jpeg|webp)")
_LABEL_NAME: Final = re.compile(r"(?P<id>.+)_gtFine_(?P<kind>labelIds|labelTrainIds|instanceIds)\.png")
_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})


@dataclass(frozen=True, slots=True)
class CityscapesFrame:
    """One picture and its label maps.

    Attributes:
        id: the parsed name, such as ``aachen_000000_000019``; flat sets: ``train1``.
        city: folder below the split; empty in flat sets.
        split: ``train``, ``val`` ...
        image: the photograph.
        label_ids: map of the 34 labelIds.
        train_ids: map of the trainIds.
        instance_ids: map of the instances.
    """

    id: str
    city: str
    split: str
    image: Path
    label_ids: Path | None
    train_ids: Path | None
    instance_ids: Path | None


@dataclass(frozen=True, slots=True)
class Scan:
    """What a split holds.

    Attributes:
        frames: the pairs, sorted by id.
        problems: files that make no pair, sorted.
    """

    frames: tuple[CityscapesFrame, ...]
    problems: tuple[Problem, ...]


def scan_cityscapes(root: Path, split: str) -> Scan:
    """Find the pairs of a split by their names; opens no file.

    Args:
        root: the folder that holds leftImg8bit/ and gtFine/.
        split: name of the folder below these two.

    Returns:
        The frames, and what was left out: ``unrecognised-name``, ``duplicate-image``, ``duplicate-label``,
        ``image-without-labels``, ``labels-without-image``.

    Raises:
        UserError: no such folder, no Cityscapes layout, no such split, or no pair in it.
    """
    _check_root(root)
    _check_split(root, split)
    problems: list[Problem] = []
    images = _find_images(root / _IMAGES / split, problems)
    labels = _find_labels(root / _LABELS / split, problems)

    frames = []
    for frame_id, path in images.items():
        maps = labels.get(frame_id, {})
        if "labelIds" not in maps and "labelTrainIds" not in maps:
            detail = f"{path.name} has neither {frame_id}_gtFine_labelIds.png nor {frame_id}_gtFine_labelTrainIds.png"
            problems.append(Problem("image-without-labels", detail, frame_id))
            continue
        frames.append(
            CityscapesFrame(
                id=frame_id,
                city=path.parent.name if path.parent != root / _IMAGES / split else "",
                split=split,
                image=path,
                label_ids=maps.get("labelIds"),
                train_ids=maps.get("labelTrainIds"),
                instance_ids=maps.get("instanceIds"),
            )
        )
    for frame_id in labels.keys() - images.keys():
        name = min(path.name for path in labels[frame_id].values())
        problems.append(
            Problem("labels-without-image", f"{name} has no {frame_id}_leftImg8bit picture beside it", frame_id)
        )
    if not frames:
        apart = ", none of which belong together" if images and labels else ""
        raise UserError(
            f"The split {split!r} of {root} holds no usable frame: {len(images)} pictures named *_leftImg8bit.png "
            f"and {len(labels)} label maps named *_gtFine_labelIds.png or *_gtFine_labelTrainIds.png were found"
            f"{apart}."
        )
    return Scan(tuple(sorted(frames, key=lambda frame: frame.id)), tuple(sorted(problems)))


def read_image(frame: CityscapesFrame) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph, (H, W, 3) uint8 RGB.

    Raises:
        BadInput: ``missing-image``, ``truncated-image``, ``unreadable-image``.
    """
    return decode_image(_bytes(frame.image, "missing-image"), frame.image.name)


def read_semantic(frame: CityscapesFrame) -> UInt8[np.ndarray, "h w"]:
    """The semantic map, (H, W) uint8 trainIds 0..18, 255 = ignore; from labelIds, else from labelTrainIds.

    Raises:
        BadInput: ``missing-label``, ``size-mismatch``, ``unknown-label``, or the reasons of a broken picture.
    """
    if frame.label_ids is not None:
        return train_ids(read_label_ids(frame))
    if frame.train_ids is None:
        raise BadInput("missing-label", f"{frame.id} has neither labelIds nor labelTrainIds")
    return _read_labels(frame, frame.train_ids, highest=NUM_CLASSES - 1)


def read_label_ids(frame: CityscapesFrame) -> UInt8[np.ndarray, "h w"]:
    """The map of labelIds, (H, W) uint8: 0..33, 255 = license plate.

    Raises:
        BadInput: ``no-label-ids`` where only trainIds exist, ``size-mismatch``, ``unknown-label``, or the
            reasons of a broken picture.
    """
    if frame.label_ids is None:
        raise BadInput("no-label-ids", f"{frame.id} comes with labelTrainIds only, which do not tell void ids apart")
    return _read_labels(frame, frame.label_ids, highest=CITYSCAPES_CLASSES[-1].label_id)


def read_instance_ids(frame: CityscapesFrame) -> Int32[np.ndarray, "h w"]:
    """The map of instances, (H, W) int32: a labelId, or labelId * 1000 + number of the instance.

    Raises:
        BadInput: ``no-instance-ids``, ``size-mismatch``, or the reasons of a broken picture.
    """
    if frame.instance_ids is None:
        raise BadInput("no-instance-ids", f"{frame.id} comes without instanceIds")
    labels = decode_map(_bytes(frame.instance_ids, "missing-label"), frame.instance_ids.name)
    _check_size(frame, frame.instance_ids, labels)
    return labels.astype(np.int32)


def image_size(frame: CityscapesFrame) -> tuple[int, int]:
    """(width, height) of the photograph in pixels, from the header of its file.

    Raises:
        BadInput: ``missing-image``, ``truncated-image``, ``unreadable-image`` or ``oversized-image``.
    """
    return _header_size(frame.image, "missing-image")


def check_sizes(frame: CityscapesFrame) -> tuple[int, int]:
    """(width, height) of the photograph, once the headers of all its label maps say the same.

    Raises:
        BadInput: ``missing-label``, ``size-mismatch``, or the reasons of `image_size`.
    """
    size = image_size(frame)
    for path in (frame.label_ids, frame.train_ids, frame.instance_ids):
        if path is not None:
            _compare(path, _header_size(path, "missing-label"), size)
    return size


def _read_labels(frame: CityscapesFrame, path: Path, *, highest: int) -> UInt8[np.ndarray, "h w"]:
    labels = decode_map(_bytes(path, "missing-label"), path.name)
    _check_size(frame, path, labels)
    if labels.dtype == np.uint8:
        fits = not ((labels > highest) & (labels != IGNORE)).any()
    else:
        fits = bool(np.isin(labels, [*range(highest + 1), IGNORE]).all())
    if not fits:
        strangers = np.setdiff1d(labels, [*range(highest + 1), IGNORE])
        values = ", ".join(map(str, strangers[:5].tolist()))
        raise BadInput("unknown-label", f"{path.name} holds {values}; expected 0..{highest} and {IGNORE}")
    return labels.astype(np.uint8, copy=False)


def _check_size(frame: CityscapesFrame, path: Path, labels: np.ndarray) -> None:
    height, width = labels.shape
    _compare(path, (width, height), image_size(frame))


def _compare(path: Path, found: tuple[int, int], size: tuple[int, int]) -> None:
    if found != size:
        detail = f"{path.name} is {found[0]}x{found[1]}, its picture {size[0]}x{size[1]}"
        raise BadInput("size-mismatch", detail)


def _header_size(path: Path, reason: str) -> tuple[int, int]:
    try:
        with path.open("rb") as file:
            return decode_size(file, path.name)
    except OSError as error:
        raise BadInput(reason, f"{path.name}: {error.strerror}") from error


def _bytes(path: Path, reason: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(reason, f"{path.name}: {error.strerror}") from error


def _find_images(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _files(folder):
        match = _IMAGE_NAME.fullmatch(path.name)
        if match is None:
            if path.suffix.lower() in _PICTURES:
                detail = f"{path.name} is not named <id>_leftImg8bit.(png|jpg|webp)"
                problems.append(Problem("unrecognised-name", detail, path.name))
        elif match["id"] in found:
            first = found[match["id"]].relative_to(folder).as_posix()
            detail = f"{path.relative_to(folder).as_posix()} has the id of {first}, which is used"
            problems.append(Problem("duplicate-image", detail, match["id"]))
        else:
            found[match["id"]] = path
    return found


def _find_labels(folder: Path, problems: list[Problem]) -> dict[str, dict[str, Path]]:
    """Label maps by id, then by kind; colour pictures and polygons beside them are passed over."""
    found: dict[str, dict[str, Path]] = {}
    for path in _files(folder):
        match = _LABEL_NAME.fullmatch(path.name)
        if match is None:
            continue
        maps = found.setdefault(match["id"], {})
        if match["kind"] in maps:
            first = maps[match["kind"]].relative_to(folder).as_posix()
            detail = f"{path.relative_to(folder).as_posix()} has the id of {first}, which is used"
            problems.append(Problem("duplicate-label", detail, match["id"]))
        else:
            maps[match["kind"]] = path
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Files of a split and of its city folders, in an order that does not depend on the file system."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from sorted(inner for inner in path.iterdir() if inner.is_file())
        elif path.is_file():
            yield path


def _check_root(root: Path) -> None:
    expected = f"expected the Cityscapes folder with {_IMAGES}/ and {_LABELS}/ in it"
    if not root.is_dir():
        raise UserError(f"There is no folder {root}: {expected}.")
    missing = [name for name in (_IMAGES, _LABELS) if not (root / name).is_dir()]
    if not missing:
        return
    inside = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    if any((root / "annotations").glob("instances_*.json")) or (root / "train2017").is_dir():
        raise UserError(f"{root} looks like COCO (annotations/, train2017/), not like Cityscapes: {expected}.")
    if root.name in (_IMAGES, _LABELS):
        raise UserError(f"{root} is one of Cityscapes' two halves: give the folder above it, {root.parent}.")
    deeper = next((path for path in sorted(root.iterdir()) if (path / _IMAGES).is_dir()), None)
    if deeper is not None and len(missing) == 2:
        raise UserError(f"{root} is not the Cityscapes folder, but {deeper} inside it may be: {expected}.")
    shown = ", ".join(inside[:6]) + (", ..." if len(inside) > 6 else "") if inside else "nothing"
    raise UserError(f"{root} is not Cityscapes: {expected}, found {shown}.")


def _check_split(root: Path, split: str) -> None:
    for half in (_IMAGES, _LABELS):
        if split and (root / half / split).is_dir():
            continue
        splits = sorted(path.name for path in (root / half).iterdir() if path.is_dir())
        known = f"there are: {', '.join(splits)}" if splits else "there is none"
        raise UserError(f"{root / half} has no split {split!r}: {known}.")
