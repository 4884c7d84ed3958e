"""`anomsynth eval` typed with what cannot be judged: files that libraries choke on, places that cannot be written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Three score maps."""
    folder = tmp_path / "maps"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        np.save(folder / f"frame{index}.npy", rng.normal(size=(24, 32)).astype(np.float32))
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Their labels: void on top, an anomaly below."""
    folder = tmp_path / "town" / "labels"
    draw(folder, anomaly=1)
    return folder


def draw(folder: Path, *, anomaly: int, void: int = 255) -> None:
    """Three labels, with these values of an anomaly and of void."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(3):
        label = np.zeros((24, 32), np.uint8)
        label[:4] = void
        label[10:16, 5:12] = anomaly
        Image.fromarray(label).save(folder / f"frame{index}.png")


def refused(outcome: Any) -> str:
    """The one sentence on stderr; no traceback."""
    assert outcome.status == 1, outcome.out
    assert "Traceback" not in outcome.err
    sentences = [line for line in outcome.err.splitlines() if line.startswith("Error: ")]
    assert len(sentences) == 1, outcome.err
    return str(sentences[0].removeprefix("Error: "))


def judge(run: Run, maps: Path, labels: Path, *more: object, protocol: str = "pooled") -> Any:
    return run("eval", "scores", "--scores", maps, "--labels", labels, "--protocol", protocol, *more)


def replace(path: Path, suffix: str, content: bytes) -> Path:
    """Put another file in the place of a score map."""
    path.unlink()
    path.with_suffix(suffix).write_bytes(content)
    return path.with_suffix(suffix)


def test_score_maps_that_are_cut_off(run: Run, maps: Path, labels: Path) -> None:
    import h5py

    first = maps / "frame0.npy"
    values = np.load(first)
    np.savez(maps / "x.npz", values)
    with h5py.File(maps / "x.hdf5", "w") as file:
        file["value"] = values
    Image.fromarray((values * 100 + 30000).astype(np.uint16)).save(maps / "x.png")
    whole = {".npy": first.read_bytes()}
    for suffix in (".npz", ".hdf5", ".png"):
        whole[suffix] = (maps / f"x{suffix}").read_bytes()
        (maps / f"x{suffix}").unlink()
    for suffix, content in whole.items():
        first = replace(first, suffix, content[: len(content) // 2])
        numbers = " of numbers (Python objects are not read)" if suffix in (".npy", ".npz") else ""
        assert refused(judge(run, maps, labels)) == (
            f"The score map {first} is cut off or no {suffix} file{numbers}: write or copy it again."
        )


def test_a_foreign_npz_is_no_score_map(run: Run, maps: Path, labels: Path) -> None:
    first = maps / "frame0.npy"
    values = np.load(first)
    first.unlink()
    np.savez(first.with_suffix(".npz"), **{f"layer{index}": values for index in range(7)})
    assert refused(judge(run, maps, labels)) == (
        f"The score map {first.with_suffix('.npz')} holds layer0, layer1, layer2, layer3 and 3 more; expected one "
        "array, or one called score or value."
    )


def test_a_weights_file_that_is_cut_off(run: Run, world: Path, tmp_path: Path) -> None:
    import torch

    from train.networks import build_network

    weights = tmp_path / "erfnet.pth"
    torch.save(build_network("erfnet").state_dict(), weights)
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    data = world / "benchmarks" / "dataset_AnomalyTrack"
    assert refused(run("eval", "smiyc", "--data", data, "--segmenter", "erfnet", "--weights", weights)) == (
        f"{weights} is cut off, or no PyTorch file of tensors alone, which is safe to read: copy or download it "
        "again, or save the state_dict of its network."
    )


def test_a_label_that_is_cut_off(run: Run, maps: Path, labels: Path) -> None:
    first = labels / "frame0.png"
    content = first.read_bytes()
    for broken, what in (
        (content[: len(content) // 2], " is truncated: it ends within a chunk"),
        (content[:45] + bytes(10) + content[55:], ": a checksum of the PNG file does not match"),
        (b"text", " is no picture of a known format"),
    ):
        first.write_bytes(broken)
        assert refused(judge(run, maps, labels)) == f"The label {first} cannot be read: frame0.png{what}."


def test_an_evaluation_is_replaced_only_when_asked(run: Run, maps: Path, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "parents" / "out"
    assert judge(run, maps, labels, "--out", out).status == 0
    before = (out / "results.json").read_bytes()
    part = tmp_path / "part.npz"
    assert judge(run, maps, labels, "--part", part).status == 0
    told = f"--out {out} holds an evaluation already: give another folder, or replace it with --overwrite."
    assert refused(judge(run, maps, labels, "--out", out, "--score-name", "x")) == told
    assert refused(run("eval", "merge", part, "--out", out)) == told
    assert (out / "results.json").read_bytes() == before
    assert judge(run, maps, labels, "--out", out, "--score-name", "x", "--overwrite").status == 0
    assert list(json.loads((out / "results.json").read_text())["sets"]["town"]["scores"]) == ["x"]
    assert run("eval", "merge", part, "--out", out, "--overwrite").status == 0
    assert (out / "results.json").read_bytes() == before


def test_networks_replace_no_evaluation_either(run: Run, world: Path, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    command = ("eval", "smiyc", "--data", world / "benchmarks", "--segmenter", "erfnet", "--weights", "none.pth")
    assert "holds an evaluation already" in refused(run(*command, "--out", tmp_path))
    assert "none.pth" in refused(run(*command, "--out", tmp_path, "--overwrite"))
    assert (tmp_path / "results.json").read_text() == "{}"


def test_places_that_cannot_be_written(run: Run, world: Path, maps: Path, labels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    assert refused(judge(run, maps, labels, "--out", tmp_path / "file")) == (
        f"--out {tmp_path / 'file'} is a file: give a folder."
    )
    inside = tmp_path / "file" / "out"
    command = ("eval", "smiyc", "--data", world / "benchmarks", "--segmenter", "erfnet", "--weights", "none.pth")
    for outcome in (judge(run, maps, labels, "--out", inside), run(*command, "--out", inside)):
        assert refused(outcome) == (
            f"Files cannot be made in {inside} (Not a directory): give --out a folder that you may write to."
        )
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here")
def test_a_place_without_room_for_folders(run: Run, maps: Path, labels: Path) -> None:
    told = refused(judge(run, maps, labels, "--out", "/proc/x"))
    assert told.startswith("Files cannot be made in /proc/x (")
    assert "GB" not in told


def test_labels_that_fit_another_encoding(run: Run, maps: Path, labels: Path) -> None:
    draw(labels, anomaly=2)
    assert refused(judge(run, maps, labels)) == (
        f"The label {labels / 'frame0.png'} holds the values 2; expected 0 known, 1 anomaly, 255 ignore; its values "
        "fit --encoding 2-is-anomaly."
    )
    assert judge(run, maps, labels, "--encoding", "2-is-anomaly").status == 0
    draw(labels, anomaly=254, void=21)
    assert refused(judge(run, maps, labels)).endswith("its values fit --encoding 2-is-anomaly or acdc-poc.")
    Image.fromarray(np.full((24, 32), 7, np.uint8)).save(labels / "frame0.png")
    assert "they fit none of --encoding 0-1-255 or 2-is" in refused(judge(run, maps, labels))
    # White on black: 255 is not what lies outside.
    draw(labels, anomaly=255, void=0)
    assert "--encoding 255-is-anomaly" in refused(judge(run, maps, labels))
    assert judge(run, maps, labels, "--encoding", "255-is-anomaly").status == 0


def test_parts_under_other_names(run: Run, maps: Path, labels: Path, tmp_path: Path) -> None:
    halves = []
    for name, wanted in (("one", "0"), ("two", "12")):
        (tmp_path / name).mkdir()
        for index in wanted:
            (maps / f"frame{index}.npy").rename(tmp_path / name / f"frame{index}.npy")
        halves.append(tmp_path / f"{name}.npz")
        assert judge(run, tmp_path / name, labels, "--part", halves[-1], "--score-name", name).status == 0
    out = tmp_path / "out"
    assert refused(run("eval", "merge", *halves, "--out", out)) == (
        "2 of 3 frames of town are in no part of the score 'one' (one.npz), but of the score 'two' (two.npz): count "
        "all parts under one --score-name."
    )
    assert not out.exists()
    again = ("--part", halves[1], "--score-name", "one", "--overwrite")
    assert judge(run, tmp_path / "two", labels, *again).status == 0
    assert run("eval", "merge", *halves, "--out", out).status == 0
    # Both folders that the maps came from are on record.
    assert json.loads((out / "results.json").read_text())["predictor"] == {"score_maps": ["one", "two"]}


def test_a_constant_score_map_is_told(run: Run, maps: Path, labels: Path) -> None:
    for file in maps.iterdir():
        np.save(file, np.zeros((24, 32), np.float32))
    outcome = judge(run, maps, labels)
    assert outcome.status == 0
    told = " ".join(outcome.out.split())
    assert "score: every pixel of every frame has one and the same score, 0, so its figures say nothing." in told


def test_towns_have_figures_of_their_own(run: Run, maps: Path, tmp_path: Path) -> None:
    town = tmp_path / "StreetHazards" / "test"
    scores = tmp_path / "scores"
    scores.mkdir()
    for number, name in enumerate(("t5", "t6", "t6")):
        label = np.ones((24, 32), np.uint8)
        label[4:9, 5:12] = 14
        for tree, content in (("images", np.zeros((24, 32, 3), np.uint8)), ("annotations", label)):
            place = town / tree / "test" / name / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(place)
        shutil.copy(maps / f"frame{number}.npy", scores / f"{name}_{number}.npy")
    for protocol in ("pooled", "caos"):
        out = tmp_path / protocol
        outcome = judge(run, scores, town, "--out", out, protocol=protocol)
        assert outcome.status == 0, outcome.err
        (entry,) = json.loads((out / "results.json").read_text())["sets"].values()
        groups = entry["scores"]["score"]["groups"]
        assert {name: found["frames"] for name, found in groups.items()} == {"t5": 1, "t6": 2}
        for name in groups:
            assert (
                judge(run, *alone(scores, town, name), "--out", tmp_path / name / protocol, protocol=protocol).status
                == 0
            )
            (one,) = json.loads((tmp_path / name / protocol / "results.json").read_text())["sets"].values()
            assert groups[name]["metrics"] == one["scores"]["score"]["metrics"]


def alone(scores: Path, town: Path, name: str) -> tuple[Path, Path]:
    """The score maps and the set of one town."""
    folder = town.parents[1] / f"only_{name}"
    for tree in ("images", "annotations"):
        shutil.copytree(
            town / tree / "test" / name, folder / "StreetHazards" / tree / "test" / name, dirs_exist_ok=True
        )
    (folder / "scores").mkdir(exist_ok=True)
    for file in scores.glob(f"{name}_*.npy"):
        shutil.copy(file, folder / "scores")
    return folder / "scores", folder / "StreetHazards"
