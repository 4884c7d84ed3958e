"""The toy COCO: pictures of things, annotated in the official JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from pycocotools import mask as rle

from pipelines.toy import people
from pipelines.toy.backdrops import Backdrop, paint_backdrop
from pipelines.toy.categories import CATEGORIES, LICENCES
from pipelines.toy.files import write_json, write_picture
from pipelines.toy.look import photograph
from pipelines.toy.things import CLEAR, SHARED, sheep
from shards.rng import generator

_SIZES = ((640, 480), (320, 240), (512, 640), (480, 360), (640, 427), (320, 240), (640, 512), (375, 500))
_IDS = {name: number for number, name, _ in CATEGORIES}
_INDOORS = (
    "cat",
    "suitcase",
    "chair",
    "teddy bear",
    "banana",
    "vase",
    "potted plant",
    "umbrella",
    "backpack",
    "sports ball",
)
_SMALL = ("banana", "vase", "teddy bear", "sports ball", "bird", "potted plant", "cat")


def draw_picture(
    seed: int, split: str, index: int
) -> tuple[UInt8[np.ndarray, "h w 3"], list[tuple[str, bool, Bool[np.ndarray, "h w"]]]]:
    """One picture: a pure function of its arguments.

    Returns:
        The pixels, and for every object its category, whether it is a crowd, and where it is seen.
    """
    rng = generator(seed, "toy", f"coco-{split}", index)
    width, height = _SIZES[index % len(_SIZES)]
    mood = float(rng.random())
    shared = mood > 0.62  # with things that Cityscapes knows, too
    kind = str(
        rng.choice(["meadow", "yard", "beach"] if shared else ["room", "meadow", "beach", "yard", "table", "meadow"])
    )
    scene = paint_backdrop(rng, width, height, kind)
    crowds: list[int] = []
    names: list[tuple[str, int]] = []
    if kind in ("meadow", "beach", "yard") and rng.random() < 0.22:
        name = "sheep" if kind == "meadow" and not shared else "person"
        crowds.append(_crowd(rng, scene, name))
        names.append((name, crowds[0]))
    pool = tuple(CLEAR)
    if kind == "room":
        pool = _INDOORS
    elif kind == "table":
        pool = _SMALL
    if mood > 0.85:
        pool = tuple(SHARED)
    wanted = [str(pool[int(rng.integers(len(pool)))]) for _ in range(1 + int(rng.integers(0, 4)))]
    if shared and mood <= 0.85:
        wanted.append(str(tuple(SHARED)[int(rng.integers(len(SHARED)))]))
    places = sorted(float(rng.uniform(0.15, 1.0)) for _ in wanted)
    columns = [float(c) for c in rng.permutation(len(wanted))]
    for name, depth, column in zip(wanted, places, columns, strict=True):
        across = (column + float(rng.uniform(0.2, 0.8))) / len(wanted)
        names.append((name, _put(rng, scene, name, across, depth)))
    rgb, tags = photograph(rng, scene.canvas, scene.look, 1)
    found = [(name, tag in crowds, tags == tag) for name, tag in names]
    return rgb, [(name, crowd, mask) for name, crowd, mask in found if int(mask.sum()) >= 12]


def _put(rng: np.random.Generator, scene: Backdrop, name: str, across: float, depth: float) -> int:
    """Stand a thing on the ground: ``across`` and ``depth`` in 0..1 of the ground that is seen."""
    make, metres = (CLEAR | SHARED)[name]
    canvas = scene.canvas
    height, width = canvas.tags.shape
    tall = height * float(rng.uniform(0.22, 0.52)) * (0.5 + 0.5 * depth)
    luck = float(rng.random())
    if luck < 0.12:  # far away
        tall = height * float(rng.uniform(0.04, 0.08))
    elif luck < 0.24:  # cut off by the border
        across = float(rng.choice([rng.uniform(-0.03, 0.04), rng.uniform(0.96, 1.03)]))
    u, v = across * width, scene.floor + (height - scene.floor) * (0.12 + 0.82 * depth)
    sketch = make(rng, tall / metres)
    reach = (sketch.right - sketch.left) * sketch.scale
    if name != "kite":
        canvas.shadow(u, v, reach * 0.4, max(2.0, reach * 0.07), 0.4)
    else:
        v = max(tall * 1.1, v * 0.6)
    # What shines through an object belongs to Cityscapes' label of it, not to a COCO outline.
    sketch.cover = sketch.paint
    tag = canvas.object(name)
    canvas.stamp(sketch, u, v, tag)
    return tag


def _crowd(rng: np.random.Generator, scene: Backdrop, name: str) -> int:
    """A row of people or a flock behind everything else, under one tag."""
    canvas = scene.canvas
    height, width = canvas.tags.shape
    tag = canvas.object(name)
    make = sheep if name == "sheep" else people.person
    middle, spread = float(rng.uniform(0.2, 0.8)) * width, width * float(rng.uniform(0.1, 0.25))
    for k in range(int(rng.integers(9, 16))):
        v = scene.floor + (0.01 + 0.005 * k) * height
        tall = height * float(rng.uniform(0.1, 0.14))
        canvas.stamp(
            make(rng, tall / (0.95 if name == "sheep" else 1.75)), middle + spread * float(rng.normal()), v, tag
        )
    return tag


def _run_lengths(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Uncompressed RLE: lengths of runs down the columns, beginning with zeros."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(ends).tolist()
    return [0, *runs] if flat[0] else runs


def _segmentation(rng: np.random.Generator, mask: Bool[np.ndarray, "h w"], crowd: bool) -> Any:
    """Polygons for most, run lengths for crowds and for shapes with holes, compressed ones now and then."""
    size = list(mask.shape)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [c[:, 0].astype(float).ravel().tolist() for c in contours if len(c) >= 3]
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, contours, -1, (1,), cv2.FILLED)
    hollow = int(filled.sum()) > 1.1 * int(mask.sum())
    if crowd or hollow or not polygons or rng.random() < 0.12:
        if not crowd and rng.random() < 0.4:
            packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
            return {"size": size, "counts": packed["counts"].decode("ascii")}
        return {"size": size, "counts": _run_lengths(mask)}
    return polygons


def _box(mask: Bool[np.ndarray, "h w"]) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return [float(x), float(y), float(int(columns[-1]) - x + 1), float(int(rows[-1]) - y + 1)]


def write_coco(root: Path, split: str, pictures: int, seed: int) -> Iterator[None]:
    """Write a split (``train`` or ``val``); yields after every picture."""
    year = f"{split}2017"
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(pictures):
        rgb, objects = draw_picture(seed, split, index)
        rng = generator(seed, "toy", f"coco-{split}-annotations", index)
        number = 1000 + 37 * index + (500_000 if split == "val" else 0)
        file_name = f"{number:012d}.jpg"
        write_picture(root / year / file_name, rgb)
        images.append({
            "license": int(rng.integers(len(LICENCES))) + 1, "file_name": file_name, "coco_url": "",
            "height": rgb.shape[0], "width": rgb.shape[1], "date_captured": "", "flickr_url": "", "id": number,
        })  # fmt: skip
        for name, crowd, mask in objects:
            annotations.append({
                "segmentation": _segmentation(rng, mask, crowd), "area": float(mask.sum()), "iscrowd": int(crowd),
                "image_id": number, "bbox": _box(mask), "category_id": _IDS[name], "id": len(annotations) + 1,
            })  # fmt: skip
        yield
    info = {
        "description": f"toy {year}: drawn by anomsynth, no photographs", "url": "", "version": "1.0", "year": 2017,
        "contributor": "anomsynth", "date_created": "",
    }  # fmt: skip
    licences = [{"url": url, "id": k + 1, "name": name} for k, (name, url) in enumerate(LICENCES)]
    categories = [{"supercategory": group, "id": number, "name": name} for number, name, group in CATEGORIES]
    content = {
        "info": info,
        "licenses": licences,
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    write_json(root / "annotations" / f"instances_{year}.json", content)
