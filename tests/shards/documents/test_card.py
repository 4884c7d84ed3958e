from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards.documents import DOCUMENTS, write_documents
from shards.documents.card import card
from shards.documents.heatmap import heat_map
from shards.documents.licences import licence_rows
from shards.documents.statistics import GRID, frame_size, statistics
from shards.manifest import Manifest, read_manifest
from shards.rows import read_rows


def written(folder: Path) -> dict[str, bytes]:
    files = write_documents(folder, read_manifest(folder), read_rows(folder))
    return {file.name: file.read_bytes() for file in files}


def text(folder: Path) -> str:
    return card(read_manifest(folder), read_rows(folder), aspect=2.0)


def test_the_frame_follows_from_its_pixels() -> None:
    assert frame_size({"pixels": {"known": 2048 * 1000, "anomaly": 2048 * 20, "ignore": 2048 * 4}}, 2.0) == (
        2048,
        1024,
    )
    assert frame_size({"pixels": {"known": 700 * 700}}, 1.0) == (700, 700)


def test_objects_are_counted_by_category_size_and_place(make_set: Any) -> None:
    counts = statistics(read_rows(make_set()), 2.0)
    # Samples 0..4: dog, frisbee, dog, dog, frisbee; frames are 64x32, a place of the grid 2x2 pixels.
    assert counts.categories == (("dog", 3), ("frisbee", 2))
    assert (counts.samples, counts.mixed, counts.objects) == (5, 5, 5)
    assert counts.long_sides == (0, 0, 1, 2, 0, 2, 0)  # 2/32, twice 4/32, twice 16/32 of the height
    assert counts.pixels == (3, 2, 0, 0, 0, 0, 0)  # 4, twice 16, twice 128 pixels
    expected = np.zeros(GRID)
    expected[4:8, 4:12] = 2 / 5
    expected[10:12, 20:22] = 2 / 5
    expected[0, 0] = 1 / 5
    np.testing.assert_allclose(counts.placement, expected)


def test_boxes_at_the_edge_and_thin_ones_keep_a_place() -> None:
    rows = [
        {"pixels": {"known": 2048}, "objects": [{"category": "dog", "box": [63, 31, 1, 1], "pixels": 1}]},
        {"pixels": {"known": 2048}, "objects": [{"category": "dog+cat", "box": [10, 10, 1, 20], "pixels": 20}]},
    ]
    counts = statistics(rows, 2.0)
    assert counts.placement[-1, -1] == 0.5
    assert counts.placement[5:15, 5].tolist() == [0.5] * 10
    assert counts.categories == (("dog", 2), ("cat", 1))


def test_the_heat_map_runs_from_dark_to_bright() -> None:
    drawn = heat_map(np.array([[0.0, 0.1], [0.2, 0.4]]))
    brightness = [int(drawn[row, column].sum()) for row, column in ((0, 0), (0, 16), (16, 0), (16, 16))]
    assert brightness == sorted(brightness)
    assert len(set(brightness)) == 4
    assert heat_map(np.zeros(GRID))[0, 0].max() < 60


def test_the_card_tells_what_the_set_holds(make_set: Any) -> None:
    page = text(make_set())
    header = page.split("---")[1]
    assert "license: other" in header
    assert "- image-segmentation" in header
    assert "- n<1K" in header
    assert "| dog | 3 | 60.0 % |" in page
    assert "| tiny | 1 |" in page
    assert "![Heat map" in page
    assert "mix-{000000..000002}.tar" in page
    assert "--coco COCO --coco-split train2017" in page
    assert "--count 5 --seed 0 --samples-per-shard 2" in page
    block = page.split("```json\n")[1].split("```")[0]
    assert json.loads(block) == {"size": None}


def test_what_stays_restricted_is_said(make_set: Any) -> None:
    page = text(make_set())
    assert "Every frame comes from Cityscapes" in page
    assert "1 picture is under a NonCommercial licence." in page
    assert "1 picture is under a NoDerivs licence" in page
    assert "1 picture names no known licence" in page
    assert "| none named | 1 | 1 | unknown |" in page


def test_plain_frames_have_no_histograms(make_set: Any) -> None:
    folder = make_set()
    rows = [{**row, "objects": []} for row in read_rows(folder)]
    files = write_documents(folder, read_manifest(folder), rows)
    assert [file.name for file in files] == ["README.md", "croissant.json"]
    assert "placement" not in files[0].read_text()


def test_words_of_other_people_stay_words(make_set: Any) -> None:
    folder = make_set()
    rows = read_rows(folder)
    rows[0]["objects"][0].update(category="a|b\n<script>", licence="x](javascript:1)", licence_url="javascript:2")
    page = card(read_manifest(folder), rows, aspect=2.0)
    assert "a\\|b \\<script\\>" in page
    assert "(javascript:2)" not in page


def test_equal_sets_have_equal_documents_without_a_path(make_set: Any, tmp_path: Path) -> None:
    first, second = written(make_set("a")), written(make_set("b"))
    assert first == second
    assert set(first) == set(DOCUMENTS)
    for data in first.values():
        assert str(tmp_path).encode() not in data
    with Image.open(tmp_path / "a" / "placement.png") as picture:
        assert picture.size[0] == 32 * 16


def test_each_picture_is_listed_with_its_licence(make_set: Any) -> None:
    rows = licence_rows(read_rows(make_set()))
    assert [(row["image_id"], row["objects"]) for row in rows] == [(11, 2), (12, 2), (13, 1)]
    assert [row["derivatives"] for row in rows] == [True, False, False]
    assert rows[1]["licence_url"].endswith("by-nc-nd/2.0/")


@pytest.mark.parametrize(
    ("count", "word"), [(999, "n<1K"), (1000, "1K<n<10K"), (10_000_000, "10M<n<100M"), (1_000_000, "1M<n<10M")]
)
def test_size_categories(make_set: Any, count: int, word: str) -> None:
    manifest = read_manifest(make_set())
    shards = [manifest.shards[0].model_copy(update={"samples": count})]
    assert f"- {word}\n" in card(Manifest(**{**dict(manifest), "shards": shards}), (), aspect=2.0)


def test_hugging_face_finds_the_tars_by_the_card(make_set: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    folder = make_set()
    written(folder)
    builder = datasets.load_dataset_builder(str(folder), cache_dir=str(folder.parent / "cache"))
    assert [Path(name).name for name in builder.config.data_files["train"]] == [
        f"mix-{number:06d}.tar" for number in range(3)
    ]
