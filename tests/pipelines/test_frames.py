from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.recipe import Sources
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from pipelines.sources.frames import FrameConfig, FrameSource
from shards.config import resolve
from shards.errors import BadInput, UserError
from shards.resize import resize_image, resize_labels


def test_every_epoch_walks_all_frames_in_an_order_of_its_own(make_cityscapes: Any) -> None:
    source = FrameSource.open(make_cityscapes(7), "train", FrameConfig())
    walked = [source.at(3, "cityscapes", index).id for index in range(21)]
    epochs = [walked[start : start + 7] for start in (0, 7, 14)]
    everything = [frame.id for frame in source.frames]
    assert all(sorted(epoch) == everything for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert [source.at(4, "cityscapes", index).id for index in range(7)] != epochs[0]
    assert [source.at(3, "voidclass", index).id for index in range(7)] != epochs[0]
    # Sample 9 does not depend on who was asked before.
    assert (
        FrameSource.open(source.frames[0].image.parents[3], "train", FrameConfig()).at(3, "cityscapes", 9).id
        == walked[9]
    )


@pytest.mark.parametrize(("value", "size"), [("1024x512", (1024, 512)), ([64, 32], (64, 32)), (None, None)])
def test_size(value: Any, size: tuple[int, int] | None) -> None:
    assert resolve(FrameConfig, options={"size": value}).size == size


def test_frames_too_small_to_see_anything() -> None:
    with pytest.raises(UserError, match=r"Field 'size' \(--size\): frames must be at least 16 pixels wide and high"):
        resolve(FrameConfig, options={"size": "64x8"})


@pytest.mark.parametrize("size", [(4, 3), (8, 6), (5, 4), (16, 12), (1, 1)])
def test_labels_take_the_nearest_centre(size: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 19, (6, 8)).astype(np.uint8)
    result = resize_labels(labels, size)
    for y in range(size[1]):
        for x in range(size[0]):
            # The centre of the new pixel, in the pixels of the old map.
            column, row = (x + 0.5) * 8 / size[0], (y + 0.5) * 6 / size[1]
            assert result[y, x] == labels[int(row), int(column)]


def test_images_are_averaged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    half = resize_image(image, (4, 3))
    naive = image.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - naive).max() <= 0.51
    assert resize_image(image, None) is image
    assert resize_image(image, (8, 6)) is image
    larger = resize_image(image, (16, 12))
    np.testing.assert_array_equal(larger, cv2.resize(image, (16, 12), interpolation=cv2.INTER_LINEAR))


def test_fingerprint_knows_names_and_sizes_but_no_place(make_cityscapes: Any, tmp_path: Path) -> None:
    first = FrameSource.open(make_cityscapes(name="a"), "train", FrameConfig())
    second = FrameSource.open(make_cityscapes(name="b"), "train", FrameConfig())
    assert first.fingerprint == second.fingerprint
    assert str(tmp_path) not in str(first.fingerprint)
    second.frames[0].image.write_bytes(b"other")
    third = FrameSource.open(tmp_path / "b", "train", FrameConfig())
    assert third.fingerprint["sha256"] != first.fingerprint["sha256"]
    assert first.fingerprint["files"] == 6


def test_a_checksum_tells_any_change_of_picture_or_labels(make_cityscapes: Any) -> None:
    source = FrameSource.open(make_cityscapes(2), "train", FrameConfig())
    frame, other = source.frames
    assert frame.label_ids is not None
    picture, labels = frame.image.read_bytes(), frame.label_ids.read_bytes()
    assert source.checksum(frame) == f"{zlib.crc32(picture + labels):08x}" == source.provenance(frame)["crc32"]
    assert source.checksum(other) != source.checksum(frame)
    for path, data in ((frame.image, picture), (frame.label_ids, labels)):
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # of the same size
        assert source.checksum(frame) == f"{zlib.crc32(frame.image.read_bytes() + frame.label_ids.read_bytes()):08x}"
        assert source.checksum(frame) != f"{zlib.crc32(picture + labels):08x}"
    frame.image.unlink()
    with pytest.raises(BadInput, match="missing-image"):
        source.checksum(frame)
    with pytest.raises(BadInput, match="missing-label"):
        source.checksum(replace(other, label_ids=other.image.with_name("gone.png")))


def test_a_scene_is_the_frame_before_it_is_decoded(make_cityscapes: Any) -> None:
    root = make_cityscapes(1)
    for config in (FrameConfig(), FrameConfig(size=(100, 70))):
        recipe = CityscapesRecipe.open(CityscapesConfig(size=config.size), Sources(root))
        scene, base = recipe.scene(0, 0), recipe.base(0, 0)
        assert scene.size == base.size
        np.testing.assert_array_equal(scene.semantic, base.semantic)
        assert scene.semantic is scene.semantic
