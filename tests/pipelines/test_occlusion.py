from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.cutout import Cutout
from pipelines.occlusion import OCCLUDERS, Hiders
from pipelines.placement import Board, Placed, PlacementRules, draw_place, hiders_of
from shards.labels import TRAIN_CLASSES
from shards.patches import fitted, lay, window
from shards.rng import generator

ROAD, POLE, LIGHT, PERSON, CAR, BICYCLE, VOID = 0, 5, 6, 11, 13, 18, 255


GROUPS = ((5, 6, 7), (11, 12, 17, 18), (0, 1, 2, 3, 4, 8, 9, 10, 13, 14, 15, 16))


def piece(
    semantic: np.ndarray, names: set[int], start: tuple[int, int], box: tuple[slice, slice]
) -> set[tuple[int, int]]:
    """All pixels of these names that hang together with one of them within a box."""
    todo, seen = [start], {start}
    while todo:
        y, x = todo.pop()
        for near in [(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
            inside = box[0].start <= near[0] < box[0].stop and box[1].start <= near[1] < box[1].stop
            if inside and near not in seen and int(semantic[near]) in names:
                seen.add(near)
                todo.append(near)
    return seen


def naive(semantic: np.ndarray, occluders: tuple[int, ...], box: tuple[slice, slice], foot: int) -> np.ndarray:
    """Pixel by pixel: gather its piece, and look where that stands."""
    height, width = semantic.shape
    out = np.zeros((height, width), bool)
    for y in range(box[0].start, box[0].stop):
        for x in range(box[1].start, box[1].stop):
            kind = int(semantic[y, x])
            if kind not in occluders:
                continue
            group = next(group for group in GROUPS if kind in group)
            names = set(group) & set(occluders)
            if group != GROUPS[2]:
                whole = piece(semantic, names, (y, x), (slice(0, height), slice(0, width)))
                out[y, x] = max(row for row, _ in whole) > foot
                continue
            for row, column in piece(semantic, names, (y, x), box):
                while row + 1 < height and int(semantic[row + 1, column]) in names:
                    row += 1
                out[y, x] |= row > foot
    return out[box]


@pytest.mark.parametrize("occluders", [OCCLUDERS, (5,), (2, 11, 13), ()])
def test_against_a_naive_loop(occluders: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    counted = 0
    for _ in range(12):
        semantic = rng.choice([ROAD, ROAD, ROAD, POLE, LIGHT, PERSON, CAR, CAR, BICYCLE, VOID], (14, 11)).astype(
            np.uint8
        )
        hiders = Hiders.of(semantic, occluders)
        for _ in range(6):
            top, left = int(rng.integers(10)), int(rng.integers(8))
            box = slice(top, int(rng.integers(top + 1, 15))), slice(left, int(rng.integers(left + 1, 12)))
            foot = box[0].stop - 1
            found = hiders.hide(box, foot)
            np.testing.assert_array_equal(found, naive(semantic, occluders, box, foot))
            counted += found.sum()
            # In a crop that holds the box: the same.
            part = hiders.cropped(left, top, 11 - left, 14 - top)
            moved = slice(0, box[0].stop - top), slice(0, box[1].stop - left)
            np.testing.assert_array_equal(part.hide(moved, foot - top), found)
    assert bool(counted) == bool(occluders)


def test_occluders_are_the_movable_and_the_thin() -> None:
    names = {row.name for row in TRAIN_CLASSES if row.train_id in OCCLUDERS}
    assert names == {
        "pole", "traffic light", "traffic sign", "person", "rider", "car", "truck", "bus", "train", "motorcycle",
        "bicycle",
    }  # fmt: skip


def street() -> np.ndarray:
    """100 x 200 of road; a pole whose foot is on row 59, a person with an arm on row 79, a far car."""
    semantic = np.zeros((100, 200), np.uint8)
    semantic[5:60, 50:53] = POLE
    semantic[8:14, 53:60] = LIGHT
    semantic[30:80, 120:126] = PERSON
    semantic[40:44, 126:140] = PERSON
    semantic[20:28, 10:40] = CAR
    semantic[28:30, 14:18] = semantic[28:30, 32:36] = CAR  # on two wheels
    return semantic


def put(
    semantic: np.ndarray, left: int, top: int, side: int = 20, board: Board | None = None, **fields: Any
) -> Placed | None:
    """A square laid at one place, by rules that leave no choice."""
    board = board or Board(semantic.shape[1], semantic.shape[0], semantic.shape[0])
    rules = PlacementRules(
        long_side=None, scale=(1024 / board.frame_height,), placement="road", perspective=False, flip=0.0,
        inside=False, occlusion=True, **fields,
    )  # fmt: skip
    thing = Cutout(np.full((side, side, 3), 200, np.uint8), np.ones((side, side), bool))
    ground = np.array([(top + side - 1) * board.width + left + side // 2])
    return draw_place(thing, board, ground, rules, generator(0, "test"), hiders_of(semantic, board, OCCLUDERS))


def covered(placed: Placed, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape, bool)
    inside, part = window(placed.label.shape, placed.patch.left, placed.patch.top, shape[1], shape[0])
    out[inside] = placed.label[part]
    return out


@pytest.mark.parametrize(
    ("left", "top", "hidden"),
    [
        (42, 30, 20 * 3),  # foot on row 49, behind the pole
        (42, 39, 20 * 3),  # on row 58
        (42, 40, 0),  # on row 59, as the pole
        (42, 60, 0),  # below it
        (45, 0, 15 * 3 + 6 * 7),  # behind the pole and its light
        (125, 38, 20 + 4 * 14),  # body and arm
        (125, 70, 0),
        (10, 10, 0),  # before the car, whose wheels stand on row 29
        (10, 9, 8 * 20 + 4),  # behind it, though lower than its sill
    ],
)
def test_what_stands_nearer_hides(left: int, top: int, hidden: int) -> None:
    semantic = street()
    placed = put(semantic, left, top)
    assert placed is not None
    assert placed.occluded == hidden
    assert placed.label.sum() == 400 - hidden
    assert placed.foot == top + 19
    square = np.zeros(semantic.shape, bool)
    square[top : top + 20, left : left + 20] = True
    seen = covered(placed, semantic.shape)
    assert not (seen & ~square).any()
    assert set(np.unique(semantic[square & ~seen])) <= {POLE, LIGHT, PERSON, CAR}
    # The object itself is kept whole, so that its colours are fitted as if nothing were in front.
    assert placed.patch.mask.all()
    assert (placed.patch.rgb == 200).all()
    assert (placed.patch.hidden is None) == (hidden == 0)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(("left", "top"), [(42, 30), (54, 30), (27, 30), (125, 38), (8, 9), (90, 70)])
def test_a_soft_edge_does_not_smear_over_what_hides(left: int, top: int, sigma: float) -> None:
    semantic = street()
    fields = {"blend": "feather", "feather_px": (sigma * 10.24, sigma * 10.24)}
    soft, free = put(semantic, left, top, **fields), put(np.zeros_like(semantic), left, top, **fields)
    assert soft is not None
    assert free is not None
    frame = np.full((100, 200, 3), 20, np.uint8)
    image, anomaly, maps = frame.copy(), np.zeros_like(semantic), semantic.copy()
    lay(fitted(soft.patch, frame), image, anomaly, maps)
    nearer = Hiders.of(semantic).hide((slice(0, 100), slice(0, 200)), top + 19)
    assert nearer.any() == (top < 70)
    np.testing.assert_array_equal(image[nearer], frame[nearer])
    assert not anomaly[nearer].any()
    np.testing.assert_array_equal(anomaly == 1, covered(soft, semantic.shape))
    np.testing.assert_array_equal(maps[anomaly == 0], semantic[anomaly == 0])
    # Beside what hides, the object is as it would be with nothing in front.
    whole = frame.copy()
    lay(fitted(free.patch, frame), whole, np.zeros_like(semantic), semantic.copy())
    np.testing.assert_array_equal(image[~nearer], whole[~nearer])
    assert soft.occluded == free.label.sum() - soft.label.sum()


def test_of_a_row_of_cars_the_part_behind_an_object_counts() -> None:
    """One piece of cars, from row 49 on the left to row 89 on the right: on the left, row 60 is in front of it."""
    semantic = np.zeros((100, 200), np.uint8)
    for number, bottom in enumerate((50, 60, 70, 80, 90)):
        semantic[bottom - 25 : bottom, 20 + 30 * number : 50 + 30 * number] = CAR
    left, right = put(semantic, 25, 41), put(semantic, 145, 61)
    assert left is not None
    assert left.occluded == 0
    assert right is not None
    assert right.occluded == 16 * 20  # the last car begins on row 65


def test_wholly_hidden_is_not_placed() -> None:
    semantic = np.full((100, 200), CAR, np.uint8)
    semantic[95:] = ROAD
    assert put(semantic, 40, 30) is None
    assert put(semantic, 40, 78) is not None


def test_objects_hide_each_other_by_their_feet() -> None:
    board = Board(200, 100, 100)
    near = put(street(), 150, 60, board=board)
    assert near is not None
    assert board.put(near, 1)
    far = put(street(), 160, 50, board=board)
    assert far is not None
    assert far.occluded == 10 * 10
    assert not (covered(near, (100, 200)) & covered(far, (100, 200))).any()
    nearest = put(street(), 155, 65, board=board)
    assert nearest is not None
    assert nearest.occluded == 0


def test_crops_know_feet_outside_of_them() -> None:
    semantic = street()
    crop = Board(60, 40, 100, 40, 10)  # rows 10..49: the pole's foot lies below
    placed = put(semantic, 2, 5, board=crop)
    assert placed is not None
    assert placed.occluded == 20 * 3
