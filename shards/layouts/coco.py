"""COCO on disk: instance annotations of one split and its pictures.

::

    ROOT/annotations/instances_SPLIT.json
    ROOT/SPLIT/000000000009.jpg

The JSON is read here, not with `pycocotools.coco`, which prints, trusts every row and dies of the first broken one.
Rows that cannot be used become problems with a reason; pixels are only touched by `annotation_mask`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from pycocotools import mask as coco_mask

from shards.coded import MAX_PIXELS, CodedImage
from shards.errors import BadInput, UserError
from shards.layouts.licences import Licence
from shards.layouts.problem import Problem
from shards.layouts.runs import expanded, painted
from shards.places import file_sizes

_KEYS: Final = ("images", "annotations", "categories")
_OUTSIDE: Final = 1.0
"""Pixels by which a polygon may leave its picture: rounding of the annotation tool, not a wrong size."""


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One picture.

    Attributes:
        id: COCO's number of it.
        path: the file.
        width: pixels, as the JSON says.
        height: pixels, as the JSON says.
        licence: from the JSON's list.
    """

    id: int
    path: Path
    width: int
    height: int
    licence: Licence


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """One annotated object (or crowd).

    Attributes:
        id: COCO's number of it.
        image_id: the picture that it is in.
        category: name of its class, such as ``dog``.
        crowd: a group annotated as one (iscrowd = 1).
        area: pixels of the object, as the JSON says.
        box: (x, y, width, height) in pixels.
        segmentation: as in the JSON: polygons, or a dict with run lengths, compressed or not.
    """

    id: int
    image_id: int
    category: str
    crowd: bool
    area: float
    box: tuple[float, float, float, float]
    segmentation: Any


@dataclass(frozen=True, slots=True)
class CocoIndex:
    """What one split holds.

    Attributes:
        split: such as ``train2017``.
        images: pictures by id.
        annotations: usable annotations of these pictures, sorted by id.
        categories: names of the classes, sorted.
        problems: rows and files that cannot be used, sorted.
        fingerprint: what the split is, without paths or times: JSON types.
    """

    split: str
    images: Mapping[int, CocoImage]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[str, ...]
    problems: tuple[Problem, ...]
    fingerprint: Mapping[str, Any]


def scan_coco(root: Path, split: str) -> CocoIndex:
    """Read the annotations of a split and check every row that will be used; opens no picture.

    Args:
        root: the folder that holds annotations/ and the pictures' folders.
        split: such as ``train2017``.

    Returns:
        The index; its problems have the reasons ``bad-image-row``, ``bad-annotation-row``, ``missing-image``,
        ``annotation-without-image``, ``unknown-category``, ``bad-bbox``, ``bad-segmentation`` and ``duplicate-id``.

    Raises:
        UserError: no such folder, no COCO layout, no such split, a JSON that is not COCO's, or no picture at all.
    """
    file = _find(root, split)
    data = file.read_bytes()
    loaded = _parse(data, file)
    sizes = file_sizes(root / split)
    problems: list[Problem] = []
    images = _images(loaded, root / split, sizes.keys(), problems)
    if not images:
        raise UserError(
            f"None of the {len(loaded['images'])} pictures named in {file} lies in {root / split}: "
            f"expected files such as {_example(loaded)}, found {len(sizes)} files."
        )
    categories = {
        number: row["name"]
        for row in loaded["categories"]
        if (number := _id(row)) is not None and _text(row.get("name"))
    }
    lost = {number for row in loaded["images"] if (number := _id(row)) is not None} - images.keys()
    annotations = _annotations(loaded, images, categories, lost, problems)
    listing = "\n".join(f"{image.path.name} {sizes[image.path.name]}" for _, image in sorted(images.items()))
    return CocoIndex(
        split=split,
        images=images,
        annotations=annotations,
        categories=tuple(sorted(categories.values())),
        problems=tuple(sorted(problems)),
        fingerprint={
            "dataset": "coco",
            "split": split,
            "files": len(images),
            "bytes": sum(sizes[image.path.name] for image in images.values()),
            "sha256": hashlib.sha256(listing.encode()).hexdigest(),
            "annotations_sha256": hashlib.sha256(data).hexdigest(),
        },
    )


def read_image(image: CocoImage) -> UInt8[np.ndarray, "h w 3"]:
    """The picture, (H, W, 3) uint8 RGB.

    Raises:
        BadInput: as `coded_image`.
    """
    return coded_image(image).image()


def coded_image(image: CocoImage) -> CodedImage:
    """The picture, not decoded.

    Raises:
        BadInput: ``missing-image``, ``truncated-image``, ``unreadable-image``, or ``size-mismatch`` with the JSON.
    """
    try:
        data = image.path.read_bytes()
    except OSError as error:
        raise BadInput("missing-image", f"{image.path.name}: {error.strerror}") from error
    coded = CodedImage.of(data, image.path.name)
    if (coded.width, coded.height) != (image.width, image.height):
        raise BadInput(
            "size-mismatch",
            f"{coded.name} is {coded.width}x{coded.height}, its annotations say {image.width}x{image.height}",
        )
    return coded


def annotation_mask(image: CocoImage, annotation: CocoAnnotation) -> Bool[np.ndarray, "h w"]:
    """The object's pixels, (H, W) bool, from polygons or from run lengths.

    Raises:
        BadInput: ``polygon-outside-image``, ``size-mismatch`` (run lengths of another picture), ``bad-segmentation``
            or ``empty-mask``.
    """
    name = f"annotation {annotation.id} of {image.path.name}"
    # Not pycocotools' decode, which NumPy 2 deprecates.
    mask = painted(_expanded(run_lengths(image, annotation)["counts"], name), image.height, image.width)
    if not mask.any():
        raise BadInput("empty-mask", f"{name} covers no pixel")
    return mask


def run_lengths(image: CocoImage, annotation: CocoAnnotation) -> dict[str, Any]:
    """The object's pixels as compressed run lengths, which pycocotools merges and measures without decoding.

    Raises:
        BadInput: as `annotation_mask`, but for ``empty-mask``.
    """
    name = f"annotation {annotation.id} of {image.path.name}"
    shape = [image.height, image.width]
    segmentation = annotation.segmentation
    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != shape:
            height, width = segmentation["size"]
            raise BadInput("size-mismatch", f"{name} is {width}x{height}, its picture {image.width}x{image.height}")
        counts = segmentation["counts"]
        if isinstance(counts, str | bytes):
            counts = _expanded(counts if isinstance(counts, bytes) else counts.encode(), name).tolist()
        if any(count < 0 for count in counts) or sum(counts) != image.height * image.width:
            # Anything else would be read beyond its end by the C code behind pycocotools.
            raise BadInput("bad-segmentation", f"{name}: the run lengths do not add up to the picture's pixels")
        packed: dict[str, Any] = coco_mask.frPyObjects({"counts": list(counts), "size": shape}, *shape)
        return packed
    for polygon in segmentation:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        low, high = points.min(axis=0), points.max(axis=0)
        if low.min() < -_OUTSIDE or high[0] > image.width + _OUTSIDE or high[1] > image.height + _OUTSIDE:
            raise BadInput(
                "polygon-outside-image",
                f"{name} reaches from ({low[0]:g}, {low[1]:g}) to ({high[0]:g}, {high[1]:g}) in a picture of "
                f"{image.width}x{image.height}",
            )
    merged: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects([list(part) for part in segmentation], *shape))
    return merged


def _expanded(text: bytes, name: str) -> Int64[np.ndarray, n]:
    """Run lengths of COCO's compressed form."""
    try:
        return expanded(text)
    except ValueError as error:
        raise BadInput("bad-segmentation", f"{name}: the compressed run lengths {error}") from error


def _find(root: Path, split: str) -> Path:
    expected = "expected the COCO folder with annotations/instances_<split>.json and the pictures in <split>/"
    if not root.is_dir():
        raise UserError(f"There is no folder {root}: {expected}.")
    if (root / "leftImg8bit").is_dir():
        raise UserError(f"{root} looks like Cityscapes (leftImg8bit/), not like COCO: {expected}.")
    file = root / "annotations" / f"instances_{split}.json"
    if not file.is_file():
        found = sorted((root / "annotations").glob("instances_*.json"))
        if not found:
            raise UserError(f"{root} is not COCO: {expected}, found no annotations/instances_*.json.")
        splits = ", ".join(path.stem.removeprefix("instances_") for path in found)
        raise UserError(f"{root} has no split {split!r}: there are annotations of {splits}.")
    if not (root / split).is_dir():
        raise UserError(f"{root} holds annotations of {split!r} but no folder {split}/ with its pictures.")
    return file


def _parse(data: bytes, file: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON: {error}.") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{file} is not COCO's: expected an object with {_listed()}, got {type(loaded).__name__}.")
    for key in _KEYS:
        if key not in loaded:
            hint = " (a captions, keypoints or results file?)" if "annotations" in loaded else ""
            raise UserError(f"{file} is not a COCO instances file: the key {key!r} is missing{hint}.")
        if not isinstance(loaded[key], list):
            raise UserError(f"{file} is not a COCO instances file: {key!r} should hold a list.")
    return loaded


def _listed() -> str:
    return ", ".join(map(repr, _KEYS))


def _example(loaded: Mapping[str, Any]) -> str:
    names = (row.get("file_name") for row in loaded["images"] if isinstance(row, dict))
    return str(next((name for name in names if name), "000000000009.jpg"))


def _images(loaded: Mapping[str, Any], folder: Path, present: Any, problems: list[Problem]) -> dict[int, CocoImage]:
    licences: dict[int | None, Licence] = {}
    rows = loaded.get("licenses")
    for row in rows if isinstance(rows, list) else ():
        if (number := _id(row)) is not None:
            licences[number] = Licence(_text(row.get("name")), _text(row.get("url")))
    images: dict[int, CocoImage] = {}
    for row in loaded["images"]:
        try:
            number, name = _whole(row["id"]), _text(row["file_name"])
            width, height = _whole(row["width"]), _whole(row["height"])
            if not name or width < 1 or height < 1 or width * height > MAX_PIXELS:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            detail = "an image row lacks a usable id, file_name, width or height"
            problems.append(Problem("bad-image-row", detail, _name(row, "image")))
            continue
        if number in images:
            problems.append(Problem("duplicate-id", f"two image rows have the id {number}", f"image {number}"))
        elif name not in present:
            problems.append(Problem("missing-image", f"{name} is not in the folder {folder.name}", f"image {number}"))
        else:
            licence = licences.get(_id(row, "license"), Licence())
            images[number] = CocoImage(number, folder / name, width, height, licence)
    return images


def _annotations(
    loaded: Mapping[str, Any],
    images: Mapping[int, CocoImage],
    categories: Mapping[int, str],
    lost: set[int],
    problems: list[Problem],
) -> tuple[CocoAnnotation, ...]:
    """The rows that can be used.

    `lost` are pictures whose own row is a problem already: one problem each is enough.
    """
    usable: dict[int, CocoAnnotation] = {}
    for row in loaded["annotations"]:
        where = _name(row, "annotation")
        try:
            number, image_id, category_id = (_whole(row[key]) for key in ("id", "image_id", "category_id"))
        except (KeyError, TypeError, ValueError):
            detail = "an annotation row lacks a usable id, image_id or category_id"
            problems.append(Problem("bad-annotation-row", detail, where))
            continue
        image = images.get(image_id)
        if image_id in lost:
            continue
        if image is None:
            detail = f"{where} belongs to image {image_id}, which is not among the images"
            problems.append(Problem("annotation-without-image", detail, where))
        elif category_id not in categories:
            detail = f"{where} has the category {category_id}, which is not among the categories"
            problems.append(Problem("unknown-category", detail, where))
        elif number in usable:
            problems.append(Problem("duplicate-id", f"two annotation rows have the id {number}", where))
        elif (box := _box(row.get("bbox"))) is None:
            problems.append(Problem("bad-bbox", f"{where} has the box {str(row.get('bbox'))[:60]}", where))
        elif not _is_segmentation(row.get("segmentation")):
            detail = f"{where} has neither polygons of three points or more nor run lengths"
            problems.append(Problem("bad-segmentation", detail, where))
        else:
            area = row.get("area")
            usable[number] = CocoAnnotation(
                id=number,
                image_id=image_id,
                category=categories[category_id],
                crowd=bool(row.get("iscrowd", 0)),
                area=float(area) if _is_number(area) else box[2] * box[3],
                box=box,
                segmentation=row["segmentation"],
            )
    return tuple(usable[number] for number in sorted(usable))


def _name(row: Any, kind: str) -> str:
    number = _id(row)
    return f"{kind} {'?' if number is None else number}"


def _id(row: Any, key: str = "id") -> int | None:
    """The number that a row holds under `key`; None where it is none."""
    try:
        return _whole(row[key])
    except (KeyError, TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    """A word that can be written into a document; empty where it is none (JSON can hold halves of characters)."""
    try:
        return value if isinstance(value, str) and value.encode() else ""
    except UnicodeEncodeError:
        return ""


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # JSON knows no bound on integers
        return False


def _box(value: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        return None
    x, y, width, height = map(float, value)
    return (x, y, width, height) if width > 0 and height > 0 else None


def _is_segmentation(value: Any) -> bool:
    if isinstance(value, dict):
        size, counts = value.get("size"), value.get("counts")
        return (
            isinstance(size, list)
            and len(size) == 2
            and all(isinstance(side, int) and side > 0 for side in size)
            and (
                isinstance(counts, str | bytes)
                or (isinstance(counts, list) and all(isinstance(c, int) and abs(c) <= MAX_PIXELS for c in counts))
            )
            and len(counts) > 0
        )
    return isinstance(value, list) and len(value) > 0 and all(map(_is_polygon, value))


def _is_polygon(part: Any) -> bool:
    # The whole of COCO has fifty million coordinates: types and finiteness are judged without a loop in Python.
    try:
        return (
            isinstance(part, list)
            and len(part) >= 6
            and len(part) % 2 == 0
            and {*map(type, part)} <= {int, float}
            and all(map(math.isfinite, part))
        )
    except OverflowError:  # JSON knows no bound on integers
        return False
