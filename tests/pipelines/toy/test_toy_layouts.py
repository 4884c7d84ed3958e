"""Every further layout that the toy draws is found, read and judged like the download that it stands for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import BenchmarkFrame, count_pixels, find_sets, read_frame
from eval.benchmarks.layout import describe_layout
from eval.benchmarks.smiyc import find_submission
from pipelines.toy.cityscapes import write_cityscapes
from pipelines.toy.layouts import FRAMES, LAYOUTS, write_layouts

SIZE, SEED = (128, 64), 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("layouts")
    for _ in write_cityscapes(out / "cityscapes", "val", FRAMES, SIZE, SEED):
        pass
    assert sum(1 for _ in write_layouts(out / "layouts", SIZE, SEED)) == FRAMES * len(LAYOUTS)
    return out


@pytest.mark.parametrize(
    ("benchmark", "folder", "frames", "groups"),
    [
        ("fishyscapes", "fs_val_v3", 4, {""}),
        ("lostandfound", "LostAndFound", 1, {""}),
        ("smiyc", "dataset_AnomalyTrack", 2, {""}),
        ("smiyc", "dataset_ObstacleTrack", 2, {""}),
        ("streethazards", "StreetHazards", 4, {"t5", "t6"}),
        ("acdc-poc", "ACDC_POC", 4, {"fog", "night", "rain", "snow"}),
        ("muad", "MUAD_challenge", 4, {""}),
        ("bdd-anomaly", "bdd100k", 3, {""}),
    ],
)
def test_each_layout_is_found_and_read(
    root: Path, benchmark: str, folder: str, frames: int, groups: set[str]
) -> None:
    words = [f"cityscapes={root / 'cityscapes'}"] if benchmark == "fishyscapes" else []
    (found,) = find_sets(benchmark, root / "layouts" / folder, words)
    assert (found.name, len(found.frames)) == (folder, frames)
    assert describe_layout(found).startswith(f"{folder}: {benchmark}, official layout (as published)\n")
    pixels = count_pixels(found)  # type: ignore[arg-type]
    assert pixels.anomaly > 20
    assert pixels.known > 500
    for frame in found.frames:
        assert isinstance(frame, BenchmarkFrame)
        image, label = read_frame(frame)
        assert image.shape == (*label.shape, 3)
    assert {frame.group for frame in found.frames if isinstance(frame, BenchmarkFrame)} == groups


def test_all_at_once_and_what_the_host_judges(root: Path) -> None:
    found = find_sets("all", root / "layouts", [f"fishyscapes.cityscapes={root / 'cityscapes'}"])
    assert {one.name for one in found} == set(LAYOUTS)
    assert [(one.name, len(one.frames)) for one in find_submission(root / "layouts")] == [
        ("dataset_AnomalyTrack", 4),
        ("dataset_ObstacleTrack", 4),
    ]


def test_overlays_change_only_what_is_an_anomaly(root: Path) -> None:
    (found,) = find_sets("fishyscapes", root / "layouts" / "fs_val_v3", [f"cityscapes={root / 'cityscapes'}"])
    for frame in found.frames:
        assert isinstance(frame, BenchmarkFrame)
        image, label = read_frame(frame)
        with Image.open(frame.image) as plain:
            changed = (np.asarray(plain) != image).any(2)
        assert changed.any()
        assert not changed[label != 1].any()


def test_the_same_seed_draws_the_same_bytes(root: Path, tmp_path: Path) -> None:
    for _ in write_layouts(tmp_path / "layouts", SIZE, SEED):
        pass
    files = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert len(files) == len([path for path in (root / "layouts").rglob("*") if path.is_file()])
    for path in files:
        assert path.read_bytes() == (root / path.relative_to(tmp_path)).read_bytes(), path.name
    shutil.rmtree(tmp_path / "layouts")
