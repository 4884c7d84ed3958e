from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.recipe import Sources, make
from pipelines.recipes import find_preset
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from pipelines.recipes.voidclass import PRESETS, VoidClass, VoidClassConfig, void_labels
from shards.config import resolve
from shards.errors import BadInput, UserError
from shards.labels import CITYSCAPES_CLASSES


def test_labels_by_hand() -> None:
    label_ids = np.array([[7, 4, 5, 29], [30, 0, 1, 255], [33, 9, 23, 18]], np.uint8)
    expected = np.array([[0, 1, 1, 1], [1, 255, 255, 255], [0, 255, 0, 255]], np.uint8)
    np.testing.assert_array_equal(void_labels(label_ids, VoidClassConfig().anomaly_ids), expected)


@pytest.mark.parametrize("ids", [(4,), (0, 2, 3, 4, 29, 30), tuple(PRESETS["synboost-ego"]["anomaly_ids"])])
def test_labels_against_a_naive_loop(ids: tuple[int, ...]) -> None:
    label_ids = np.random.default_rng(0).integers(0, 35, (9, 11)).astype(np.uint8)
    label_ids[label_ids == 34] = 255
    table = {row.label_id: row.train_id for row in CITYSCAPES_CLASSES} | {255: 255}
    expected = np.zeros_like(label_ids)
    for y in range(9):
        for x in range(11):
            value = int(label_ids[y, x])
            expected[y, x] = 1 if value in ids else 255 if table[value] == 255 else 0
    np.testing.assert_array_equal(void_labels(label_ids, ids), expected)


def test_sample(sources: Sources) -> None:
    recipe = VoidClass.open(VoidClassConfig(), sources)
    sample = make(recipe, 5, 1)
    expected = np.zeros((64, 128), np.uint8)
    expected[60:] = 255  # ego vehicle
    expected[40:44, 10:20] = expected[40:44, 30:40] = 1  # static, caravan
    np.testing.assert_array_equal(sample.anomaly, expected)
    semantic = np.full((64, 128), 10, np.uint8)
    semantic[16:32], semantic[32:] = 2, 0
    semantic[expected > 0] = 255
    np.testing.assert_array_equal(sample.semantic, semantic)
    assert sample.key == "voidclass-00000001"
    frame = recipe.frames.at(5, "voidclass", 1)
    assert sample.meta == {
        "recipe": "voidclass",
        "index": 1,
        "seed": 5,
        "frame": {
            "dataset": "cityscapes",
            "split": "train",
            "id": frame.id,
            "crc32": recipe.frames.checksum(frame),
        },
        "objects": [],
        "pixels": {"known": 60 * 128 - 80, "anomaly": 80, "ignore": 4 * 128},
        "rejected": [],
    }
    np.testing.assert_array_equal(sample.image, np.asarray(Image.open(frame.image)))


def test_size(sources: Sources) -> None:
    sample = make(VoidClass.open(VoidClassConfig(size=(64, 32)), sources), 0, 0)
    assert sample.image.shape == (32, 64, 3)
    assert sample.anomaly.shape == sample.semantic.shape == (32, 64)
    expected = np.zeros((32, 64), np.uint8)
    expected[30:] = 255
    expected[20:22, 5:10] = expected[20:22, 15:20] = 1
    np.testing.assert_array_equal(sample.anomaly, expected)


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ([4, 7], "7 is road, a known class"),
        ([4, 4], "stands there twice"),
        ([34], "34 is no labelId"),
        ([-1], "-1 is no labelId"),
        ([], "at least one labelId"),
        ([4, "x"], "anomaly_ids"),
    ],
)
def test_illegal_ids(ids: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        resolve(VoidClassConfig, options={"anomaly_ids": ids})


def test_presets() -> None:
    for name in PRESETS:
        resolve(VoidClassConfig, preset=find_preset("voidclass", name))
    assert set(PRESETS["synboost-ego"]["anomaly_ids"]) - set(PRESETS["synboost"]["anomaly_ids"]) == {1}


def test_frames_without_label_ids(make_cityscapes: Any) -> None:
    root: Path = make_cityscapes(2)
    lost = root / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    make_cityscapes(1, kind="labelTrainIds")
    lost.unlink()
    recipe = VoidClass.open(VoidClassConfig(), Sources(root))
    assert recipe.plan()["cityscapes"]["frames_with_label_ids"] == 1
    made, reasons = 0, []
    for index in range(2):
        try:
            make(recipe, 0, index)
            made += 1
        except BadInput as error:
            reasons.append(error.reason)
            assert recipe.input_of(0, index) == "cityscapes/train/aachen_000000_000019"
    assert (made, reasons) == (1, ["no-label-ids"])
    only_train_ids = make_cityscapes(2, name="other", kind="labelTrainIds")
    with pytest.raises(UserError, match="none of the 2 frames"):
        VoidClass.open(VoidClassConfig(), Sources(only_train_ids))


def test_plain_frames(sources: Sources) -> None:
    sample = make(CityscapesRecipe.open(CityscapesConfig(), sources), 0, 0)
    np.testing.assert_array_equal(sample.anomaly == 255, sample.semantic == 255)
    np.testing.assert_array_equal(sample.anomaly == 0, sample.semantic < 19)
    assert sample.meta["pixels"] == {"known": 60 * 128 - 80, "anomaly": 0, "ignore": 4 * 128 + 80}
    assert sample.key == "cityscapes-00000000"


@pytest.mark.real
def test_real_frames(shared: Path) -> None:
    real = Sources(shared / "data" / "cityscapes")
    recipe = VoidClass.open(VoidClassConfig(size=(512, 256)), real)
    total = 0
    for index in range(recipe.default_count):
        sample = make(recipe, 0, index)
        assert set(np.unique(sample.anomaly)) <= {0, 1, 255}
        assert (sample.semantic[sample.anomaly > 0] == 255).all()
        total += sample.meta["pixels"]["anomaly"]
    assert total > 0
    flat = Sources(shared / "data" / "cityscapes_256x96")
    with pytest.raises(UserError, match="none of the 500 frames"):
        VoidClass.open(VoidClassConfig(), flat)
    plain = make(CityscapesRecipe.open(CityscapesConfig(), flat), 0, 0)
    assert plain.image.shape == (96, 256, 3)
