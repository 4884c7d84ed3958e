"""SegmentMeIfYouCan: AnomalyTrack and ObstacleTrack, the frames whose labels are public (Chan et al., 2021).

Layout as published, test frames beside the validation frames in one folder:

    dataset_AnomalyTrack/images/<fid>.jpg              validation0000 ... validation0009
    dataset_ObstacleTrack/images/<fid>.webp            validation_1 ... validation_40
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
from pathlib import Path

from eval.benchmarks.folders import candidates, check_unique, flat_frames, images_in, is_flat, key_of, wrong_folder
from eval.benchmarks.sets import BenchmarkSet
from shards.cards import Card

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

_EXCLUDED = re.compile(r"validation_(19|2[1-9])(?!\d)")
_PLAIN = re.compile(r"validation_(\d+)")


def find(folder: Path) -> list[BenchmarkSet]:
    """The tracks of a folder: itself, or those directly inside it.

    Raises:
        UserError: it holds none, or an incomplete one.
    """
    found = [path for path in candidates(folder, CARD.name) if is_flat(path)]
    if not found:
        raise wrong_folder(folder, CARD.name, "images/<fid>.jpg or .webp and labels_masks/<fid>_labels_semantic.png")
    return check_unique([_read_set(path) for path in found], folder)


def _read_set(folder: Path) -> BenchmarkSet:
    keys = {key_of(path) for path in images_in(folder / "images")}
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
    return BenchmarkSet(folder.name, CARD.name, "official" if official else "flat", frames, tuple(notes))


def _names_are_original(keys: set[str], validation: set[str]) -> bool:
    plain = [_PLAIN.fullmatch(key) for key in validation]
    return keys != validation or not all(plain) or any(int(match[1]) > 30 for match in plain if match)
