"""docs/results-schema.md names every key that an evaluation writes, and none that it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import find_sets
from eval.class_maps import judge_classes
from eval.judge_scores import judge_scores
from eval.predictor import Predictor
from eval.protocols import PROTOCOLS
from eval.run import evaluate
from eval.scoremaps import find_pairs

DOCUMENT = Path(__file__).parents[2] / "docs" / "results-schema.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
NAMED = ("sets", "scores", "iou_per_class", "groups")
"""The keys below these are names of somebody's sets, scores, classes and towns."""
OF_NETWORKS = {
    *("torch", "network", "input_size", "saw", "method", "flip", "tile", "stride", "precision"),
    *("checkpoint", "checkpoint_sha256", "step", "weights", "weights_sha256"),
}
"""What networks say of themselves (`train/predictor.py`, `train/views.py`), and the toy predictor does not."""


def keys(content: Any, named: bool = False) -> Iterator[str]:
    """Every key, however deep, that is no name."""
    if isinstance(content, dict):
        for key, value in content.items():
            if not named:
                yield key
            if key not in ("options", "predictor"):
                yield from keys(value, named=not named and key in NAMED)
    elif isinstance(content, list):
        for value in content:
            yield from keys(value)


def street_hazards(folder: Path) -> tuple[Path, Path, Path]:
    """Two towns, with score maps and class maps."""
    rng = np.random.default_rng(0)
    root, scores, classes = folder / "StreetHazards", folder / "scores", folder / "classes"
    for place in (scores, classes):
        place.mkdir(parents=True)
    for town in ("t5", "t6"):
        stored = rng.integers(1, 14, (12, 18)).astype(np.uint8)
        stored[2:6, 3:9] = 14
        for kind, picture in (("images", stored[..., None].repeat(3, 2)), ("annotations", stored)):
            path = root / kind / "test" / town / "0.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(picture).save(path)
        Image.fromarray(np.where(stored == 14, 0, stored - 1).astype(np.uint8)).save(classes / f"{town}_0.png")
        np.save(scores / f"{town}_0.npy", (rng.normal(size=stored.shape) + 2 * (stored == 14)).astype(np.float32))
    return root, scores, classes


@pytest.fixture
def written(worlds: Path, tmp_path: Path, predictor: Predictor) -> list[dict[str, Any]]:
    """Contents of results.json: of a predictor and of score files, pooled and as means, with all there may be."""
    sets = [*find_sets("smiyc", worlds), *find_sets("roadanomaly", worlds)]
    contents = [evaluate(sets, predictor, out=tmp_path / "out").as_json()]
    contents.append(evaluate(sets[-1:], predictor, protocol=PROTOCOLS["caos"]).as_json())
    root, scores, classes = street_hazards(tmp_path / "streets")
    contents.append(evaluate(find_sets("streethazards", root), predictor).as_json())
    pairs = find_pairs(scores, root, PROTOCOLS["pooled"])
    segmentation = judge_classes(pairs, classes)
    streets = judge_scores(pairs, PROTOCOLS["pooled"], source="scores", segmentation=segmentation)
    return [*contents, streets.as_json()]


def test_every_key_is_documented(written: list[dict[str, Any]]) -> None:
    found = {key for content in written for key in keys(content)}
    assert {"groups", "open_mIoU", "stored_as", "frames_of_one_class", "component_threshold", "whole"} <= found
    assert {key for key in found if f"`{key}`" not in TEXT} == set()


def test_every_documented_key_is_written(written: list[dict[str, Any]], tmp_path: Path) -> None:
    part = TEXT.split("## results.json")[1].split("## curves.json")[0]
    documented = {
        key for row in re.findall(r"^\| (`.+?) \|", part, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
    }
    assert len(documented) > 50
    found = {key for content in written for key in keys(content)}
    # Cityscapes' own set is not among the toy's.
    assert documented - found == set()
    predicted = set(written[0]["predictor"]) | set(written[-1]["predictor"])
    assert predicted == {"network", "score_maps"}
    assert {key for key in OF_NETWORKS | predicted if f"`{key}`" not in TEXT} == set()


def test_the_other_files_are_as_documented(written: list[dict[str, Any]], tmp_path: Path) -> None:
    for name in sorted(path.name for path in (tmp_path / "out").iterdir()):
        assert f"| `{name}` |" in TEXT
    curves = json.loads((tmp_path / "out" / "curves.json").read_text())
    for curve in (curve for scores in curves.values() for curve in scores.values()):
        assert list(curve) == ["tpr", "fpr", "precision"]
        assert all(f"`{key}`" in TEXT for key in curve)
        assert len({len(points) for points in curve.values()}) == 1
        # The step with the highest F1 is there.
    best = written[0]["sets"]["RoadAnomaly_jpg"]["scores"]["bright"]["metrics"]["best_F1"]
    points = {key: np.array(values) for key, values in curves["RoadAnomaly_jpg"]["bright"].items()}
    f1 = 2 * points["precision"] * points["tpr"] / (points["precision"] + points["tpr"])
    assert f1.max() == pytest.approx(best, abs=1e-6)
    frames = json.loads((tmp_path / "out" / "frames.json").read_text())
    assert list(frames) == ["schema", "sets"]
    for figures in frames["sets"]["RoadAnomaly_jpg"]["bright"].values():
        assert list(figures) == ["AP", "AUROC", "FPR95", "best_F1"]
    with np.load(tmp_path / "out" / "counts.npz") as arrays:
        kinds = {name.replace("0.", "N.", 1): array.dtype.name for name, array in arrays.items() if name[0] in "0is"}
    assert kinds == {
        "schema": "int64",
        "index": "uint8",
        "N.bins": "uint32",
        "N.known": "uint16",
        "N.anomaly": "uint16",
        "N.ends": "int64",
    }
    for name, kind in kinds.items():
        assert re.search(rf"^\| .*`{re.escape(name)}`.* \| {kind}( or \w+)? \|", TEXT, re.MULTILINE)


def shape(content: Any) -> Any:
    """Keys and types, without values."""
    if isinstance(content, dict):
        return {key: shape(value) for key, value in content.items()}
    return [shape(value) for value in content[:1]] if isinstance(content, list) else type(content).__name__


def test_the_example_is_what_is_written_today(worlds: Path, tmp_path: Path) -> None:
    (example,) = map(json.loads, re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))
    track = worlds / "dataset_ObstacleTrack"
    (tmp_path / "maps").mkdir()
    # Four times as large, or no predicted component would be large enough to count.
    for path in [*(track / "images").iterdir(), *(track / "labels_masks").iterdir()]:
        with Image.open(path) as image:
            large = image.resize((4 * image.width, 4 * image.height), Image.Resampling.NEAREST)
        large.save(path)
        if path.parent.name == "images":
            rgb = np.asarray(large.convert("RGB"), np.float32)
            np.save(tmp_path / "maps" / f"{path.stem}.npy", np.abs(rgb - rgb.mean((0, 1))).mean(2))
    rules = PROTOCOLS["smiyc-obstacle"]
    pairs = find_pairs(tmp_path / "maps", track, rules)
    today = judge_scores(pairs, rules, source="maps").as_json()
    today["versions"].pop("torch", None)  # whichever test was here before may have loaded it
    (one,), (other,) = (content["sets"].values() for content in (example, today))
    for entry in (one, other):
        assert isinstance(entry.pop("notes"), list)  # this world has something to note
    assert shape(example) == shape(today)
    for key in ("convention", "binned_convention", "component_convention", "protocol"):
        assert one["scores"]["score"][key] == other["scores"]["score"][key]
