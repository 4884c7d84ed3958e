"""Tiny Cityscapes and COCO folders, made on the fly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.recipe import Sources

FRAME = (64, 128)
PICTURE = (60, 80)

MakeCityscapes = Callable[..., Path]
MakeCoco = Callable[..., Path]


def road_scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise above, and labelIds: sky, building, road, a strip of ego vehicle; some void in the middle."""
    height, width = FRAME
    rng = np.random.default_rng(number)
    image = rng.integers(60, 120, (height, width, 3)).astype(np.uint8)
    labels = np.full((height, width), 23, np.uint8)
    labels[16:32] = 11
    labels[32:] = 7
    labels[60:] = 1
    labels[40:44, 10:20] = 4
    labels[40:44, 30:40] = 29
    return image, labels


@pytest.fixture
def make_cityscapes(tmp_path: Path) -> MakeCityscapes:
    def make(frames: int = 3, *, name: str = "cityscapes", kind: str = "labelIds") -> Path:
        root = tmp_path / name
        for folder in ("leftImg8bit", "gtFine"):
            (root / folder / "train" / "aachen").mkdir(parents=True, exist_ok=True)
        for number in range(frames):
            image, labels = road_scene(number)
            stem = f"aachen_{number:06d}_000019"
            Image.fromarray(image).save(root / "leftImg8bit/train/aachen" / f"{stem}_leftImg8bit.png")
            if kind == "labelTrainIds":
                labels = np.where(labels == 7, 0, 255).astype(np.uint8)
            Image.fromarray(labels).save(root / "gtFine/train/aachen" / f"{stem}_gtFine_{kind}.png")
        return root

    return make


def polygon(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def thing(image: int, box: tuple[float, float, float, float], category: int = 18, **changes: Any) -> dict[str, Any]:
    """An annotation of a rectangle; its id is given by `make_coco`."""
    row = {
        "image_id": image,
        "category_id": category,
        "iscrowd": 0,
        "area": box[2] * box[3],
        "bbox": list(box),
        "segmentation": [polygon(*box)],
    }
    return {**row, **changes}


@pytest.fixture
def rectangle() -> Callable[..., dict[str, Any]]:
    return thing


@pytest.fixture
def make_coco(tmp_path: Path) -> MakeCoco:
    def make(
        annotations: list[dict[str, Any]] | None = None,
        *,
        name: str = "coco",
        images: dict[int, tuple[int, int]] | None = None,
    ) -> Path:
        """Default: a red dog of 30x20 in image 1 and a green frisbee of 24x24 in image 2."""
        root = tmp_path / name
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        (root / "train2017").mkdir(exist_ok=True)
        sizes = images or {1: PICTURE, 2: PICTURE}
        if annotations is None:
            annotations = [thing(1, (20, 20, 30, 20)), thing(2, (30, 20, 24, 24), 34)]
        for number, (height, width) in sizes.items():
            pixels = np.full((height, width, 3), (220, 30, 20) if number % 2 else (20, 210, 40), np.uint8)
            Image.fromarray(pixels).save(root / "train2017" / f"{number:012d}.png")
        content = {
            "licenses": [
                {"id": 1, "name": "Attribution License", "url": "http://creativecommons.org/licenses/by/2.0/"},
                {
                    "id": 2,
                    "name": "Attribution-NoDerivs License",
                    "url": "http://creativecommons.org/licenses/by-nd/2.0/",
                },
            ],
            "images": [
                {"id": n, "file_name": f"{n:012d}.png", "height": h, "width": w, "license": 1 + (n + 1) % 2}
                for n, (h, w) in sizes.items()
            ],
            "categories": [
                {"id": 1, "name": "person"},
                {"id": 7, "name": "train"},
                {"id": 18, "name": "dog"},
                {"id": 34, "name": "frisbee"},
            ],
            "annotations": [{"id": n, **row} for n, row in enumerate(annotations, 100)],
        }
        (root / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
        return root

    return make


@pytest.fixture
def sources(make_cityscapes: MakeCityscapes, make_coco: MakeCoco) -> Sources:
    return Sources(make_cityscapes(), coco=make_coco())
