"""SegmentMeIfYouCan: AnomalyTrack and ObstacleTrack, the frames whose labels are public (Chan et al., 2021).

Layout as published, test frames beside the validation frames in one folder:

    dataset_AnomalyTrack/images/<fid>.jpg              validation0000 ... validation0009
    dataset_ObstacleTrack/images/<fid>.webp            validation_1 ... validation_40
    .../images/<scene>_<number>.*                      test frames, their labels hidden: `find_submission`
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
from functools import partial
from pathlib import Path
from typing import Final

from eval.benchmarks.folders import flat_frames, guess, images_in, is_flat, key_of, named
from eval.benchmarks.search import candidates, distinct, places, read_each, wrong_folder
from eval.benchmarks.sets import BenchmarkSet, UnlabelledFrame, UnlabelledSet
from shards.cards import Card
from shards.errors import UserError
from shards.plural import plural

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
    """The tracks of a folder: itself, or those inside it.

    Raises:
        UserError: it holds none, or an incomplete one.
    """
    found = [path for path in candidates(folder, CARD.name) if is_flat(path)]
    if not found:
        raise wrong_folder(folder, CARD.name, _EXPECTED)
    return distinct(read_each(partial(_read_set, path) for path in found))


def _read_set(folder: Path) -> BenchmarkSet:
    keys = {key_of(path) for path in images_in(folder / "images")}
    track = track_of(folder)
    validation = {key for key in keys if key.startswith("validation")}
    notes: list[str] = []
    if track is None:
        notes.append(
            "The folder's name does not tell the track, so components are not judged: their sizes differ. "
            "Call it dataset_AnomalyTrack or dataset_ObstacleTrack."
        )
    if not validation:
        validation = keys
    elif validation != keys:
        beside = len(keys - validation)
        gone = f"{plural(beside, 'frame')} beside the validation frames {'is' if beside == 1 else 'are'} left out"
        notes.append(f"{gone}: hidden test labels.")
    excluded = _excluded(keys, validation)
    validation -= excluded
    if excluded:
        gone = plural(len(excluded), "frame is", "frames are")
        notes.append(f"{gone} left out for the prefixes 19 and 21-29, as the official evaluator does.")
    elif any(_EXCLUDED.match(key) for key in validation):
        notes.append("The names are not the original ones: the official exclusion of ten names does not apply.")

    def keep(key: str) -> bool:
        # A label whose image is gone must still be noticed.
        return key in validation or (key not in keys and key.startswith("validation") and key not in excluded)

    # "official" is the naming of the labels; flat mirrors name them like the image.
    official = any(path.stem.endswith("_labels_semantic") for path in images_in(folder / "labels_masks"))
    frames = flat_frames(folder, keep)
    return BenchmarkSet(
        folder.name,
        CARD.name,
        "official" if official else "flat",
        frames,
        tuple(notes),
        None if track is None else track.validation,
        "" if track is None else track.name,
    )


def find_submission(folder: Path) -> list[UnlabelledSet]:
    """All that the host wants predicted of the tracks of a folder: test and validation frames; reads no label.

    Night and snow are among those of ObstacleTrack: the official evaluator tells them by the scene in their names.

    Args:
        folder: dataset_AnomalyTrack or dataset_ObstacleTrack, or a parent of them.

    Raises:
        UserError: the folder is no track and holds none, its name does not tell which, it holds no picture, two
            pictures of one frame, or two folders of one track.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Give --data a track, or a parent of several.")
    here = (folder / "images").is_dir()
    inside = [] if here else [path for path in places(folder) if (path / "images").is_dir()]
    tracks = [folder] if here and (guess(folder) or named(folder)) in (CARD.name, None) else []
    tracks += [path for path in inside if track_of(path) is not None and _is_track(path)]
    if not tracks:
        raise wrong_folder(folder, CARD.name, _EXPECTED)
    sets: dict[str, UnlabelledSet] = {}
    for place in tracks:
        found = _submission(place)
        if found.submission in sets:
            raise UserError(f"{folder} holds two folders of {found.submission}; give one of them.")
        sets[found.submission] = found
    return list(sets.values())


def _is_track(folder: Path) -> bool:
    """Whether a folder of pictures is one by its labels or its name."""
    return (guess(folder) or named(folder)) == CARD.name


def _submission(folder: Path) -> UnlabelledSet:
    track = track_of(folder)
    if track is None:
        raise UserError(
            f"The name of {folder} does not tell its track; call it dataset_AnomalyTrack or dataset_ObstacleTrack."
        )
    images: dict[str, Path] = {}
    for path in images_in(folder / "images"):
        key = key_of(path)
        if key in images:
            raise UserError(f"{folder} holds two images of frame {key}: {images[key].name} and {path.name}.")
        images[key] = path
    if not images:
        raise UserError(f"{folder} holds no pictures: images/ is empty.")
    validation = {key for key in images if key.startswith("validation")}
    wanted = images.keys() - _excluded(set(images), validation)
    expected = track.validation + track.test
    notes = (
        () if len(wanted) == expected else (f"{plural(len(wanted), 'frame')}, where the host expects {expected}.",)
    )
    frames = tuple(UnlabelledFrame(key, images[key]) for key in sorted(wanted))
    return UnlabelledSet(folder.name, CARD.name, f"{track.name}-all", frames, notes)


@dataclass(frozen=True, slots=True)
class Track:
    """What is known of a track.

    Attributes:
        name: as the host calls it; the `part` of a set, and of a protocol.
        validation: frames whose labels are public.
        test: frames whose labels are hidden.
    """

    name: str
    validation: int
    test: int


ANOMALY_TRACK: Final = Track("AnomalyTrack", 10, 100)
OBSTACLE_TRACK: Final = Track("ObstacleTrack", 30, 327 + 30 + 55)
_TRACKS: Final = (
    (re.compile(r"obst|(?<![a-z0-9])ro_?21"), OBSTACLE_TRACK),
    (re.compile(r"anomaly|(?<![a-z0-9])ra_?21"), ANOMALY_TRACK),
)
"""What the name of a track's folder holds."""


def track_of(folder: Path) -> Track | None:
    """The track that a folder's name tells; None where it tells none. The one place that knows their names."""
    names = (folder.name.lower(), folder.resolve().name.lower())
    return next((track for name in names for pattern, track in _TRACKS if pattern.search(name)), None)


def _excluded(keys: set[str], validation: set[str]) -> set[str]:
    """The ten validation frames that the official evaluator leaves out, where the names are the original ones."""
    if not _names_are_original(keys, validation):
        return set()
    return {key for key in validation if _EXCLUDED.match(key)}


def _names_are_original(keys: set[str], validation: set[str]) -> bool:
    plain = [_PLAIN.fullmatch(key) for key in validation]
    return keys != validation or not all(plain) or any(int(match[1]) > 30 for match in plain if match)
