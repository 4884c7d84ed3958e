"""`anomsynth eval scores`, `eval merge` and `eval submit`, as they are typed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.metrics import SIZES, ComponentMetrics
from eval.metrics.open_miou import OpenFrame, OpenMaps, open_miou
from eval.scoremaps import read_score_map

Run = Callable[..., Any]


@pytest.fixture
def track(world: Path) -> Path:
    """A toy AnomalyTrack."""
    return world / "benchmarks" / "dataset_AnomalyTrack"


@pytest.fixture
def maps(track: Path, tmp_path: Path) -> Path:
    """A score map for every label of it: noise, and something more on the anomaly."""
    folder = tmp_path / "maps"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for label in sorted((track / "labels_masks").glob("*_semantic.png")):
        mask = np.asarray(Image.open(label))
        score = (rng.normal(size=mask.shape) + (mask == 1)).astype(np.float32)
        np.save(folder / f"{label.name.removesuffix('_labels_semantic.png')}.npy", score)
    return folder


def read(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "results.json").read_text()))


def refused(outcome: Any, *words: str) -> None:
    """One sentence on stderr, no traceback."""
    assert outcome.status == 1
    sentences = [line for line in outcome.err.splitlines() if line.startswith("Error: ")]
    assert len(sentences) == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert all(word in sentences[0] for word in words), sentences[0]


def test_scores_are_judged(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    command = ("eval", "scores", "--scores", maps, "--labels", track, "--protocol", "smiyc-anomaly")
    outcome = run(*command, "--score-name", "mine", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    entry = read(tmp_path / "out")["sets"]["dataset_AnomalyTrack"]
    found = entry["scores"]["mine"]
    assert (entry["benchmark"], entry["frames"]) == ("smiyc", len(list(maps.iterdir())))
    assert found["protocol"] == "smiyc-anomaly"
    # Components may be too small to count, and best F1 has no column.
    assert set(found["metrics"]) >= {"AP", "AUROC", "FPR95", "AP_binned", "FPR95_binned"}
    for metric in found["metrics"].keys() - {"best_F1"}:
        assert f"{100 * found['metrics'][metric]:.2f}" in outcome.out
    assert "dataset_AnomalyTrack" in outcome.out
    assert "Figures: " in outcome.out
    printed = run(*command)
    assert printed.status == 0
    assert "AP_binned" in printed.out
    assert "Figures" not in printed.out
    assert "Nothing was kept: --out DIR" in printed.err


def test_the_page_shows_score_maps_with_images_or_without(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    bare = tmp_path / "town"  # labels alone, as any tool may keep them
    bare.mkdir()
    for label in (track / "labels_masks").glob("*_semantic.png"):
        shutil.copy(label, bare / f"{label.name.removesuffix('_labels_semantic.png')}.png")
    pages = {}
    for name, labels, words in (
        ("benchmark", track, ()),
        ("given", bare, ("--images", track / "images")),
        ("none", bare, ()),
    ):
        out = tmp_path / name
        outcome = run(
            "eval", "scores", "--scores", maps, "--labels", labels, "--protocol", "smiyc-anomaly",
            "--set-name", "town", "--score-name", "mine", "--out", out, *words,
        )  # fmt: skip
        assert outcome.status == 0, outcome.err
        assert f"Page:    {out / 'report.html'}" in outcome.out
        curves = json.loads((out / "curves.json").read_text())
        assert curves["town"]["mine"]["tpr"][-1] == 1
        pages[name] = (out / "report.html").read_text()
    frames = len(list(maps.iterdir()))
    for page in pages.values():
        assert page.count('<img src="data:image/jpeg') == 2 * min(frames, 6)
        assert "FPR95_binned" in page
        assert "Histogram of mine" in page
    pictures = {name: re.findall(r'base64,([^"]+)', page) for name, page in pages.items()}
    assert pictures["given"] == pictures["benchmark"]
    assert set(pictures["none"]).isdisjoint(pictures["given"])
    assert "smiyc, flat layout" in pages["benchmark"] or "smiyc, official layout" in pages["benchmark"]
    assert "None" not in re.sub(r"<script.*?</script>", "", pages["none"], flags=re.DOTALL)


def test_images_that_do_not_fit(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    command = ("eval", "scores", "--scores", maps, "--labels", track, "--protocol", "eam", "--out", tmp_path / "out")
    refused(run(*command, "--images", tmp_path / "none"), "There is no folder", "--images")
    images = tmp_path / "images"
    shutil.copytree(track / "images", images)
    first = sorted(images.iterdir())[0]
    first.unlink()
    refused(run(*command, "--images", images), "have no image", first.stem, "--images")
    refused(run(*command[:-2], "--images", images, "--part", tmp_path / "p.npz"), "--images", "--part")
    assert not (tmp_path / "out").exists()


def test_threads_and_another_rate(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    command = ("eval", "scores", "--scores", maps, "--labels", track, "--protocol", "eam")
    for threads in (1, 3):
        words = ("--workers", threads, "--tpr", "0.8", "--out", tmp_path / str(threads))
        outcome = run(*command, *words)
        assert outcome.status == 0, outcome.err
    assert read(tmp_path / "1") == read(tmp_path / "3")
    (entry,) = read(tmp_path / "1")["sets"].values()
    assert "FPR80" in entry["scores"]["score"]["metrics"]
    refused(run(*command, "--tpr", "0"), "--tpr is a share")
    assert run(*command, "--workers", "0").status == 2


def test_the_means_of_caos_are_not_called_pooled(run: Run, track: Path, maps: Path) -> None:
    outcome = run(
        "eval", "scores", "--scores", maps, "--labels", track, "--protocol", "caos", "--encoding", "0-1-255",
        "--set-name", "town",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "mean over frames" in outcome.out
    assert "pooled" not in outcome.out
    assert "town" in outcome.out


def test_parts_are_merged(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    command = ("eval", "scores", "--labels", track, "--protocol", "rba")
    assert run(*command, "--scores", maps, "--out", tmp_path / "whole").status == 0
    files, parts = sorted(maps.iterdir()), []
    for number, names in enumerate((files[:1], files[1:])):
        folder = tmp_path / f"half{number}" / "maps"
        folder.mkdir(parents=True)
        for file in names:
            shutil.copy(file, folder)
        parts.append(tmp_path / f"part{number}.npz")
        outcome = run(*command, "--scores", folder, "--part", parts[-1])
        assert outcome.status == 0, outcome.err
        assert f"Counted {len(names)} of {len(files)} frames of dataset_AnomalyTrack" in outcome.out
    refused(run("eval", "merge", parts[1], "--out", tmp_path / "merged"), "are in no part")
    assert not (tmp_path / "merged").exists()
    outcome = run("eval", "merge", *parts, "--out", tmp_path / "merged")
    assert outcome.status == 0, outcome.err
    assert read(tmp_path / "merged") == read(tmp_path / "whole")
    for name in ("curves.json", "frames.json", "counts.npz"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert "Histogram of score" in (tmp_path / "merged" / "report.html").read_text()  # no map at hand, so no picture
    refused(run("eval", "merge", parts[0], parts[0]), "counted in two parts", "part0.npz")
    refused(run("eval", "merge", maps / files[0].name), "is no part")
    before = parts[0].read_bytes()
    refused(run(*command, "--scores", maps, "--part", parts[0]), f"--part {parts[0]} exists already", "--overwrite")
    assert parts[0].read_bytes() == before
    assert run(*command, "--scores", maps, "--part", parts[0], "--overwrite").status == 0
    assert parts[0].read_bytes() != before
    both = run(*command, "--scores", maps, "--part", parts[0], "--out", tmp_path / "both")
    refused(both, "either --out", "--part")


def test_results_are_compared_with_those_of_other_evals(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    command = ("eval", "scores", "--labels", track, "--protocol")
    better = tmp_path / "better"
    better.mkdir()
    for file in maps.iterdir():
        np.save(better / file.name, np.load(file) * 2)
    for protocol, scores in (("smiyc-anomaly", maps), ("eam", better), ("rba", maps)):
        assert run(*command, protocol, "--scores", scores, "--out", tmp_path / "runs" / protocol).status == 0
    runs = tmp_path / "runs"
    for words in ((), ("--compare",)):
        outcome = run("report", *words, runs / "smiyc-anomaly", runs / "eam")
        assert outcome.status == 0, outcome.err
        assert "AUROC" in outcome.out
    refused(run("report", "--compare", runs / "eam", runs / "rba"), "different conventions")


def test_bad_input_gets_a_sentence(run: Run, world: Path, track: Path, maps: Path, tmp_path: Path) -> None:
    def judge(**options: object) -> Any:
        words = {"scores": maps, "labels": track, "protocol": "smiyc-anomaly", "out": tmp_path / "out"} | options
        return run("eval", "scores", *(word for key, value in words.items() for word in (f"--{key}", value)))

    first = sorted(maps.iterdir())[0]
    values = np.load(first)
    refused(judge(protocol="smiyc"), "no protocol 'smiyc'", "smiyc-obstacle")
    refused(judge(encoding="x"), "no label encoding 'x'", "streethazards")
    refused(judge(scores=tmp_path / "none"), "There is no folder", "--scores")
    refused(judge(labels=tmp_path / "none"), "There is no folder", "--labels")
    refused(judge(protocol="roadanomaly"), "looks like smiyc")
    refused(judge(labels=world / "benchmarks"), "holds whole sets")
    refused(judge(ending="_energy.npy"), "no score maps that end in _energy.npy")
    np.save(first, values[:-1])
    refused(judge(), first.name, "pixels but its label")
    np.save(first, np.where(values == values.max(), np.nan, values))
    refused(judge(), first.name, "NaN")
    np.save(first, values.astype(np.int32))
    refused(judge(), first.name, "int32")
    np.save(first, values)
    np.savez(first.with_suffix(".npz"), values)
    refused(judge(), "Two score maps belong to the frame", first.name)
    first.with_suffix(".npz").rename(maps / "stranger.npz")
    refused(judge(), "stranger.npz", "--allow-extra")
    (maps / "stranger.npz").unlink()
    first.unlink()
    refused(judge(), "have no score map", first.stem)
    assert not (tmp_path / "out").exists()


def test_dummy_labels_are_told(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    labels = tmp_path / "dataset_AnomalyTrack"
    for value, words in ((255, ("void everywhere",)), (0, ("dataset_AnomalyTrack", "no anomaly pixel"))):
        shutil.copytree(track, labels, dirs_exist_ok=True)
        for label in (labels / "labels_masks").glob("*_semantic.png"):
            with Image.open(label) as image:
                size = image.size
            Image.new("L", size, value).save(label)
        refused(run("eval", "scores", "--scores", maps, "--labels", labels, "--protocol", "smiyc-anomaly"), *words)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """An ERFNet that has learned nothing."""
    import torch

    from train.networks import build_network

    torch.manual_seed(0)
    torch.save(build_network("erfnet").state_dict(), tmp_path / "erfnet.pth")
    return tmp_path / "erfnet.pth"


def test_submissions_are_written_and_judged(
    run: Run, world: Path, track: Path, weights: Path, tmp_path: Path
) -> None:
    network = ("--segmenter", "erfnet", "--weights", weights, "--size", "128x64", "--device", "cpu", "--threads", 1)
    out = tmp_path / "outputs"
    outcome = run("eval", "submit", "smiyc", "--data", track, *network, "--method", "Mine", "--out", out)
    assert outcome.status == 0, outcome.err
    assert "where the host expects 110" in outcome.out
    place = out / "anomaly_p" / "Mine" / "AnomalyTrack-all"
    outcome = run("eval", "scores", "--scores", place, "--labels", track, "--protocol", "smiyc-anomaly", "--out", out)
    assert outcome.status == 0, outcome.err
    # Rounded to float16, the figures are nearly those of the network itself.
    straight = run("eval", "smiyc", "--data", track, *network, "--score", "energy", "--out", tmp_path / "straight")
    assert straight.status == 0, straight.err
    expected = read(tmp_path / "straight")["sets"]["dataset_AnomalyTrack"]["scores"]["energy"]["metrics"]
    found = read(out)["sets"]["dataset_AnomalyTrack"]["scores"]["score"]["metrics"]
    assert found["AUROC"] == pytest.approx(expected["AUROC"], abs=0.01)

    data = world / "benchmarks" / "fishyscapes_lostandfound"
    outcome = run("eval", "submit", "fishyscapes", "--data", data, *network, "--out", tmp_path / "output")
    assert outcome.status == 0, outcome.err
    performance = json.loads((tmp_path / "output" / "validation_performance.json").read_text())
    command = ("eval", "scores", "--scores", tmp_path / "output", "--labels", data, "--protocol", "fishyscapes")
    assert run(*command, "--out", tmp_path / "again").status == 0
    metrics = read(tmp_path / "again")["sets"]["fishyscapes_lostandfound"]["scores"]["score"]["metrics"]
    assert performance == {"ap": metrics["AP"], "fpr": metrics["FPR95"]}
    refused(
        run("eval", "submit", "fishyscapes", "--data", data, *network, "--out", tmp_path / "output"), "--overwrite"
    )


def test_submissions_look_like_evaluations(run: Run, track: Path, weights: Path, tmp_path: Path) -> None:
    look = ("--size", "128x64", "--tile", "64x64", "--stride", "1/3", "--batch", 2, "--precision", "bfloat16")
    network = ("--segmenter", "erfnet", "--weights", weights, "--device", "cpu", "--threads", 1, *look)
    outcome = run("eval", "submit", "smiyc", "--data", track, *network, "--out", tmp_path / "outputs")
    assert outcome.status == 0, outcome.err
    picture = sorted((track / "images").iterdir())[0]
    outcome = run("predict", picture, *network, "--out", tmp_path / "maps")
    assert outcome.status == 0, outcome.err
    (written,) = (path for path in (tmp_path / "maps").rglob("*.npy"))
    place = tmp_path / "outputs" / "anomaly_p" / "energy" / "AnomalyTrack-all" / f"{picture.stem}.hdf5"
    assert np.array_equal(read_score_map(place), np.load(written).astype(np.float16))
    outcome = run("eval", "smiyc", "--data", track, *network, "--score", "energy", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    predictor = read(tmp_path / "out")["predictor"]
    assert (predictor["tile"], predictor["stride"]) == ([64, 64], pytest.approx(1 / 3))
    assert predictor["precision"] == "bfloat16"


@pytest.mark.parametrize(
    ("host", "folder"), [("smiyc", "dataset_AnomalyTrack"), ("fishyscapes", "fishyscapes_static")]
)
def test_submit_says_what_it_recognises(run: Run, world: Path, tmp_path: Path, host: str, folder: str) -> None:
    data = world / "benchmarks" / folder
    outcome = run("eval", "submit", host, "--data", data, "--layout", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith(f"{folder}: {host}, ")
    assert not (tmp_path / "out").exists()


def test_submissions_that_cannot_be(run: Run, track: Path, weights: Path, tmp_path: Path) -> None:
    command = ("eval", "submit", "smiyc", "--data", track, "--out", tmp_path / "out")
    refused(run(*command), "--checkpoint")
    refused(run(*command, "--segmenter", "erfnet", "--weights", tmp_path / "none.pth"), "none.pth")
    refused(run("eval", "submit", "smiyc", "--data", tmp_path, "--out", tmp_path / "out"), "is not a smiyc folder")
    words = ("eval", "submit", "fishyscapes", "--data", track, "--out", tmp_path / "out")
    refused(run(*words), "not a fishyscapes folder", "smiyc")
    refused(run(*words, "--method", "Mine"), "--method")
    network = ("--segmenter", "erfnet", "--weights", weights, "--device", "cpu")
    refused(run(*command, *network, "--stride", "1/3"), "--stride", "--tile")
    tiled = (*command, *network, "--size", "128x64", "--tile", "64x64")
    refused(run(*tiled, "--stride", "x"), "Cannot read the share 'x'")
    refused(run(*tiled, "--stride", "3/2"), "--stride is a share of the window", "1.5")
    assert run("eval", "submit", "codabench", "--data", track, "--out", tmp_path / "out").status == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["scores", "merge", "submit"])
def test_every_command_explains_itself_by_example(run: Run, name: str) -> None:
    outcome = run("eval", name, "--help")
    assert outcome.status == 0
    assert f"anomsynth eval {name}" in " ".join(outcome.out.split())


@pytest.fixture
def towns(tmp_path: Path) -> tuple[Path, Path, Path]:
    """StreetHazards of two towns, score maps and class maps of it."""
    root, scores, classes = tmp_path / "StreetHazards" / "test", tmp_path / "town_scores", tmp_path / "town_classes"
    rng = np.random.default_rng(0)
    for folder in (scores, classes):
        folder.mkdir()
    for town, count in (("t5", 1), ("t6", 2)):
        for index in range(count):
            stored = rng.integers(1, 14, (12, 18)).astype(np.uint8)
            stored[4:10, 4:12] = 14
            for tree, content in (("images", np.zeros((12, 18, 3), np.uint8)), ("annotations", stored)):
                place = root / tree / "test" / town / f"{index}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(content).save(place)
            wrong = rng.random(stored.shape) < 0.3
            predicted = np.where((stored == 14) | wrong, 0, stored - 1).astype(np.uint8)
            Image.fromarray(predicted).save(classes / f"{town}_{index}.png")
            np.save(scores / f"{town}_{index}.npy", (rng.normal(size=stored.shape) + 2 * (stored == 14)).astype("f4"))
    return root, scores, classes


def test_open_miou_of_towns(run: Run, towns: tuple[Path, Path, Path], tmp_path: Path) -> None:
    root, scores, classes = towns
    command = (
        "eval", "scores", "--scores", scores, "--labels", root, "--protocol", "pooled", "--overwrite",
        "--out", tmp_path / "out",
    )  # fmt: skip
    outcome = run(*command, "--semantic", classes)
    assert outcome.status == 0, outcome.err
    (entry,) = read(tmp_path / "out")["sets"].values()
    found = entry["segmentation"]
    frames = []
    for name in ("t5_0", "t6_0", "t6_1"):
        town, _, number = name.partition("_")
        stored = np.asarray(Image.open(root / "annotations" / "test" / town / f"{number}.png"))
        label = (stored == 14).astype(np.uint8)
        maps = OpenMaps(
            np.load(scores / f"{name}.npy"),
            np.asarray(Image.open(classes / f"{name}.png")),
            np.where(label == 1, 255, stored - 1).astype(np.uint8),
            label,
        )
        frames.append(OpenFrame(name, town, lambda maps=maps: maps))
    expected = open_miou(frames, 13, ignored=(3,))  # "other"
    assert found["metrics"]["open_mIoU"] == pytest.approx(expected.miou, abs=1e-12)
    assert 0 < found["metrics"]["open_mIoU"] < found["metrics"]["mIoU"] < 1
    assert [(row["group"], row["frames"]) for row in found["open_groups"]] == [("t5", 1), ("t6", 2)]
    assert found["iou_per_class"]["road"] > 0
    assert f"open_mIoU {100 * expected.miou:.2f} (t5 " in outcome.out
    assert {row["of"] for row in found["intervals"]} == {"mIoU", "mAcc"}
    page = (tmp_path / "out" / "report.html").read_text()
    for metric, value in found["metrics"].items():
        assert f"<strong>{metric} {100 * value:.2f}</strong>" in page
    assert "TPR &gt; 0.95, of the other groups&#39; frames" in page
    outcome = run(*command, "--semantic", classes, "--open-reading", "strided")
    assert outcome.status == 0, outcome.err
    (entry,) = read(tmp_path / "out")["sets"].values()
    assert entry["segmentation"]["metrics"]["open_mIoU"] == pytest.approx(
        open_miou(frames, 13, reading="strided").miou, abs=1e-12
    )

    before = (tmp_path / "out" / "results.json").read_bytes()
    first = classes / "t5_0.png"
    Image.fromarray(np.full((12, 18), 13, np.uint8)).save(first)
    refused(run(*command, "--semantic", classes), "The prediction of t5_0 holds the class 13", "0..12")
    Image.fromarray(np.zeros((6, 9), np.uint8)).save(first)
    refused(run(*command, "--semantic", classes), "The class map of t5_0 has 9x6 pixels but its label 18x12")
    first.write_bytes(b"no picture")
    refused(run(*command, "--semantic", classes), "class map", "t5_0.png")
    first.unlink()
    refused(run(*command, "--semantic", classes), "1 of 3 frames has no class map", "t5_0")
    refused(run(*command, "--semantic", tmp_path / "none"), "--semantic")
    refused(run(*command, "--without-other"), "--without-other", "--semantic")
    refused(run(*command[:-2], "--semantic", classes, "--part", tmp_path / "p.npz"), "--part")
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_a_benchmark_is_judged_by_its_options(run: Run, tmp_path: Path) -> None:
    root, scores = tmp_path / "LostAndFound", tmp_path / "scores"
    scores.mkdir()
    rng = np.random.default_rng(0)
    for base in ("02_Street_000000_000010", "15_Rechbergstr_Deckenpfronn_000000_000010"):
        stored = np.ones((40, 60), np.uint8)
        stored[5:15, 5:25] = 7
        for tree, kind, picture in (
            ("leftImg8bit", "leftImg8bit", stored[..., None].repeat(3, 2)),
            ("gtCoarse", "gtCoarse_labelIds", stored),
        ):
            path = root / tree / "test" / base.rsplit("_", 2)[0] / f"{base}_{kind}.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(picture).save(path)
        np.save(scores / f"{base}.npy", (rng.normal(size=stored.shape) + 3 * (stored == 7)).astype(np.float32))
    command = ("eval", "scores", "--scores", scores, "--labels", root, "--protocol", "lostandfound")
    outcome = run(*command, "--set", "split=test-valid", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    entry = read(tmp_path / "out")["sets"]["LostAndFound"]
    assert (entry["frames"], entry["options"]) == (2, {"split": "test-valid"})
    refused(run(*command), "without a label", "15_Rechbergstr")  # children and bicycles are left out by default
    refused(run(*command, "--set", "split=none"), "split")
    part = tmp_path / "part.npz"
    assert run(*command, "--set", "split=test-valid", "--part", part).status == 0
    merged = run("eval", "merge", part, "--out", tmp_path / "merged")
    assert merged.status == 0, merged.err
    assert read(tmp_path / "merged")["sets"]["LostAndFound"]["options"] == {"split": "test-valid"}


def test_a_score_that_is_constant_is_told_on_the_page(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    for path in maps.iterdir():
        np.save(path, np.zeros_like(np.load(path)))
    outcome = run(
        "eval", "scores", "--scores", maps, "--labels", track, "--protocol", "eam", "--out", tmp_path / "out"
    )
    assert outcome.status == 0, outcome.err
    sentence = "score: every pixel of every frame has one and the same score, 0, so its figures say nothing."
    (entry,) = read(tmp_path / "out")["sets"].values()
    assert sentence in entry["notes"]
    assert sentence in (tmp_path / "out" / "report.html").read_text()


def test_labels_without_classes_judge_no_class_maps(run: Run, track: Path, maps: Path) -> None:
    command = ("eval", "scores", "--scores", maps, "--labels", track, "--protocol", "smiyc-anomaly")
    refused(run(*command, "--semantic", maps), "tell no classes", "StreetHazards")


def test_a_methods_own_masks(run: Run, track: Path, maps: Path, tmp_path: Path) -> None:
    command = ("eval", "scores", "--scores", maps, "--labels", track, "--protocol", "smiyc-obstacle")
    # smiyc-obstacle counts the smaller components; its folder is named after neither track.
    shutil.copytree(track, tmp_path / "smiyc_frames")
    command = (*command[:5], tmp_path / "smiyc_frames", *command[6:], "--overwrite", "--out", tmp_path / "out")
    masks, metrics = tmp_path / "masks", ComponentMetrics(SIZES["smiyc-obstacle"])
    masks.mkdir()
    for file in sorted(maps.iterdir()):
        label = np.asarray(Image.open(track / "labels_masks" / f"{file.stem}_labels_semantic.png"))
        mask = np.roll(label == 1, 3, axis=1).astype(np.uint8)
        Image.fromarray(mask * 200).save(masks / f"{file.stem}.png")
        metrics.add_mask(mask, label, file.stem)
    outcome = run(*command, "--masks", masks)
    assert outcome.status == 0, outcome.err
    (entry,) = read(tmp_path / "out")["sets"].values()
    found = entry["scores"]["score"]
    expected = metrics.result().metrics
    assert set(expected) == {"sIoU", "PPV", "F1_mean"}
    assert {figure: found["metrics"][figure] for figure in expected} == pytest.approx(expected)
    assert found["component_convention"]["prediction"] == "masks that were handed in"
    assert "component_threshold" not in found
    assert f"{100 * expected['sIoU']:.2f}" in outcome.out
    assert {"sIoU", "PPV", "F1_mean"} <= {row["of"] for row in found["intervals"]}
    first = sorted(masks.iterdir())[0]
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(first)
    refused(run(*command, "--masks", masks), "shape (2, 2)", first.stem)
    first.unlink()
    refused(run(*command, "--masks", masks), "has no mask", first.stem)
    refused(run(*command, "--masks", tmp_path / "none"), "--masks")
    eam = ("eval", "scores", "--scores", maps, "--labels", track, "--protocol", "eam", "--masks", masks)
    refused(run(*eam), "eam judges no components")
