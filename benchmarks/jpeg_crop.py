"""Crops of JPEG files in segments beside decoding the whole: `python benchmarks/jpeg_crop.py [--cityscapes DIR]`.

For every frame: 2048x1024 pixels coded in memory as Pillow writes PNG (level 6) and JPEG (quality 95, 4:4:4), and as
`shards.jpeg` does; then a crop of 700x700 pixels at a random place, which must be the slice of the whole, or the
script ends with an error. One thread; processor time, so that other programs on the machine do not count; the least
of some repeats, averaged over the frames. Frames are the toy world's where no Cityscapes folder is given.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from pipelines.toy.cityscapes import draw_frame
from shards.jpeg import encode_jpeg
from shards.jpeg_crop import JpegIndex, crop_jpeg, index_jpeg
from shards.layouts.cityscapes import read_image, scan_cityscapes

REPEAT = 9
SIDE = 700
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
LOOSE = "PNG by Pillow, crop as normalised float32"


def frames(folder: Path | None, count: int) -> list[np.ndarray]:
    if folder is None:
        return [draw_frame(0, "train", index, (2048, 1024), "north").rgb for index in range(count)]
    scan = scan_cityscapes(folder, "train")
    return [read_image(frame) for frame in itertools.islice(scan.frames, count)]


def by_pillow(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def by_opencv(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def saved(image: np.ndarray, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def normalised(crop: np.ndarray) -> np.ndarray:
    return ((crop.astype(np.float32) / 255 - MEAN) / DEVIATION).transpose(2, 0, 1).copy()


def seconds(call: Callable[[], object]) -> float:
    took = []
    for _ in range(REPEAT):
        start = time.process_time()
        call()
        took.append(time.process_time() - start)
    return min(took)


def index_of(data: bytes) -> JpegIndex:
    index = index_jpeg(data)
    if index is None:
        sys.exit("A file of our own has no index.")
    return index


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cityscapes", type=Path)
    parser.add_argument("--frames", type=int, default=6)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {}
    sizes: dict[str, list[int]] = {}
    for image in frames(options.cityscapes, options.frames):
        png, jpeg, ours = saved(image, "PNG"), saved(image, "JPEG", quality=95, subsampling=0), encode_jpeg(image)
        index = index_of(ours)
        y, x = (int(rng.integers(side - SIDE + 1)) for side in image.shape[:2])
        here = np.s_[y : y + SIDE, x : x + SIDE]
        box = (x, y, SIDE, SIDE)
        if not np.array_equal(crop_jpeg(ours, index, *box), by_pillow(ours)[here]):
            sys.exit("A crop is not the slice of the whole.")
        calls: dict[str, Callable[[], object]] = {
            LOOSE: lambda p=png, s=here: normalised(by_pillow(p)[s]),
            "PNG by Pillow, crop as uint8": lambda p=png, s=here: by_pillow(p)[s].copy(),
            "JPEG by Pillow, crop as uint8": lambda j=jpeg, s=here: by_pillow(j)[s].copy(),
            "JPEG by OpenCV, crop as uint8": lambda j=jpeg, s=here: by_opencv(j)[s].copy(),
            "JPEG in segments by Pillow, whole": lambda o=ours: by_pillow(o),
            "JPEG in segments by OpenCV, whole": lambda o=ours: by_opencv(o),
            "JPEG in segments, index and crop as uint8": lambda o=ours, b=box: crop_jpeg(o, index_of(o), *b).copy(),
            "JPEG in segments, crop as uint8": lambda o=ours, i=index, b=box: crop_jpeg(o, i, *b).copy(),
            "JPEG in segments, index": lambda o=ours: index_of(o),
            "encode JPEG by Pillow": lambda a=image: saved(a, "JPEG", quality=95, subsampling=0),
            "encode JPEG in segments": lambda a=image: encode_jpeg(a),
        }
        for name, call in calls.items():
            times.setdefault(name, []).append(seconds(call))
        for name, data in (("PNG by Pillow", png), ("JPEG by Pillow", jpeg), ("JPEG in segments", ours)):
            sizes.setdefault(name, []).append(len(data))
    table = Table(title=f"{SIDE}x{SIDE} of 2048x1024 pixels, one thread, {options.frames} frames")
    for column in ("way", "ms", "rate beside loose PNG"):
        table.add_column(column, justify="left" if column == "way" else "right")
    plain = np.mean(times[LOOSE])
    for name, took in times.items():
        ratio = "" if name.startswith("encode") else f"{plain / np.mean(took):.1f}"
        table.add_row(name, f"{1e3 * np.mean(took):.2f}", ratio)
    console = Console()
    console.print(table)
    for name, lengths in sizes.items():
        console.print(f"{name}: {np.mean(lengths) / 1e6:.3f} MB")


if __name__ == "__main__":
    main()
