"""Figures of groups of frames, and which sets are the published ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import find_sets
from eval.benchmarks.whole import PUBLISHED, is_whole
from eval.metrics import PixelMetrics
from eval.metrics.frame import judge_frame
from eval.metrics.groups import GroupedPixels, GroupFigures, mean_of_groups
from eval.metrics.keys import FrameKeys, frame_keys
from eval.official import mean_over_frames
from eval.predictor import Predictor
from eval.protocols import PROTOCOLS
from eval.report.published import published_for, published_sets
from eval.results import AnomalySetResult
from eval.run import evaluate
from eval.scoremaps import find_pairs
from shards.errors import UserError

TOWNS = {"a": "t5", "b": "t6", "c": "t5", "d": "t7", "e": ""}


def frames() -> dict[str, FrameKeys]:
    """A frame of each town; that of t7 holds no anomaly."""
    rng = np.random.default_rng(0)
    found = {}
    for name in TOWNS:
        label = (rng.random((20, 30)) < (0 if name == "d" else 0.2)).astype(np.uint8)
        score = (rng.normal(size=label.shape) + label).astype(np.float32).round(1)
        found[name] = frame_keys(score, label, name)
    return found


def pooled(names: str, found: dict[str, FrameKeys]) -> dict[str, float]:
    """The figures of some frames in one pool."""
    metrics = PixelMetrics()
    for name in names:
        metrics.add_keys(found[name])
    return dict(metrics.result().metrics)


def test_groups_are_pools_of_their_own_and_make_the_whole() -> None:
    found, grouped, other = frames(), GroupedPixels(), GroupedPixels()
    for name, keys in found.items():
        (grouped if name in "ad" else other).add_keys(keys, TOWNS[name])
    grouped.merge(other)
    figures = grouped.figures(TOWNS)
    assert list(figures) == ["t5", "t6", "t7"]
    assert figures["t5"] == GroupFigures(2, pooled("ac", found))
    assert figures["t6"] == GroupFigures(1, pooled("b", found))
    assert figures["t7"] == GroupFigures(1, None)
    assert grouped.result().metrics == pooled("abcde", found)
    # Judging changes nothing.
    assert grouped.result(tpr=0.5).metrics["FPR50"] < grouped.result().metrics["FPR95"]
    assert grouped.figures(TOWNS) == figures
    strict = grouped.figures(TOWNS, reach="beyond", tpr=0.5)
    assert strict["t6"].metrics is not None
    assert "FPR50" in strict["t6"].metrics


def test_groups_are_saved_and_loaded() -> None:
    found, grouped = frames(), GroupedPixels()
    for name, keys in found.items():
        grouped.add_keys(keys, TOWNS[name])
    state = {"more": np.zeros(1), **grouped.state()}
    assert GroupedPixels.of(state, grouped.pools).figures(TOWNS) == grouped.figures(TOWNS)
    with pytest.raises(KeyError):
        GroupedPixels.of(state, ["t9"])


def test_a_set_without_groups_has_none() -> None:
    found, grouped = frames(), GroupedPixels()
    for keys in found.values():
        grouped.add_keys(keys)
    assert grouped.figures(dict.fromkeys(found, "")) == {}
    assert grouped.whole is grouped.pools[""]
    assert grouped.result().metrics == pooled("abcde", found)
    with pytest.raises(UserError, match="no anomaly pixel"):
        GroupedPixels().result()


def test_means_of_groups_pass_over_frames_of_one_class() -> None:
    alone = {}
    for name, keys in frames().items():
        judged = judge_frame(keys)
        alone[name] = None if judged is None else dict(judged.metrics)
    figures = mean_of_groups(TOWNS, alone)
    assert list(figures) == ["t5", "t6", "t7"]
    assert figures["t7"] == GroupFigures(1, None)
    first, second, mean = alone["a"], alone["c"], figures["t5"].metrics
    assert first is not None
    assert second is not None
    assert mean is not None
    assert mean["AP"] == pytest.approx((first["AP"] + second["AP"]) / 2)
    assert figures["t6"] == GroupFigures(1, alone["b"])


def test_the_mean_of_a_group_of_all_frames_is_that_of_the_set() -> None:
    """To the last digit, whatever the order of the frames: results.json shows both."""
    rng = np.random.default_rng(0)
    alone = {f"f{index:02d}": {"AP": value} for index, value in enumerate(rng.random(50).tolist())}
    turned = dict(reversed(alone.items()))
    (group,) = mean_of_groups(dict.fromkeys(alone, "t5"), alone).values()
    assert group.metrics == mean_over_frames("town", alone) == mean_over_frames("town", turned)
    with pytest.raises(UserError, match="No frame of town holds both"):
        mean_over_frames("town", {"f00": None})


def test_groups_stand_in_the_results(worlds: Path, predictor: Predictor) -> None:
    (found,) = evaluate(find_sets("roadanomaly", worlds), predictor, ["bright"]).sets.values()
    assert isinstance(found, AnomalySetResult)
    entry = found.as_json()["scores"]["bright"]
    assert "groups" not in entry
    groups = {"bright": {"t5": GroupFigures(2, {"AP": 0.5}), "t6": GroupFigures(1, None)}}
    entry = replace(found, groups=groups).as_json()["scores"]["bright"]
    assert entry["groups"] == {"t5": {"frames": 2, "metrics": {"AP": 0.5}}, "t6": {"frames": 1, "metrics": None}}


def test_score_files_know_their_groups(tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    for town in ("t5", "t6"):
        for tree, size in (("images", (4, 4, 3)), ("annotations", (4, 4))):
            place = tmp_path / "StreetHazards" / tree / "test" / town / "0.png"
            place.parent.mkdir(parents=True)
            Image.fromarray(np.ones(size, np.uint8)).save(place)
        np.save(scores / f"{town}_0.npy", np.zeros((4, 4), np.float32))
    pairs = find_pairs(scores, tmp_path / "StreetHazards", PROTOCOLS["pooled"]).pairs
    assert [(pair.name, pair.label.group) for pair in pairs] == [("t5_0", "t5"), ("t6_0", "t6")]


HD, FULL_HD, CITY = 1280 * 720, 1920 * 1080, 2048 * 1024


@pytest.mark.parametrize(
    ("benchmark", "part", "names", "pixels"),
    [
        ("roadanomaly", "", [f"frame{i:02d}" for i in range(60)], 60 * HD),
        ("fishyscapes", "Lost & Found", [f"{i:04d}" for i in range(100)], 100 * CITY),
        ("fishyscapes", "", [f"{i:04d}_04_Maurener_Weg_8_000000_{i:06d}" for i in range(100)], 100 * CITY),
        ("fishyscapes", "Static", [f"{i:04d}_frankfurt_000000_{i:06d}" for i in range(30)], 30 * CITY),
        ("smiyc", "AnomalyTrack", [f"validation{i:04d}" for i in range(10)], 10 * HD),
        ("smiyc", "AnomalyTrack", [f"validation{i:04d}" for i in range(10)], 9 * HD + CITY),
        ("smiyc", "ObstacleTrack", [f"validation_{i}" for i in range(1, 31)], 30 * FULL_HD),
        ("acdc-poc", "", [f"GOPR0475_frame_{i:06d}" for i in range(200)], 200 * FULL_HD),
        ("muad", "", [f"{i:06d}" for i in range(240)], 240 * CITY),
    ],
)
def test_published_sets_are_told_by_number_names_and_sizes(
    benchmark: str, part: str, names: list[str], pixels: int
) -> None:
    assert is_whole(benchmark, part, names, pixels)
    assert not is_whole(benchmark, part, names[1:], pixels)
    assert not is_whole(benchmark, part, [*names[1:], "toy"], pixels)
    assert not is_whole(benchmark, "another", names, pixels)
    assert not is_whole(None, part, names, pixels)
    if benchmark != "acdc-poc":
        assert not is_whole(benchmark, part, names, len(names) * 384 * 192)
        assert not is_whole(benchmark, part, names, 4 * pixels)


def test_all_sets_with_published_figures_can_be_told() -> None:
    known = {(found.benchmark, found.part, found.frames) for found in PUBLISHED}
    assert {(found.benchmark, found.part, found.frames) for found in published_sets()} <= known


def test_ten_toy_frames_are_not_anomalytrack(worlds: Path, predictor: Predictor, frame: Callable[..., None]) -> None:
    track = worlds / "dataset_AnomalyTrack"
    for index in range(3, 10):
        key = f"validation{index:04d}"
        frame(track / "images" / f"{key}.jpg", track / "labels_masks" / f"{key}_labels_semantic.png", index)
    (entry,) = evaluate(find_sets("smiyc", track), predictor, ["bright"]).as_json()["sets"].values()
    assert (entry["frames"], entry["whole"]) == (10, False)
    rows, (note,) = published_for("dataset_AnomalyTrack", entry)
    assert rows == ()
    assert "their names or sizes are others" in note
    assert published_for("dataset_AnomalyTrack", {**entry, "whole": True})[0]


@pytest.mark.real
def test_real_frames_have_the_published_names_and_sizes(shared: Path) -> None:
    for found in find_sets("all", shared / "data" / "benchmarks"):
        (known,) = (
            known for known in PUBLISHED
            if known.benchmark == found.benchmark and known.part == getattr(found, "part", "")
        )  # fmt: skip
        images = [frame.label for frame in found.frames]  # type: ignore[union-attr]
        names = [frame.name for frame in found.frames]  # type: ignore[union-attr]
        pixels = 0
        for image in images:
            with Image.open(image) as opened:
                pixels += opened.width * opened.height
        assert replace(known, frames=len(names)).holds(names, pixels)


class Flat:
    """Says the same of every pixel."""

    describe: ClassVar = {"network": "flat"}
    score_names = ("flat",)

    def __init__(self, inner: Predictor) -> None:
        self.inner = inner

    def predict(self, image: np.ndarray, scores: list[str], *, semantic: bool = False) -> object:
        found = self.inner.predict(image, ["bright"], semantic=semantic)
        return replace(found, scores={"flat": np.full(image.shape[:2], 0.25, np.float32)})


def test_a_constant_score_is_told(worlds: Path, predictor: Predictor) -> None:
    sets = find_sets("roadanomaly", worlds)
    (entry,) = evaluate(sets, Flat(predictor)).as_json()["sets"].values()  # type: ignore[arg-type]
    assert entry["notes"] == [
        "flat: every pixel of every frame has one and the same score, 0.25, so its figures say nothing."
    ]
    assert entry["scores"]["flat"]["metrics"]["AUROC"] == 0.5
    (entry,) = evaluate(sets, predictor, ["bright"]).as_json()["sets"].values()
    assert entry["notes"] == []


@pytest.mark.parametrize(
    ("scores", "constant"),
    [
        ([[1, 1, 1, 1]], True),
        ([[0, 0, 1, 1]], False),  # perfect
        ([[1, 1, 0, 0]], False),  # the reverse
        ([[2, 0, 1, 1]], False),  # AUROC 0.5 all the same
        ([[2, 1, 1, 1]], False),
    ],
)
def test_constant_scores(scores: list[list[float]], constant: bool) -> None:
    metrics = PixelMetrics()
    metrics.add(np.array(scores, np.float32), np.array([[0, 0, 1, 1]], np.uint8))
    assert metrics.result().constant is constant
