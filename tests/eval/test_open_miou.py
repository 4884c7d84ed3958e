"""Open-mIoU beside a loop over pixels, and its limits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import product
from typing import cast

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve

from eval.metrics.open_miou import OpenFrame, OpenMaps, Reading, convention, open_miou
from shards.errors import UserError

CLASSES = 4


def draw(seed: int, ties: bool) -> OpenMaps:
    """Noise: odd sizes, classes that nobody predicts or labels, void, and scores that are higher on anomalies."""
    rng = np.random.default_rng(seed)
    size = (13 + seed, 17)
    label = rng.choice(np.array([0, 1, 255], np.uint8), size, p=[0.7, 0.2, 0.1])
    classes = rng.choice(np.array([0, 1, 2, 255], np.uint8), size)
    score = (rng.normal(size=size) + (label == 1)).astype(np.float32)
    prediction = np.where(rng.random(size) < 0.6, np.minimum(classes, CLASSES - 1), rng.integers(0, CLASSES, size))
    return OpenMaps(np.round(score, 1) if ties else score, prediction.astype(np.uint8), classes, label)


def halved(maps: OpenMaps, reading: Reading) -> Iterator[tuple[float, int]]:
    """(score, label) at half resolution, one pixel after the other."""
    height, width = maps.score.shape
    if reading == "strided":
        for y, x in product(range(0, height, 2), range(0, width, 2)):
            yield float(maps.score[y, x]), int(maps.label[y, x])
    else:
        for y, x in product(range(0, height - 1, 2), range(0, width - 1, 2)):
            upper, lower = (maps.score[row, x] / 4 + maps.score[row, x + 1] / 4 for row in (y, y + 1))
            yield float(upper + lower), int(maps.label[y, x])


def naive(
    frames: Sequence[tuple[str, OpenMaps]], tpr: float, reading: Reading, ignored: Collection[int]
) -> tuple[float, dict[str, float]]:
    """The definition, pixel by pixel."""
    for _, maps in frames:
        for y, x in np.ndindex(maps.label.shape):
            if maps.label[y, x] == 0 and maps.classes[y, x] in ignored:
                maps.label[y, x] = 255
    of_group: dict[str, float] = {}
    for group in sorted({name for name, _ in frames}):
        scores = [pair for name, maps in frames if name != group for pair in halved(maps, reading)]
        anomalies = sorted((score for score, label in scores if label == 1), reverse=True)
        found = {t: sum(score >= t for score in anomalies) / len(anomalies) for t in anomalies}
        threshold = next(t for t, rate in found.items() if rate > tpr or (rate == tpr and reading == "strided"))
        ious = []
        for wanted in set(range(CLASSES)) - set(ignored):
            tp = fp = fn = 0
            for maps in (maps for name, maps in frames if name == group):
                for y, x in np.ndindex(maps.label.shape):
                    label, known = int(maps.label[y, x]), int(maps.classes[y, x])
                    if label == 255 or (label == 0 and known == 255):
                        continue
                    called = "unknown" if maps.score[y, x] > threshold else int(maps.prediction[y, x])
                    truth = "anomaly" if label == 1 else known
                    tp += called == truth == wanted
                    fp += called == wanted != truth
                    fn += truth == wanted != called
            if tp + fn or (fp and reading == "densehybrid"):
                ious.append(tp / (tp + fp + fn))
        of_group[group] = sum(ious) / len(ious)
    weights = {group: sum(name == group for name, _ in frames) for group in of_group}
    return sum(weights[group] * of_group[group] for group in of_group) / len(frames), of_group


@pytest.mark.parametrize("towns", [("t5", "t6", "t5", "t5"), ("fog", "rain", "snow", "rain")])
@pytest.mark.parametrize(("tpr", "ties"), [(0.95, False), (0.95, True), (0.5, True)])
@pytest.mark.parametrize(
    ("reading", "ignored"), [("densehybrid", (1,)), ("densehybrid", ()), ("strided", ()), ("strided", (0, 2))]
)
def test_the_figure_of_a_loop_over_pixels(
    towns: tuple[str, ...], tpr: float, ties: bool, reading: Reading, ignored: tuple[int, ...]
) -> None:
    frames = [(town, draw(seed, ties)) for seed, town in enumerate(towns)]
    given = [OpenFrame("f", town, lambda maps=maps: maps) for town, maps in frames]
    found = open_miou(given, CLASSES, tpr, reading=reading, ignored=ignored)
    whole, of_group = naive(frames, tpr, reading, ignored)
    assert found.miou == pytest.approx(whole, abs=1e-12)
    assert {name: group.miou for name, group in found.groups.items()} == pytest.approx(of_group, abs=1e-12)
    assert {name: group.frames for name, group in found.groups.items()} == {t: towns.count(t) for t in towns}
    for group in found.groups.values():
        assert all(group.iou[number] is None for number in ignored)
        # No label holds the last class; where a pixel is called so, only one reading counts it.
        assert group.iou[3] in ((0, None) if reading == "densehybrid" else (None,))


def test_the_threshold_of_the_published_operations() -> None:
    # Bilinear for scores and nearest for labels, at half the size; then the first point with TPR > .95.
    drawn = {town: draw(seed, ties=False) for seed, town in enumerate(("t5", "t6"))}
    found = open_miou([OpenFrame("f", town, lambda maps=maps: maps) for town, maps in drawn.items()], CLASSES)
    for town, other in (("t5", "t6"), ("t6", "t5")):
        maps = {"score": drawn[other].score, "label": drawn[other].label.astype(np.float32)}
        modes = {"score": "bilinear", "label": "nearest"}
        score, label = (
            torch.nn.functional.interpolate(torch.from_numpy(maps[key])[None, None], scale_factor=0.5, mode=mode)
            for key, mode in modes.items()
        )
        valid = label != 255
        _, tpr, thresholds = roc_curve(label[valid], score[valid], drop_intermediate=False)
        assert found.groups[town].threshold == pytest.approx(thresholds[tpr > 0.95][0], rel=1e-6)


def test_the_readings_differ_where_the_rate_is_met_exactly() -> None:
    # 20 anomalies above each other, in blocks of 2x2: TPR .95 is met exactly by the 19th.
    score = np.kron(np.arange(21, 0, -1, dtype=np.float32)[None], np.ones((2, 2), np.float32))
    label = np.ones(score.shape, np.uint8)
    label[:, -2:] = 0
    maps = OpenMaps(score, np.zeros_like(label), np.zeros_like(label), label)
    frames = [OpenFrame("f", town, lambda: maps) for town in ("t5", "t6")]
    for reading, threshold in (("densehybrid", 2), ("strided", 3)):
        found = open_miou(frames, 1, reading=cast("Reading", reading))
        assert {group.threshold for group in found.groups.values()} == {threshold}
        told = convention(found, ("road",))
        assert told["reading"] == reading
        assert told["threshold"].startswith(f"first threshold with TPR {'>' if threshold == 2 else '>='} 0.95")


def test_doubles_are_judged_as_their_float32() -> None:
    # 0.7 as a double lies above 0.7 as a float32, which is the threshold of the other town.
    label = np.kron(np.array([[0, 1]], np.uint8), np.ones((2, 2), np.uint8))
    doubles = np.where(label == 1, 0.7, 0.1)
    for reading in ("densehybrid", "strided"):
        found = []
        for score in (doubles, doubles.astype(np.float32)):
            maps = OpenMaps(score, np.zeros_like(label), np.zeros_like(label), label)
            frames = [OpenFrame("f", town, lambda maps=maps: maps) for town in ("t5", "t6")]
            found.append(open_miou(frames, 1, reading=cast("Reading", reading)))
        assert found[0] == found[1]
        assert found[0].miou == 0.5  # no anomaly is above the threshold


def test_what_rejection_costs_and_saves() -> None:
    label = np.array([[0, 0, 0, 0], [0, 0, 1, 1]], np.uint8)
    classes = np.where(label == 1, 255, 0).astype(np.uint8)
    sky = np.zeros((2, 4), np.uint8)

    def score(*values: float) -> np.ndarray:
        return np.array([[0, 0, 0, values[0]], [0, 0, *values[1:]]], np.float32)

    # Of every second row and column the first town knows (0, 0) and (0, 2) only: its anomaly must lie there.
    other = OpenMaps(score(0, 0, 0), sky, classes[::-1].copy(), label[::-1].copy())
    other.score[0, 2] = 0.5
    frames = [
        # One known pixel is rejected (FN), one anomaly is accepted as class 0 (FP): 5 / (5 + 1 + 1).
        OpenFrame("a", "t5", lambda: OpenMaps(score(0.6, 0.5, 0.7), sky, classes, label)),
        OpenFrame("b", "t6", lambda: other),
    ]
    with pytest.raises(UserError, match="no anomaly pixel"):
        open_miou(frames, 1, reading="strided")  # half of t5 holds none, so t6 has no threshold
    tall = OpenMaps(*(np.vstack([part[1:], part]) for part in (score(0.6, 0.5, 0.7), sky, classes, label)))
    found = open_miou([OpenFrame("a", "t5", lambda: tall), frames[1]], 1, reading="strided")
    assert found.groups["t5"].threshold == 0.5
    assert found.groups["t5"].iou == (7 / (7 + 1 + 2),)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prediction": np.zeros((4, 4), np.uint8)}, r"maps of f differ in size: 4x4 and 6x6"),
        ({"prediction": np.full((6, 6), 2, np.uint8)}, "The prediction of f holds the class 2; expected 0..1"),
        ({"classes": np.full((6, 6), 7, np.uint8)}, "The label of f holds the class 7"),
        ({"score": np.full((6, 6), np.nan, np.float32)}, "score map of f holds 9 values that are NaN"),
        ({"classes": np.full((6, 6), 255, np.uint8)}, "hold no known class"),
    ],
)
def test_maps_that_cannot_be_judged(change: dict[str, np.ndarray], sentence: str) -> None:
    label = np.tile(np.array([0, 0, 1], np.uint8), (6, 2))
    parts = {
        "score": label.astype(np.float32),
        "prediction": np.zeros((6, 6), np.uint8),
        "classes": np.zeros((6, 6), np.uint8),
        "label": label,
    }
    with pytest.raises(UserError, match=sentence):
        open_miou([OpenFrame("f", town, lambda: OpenMaps(**(parts | change))) for town in ("t5", "t6")], 2)


def test_one_town_has_no_other() -> None:
    maps = draw(0, ties=False)
    with pytest.raises(UserError, match="there is only 't5'"):
        open_miou([OpenFrame("f", "t5", lambda: maps)], CLASSES)
    with pytest.raises(UserError, match="there is no frame"):
        open_miou([], CLASSES)
