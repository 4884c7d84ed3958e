"""What a set is judged by: its protocol, what is recorded of its labels and options, and where score maps wait."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval import official
from eval.benchmarks import BenchmarkSet, find_sets, read_frame
from eval.metrics import PixelMetrics
from eval.metrics.frame import judge_frame
from eval.metrics.keys import frame_keys
from eval.predictor import Prediction, Predictor
from eval.protocols import PROTOCOLS
from eval.report import tables, write_page
from eval.report.published import published_for
from eval.report.table import further_lines
from eval.run import evaluate
from shards.errors import UserError

Load = Callable[[Path], Any]


def muad(root: Path, frames: int = 2) -> Path:
    """Frames of MUAD: road, a car, and an animal in the corner; noise as a picture."""
    for index in range(frames):
        image, label = (root / "MUAD" / "test_OOD" / part for part in ("leftImg8bit", "leftLabel"))
        stored = np.zeros((16, 24), np.uint8)
        stored[:, 16:] = 13
        stored[: 4 + index, :5] = 19
        for folder, name, content in (
            (image, "leftImg8bit", np.random.default_rng(index).integers(0, 255, (16, 24, 3)).astype(np.uint8)),
            (label, "leftLabel", stored),
        ):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(folder / f"{index:06d}_{name}.png")
    return root / "MUAD"


def one(folder: Path, benchmark: str, *words: str) -> BenchmarkSet:
    (found,) = find_sets(benchmark, folder, words)
    assert isinstance(found, BenchmarkSet)
    return found


def test_benchmarks_without_rules_of_their_own_are_pooled(tmp_path: Path, predictor: Predictor) -> None:
    found = one(muad(tmp_path), "muad")
    entry = evaluate([found], predictor, ["bright"]).as_json()["sets"]["MUAD"]["scores"]["bright"]
    assert entry["protocol"] == "pooled"
    assert "AP_binned" not in entry["metrics"]


@pytest.mark.parametrize("protocol", [name for name, rules in PROTOCOLS.items() if rules.benchmark is None])
@pytest.mark.parametrize("tpr", [0.95, 0.8])
def test_a_protocol_is_kept(tmp_path: Path, predictor: Predictor, protocol: str, tpr: float) -> None:
    rules, found = PROTOCOLS[protocol], one(muad(tmp_path), "muad")
    pool, alone = PixelMetrics(), []
    for frame in found.frames:
        image, label = read_frame(frame)
        keys = frame_keys(predictor.predict(image, ["bright"]).scores["bright"], label)
        pool.add_keys(keys)
        alone.append(judge_frame(keys, reach=rules.reach, tpr=tpr))
    results = evaluate([found], predictor, ["bright"], tmp_path / "out", protocol=rules, tpr=tpr)
    entry = results.as_json()["sets"]["MUAD"]["scores"]["bright"]
    name = f"FPR{100 * tpr:g}"
    assert entry["protocol"] == protocol
    assert set(entry["metrics"]) == {"AP", "AUROC", name, "best_F1"}
    if rules.pooling == "pooled":
        expected = pool.result(reach=rules.reach, tpr=tpr)
        assert entry["metrics"] == expected.metrics
        assert entry[f"threshold{100 * tpr:g}"] == expected.point.threshold
        # The bootstrap knows one convention only.
        usual = rules.reach == "first" and tpr == 0.95
        assert [row["of"] for row in entry["intervals"]] == ["AP", "AUROC", *(["FPR95"] if usual else []), "best_F1"]
    else:
        for figure in entry["metrics"]:
            mean = sum(result.metrics[figure] for result in alone if result) / len(alone)
            assert entry["metrics"][figure] == pytest.approx(mean, abs=1e-12)
        assert entry["convention"]["pooling"].startswith("mean over frames")
        assert (entry["frames_judged"], entry["frames_of_one_class"], entry["intervals"]) == (2, 0, [])
        assert not results.counts()
    assert f"{tpr:g}" in entry["convention"][name.lower()]
    assert name in str(tables(results.as_json())[0].grid.columns)
    page = write_page(results, predictor, tmp_path / "out").read_text()
    assert f"{name} ↓" in page
    assert f"operating point at TPR {100 * tpr:g}" in page


def test_impossible_rules(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    road, track = one(worlds / "RoadAnomaly_jpg", "roadanomaly"), one(worlds / "dataset_AnomalyTrack", "smiyc")
    with pytest.raises(
        UserError, match=r"protocol fishyscapes is for Fishyscapes .*, but RoadAnomaly_jpg is roadanom"
    ):
        evaluate([road], predictor, protocol=PROTOCOLS["fishyscapes"])
    with pytest.raises(UserError, match="ObstacleTrack, but dataset_AnomalyTrack is smiyc AnomalyTrack"):
        evaluate([track], predictor, protocol=PROTOCOLS["smiyc-obstacle"])
    for tpr in (0.0, 1.1, float("nan")):
        with pytest.raises(UserError, match="--tpr is a share of the anomaly pixels"):
            evaluate([road], predictor, out=tmp_path / "out", tpr=tpr)
    assert not (tmp_path / "out").exists()


class Watching:
    """Notes what lies in a folder while it predicts."""

    describe: Mapping[str, Any] = {"network": "watching"}
    score_names = ("bright",)

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, set[str]()

    def predict(self, image: np.ndarray, scores: Any, *, semantic: bool = False) -> Prediction:
        self.seen |= {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        return Prediction({"bright": image.mean(2).astype(np.float32)})


def test_score_maps_wait_where_the_results_will_lie(worlds: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    predictor = Watching(out)
    evaluate([one(worlds / "dataset_AnomalyTrack", "smiyc")], predictor, out=out)
    assert [name[:11] for name in predictor.seen] == [".anomsynth-"]
    assert sorted(path.name for path in out.iterdir()) == ["counts.npz", "curves.json", "frames.json", "results.json"]


def test_nothing_is_left_of_a_run_that_fails(worlds: Path, tmp_path: Path) -> None:
    class Failing(Watching):
        def predict(self, image: np.ndarray, scores: Any, *, semantic: bool = False) -> Prediction:
            raise UserError("It fails.")

    with pytest.raises(UserError, match="It fails"):
        evaluate([one(worlds / "dataset_AnomalyTrack", "smiyc")], Failing(tmp_path), out=tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_a_small_disk_is_told_before_anything_is_predicted(
    worlds: Path, tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = namedtuple("sizes", ("total", "used", "free"))
    needed = 3 * 24 * 32 * (4 * 2 + 1)
    track, asked = one(worlds / "dataset_AnomalyTrack", "smiyc"), []

    def usage(place: Path) -> tuple[int, ...]:
        asked.append(place)
        return sizes(10**9, 0, needed - 1)

    monkeypatch.setattr(official.shutil, "disk_usage", usage)
    with pytest.raises(UserError, match=r"dataset_AnomalyTrack take 0.00 GB in .* but only 0.00 GB are free there"):
        evaluate([track], predictor, out=tmp_path / "deep" / "out")
    assert asked == [tmp_path]
    evaluate([one(worlds / "RoadAnomaly_jpg", "roadanomaly")], predictor)  # nothing has to wait
    monkeypatch.setattr(official.shutil, "disk_usage", lambda place: sizes(10**9, 0, needed))
    evaluate([track], predictor, out=tmp_path / "deep" / "out")


def test_labels_options_and_part_are_recorded(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    folder = muad(tmp_path)

    def entry(*words: str) -> dict[str, Any]:
        return dict(evaluate([one(folder, "muad", *words)], predictor, ["bright"]).as_json()["sets"]["MUAD"])

    assert entry()["options"] == {}
    assert entry("anomaly=[19,20]")["options"] == {}
    assert entry()["labels"] == ["19, 20 anomaly, other ids up to 20 known, 21 and 255 ignore"]
    changed = entry("anomaly=[13,19]")
    assert changed["options"] == {"anomaly": [13, 19]}
    assert changed["labels"] == ["13, 19 anomaly, other ids up to 20 known, 21 and 255 ignore"]
    whole = {"frames": 240, "whole": True}
    assert published_for("MUAD", entry() | whole)[0]
    rows, notes = published_for("MUAD", changed | whole)
    assert rows == ()
    assert notes == (
        "MUAD: published figures are judged without anomaly=[13, 19], so they would not compare; left out.",
    )
    sets = evaluate(find_sets("all", worlds), predictor, ["bright"]).as_json()["sets"]
    assert {name: found["part"] for name, found in sets.items()} == {
        "dataset_AnomalyTrack": "AnomalyTrack",
        "dataset_ObstacleTrack": "ObstacleTrack",
        "RoadAnomaly_jpg": "",
        "fishyscapes_lostandfound": "Lost & Found",
        "fishyscapes_static": "Static",
    }
    assert sets["RoadAnomaly_jpg"]["labels"] == ["0 and 1 known, 2 and up anomaly, 255 ignore"]


def test_where_cityscapes_lies_is_no_choice(worlds: Path) -> None:
    folder = worlds / "fishyscapes_static"
    assert one(folder, "fishyscapes", f"cityscapes={worlds}", "version=3").options == {}


@pytest.mark.parametrize(
    ("benchmark", "part", "frames", "method"),
    [
        ("fishyscapes", "Lost & Found", 100, "AnomalyMix"),
        ("fishyscapes", "", 100, "AnomalyMix"),
        ("fishyscapes", "Static", 30, "RPL+CoroCL"),
        ("smiyc", "ObstacleTrack", 30, "RPL+CoroCL"),
    ],
)
def test_published_sets_are_known_whatever_their_folder_is_called(
    benchmark: str, part: str, frames: int, method: str
) -> None:
    entry = {"benchmark": benchmark, "part": part, "frames": frames, "scores": {}, "options": {}, "whole": True}
    rows, _ = published_for("fs_val_v3", entry)
    assert method in [row.method for row in rows]
    assert not published_for("fs_val_v3", entry | {"part": "another"})[0]


@pytest.mark.parametrize(("native", "owner"), [(False, "fishyscapes"), (True, "lostandfound")])
def test_a_flat_lostandfound_has_one_owner(
    worlds: Path, predictor: Predictor, frame: Callable[..., None], native: bool, owner: str
) -> None:
    shutil.rmtree(worlds / "fishyscapes_lostandfound")
    for index in range(2):
        folder = worlds / "LostAndFound"
        label = folder / "labels_masks" / f"{index:04d}.png"
        frame(folder / "images" / f"{index:04d}.png", label, index, anomaly=5 if native else 1)
        if native:
            with Image.open(label) as stored:
                values = np.array(stored)
            values[values == 0] = 1
            Image.fromarray(values).save(label)
    sets = find_sets("all", worlds)
    assert [found.benchmark for found in sets if found.name == "LostAndFound"] == [owner]
    assert len(evaluate(sets, predictor, ["bright"]).sets) == 5
    # Whoever names the benchmark is taken at their word.
    assert one(worlds / "LostAndFound", "lostandfound").benchmark == "lostandfound"


def test_official_figures_and_closed_set_are_shown(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    sets = [one(worlds / "dataset_ObstacleTrack", "smiyc"), one(muad(tmp_path), "muad")]
    results = evaluate(sets, predictor, ["bright"])
    content = results.as_json()
    figures = content["sets"]["dataset_ObstacleTrack"]["scores"]["bright"]["metrics"]
    grid = tables(content)[0].grid
    (row,) = (row for row in grid.rows if row[0].text == "dataset_ObstacleTrack")
    shown = dict(zip(grid.columns, (cell.text for cell in row), strict=True))
    assert {"AP_binned", "FPR95_binned", "sIoU", "F1_mean"} <= figures.keys()
    for metric in figures.keys() - {"best_F1"}:
        assert shown[f"{metric} {'↓' if 'FPR' in metric else '↑'}"] == f"{100 * figures[metric]:.2f}"
    assert not any("AP_binned" in line for line in further_lines(content))
    html = write_page(results, predictor, tmp_path).read_text()
    for words in (
        "SegmentMeIfYouCan: thresholds at 384 quantiles",
        "50 pixels or more predicted, 10 or more labelled",
        "19, 20 anomaly, other ids up to 20 known",
        f"<strong>mIoU {100 * content['sets']['MUAD']['segmentation']['metrics']['mIoU']:.2f}</strong>",
    ):
        assert words in html
