from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.coding import Packing, coder_of
from pipelines.engine import build
from pipelines.recipe import Sources, make
from pipelines.recipes.voidclass import PUBLISHED_SHARES, VoidClass, VoidClassConfig
from pipelines.swapping import UNWEIGHTED, WEIGHTED, swap_instances
from shards.codec import decode_sample
from shards.config import resolve
from shards.errors import BadInput, UserError
from shards.labels import CITYSCAPES_CLASSES
from shards.reader import ShardSet

TRAIN = {row.label_id: row.train_id for row in CITYSCAPES_CLASSES}


def instances() -> np.ndarray:
    """Two cars, a person, a caravan and stuff."""
    ids = np.full((12, 20), 7, np.int32)
    ids[2:5, 1:4], ids[2:5, 6:9], ids[6:10, 2:3], ids[6:9, 10:16] = 26000, 26001, 24000, 29000
    ids[11] = 26  # a group of cars without numbers is no instance
    return ids


def test_swaps_against_the_definition() -> None:
    ids, counts = instances(), Counter[int]()
    for seed in range(300):
        swap = swap_instances(ids, WEIGHTED, np.random.default_rng(seed))
        told = {row["instance"]: row for row in swap.told}
        counts[len(told)] += 1
        names = {row.name: row.label_id for row in CITYSCAPES_CLASSES}
        for y in range(12):
            for x in range(20):
                row = told.get(int(ids[y, x]))
                assert swap.pixels[y, x] == (row is not None)
                assert swap.labels[y, x] == (255 if row is None else TRAIN[names[row["labelled"]]])
        for instance, row in told.items():
            assert names[row["category"]] == instance // 1000 != names[row["labelled"]]
            assert row["pixels"] == np.count_nonzero(ids == instance)
    # floor(u n) of n = 4: 0 to 3, all alike.
    assert set(counts) == {0, 1, 2, 3}
    assert all(50 < count < 100 for count in counts.values())


def test_published_draw_lists() -> None:
    assert Counter(WEIGHTED) == {7: 3, 24: 3, 26: 7} | dict.fromkeys(
        (8, 11, 12, 13, 20, 21, 22, 25, 27, 28, 32, 33), 1
    )
    assert set(UNWEIGHTED) == {7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33}
    drawn = Counter[str]()
    for seed in range(2000):
        told = swap_instances(instances(), WEIGHTED, np.random.default_rng(seed)).told
        drawn.update(row["labelled"] for row in told if row["category"] == "person")
    # Of 22 entries 19 are not person: car 7, road 3.
    total = drawn.total()
    assert drawn["car"] / total == pytest.approx(7 / 19, abs=0.06)
    assert drawn["road"] / total == pytest.approx(3 / 19, abs=0.05)


def test_nothing_to_swap() -> None:
    swap = swap_instances(np.full((4, 4), 7, np.int32), WEIGHTED, np.random.default_rng(0))
    assert not swap.pixels.any()
    assert (swap.labels == 255).all()
    assert swap.told == ()


@pytest.fixture
def with_instances(make_cityscapes: Any) -> Sources:
    root: Path = make_cityscapes(3)
    for path in (root / "gtFine/train/aachen").glob("*_labelIds.png"):
        ids = np.array(Image.open(path)).astype(np.int32)
        ids[34:39, 50:60], ids[34:39, 70:90], ids[45:50, 5:9] = 26000, 26001, 24000
        Image.fromarray(ids.astype(np.uint16)).save(path.with_name(path.name.replace("labelIds", "instanceIds")))
    return Sources(root)


@pytest.mark.parametrize("mechanism", ["swapped", "both"])
def test_sample(with_instances: Sources, mechanism: str) -> None:
    recipe = VoidClass.open(resolve(VoidClassConfig, options={"mechanism": mechanism}), with_instances)
    void = make(VoidClass.open(VoidClassConfig(), with_instances), 0, 0)
    seen = set()
    for index in range(0, 12, 3):
        sample = make(recipe, 0, index)
        swapped = sample.extras["swapped"]
        seen.add(len(sample.meta["swapped"]))
        assert (sample.anomaly[swapped != 255] == 1).all()
        elsewhere = sample.anomaly[swapped == 255]
        expected = np.where(sample.semantic == 255, 255, 0).astype(np.uint8)
        if mechanism == "both":
            expected = np.where(void.anomaly == 1, 1, expected).astype(np.uint8)
        np.testing.assert_array_equal(elsewhere, expected[swapped == 255])
        assert sample.meta["pixels"]["anomaly"] == np.count_nonzero(sample.anomaly == 1)
        frame = recipe.frames.at(0, "voidclass", index)
        np.testing.assert_array_equal(sample.image, np.array(Image.open(frame.image)))
        np.testing.assert_array_equal(sample.semantic, recipe.frames.semantic(frame))
    assert len(seen) > 1


def test_coded_is_made(with_instances: Sources) -> None:
    """Several samples of a frame, which is coded once, are swapped differently; the files are those of the arrays."""
    config = resolve(VoidClassConfig, options={"mechanism": "both", "samples_per_frame": 6, "size": (64, 32)})
    recipe = VoidClass.open(config, with_instances)
    for image_format in ("png", "webp"):
        coder = coder_of(recipe, 3, Packing(image_format=image_format))
        maps = set()
        for index in range(12):
            files, meta = coder.members(index)
            sample, wanted = decode_sample("k", dict(files)), make(recipe, 3, index)
            for name in ("image", "anomaly", "semantic"):
                np.testing.assert_array_equal(getattr(sample, name), getattr(wanted, name))
            np.testing.assert_array_equal(sample.extras["swapped"], wanted.extras["swapped"])
            assert meta == wanted.meta
            assert [suffix.split(".")[0] for suffix, _ in files] == [
                "image",
                "anomaly",
                "semantic",
                "swapped",
                "json",
            ]
            maps.add(sample.extras["swapped"].tobytes())
        assert len(maps) > 4


def test_set(with_instances: Sources, tmp_path: Path) -> None:
    recipe = VoidClass.open(resolve(VoidClassConfig, options={"mechanism": "swapped"}), with_instances)
    summary = build(recipe, tmp_path / "set", count=6)
    shards = ShardSet(tmp_path / "set")
    total = sum(np.count_nonzero(shards[i].extras["swapped"] != 255) for i in range(6))
    assert summary.pixels["anomaly"] == total > 0
    files = recipe.sources()["cityscapes"]["files"]
    assert files == 9
    assert VoidClass.open(VoidClassConfig(), with_instances).sources()["cityscapes"]["files"] == 6


def test_frames_without_instances(with_instances: Sources, sources: Sources) -> None:
    config = resolve(VoidClassConfig, options={"mechanism": "swapped"})
    for path in sorted(with_instances.cityscapes.glob("gtFine/train/aachen/*_instanceIds.png"))[:2]:
        path.unlink()
    recipe = VoidClass.open(config, with_instances)
    assert recipe.plan()["cityscapes"]["frames_with_instance_ids"] == 1
    reasons = []
    for index in range(3):
        try:
            make(recipe, 0, index)
        except BadInput as error:
            reasons.append(error.reason)
    assert reasons == ["no-instance-ids"] * 2
    next(with_instances.cityscapes.glob("gtFine/train/aachen/*_instanceIds.png")).unlink()
    with pytest.raises(UserError, match="none of the 3 frames"):
        VoidClass.open(config, replace(with_instances))


@pytest.mark.parametrize(
    ("ids", "sentence"), [([4, 7], "4 is no labelId of an evaluation class"), ([7, 7], "at least two"), ([], "two")]
)
def test_illegal_lists(ids: list[int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        resolve(VoidClassConfig, options={"swapped_to": ids})


def test_published_shares() -> None:
    """The class weights of the published code are 1 / ln(1.02 + p) of these shares."""
    assert PUBLISHED_SHARES["with void"] == pytest.approx(0.1125, abs=1e-4)
    assert PUBLISHED_SHARES["without void"] == pytest.approx(0.0424, abs=1e-4)


def test_maps_survive_other_tools(with_instances: Sources) -> None:
    recipe = VoidClass.open(resolve(VoidClassConfig, options={"mechanism": "swapped"}), with_instances)
    files = dict(coder_of(recipe, 0, Packing()).members(0)[0])
    with Image.open(BytesIO(files["swapped.png"])) as image:
        np.testing.assert_array_equal(np.array(image), make(recipe, 0, 0).extras["swapped"])


@pytest.mark.real
def test_real_frames(shared: Path) -> None:
    config = resolve(VoidClassConfig, options={"mechanism": "both", "size": (1024, 512)})
    recipe = VoidClass.open(config, Sources(shared / "data" / "cityscapes"))
    swapped = 0
    for index in range(4):
        sample = make(recipe, 0, index)
        swapped += np.count_nonzero(sample.extras["swapped"] != 255)
    assert swapped > 0
