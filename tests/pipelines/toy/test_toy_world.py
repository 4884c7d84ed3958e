from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pipelines.toy import draw_world
from pipelines.toy.benchmarks import write_benchmarks
from pipelines.toy.categories import CATEGORIES
from pipelines.toy.cityscapes import draw_frame, write_cityscapes
from pipelines.toy.coco import _segmentation, draw_picture, write_coco
from pipelines.toy.oddities import ODDITIES, SMALL
from pipelines.toy.things import CLEAR, SHARED
from shards.errors import UserError
from shards.labels import CITYSCAPES_CLASSES, train_ids

FRAMES, SIZE, SEED = 8, (128, 64), 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn in a process of its own, where no annotation is checked: four times as fast."""
    out = tmp_path_factory.mktemp("toy") / "world"
    code = (
        "import sys; from pathlib import Path; from pipelines.toy import draw_world;"
        f"draw_world(Path(sys.argv[1]), frames={FRAMES}, size={SIZE}, seed={SEED})"
    )
    subprocess.run([sys.executable, "-c", code, str(out)], check=True, capture_output=True)
    return out


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_same_seed_draws_the_same_bytes_in_another_process(world: Path, tmp_path: Path) -> None:
    for _ in islice(write_cityscapes(tmp_path / "cityscapes", "train", FRAMES, SIZE, SEED), 2):
        pass
    for _ in islice(write_coco(tmp_path / "coco", "train", FRAMES, SEED), 2):
        pass
    for _ in write_benchmarks(tmp_path / "benchmarks", 1, SIZE, SEED):
        pass
    again = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "frame_list.json"]
    assert len(again) == 2 * 4 + 2 + 5 * 2
    for path in again:
        assert path.read_bytes() == (world / path.relative_to(tmp_path)).read_bytes(), path.name


def test_another_seed_draws_another_world() -> None:
    frames = [draw_frame(seed, "cityscapes-train", 0, SIZE, "north").rgb for seed in (0, 1)]
    assert not np.array_equal(*frames)
    pictures = [draw_picture(seed, "train", 1)[0] for seed in (0, 1)]
    assert not np.array_equal(*pictures)


def test_no_file_names_this_machine(world: Path) -> None:
    for path in world.rglob("*.json"):
        assert str(world) not in path.read_text()


@pytest.mark.parametrize(("split", "count"), [("train", FRAMES), ("val", 8)])
def test_cityscapes_layout(world: Path, split: str, count: int) -> None:
    images = sorted((world / "cityscapes" / "leftImg8bit" / split).rglob("*.png"))
    assert len(images) == count
    legal = {row.label_id for row in CITYSCAPES_CLASSES}
    with_instances = {row.label_id for row in CITYSCAPES_CLASSES if row.has_instances}
    for path in images:
        town = path.parent.name
        assert path.name.startswith(f"{town}_")
        base = path.name.removesuffix("_leftImg8bit.png")
        truth = world / "cityscapes" / "gtFine" / split / town
        label_ids = read(truth / f"{base}_gtFine_labelIds.png")
        with Image.open(truth / f"{base}_gtFine_instanceIds.png") as image:
            assert image.mode == "I;16"
            instance_ids = np.asarray(image)
        assert read(path).shape == (SIZE[1], SIZE[0], 3)
        assert label_ids.shape == instance_ids.shape == (SIZE[1], SIZE[0])
        assert label_ids.dtype == np.uint8
        assert set(np.unique(label_ids).tolist()) <= legal
        things = np.isin(label_ids, sorted(with_instances))
        np.testing.assert_array_equal(things, instance_ids >= 1000)
        np.testing.assert_array_equal(np.where(things, instance_ids // 1000, instance_ids), label_ids)
        np.testing.assert_array_equal(read(truth / f"{base}_gtFine_labelTrainIds.png"), train_ids(label_ids))


def test_cityscapes_shows_nearly_every_class_and_void(world: Path) -> None:
    counts = np.zeros(256, int)
    for path in (world / "cityscapes").rglob("*_labelIds.png"):
        counts += np.bincount(read(path).ravel(), minlength=256)
    evaluated = [row for row in CITYSCAPES_CLASSES if row.train_id != 255]
    assert sum(counts[row.label_id] > 0 for row in evaluated) >= 17
    for void in (1, 2, 3, 4):
        assert counts[void] > 0
    assert counts[[29, 30]].sum() > 0


# pycocotools 2.0 hands numpy an object without the copy keyword that numpy 2 asks for.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("split", "count"), [("train", 8), ("val", 4)])
def test_coco_loads_and_every_mask_decodes(world: Path, split: str, count: int) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(world / "coco" / "annotations" / f"instances_{split}2017.json"))
    assert len(coco.imgs) == count
    assert set(coco.dataset) == {"info", "licenses", "images", "annotations", "categories"}
    licences = {row["id"] for row in coco.dataset["licenses"]}
    assert len({row["id"] for row in coco.dataset["annotations"]}) == len(coco.anns)
    for row in coco.imgs.values():
        assert row["license"] in licences
        assert row["file_name"] == f"{row['id']:012d}.jpg"
        assert read(world / "coco" / f"{split}2017" / row["file_name"]).shape == (row["height"], row["width"], 3)
    assert coco.anns
    for row in coco.anns.values():
        mask = coco.annToMask(row)
        x, y, w, h = row["bbox"]
        assert mask.shape == (coco.imgs[row["image_id"]]["height"], coco.imgs[row["image_id"]]["width"])
        assert 0 <= x <= x + w <= mask.shape[1]
        assert 0 <= y <= y + h <= mask.shape[0]
        # A polygon through pixel centres loses half a pixel all around, and fills small holes.
        assert mask.sum() == pytest.approx(row["area"], rel=0.25, abs=60)
        if isinstance(row["segmentation"], dict):
            assert mask.sum() == row["area"]
        else:
            assert not row["iscrowd"]


def test_coco_has_every_kind_of_annotation() -> None:
    kinds = set()
    rng = np.random.default_rng(0)
    for index in range(24):
        for _, crowd, mask in draw_picture(0, "train", index)[1]:
            found = _segmentation(rng, mask, crowd)
            packed = isinstance(found, dict) and isinstance(found["counts"], str)
            kinds.add((crowd, "polygon" if isinstance(found, list) else "packed" if packed else "runs"))
    assert kinds == {(False, "polygon"), (False, "packed"), (False, "runs"), (True, "runs")}


def test_anomalies_are_of_no_coco_category() -> None:
    official = {name for _, name, _ in CATEGORIES}
    assert len(CATEGORIES) == 80
    assert set(CLEAR) | set(SHARED) <= official
    assert not set(ODDITIES) & official
    assert set(SMALL) <= set(ODDITIES)


def benchmark_pairs(root: Path, name: str) -> list[tuple[Path, Path]]:
    folder = root / "benchmarks" / name
    if name == "fishyscapes_lostandfound":
        images = {p.name.removesuffix("_leftImg8bit.png"): p for p in folder.glob("leftImg8bit/test/*/*.png")}
        return [(images[p.stem.removesuffix("_labels")[5:]], p) for p in sorted(folder.glob("labels/*_labels.png"))]
    if name == "fishyscapes_static":
        return [(p, folder / "labels_masks" / f"{p.stem}.png") for p in sorted(folder.glob("images/*.jpg"))]
    if name == "RoadAnomaly_jpg":
        names = json.loads((folder / "frame_list.json").read_text())
        frames = [folder / "frames" / n for n in names]
        return [(p, p.with_suffix(".labels") / "labels_semantic.png") for p in frames]
    suffix = "webp" if name == "dataset_ObstacleTrack" else "jpg"
    images_found = sorted(folder.glob(f"images/*.{suffix}"))
    return [(p, folder / "labels_masks" / f"{p.stem}_labels_semantic.png") for p in images_found]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("fishyscapes_lostandfound", {0, 1, 255}),
        ("fishyscapes_static", {0, 1, 255}),
        ("RoadAnomaly_jpg", {0, 2}),
        ("dataset_AnomalyTrack", {0, 1, 255}),
        ("dataset_ObstacleTrack", {0, 1, 255}),
    ],
)
def test_benchmark_layouts(world: Path, name: str, values: set[int]) -> None:
    pairs = benchmark_pairs(world, name)
    assert len(pairs) == 8
    anomaly = 2 if 2 in values else 1
    seen: set[int] = set()
    for image, mask in pairs:
        labels = read(mask)
        assert labels.dtype == np.uint8
        assert read(image).shape == (*labels.shape, 3)
        assert (labels == anomaly).sum() >= 5, mask.name
        assert (labels == 0).sum() > 0
        seen |= set(np.unique(labels).tolist())
    assert seen == values


def test_a_finished_world_is_kept(world: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.rglob("*")}
    draw_world(world, frames=FRAMES, size=SIZE, seed=SEED)
    assert {path: path.stat().st_mtime_ns for path in world.rglob("*")} == before


def test_wrong_commands_get_one_sentence(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another toy world"):
        draw_world(world, frames=FRAMES, size=SIZE, seed=SEED + 1)
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(UserError, match="is not empty"):
        draw_world(tmp_path, frames=FRAMES, size=SIZE, seed=SEED)
    with pytest.raises(UserError, match="cannot make the folder"):
        draw_world(tmp_path / "mine.txt" / "world", frames=FRAMES, size=SIZE, seed=SEED)
    with pytest.raises(UserError, match="at least 1 frame"):
        draw_world(tmp_path / "new", frames=0, size=SIZE, seed=SEED)
    with pytest.raises(UserError, match="at least 64x32"):
        draw_world(tmp_path / "new", frames=1, size=(32, 32), seed=SEED)
    assert not (tmp_path / "new").exists()
