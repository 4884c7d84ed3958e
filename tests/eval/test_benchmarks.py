"""Which sets are found in which folder, and the sentences where none is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import CARDS, BenchmarkSet, count_pixels, find_sets, read_frame
from eval.benchmarks.check import check_benchmark
from shards.errors import UserError


def only(benchmark: str, folder: Path) -> BenchmarkSet:
    (found,) = find_sets(benchmark, folder)
    assert isinstance(found, BenchmarkSet)
    return found


@pytest.mark.parametrize(
    ("benchmark", "names"),
    [
        ("fishyscapes", ["fishyscapes_lostandfound", "fishyscapes_static"]),
        ("roadanomaly", ["RoadAnomaly_jpg"]),
        ("smiyc", ["dataset_AnomalyTrack", "dataset_ObstacleTrack"]),
    ],
)
def test_a_parent_and_a_single_folder(worlds: Path, benchmark: str, names: list[str]) -> None:
    assert [found.name for found in find_sets(benchmark, worlds)] == names
    for name in names:
        found = only(benchmark, worlds / name)
        assert (found.name, found.benchmark, len(found.frames)) == (name, benchmark, 3)
        image, label = read_frame(found.frames[1])
        assert image.shape == (24, 32, 3)
        assert (label == 1).sum() == 36
        assert count_pixels(found).anomaly == 108


@pytest.mark.parametrize("benchmark", ["fishyscapes", "roadanomaly", "smiyc"])
def test_another_benchmark_is_named(worlds: Path, benchmark: str) -> None:
    for folder, other in (
        ("RoadAnomaly_jpg", "roadanomaly"),
        ("dataset_AnomalyTrack", "smiyc"),
        ("fishyscapes_static", "fishyscapes"),
    ):
        if other != benchmark:
            with pytest.raises(UserError, match=rf"not a {benchmark} folder: expected .* It looks like: {other}\."):
                find_sets(benchmark, worlds / folder)


@pytest.mark.parametrize("benchmark", ["fishyscapes", "roadanomaly", "smiyc"])
def test_missing_and_empty_folders(tmp_path: Path, benchmark: str) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        find_sets(benchmark, tmp_path / "none")
    with pytest.raises(UserError, match=rf"not a {benchmark} folder: expected .*; found nothing\."):
        find_sets(benchmark, tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels_masks").mkdir()
    with pytest.raises(UserError, match="holds no frames"):
        find_sets(benchmark, tmp_path)


def test_unknown_benchmark(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no benchmark 'kitti'.*fishyscapes, roadanomaly, smiyc, .*, cityscapes"):
        find_sets("kitti", tmp_path)
    assert all(card.kind == "benchmark" and (card.url or name == "shards") for name, card in CARDS.items())


@pytest.mark.parametrize("gone", ["images/0001.png", "labels_masks/0001.png"])
def test_half_a_pair_is_named(worlds: Path, gone: str) -> None:
    folder = worlds / "fishyscapes_lostandfound"
    (folder / gone).unlink()
    with pytest.raises(UserError, match=r"is incomplete: 1 frame is without an? (image|label): 0001"):
        find_sets("fishyscapes", folder)


def test_pairs_come_from_names_not_from_order(tmp_path: Path, frame: Callable[..., None]) -> None:
    folder = tmp_path / "fs_static"
    for index, name in enumerate(["b", "a10", "a2"]):
        frame(folder / "images" / f"{name}.png", folder / "labels_masks" / f"{name}_labels.png", index)
    found = only("fishyscapes", folder)
    assert [(f.image.stem, f.label.stem) for f in found.frames] == [
        (name, f"{name}_labels") for name in ("a10", "a2", "b")
    ]


def test_two_images_of_one_frame(worlds: Path) -> None:
    images = worlds / "fishyscapes_lostandfound" / "images"
    shutil.copy(images / "0001.png", images / "0001.jpg")
    with pytest.raises(UserError, match="two files for frame 0001"):
        find_sets("fishyscapes", images.parent)


def test_official_lost_and_found(tmp_path: Path, frame: Callable[..., None]) -> None:
    root = tmp_path / "data" / "fishyscapes_laf"
    masks, images = root / "fs_masks" / "x", root / "leftImg8bit" / "test" / "04_Town"
    # Numbers and bases sort differently: only the name can join them.
    bases = ["04_Town_000002", "04_Town_000001", "04_Town_000003"]
    for index, base in enumerate(bases):
        frame(images / f"{base}_leftImg8bit.png", masks / f"{index:04d}_{base}_labels.png", index)
    shutil.copy(images / f"{bases[0]}_leftImg8bit.png", images / "04_Town_000009_leftImg8bit.png")
    found = only("fishyscapes", root)
    assert (found.name, found.layout) == ("fishyscapes_laf", "official")
    assert [f.name for f in found.frames] == [f"{index:04d}_{base}" for index, base in enumerate(bases)]
    assert all(read_frame(f)[0][read_frame(f)[1] == 1].min() > 150 for f in found.frames)
    (images / f"{bases[1]}_leftImg8bit.png").unlink()
    with pytest.raises(UserError, match=r"1 of 3 masks is without the LostAndFound image .*04_Town_000001"):
        find_sets("fishyscapes", root)
    (masks / "0000_x_rgb.npz").write_bytes(b"")
    with pytest.raises(UserError, match=r"Fishyscapes Static\) is incomplete: 3 masks are without their overlay"):
        find_sets("fishyscapes", root)


def test_official_lost_and_found_beside_flat_static(worlds: Path, frame: Callable[..., None]) -> None:
    shutil.rmtree(worlds / "fishyscapes_lostandfound")
    root = worlds / "fishyscapes_laf"
    frame(root / "images" / "a_b_leftImg8bit.png", root / "masks" / "0000_a_b_labels.png")
    assert [(s.name, s.layout) for s in find_sets("fishyscapes", worlds)] == [
        ("fishyscapes_laf", "official"),
        ("fishyscapes_static", "flat"),
    ]


def test_roadanomaly_list_chooses_the_frames(worlds: Path) -> None:
    folder = worlds / "RoadAnomaly_jpg"
    (folder / "frame_list.json").write_text(json.dumps(["frame2.jpg", "frame0.jpg"]))
    assert [f.name for f in only("roadanomaly", folder).frames] == ["frame0", "frame2"]
    (folder / "frame_list.json").write_text(json.dumps(["frame2.jpg", "frame7.jpg"]))
    with pytest.raises(UserError, match="without an image: frame7"):
        find_sets("roadanomaly", folder)
    (folder / "frame_list.json").write_text("{}")
    with pytest.raises(UserError, match="list of frame names"):
        find_sets("roadanomaly", folder)


def test_roadanomaly_half_pairs(worlds: Path) -> None:
    frames = worlds / "RoadAnomaly_jpg" / "frames"
    (frames / "frame1.labels" / "labels_semantic.png").unlink()
    with pytest.raises(UserError, match="without a label: frame1"):
        find_sets("roadanomaly", frames.parent)
    (frames / "frame1.jpg").unlink()
    with pytest.raises(UserError, match="without an image: frame1"):
        find_sets("roadanomaly", frames.parent)


def test_roadanomaly_values(tmp_path: Path, frame: Callable[..., None]) -> None:
    frames = tmp_path / "RoadAnomaly" / "frames"
    labels = [frames / f"f{index}.labels" / "labels_semantic.png" for index in range(2)]
    for index, label in enumerate(labels):
        frame(frames / f"f{index}.jpg", label, index, anomaly=1, void=False)
    processed = only("roadanomaly", tmp_path)
    assert count_pixels(processed).anomaly == 72
    assert "processed mirror" in processed.notes[0]
    # A single 2 anywhere makes it the original, in which 1 is known.
    stored = np.asarray(Image.open(labels[0])).copy()
    stored[0, 0] = 2
    Image.fromarray(stored).save(labels[0])
    original = only("roadanomaly", tmp_path)
    assert count_pixels(original).anomaly == 1
    assert original.notes == ()


def test_flat_roadanomaly(tmp_path: Path, frame: Callable[..., None]) -> None:
    folder = tmp_path / "RoadAnomaly"
    frame(folder / "images" / "0.jpg", folder / "labels_masks" / "0.png", anomaly=2, void=False)
    found = only("roadanomaly", tmp_path)
    assert (found.layout, count_pixels(found).anomaly) == ("flat", 36)


def test_smiyc_leaves_out_test_frames_and_colours(worlds: Path, frame: Callable[..., None]) -> None:
    folder = worlds / "dataset_AnomalyTrack"
    frame(folder / "images" / "airplane0000.jpg", folder / "labels_masks" / "airplane0000_labels_semantic.png")
    shutil.copy(folder / "images" / "airplane0000.jpg", folder / "images" / "bear0001.jpg")
    for label in list((folder / "labels_masks").iterdir()):
        Image.new("RGB", (32, 24)).save(label.with_name(label.stem + "_color.png"))
    found = only("smiyc", folder)
    assert [f.name for f in found.frames] == ["validation0000", "validation0001", "validation0002"]
    assert "2 frames beside the validation frames" in found.notes[0]
    (folder / "images" / "validation0001.jpg").unlink()
    with pytest.raises(UserError, match="without an image: validation0001"):
        find_sets("smiyc", folder)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        # Renumbered, as in copies that are passed around: everything counts.
        (["validation_5", "validation_19", "validation_21", "validation_28"], 4),
        ([f"validation_{n}" for n in range(1, 31)], 30),
        # The original forty.
        ([f"validation_{n}" for n in range(1, 41)], 30),
        # Original names give themselves away by scenes beside them or by further parts.
        (["validation_2", "validation_19", "validation_23", "paving_1"], 1),
        (["validation_2_dog", "validation_19_cat", "validation_190_cat", "validation_23_dog"], 2),
    ],
)
def test_obstacle_track_exclusion(tmp_path: Path, names: list[str], kept: int, frame: Callable[..., None]) -> None:
    folder = tmp_path / "dataset_ObstacleTrack"
    for name in names:
        frame(folder / "images" / f"{name}.webp", folder / "labels_masks" / f"{name}_labels_semantic.png")
    found = only("smiyc", folder)
    assert len(found.frames) == kept
    assert any("19 and 21-29" in note for note in found.notes) == (kept < len(names))


def test_broken_frames_have_a_sentence(worlds: Path) -> None:
    found = only("fishyscapes", worlds / "fishyscapes_lostandfound")
    image, label = found.frames[0].image, found.frames[0].label
    whole, mask = image.read_bytes(), np.asarray(Image.open(label))
    image.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"Frame 0000: the image cannot be read: .*truncated"):
        read_frame(found.frames[0])
    image.write_bytes(whole)
    Image.fromarray(mask[:-1]).save(label)
    with pytest.raises(UserError, match="Frame 0000: the label has 32x23 pixels but the image 32x24"):
        read_frame(found.frames[0])
    Image.fromarray(np.where(mask == 1, 7, mask).astype(np.uint8)).save(label)
    with pytest.raises(UserError, match="holds the values 7; expected 0"):
        read_frame(found.frames[0])
    Image.new("RGB", (32, 24)).save(label)
    with pytest.raises(UserError, match="Frame 0000: the label cannot be read"):
        read_frame(found.frames[0])
    label.unlink()
    with pytest.raises(UserError, match=r"Frame 0000: cannot read .*No such file"):
        read_frame(found.frames[0])


@pytest.mark.parametrize(
    ("value", "sentence"), [(255, "void everywhere.*hidden test set"), (0, "no anomaly pixel"), (1, "no known pixel")]
)
def test_hidden_labels_are_refused(worlds: Path, value: int, sentence: str) -> None:
    found = only("smiyc", worlds / "dataset_AnomalyTrack")
    for frame in found.frames:
        Image.fromarray(np.full((24, 32), value, np.uint8)).save(frame.label)
    with pytest.raises(UserError, match=sentence):
        count_pixels(found)


def test_check_counts_frames_and_pixels(worlds: Path) -> None:
    report = check_benchmark("fishyscapes", worlds, decode=True)
    facts = dict(report.facts)
    assert facts["fishyscapes_static: frames"] == "3, each with its label"
    assert facts["fishyscapes_static: with anomalies"] == "3"
    assert facts["fishyscapes_static: pixels"] == "known 1,812, anomaly 108, ignore 384"
    assert report.problems == ()
    facts = dict(check_benchmark("smiyc", worlds, decode=False).facts)
    assert "not the original ones" in facts["dataset_ObstacleTrack: note"]


def test_check_tells_hidden_and_broken_labels(worlds: Path) -> None:
    for frame in only("smiyc", worlds / "dataset_AnomalyTrack").frames:
        Image.fromarray(np.full((24, 32), 255, np.uint8)).save(frame.label)
    obstacles = only("smiyc", worlds / "dataset_ObstacleTrack")
    obstacles.frames[0].label.write_bytes(b"")
    obstacles.frames[1].image.write_bytes(b"")
    problems = check_benchmark("smiyc", worlds, decode=False).problems
    assert [problem.reason for problem in problems] == ["hidden-labels", "broken-frame"]
    assert "hidden test set" in problems[0].detail
    assert obstacles.frames[0].name in problems[1].detail
    # The image is opened only with `decode`.
    assert len(check_benchmark("smiyc", worlds, decode=True).problems) == 3
    with pytest.raises(UserError, match="not a roadanomaly folder"):
        check_benchmark("roadanomaly", obstacles.frames[0].image.parents[1], decode=False)


@pytest.mark.real
def test_the_real_frames_are_found(shared: Path) -> None:
    root = shared / "data" / "benchmarks"
    found = [s for name in ("fishyscapes", "roadanomaly", "smiyc") for s in find_sets(name, root)]
    assert {s.name: len(s.frames) for s in found} == {
        "fishyscapes_lostandfound": 12,
        "fishyscapes_static": 10,
        "RoadAnomaly_jpg": 20,
        "dataset_AnomalyTrack": 4,
        "dataset_ObstacleTrack": 10,
    }
