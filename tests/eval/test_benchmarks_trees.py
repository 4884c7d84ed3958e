"""LostAndFound, StreetHazards, ACDC-POC, MUAD and BDD-Anomaly: label values against tables made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import BenchmarkFrame, BenchmarkSet, find_sets, read_frame, read_semantic
from eval.benchmarks.encoding import CITYSCAPES_NAMES, PLAIN, TWO_AND_UP
from eval.benchmarks.sets import read_label
from eval.benchmarks.streethazards import CLASSES
from shards.errors import UserError
from shards.labels import train_ids

Make = Callable[..., None]


def save(path: Path, *values: int, size: tuple[int, int] | None = None) -> None:
    """A label whose row holds the values; nothing else of it matters."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label = np.array([values], np.uint8)
    Image.fromarray(label if size is None else np.resize(label, size)).save(path)


def picture(path: Path, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((1, width, 3), 90, np.uint8)).save(path)


def one(benchmark: str, folder: Path, *words: str) -> BenchmarkSet:
    (found,) = find_sets(benchmark, folder, words)
    assert isinstance(found, BenchmarkSet)
    return found


def labels(found: BenchmarkSet) -> dict[str, list[int]]:
    return {frame.name: read_frame(frame)[1][0].tolist() for frame in found.frames}


# LostAndFound


def laf(root: Path, base: str, *values: int, split: str = "test") -> None:
    sequence = base.rsplit("_", 2)[0]
    picture(root / "leftImg8bit" / split / sequence / f"{base}_leftImg8bit.png", len(values))
    save(root / "gtCoarse" / split / sequence / f"{base}_gtCoarse_labelIds.png", *values)
    save(root / "gtCoarse" / split / sequence / f"{base}_gtCoarse_labelTrainIds.png", *values)


@pytest.fixture
def lost(tmp_path: Path) -> Path:
    root = tmp_path / "LostAndFound"
    laf(root, "02_Street_000000_000010", 0, 1, 2, 43, 255)
    laf(root, "02_Street_000001_000010", 0, 0, 0, 0, 0)
    laf(root, "15_Rechbergstr_Deckenpfronn_000000_000010", 0, 1, 1, 31, 0)
    laf(root, "01_Hanns_Klemm_Str_45_000006_000010", 0, 1, 1, 31, 0, split="train")
    return root


def test_lost_and_found_values_and_official_lists(lost: Path) -> None:
    found = one("lostandfound", lost)
    assert (found.name, found.layout, found.published) == ("LostAndFound", "official", 1043)
    assert labels(found) == {"02_Street_000000_000010": [255, 0, 1, 1, 255]}
    assert "3 of the 1203 frames of test are there; 1 of them is left out" in found.notes[1]
    assert "1 frame is left out for children or bicycles" in found.notes[2]
    for split, count, published in (
        ("test-valid", 2, 1186),
        ("test", 3, 1203),
        ("train-valid", 1, 1030),
        ("train", 1, 1036),
    ):
        found = one("lostandfound", lost.parent, f"split={split}")
        assert (len(found.frames), found.published) == (count, published)
    with pytest.raises(UserError, match="Field 'split'"):
        find_sets("lostandfound", lost, ["split=val"])


@pytest.mark.parametrize(
    ("split", "whole", "valid", "gone"),
    [
        ("test", 1203, 1186, (17, 37, 55, 72, 91, 110, 129, 153, 174, 197, 218, 353, 490, 618, 686, 792, 793)),
        ("train", 1036, 1030, (44, 67, 88, 109, 131, 614)),
    ],
)
def test_lost_and_found_whole_splits_follow_the_list_of_places(
    tmp_path: Path, split: str, whole: int, valid: int, gone: tuple[int, ...]
) -> None:
    root = tmp_path / "LostAndFound"
    (root / "leftImg8bit" / split / "02_S").mkdir(parents=True)
    masks = root / "gtCoarse" / split / "02_S"
    masks.mkdir(parents=True)
    # Names only, but for the labels at those places: no other one is read.
    for k in range(whole):
        (root / "leftImg8bit" / split / "02_S" / f"02_S_{k:06d}_000000_leftImg8bit.png").touch()
        (masks / f"02_S_{k:06d}_000000_gtCoarse_labelIds.png").touch()
    for k in gone:
        save(masks / f"02_S_{k:06d}_000000_gtCoarse_labelIds.png", 0, 0)
    found = one("lostandfound", root, f"split={split}-valid")
    names = {frame.name for frame in found.frames}
    assert len(names) == found.published == valid
    assert not names & {f"02_S_{place:06d}_000000" for place in gone}
    assert f"02_S_{gone[0] - 1:06d}_000000" in names
    # In a copy whose names sort otherwise, another frame lies there.
    save(masks / f"02_S_{gone[-1]:06d}_000000_gtCoarse_labelIds.png", 0, 1)
    with pytest.raises(UserError, match=rf"^1 of the {len(gone)} frames .* label, the first 02_S_{gone[-1]:06d}_"):
        find_sets("lostandfound", root, [f"split={split}-valid"])
    (masks / f"02_S_{gone[0]:06d}_000000_gtCoarse_labelIds.png").write_bytes(b"")
    with pytest.raises(UserError, match=rf"02_S_{gone[0]:06d}_000000"):
        find_sets("lostandfound", root, [f"split={split}-valid"])
    assert len(one("lostandfound", root, f"split={split}").frames) == whole


def test_lost_and_found_own_list(lost: Path, tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text("# frames without a label\n02_Street_000001_000010\n\n")
    found = one("lostandfound", lost, f"exclude={listed}")
    assert [frame.name for frame in found.frames] == [
        "02_Street_000000_000010",
        "15_Rechbergstr_Deckenpfronn_000000_000010",
    ]
    assert found.published is None
    assert "1 frame is left out by mine.txt" in found.notes[1]
    listed.write_text('["02_Street_000001_000010_leftImg8bit.png"]')
    assert one("lostandfound", lost, f"exclude={listed}").frames == found.frames
    listed.write_text("02_Street_999999_000010")
    with pytest.raises(
        UserError, match="names 02_Street_999999_000010, which is no frame of this split; write names"
    ):
        find_sets("lostandfound", lost, [f"exclude={listed}"])
    listed.write_text("[1,")
    with pytest.raises(UserError, match="is not JSON"):
        find_sets("lostandfound", lost, [f"exclude={listed}"])
    with pytest.raises(UserError, match="Cannot read the list of frames"):
        find_sets("lostandfound", lost, [f"exclude={tmp_path / 'none'}"])


def test_lost_and_found_sentences(lost: Path) -> None:
    label = lost / "gtCoarse" / "test" / "02_Street" / "02_Street_000000_000010_gtCoarse_labelIds.png"
    save(label, 0, 1, 44, 44, 100)
    with pytest.raises(UserError, match=r"holds the values 44, 100; expected 1 free road, 2 to 43 anomaly"):
        read_frame(one("lostandfound", lost).frames[0])
    save(label, 1, size=(1, 4))
    with pytest.raises(UserError, match="the label has 4x1 pixels but the image 5x1"):
        read_frame(one("lostandfound", lost).frames[0])
    label.unlink()
    with pytest.raises(UserError, match="1 frame is without a label: 02_Street_000000_000010"):
        find_sets("lostandfound", lost)
    laf(lost, "02_Street_000000_000010", 1, 2)
    copied = lost / "leftImg8bit" / "test" / "copy" / "02_Street_000000_000010_leftImg8bit.png"
    picture(copied, 2)
    with pytest.raises(UserError, match="two files for frame 02_Street_000000_000010: leftImg8bit"):
        find_sets("lostandfound", lost)
    copied.unlink()
    for path in (lost / "gtCoarse" / "test").rglob("*_labelIds.png"):
        path.unlink()
    with pytest.raises(UserError, match=r"holds no \*_gtCoarse_labelIds.png.*labelTrainIds"):
        find_sets("lostandfound", lost)
    for split in ("leftImg8bit/train", "gtCoarse/train"):
        (lost / split).rename(lost / f"{split}_gone")
    with pytest.raises(UserError, match="no frames of the split 'train': there are test, train_gone"):
        find_sets("lostandfound", lost, ["split=train"])


def test_lost_and_found_with_nothing_left(tmp_path: Path) -> None:
    root = tmp_path / "LostAndFound"
    laf(root, "02_Street_000001_000010", 0, 0)
    with pytest.raises(UserError, match=r"No frame of .* is left: 1 of the 1203 frames"):
        find_sets("lostandfound", root)


# StreetHazards


@pytest.fixture
def hazards(tmp_path: Path) -> Path:
    root = tmp_path / "StreetHazards"
    for town, name, values in (("t5", "300", range(15)), ("t6", "300", (1, 14, 255)), ("t6", "301", (8, 9, 4))):
        picture(root / "test" / "images" / "test" / town / f"{name}.png", len(values))
        save(root / "test" / "annotations" / "test" / town / f"{name}.png", *values)
    return root


def test_streethazards_counts_from_one(hazards: Path) -> None:
    found = one("streethazards", hazards.parent)
    assert (found.name, found.layout, found.published) == ("StreetHazards", "official", 1500)
    assert labels(found) == {"t5_300": [255] + [0] * 13 + [1], "t6_300": [0, 1, 255], "t6_301": [0, 0, 0]}
    assert [frame.group for frame in found.frames if isinstance(frame, BenchmarkFrame)] == ["t5", "t6", "t6"]
    semantic = read_semantic(found.frames[0])
    assert semantic is not None
    assert semantic[0].tolist() == [255, *range(13), 255]
    assert CLASSES[7] == "road"  # stored as 8


def test_streethazards_options(hazards: Path) -> None:
    assert list(labels(one("streethazards", hazards / "test", 'towns=["t6"]'))) == ["t6_300", "t6_301"]
    kept = one("streethazards", hazards, "without_anomaly=skip")
    assert list(labels(kept)) == ["t5_300", "t6_300"]
    assert "1 frame without an anomaly is left out." in kept.notes
    assert labels(one("streethazards", hazards, "ignore=[4]"))["t6_301"] == [0, 0, 255]
    with pytest.raises(UserError, match="has no town 't7': there are t5, t6"):
        find_sets("streethazards", hazards, ['towns=["t7"]'])
    with pytest.raises(UserError, match="Field 'ignore', value 1"):
        find_sets("streethazards", hazards, ["ignore=[14]"])
    with pytest.raises(UserError, match=r"no field 'town'. Did you mean 'towns'"):
        find_sets("streethazards", hazards, ["town=t5"])


def test_streethazards_sentences(hazards: Path) -> None:
    truth = hazards / "test" / "annotations" / "test"
    save(truth / "t6" / "301.png", 8, 9, 15)
    with pytest.raises(UserError, match=r"Frame t6_301: .* holds the values 15; expected 1 to 13 known, 14 anomaly"):
        read_frame(one("streethazards", hazards).frames[2])
    (hazards / "test" / "images" / "test" / "t5" / "300.png").unlink()
    with pytest.raises(UserError, match="1 frame is without an image: t5_300"):
        find_sets("streethazards", hazards)


# ACDC-POC


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    root = tmp_path / "acdc_ood"
    for condition, values in (("night", (0, 1, 7, 33, 34, 100, 124, 255)), ("fog", (24, 101))):
        place = Path(condition) / "val" / "GOPR0351" / f"GOPR0351_{condition}_000001_rgb_anon.png"
        picture(root / "rgb_anon_trainvaltest" / "rgb_anon" / place, len(values))
        save(root / "gt_trainval" / "gt" / place, *values)
    return root


def test_acdc_poc_values_in_both_readings(acdc: Path) -> None:
    night = "GOPR0351_night_000001"
    found = one("acdc-poc", acdc.parent)
    assert (found.name, found.layout, found.published) == ("acdc_ood", "official", 200)
    assert labels(found) == {"GOPR0351_fog_000001": [0, 1], night: [255, 0, 0, 0, 1, 1, 1, 255]}
    assert [frame.group for frame in found.frames if isinstance(frame, BenchmarkFrame)] == ["fog", "night"]
    evaluated = one("acdc-poc", acdc, "known=evaluated", 'conditions=["night"]')
    assert labels(evaluated) == {night: [255, 255, 0, 0, 255, 1, 1, 255]}
    frame = found.frames[1]
    assert isinstance(frame, BenchmarkFrame)
    assert frame.encoding.classes == CITYSCAPES_NAMES
    stored = np.array([[0, 1, 7, 33, 255, 255, 255, 255]], np.uint8)
    np.testing.assert_array_equal(read_semantic(frame), train_ids(stored))


def test_acdc_poc_pairs_and_sentences(acdc: Path) -> None:
    truth = acdc / "gt_trainval" / "gt"
    label = next(truth.rglob("*night*_rgb_anon.png"))
    # ACDC itself ends its labels in another way.
    label.rename(label.with_name("GOPR0351_night_000001_gt_labelIds.png"))
    assert len(one("acdc-poc", acdc).frames) == 2
    with pytest.raises(UserError, match="has no frames in 'snow': there are fog, night"):
        find_sets("acdc-poc", acdc, ['conditions=["snow"]'])
    next(truth.rglob("*fog*.png")).unlink()
    with pytest.raises(UserError, match="1 frame is without a label: GOPR0351_fog_000001"):
        find_sets("acdc-poc", acdc)
    empty = acdc.parent / "empty_acdc"
    for tree in ("rgb_anon", "gt"):
        (empty / tree).mkdir(parents=True)
    with pytest.raises(UserError, match="has no validation frames: there are none"):
        find_sets("acdc-poc", empty)


# MUAD


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    root = tmp_path / "MUAD_challenge"
    for part, values in (("test_OOD", (0, 12, 18, 19, 20, 21, 255)), ("test_normal", (0, 1))):
        place = root / "test_sets" / part
        picture(place / "leftImg8bit" / "000001_leftImg8bit.png", len(values))
        save(place / "leftLabel" / "000001_leftLabel.png", *values)
    return root


def test_muad_ids_in_both_conventions(rendered: Path) -> None:
    for folder in (rendered.parent, rendered, rendered / "test_sets", rendered / "test_sets" / "test_OOD"):
        found = one("muad", folder)
        assert labels(found) == {"000001": [0, 0, 0, 1, 1, 255, 255]}
    assert (found.name, one("muad", rendered).name, found.published) == ("muad", "MUAD_challenge", 240)
    wide = one("muad", rendered, "anomaly=[12,16,17,18,19,20]")
    assert labels(wide) == {"000001": [0, 1, 1, 1, 1, 255, 255]}
    semantic = read_semantic(wide.frames[0])
    assert semantic is not None
    assert semantic[0].tolist() == [0, 255, 255, 255, 255, 255, 255]
    for wrong in ("anomaly=[]", "anomaly=[21]"):
        with pytest.raises(UserError, match="Field 'anomaly"):
            find_sets("muad", rendered, [wrong])


def test_muad_without_anomalies_and_with_strange_ids(rendered: Path) -> None:
    place = rendered / "test_sets" / "test_OOD"
    save(place / "leftLabel" / "000001_leftLabel.png", 0, 22, 23, 24, 25, 26, 27)
    with pytest.raises(UserError, match=r"holds the values 22, 23, 24, 25, 26 and 1 more; expected 19, 20 anomaly"):
        read_frame(one("muad", rendered).frames[0])
    place.rename(rendered / "test_sets" / "val")
    with pytest.raises(UserError, match="not a muad folder: expected a folder named after out-of-distribution"):
        find_sets("muad", rendered)


# BDD-Anomaly


@pytest.mark.parametrize(
    ("images", "truth", "ending"),
    [("seg/images", "seg/labels", "_train_id"), ("images/10k", "labels/sem_seg/masks", "")],
)
def test_bdd_anomaly_chooses_its_frames(tmp_path: Path, images: str, truth: str, ending: str) -> None:
    root = tmp_path / "bdd100k"
    for split, name, values in (("train", "a", (0, 16, 255)), ("train", "b", (0, 1, 2)), ("val", "c", (13, 18, 13))):
        picture(root / images / split / f"{name}.jpg", 3)
        save(root / truth / split / f"{name}{ending}.png", *values)
    found = one("bdd-anomaly", root)
    assert (found.name, found.published) == ("bdd100k", 810)
    assert labels(found) == {"a": [0, 1, 255], "c": [0, 1, 0]}
    assert found.notes == ("1 of 3 frames without an anomaly is left out.",)
    first = one("bdd-anomaly", root, "anomaly=[16,17]")
    assert (labels(first), first.published) == ({"a": [0, 1, 255]}, None)
    with pytest.raises(UserError, match=r"Of 1 frame in .* none shows an anomaly: 16, 17 anomaly"):
        find_sets("bdd-anomaly", root, ["anomaly=[16,17]", 'splits=["val"]'])
    save(root / truth / "val" / f"c{ending}.png", 13, 19, 13)
    with pytest.raises(UserError, match=r"Frame c: .* holds the values 19; expected 16, 17, 18 anomaly"):
        find_sets("bdd-anomaly", root)


# All of them


@pytest.mark.parametrize(
    ("benchmark", "name", "native", "expected"),
    [
        ("lostandfound", "laf_test", (0, 1, 9), [255, 0, 1]),
        ("streethazards", "streethazards_flat", (1, 13, 14), [0, 0, 1]),
        ("acdc-poc", "acdc_poc", (0, 7, 100), [255, 0, 1]),
        ("muad", "muad_ood", (18, 19, 255), [0, 1, 255]),
        ("bdd-anomaly", "bdd_anomaly", (0, 17, 255), [0, 1, 255]),
    ],
)
def test_flat_copies_with_their_own_values_and_with_ours(
    tmp_path: Path, benchmark: str, name: str, native: tuple[int, ...], expected: list[int]
) -> None:
    folder = tmp_path / name
    for key, values in (("a", native), ("b", native)):
        picture(folder / "images" / f"{key}.png", 3)
        save(folder / "labels_masks" / f"{key}.png", *values)
    for place in (folder, tmp_path):
        found = one(benchmark, place)
        assert (found.name, found.layout) == (name, "flat")
        assert labels(found) == {"a": expected, "b": expected}
    for key in "ab":
        save(folder / "labels_masks" / f"{key}.png", 0, 1, 255)
    processed = one(benchmark, folder)
    assert labels(processed) == {"a": [0, 1, 255], "b": [0, 1, 255]}
    assert "No label holds anything but 0, 1 and 255" in processed.notes[0]
    save(folder / "labels_masks" / "c.png", 0, 1, 255)
    with pytest.raises(UserError, match="1 frame is without an image: c"):
        find_sets(benchmark, folder)


def test_lost_and_found_leaves_other_flat_folders_alone(tmp_path: Path) -> None:
    for name in ("dataset_AnomalyTrack", "fishyscapes_lostandfound"):
        picture(tmp_path / name / "images" / "a.png", 3)
        save(tmp_path / name / "labels_masks" / "a.png", 0, 1, 255)
        with pytest.raises(UserError, match="not a lostandfound folder"):
            find_sets("lostandfound", tmp_path / name)
    with pytest.raises(UserError, match=r"not a lostandfound folder: .* It looks like: fishyscapes, smiyc\."):
        find_sets("lostandfound", tmp_path)


def test_a_wrong_folder_says_which_benchmark_it_looks_like(
    lost: Path, hazards: Path, acdc: Path, rendered: Path
) -> None:
    folders = {"lostandfound": lost, "streethazards": hazards, "acdc-poc": acdc, "muad": rendered}
    for asked in (*folders, "bdd-anomaly", "fishyscapes", "smiyc", "roadanomaly"):
        for other, folder in folders.items():
            if asked != other:
                with pytest.raises(UserError, match=rf"not an? {asked} folder: expected .* It looks like: {other}\."):
                    find_sets(asked, folder)
    with pytest.raises(UserError, match=r"not a cityscapes folder: .* It looks like: lostandfound\."):
        find_sets("cityscapes", lost)
    for benchmark in folders:
        with pytest.raises(UserError, match="There is no folder"):
            find_sets(benchmark, lost / "none")


def test_everything_is_found_at_once_and_options_say_whose_they_are(
    lost: Path, hazards: Path, acdc: Path, rendered: Path
) -> None:
    root = lost.parent
    found = find_sets("all", root, ["muad.anomaly=[20]", "lostandfound.split=test"])
    assert {one.name: len(one.frames) for one in found} == {
        "LostAndFound": 3,
        "StreetHazards": 3,
        "acdc_ood": 2,
        "MUAD_challenge": 1,
    }
    assert read_label(found[-1].frames[0])[0].tolist() == [0, 0, 0, 0, 1, 255, 255]  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"say whose option it is, such as fishyscapes.cityscapes=DIR"):
        find_sets("all", root, ["anomaly=[20]"])
    with pytest.raises(UserError, match="The benchmark smiyc has no options; --set x=1 does not apply"):
        find_sets("smiyc", root, ["x=1"])


def test_a_flat_folder_of_no_name_is_not_taken_for_everything(tmp_path: Path) -> None:
    picture(tmp_path / "mine" / "images" / "a.png", 3)
    save(tmp_path / "mine" / "labels_masks" / "a.png", 0, 1, 255)
    with pytest.raises(
        UserError, match=r"tell which benchmark it is; name it: anomsynth eval fishyscapes\|roadanomaly"
    ):
        find_sets("all", tmp_path / "mine")


def test_tables_hold_every_value() -> None:
    every = np.arange(256, dtype=np.uint8)[None]
    assert TWO_AND_UP.translate(every)[0].tolist() == [0, 0, *[1] * 253, 255]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 its argument is looked at
        PLAIN.translate(every)
    assert caught.value.args[0] == list(range(2, 255))
    assert PLAIN.classify(every) is None
