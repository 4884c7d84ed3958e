from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.recipes.anomalymix import PRESETS, AnomalyMixConfig
from pipelines.sources.leakage import BENCHMARK_CATEGORIES, held_out
from pipelines.sources.objects import STREET_CATEGORIES, ObjectRules, ObjectSource
from pipelines.toy.categories import CATEGORIES
from shards.errors import UserError

COCO = {name for _, name, _ in CATEGORIES}


def test_every_name_is_one_of_coco() -> None:
    for names in BENCHMARK_CATEGORIES.values():
        assert set(names) <= COCO - set(STREET_CATEGORIES)
        assert len(set(names)) == len(names)
    animals = {name for _, name, group in CATEGORIES if group == "animal"}
    assert set(BENCHMARK_CATEGORIES["animals"]) == animals


def test_words() -> None:
    assert held_out((), COCO) == set()
    assert held_out(("lostandfound", "bottle"), COCO) == {"dog", "sports ball", "bottle"}
    assert held_out(("bear",), {"dog"}) == {"bear"}  # a small set may lack it
    with pytest.raises(
        UserError, match=r"one of animals, .*acdc-poc; got 'roadanomly'. Did you mean 'roadanomaly'\?"
    ):
        held_out(("roadanomly",), COCO)
    with pytest.raises(UserError, match=r"got 'qqqq'\.$"):
        held_out(("qqqq",), COCO)


@pytest.mark.parametrize("unit", ["object", "image", "class"])
def test_left_out_and_counted(make_coco: Any, rectangle: Any, unit: Any) -> None:
    rows = [rectangle(1, (20, 20, 20, 20)), rectangle(2, (20, 20, 20, 20), 34), rectangle(2, (10, 10, 8, 8), 34)]
    root = make_coco(rows)
    loose = {"min_area": 0, "min_side": 0, "max_overlap": 1.0, "unit": unit}
    assert "dog" in {item.category for item in ObjectSource.open(root, "train2017", ObjectRules(**loose)).objects}
    source = ObjectSource.open(root, "train2017", ObjectRules(**loose, held_out=("roadanomaly",)))
    assert {item.category for item in source.objects} == {"frisbee"}
    assert source.left_out["held-out"] == 1
    assert source.considered == sum(source.left_out.values()) + (2 if unit == "object" else 1)
    with pytest.raises(UserError, match=f"{3 if unit == 'object' else 2} held-out"):
        ObjectSource.open(root, "train2017", ObjectRules(**loose, held_out=("dog", "frisbee")))


def test_what_is_held_out_still_counts_as_it_was() -> None:
    """It changes which objects are pasted, not which of the others count as hidden: only the street lies in front."""
    assert ObjectRules().held_out == ()
    assert ObjectRules(held_out=("dog",)).street_categories == STREET_CATEGORIES


def test_the_documentation_lists_them() -> None:
    text = (Path(__file__).parents[2] / "docs" / "mixing.md").read_text(encoding="utf-8")
    animals = ", ".join(sorted(BENCHMARK_CATEGORIES["animals"]))
    for name, categories in BENCHMARK_CATEGORIES.items():
        (row,) = (line for line in text.splitlines() if line.startswith("| `") and f"`{name}`" in line.split("|")[1])
        told = row.split("|")[2].replace("the animals", animals)
        assert sorted(told.strip().split(", ")) == sorted(categories)
    for field in re.findall(r"(?:^| )--set (\w+)=|^\| `(\w+)` \| (?!cat|dog|bear|bird|the|air)", text, re.MULTILINE):
        assert "".join(field) in {*AnomalyMixConfig.model_fields, *BENCHMARK_CATEGORIES, *PRESETS}
