"""Damaged sources: a build leaves out what is broken and says so, or stops with a sentence; its samples are right."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.materialize import materialize
from pipelines.rebuild import rebuilder
from shards.check import check_cityscapes, check_coco
from shards.errors import BadInput, UserError
from shards.labels import CITYSCAPES_CLASSES
from shards.manifest import read_manifest
from shards.reader import ShardSet
from shards.rows import read_rejects, read_rows
from shards.sample import Sample
from shards.verify import verify

TRAIN_IDS = np.full(256, 255, np.uint8)
for row in CITYSCAPES_CLASSES:
    TRAIN_IDS[row.label_id] = row.train_id


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def only(folder: Path, start: str) -> Path:
    """The file whose name begins so; folders of that name do not count."""
    (found,) = [path for path in sorted(folder.iterdir()) if path.name.startswith(start) and path.is_file()]
    return found


def frame(root: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture, trainIds and void anomalies of a frame, read by Pillow alone."""
    with Image.open(only(root / "cityscapes/leftImg8bit/train/town", f"{name}_leftImg8bit.")) as image:
        rgb = np.array(image.convert("RGB"))
    town = root / "cityscapes/gtFine/train/town"
    raw = [path for path in town.iterdir() if path.name == f"{name}_gtFine_labelIds.png" and path.is_file()]
    with Image.open(raw[0] if raw else only(town, f"{name}_gtFine_labelTrainIds.png")) as image:
        labels = np.array(image.convert("L") if image.mode == "1" else image).astype(np.uint8)
    return rgb, TRAIN_IDS[labels] if raw else labels, np.isin(labels, (4, 5, 29, 30)) & bool(raw)


def is_sentence(error: Exception) -> None:
    """What is told says what is wrong, in one piece."""
    text = str(error)
    assert len(text) > 20
    assert not re.search(r"Traceback|Error\b|object at 0x", text.partition("not JSON")[0]), text
    assert isinstance(error, BadInput) or text.endswith("."), text


def judge(sample: Sample, kind: str, truth: tuple[np.ndarray, np.ndarray, np.ndarray], content: Any) -> None:
    """A sample is its frame, with void or objects as anomalies, and its record says what is in its arrays."""
    rgb, semantic, void = truth
    anomaly = sample.anomaly
    names = {0: "known", 1: "anomaly", 255: "ignore"}
    counts = {name: int((anomaly == value).sum()) for value, name in names.items()}
    assert sum(counts.values()) == anomaly.size
    assert sample.meta["pixels"] == counts
    assert sample.image.shape == rgb.shape
    pasted = np.zeros_like(anomaly, bool)
    if kind == "mix":
        pasted = anomaly == 1
        assert sum(item["pixels"] for item in sample.meta["objects"]) == pasted.sum()
        for item in sample.meta["objects"]:
            judge_object(item, content)
    elif kind == "void":
        np.testing.assert_array_equal(anomaly == 1, void)
    else:
        assert not (anomaly == 1).any()
    assert (sample.semantic[pasted] == 255).all()
    np.testing.assert_array_equal(sample.semantic[~pasted], semantic[~pasted])
    np.testing.assert_array_equal(anomaly == 255, (semantic == 255) & (anomaly != 1))
    if kind != "void":  # that one is stored as JPEG
        np.testing.assert_array_equal(sample.image[~pasted], rgb[~pasted])


def judge_object(item: dict[str, Any], content: Any) -> None:
    """What is said of an object is what the JSON says."""
    (row,) = [r for r in content["annotations"] if isinstance(r, dict) and r.get("id") == item["annotation_id"]][:1]
    assert row["image_id"] == item["image_id"]
    categories = [r for r in content["categories"] if isinstance(r, dict) and r.get("id") == row["category_id"]]
    assert item["category"] in [r.get("name") for r in categories]
    assert any(isinstance(r, dict) and r.get("id") == item["image_id"] for r in content["images"])


def damage_sources(root: Path, damage: Any, rng: np.random.Generator) -> tuple[str, Path]:
    """Damage one file of the sources; returns how, and which."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    half = "coco" if rng.random() < 0.5 else "cityscapes"
    mine = [path for path in files if path.relative_to(root).parts[0] == half]
    path = mine[int(rng.integers(len(mine)))]
    if half == "coco" and rng.random() < 0.6:
        path = root / "coco/annotations/instances_train2017.json"
    luck = rng.random()
    if path.suffix == ".json" and luck < 0.85:
        how, data = damage.json(json.loads(path.read_text()), rng)
    elif luck < 0.5:
        how, data = damage.bytes(path.read_bytes(), rng)
        how = f"bytes: {how}"
    elif luck < 0.75 and path.suffix != ".json":
        how, data = damage.picture(rng)
    else:
        return damage.file(path, mine, rng), path
    damage.put(path, data)
    return how, path


def tried(make: Callable[..., None], kind: str, root: Path, out: Path) -> bool:
    """Whether the set was built; where not, a sentence says why, and nothing stays behind."""
    try:
        make(kind, root, out)
    except UserError as error:
        is_sentence(error)
        return False
    return True


def checked(root: Path, path: Path) -> Iterator[set[str]]:
    """What `anomsynth check` finds in the half that was damaged."""
    for decode in (False, True):
        try:
            report = (check_coco if "coco" in path.parts else check_cityscapes)(
                root / path.relative_to(root).parts[0], decode=decode
            )
        except UserError as error:
            is_sentence(error)
            yield {"refused"}
        else:
            yield {problem.reason for problem in report.problems}


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # Pillow, when it is asked for the truth
def test_builds_from_damaged_sources(
    world: Any, cases: Any, damage: Any, make: Callable[..., None], thorough: Any, told: Any
) -> None:
    outcomes: Counter[str] = Counter()
    for case in cases("sources", 180):
        root = case.folder / "world"
        thorough(case.number % 8 == 0)
        for half in ("cityscapes", "coco"):
            shutil.copytree(world.sources / half, root / half, copy_function=os.link)
        how, path = damage_sources(root, damage, case.rng)
        kinds = [str(case.rng.choice(["mix"] if "coco" in path.parts else ["frames", "void", "mix"]))]
        if kinds == ["mix"] and case.number % 4 == 1:
            kinds.append("delta")
        with told(case.number, path.name, how):
            found = set().union(*checked(root, path))
            made = {kind: tried(make, kind, root, case.folder / kind) for kind in kinds}
            outcomes.update(f"{kind} {'built' if done else 'refused'}" for kind, done in made.items())
            for kind in [kind for kind in kinds if made[kind]]:
                _judge_set(world, root, case.folder / kind, kind, how, path)
            if made.get("frames"):
                assert found or not read_rejects(case.folder / "frames")  # `check` warns of what a build leaves out
            if "delta" in made:
                assert made["delta"] or not made["mix"]
            if made.get("delta"):
                _judge_delta(root, case.folder, direct=made["mix"])
            outcomes["left out"] += any(
                read_manifest(case.folder / kind).rejects.keys() - {"not-placed"} for kind in kinds if made[kind]
            )
    if sum(outcomes.values()) > 500:  # unless one case is repeated
        assert min(outcomes.values()) > 4, outcomes


def _judge_set(world: Any, root: Path, out: Path, kind: str, how: str, path: Path) -> None:
    """A finished set holds right samples, and is what its records say."""
    manifest = read_manifest(out)
    remake = rebuilder(manifest, root / "cityscapes", root / "coco")
    report = verify(out, rebuild=remake, samples=1)
    described = (out / "README.md").is_file()  # documents are written in thorough cases alone
    assert {problem.reason for problem in report.problems} == (set() if described else {"description"})
    if kind == "delta":
        return
    annotations = (
        json.loads((root / "coco/annotations/instances_train2017.json").read_bytes()) if kind == "mix" else {}
    )
    shards = ShardSet(out)
    assert [row["key"] for row in read_rows(out)] == list(shards.keys)
    for sample in shards:
        name = sample.meta["frame"]["id"]
        # No byte of a PNG may change a pixel; a JPEG has no checksum and shows what its bytes say.
        whole = how.startswith("bytes") and path.suffix == ".png" and path.name.startswith(name)
        judge(sample, kind, frame(world.sources if whole else root, name), annotations)


def _judge_delta(root: Path, folder: Path, *, direct: bool) -> None:
    """Laid over the frames, a delta set gives the direct build, or neither gives anything."""
    try:
        materialize(folder / "delta", root / "cityscapes", folder / "laid")
    except UserError as error:
        is_sentence(error)
        built = False
    else:
        built = True
        assert content(folder / "laid") == content(folder / "mix")
    assert built == direct
