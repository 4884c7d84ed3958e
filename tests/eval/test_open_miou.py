"""Open-mIoU beside a loop over pixels, and its limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from eval.metrics.open_miou import OpenFrame, OpenMaps, open_miou
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


def naive(frames: Sequence[tuple[str, OpenMaps]], tpr: float) -> tuple[float, dict[str, float]]:
    """The definition, pixel by pixel."""
    of_group: dict[str, float] = {}
    for group in sorted({name for name, _ in frames}):
        scores = [
            (float(maps.score[y, x]), int(maps.label[y, x]))
            for name, maps in frames
            if name != group
            for y in range(0, maps.score.shape[0], 2)
            for x in range(0, maps.score.shape[1], 2)
        ]
        anomalies = sorted((score for score, label in scores if label == 1), reverse=True)
        threshold = next(t for t in anomalies if sum(score >= t for score in anomalies) >= tpr * len(anomalies))
        ious = []
        for wanted in range(CLASSES):
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
            if tp + fn:
                ious.append(tp / (tp + fp + fn))
        of_group[group] = sum(ious) / len(ious)
    weights = {group: sum(name == group for name, _ in frames) for group in of_group}
    return sum(weights[group] * of_group[group] for group in of_group) / len(frames), of_group


@pytest.mark.parametrize("towns", [("t5", "t6"), ("t5", "t6", "t5", "t5"), ("fog", "rain", "snow", "rain")])
@pytest.mark.parametrize("tpr", [0.95, 0.5])
@pytest.mark.parametrize("ties", [False, True])
def test_the_figure_of_a_loop_over_pixels(towns: tuple[str, ...], tpr: float, ties: bool) -> None:
    frames = [(town, draw(seed, ties)) for seed, town in enumerate(towns)]
    found = open_miou([OpenFrame("f", town, lambda maps=maps: maps) for town, maps in frames], CLASSES, tpr)
    whole, of_group = naive(frames, tpr)
    assert found.miou == pytest.approx(whole, abs=1e-12)
    assert {name: group.miou for name, group in found.groups.items()} == pytest.approx(of_group, abs=1e-12)
    assert {name: group.frames for name, group in found.groups.items()} == {t: towns.count(t) for t in towns}
    assert all(group.iou[3] is None for group in found.groups.values())  # no label holds it


def test_what_rejection_costs_and_saves() -> None:
    label = np.array([[0, 0, 0, 0], [0, 0, 1, 1]], np.uint8)
    classes = np.where(label == 1, 255, 0).astype(np.uint8)
    sky = np.zeros((2, 4), np.uint8)

    def score(*values: float) -> np.ndarray:
        return np.array([[0, 0, 0, values[0]], [0, 0, *values[1:]]], np.float32)

    # At half resolution the first town knows its pixels (0, 0) and (0, 2) only: its anomaly must lie there.
    other = OpenMaps(score(0, 0, 0), sky, classes[::-1].copy(), label[::-1].copy())
    other.score[0, 2] = 0.5
    frames = [
        # One known pixel is rejected (FN), one anomaly is accepted as class 0 (FP): 5 / (5 + 1 + 1).
        OpenFrame("a", "t5", lambda: OpenMaps(score(0.6, 0.5, 0.7), sky, classes, label)),
        OpenFrame("b", "t6", lambda: other),
    ]
    with pytest.raises(UserError, match="no anomaly pixel"):
        open_miou(frames, 1)  # half of t5 holds none, so t6 has no threshold
    tall = OpenMaps(*(np.vstack([part[1:], part]) for part in (score(0.6, 0.5, 0.7), sky, classes, label)))
    found = open_miou([OpenFrame("a", "t5", lambda: tall), frames[1]], 1)
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
