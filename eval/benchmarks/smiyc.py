"""SegmentMeIfYouCan: AnomalyTrack and ObstacleTrack, the frames whose labels are public (Chan et al., 2021).

Layout as published, test frames beside the validation frames in one folder:

    dataset_AnomalyTrack/images/<fid>.jpg              validation0000 ... validation0009
    dataset_ObstacleTrack/images/<fid>.webp            validation_1 ... validation_40
    .../images/<scene>_<number>.*                      test frames, their labels hidden: `find_test_frames`
    .../labels_masks/<fid>_labels_semantic.png         0 known, 1 anomaly, 255 void
    .../labels_masks/<fid>_labels_semantic_color.png   for people; left out

Labels of test frames are hidden (missing, or dummies), so where names starting with "validation" exist, only those
count. Of the 40 original validation names of ObstacleTrack the official evaluator leaves out ten, the prefixes 19
and 21-29, and asserts that 30 remain. Copies with renumbered frames reuse those numbers for other frames, so
the exclusion applies only where the names are recognisably the original ones, by any of:

* frames of the original test scenes lie beside them (only the full download holds them);
* a validation number above 30 (thirty renumbered frames do not reach it);
* a name with more parts than `validation_<number>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eval.benchmarks.folders import (
    candidates,
    check_unique,
    flat_frames,
    guess,
    images_in,
    is_flat,
    key_of,
    named,
    wrong_folder,
)
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet, UnlabelledFrame, UnlabelledSet, read_stored_label
from shards.cards import Card
from shards.errors import UserError
from shards.labels import IGNORE

CARD = Card(
    "benchmark",
    "smiyc",
    "SegmentMeIfYouCan validation: AnomalyTrack (10 frames) and ObstacleTrack (30 frames)",
    title="SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation",
    venue="NeurIPS Datasets and Benchmarks",
    year=2021,
    url="https://segmentmeifyoucan.com",
    needs=("dataset_AnomalyTrack and/or dataset_ObstacleTrack: images/ and labels_masks/",),
)

_EXPECTED = "images/<fid>.jpg or .webp and labels_masks/<fid>_labels_semantic.png"
_EXCLUDED = re.compile(r"validation_(19|2[1-9])(?!\d)")
_PLAIN = re.compile(r"validation_(\d+)")


def find(folder: Path) -> list[BenchmarkSet]:
    """The tracks of a folder: itself, or those directly inside it.

    Raises:
        UserError: it holds none, or an incomplete one.
    """
    found = [path for path in candidates(folder, CARD.name) if is_flat(path)]
    if not found:
        raise wrong_folder(folder, CARD.name, _EXPECTED)
    return check_unique([_read_set(path) for path in found], folder)


def _read_set(folder: Path) -> BenchmarkSet:
    keys = {key_of(path) for path in images_in(folder / "images")}
    track = _track(folder)
    validation = {key for key in keys if key.startswith("validation")}
    notes: list[str] = []
    if not validation:
        validation = keys
    elif validation != keys:
        notes.append(
            f"{len(keys - validation)} frames beside the validation frames are left out: hidden test labels."
        )
    excluded = {key for key in validation if _EXCLUDED.match(key)}
    if excluded and _names_are_original(keys, validation):
        validation -= excluded
        notes.append(
            f"{len(excluded)} frames with the prefixes 19 and 21-29 are left out, as the official evaluator does."
        )
    elif excluded:
        notes.append("The names are not the original ones: the official exclusion of ten names does not apply.")

    def keep(key: str) -> bool:
        # A label whose image is gone must still be noticed.
        return key in validation or (key not in keys and key.startswith("validation") and key not in excluded)

    # "official" is the naming of the labels; flat mirrors name them like the image.
    official = any(path.stem.endswith("_labels_semantic") for path in images_in(folder / "labels_masks"))
    frames = flat_frames(folder, keep)
    return BenchmarkSet(
        folder.name, CARD.name, "official" if official else "flat", frames, tuple(notes), track.validation
    )


def find_test_frames(folder: Path) -> list[UnlabelledSet]:
    """The test frames of the tracks of a folder, to be predicted and submitted; their labels are hidden.

    Where names starting with "validation" exist, all others are test frames; elsewhere those without a label, or with
    a label that is void everywhere.
    Night and snow are among those of ObstacleTrack: the official evaluator tells them by the scene in their names.

    Raises:
        UserError: the folder is no track and holds none, or none of them has a test frame.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Give --data a track, or a parent of several.")
    places = [path for path in (folder, *sorted(folder.iterdir())) if (path / "images").is_dir() and _is_track(path)]
    places = [folder] if folder in places else places
    if not places:
        raise wrong_folder(folder, CARD.name, _EXPECTED)
    found = [test for path in places if (test := _test_set(path)).frames]
    if not found:
        raise UserError(
            f"{folder} holds validation frames only. The test frames come with the full download of the track; "
            "they lie in the same images/ folder."
        )
    return found


def _is_track(folder: Path) -> bool:
    return guess(folder) == CARD.name or (not is_flat(folder) and named(folder) == CARD.name)


def _test_set(folder: Path) -> UnlabelledSet:
    images: dict[str, Path] = {}
    for path in images_in(folder / "images"):
        key = key_of(path)
        if key in images:
            raise UserError(f"{folder} holds two images of frame {key}: {images[key].name} and {path.name}.")
        images[key] = path
    if any(key.startswith("validation") for key in images):
        hidden = {key for key in images if not key.startswith("validation")}
    else:
        labels = {key_of(path): path for path in _masks(folder)} if is_flat(folder) else {}
        hidden = {key for key in images if key not in labels or _is_stand_in(images[key], labels[key])}
    track = _track(folder)
    notes = [f"{len(hidden)} test frames; their labels are hidden, so they can be predicted and submitted only."]
    if track.test is not None and len(hidden) != track.test:
        notes.append(f"The full download has {track.test} of them.")
    frames = tuple(UnlabelledFrame(key, images[key]) for key in sorted(hidden))
    return UnlabelledSet(folder.name, CARD.name, track.submission, frames, tuple(notes))


def _masks(folder: Path) -> list[Path]:
    return [path for path in images_in(folder / "labels_masks") if not path.stem.endswith("_color")]


def _is_stand_in(image: Path, label: Path) -> bool:
    return bool((read_stored_label(BenchmarkFrame(image.stem, image, label)) == IGNORE).all())


@dataclass(frozen=True, slots=True)
class _Track:
    """What is known of a track: the name that submissions carry, and how many frames are published."""

    submission: str
    validation: int | None
    test: int | None


def _track(folder: Path) -> _Track:
    if re.search(r"obst[ai]cle|obsticle|\bro_?21", folder.name.lower()):
        return _Track("ObstacleTrack-all", 30, 327 + 30 + 55)
    if re.search(r"anomaly|\bra_?21", folder.name.lower()):
        return _Track("AnomalyTrack-all", 10, 100)
    return _Track(folder.name, None, None)


def _names_are_original(keys: set[str], validation: set[str]) -> bool:
    plain = [_PLAIN.fullmatch(key) for key in validation]
    return keys != validation or not all(plain) or any(int(match[1]) > 30 for match in plain if match)
