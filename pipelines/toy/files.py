"""Pixels to files, with every encoder setting pinned: the same world has the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16, UInt8, UInt16
from PIL import Image


def write_picture(path: Path, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write a photograph as PNG, JPEG or (lossy) WebP, by its suffix."""
    image = Image.fromarray(rgb)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        image.save(path, format="PNG", compress_level=2)
    elif path.suffix == ".jpg":
        image.save(path, format="JPEG", quality=92, subsampling=0)
    else:
        image.save(path, format="WEBP", quality=92, method=2)


def write_map(path: Path, labels: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]) -> None:
    """Write a label map as an 8- or 16-bit grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path, format="PNG", compress_level=4)


def write_overlay(path: Path, rgb: Int16[np.ndarray, "h w 3"]) -> None:
    """Write what is added to a photograph as .npz, in the array `rgb`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, rgb=rgb)


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one line; ASCII, keys in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + "\n", encoding="ascii")
