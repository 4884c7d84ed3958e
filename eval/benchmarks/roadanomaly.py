"""RoadAnomaly: 60 web photographs of unusual things on roads (Lis et al., ICCV 2019).

Layout as published, with or without the list of frames:

    SET/frame_list.json                           ["<fid>.jpg", ...]
    SET/frames/<fid>.jpg
    SET/frames/<fid>.labels/labels_semantic.png   0 and 1 known, 2 anomaly; no void

The flat layout (`folders.py`) is read too. Processed mirrors store 0/1 instead: where no label of a set holds a 2,
1 is the anomaly, and the set's notes say so. That is decided for the whole set, since a single frame of the
original may hold 1 (known) and no anomaly.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from eval.benchmarks.encoding import two_and_up_or_plain
from eval.benchmarks.folders import flat_frames, images_in, is_flat
from eval.benchmarks.search import candidates, distinct, read_each, wrong_folder
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet, read_stored_label
from shards.cards import Card
from shards.errors import UserError
from shards.plural import plural

CARD = Card(
    "benchmark",
    "roadanomaly",
    "RoadAnomaly: 60 web photographs, anomalies of any kind and place",
    title="Detecting the Unexpected via Image Resynthesis",
    venue="ICCV",
    year=2019,
    url="https://www.epfl.ch/labs/cvlab/data/road-anomaly/",
    needs=("the RoadAnomaly_jpg folder: frames/<fid>.jpg and frames/<fid>.labels/labels_semantic.png",),
)


def find(folder: Path) -> list[BenchmarkSet]:
    """The RoadAnomaly sets of a folder: itself, or those inside it.

    Raises:
        UserError: it holds none, or an incomplete one.
    """
    found = candidates(folder, CARD.name)
    if not found:
        raise wrong_folder(
            folder,
            CARD.name,
            "frames/<fid>.jpg with frames/<fid>.labels/labels_semantic.png, or images/ + labels_masks/",
        )
    return distinct(read_each(partial(_read_set, path) for path in found))


def _read_set(folder: Path) -> BenchmarkSet:
    flat = is_flat(folder)
    frames = flat_frames(folder) if flat else _official_frames(folder)
    stored_as, notes = two_and_up_or_plain(map(read_stored_label, frames))
    frames = tuple(replace(frame, encoding=stored_as) for frame in frames)
    return BenchmarkSet(folder.name, CARD.name, "flat" if flat else "official", frames, notes, 60)


def _official_frames(folder: Path) -> tuple[BenchmarkFrame, ...]:
    images = {path.stem: path for path in images_in(folder / "frames")}
    listed = _listed(folder / "frame_list.json")
    names = sorted(images) if listed is None else listed
    if not names:
        raise UserError(f"{folder} holds no frames: frames/ is empty.")
    labels = {name: folder / "frames" / f"{name}.labels" / "labels_semantic.png" for name in names}
    for what, missing in (
        ("an image", [name for name in names if name not in images]),
        ("a label", [name for name in names if not labels[name].is_file()]),
    ):
        if missing:
            shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
            raise UserError(
                f"{folder} is incomplete: {plural(len(missing), 'frame is', 'frames are')} without {what}: {shown}."
            )
    if listed is None:
        orphans = [path.stem for path in (folder / "frames").glob("*.labels") if path.stem not in images]
        if orphans:
            raise UserError(
                f"{folder} is incomplete: {plural(len(orphans), 'frame is', 'frames are')} without an image: "
                f"{sorted(orphans)[0]}."
            )
    return tuple(BenchmarkFrame(name, images[name], labels[name]) for name in names)


def _listed(file: Path) -> list[str] | None:
    """Frame names of the list, sorted; None without a list."""
    if not file.is_file():
        return None
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{file} must hold a JSON list of frame names.")
    suffixes = (".jpg", ".jpeg", ".png", ".webp")
    plain = [PurePosixPath(name).name for name in names]
    return sorted({name.rsplit(".", 1)[0] if name.lower().endswith(suffixes) else name for name in plain})
