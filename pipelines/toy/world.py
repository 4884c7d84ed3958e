"""Draw the whole toy world: Cityscapes, COCO and the benchmarks, in their official folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pipelines.toy.benchmarks import BENCHMARKS, write_benchmarks
from pipelines.toy.cityscapes import write_cityscapes
from pipelines.toy.coco import write_coco
from pipelines.toy.files import write_json
from pipelines.toy.layouts import FRAMES, LAYOUTS, write_layouts
from shards.errors import UserError
from shards.progress import track

_VERSION = 2
"""Raised whenever a world of the same parameters would look different."""

_MARK = "toy.json"
_SMALLEST = (64, 32)


def draw_world(out: Path, *, frames: int, size: tuple[int, int], seed: int) -> None:
    """Draw a toy world below ``out``; the same arguments give the same bytes.

    ::

        out/cityscapes/   leftImg8bit/{train,val}/TOWN/  gtFine/{train,val}/TOWN/
        out/coco/         train2017/  val2017/  annotations/
        out/benchmarks/   fishyscapes_lostandfound/  fishyscapes_static/  RoadAnomaly_jpg/
                          dataset_AnomalyTrack/  dataset_ObstacleTrack/
        out/layouts/      four frames each of further benchmarks, as they are downloaded: fs_val_v3/  LostAndFound/
                          dataset_AnomalyTrack/  dataset_ObstacleTrack/ (both with test frames)  StreetHazards/
                          ACDC_POC/  MUAD_challenge/  bdd100k/
        out/toy.json      written last: its presence means "complete"

    Args:
        out: a folder that is new or empty, or holds this very world already (then nothing is done).
        frames: of Cityscapes train; val, COCO and the benchmarks follow from it.
        size: (width, height) of a Cityscapes frame in pixels.
        seed: another seed gives another world.

    Raises:
        UserError: ``out`` cannot be written, holds something else, or a number makes no sense.
    """
    mark = {"version": _VERSION, "frames": frames, "size": list(size), "seed": seed}
    if frames < 1:
        raise UserError(f"a toy world needs at least 1 frame: got {frames}")
    if size[0] < _SMALLEST[0] or size[1] < _SMALLEST[1]:
        least = f"{_SMALLEST[0]}x{_SMALLEST[1]}"
        raise UserError(f"toy frames are at least {least} pixels: got {size[0]}x{size[1]}")
    if _is_done(out, mark):
        return
    val, odd = max(8, frames // 4), max(8, frames // 8)
    pictures = {"train": max(8, frames), "val": max(4, frames // 2)}
    steps: Iterator[None] = chain(
        write_cityscapes(out / "cityscapes", "train", frames, size, seed),
        write_cityscapes(out / "cityscapes", "val", val, size, seed),
        write_coco(out / "coco", "train", pictures["train"], seed),
        write_coco(out / "coco", "val", pictures["val"], seed),
        write_benchmarks(out / "benchmarks", odd, size, seed),
        write_layouts(out / "layouts", size, seed),
    )
    total = frames + val + sum(pictures.values()) + odd * len(BENCHMARKS) + FRAMES * len(LAYOUTS)
    try:
        for _ in track(steps, "drawing the toy world", total=total, unit="pictures"):
            pass
        write_json(out / _MARK, mark)
    except OSError as error:
        raise UserError(f"cannot write the toy world to {out}: {error.strerror or error}") from error


def _is_done(out: Path, mark: dict[str, Any]) -> bool:
    """Whether ``out`` holds this world already; makes the folder if it is new."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        entries = sorted(path.name for path in out.iterdir())
    except OSError as error:
        raise UserError(f"cannot make the folder {out}: {error.strerror or error}") from error
    if not entries:
        return False
    if _MARK in entries:
        try:
            found = json.loads((out / _MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if found == mark:
            return True
        raise UserError(
            f"{out} holds another toy world ({found}): choose a new folder for {mark}, or delete it first"
        )
    raise UserError(
        f"{out} is not empty and holds no finished toy world "
        f"(found {entries[0]!r}): choose a new folder, or empty it first"
    )
