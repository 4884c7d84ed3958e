from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.coding import Coder, Packing
from pipelines.recipe import Sources, make
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from shards.codec import decode_sample, encode_sample

FIELDS: dict[str, Any] = {"min_area": 0, "long_side": (0.2, 0.5), "min_visible": 1}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"samples_per_frame": 3},
        {"blend": "feather", "feather_px": (16.0, 40.0), "inside": False},
        {"style": "reinhard", "placement": "road"},
        {"crop": 512},
        {"probability": 0.0},
        {"size": (100, 70)},
    ],
    ids=lambda fields: "-".join(fields) or "default",
)
def test_coding_by_strips_gives_the_bytes_of_coding_the_whole(sources: Sources, fields: dict[str, Any]) -> None:
    recipe = AnomalyMix.open(AnomalyMixConfig(**{**FIELDS, **fields}), sources)
    coder = Coder(recipe, 4, Packing())
    for index in (*range(7), 2):
        sample = make(recipe, 4, index)
        members, meta = coder.members(index)
        assert members == encode_sample(sample)
        assert meta == sample.meta


def test_samples_in_a_row_share_a_frame(sources: Sources) -> None:
    recipe = AnomalyMix.open(AnomalyMixConfig(**FIELDS, samples_per_frame=4), sources)
    assert recipe.default_count == 4 * len(recipe.frames.frames)
    frames = [recipe.input_of(0, index) for index in range(recipe.default_count)]
    assert all(len(set(frames[first : first + 4])) == 1 for first in range(0, len(frames), 4))
    assert len(set(frames)) == len(recipe.frames.frames)
    mixes = [make(recipe, 0, index).meta["objects"] for index in range(4)]
    assert all(one != other for one in mixes[:1] for other in mixes[1:])


@pytest.mark.parametrize(("form", "suffix"), [("webp", "image.webp"), ("jpeg", "image.jpg")])
def test_other_formats(sources: Sources, form: Any, suffix: str) -> None:
    recipe = AnomalyMix.open(AnomalyMixConfig(**FIELDS), sources)
    members, _ = Coder(recipe, 4, Packing(image_format=form)).members(1)
    assert [name for name, _ in members] == [suffix, "anomaly.png", "semantic.png", "json"]
    expected, found = make(recipe, 4, 1), decode_sample("k", dict(members))
    np.testing.assert_array_equal(found.anomaly, expected.anomaly)
    error = np.abs(found.image.astype(int) - expected.image).mean()
    assert error == 0 if form == "webp" else 0 < error < 8
    low, _ = Coder(recipe, 4, Packing(image_format="jpeg", quality=20)).members(1)
    high, _ = Coder(recipe, 4, Packing(image_format="jpeg", quality=95)).members(1)
    assert len(low[0][1]) < len(high[0][1])
