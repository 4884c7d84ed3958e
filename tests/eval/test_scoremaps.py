"""Score maps of every format, their partners, and a sentence for everything that can be wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from eval.protocols import ENCODINGS, PROTOCOLS
from eval.scoremaps import find_pairs, frame_key, read_label_file, read_score_map
from shards.errors import UserError

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
FISHY = PROTOCOLS["fishyscapes"]


def hdf5(path: Path, **datasets: Any) -> None:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name, data=values, compression="gzip" if np.ndim(values) else None)


def write(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez_compressed(path, values)
    elif path.suffix == ".png":
        Image.fromarray(values).save(path)
    else:
        hdf5(path, value=values)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".hdf5", ".h5"])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_every_format_gives_back_what_was_stored(tmp_path: Path, suffix: str, kind: type) -> None:
    found = read_score_map(write(tmp_path / f"a{suffix}", VALUES.astype(kind)))
    assert found.dtype == kind
    np.testing.assert_array_equal(found, VALUES)


def test_16_bits_are_their_own_values(tmp_path: Path) -> None:
    stored = np.array([[0, 1, 256], [32768, 65534, 65535]], np.uint16)
    found = read_score_map(write(tmp_path / "a.png", stored))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, stored)


@pytest.mark.parametrize(
    "values", [VALUES[None], VALUES[None, None], np.asfortranarray(VALUES), VALUES.astype(">f4")]
)
def test_plain_contiguous_native_arrays(tmp_path: Path, values: np.ndarray) -> None:
    found = read_score_map(write(tmp_path / "a.npy", values))
    assert found.dtype == np.float32
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize("name", ["score", "value"])
def test_the_array_of_an_npz_is_chosen_by_name(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "a.npz", **{name: VALUES, "semantic": np.zeros((3, 4), np.uint8)})
    np.testing.assert_array_equal(read_score_map(tmp_path / "a.npz"), VALUES)
    np.savez(tmp_path / "a.npz", one=VALUES, two=VALUES)
    with pytest.raises(UserError, match=r"a\.npz holds one, two; expected one array, or one called score or value"):
        read_score_map(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", score=VALUES, value=VALUES)
    with pytest.raises(UserError, match=r"a\.npz holds score, value"):
        read_score_map(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((3, 4), np.uint8), "holds uint8; expected float16, float32 or float64"),
        (np.zeros((3, 4), np.int64), "holds int64"),
        (np.zeros((3, 4), bool), "holds bool"),
        (np.zeros((3, 4), np.complex64), "holds complex64"),
        (np.zeros(12, np.float32), r"has the shape \(12,\); expected \(height, width\)"),
        (np.zeros((3, 4, 2), np.float32), r"has the shape \(3, 4, 2\)"),
        (np.zeros((3, 4, 1), np.float32), r"has the shape \(3, 4, 1\)"),
        (np.zeros((0, 4), np.float32), r"has the shape \(0, 4\)"),
        (np.where(VALUES == 0, np.nan, VALUES), "holds 1 values that are NaN or infinite"),
        (np.where(VALUES > 4, -np.inf, VALUES), "holds 2 values that are NaN or infinite"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".hdf5"])
def test_wrong_arrays_are_named(tmp_path: Path, values: np.ndarray, sentence: str, suffix: str) -> None:
    with pytest.raises(UserError, match=rf"The score map .*a\{suffix} {sentence}"):
        read_score_map(write(tmp_path / f"a{suffix}", values))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".hdf5", ".png"])
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "text", "folder"])
def test_broken_files_are_named(tmp_path: Path, suffix: str, damage: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 65536, (60, 80)).astype(np.uint16 if suffix == ".png" else np.float32)
    path = write(tmp_path / f"a{suffix}", values)
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "text": b"score\n1.0\n"}[damage])
    with pytest.raises(UserError) as told:
        read_score_map(path)
    why = {
        "gone": "cannot be read: No such file or directory.",
        "folder": "cannot be read: Is a directory.",
    }.get(damage, f"is cut off or no {suffix} file: write or copy it again.")
    if suffix in (".npy", ".npz"):
        why = why.replace("file:", "file of numbers (Python objects are not read):")
    assert str(told.value) == f"The score map {path} {why}"


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"evil": 1}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", np.array([{"evil": 1}], object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(
            UserError, match=rf"{name} is cut off or no \.np[yz] file of numbers \(Python objects are not read\)"
        ):
            read_score_map(tmp_path / name)


def test_one_format_under_the_name_of_another(tmp_path: Path) -> None:
    shutil.copy(write(tmp_path / "a.npy", VALUES), tmp_path / "b.npz")
    shutil.copy(write(tmp_path / "a.npz", VALUES), tmp_path / "b.npy")
    for name in ("b.npz", "b.npy"):
        with pytest.raises(UserError, match=rf"{name} is cut off or no"):
            read_score_map(tmp_path / name)
    with pytest.raises(UserError, match=r"a\.tiff has no known ending; expected one of \.npy"):
        read_score_map(tmp_path / "a.tiff")


def test_hdf5_without_its_dataset(tmp_path: Path) -> None:
    hdf5(tmp_path / "a.hdf5", anomaly=VALUES)
    with pytest.raises(UserError, match=r"a\.hdf5 holds anomaly; expected a dataset called value"):
        read_score_map(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_group("value")
    with pytest.raises(UserError, match="expected a dataset called value"):
        read_score_map(tmp_path / "a.hdf5")
    hdf5(tmp_path / "a.hdf5", value=1.5)
    with pytest.raises(UserError, match=r"has the shape \(\)"):
        read_score_map(tmp_path / "a.hdf5")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((3, 4), np.uint8), "has 8 bits a pixel; expected 16"),
        (np.zeros((3, 4, 3), np.uint8), "should have one channel"),
    ],
)
def test_pictures_are_no_score_maps(tmp_path: Path, values: np.ndarray, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"The score map .*a\.png .*{sentence}"):
        read_score_map(write(tmp_path / "a.png", values))


@pytest.mark.parametrize(
    ("stem", "key"),
    [
        ("validation0000", "validation0000"),
        ("validation0000_labels_semantic", "validation0000"),
        ("0003_04_Town_000001_labels", "0003_04_Town_000001"),
        ("0003_anomaly", "0003"),
        ("04_Town_000001_leftImg8bit_anomaly", "04_Town_000001"),
        ("a_scores", "a"),
        ("_anomaly", "_anomaly"),
    ],
)
def test_names_of_frames(stem: str, key: str) -> None:
    assert frame_key(stem) == key


def label(path: Path, values: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([[0, 1, 255]], np.uint8) if values is None else values).save(path)
    return path


def partners(scores: Path, labels: Path, **options: Any) -> Mapping[str, tuple[str, str]]:
    """Frame -> names of its score map and label."""
    found = find_pairs(scores, labels, PROTOCOLS["eam"], **options)
    return {pair.name: (pair.score.name, pair.label.path.name) for pair in found.pairs}


def test_pairs_come_from_names_in_any_subfolder(tmp_path: Path) -> None:
    for name in ("b", "a10", "a2"):
        label(tmp_path / "labels" / name[0] / f"{name}_labels_semantic.png")
        label(tmp_path / "labels" / name[0] / f"{name}_labels_semantic_color.png")
    for name in ("a2.npy", "deep/er/a10_anomaly.npz", "b.hdf5"):
        write(tmp_path / "scores" / name, VALUES)
    write(tmp_path / "scores" / "b_segmentation.npy", VALUES)
    (tmp_path / "scores" / "notes.txt").write_text("a2")
    write(tmp_path / "scores" / ".hidden.npy", VALUES)
    assert partners(tmp_path / "scores", tmp_path / "labels") == {
        "a10": ("a10_anomaly.npz", "a10_labels_semantic.png"),
        "a2": ("a2.npy", "a2_labels_semantic.png"),
        "b": ("b.hdf5", "b_labels_semantic.png"),
    }


@pytest.mark.parametrize(
    "name", ["0007_anomaly", "04_Town_000001", "04_Town_000001_leftImg8bit", "0007_04_Town_000001"]
)
def test_either_half_of_a_fishyscapes_name_will_do(tmp_path: Path, name: str) -> None:
    label(tmp_path / "fs" / "0007_04_Town_000001_labels.png")
    label(tmp_path / "fs" / "0008_04_Town_000007_labels.png")
    write(tmp_path / "scores" / f"{name}.npy", VALUES)
    write(tmp_path / "scores" / "0008_anomaly.npy", VALUES)
    found = partners(tmp_path / "scores", tmp_path / "fs")
    assert found["0007_04_Town_000001"] == (f"{name}.npy", "0007_04_Town_000001_labels.png")
    # And the other way round: flat labels know the number only.
    shutil.rmtree(tmp_path / "fs")
    label(tmp_path / "fs" / "0007.png")
    shutil.rmtree(tmp_path / "scores")
    write(tmp_path / "scores" / "0007_04_Town_000001_anomaly.npy", VALUES)
    assert list(partners(tmp_path / "scores", tmp_path / "fs")) == ["0007"]


def test_halves_that_disagree_make_no_pair(tmp_path: Path) -> None:
    label(tmp_path / "labels" / "0007_town_labels.png")
    write(tmp_path / "scores" / "0007_village.npy", VALUES)
    with pytest.raises(UserError, match=r"1 score map of .* without a label in .*the first .*0007_village\.npy"):
        partners(tmp_path / "scores", tmp_path / "labels")
    label(tmp_path / "labels" / "0007_village2_labels.png")
    write(tmp_path / "scores" / "0007_village.npy", VALUES).rename(tmp_path / "scores" / "0007.npy")
    with pytest.raises(UserError, match=r"0007\.npy fits two labels: .*0007_town.*0007_village2"):
        partners(tmp_path / "scores", tmp_path / "labels")


def test_missing_partners_are_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        label(tmp_path / "labels" / f"{name}.png")
    write(tmp_path / "scores" / "b.npy", VALUES)
    with pytest.raises(UserError, match=r"2 of 3 labels have no score map in .*the first .*a\.png"):
        partners(tmp_path / "scores", tmp_path / "labels")
    found = find_pairs(tmp_path / "scores", tmp_path / "labels", FISHY, part=True)
    assert ([pair.name for pair in found.pairs], found.missing) == (["b"], ("a", "c"))
    for name in ("a", "c", "d"):
        write(tmp_path / "scores" / f"{name}.npy", VALUES)
    with pytest.raises(UserError, match=r"1 score map of .* the first .*d\.npy: .*--allow-extra"):
        partners(tmp_path / "scores", tmp_path / "labels")
    found = find_pairs(tmp_path / "scores", tmp_path / "labels", FISHY, extra=True)
    assert len(found.pairs) == 3
    assert found.notes == ("Passed over: 1 score map without a public label.",)


def test_nothing_in_common(tmp_path: Path) -> None:
    label(tmp_path / "labels" / "a.png")
    write(tmp_path / "scores" / "x.npy", VALUES)
    with pytest.raises(UserError, match="their names have nothing in common"):
        partners(tmp_path / "scores", tmp_path / "labels", extra=True, part=True)


def test_duplicate_names_are_named(tmp_path: Path) -> None:
    label(tmp_path / "labels" / "a.png")
    for method in ("one", "two"):
        write(tmp_path / "scores" / method / "a.hdf5", VALUES)
    with pytest.raises(UserError, match=r"Two score maps belong to the frame a: .*one/a\.hdf5 and .*two/a\.hdf5"):
        partners(tmp_path / "scores", tmp_path / "labels")
    label(tmp_path / "labels" / "a_labels.png")
    with pytest.raises(UserError, match=r"two labels of the frame a: .*a\.png and .*a_labels\.png"):
        partners(tmp_path / "scores" / "one", tmp_path / "labels")


def test_an_ending_chooses_among_several_scores(tmp_path: Path) -> None:
    label(tmp_path / "labels" / "a.png")
    for score in ("energy", "msp"):
        write(tmp_path / "maps" / f"a_{score}.npy", VALUES)
        Image.new("RGB", (4, 3)).save(tmp_path / "maps" / f"a_{score}.png")
    assert partners(tmp_path / "maps", tmp_path / "labels", ending="_energy.npy") == {"a": ("a_energy.npy", "a.png")}
    with pytest.raises(UserError, match=r"Two score maps belong to the frame a: .*choose files by --ending"):
        partners(tmp_path / "maps", tmp_path / "labels", ending="_msp")
    with pytest.raises(UserError, match=r"holds no score maps that end in _void\.npy"):
        partners(tmp_path / "maps", tmp_path / "labels", ending="_void.npy")


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    full, empty, none = tmp_path / "full", tmp_path / "empty", tmp_path / "none"
    label(full / "a.png")
    empty.mkdir()
    for scores, labels, sentence in (
        (full, none, r"There is no folder .*none: give --labels"),
        (none, full, r"There is no folder .*none: give --scores"),
        (full, empty, r"empty holds no labels: expected PNG files"),
        (empty, full, r"empty holds no score maps \(\.npy"),
    ):
        with pytest.raises(UserError, match=sentence):
            partners(scores, labels)


def test_the_name_of_the_set(tmp_path: Path) -> None:
    label(tmp_path / "Town" / "labels_masks" / "a.png")
    write(tmp_path / "scores" / "a.npy", VALUES)
    for folder in (tmp_path / "Town" / "labels_masks", tmp_path / "Town"):
        found = find_pairs(tmp_path / "scores", folder, FISHY)
        assert (found.name, found.benchmark, found.layout) == ("Town", None, "files")
    assert find_pairs(tmp_path / "scores", tmp_path / "Town", FISHY, name="x").name == "x"


def score_every(world: Path, scores: Path) -> None:
    """A score map for every picture of a set."""
    for image in world.rglob("*"):
        if image.suffix in (".jpg", ".webp") or image.parent.name == "images":
            write(scores / f"{image.stem}.npy", np.zeros((24, 32), np.float32))


@pytest.mark.parametrize(
    ("folder", "protocol", "below"),
    [
        ("fishyscapes_lostandfound", "fishyscapes", "labels_masks"),
        ("RoadAnomaly_jpg", "roadanomaly", "frames"),
        ("dataset_AnomalyTrack", "smiyc-anomaly", "labels_masks"),
        ("dataset_ObstacleTrack", "smiyc-obstacle", "labels_masks"),
    ],
)
def test_a_whole_set_is_recognised(worlds: Path, tmp_path: Path, folder: str, protocol: str, below: str) -> None:
    score_every(worlds / folder, tmp_path / "scores")
    for labels in (worlds / folder, worlds / folder / below):
        found = find_pairs(tmp_path / "scores", labels, PROTOCOLS[protocol])
        assert (found.name, found.benchmark, len(found.pairs)) == (folder, protocol.split("-")[0], 3)
        assert all((pair.label.read() == 1).sum() == 36 for pair in found.pairs)


def test_hidden_test_frames_are_passed_over(worlds: Path, tmp_path: Path, frame: Callable[..., None]) -> None:
    track = worlds / "dataset_AnomalyTrack"
    frame(track / "images" / "airplane0000.jpg", track / "labels_masks" / "airplane0000_labels_semantic.png")
    score_every(track, tmp_path / "scores")
    found = find_pairs(tmp_path / "scores", track, PROTOCOLS["smiyc-anomaly"])
    assert [pair.name for pair in found.pairs] == ["validation0000", "validation0001", "validation0002"]
    assert "Passed over: 1 score map without a public label." in found.notes


def test_the_wrong_benchmark_is_told(worlds: Path, tmp_path: Path) -> None:
    write(tmp_path / "scores" / "a.npy", VALUES)
    for folder, protocol, sentence in (
        ("RoadAnomaly_jpg", "fishyscapes", "looks like roadanomaly, but the protocol fishyscapes is for fishyscapes"),
        ("fishyscapes_static", "smiyc-anomaly", "looks like fishyscapes"),
        ("dataset_ObstacleTrack", "smiyc-anomaly", "does not look like SegmentMeIfYouCan AnomalyTrack"),
        ("dataset_AnomalyTrack", "smiyc-obstacle", "does not look like SegmentMeIfYouCan ObstacleTrack"),
    ):
        with pytest.raises(UserError, match=sentence):
            find_pairs(tmp_path / "scores", worlds / folder, PROTOCOLS[protocol])
    with pytest.raises(UserError, match=r"holds whole sets; give --labels one of them: .*RoadAnomaly_jpg"):
        find_pairs(tmp_path / "scores", worlds, PROTOCOLS["eam"])


def lost(root: Path, base: str, *values: int) -> None:
    """A frame of LostAndFound's test split."""
    for tree, kind, shape in (("leftImg8bit", "leftImg8bit", (2, 4, 3)), ("gtCoarse", "gtCoarse_labelIds", (2, 4))):
        label(root / tree / "test" / base.rsplit("_", 2)[0] / f"{base}_{kind}.png", np.zeros(shape, np.uint8))
    path = root / "gtCoarse" / "test" / base.rsplit("_", 2)[0] / f"{base}_gtCoarse_labelIds.png"
    label(path, np.array([values] * 2, np.uint8))


def test_options_of_the_benchmark(tmp_path: Path) -> None:
    root, protocol = tmp_path / "LostAndFound", PROTOCOLS["lostandfound"]
    lost(root, "02_Street_000000_000010", 0, 1, 2, 43)
    lost(root, "02_Street_000001_000010", 0, 0, 0, 0)
    lost(root, "15_Rechbergstr_Deckenpfronn_000000_000010", 0, 1, 1, 31)
    for base in ("02_Street_000000_000010", "15_Rechbergstr_Deckenpfronn_000000_000010"):
        write(tmp_path / "scores" / f"{base}.npy", np.zeros((2, 4), np.float32))
    found = find_pairs(tmp_path / "scores", root, protocol, overrides=["split=test-valid"])
    assert [pair.name[:2] for pair in found.pairs] == ["02", "15"]
    assert found.options == {"split": "test-valid"}
    assert find_pairs(tmp_path / "scores", root, protocol, extra=True).options == {}
    listed = tmp_path / "mine.txt"
    listed.write_text("02_Street_000000_000010\n02_Street_000001_000010\n")
    found = find_pairs(tmp_path / "scores", root, protocol, extra=True, overrides=[f"exclude={listed}"])
    assert [pair.name[:2] for pair in found.pairs] == ["15"]
    with pytest.raises(UserError, match="split"):
        find_pairs(tmp_path / "scores", root, protocol, overrides=["split=val"])
    with pytest.raises(UserError, match="--encoding is for bare label files, --set for a benchmark's own set"):
        find_pairs(tmp_path / "scores", root, protocol, encoding=ENCODINGS["lostandfound"], overrides=["split=test"])


def test_options_want_a_benchmark(tmp_path: Path) -> None:
    label(tmp_path / "town" / "a.png")
    write(tmp_path / "scores" / "a.npy", VALUES)
    with pytest.raises(
        UserError, match=r"--set ignore=\[4\] is an option of a benchmark, but .*town is recognised as"
    ):
        partners(tmp_path / "scores", tmp_path / "town", overrides=["ignore=[4]"])


def test_overlays_of_fishyscapes_static_with_their_images(tmp_path: Path) -> None:
    base, city = "frankfurt_000000_000001", tmp_path / "elsewhere"
    label(city / "leftImg8bit" / "val" / "frankfurt" / f"{base}_leftImg8bit.png", np.zeros((24, 32, 3), np.uint8))
    masks = tmp_path / "fs_val_v3"
    label(masks / f"0000_{base}_labels.png", np.zeros((24, 32), np.uint8))
    np.savez(masks / f"0000_{base}_rgb.npz", rgb=np.ones((24, 32, 3), np.int16))
    write(tmp_path / "scores" / "0000_anomaly.npy", np.zeros((24, 32), np.float32))
    assert find_pairs(tmp_path / "scores", masks, FISHY).layout == "files"
    found = find_pairs(tmp_path / "scores", masks, FISHY, overrides=[f"cityscapes={city}"])
    (pair,) = found.pairs
    assert (found.benchmark, found.part) == ("fishyscapes", "Static")
    assert pair.label.picture is not None
    assert (pair.label.picture() == 1).all()


def test_bare_roadanomaly_labels_tell_by_a_two(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "scores" / f"{name}.npy", VALUES)
        label(tmp_path / "road" / f"{name}.png", np.array([[0, 1]], np.uint8))
    found = find_pairs(tmp_path / "scores", tmp_path / "road", PROTOCOLS["roadanomaly"])
    assert found.pairs[0].label.read().tolist() == [[0, 1]]
    assert "processed mirror" in found.notes[0]
    label(tmp_path / "road" / "b.png", np.array([[0, 2]], np.uint8))
    found = find_pairs(tmp_path / "scores", tmp_path / "road", PROTOCOLS["roadanomaly"])
    assert [pair.label.read().tolist() for pair in found.pairs] == [[[0, 0]], [[0, 1]]]
    assert found.notes == ()


def test_label_ids_win_over_train_ids(tmp_path: Path) -> None:
    for kind in ("labelIds", "labelTrainIds", "color", "instanceIds"):
        label(tmp_path / "gtCoarse" / f"01_x_gtCoarse_{kind}.png", np.array([[0, 1, 2]], np.uint8))
    write(tmp_path / "scores" / "01_x_leftImg8bit.npy", VALUES)
    found = find_pairs(tmp_path / "scores", tmp_path / "gtCoarse", PROTOCOLS["lostandfound"])
    assert found.pairs[0].label.path.name == "01_x_gtCoarse_labelIds.png"
    assert found.pairs[0].label.read().tolist() == [[255, 0, 1]]


def test_broken_labels_are_named(tmp_path: Path) -> None:
    plain = ENCODINGS["0-1-255"]
    path = label(tmp_path / "a.png", np.array([[0, 1, 7, 8]], np.uint8))
    with pytest.raises(
        UserError,
        match=r"The label .*a\.png holds the values 7, 8; expected 0.*--encoding 2-is-anomaly or lostandfound\.$",
    ):
        read_label_file(path, plain)
    label(path, np.zeros((2, 2), np.uint16))
    with pytest.raises(UserError, match=r"The label .*a\.png holds 16 bits a pixel"):
        read_label_file(path, plain)
    label(path, np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UserError, match=r"The label .*a\.png cannot be read: .*one channel"):
        read_label_file(path, plain)
    path.unlink()
    with pytest.raises(UserError, match=r"The label .*a\.png cannot be read: No such file"):
        read_label_file(path, plain)
