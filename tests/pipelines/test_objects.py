from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.sources.objects import IMAGE_RULES, OBJECT_RULES, STREET_CATEGORIES, ObjectRules, ObjectSource
from shards.config import resolve
from shards.errors import UserError

PERSON, TRAIN, DOG, FRISBEE = 1, 7, 18, 34
LOOSE = {"min_area": 0, "min_side": 0}


def choose(root: Path, **rules: Any) -> ObjectSource:
    return ObjectSource.open(root, "train2017", ObjectRules(**{**LOOSE, **rules}))


def left(source: ObjectSource) -> dict[str, int]:
    return {rule: count for rule, count in source.left_out.items() if count}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"iscrowd": 1, "segmentation": {"counts": [0, 4800], "size": [60, 80]}}, "crowd"),
        ({"category_id": PERSON}, "street-category"),
        ({"category_id": TRAIN}, "street-category"),
        ({"area": 99}, "tiny"),
        ({"bbox": [3, 20, 20, 20]}, "truncated"),
        ({"bbox": [20, 3.9, 20, 20]}, "truncated"),
        ({"bbox": [57, 20, 20, 20]}, "truncated"),
        ({"bbox": [20, 37, 20, 20]}, "truncated"),
        ({"segmentation": [[10, 10, 20, 10, 20, 20, 10, 20], [40, 10, 50, 10, 50, 20, 40, 20]]}, "occluded"),
        ({"segmentation": [[10, 10, 200, 10, 200, 20, 10, 20]]}, "broken"),
        ({"bbox": None}, "broken"),
    ],
)
def test_each_rule(make_coco: Any, rectangle: Any, row: dict[str, Any], rule: str) -> None:
    good = rectangle(1, (20, 20, 20, 20))
    bad = {**rectangle(2, (20, 20, 20, 20)), **row}
    source = choose(make_coco([good, bad]), min_area=100)
    assert left(source) == {rule: 1}
    assert [item.annotations[0].id for item in source.objects] == [100]
    assert source.considered == 2


def test_borders_and_areas_are_inclusive(make_coco: Any, rectangle: Any) -> None:
    source = choose(make_coco([rectangle(1, (4, 4, 10, 10)), rectangle(2, (66, 46, 10, 10))]), min_area=100)
    assert len(source.objects) == 2


def test_small_second_piece_is_no_occlusion(make_coco: Any, rectangle: Any) -> None:
    crumb = {"segmentation": [[10, 10, 50, 10, 50, 40, 10, 40], [60, 10, 62, 10, 62, 12, 60, 12]]}
    root = make_coco([rectangle(1, (10, 10, 52, 30), **crumb)])
    assert len(choose(root).objects) == 1
    with pytest.raises(UserError, match="1 occluded"):
        choose(root, component_share=0.0)
    assert len(choose(root, component_share=0.0, max_components=2).objects) == 1


def test_what_lies_in_front_occludes(make_coco: Any, rectangle: Any) -> None:
    table = rectangle(1, (10, 10, 50, 40))
    plate = rectangle(1, (20, 20, 20, 20), FRISBEE)
    source = choose(make_coco([table, plate]))
    assert left(source) == {"occluded": 1}
    assert [item.category for item in source.objects] == ["frisbee"]  # the plate is whole
    assert len(choose(make_coco([table, plate]), max_overlap=0.3).objects) == 2
    person = rectangle(1, (5, 5, 70, 50), PERSON)  # larger, but of the street
    with pytest.raises(UserError, match="1 street-category, 1 occluded"):
        choose(make_coco([table, person]))


def test_licences(make_coco: Any, rectangle: Any) -> None:
    root = make_coco([rectangle(1, (20, 20, 20, 20)), rectangle(2, (20, 20, 20, 20))])
    assert len(choose(root).objects) == 2
    source = choose(root, licences="derivatives-allowed")
    assert left(source) == {"no-derivatives": 1}
    assert source.objects[0].image.licence.name == "Attribution License"


def test_what_cityscapes_knows_is_pasted_only_if_that_is_said_twice(make_coco: Any, rectangle: Any) -> None:
    root = make_coco([rectangle(1, (20, 20, 20, 20), TRAIN)])
    rest = tuple(name for name in STREET_CATEGORIES if name != "train")
    assert len(choose(root, street_categories=rest, allow_known=("train",)).objects) == 1
    with pytest.raises(UserError, match="street_categories names 'dgo'"):
        choose(root, street_categories=(*STREET_CATEGORIES, "dgo"))
    with pytest.raises(
        UserError, match=r"street_categories lacks person, bicycle, .* goes into --exclude-categories"
    ):
        resolve(ObjectRules, overrides=['street_categories=["dog"]'])
    with pytest.raises(UserError, match="allow_known names train, which street_categories leaves out"):
        resolve(ObjectRules, overrides=['allow_known=["train"]'])


def test_nothing_left_says_why(make_coco: Any, rectangle: Any) -> None:
    rows = [rectangle(1, (20, 20, 20, 20), PERSON), rectangle(2, (20, 20, 20, 20)), rectangle(2, (2, 2, 50, 50))]
    with pytest.raises(UserError) as caught:
        choose(make_coco(rows), min_area=1500)
    assert "No object is left of the 3 objects" in str(caught.value)
    assert "1 street-category, 1 tiny, 1 truncated" in str(caught.value)


def test_whole_images(make_coco: Any, rectangle: Any) -> None:
    sizes = {1: (60, 80), 2: (60, 80), 3: (40, 80), 4: (60, 80)}
    crowd = {"iscrowd": 1, "segmentation": {"counts": [0, 60 * 5, 60 * 75], "size": [60, 80]}}
    rows = [
        rectangle(1, (20, 20, 10, 10)),
        rectangle(1, (40, 20, 10, 10), FRISBEE),
        rectangle(1, (0, 0, 5, 60), DOG, **crowd),
        rectangle(2, (20, 20, 10, 10)),
        rectangle(2, (40, 20, 2, 2), PERSON),
        rectangle(3, (20, 20, 10, 10)),
    ]
    root = make_coco(rows, images=sizes)
    source = choose(root, unit="image", min_side=60)
    assert tuple(source.left_out) == IMAGE_RULES
    assert left(source) == {"street-category": 1, "small-image": 1}
    (item,) = source.objects
    assert item.category == "dog+frisbee"
    cutout = source.load(item)
    # Union of all annotations, the crowd at the left edge included, in its tight box.
    assert cutout.mask.shape == (60, 50)
    assert cutout.mask.sum() == 300 + 100 + 100
    origin = source.provenance(item)
    assert (origin["annotation_id"], origin["annotation_ids"]) == (None, [100, 101, 102])

    by_class = choose(root, unit="class", min_side=60)
    assert [item.category for item in by_class.objects] == ["dog", "frisbee"]
    assert by_class.load(by_class.objects[0]).mask.sum() == 100  # without the crowd


def test_cutouts_and_provenance_survive_pickling(make_coco: Any) -> None:
    source = choose(make_coco())
    assert tuple(source.left_out) == OBJECT_RULES
    copy = pickle.loads(pickle.dumps(source))
    for item in copy.objects:
        cutout = copy.load(item)
        assert cutout.mask.all()
        assert cutout.rgb.shape == ((20, 30, 3) if item.category == "dog" else (24, 24, 3))
    assert copy.provenance(copy.objects[0]) == {
        "dataset": "coco",
        "split": "train2017",
        "image_id": 1,
        "annotation_id": 100,
        "category": "dog",
        "licence": "Attribution License",
        "licence_url": "http://creativecommons.org/licenses/by/2.0/",
    }


@pytest.mark.real
def test_real_coco(shared: Path) -> None:
    root = shared / "data" / "coco"
    for split, images in [("train2017", 178), ("val2017", 149)]:
        source = ObjectSource.open(root, split, ObjectRules())
        assert source.considered == sum(source.left_out.values()) + len(source.objects)
        assert len(source.objects) > 100
        for item in source.objects[::25]:
            cutout = source.load(item)
            assert cutout.mask.any(axis=0).all()
            assert 0.5 < cutout.mask.sum() / item.annotations[0].area < 2
        whole = ObjectSource.open(root, split, ObjectRules(unit="image"))
        assert len(whole.objects) < images / 2
        assert not np.any([item.category.count("person") for item in whole.objects])
