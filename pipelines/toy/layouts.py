"""Further benchmarks in small: the layouts of their downloads, a few frames of each.

They lie apart from the five benchmarks of `benchmarks.py`: whoever judges all of those judges the same sets as
ever. Their frames are street scenes of the same towns; what is toy about them is the picture, not the folders, names
or label values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pipelines.toy.benchmarks import anomaly_track, lost_and_found, obstacle_track, static
from pipelines.toy.cityscapes import VAL_TOWN, draw_frame
from pipelines.toy.files import write_map, write_overlay, write_picture
from pipelines.toy.ground import ROAD
from pipelines.toy.scene import Photo
from shards.labels import ANOMALY, IGNORE, KNOWN, train_ids

_MOTORCYCLE = 17  # trainId
_CONDITIONS = ("fog", "night", "rain", "snow")
# Cityscapes labelIds to the 1-based ids of StreetHazards; what has no class there is "unlabeled", 1.
_STREETHAZARDS = {7: 8, 8: 9, 11: 2, 12: 12, 13: 3, 17: 6, 20: 13, 21: 10, 24: 5, 25: 5, 26: 11, 27: 11, 28: 11}


def write_static_overlays(root: Path, index: int, seed: int, size: tuple[int, int]) -> None:
    """Fishyscapes Static: what is added to a frame of the toy Cityscapes val, and its mask."""
    city = draw_frame(seed, "cityscapes-val", index, size, "south")
    pasted = static(seed, 100 + index, size)
    key = f"{index:04d}_{VAL_TOWN}_{index:06d}_000019"
    difference = pasted.rgb.astype(np.int16) - city.rgb
    write_overlay(root / f"{key}_rgb.npz", np.where(pasted.odd[:, :, None], difference, 0).astype(np.int16))
    labels = np.where(train_ids(city.label_ids) == IGNORE, IGNORE, KNOWN).astype(np.uint8)
    labels[pasted.odd] = ANOMALY
    write_map(root / f"{key}_labels.png", labels)


def write_lost_and_found(root: Path, index: int, seed: int, size: tuple[int, int]) -> None:
    """LostAndFound: labelIds of the road and the obstacles; one frame without a label, one of a known class."""
    split, sequence, number = (
        ("test", "02_Toy_Street", 0),
        ("test", "02_Toy_Street", 1),
        ("test", "15_Rechbergstr_Deckenpfronn", 0),
        ("train", "01_Toy_Street", 0),
    )[index]
    photo = lost_and_found(seed, 100 + index, size)
    labels = (photo.label_ids == ROAD).astype(np.uint8)
    labels[photo.odd] = 9 + index
    if number == 1:
        labels[:] = 0
    base = f"{sequence}_{number:06d}_{10 * (1 + index):06d}"
    write_picture(root / "leftImg8bit" / split / sequence / f"{base}_leftImg8bit.png", photo.rgb)
    truth = root / "gtCoarse" / split / sequence
    write_map(truth / f"{base}_gtCoarse_labelIds.png", labels)
    write_map(
        truth / f"{base}_gtCoarse_labelTrainIds.png", np.where(labels == 0, IGNORE, labels > 1).astype(np.uint8)
    )


def write_anomaly_track(root: Path, index: int, seed: int, size: tuple[int, int]) -> None:
    """AnomalyTrack with test frames, whose labels are stand-ins: void everywhere."""
    photo = anomaly_track(seed, 100 + index, size)
    name = f"validation{index:04d}" if index < 2 else f"toy_tower{index:04d}"
    labels = _plain(photo) if index < 2 else np.full(photo.label_ids.shape, IGNORE, np.uint8)
    write_picture(root / "images" / f"{name}.jpg", photo.rgb)
    write_map(root / "labels_masks" / f"{name}_labels_semantic.png", labels)


def write_obstacle_track(root: Path, index: int, seed: int, size: tuple[int, int]) -> None:
    """ObstacleTrack with test frames, whose labels are missing; by day and at night."""
    photo = obstacle_track(seed, 100 + index, size)
    name = ("validation_1", "validation_2", "curvy-street_1", "driveway_1")[index]
    write_picture(root / "images" / f"{name}.webp", photo.rgb)
    if index < 2:
        labels = np.where(photo.label_ids == ROAD, KNOWN, IGNORE).astype(np.uint8)
        labels[photo.odd] = ANOMALY
        write_map(root / "labels_masks" / f"{name}_labels_semantic.png", labels)


def write_streethazards(root: Path, index: int, seed: int, size: tuple[int, int]) -> None:
    """StreetHazards: 1-based ids, 14 is the anomaly; the last frame shows none."""
    photo = anomaly_track(seed, 200 + index, size)
    ids = np.ones(256, np.uint8)
    ids[list(_STREETHAZARDS)] = list(_STREETHAZARDS.values())
    labels = ids[photo.label_ids]
    labels[photo.odd] = 14 if index < 3 else 4
    town, name = ("t5", "t5", "t6", "t6")[index], f"{300 + index % 2}.png"
    write_picture(root / "test" / "images" / "test" / town / name, photo.rgb)
    write_map(root / "test" / "annotations" / "test" / town / name, labels)


def write_acdc_poc(root: Path, index: int, seed: int, size: tuple[int, int]) -> None:
    """ACDC-POC: labelIds, and ids from 100 for what was painted in; 0 is void."""
    photo = static(seed, 300 + index, size)
    labels = photo.label_ids.copy()
    labels[labels < 7] = 0
    labels[photo.odd] = 100 + index
    place = Path(_CONDITIONS[index]) / "val" / f"GOPR{100 + index:04d}"
    name = f"GOPR{100 + index:04d}_frame_{10 * index:06d}_rgb_anon.png"
    write_picture(root / "rgb_anon_trainvaltest" / "rgb_anon" / place / name, photo.rgb)
    write_map(root / "gt_trainval" / "gt" / place / name, labels)


def write_muad(root: Path, index: int, seed: int, size: tuple[int, int]) -> None:
    """MUAD, test_OOD: trainIds, 19 and 20 the anomalies, 21 and 255 void."""
    photo = anomaly_track(seed, 400 + index, size)
    labels = train_ids(photo.label_ids)
    labels[photo.odd] = 19 + index % 2
    labels[:2] = 21
    place = root / "test_sets" / "test_OOD"
    write_picture(place / "leftImg8bit" / f"{index:06d}_leftImg8bit.png", photo.rgb)
    write_map(place / "leftLabel" / f"{index:06d}_leftLabel.png", labels)


def write_bdd(root: Path, index: int, seed: int, size: tuple[int, int]) -> None:
    """BDD100K's segmentation set: trainIds; the oddities of all frames but the last count as motorcycles."""
    photo = anomaly_track(seed, 500 + index, size)
    labels = train_ids(photo.label_ids)
    labels[np.isin(labels, (16, 17, 18))] = IGNORE
    labels[photo.odd] = _MOTORCYCLE if index < 3 else IGNORE
    split, name = "train" if index < 2 else "val", f"{index:08x}-{0x70AD + index:08x}"
    write_picture(root / "seg" / "images" / split / f"{name}.jpg", photo.rgb)
    write_map(root / "seg" / "labels" / split / f"{name}_train_id.png", labels)


def _plain(photo: Photo) -> UInt8[np.ndarray, "h w"]:
    labels = np.where(train_ids(photo.label_ids) == IGNORE, IGNORE, KNOWN).astype(np.uint8)
    labels[photo.odd] = ANOMALY
    return labels


FRAMES = 4
"""Frames of each layout."""

LAYOUTS: dict[str, Callable[[Path, int, int, tuple[int, int]], None]] = {
    "fs_val_v3": write_static_overlays,
    "LostAndFound": write_lost_and_found,
    "dataset_AnomalyTrack": write_anomaly_track,
    "dataset_ObstacleTrack": write_obstacle_track,
    "StreetHazards": write_streethazards,
    "ACDC_POC": write_acdc_poc,
    "MUAD_challenge": write_muad,
    "bdd100k": write_bdd,
}
"""By folder name: how to write a frame, from (folder, index, seed, size)."""


def write_layouts(root: Path, size: tuple[int, int], seed: int) -> Iterator[None]:
    """Write every layout; yields after every frame."""
    for name, write in LAYOUTS.items():
        for index in range(FRAMES):
            write(root / name, index, seed, size)
            yield
