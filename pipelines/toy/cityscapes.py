"""The toy Cityscapes: streets of made-up towns in the official folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.toy.files import write_map, write_picture
from pipelines.toy.look import city_look
from pipelines.toy.scene import Photo, frame_border, supersampling, take_photo
from pipelines.toy.street import FEATURES, paint_hood, paint_street
from shards.labels import train_ids
from shards.rng import generator

TRAIN_TOWNS = ("kleinstadt", "brunnental")
VAL_TOWN = "hafenwerder"


def towns(split: str, frames: int) -> Iterator[tuple[str, int]]:
    """(town, number within the town) of every frame of a split; all of a town's frames follow one another."""
    if split == "val":
        yield from ((VAL_TOWN, k) for k in range(frames))
        return
    first = (frames + 1) // 2
    for town, count in zip(TRAIN_TOWNS, (first, frames - first), strict=True):
        yield from ((town, k) for k in range(count))


def draw_frame(seed: int, part: str, index: int, size: tuple[int, int], palette: str) -> Photo:
    """One frame: a pure function of its arguments."""
    rng = generator(seed, "toy", part, index)
    step = supersampling(size[1])
    feature = FEATURES[index % len(FEATURES)]
    street = paint_street(rng, size[0] * step, size[1] * step, city_look(rng, palette), feature)
    paint_hood(rng, street.canvas, 1)
    photo = take_photo(rng, street, step)
    frame_border(photo)
    return photo


def write_cityscapes(root: Path, split: str, frames: int, size: tuple[int, int], seed: int) -> Iterator[None]:
    """Write a split; yields after every frame."""
    for index, (town, number) in enumerate(towns(split, frames)):
        palette = "south" if town == VAL_TOWN else "north"
        photo = draw_frame(seed, f"cityscapes-{split}", index, size, palette)
        base = f"{town}_{number:06d}_000019"
        write_picture(root / "leftImg8bit" / split / town / f"{base}_leftImg8bit.png", photo.rgb)
        truth = root / "gtFine" / split / town
        write_map(truth / f"{base}_gtFine_labelIds.png", photo.label_ids)
        write_map(truth / f"{base}_gtFine_instanceIds.png", photo.instance_ids)
        write_map(truth / f"{base}_gtFine_labelTrainIds.png", train_ids(photo.label_ids))
        yield
