"""A delta set streamed over its frames gives the crops that the built set gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.coding import Packing
from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from shards.batch import RandomCrop, collate_crops
from shards.coded import SampleSet
from shards.delta import DeltaSet
from shards.errors import UserError
from shards.stream import EpochSampler, ShardDataset, stream


def test_crops_of_a_delta_set_are_those_of_the_set(sources: Sources, tmp_path: Path) -> None:
    mix = AnomalyMix.open(AnomalyMixConfig(min_area=0, long_side=(0.2, 0.5), min_visible=1), sources)
    for layout in ("shards", "delta"):
        build(mix, tmp_path / layout, count=7, samples_per_shard=3, packing=Packing(layout=layout))
    build(CityscapesRecipe.open(CityscapesConfig(), sources), tmp_path / "frames")
    found = []
    given: list[Path | SampleSet] = [tmp_path / "shards", DeltaSet(tmp_path / "delta", tmp_path / "frames")]
    for one, workers in ((given[0], 0), (given[1], 0), (given[1], 1)):
        dataset = ShardDataset([one, tmp_path / "frames"], RandomCrop(50, 40, flip=0.5), seed=1)
        sampler = EpochSampler(len(dataset), batch_size=2, seed=1, steps=12)
        found.append(list(stream(dataset, sampler, collate_crops, workers=workers)))
    for expected, *others in zip(*found, strict=True):
        assert expected is not None
        for batch in others:
            assert batch is not None
            assert batch.keys == expected.keys
            for name in ("pixels", "anomaly", "semantic"):
                assert torch.equal(getattr(batch, name), getattr(expected, name)), name
    assert any(bool((batch.anomaly == 1).any()) for batch in found[0] if batch is not None)
    with pytest.raises(UserError, match=r"delta is a delta set, without frames: give a set of them, .* --frames"):
        ShardDataset([tmp_path / "delta"], RandomCrop(50, 40), seed=1)
