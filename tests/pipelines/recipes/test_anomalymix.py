from __future__ import annotations

from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.coding import Coder, Packing
from pipelines.cutout import Cutout
from pipelines.placement import Board, draw_place
from pipelines.recipe import Sources, make
from pipelines.recipes import find_preset, find_recipe
from pipelines.recipes.anomalymix import PRESETS, AnomalyMix, AnomalyMixConfig
from pipelines.sources.objects import STREET_CATEGORIES
from shards.codec import encode_sample
from shards.config import resolve
from shards.errors import UserError
from shards.layouts.cityscapes import read_image, read_semantic
from shards.layouts.coco import annotation_mask
from shards.layouts.coco import read_image as read_picture
from shards.rng import generator

SMALL: dict[str, Any] = {"min_area": 0, "long_side": (0.2, 0.35), "min_visible": 1}


def mix(sources: Sources, **fields: Any) -> AnomalyMix:
    return AnomalyMix.open(AnomalyMixConfig(**{**SMALL, **fields}), sources)


def test_labels_by_hand(sources: Sources) -> None:
    """Objects of one colour, pasted as rectangles: the whole sample is known from where they lie."""
    recipe = mix(sources, objects=(1, 1))
    for index in range(12):
        sample = make(recipe, 0, index)
        frame = recipe.frames.at(0, "anomalymix", index)
        image, semantic = read_image(frame).copy(), read_semantic(frame).copy()
        anomaly = np.where(semantic == 255, 255, 0).astype(np.uint8)
        (thing,) = sample.meta["objects"]
        x, y, w, h = thing["box"]
        image[y : y + h, x : x + w] = (220, 30, 20) if thing["category"] == "dog" else (20, 210, 40)
        anomaly[y : y + h, x : x + w] = 1  # also over void
        semantic[y : y + h, x : x + w] = 255
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.anomaly, anomaly)
        np.testing.assert_array_equal(sample.semantic, semantic)
        source = (30, 20) if thing["category"] == "dog" else (24, 24)
        assert (w, h) == tuple(round(side * thing["scale"]) for side in source)
        assert 0.2 * 64 - 1 <= max(w, h) <= 0.35 * 64 + 1
        assert thing["pixels"] == w * h
        counts = {"known": (anomaly == 0).sum(), "anomaly": w * h, "ignore": (anomaly == 255).sum()}
        assert sample.meta["pixels"] == counts
        assert sample.meta["rejected"] == []


def test_paste_against_a_naive_loop(make_cityscapes: Any, make_coco: Any, rectangle: Any) -> None:
    """At a factor of one, every pixel of a many-coloured triangle lands where the equation says."""
    triangle = rectangle(1, (20, 10, 30, 20), segmentation=[[20, 10, 50, 16, 28, 30]])
    coco = make_coco([triangle])
    noise = np.random.default_rng(3).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(coco / "train2017" / "000000000001.png")
    # Frames are 64 pixels high, so a factor of 16 at the reference height of 1024 is one of 1 here.
    recipe = mix(Sources(make_cityscapes(), coco=coco), objects=(1, 1), scale=(16.0,), long_side=None)
    (item,) = recipe.objects.objects
    mask, picture = annotation_mask(item.image, item.annotations[0]), read_picture(item.image)
    ys, xs = np.nonzero(mask)
    flips = set()
    for index in range(8):
        sample = make(recipe, 1, index)
        frame = recipe.frames.at(1, "anomalymix", index)
        image, semantic = read_image(frame).copy(), read_semantic(frame).copy()
        anomaly = np.where(semantic == 255, 255, 0).astype(np.uint8)
        (thing,) = sample.meta["objects"]
        left, top, width, _ = thing["box"]
        for y, x in zip(ys, xs, strict=True):
            column = x - xs.min()
            if thing["flip"]:
                column = width - 1 - column
            image[top + y - ys.min(), left + column] = picture[y, x]
            anomaly[top + y - ys.min(), left + column] = 1
            semantic[top + y - ys.min(), left + column] = 255
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.anomaly, anomaly)
        np.testing.assert_array_equal(sample.semantic, semantic)
        assert thing["scale"] == 1.0
        flips.add(thing["flip"])
    assert flips == {True, False}


def test_many_objects(sources: Sources) -> None:
    recipe = mix(sources, objects=(1, 3), min_visible=64 * 64)  # 16 pixels in frames of this height
    numbers = set()
    for index in range(30):
        sample = make(recipe, 0, index)
        objects = sample.meta["objects"]
        numbers.add(len(objects))
        assert all(thing["pixels"] >= 16 for thing in objects)
        # Every anomalous pixel belongs to exactly one object, even where one covers another.
        assert sum(thing["pixels"] for thing in objects) == (sample.anomaly == 1).sum()
        for thing in objects:
            x, y, w, h = thing["box"]
            assert (sample.anomaly[y : y + h, x : x + w] == 1).any(axis=0).all()
    assert numbers == {1, 2, 3}


def test_probability(sources: Sources) -> None:
    assert all(not make(mix(sources, probability=0.0), 0, index).meta["objects"] for index in range(5))
    share = np.mean([bool(make(mix(sources, probability=0.5), 0, index).meta["objects"]) for index in range(60)])
    assert 0.3 < share < 0.7


def test_a_sample_depends_on_seed_and_index_alone(sources: Sources) -> None:
    forwards = [make(mix(sources), 7, index) for index in range(4)]
    recipe = mix(sources)
    for sample in reversed(forwards):
        again = make(recipe, 7, sample.meta["index"])
        assert again.meta == sample.meta
        np.testing.assert_array_equal(again.image, sample.image)
    assert make(recipe, 8, 0).meta["objects"] != forwards[0].meta["objects"]


def test_broken_objects_are_recorded_and_replaced(make_cityscapes: Any, make_coco: Any) -> None:
    coco: Path = make_coco()
    dog = coco / "train2017" / "000000000001.png"
    dog.write_bytes(dog.read_bytes()[:-30])
    recipe = mix(Sources(make_cityscapes(), coco=coco), objects=(2, 2))
    samples = [make(recipe, 0, index) for index in range(6)]
    rejected = [row for sample in samples for row in sample.meta["rejected"]]
    assert {row["reason"] for row in rejected} == {"truncated-image"}
    assert {row["input"] for row in rejected} == {"coco/train2017/image 1/annotation 100"}
    assert "000000000001.png" in rejected[0]["detail"]
    assert all([thing["category"] for thing in sample.meta["objects"]] == ["frisbee"] * 2 for sample in samples)
    # Drawn a second time in one sample, a broken object is no second row.
    often = mix(Sources(make_cityscapes(), coco=coco), objects=(12, 12))
    assert all(len(make(often, 0, index).meta["rejected"]) == 1 for index in range(6))


def test_no_room(sources: Sources) -> None:
    recipe = mix(sources, objects=(1, 1), long_side=(1.5, 1.6), max_tries=3)
    # The dog is wider than the frame is high, but the frame is wider still: only the frisbee never fits.
    sample = make(mix(sources, objects=(1, 1), long_side=(3.0, 3.1), max_tries=3), 0, 0)
    assert sample.meta["objects"] == []
    assert sample.meta["rejected"] == [
        {"reason": "not-placed", "detail": "no object found room in 3 tries", "input": ""}
    ]
    assert {t["category"] for i in range(8) for t in make(recipe, 0, i).meta["objects"]} <= {"dog"}


def test_coco_is_needed(sources: Sources) -> None:
    with pytest.raises(UserError, match="--coco DIR"):
        AnomalyMix.open(AnomalyMixConfig(), Sources(sources.cityscapes))


def board(semantic: np.ndarray) -> Board:
    height, width = semantic.shape
    return Board(width, height, height)


def square(side: int = 40) -> Cutout:
    return Cutout(np.full((side, side, 3), 200, np.uint8), np.ones((side, side), bool))


def test_sizes_are_log_uniform() -> None:
    config = AnomalyMixConfig(long_side=(1 / 32, 0.5))
    empty = board(np.zeros((512, 1024), np.uint8))
    rng = generator(0, "test")
    none = np.empty(0, np.int64)
    drawn = [draw_place(square(), empty, none, config, rng) for _ in range(400)]
    sides = np.array([placed.scale * 40 / 512 for placed in drawn if placed is not None])
    assert sides.min() >= 1 / 32
    assert sides.max() <= 0.5
    below = (sides < 0.125).mean()  # half of the octaves
    assert abs(below - log(0.125 * 32) / log(0.5 * 32)) < 0.1


def test_uniform_places_reach_every_corner() -> None:
    empty = board(np.zeros((64, 128), np.uint8))
    config = AnomalyMixConfig(long_side=(0.25, 0.25))
    rng = generator(0, "test")
    none = np.empty(0, np.int64)
    places = [draw_place(square(), empty, none, config, rng) for _ in range(3000)]
    corners = [(placed.patch.left, placed.patch.top) for placed in places if placed is not None]
    assert len(corners) == 3000
    assert (min(x for x, _ in corners), max(x for x, _ in corners)) == (0, 112)
    assert (min(y for _, y in corners), max(y for _, y in corners)) == (0, 48)
    free = [draw_place(square(), empty, none, config.model_copy(update={"inside": False}), rng) for _ in range(300)]
    assert any(placed is not None and (placed.patch.left < 0 or placed.patch.top < 0) for placed in free)


def test_on_the_road() -> None:
    semantic = np.full((128, 256), 2, np.uint8)
    semantic[80:, 100:200] = 0
    road = np.flatnonzero(semantic == 0)
    config = AnomalyMixConfig(long_side=(0.2, 0.2), placement="road", min_long_side=0.02)
    rng = generator(0, "test")
    for _ in range(200):
        placed = draw_place(square(), board(semantic), road, config, rng)
        if placed is None:
            continue
        rows, columns = placed.patch.mask.shape
        foot = (placed.patch.left + columns // 2, placed.patch.top + rows - 1)
        assert semantic[foot[1], foot[0]] == 0
        nearness = (foot[1] + 1 - 0.42 * 128) / (0.58 * 128)
        assert abs(rows - max(0.2 * nearness, 0.02) * 128) <= 1
    flat = config.model_copy(update={"perspective": False})
    sides = {
        placed.patch.mask.shape
        for _ in range(50)
        if (placed := draw_place(square(), board(semantic), road, flat, rng)) is not None
    }
    assert sides == {(26, 26)}


@pytest.mark.parametrize("blend", ["hard", "feather"])
def test_the_foot_of_the_object_stands_on_the_road_not_its_box(blend: str) -> None:
    """A leaning thing, whose lowest pixels lie at one end of its box, on a road as narrow as its foot."""
    mask = np.zeros((40, 40), bool)
    for row in range(36):  # nothing of it in the lowest rows
        mask[row, 35 - row : 40 - row] = True
    thing = Cutout(np.where(mask[..., None], np.uint8(200), np.uint8(0)) * np.ones(3, np.uint8), mask)
    semantic = np.full((128, 256), 2, np.uint8)
    semantic[60:, 120:123] = 0
    config = AnomalyMixConfig(long_side=(0.2, 0.3), placement="road", perspective=False, blend=blend)
    rng, ground, ends = generator(3, "test"), np.flatnonzero(semantic == 0), set()
    for _ in range(60):
        placed = draw_place(thing, board(semantic), ground, config, rng)
        if placed is None:
            continue
        y, x = np.nonzero(placed.patch.mask)
        assert placed.foot == placed.patch.top + y.max()
        feet = x[y == y.max()] + placed.patch.left
        assert semantic[placed.foot, feet[len(feet) // 2]] == 0
        ends.add(placed.flip)
    assert ends == {False, True}


def test_mixed_places_and_no_road(sources: Sources) -> None:
    semantic = np.full((64, 128), 2, np.uint8)
    semantic[60:] = 0
    road = np.flatnonzero(semantic == 0)
    config = AnomalyMixConfig(long_side=(0.1, 0.1), placement="mixed", perspective=False, road_share=0.5)
    rng = generator(1, "test")
    drawn = [draw_place(square(), board(semantic), road, config, rng) for _ in range(300)]
    placed = [item for item in drawn if item is not None]
    standing = np.mean([item.patch.top + item.patch.mask.shape[0] > 60 for item in placed])
    assert 0.4 < standing < 0.7
    # Nothing to stand on: anywhere.
    assert make(mix(sources, placement="road", ground=(16,)), 0, 0).meta["objects"]
    recipe = mix(sources, placement="road", perspective=False)
    for index in range(6):
        frame = recipe.frames.at(0, "anomalymix", index)
        semantic = read_semantic(frame)
        for thing in make(recipe, 0, index).meta["objects"][-1:]:  # the last one is not covered
            x, y, w, h = thing["box"]
            assert semantic[y + h - 1, x + w // 2] in (0, 1)


def test_put_protects_what_lies_behind() -> None:
    empty = board(np.zeros((64, 128), np.uint8))
    config = AnomalyMixConfig(long_side=(0.25, 0.25))
    first = draw_place(square(), empty, np.empty(0, np.int64), config, generator(0, "a"))
    assert first is not None
    assert empty.put(first, 100)
    assert not empty.put(first, 100)  # would hide the first one
    assert not empty.put(first, 257)  # has 256 pixels itself
    assert (len(empty.placed), empty.seen[0].sum()) == (1, 256)
    assert empty.put(first, 0)
    assert [seen.sum() for seen in empty.seen] == [0, 256]


def test_crop(sources: Sources) -> None:
    recipe = mix(sources, crop=512)  # 32 of 64 rows
    lefts = set()
    for index in range(6):
        sample = make(recipe, 0, index)
        assert sample.image.shape == (32, 32, 3)
        left, top, width, height = sample.meta["frame"]["crop"]
        assert (width, height) == (32, 32)
        lefts.add((left, top))
        frame = recipe.frames.at(0, "anomalymix", index)
        known = sample.anomaly == 0
        np.testing.assert_array_equal(sample.image[known], read_image(frame)[top : top + 32, left : left + 32][known])
        # Sizes stay those of the whole frame: up to .35 of 64 rows.
        assert max(max(thing["box"][2:]) for thing in sample.meta["objects"]) <= 0.35 * 64 + 1
    assert len(lefts) > 1
    assert make(mix(sources, crop=4096), 0, 0).image.shape == (64, 64, 3)


def test_feather_and_style_change_pixels_not_labels(sources: Sources) -> None:
    plain = make(mix(sources, objects=(1, 1), flip=0.0), 2, 0)
    soft = make(mix(sources, objects=(1, 1), flip=0.0, blend="feather", feather_px=(16.0, 16.0)), 2, 0)
    x, y, w, h = plain.meta["objects"][0]["box"]
    rounded = plain.anomaly.copy()
    rounded[np.ix_((y, y + h - 1), (x, x + w - 1))] = 0
    np.testing.assert_array_equal(soft.anomaly, rounded)  # of the corners less than half is seen
    changed = (plain.image != soft.image).any(axis=2)
    assert changed.any()
    away = np.ones_like(changed)
    away[max(0, y - 3) : y + h + 3, max(0, x - 3) : x + w + 3] = False
    assert not changed[away].any()
    styled = make(mix(sources, objects=(1, 1), flip=0.0, style="reinhard"), 2, 0)
    np.testing.assert_array_equal(plain.anomaly, styled.anomaly)
    np.testing.assert_array_equal(plain.image[plain.anomaly != 1], styled.image[plain.anomaly != 1])
    assert (plain.image != styled.image).any()


FITTINGS: list[dict[str, Any]] = [
    {"blend": "poisson"},
    {"style": "histogram"},
    {"sharpness": "frame"},
    {"noise": "frame"},
    {"blend": "feather", "style": "reinhard", "sharpness": "frame", "noise": "frame"},
    {"blend": "poisson", "style": "histogram", "sharpness": "frame", "noise": "frame"},
]


@pytest.mark.parametrize("fields", FITTINGS, ids=lambda fields: "-".join(map(str, fields.values())))
def test_fitting_moves_nothing(sources: Sources, fields: dict[str, Any]) -> None:
    """Of one object each: however it is fitted, it lies where it lay, as large, with the same labels."""
    plain, other = mix(sources, objects=(1, 1)), mix(sources, objects=(1, 1), **fields)
    for index in range(4):
        wanted, found = make(plain, 5, index), make(other, 5, index)
        np.testing.assert_array_equal(found.anomaly, wanted.anomaly)
        np.testing.assert_array_equal(found.semantic, wanted.semantic)
        (before,), (after,) = wanted.meta["objects"], found.meta["objects"]
        assert {**after, "blend": None} == {**before, "blend": None}
        assert before["blend"] == {"edge": "hard"}
        named = {"match" if name == "style" else "edge" if name == "blend" else name for name in fields}
        assert set(after["blend"]) == {"edge", *named} | (
            {"sigma"} if fields.get("blend") == "feather" else set()
        ) | ({"seed"} if "noise" in fields else set())


@pytest.mark.parametrize(
    "fields", [*FITTINGS, {"occlusion": True, "occluders": (2,)}], ids=lambda fields: str(fields)
)
def test_fitted_strips_are_those_of_the_whole(sources: Sources, fields: dict[str, Any]) -> None:
    recipe = mix(sources, **fields)
    coder = Coder(recipe, 4, Packing())
    for index in range(3):
        sample = make(recipe, 4, index)
        assert coder.members(index) == (encode_sample(sample), sample.meta)


def test_noise_differs_from_object_to_object(sources: Sources) -> None:
    recipe = mix(sources, objects=(3, 3), noise="frame")
    seeds = [thing["blend"]["seed"] for index in range(5) for thing in make(recipe, 0, index).meta["objects"]]
    assert len(set(seeds)) == len(seeds) > 10
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_what_stands_nearer_hides(sources: Sources) -> None:
    """The frames' buildings fill rows 16 to 31: of what stands above row 31, only what rises over them is seen."""
    recipe = mix(sources, objects=(1, 1), occlusion=True, occluders=(2,), min_visible=1)
    hidden = []
    for index in range(30):
        sample = make(recipe, 0, index)
        frame = recipe.frames.at(0, "anomalymix", index)
        rows = np.flatnonzero((sample.anomaly == 1).any(axis=1))
        (thing,) = sample.meta["objects"]
        assert rows.max() >= 31 or rows.max() < 16
        source = (30, 20) if thing["category"] == "dog" else (24, 24)
        width, height = (round(side * thing["scale"]) for side in source)
        assert thing["pixels"] + thing["occluded"] == width * height
        assert (thing["occluded"] > 0) == (height > rows.size)
        hidden.append(thing["occluded"])
        # The hidden pixels keep the frame's picture and labels.
        known = sample.anomaly != 1
        np.testing.assert_array_equal(sample.image[known], read_image(frame)[known])
        np.testing.assert_array_equal(sample.semantic[known], read_semantic(frame)[known])
    assert 3 < sum(map(bool, hidden)) < 27


def test_where_an_object_stands_is_told(sources: Sources) -> None:
    def placements(**fields: Any) -> set[str]:
        recipe = mix(sources, **fields)
        return {thing["placement"] for index in range(8) for thing in make(recipe, 0, index).meta["objects"]}

    assert placements() == {"uniform"}
    assert placements(placement="road") == {"road"}
    assert placements(placement="mixed") == {"road", "uniform"}
    assert placements(placement="road", ground=(16,)) == {"uniform"}  # there is none to stand on


def test_categories_by_weight_and_held_out(sources: Sources) -> None:
    def categories(**fields: Any) -> set[str]:
        recipe = mix(sources, objects=(2, 2), **fields)
        return {thing["category"] for index in range(8) for thing in make(recipe, 0, index).meta["objects"]}

    assert categories() == categories(balance="categories") == {"dog", "frisbee"}
    assert categories(balance="categories", category_weights={"dog": 0}) == {"frisbee"}
    assert categories(held_out=("smiyc-obstacle",)) == {"frisbee"}


def test_enlarging_can_be_bounded(sources: Sources) -> None:
    for index in range(5):
        for thing in make(mix(sources, max_enlarge=0.5), 0, index).meta["objects"]:
            assert thing["scale"] <= 0.5


def test_presets_differ_as_the_papers_do() -> None:
    configs = {name: resolve(AnomalyMixConfig, preset=find_preset("anomalymix", name)) for name in PRESETS}
    assert {name: config.unit for name, config in configs.items()} == {
        "pebal": "image",
        "rpl": "image",
        "rba": "image",
        "mask2anomaly": "image",
        "multishift": "class",
        "style-aligned": "object",
    }
    assert configs["pebal"].probability == pytest.approx(0.0908, abs=1e-4)
    names = ("rpl", "rba", "mask2anomaly", "multishift", "style-aligned")
    assert [configs[name].probability for name in names] == [1, 0.1, 0.2, 1, 0.1]
    # Nothing is too small for the originals: what shows a single pixel stays.
    assert all(config.min_visible == 1 for config in configs.values())
    assert configs["rpl"].scale == (0.25, 0.5, 0.5, 0.75, 0.1, 0.125)
    assert configs["multishift"].scale == pytest.approx(np.arange(1, 11) / 10)
    assert [configs[name].scale for name in ("pebal", "rba", "mask2anomaly", "style-aligned")] == ["native"] * 4
    assert [config.crop for config in configs.values()] == [None, 700, None, None, 700, None]
    assert [config.style for config in configs.values()] == ["none"] * 5 + ["reinhard"]
    # Meta-OOD leaves COCO's trains in; we do not.
    assert "train" in STREET_CATEGORIES
    assert all(config.street_categories == STREET_CATEGORIES for config in configs.values())
    assert all(config.placement == "uniform" and config.min_side == 480 for config in configs.values())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"scale": "native"}, "give either scale or long_side"),
        ({"long_side": None}, "give either scale or long_side"),
        ({"scale": [], "long_side": None}, "at least one factor"),
        ({"objects": [3, 1]}, "objects: the least value, 3, exceeds"),
        ({"objects": [0, 1]}, "objects"),
        ({"long_side": [0.3, 0.1]}, "long_side: the least value"),
        ({"feather_px": [3, 1]}, "feather_px"),
        ({"probability": 1.5}, "probability"),
        ({"ground": [19]}, "ground"),
        ({"ground": []}, "ground"),
        ({"placement": "sky"}, "placement"),
        ({"blend": "mixed"}, "blend"),
        ({"feather_px": [1, 65]}, "feather_px"),
        ({"occluders": [19]}, "occluders"),
        ({"category_weights": {"dog": 2}}, "of use with balance=categories only"),
        ({"balance": "categories", "category_weights": {"dog": -1}}, "category_weights"),
        ({"colour": 1}, "The fields are: .*min_area.*probability"),
    ],
)
def test_impossible_fields(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        resolve(AnomalyMixConfig, options=fields) if None not in fields.values() else resolve(
            AnomalyMixConfig, preset=fields
        )


def test_catalogue() -> None:
    assert find_recipe("anomalymix").card.name == "anomalymix"
    with pytest.raises(
        UserError, match="There is no recipe 'mix'; the recipes are: cityscapes, voidclass, anomalymix"
    ):
        find_recipe("mix")
    with pytest.raises(UserError, match="no preset 'rlp'; the presets are: pebal, rpl"):
        find_preset("anomalymix", "rlp")
    with pytest.raises(UserError, match="no preset 'x'; it has none"):
        find_preset("cityscapes", "x")
    assert find_preset("anomalymix", None) == {}


@pytest.mark.real
@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_real_mixes(shared: Path, preset: str | None) -> None:
    data = shared / "data"
    config = resolve(
        AnomalyMixConfig,
        preset=find_preset("anomalymix", preset),
        options={"size": "512x256", "probability": 1.0},
    )
    recipe = AnomalyMix.open(config, Sources(data / "cityscapes", coco=data / "coco"))
    for index in range(2):
        sample = make(recipe, 0, index)
        assert set(np.unique(sample.anomaly)) <= {0, 1, 255}
        assert sample.meta["objects"]
        assert (sample.semantic[sample.anomaly == 1] == 255).all()
        assert sum(thing["pixels"] for thing in sample.meta["objects"]) == sample.meta["pixels"]["anomaly"]
