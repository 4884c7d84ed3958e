"""Five small anomaly benchmarks in the folders, names and label values of the official ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pipelines.toy.country import paint_country
from pipelines.toy.files import write_json, write_map, write_picture
from pipelines.toy.ground import ROAD
from pipelines.toy.look import city_look, country_look, in_air
from pipelines.toy.oddities import ODDITIES, SMALL
from pipelines.toy.scene import ODDITY, Photo, frame_border, supersampling, take_photo
from pipelines.toy.street import FEATURES, Street, paint_hood, paint_street
from pipelines.toy.textures import Real
from shards.labels import ANOMALY, IGNORE, KNOWN, train_ids
from shards.rng import generator

_CLEAR = 34.0  # metres of our lane without traffic: what lies there is in front of everything else


def put_oddity(
    rng: np.random.Generator,
    street: Street,
    name: str,
    x: Real,
    z: Real,
    *,
    swell: Real = 1.0,
    shadow: Real = 0.45,
) -> None:
    """Stand an anomaly on the ground at (``x``, ``z``), ``swell`` times its usual size."""
    camera, canvas = street.camera, street.canvas
    scale = camera.scale(z)
    sketch = ODDITIES[name][0](rng, scale * swell)
    in_air(sketch, street.look, z)
    wide = (sketch.right - sketch.left) * scale * swell
    u, v = camera.u(x, z), camera.v(0, z)
    canvas.shadow(u, v, wide * 0.46, max(2.0, wide * 0.1), shadow)
    canvas.stamp(sketch, u, v, canvas.object(ODDITY + name))


def _extent(name: str) -> float:
    """The square root of an oddity's width times height in metres: how large it looks."""
    probe = ODDITIES[name][0](generator(0, "toy", "probe"), 20.0)
    return float(np.sqrt((probe.right - probe.left) * ODDITIES[name][1]))


def _choose(rng: np.random.Generator, names: Sequence[str], index: int) -> str:
    """Take turns through the names, from a place that the draw decides."""
    return names[(index * 5 + int(rng.integers(len(names)))) % len(names)]


def _city(rng: np.random.Generator, size: tuple[int, int], step: int, index: int, palette: str) -> Street:
    feature = FEATURES[index % len(FEATURES)]
    return paint_street(rng, size[0] * step, size[1] * step, city_look(rng, palette), feature, clear=_CLEAR)


def _lane(rng: np.random.Generator, near: Real, far: Real) -> tuple[Real, Real]:
    """A place in our lane."""
    z = near + (far - near) * float(rng.random()) ** 1.5
    return float(rng.uniform(-1.0, 1.0)), z


def _labels(photo: Photo) -> UInt8[np.ndarray, "h w"]:
    """0 known, 1 anomaly, 255 where Cityscapes has no evaluated class."""
    labels = np.where(train_ids(photo.label_ids) == IGNORE, IGNORE, KNOWN).astype(np.uint8)
    labels[photo.odd] = ANOMALY
    return labels


def _wide(size: tuple[int, int]) -> tuple[int, int]:
    """A 16:9 frame of the same height."""
    return max(64, round(size[1] * 16 / 9 / 2) * 2), size[1]


def lost_and_found(seed: int, index: int, size: tuple[int, int]) -> Photo:
    """Lost cargo in our lane, in a town."""
    rng = generator(seed, "toy", "fishyscapes_lostandfound", index)
    step = supersampling(size[1])
    street = _city(rng, size, step, index, "south")
    for k in range(1 + int(rng.random() < 0.3)):
        x, z = _lane(rng, 6.0, 18.0) if k == 0 else (float(rng.uniform(-3.4, -2.2)), float(rng.uniform(6.0, 7.5)))
        put_oddity(rng, street, _choose(rng, SMALL, index), x, z, swell=float(rng.uniform(0.8, 1.2)))
    paint_hood(rng, street.canvas, 1)
    photo = take_photo(rng, street, step)
    frame_border(photo)
    return photo


def static(seed: int, index: int, size: tuple[int, int]) -> Photo:
    """A town with something pasted in anywhere, at any size, often without a shadow."""
    rng = generator(seed, "toy", "fishyscapes_static", index)
    step = supersampling(size[1])
    street = _city(rng, size, step, index, "south")
    name = _choose(rng, tuple(ODDITIES), index)
    canvas, camera = street.canvas, street.camera
    side = float(rng.uniform(0.16, 0.42)) * camera.height
    sketch = ODDITIES[name][0](rng, side / _extent(name))
    sketch.haze(street.look.low, float(rng.uniform(0, 0.3)))
    u = float(rng.uniform(0.15, 0.85)) * camera.width
    v = float(rng.uniform(0.5, 0.88)) * camera.height
    canvas.stamp(sketch, u, v, canvas.object(ODDITY + name))
    paint_hood(rng, canvas, 1)
    photo = take_photo(rng, street, step)
    frame_border(photo)
    return photo


def road_anomaly(seed: int, index: int, size: tuple[int, int]) -> Photo:
    """Something large on or beside a country road."""
    rng = generator(seed, "toy", "RoadAnomaly", index)
    step = supersampling(size[1])
    width, height = _wide(size)
    street = paint_country(rng, width * step, height * step, country_look(rng))
    name = _choose(rng, tuple(ODDITIES), index)
    spots = [_lane(rng, 5.5, 13.0)]
    if rng.random() < 0.35:
        spots.append((float(rng.uniform(-4.5, -2.5)), float(rng.uniform(7, 16))))
    for x, z in sorted(spots, key=lambda spot: -spot[1]):
        put_oddity(rng, street, name, x, z, swell=float(rng.uniform(0.9, 1.3)), shadow=0.35)
    return take_photo(rng, street, step)


def anomaly_track(seed: int, index: int, size: tuple[int, int]) -> Photo:
    """Something that fills a good part of the frame, in town and country by turns."""
    rng = generator(seed, "toy", "AnomalyTrack", index)
    step = supersampling(size[1])
    width, height = _wide(size) if index % 3 else size
    if index % 2:
        street = paint_country(rng, width * step, height * step, country_look(rng))
    else:
        street = _city(rng, (width, height), step, index, "south")
    name = _choose(rng, tuple(ODDITIES), index)
    swell = float(np.clip(1.9 / _extent(name), 0.6, 1.7))
    put_oddity(rng, street, name, float(rng.uniform(-0.8, 0.8)), float(rng.uniform(4.6, 7.5)), swell=swell)
    return take_photo(rng, street, step)


def obstacle_track(seed: int, index: int, size: tuple[int, int]) -> Photo:
    """Small obstacles on the road ahead."""
    rng = generator(seed, "toy", "ObstacleTrack", index)
    step = supersampling(size[1])
    width, height = _wide(size)
    if index % 3:
        street = paint_country(rng, width * step, height * step, country_look(rng))
    else:
        street = _city(rng, (width, height), step, index, "north")
    spots = [_lane(rng, 6.0, 20.0) for _ in range(int(rng.integers(1, 4)))]
    for x, z in sorted(spots, key=lambda spot: -spot[1]):
        put_oddity(rng, street, _choose(rng, SMALL, index), x, z, swell=float(rng.uniform(0.6, 0.95)))
    return take_photo(rng, street, step)


def _write_lost_and_found(root: Path, index: int, photo: Photo) -> None:
    town = f"{1 + index // 4:02d}_Toy_Road_{1 + index // 4}"
    base = f"{town}_{index % 4:06d}_{10 * (1 + index % 4):06d}"
    write_picture(root / "leftImg8bit" / "test" / town / f"{base}_leftImg8bit.png", photo.rgb)
    write_map(root / "labels" / f"{index:04d}_{base}_labels.png", _labels(photo))


def _write_static(root: Path, index: int, photo: Photo) -> None:
    write_picture(root / "images" / f"{index:04d}.jpg", photo.rgb)
    write_map(root / "labels_masks" / f"{index:04d}.png", _labels(photo))


def _write_road_anomaly(root: Path, index: int, photo: Photo) -> None:
    name = f"toy{index:02d}_country_road"
    write_picture(root / "frames" / f"{name}.jpg", photo.rgb)
    write_map(root / "frames" / f"{name}.labels" / "labels_semantic.png", photo.odd.astype(np.uint8) * np.uint8(2))


def _write_anomaly_track(root: Path, index: int, photo: Photo) -> None:
    name = f"validation{index:04d}"
    write_picture(root / "images" / f"{name}.jpg", photo.rgb)
    write_map(root / "labels_masks" / f"{name}_labels_semantic.png", _labels(photo))


def _write_obstacle_track(root: Path, index: int, photo: Photo) -> None:
    name = f"validation_{index + 1}"
    labels = np.where(photo.label_ids == ROAD, KNOWN, IGNORE).astype(np.uint8)
    labels[photo.odd] = ANOMALY
    write_picture(root / "images" / f"{name}.webp", photo.rgb)
    write_map(root / "labels_masks" / f"{name}_labels_semantic.png", labels)


_Draw = Callable[[int, int, tuple[int, int]], Photo]
_Write = Callable[[Path, int, Photo], None]

BENCHMARKS: dict[str, tuple[_Draw, _Write]] = {
    "fishyscapes_lostandfound": (lost_and_found, _write_lost_and_found),
    "fishyscapes_static": (static, _write_static),
    "RoadAnomaly_jpg": (road_anomaly, _write_road_anomaly),
    "dataset_AnomalyTrack": (anomaly_track, _write_anomaly_track),
    "dataset_ObstacleTrack": (obstacle_track, _write_obstacle_track),
}
"""By folder name: how to draw a frame, and where it goes."""


def write_benchmarks(root: Path, frames: int, size: tuple[int, int], seed: int) -> Iterator[None]:
    """Write ``frames`` frames of each benchmark; yields after every one."""
    for name, (draw, write) in BENCHMARKS.items():
        for index in range(frames):
            write(root / name, index, draw(seed, index, size))
            yield
        if name == "RoadAnomaly_jpg":
            listed = sorted(path.name for path in (root / name / "frames").glob("*.jpg"))
            write_json(root / name / "frame_list.json", listed)
