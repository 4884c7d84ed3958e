from __future__ import annotations

import numpy as np
import pytest

from pipelines.cutout import Cutout
from pipelines.occlusion import OCCLUDERS, feet
from pipelines.placement import Board, Placed, PlacementRules, draw_place, feet_of
from shards.labels import TRAIN_CLASSES
from shards.patches import Patch
from shards.rng import generator

ROAD, POLE, LIGHT, PERSON, CAR, BICYCLE, VOID = 0, 5, 6, 11, 13, 18, 255


def naive(semantic: np.ndarray, occluders: tuple[int, ...]) -> np.ndarray:
    """Pixel by pixel: follow the piece, or go down the column."""
    height, width = semantic.shape
    out = np.full((height, width), -1)
    groups = [(5, 6, 7), (11, 12, 17, 18)]
    for y in range(height):
        for x in range(width):
            kind = int(semantic[y, x])
            if kind not in occluders:
                continue
            group = next((group for group in groups if kind in group), None)
            if group is None:
                row = y
                while row + 1 < height and int(semantic[row + 1, x]) in occluders:
                    row += 1
                out[y, x] = row
                continue
            todo, seen = [(y, x)], {(y, x)}
            while todo:
                row, column = todo.pop()
                for near in [(row + a, column + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
                    inside = 0 <= near[0] < height and 0 <= near[1] < width
                    if (
                        inside
                        and near not in seen
                        and int(semantic[near]) in group
                        and int(semantic[near]) in occluders
                    ):
                        seen.add(near)
                        todo.append(near)
            out[y, x] = max(row for row, _ in seen)
    return out


@pytest.mark.parametrize("occluders", [OCCLUDERS, (5,), (11, 13), ()])
def test_feet_against_a_naive_loop(occluders: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        semantic = rng.choice([ROAD, ROAD, ROAD, POLE, LIGHT, PERSON, CAR, BICYCLE, VOID], (14, 11)).astype(np.uint8)
        np.testing.assert_array_equal(feet(semantic, occluders), naive(semantic, occluders))


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
    semantic[20:30, 10:40] = CAR
    return semantic


def put(semantic: np.ndarray, left: int, top: int, side: int = 20, board: Board | None = None) -> Placed | None:
    """A square laid at one place, by rules that leave no choice."""
    board = board or Board(semantic.shape[1], semantic.shape[0], semantic.shape[0])
    rules = PlacementRules(
        long_side=None, scale=(1024 / board.frame_height,), placement="road", perspective=False, flip=0.0,
        inside=False, occlusion=True,
    )  # fmt: skip
    thing = Cutout(np.full((side, side, 3), 200, np.uint8), np.ones((side, side), bool))
    ground = np.array([(top + side - 1) * board.width + left + side // 2])
    return draw_place(thing, board, ground, rules, generator(0, "test"), feet_of(semantic, board, OCCLUDERS))


def covered(placed: Placed, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape, bool)
    rows, columns = placed.patch.mask.shape
    out[placed.patch.top : placed.patch.top + rows, placed.patch.left : placed.patch.left + columns] = (
        placed.patch.mask
    )
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
        (10, 15, 0),  # before the car
        (10, 5, 5 * 20),  # behind it
    ],
)
def test_what_stands_nearer_hides(left: int, top: int, hidden: int) -> None:
    semantic = street()
    placed = put(semantic, left, top)
    assert placed is not None
    assert placed.occluded == hidden
    assert placed.patch.mask.sum() == 400 - hidden
    assert placed.foot == top + 19
    square = np.zeros(semantic.shape, bool)
    square[top : top + 20, left : left + 20] = True
    seen = covered(placed, semantic.shape)
    np.testing.assert_array_equal(seen, square & (feet(semantic) <= top + 19))
    # In the box around what is left, black where it is hidden.
    assert placed.patch.mask.any(axis=0)[[0, -1]].all()
    assert placed.patch.mask.any(axis=1)[[0, -1]].all()
    assert not placed.patch.rgb[~placed.patch.mask].any()
    assert (placed.patch.rgb[placed.patch.mask] == 200).all()


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
    assert placed.patch == Patch(*(getattr(placed.patch, name) for name in ("rgb", "mask", "left", "top", "blend")))
