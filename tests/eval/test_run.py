from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import find_sets
from eval.frame_figures import load_counts
from eval.judge_scores import count_scores
from eval.metrics import PixelMetrics
from eval.metrics.groups import NO_GROUP, GroupedPixels
from eval.metrics.keys import FrameKeys
from eval.predictor import Prediction, Predictor
from eval.protocols import PROTOCOLS
from eval.run import evaluate
from eval.scoremaps import find_pairs
from shards.errors import UserError


def keys_of(value: Any) -> list[str]:
    """Every object key below a JSON value."""
    if isinstance(value, dict):
        return [key for k, v in value.items() for key in (k, *keys_of(v))]
    return [key for item in value for key in keys_of(item)] if isinstance(value, list) else []


def cityscapes(root: Path) -> Path:
    for index in range(2):
        name = f"frankfurt_000000_00000{index}"
        image = root / "leftImg8bit" / "val" / "frankfurt" / f"{name}_leftImg8bit.png"
        label = root / "gtFine" / "val" / "frankfurt" / f"{name}_gtFine_labelIds.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 16, 3), 90, np.uint8)).save(image)
        ids = np.full((8, 16), 7, np.uint8)  # road
        ids[:2] = 23 if index else 0  # sky, which the toy calls road; void
        Image.fromarray(ids).save(label)
    return root


def test_results_json(worlds: Path, tmp_path: Path, predictor: Predictor, load: Callable[[Path], Any]) -> None:
    sets = [s for name in ("smiyc", "roadanomaly", "fishyscapes") for s in find_sets(name, worlds)]
    sets += find_sets("cityscapes", cityscapes(tmp_path / "city"))
    evaluate(sets, predictor, (), tmp_path / "out")
    written = load(tmp_path / "out" / "results.json")
    assert written["schema"] == 1
    assert written["predictor"] == {"network": "toy"}
    assert set(written["created_by"]) == {"anomsynth"}
    assert set(written["sets"]) == {
        "dataset_AnomalyTrack",
        "dataset_ObstacleTrack",
        "RoadAnomaly_jpg",
        "fishyscapes_lostandfound",
        "fishyscapes_static",
        "cityscapes",
    }
    track = written["sets"]["dataset_AnomalyTrack"]
    assert track["pixels"] == {"known": 3 * 32 * 20 - 108, "anomaly": 108, "ignore": 3 * 32 * 4}
    assert track["scores"]["bright"]["metrics"]["AP"] > 0.9
    assert track["scores"]["dark"]["metrics"]["AP"] < 0.1
    assert track["scores"]["dark"]["convention"]["fpr95"] == "first threshold with TPR >= 0.95"
    # AP is nowhere but in the metrics of a score: five sets, two scores.
    assert keys_of(written).count("AP") == 10
    segmentation = written["sets"]["cityscapes"]["segmentation"]
    assert segmentation["metrics"] == pytest.approx({"mIoU": (192 / 224) / 2, "mAcc": 0.5})
    assert segmentation["iou_per_class"]["sky"] == 0
    assert segmentation["iou_per_class"]["car"] is None
    curves = load(tmp_path / "out" / "curves.json")
    assert set(curves["RoadAnomaly_jpg"]["bright"]) == {"tpr", "fpr", "precision"}
    names = ["counts.npz", "curves.json", "frames.json", "results.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    bright = track["scores"]["bright"]
    figures = ["AP", "AUROC", "FPR95", "best_F1", "AP_binned", "FPR95_binned"]
    assert [row["of"] for row in bright["intervals"]] == figures
    assert all(0 <= row["low"] <= row["high"] <= 1 for row in bright["intervals"])


def test_single_frames_are_written_and_read_back(
    worlds: Path, tmp_path: Path, predictor: Predictor, load: Callable[[Path], Any]
) -> None:
    from eval.benchmarks import BenchmarkSet, read_frame

    sets = find_sets("roadanomaly", worlds)
    results = evaluate(sets, predictor, ["bright"], tmp_path)
    (found,) = sets
    assert isinstance(found, BenchmarkSet)
    frames = load(tmp_path / "frames.json")["sets"][found.name]["bright"]
    counts = load_counts(tmp_path / "counts.npz")[found.name]["bright"]
    assert list(frames) == [frame.name for frame in found.frames]
    assert len(counts) == len(frames)
    for frame, counted in zip(found.frames, counts, strict=True):
        image, label = read_frame(frame)
        pool = PixelMetrics()
        pool.add(predictor.predict(image, ["bright"]).scores["bright"], label)
        assert frames[frame.name] == pytest.approx(pool.result().metrics, abs=1e-12)
        assert (counted.known.sum(), counted.anomaly.sum()) == ((label == 0).sum(), (label == 1).sum())
    assert results.counts()[found.name]["bright"][0].bins.tolist() == counts[0].bins.tolist()
    (tmp_path / "counts.npz").write_bytes((tmp_path / "counts.npz").read_bytes()[:300])
    with pytest.raises(UserError, match="holds no counts of an evaluation"):
        load_counts(tmp_path / "counts.npz")


def test_a_network_and_its_score_maps_are_judged_alike(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    from eval.judge_scores import judge_scores
    from eval.predict import predict_images

    for name, protocol in (
        ("dataset_AnomalyTrack", PROTOCOLS["smiyc-anomaly"]),
        ("dataset_ObstacleTrack", PROTOCOLS["smiyc-obstacle"]),
        ("RoadAnomaly_jpg", PROTOCOLS["roadanomaly"]),
    ):
        (found,) = (found for found in find_sets("all", worlds) if found.name == name)
        given = evaluate([found], predictor, ["bright"]).as_json()["sets"][name]["scores"]["bright"]
        frames = [frame.image for frame in found.frames]
        predict_images(frames, predictor, ["bright"], tmp_path / name)
        pairs = find_pairs(tmp_path / name, worlds / name, protocol, ending="_bright.npy")
        maps = judge_scores(pairs, protocol, "bright").as_json()["sets"][name]["scores"]["bright"]
        assert given["metrics"] == pytest.approx(maps["metrics"], abs=1e-12)
        assert ("component_convention" in given) == (protocol.components is not None)
        assert ("AP_binned" in given["metrics"]) == protocol.binned
        assert given.get("component_threshold") == maps.get("component_threshold")
        if name == "dataset_ObstacleTrack":  # its squares are just large enough
            assert {"sIoU", "F1_mean"} <= set(given["metrics"])


def test_the_figures_are_the_pooled_ones(worlds: Path, predictor: Predictor) -> None:
    from eval.benchmarks import BenchmarkSet, read_frame

    (found,) = find_sets("roadanomaly", worlds)
    assert isinstance(found, BenchmarkSet)
    metrics = PixelMetrics()
    for frame in found.frames:
        image, label = read_frame(frame)
        metrics.add(predictor.predict(image, ["bright"]).scores["bright"], label)
    result = evaluate([found], predictor, ["bright"]).as_json()["sets"]["RoadAnomaly_jpg"]
    assert result["scores"]["bright"]["metrics"] == metrics.result().metrics


def test_unknown_score_is_told_before_anything_is_read(predictor: Predictor) -> None:
    with pytest.raises(UserError, match=r"cannot give the score 'void'\. It gives: bright, dark"):
        evaluate([], predictor, ["bright", "void"])


def test_two_sets_of_one_name(worlds: Path, predictor: Predictor) -> None:
    with pytest.raises(UserError, match="have one name"):
        evaluate(find_sets("roadanomaly", worlds) * 2, predictor)


class Broken:
    describe: Mapping[str, Any] = {"network": "broken"}
    score_names: tuple[str, ...] = ("msp",)

    def __init__(self, value: float = 0.0, size: tuple[int, int] | None = None, names: Sequence[str] = ("msp",)):
        self.value, self.size, self.names = value, size, names

    def predict(self, image: np.ndarray, scores: Sequence[str], *, semantic: bool = False) -> Prediction:
        size = self.size or image.shape[:2]
        return Prediction(
            {name: np.full(size, self.value, np.float32) for name in self.names}, np.zeros(size, np.uint8)
        )


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Broken(value=np.nan), r"frame0 holds 768 values that are NaN"),
        (Broken(size=(2, 2)), r"msp map of frame0 has the shape \(2, 2\); expected \(24, 32\)"),
        (Broken(names=()), "gave no 'msp' map for frame0"),
    ],
)
def test_a_broken_predictor_writes_nothing(worlds: Path, tmp_path: Path, broken: Broken, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluate(find_sets("roadanomaly", worlds), broken, (), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failing_set_keeps_the_old_results(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    sets = find_sets("smiyc", worlds)
    evaluate(sets[:1], predictor, (), tmp_path)
    before = (tmp_path / "results.json").read_bytes()
    image = worlds / "dataset_ObstacleTrack" / "images" / "validation_21.webp"
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(UserError, match="Frame validation_21: the image cannot be read"):
        evaluate(sets, predictor, (), tmp_path)
    assert (tmp_path / "results.json").read_bytes() == before


def test_a_folder_that_cannot_be_written(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Files cannot be made in .*give --out a folder"):
        evaluate(find_sets("roadanomaly", worlds), predictor, (), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("saw", "words"),
    [
        (["cityscapes/train", "cityscapes/val"], "trained on cityscapes/val"),
        (["unknown"], "training data is unknown"),
        (["cityscapes/train"], None),
    ],
)
def test_cityscapes_that_may_have_been_seen(tmp_path: Path, saw: list[str], words: str | None) -> None:
    seen = Broken(names=())
    seen.describe = {"saw": saw}
    results = evaluate(find_sets("cityscapes", cityscapes(tmp_path)), seen)
    notes = results.as_json()["sets"]["cityscapes"]["notes"]
    assert len(notes) == (words is not None)
    assert all(words in note for note in notes if words)


def test_cityscapes_with_half_a_pair(tmp_path: Path) -> None:
    root = cityscapes(tmp_path)
    next(root.rglob("*_leftImg8bit.png")).unlink()
    with pytest.raises(UserError, match="is incomplete: 1 file without a partner"):
        find_sets("cityscapes", root)


def test_known_classes_are_judged_beside_the_anomalies_where_labels_tell_them(
    tmp_path: Path, predictor: Predictor
) -> None:
    from eval.report import tables

    for part in ("leftImg8bit", "leftLabel"):
        (tmp_path / "test_OOD" / part).mkdir(parents=True)
    rgb = np.random.default_rng(0).integers(0, 255, (8, 16, 3)).astype(np.uint8)
    stored = np.zeros((8, 16), np.uint8)  # road, which the toy calls everything
    stored[:, 12:] = 13  # car
    stored[:2, :4] = 19  # anomaly, whatever it was predicted as
    stored[7] = 255
    Image.fromarray(rgb).save(tmp_path / "test_OOD" / "leftImg8bit" / "000001_leftImg8bit.png")
    Image.fromarray(stored).save(tmp_path / "test_OOD" / "leftLabel" / "000001_leftLabel.png")
    results = evaluate(find_sets("muad", tmp_path), predictor, ["bright"]).as_json()
    (entry,) = results["sets"].values()
    road, car = 12 * 7 - 8, 4 * 7
    assert entry["segmentation"]["metrics"]["mIoU"] == pytest.approx(road / (road + car) / 2)
    assert entry["segmentation"]["iou_per_class"]["car"] == 0
    assert entry["pixels"]["anomaly"] == 8
    assert len(tables(results)) == 2


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("protocol", [None, "caos"])
def test_the_number_of_threads_changes_nothing(
    worlds: Path, tmp_path: Path, predictor: Predictor, protocol: str | None
) -> None:
    sets = [found for name in ("smiyc", "roadanomaly") for found in find_sets(name, worlds)]
    rules = None if protocol is None else PROTOCOLS[protocol]
    for threads in (1, 3):
        evaluate(sets, predictor, (), tmp_path / str(threads), protocol=rules, workers=threads)
    assert content_of(tmp_path / "3") == content_of(tmp_path / "1")


@pytest.mark.parametrize("source", ["network", "files"])
def test_a_pool_takes_one_frame_at_a_time(
    worlds: Path, tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """A pool counts in place: two threads in one would lose pixels, though seldom enough to pass other tests."""
    add_keys, inside, met = GroupedPixels.add_keys, set[int](), list[str]()

    def watched(self: GroupedPixels, keys: FrameKeys, group: str = NO_GROUP) -> None:
        if id(self) in inside:
            met.append(group)
        inside.add(id(self))
        time.sleep(0.05)  # long enough for the other threads to come
        add_keys(self, keys, group)
        inside.discard(id(self))

    monkeypatch.setattr(GroupedPixels, "add_keys", watched)
    (found,) = find_sets("roadanomaly", worlds)
    if source == "network":
        evaluate([found], predictor, ["bright"], workers=3)
    else:
        maps = tmp_path / "maps"
        maps.mkdir()
        for frame in found.frames:
            np.save(maps / f"{frame.image.stem}.npy", np.zeros((24, 32), np.float32))
        paired = find_pairs(maps, worlds / found.name, PROTOCOLS["roadanomaly"])
        count_scores(paired, PROTOCOLS["roadanomaly"], workers=3)
    assert not met


def test_classes_are_drawn_in_the_order_of_the_frames(worlds: Path, tmp_path: Path) -> None:
    """Threads finish in whatever order; the bootstrap of mIoU must not see it."""
    from eval.benchmarks import BenchmarkSet
    from eval.benchmarks.encoding import CITYSCAPES_NAMES

    for part in ("leftImg8bit", "leftLabel"):
        (tmp_path / "test_OOD" / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(6):
        stored = rng.integers(0, 3, (8, 16)).astype(np.uint8)
        stored[0] = 19
        rgb = rng.integers(0, 255, (8, 16, 3)).astype(np.uint8)
        Image.fromarray(rgb).save(tmp_path / "test_OOD" / "leftImg8bit" / f"{index:06d}_leftImg8bit.png")
        Image.fromarray(stored).save(tmp_path / "test_OOD" / "leftLabel" / f"{index:06d}_leftLabel.png")
    (found,) = find_sets("muad", tmp_path)
    assert isinstance(found, BenchmarkSet)
    assert found.frames[0].encoding.classes == CITYSCAPES_NAMES  # type: ignore[union-attr]

    def toy() -> Toy:
        return Toy(names=("msp",))

    one, three = (
        evaluate([found], toy(), (), workers=threads).as_json()["sets"][found.name]["segmentation"]
        for threads in (1, 3)
    )
    assert one == three
    assert one["intervals"][0]["low"] < one["intervals"][0]["high"]


@pytest.mark.parametrize("benchmark", ["smiyc", "roadanomaly"])
def test_frames_of_one_class_and_void_frames(
    worlds: Path, tmp_path: Path, predictor: Predictor, load: Callable[[Path], Any], benchmark: str
) -> None:
    """Three frames: anomaly and known pixels, void only, and known pixels only; then anomaly pixels only."""
    (found, *_) = find_sets(benchmark, worlds)
    stored = 2 if benchmark == "roadanomaly" else 1
    for third in (0, stored):
        for frame, value in zip(found.frames[1:], (255, third), strict=True):
            Image.fromarray(np.full((24, 32), value, np.uint8)).save(frame.label)
        results = evaluate([found], predictor, ["bright"], tmp_path / str(third)).as_json()["sets"][found.name]
        first, void, last = (frame.name for frame in found.frames)
        alone = load(tmp_path / str(third) / "frames.json")["sets"][found.name]["bright"]
        assert list(alone) == [first, void, last]
        assert alone[void] is None
        assert alone[last] is None
        assert alone[first]["AP"] > 0.9
        counts = load_counts(tmp_path / str(third) / "counts.npz")[found.name]["bright"]
        assert [int(frame.known.sum() + frame.anomaly.sum()) for frame in counts][1:] == [0, 24 * 32]
        metrics = PixelMetrics()
        image = np.asarray(Image.open(found.frames[2].image).convert("RGB"))
        metrics.add(
            predictor.predict(image, ["bright"]).scores["bright"], np.full((24, 32), int(third > 0), np.uint8)
        )
        image, label = read(found.frames[0])
        metrics.add(predictor.predict(image, ["bright"]).scores["bright"], label)
        given = results["scores"]["bright"]["metrics"]
        assert {key: given[key] for key in ("AP", "AUROC", "FPR95", "best_F1")} == metrics.result().metrics
        assert results["pixels"]["ignore"] == 24 * 32 + int((label == 255).sum())
        assert all(0 <= row["low"] <= row["high"] <= 1 for row in results["scores"]["bright"]["intervals"])


def read(frame: Any) -> tuple[np.ndarray, np.ndarray]:
    from eval.benchmarks import read_frame

    return read_frame(frame)


class Toy(Broken):
    """Brightness as a score, bright and dark as classes."""

    def predict(self, image: np.ndarray, scores: Sequence[str], *, semantic: bool = False) -> Prediction:
        bright = image.mean(2).astype(np.float32)
        return Prediction(dict.fromkeys(scores, bright), (image[..., 0] > 128).astype(np.uint8))
