"""Files for the hosts: written, read back as score maps, and judged to the same figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import BenchmarkFrame, BenchmarkSet, find_sets, read_frame
from eval.benchmarks.smiyc import find_submission
from eval.judge_scores import judge_scores
from eval.metrics import PixelMetrics
from eval.official import protocol_of
from eval.predictor import Prediction, Predictor
from eval.protocols import PROTOCOLS
from eval.run import evaluate
from eval.scoremaps import find_pairs, read_score_map
from eval.submission import (
    Submission,
    fishyscapes_frames,
    hdf5_of,
    submit_fishyscapes,
    submit_smiyc,
)
from shards.errors import UserError


class Scaled:
    """The toy predictor with its scores taken times something."""

    describe: Mapping[str, Any] = {"network": "toy"}
    score_names: tuple[str, ...] = ("bright",)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, image: np.ndarray, scores: Sequence[str], *, semantic: bool = False) -> Prediction:
        bright = (image.mean(2) * self.factor).astype(np.float32)
        return Prediction({"bright": bright}, np.full(image.shape[:2], 7, np.uint8) if semantic else None)


def figures(folder: Path, benchmark: str, predictor: Predictor, kind: type) -> dict[str, float]:
    """What a set is judged to when nothing is written: scores of that precision, straight into the metrics."""
    (found,) = find_sets(benchmark, folder)
    metrics = PixelMetrics()
    for frame in found.frames:
        assert isinstance(frame, BenchmarkFrame)
        image, label = read_frame(frame)
        metrics.add(predictor.predict(image, ("bright",)).scores["bright"].astype(kind), label)
    return dict(metrics.result().metrics)


def judged(scores: Path, labels: Path, protocol: str) -> dict[str, float]:
    rules = PROTOCOLS[protocol]
    (found,) = judge_scores(find_pairs(scores, labels, rules), rules).as_json()["sets"].values()
    figures = found["scores"]["score"]["metrics"]
    return {name: figures[name] for name in ("AP", "AUROC", "FPR95", "best_F1")}


@pytest.mark.parametrize(
    ("folder", "protocol", "name"),
    [
        ("dataset_AnomalyTrack", "smiyc-anomaly", "AnomalyTrack-all"),
        ("dataset_ObstacleTrack", "smiyc-obstacle", "ObstacleTrack-all"),
    ],
)
@pytest.mark.parametrize("factor", [1.0, -37.3])
def test_smiyc_and_back(worlds: Path, tmp_path: Path, folder: str, protocol: str, name: str, factor: float) -> None:
    out, predictor = tmp_path / "out", Scaled(factor)
    done = submit_smiyc(find_submission(worlds / folder), predictor, "bright", out, method="Mine")
    place = out / "anomaly_p" / "Mine" / name
    assert sorted(done.files) == sorted(place.glob("*.hdf5"))
    assert len(done.files) == 3
    assert done.notes == (f"{name}: 3 frames, where the host expects {110 if 'Anomaly' in name else 442}.",)
    assert judged(place, worlds / folder, protocol) == figures(worlds / folder, "smiyc", predictor, np.float16)
    with h5py.File(done.files[0]) as file:
        assert list(file) == ["value"]
        stored = file["value"]
        assert (stored.dtype, stored.compression, stored.compression_opts) == (np.float16, "gzip", 9)


def test_smiyc_predicts_hidden_frames_of_both_tracks(
    worlds: Path, tmp_path: Path, frame: Callable[..., None]
) -> None:
    track = worlds / "dataset_AnomalyTrack"
    frame(track / "images" / "airplane0000.jpg", track / "labels_masks" / "unused.png")
    done = submit_smiyc(find_submission(worlds), Scaled(1), "bright", tmp_path, method="Mine")
    assert {path.relative_to(tmp_path / "anomaly_p" / "Mine").as_posix() for path in done.files} == {
        "AnomalyTrack-all/airplane0000.hdf5",
        *(f"AnomalyTrack-all/validation000{i}.hdf5" for i in range(3)),
        *(f"ObstacleTrack-all/validation_{19 + i}.hdf5" for i in range(3)),
    }
    # Labels are not needed at all.
    shutil.rmtree(track / "labels_masks")
    assert [len(found.frames) for found in find_submission(track)] == [4]


def test_fishyscapes_and_back(worlds: Path, tmp_path: Path) -> None:
    labels, out, predictor = worlds / "fishyscapes_lostandfound", tmp_path / "out", Scaled(-0.1)
    done = submit_fishyscapes(fishyscapes_frames(labels), predictor, "bright", out)
    assert [path.name for path in done.files] == [
        *(f"000{i}_{kind}.npy" for i in range(3) for kind in ("anomaly", "segmentation")),
        "validation_performance.json",
    ]
    expected = figures(labels, "fishyscapes", predictor, np.float32)
    assert judged(out, labels, "fishyscapes") == expected
    performance = json.loads((out / "validation_performance.json").read_text())
    assert performance == {"ap": expected["AP"], "fpr": expected["FPR95"]}
    assert "3 frames, where the host takes the 100 validation frames" in done.notes[0]
    semantic = np.load(out / "0001_segmentation.npy")
    assert (semantic.dtype, semantic.shape, set(semantic.ravel().tolist())) == (np.uint8, (24, 32), {7})
    assert read_score_map(out / "0001_anomaly.npy").dtype == np.float32


def test_fishyscapes_pictures_without_labels(tmp_path: Path, frame: Callable[..., None]) -> None:
    for index, name in enumerate(("0000_04_Town_000001_rgb", "0001_04_Town_000002_rgb")):
        frame(tmp_path / "input" / f"{name}.png", tmp_path / "unused.png", index)
    done = submit_fishyscapes(fishyscapes_frames(tmp_path / "input"), Scaled(1), "bright", tmp_path / "out")
    assert [path.name for path in done.files][::2] == ["0000_anomaly.npy", "0001_anomaly.npy"]
    assert done.notes == ("validation_performance.json needs the validation frames and their labels.",)
    assert not (tmp_path / "out" / "validation_performance.json").exists()


@pytest.mark.parametrize("host", ["smiyc", "fishyscapes"])
def test_files_in_the_way_stay(worlds: Path, tmp_path: Path, host: str) -> None:
    def submit(factor: float, **options: bool) -> Submission:
        if host == "smiyc":
            tracks = find_submission(worlds / "dataset_AnomalyTrack")
            return submit_smiyc(tracks, Scaled(factor), "bright", tmp_path / "out", method="Mine", **options)
        frames = fishyscapes_frames(worlds / "fishyscapes_static")
        return submit_fishyscapes(frames, Scaled(factor), "bright", tmp_path / "out", **options)

    files = submit(1).files
    before = [path.read_bytes() for path in files]
    with pytest.raises(
        UserError, match=r"exists already \(\d such files\): choose another folder or give --overwrite"
    ):
        submit(2)
    assert [path.read_bytes() for path in files] == before
    submit(2, overwrite=True)
    assert files[0].read_bytes() != before[0]


def test_what_float16_cannot_hold() -> None:
    with pytest.raises(UserError, match="The score map of f reaches 70000, but the host stores float16, up to 65504"):
        hdf5_of(np.array([[0, -70000]], np.float32), "f")
    with pytest.raises(UserError, match="The score map of f holds NaN or infinity"):
        hdf5_of(np.array([[0, np.nan]], np.float32), "f")


def test_a_broken_network_writes_no_file_of_that_frame(worlds: Path, tmp_path: Path) -> None:
    frames = fishyscapes_frames(worlds / "fishyscapes_static")
    with pytest.raises(UserError, match="The score map of 0000 holds NaN or infinity"):
        submit_fishyscapes(frames, Scaled(np.nan), "bright", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["", "../up", "a/b", "two words", ".hidden"])
def test_names_that_are_no_folder(worlds: Path, tmp_path: Path, method: str) -> None:
    with pytest.raises(UserError, match="use letters, digits"):
        submit_smiyc(find_submission(worlds), Scaled(1), "bright", tmp_path / "out", method=method)
    assert not (tmp_path / "out").exists()


def test_unknown_scores(worlds: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot give the score 'msp'\. It gives: bright"):
        submit_smiyc(find_submission(worlds), Scaled(1), "msp", tmp_path, method="Mine")
    with pytest.raises(UserError, match="cannot give the score 'msp'"):
        submit_fishyscapes(fishyscapes_frames(worlds / "fishyscapes_static"), Scaled(1), "msp", tmp_path)


def test_folders_that_are_no_track(worlds: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        find_submission(tmp_path / "none")
    with pytest.raises(UserError, match=r"is not a smiyc folder: .* It looks like: roadanomaly"):
        find_submission(worlds / "RoadAnomaly_jpg")
    with pytest.raises(UserError, match=r"is not a smiyc folder: .* It looks like: fishyscapes"):
        find_submission(worlds / "fishyscapes_static")
    # Pictures of RoadAnomaly are no AnomalyTrack, though its name ends alike.
    (tmp_path / "RoadAnomaly").mkdir()
    shutil.copytree(worlds / "dataset_AnomalyTrack" / "images", tmp_path / "RoadAnomaly" / "images")
    with pytest.raises(UserError, match="is not a smiyc folder"):
        find_submission(tmp_path / "RoadAnomaly")
    (tmp_path / "pictures" / "images").mkdir(parents=True)
    with pytest.raises(UserError, match=r"The name of .*pictures does not tell its track"):
        find_submission(tmp_path / "pictures")
    (tmp_path / "AnomalyTrack" / "images").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no pictures"):
        find_submission(tmp_path / "AnomalyTrack")
    shutil.copytree(worlds / "dataset_AnomalyTrack", worlds / "copy_of_AnomalyTrack")
    with pytest.raises(UserError, match="holds two folders of AnomalyTrack-all"):
        find_submission(worlds)


def test_folders_that_are_no_fishyscapes(worlds: Path, tmp_path: Path, frame: Callable[..., None]) -> None:
    with pytest.raises(UserError, match="holds several sets, whose numbers collide; give --data one of them"):
        fishyscapes_frames(worlds)
    with pytest.raises(UserError, match="is not a fishyscapes folder"):
        fishyscapes_frames(worlds / "RoadAnomaly_jpg")
    folder = tmp_path / "fs_static"
    frame(folder / "images" / "dog.png", folder / "labels_masks" / "dog.png")
    with pytest.raises(UserError, match=r"The frame dog of .* does not begin with the four digits"):
        fishyscapes_frames(folder)
    for name in ("0007_a", "0007_b"):
        frame(tmp_path / "input" / f"{name}.png", tmp_path / "unused.png")
    with pytest.raises(UserError, match="holds two frames of the number 0007"):
        fishyscapes_frames(tmp_path / "input")


def test_broken_pictures_are_named(worlds: Path, tmp_path: Path) -> None:
    picture = worlds / "dataset_AnomalyTrack" / "images" / "validation0001.jpg"
    picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(UserError, match=r"Frame validation0001: the image cannot be read"):
        submit_smiyc(find_submission(picture.parents[1]), Scaled(1), "bright", tmp_path, method="Mine")


def test_two_pictures_of_one_frame_are_refused(worlds: Path, frame: Callable[..., None]) -> None:
    images = worlds / "dataset_AnomalyTrack" / "images"
    for suffix in ("jpg", "png"):
        frame(images / f"cow0000.{suffix}", worlds / "gone.png")
    with pytest.raises(UserError, match=r"two images of frame cow0000: cow0000.jpg and cow0000.png"):
        find_submission(worlds / "dataset_AnomalyTrack")


@pytest.mark.parametrize("name", ["RO21", "ro_21", "my-ro21", "road_obstacles"])
def test_every_name_of_a_track_means_the_same_everywhere(worlds: Path, name: str) -> None:
    folder = worlds / name
    shutil.move(worlds / "dataset_ObstacleTrack", folder)
    (found,) = find_sets("smiyc", folder)
    assert isinstance(found, BenchmarkSet)
    assert (found.part, found.published) == ("ObstacleTrack", 30)
    assert protocol_of(found) == PROTOCOLS["smiyc-obstacle"]
    assert [one.submission for one in find_submission(folder)] == ["ObstacleTrack-all"]
    with pytest.raises(UserError, match="does not look like SegmentMeIfYouCan AnomalyTrack"):
        find_pairs(folder, folder, PROTOCOLS["smiyc-anomaly"])


def test_a_track_that_no_name_tells_has_no_components(worlds: Path, predictor: Predictor) -> None:
    folder = worlds / "frames_of_somebody"
    shutil.move(worlds / "dataset_ObstacleTrack", folder)
    results = evaluate(find_sets("smiyc", folder), predictor, ["bright"]).as_json()
    (entry,) = results["sets"].values()
    found = entry["scores"]["bright"]
    assert "AP_binned" in found["metrics"]
    assert not {"sIoU", "PPV", "F1_mean"} & set(found["metrics"])
    assert "component_convention" not in found
    assert any("does not tell the track" in note for note in entry["notes"])


def test_labels_of_another_size_are_refused_before_anything_is_written(worlds: Path, tmp_path: Path) -> None:
    label = worlds / "fishyscapes_static" / "labels_masks" / "0000.png"
    Image.fromarray(np.zeros((12, 16), np.uint8)).save(label)
    with pytest.raises(UserError, match="Frame 0000: the label has 16x12 pixels but the image 32x24"):
        submit_fishyscapes(fishyscapes_frames(label.parents[1]), Scaled(1), "bright", tmp_path / "out")
    assert not (tmp_path / "out").exists()
