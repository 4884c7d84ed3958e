from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pipelines.cutout import Cutout
from pipelines.recipe import Sources
from pipelines.sources.objects import ObjectRules, ObjectSource
from pipelines.sources.recent import RecentCutouts
from shards.errors import BadInput


def cutout(side: int) -> Cutout:
    return Cutout(np.zeros((side, side, 3), np.uint8), np.ones((side, side), bool))


class Maker:
    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, side: int) -> Cutout:
        self.made.append(side)
        return cutout(side)


def test_kept_while_there_is_room(tmp_path: Path) -> None:
    picture = tmp_path / "picture"
    picture.write_bytes(b"x")
    recent, make = RecentCutouts(4 * (100 + 400)), Maker()
    for side in (10, 20, 10, 20):
        assert recent.get(picture, side, lambda side=side: make(side)).mask.shape == (side, side)
    assert make.made == [10, 20]
    recent.get(picture, 5, lambda: make(5))  # no room for all three: the one that rested longest goes
    recent.get(picture, 20, lambda: make(20))
    assert make.made == [10, 20, 5]
    recent.get(picture, 10, lambda: make(10))
    assert make.made == [10, 20, 5, 10]
    recent.get(picture, 40, lambda: make(40))  # larger than the room: not kept
    recent.get(picture, 40, lambda: make(40))
    assert make.made[-2:] == [40, 40]


def test_a_replaced_picture_is_cut_anew_and_failures_are_not_kept(tmp_path: Path) -> None:
    picture = tmp_path / "picture"
    picture.write_bytes(b"x")
    recent, make = RecentCutouts(10_000), Maker()
    recent.get(picture, 1, lambda: make(3))
    picture.write_bytes(b"other")
    recent.get(picture, 1, lambda: make(4))
    assert make.made == [3, 4]

    def broken() -> Cutout:
        raise BadInput("truncated-image", "cut off")

    for _ in range(2):
        with pytest.raises(BadInput):
            recent.get(picture, 2, broken)
    picture.unlink()
    with pytest.raises(BadInput):
        recent.get(picture, 1, broken)


def test_a_source_gives_the_same_objects_from_memory(sources: Sources) -> None:
    assert sources.coco is not None
    source = ObjectSource.open(sources.coco, "train2017", ObjectRules(min_area=0))
    for item in source.objects:
        first, again = source.load(item), source.load(item)
        assert again is first
        fresh = pickle.loads(pickle.dumps(source)).load(item)
        assert fresh is not first
        np.testing.assert_array_equal(fresh.rgb, first.rgb)
        np.testing.assert_array_equal(fresh.mask, first.mask)
