from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from shards.codec import encode_sample
from shards.coded import CodedSample
from shards.errors import BadInput, UserError
from shards.rng import generator
from shards.sample import Sample
from shards.stream import EpochSampler, Position, stream
from train.augment import (
    Augment,
    Item,
    View,
    beside_frame,
    degrade,
    draw_view,
    jitter,
    part_of,
    see_image,
    see_labels,
)
from train.config import TrainConfig
from train.data import TrainingPool, collate

EVERYTHING = TrainConfig(
    scale=(0.5, 2.0), aspect=0.3, crop=(48, 24), brightness=0.3, contrast=0.3, saturation=0.3, exponent=0.3, tint=0.1,
    degrade=0.7,
)  # fmt: skip


def sample_of(width: int, height: int) -> Sample:
    rng = generator(1, width, height)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Sample("s", image, (image[..., 0] > 200).astype(np.uint8), (image[..., 1] % 19).astype(np.uint8))


def coded(sample: Sample) -> CodedSample:
    return CodedSample(sample.key, dict(encode_sample(sample)))


def test_without_options_the_item_is_the_sample() -> None:
    sample = sample_of(64, 32)
    item = Augment(TrainConfig(flip=0.0), (64, 32))(coded(sample), generator(0))
    np.testing.assert_array_equal(item.image, sample.image)
    np.testing.assert_array_equal(item.anomaly, sample.anomaly)
    np.testing.assert_array_equal(item.semantic, sample.semantic)


def test_a_flip_mirrors_all_maps() -> None:
    sample = sample_of(64, 32)
    item = Augment(TrainConfig(flip=1.0), (64, 32))(coded(sample), generator(0))
    np.testing.assert_array_equal(item.image, sample.image[:, ::-1])
    np.testing.assert_array_equal(item.semantic, sample.semantic[:, ::-1])


def test_equal_generators_give_equal_items_and_others_do_not() -> None:
    stored, augment = coded(sample_of(64, 32)), pickle.loads(pickle.dumps(Augment(EVERYTHING, (64, 32))))
    first, again, other = (augment(stored, generator(3, "augment", 0, place)) for place in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.anomaly, again.anomaly)
    assert not np.array_equal(first.image, other.image)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), width=st.integers(8, 90), height=st.integers(8, 70))
def test_items_have_the_size_of_the_crop_and_known_labels(seed: int, width: int, height: int) -> None:
    item = Augment(EVERYTHING, (64, 32))(coded(sample_of(width, height)), generator(seed))
    assert item.image.shape == (24, 48, 3)
    assert item.image.dtype == np.uint8
    assert item.anomaly.shape == item.semantic.shape == (24, 48)
    assert set(np.unique(item.anomaly)) <= {0, 1, 255}
    assert set(np.unique(item.semantic)) <= {*range(19), 255}
    assert (item.semantic[item.padding] == 255).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_the_crop_of_a_resize_is_the_resize_of_a_crop(seed: int) -> None:
    sample = sample_of(90, 50)
    view = draw_view(generator(seed), EVERYTHING, (64, 32))
    whole = np.asarray(Image.fromarray(sample.image).resize(view.size, Image.Resampling.BILINEAR)).astype(int)
    part = see_image(sample.image, view).astype(int)
    if view.flip:
        part = see_image(sample.image, View(view.size, view.corner, view.crop, False)).astype(int)
    x, y = view.corner
    expected = whole[y : y + view.crop[1], x : x + view.crop[0]]
    height, width = expected.shape[:2]
    assert np.abs(part[:height, :width] - expected).max() <= 2  # rounding of the box, in each of two passes
    assert not part[height:].any()
    assert not part[:, width:].any()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), width=st.integers(8, 200), height=st.integers(8, 120))
def test_a_view_of_the_decoded_part_is_the_view_of_the_whole(seed: int, width: int, height: int) -> None:
    sample = sample_of(width, height)
    view = draw_view(generator(seed), EVERYTHING, (64, 32))
    part = part_of((width, height), view)
    left, top, across, down = part.box
    here = np.s_[top : top + down, left : left + across]
    assert sample.image[here].shape == (down, across, 3)
    np.testing.assert_array_equal(see_labels(sample.semantic[here], view, part), see_labels(sample.semantic, view))
    away = np.abs(see_image(sample.image[here], view, part).astype(int) - see_image(sample.image, view))
    assert away.max() <= 2  # Pillow rounds in each of two passes, and the size decides which one comes first
    assert (away == 2).mean() < 0.01


def test_only_what_a_crop_shows_is_decoded() -> None:
    view = View((2048, 1024), (100, 50), (704, 704), False)
    assert part_of((2048, 1024), view).box == (100, 50, 704, 704)
    assert part_of((1024, 512), view).box == (48, 23, 356, 356)  # half as large, and two pixels around
    assert part_of((2048, 1024), View((1024, 512), (0, 0), (1024, 512), False)).box == (0, 0, 2048, 1024)
    sample = sample_of(640, 320)
    sample.semantic[300:, 600:] = 77
    config = TrainConfig(crop=(16, 16), flip=0.0)
    stored, read = coded(sample), 0
    for place in range(40):
        corner = draw_view(generator(0, place), config, (640, 320)).corner
        if corner[0] > 584 and corner[1] > 284:
            with pytest.raises(BadInput, match="label-values"):
                Augment(config, (640, 320))(stored, generator(0, place))
        else:
            item = Augment(config, (640, 320))(stored, generator(0, place))
            x, y = corner
            np.testing.assert_array_equal(item.image, sample.image[y : y + 16, x : x + 16])
            read += 1
    assert read > 30


def test_labels_take_the_nearest_pixel_and_padding_is_ignored() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    doubled = see_labels(labels, View((8, 6), (0, 0), (8, 8), False))
    np.testing.assert_array_equal(doubled[:6], labels.repeat(2, 0).repeat(2, 1))
    assert (doubled[6:] == 255).all()
    halved = see_labels(labels, View((2, 1), (0, 0), (2, 1), False))
    assert halved.tolist() == [[5, 7]]
    assert beside_frame(View((8, 6), (0, 0), (8, 8), True)).tolist() == [[False] * 8] * 6 + [[True] * 8] * 2
    image = see_image(np.full((3, 4, 3), 9, np.uint8), View((8, 6), (0, 0), (8, 8), False))
    assert (image[:6] == 9).all()
    assert (image[6:] == 0).all()


def test_image_and_labels_stay_together() -> None:
    labels = np.zeros((40, 80), np.uint8)
    labels[10:30, 20:60] = 1
    sample = Sample("s", labels[..., None].repeat(3, 2) * 255, labels, labels)
    config = TrainConfig(scale=(0.5, 2.0), aspect=0.3, crop=(48, 32))
    for place in range(20):
        item = Augment(config, (80, 40))(coded(sample), generator(0, place))
        valid = item.anomaly != 255
        assert (
            np.mean((item.image[..., 0] > 127)[valid] == (item.anomaly == 1)[valid]) > 0.95
        )  # the rest is the blurred edge


def test_an_anomaly_outside_of_the_crop_is_absent() -> None:
    sample = sample_of(64, 32)
    sample.anomaly[:] = 0
    sample.anomaly[0, 0] = 1
    seen = [
        Augment(TrainConfig(crop=(16, 16)), (64, 32))(coded(sample), generator(0, i)).anomaly.any() for i in range(20)
    ]
    assert not all(seen)


def test_jitter_without_strength_is_the_identity_and_draws_as_much() -> None:
    image = sample_of(16, 8).image
    one, two = generator(0), generator(0)
    assert jitter(image, one, TrainConfig()) is image
    jitter(image, two, TrainConfig(brightness=0.5, tint=0.2))
    assert one.random() == two.random()


def test_brightness_and_saturation_do_what_they_say() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    values = {int(jitter(grey, generator(i), TrainConfig(brightness=0.5)).mean()) for i in range(50)}
    assert 50 <= min(values) < 70
    assert 130 < max(values) <= 150
    np.testing.assert_array_equal(jitter(grey, generator(0), TrainConfig(saturation=0.9)), grey)


def test_degradation_keeps_the_picture() -> None:
    smooth = np.linspace(0, 255, 64 * 32 * 3).reshape(32, 64, 3).astype(np.uint8)
    changed = [degrade(smooth, generator(i), TrainConfig(degrade=1.0)).astype(int) - smooth for i in range(12)]
    assert all(np.abs(c).mean() < 15 for c in changed)
    assert any(c.any() for c in changed)
    assert degrade(smooth, generator(0), TrainConfig()) is smooth


@pytest.mark.parametrize("fields", [{"scale": (2.0, 1.0)}, {"crop": (50, 32)}, {"brightness": 1.0}, {"repeat": (0,)}])
def test_configs_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainConfig.model_validate(fields)


def test_batches_are_uint8_and_become_0_to_1(tiny_shards: Path) -> None:
    pool = TrainingPool([tiny_shards], TrainConfig(batch=3), input_size=(64, 32), seed=0)
    sampler = EpochSampler(len(pool), batch_size=3, seed=0, steps=2)
    (batch, rejected), *_ = list(stream(pool, sampler, collate))
    assert not rejected
    assert batch.pixels.shape == (3, 32, 64, 3)
    assert batch.pixels.dtype == torch.uint8
    assert batch.images.shape == (3, 3, 32, 64)
    assert 0 <= float(batch.images.min()) < float(batch.images.max()) <= 1
    assert float(batch.images[1, 2, 3, 4]) == pytest.approx(int(batch.pixels[1, 3, 4, 2]) / 255)


def test_repeat_counts_a_set_more_often(tiny_shards: Path) -> None:
    pool = TrainingPool([tiny_shards] * 2, TrainConfig(repeat=(1, 3)), input_size=(64, 32), seed=0)
    assert len(pool) == 40
    with pytest.raises(UserError, match="one number for each of the 1 shard sets"):
        TrainingPool([tiny_shards], TrainConfig(repeat=(1, 3)), input_size=(64, 32), seed=0)


def test_a_broken_sample_is_a_value(make_shards: Callable[[Sequence[Sample]], Path]) -> None:
    sample = sample_of(16, 8)
    broken = Sample("b", sample.image, sample.anomaly, np.full((8, 16), 77, np.uint8))
    pool = TrainingPool([make_shards([sample, broken])], TrainConfig(), input_size=(16, 8), seed=0)
    items = [pool[Position(0, place, place)] for place in range(2)]
    assert isinstance(items[0], Item)
    assert isinstance(items[1], BadInput)
    batch, rejected = collate(items)
    assert batch is not None
    assert batch.keys == ("s",)
    assert [reason for reason, _ in rejected] == ["label-values"]
    assert collate(items[1:]) == (None, rejected)


def test_extras_are_cut_like_the_frame_and_its_labels() -> None:
    plain = sample_of(64, 32)
    entropy = plain.image[..., 2].copy()
    maps = {"predicted": plain.semantic, "synthesis": plain.image, "entropy": entropy, "other": plain.anomaly}
    stored = coded(replace(plain, extras=maps))
    config = TrainConfig(scale=(0.5, 2.0), crop=(48, 24), flip=0.5, brightness=0.3, degrade=1.0)
    quiet = TrainConfig(scale=(0.5, 2.0), crop=(48, 24), flip=0.5)
    for place in range(8):
        item = Augment(config, (64, 32), ["predicted", "synthesis", "entropy"])(stored, generator(0, place))
        same = Augment(quiet, (64, 32))(stored, generator(0, place))
        assert set(item.extras) == {"predicted", "synthesis", "entropy"}
        np.testing.assert_array_equal(item.extras["predicted"], same.semantic)
        np.testing.assert_array_equal(item.extras["synthesis"], same.image)  # no change of light
        np.testing.assert_array_equal(item.extras["entropy"], same.image[..., 2])
    with pytest.raises(BadInput, match="missing-member: s has no swapped"):
        Augment(quiet, (64, 32), ["swapped"])(stored, generator(0))


def test_batches_hold_extras_and_a_seed_of_each_sample(write_shards: Callable[..., Path], tmp_path: Path) -> None:
    samples = []
    for index in range(6):
        one = sample_of(64, 32)
        samples.append(replace(one, key=f"s-{index}", extras={"entropy": one.image[..., 0].copy()}))
    folder = write_shards(tmp_path / "set", samples)
    pool = TrainingPool([folder], TrainConfig(), input_size=(64, 32), seed=3, extras=["entropy"])

    def seeds(batch_size: int, rank: int = 0, world: int = 1) -> list[int]:
        steps = 6 // batch_size // world
        sampler = EpochSampler(6, batch_size=batch_size, seed=pool.seed, rank=rank, world=world, steps=steps)
        batches = [batch for batch, _ in stream(pool, sampler, collate)]
        assert all(batch.extras["entropy"].shape == (len(batch.keys), 32, 64) for batch in batches)
        return torch.cat([batch.seeds for batch in batches]).tolist()

    joint = seeds(6)
    assert len(set(joint)) == 6
    assert seeds(3) == joint
    assert [seeds(3, rank, 2) for rank in (0, 1)] == [joint[0::2], joint[1::2]]
    (batch, _), *_ = stream(pool, EpochSampler(6, batch_size=6, seed=3, steps=1), collate)
    parts = batch.parts(4)
    assert [len(part.keys) for part in parts] == [1, 2, 1, 2]
    for whole, pieces in zip(batch.tensors, zip(*(part.tensors for part in parts), strict=True), strict=True):
        assert torch.equal(torch.cat(pieces), whole)
