from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards.errors import UserError
from shards.inspect import Filters, contact_sheet, label_overlay, rejected
from shards.inspect.page import sheet
from shards.inspect.views import close, reduced, tile
from shards.manifest import read_manifest, write_manifest
from shards.reader import ShardSet
from shards.rows import read_rows, row_lines
from shards.sample import Sample
from shards.writer import write_shard


def sample(size: tuple[int, int] = (32, 64)) -> Sample:
    anomaly = np.zeros(size, np.uint8)
    anomaly[8:16, 8:24] = 1
    anomaly[:, 60:] = 255
    return Sample("k", np.full((*size, 3), 120, np.uint8), anomaly, np.zeros(size, np.uint8))


def shown(folder: Path, out: Path, **options: Any) -> list[str]:
    """Keys on the page, in its order."""
    page = contact_sheet(folder, out, width=64, **options)[1].read_text()
    return [part.split("   ")[0] for part in page.split("<figcaption>")[1:]]


def frames(root: Path, numbers: range) -> Path:
    """A Cityscapes with a plain grey frame for each sample."""
    for number in numbers:
        stem = f"town_{number:06d}_000019"
        for folder, ending, pixels in (
            ("leftImg8bit", "leftImg8bit", np.full((64, 128, 3), 10 * number + 50, np.uint8)),
            ("gtFine", "gtFine_labelIds", np.zeros((64, 128), np.uint8)),
        ):
            path = root / folder / "train" / "town" / f"{stem}_{ending}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


def test_the_overlay_shows_each_label() -> None:
    drawn = label_overlay(sample())
    assert drawn[2, 2].tolist() == [120, 120, 120]
    assert drawn[12, 12, 0] > 150 > drawn[12, 12, 2]
    assert drawn[2, 62].max() < 100


def test_small_anomalies_survive_the_reduction() -> None:
    anomaly = np.zeros((512, 1024), np.uint8)
    anomaly[101:105, 201:205] = 1
    big = Sample("k", np.zeros((512, 1024, 3), np.uint8), anomaly, np.full((512, 1024), 255, np.uint8))
    small = reduced(big, 128)
    assert small.image.shape == (64, 128, 3)
    assert small.anomaly.sum() == 1
    assert (small.semantic == 255).all()


def test_the_smallest_object_is_seen_close_by() -> None:
    ramp = np.arange(1024, dtype=np.uint16)[None, :].repeat(512, 0)
    image = np.stack([ramp // 4, np.arange(512)[:, None].repeat(1024, 1) // 2, 0 * ramp], 2).astype(np.uint8)
    anomaly = np.zeros((512, 1024), np.uint8)
    anomaly[200:232, 500:520] = 1
    boxes = [[0, 0, 300, 300], [500, 200, 20, 32], [990, 500, 40, 40], "far", [1, 2, 3]]
    zeros = np.zeros_like(anomaly)

    def seen(boxes: list[Any], anomaly: np.ndarray = zeros) -> Any:
        meta = {"objects": [{"box": box} for box in boxes]}
        return close(Sample("k", image, anomaly, zeros, meta=meta), (128, 64))

    # 32 of 512 rows: 64 rows and 128 columns around its middle at (510, 216)
    np.testing.assert_array_equal(seen(boxes), image[184:248, 446:574])
    assert seen([]) is None
    np.testing.assert_array_equal(seen([], anomaly), seen(boxes))
    anomaly[300:420, 20:800] = 1  # larger than the first one
    anomaly[10, 10] = 1  # a speck
    np.testing.assert_array_equal(seen([], anomaly), seen(boxes))
    # In a corner the view ends where the picture does, and a tiny object is enlarged.
    assert seen([[1020, 508, 4, 4]]).shape == (64, 128, 3)
    assert seen([[1020, 508, 4, 4]])[-1, -1].tolist() == [255, 255, 0]
    assert len(np.unique(seen([[1020, 508, 4, 4]])[..., 1])) <= 5


def test_what_is_stored_beside_a_sample_is_seen() -> None:
    maps = {"predicted": np.zeros((32, 64), np.uint8), "entropy": np.full((32, 64), 7, np.uint8)}
    maps |= {"synthesis": np.full((32, 64, 3), (1, 2, 3), np.uint8), "another": np.full((32, 64), 9, np.uint8)}
    views = dict(tile(replace(sample(), extras=maps), None, 16).views)
    assert list(views) == [
        "image", "labels", "semantic", "predicted", "synthesis", "entropy", "another", "close",
    ]  # fmt: skip
    assert all(view.shape == (8, 16, 3) for view in views.values())
    assert views["predicted"][0, 0].tolist() == [128, 64, 128]  # road
    assert views["synthesis"][0, 0].tolist() == [1, 2, 3]
    assert views["entropy"][0, 0].tolist() == [7, 7, 7]
    assert "close" not in dict(tile(replace(sample(), anomaly=np.zeros((32, 64), np.uint8)), None, 16).views)


def test_the_sheet_of_an_enriched_set_shows_what_is_compared() -> None:
    colors = {"predicted": (128, 64, 128), "synthesis": (1, 2, 3), "entropy": (7, 7, 7)}
    maps = {"predicted": np.zeros((32, 64), np.uint8), "entropy": np.full((32, 64), 7, np.uint8)}
    maps |= {"synthesis": np.full((32, 64, 3), (1, 2, 3), np.uint8), "another": np.full((32, 64), 9, np.uint8)}
    drawn = tile(replace(sample(), extras=maps), None, 64)
    picture = np.asarray(Image.open(io.BytesIO(sheet([drawn, drawn]))))
    assert picture.shape[1] == 5 * (64 + 6) + 6
    for place, color in enumerate(colors.values(), 2):
        for top in (6, picture.shape[0] // 2 + 6):  # one sample a row
            assert picture[top + 16, 6 + place * 70 + 32].tolist() == list(color)


def test_a_sheet_and_a_page_are_written(make_set: Any, tmp_path: Path) -> None:
    folder = make_set()
    rows = read_rows(folder)
    first = contact_sheet(folder, tmp_path / "a", limit=3, width=128)
    again = contact_sheet(folder, tmp_path / "b", limit=3, width=128)
    assert [file.name for file in first] == ["contact-sheet.png", "index.html"]
    assert [a.read_bytes() for a in first] == [b.read_bytes() for b in again]
    with Image.open(first[0]) as sheet:
        assert sheet.size[0] > 4 * 128
    page = first[1].read_text()
    assert page.count("<figure>") == 3
    assert "Shown: 3 of 5 samples." in page
    assert "tiny 1" in page
    assert "<ul>" not in page
    assert rows[0]["objects"][0]["licence_url"].startswith("http")
    assert 'src="http' not in page


def test_names_are_escaped(make_set: Any, tmp_path: Path) -> None:
    folder = make_set(recipe="<dog>")
    page = contact_sheet(folder, tmp_path / "a", width=64)[1].read_text()
    assert "&lt;dog&gt;" in page
    assert "<dog>" not in page


def test_only_what_passes_is_shown(make_set: Any, tmp_path: Path) -> None:
    # Samples 0..4: a dog of 128 pixels, a frisbee of 16, a dog of 4, and again.
    folder = make_set()
    out = tmp_path / "out"
    keys = [f"mix-{number:08d}" for number in range(5)]
    assert shown(folder, out) == keys
    assert shown(folder, out, filters=Filters(("dog",))) == [keys[0], keys[2], keys[3]]
    assert shown(folder, out, filters=Filters(("dog", "frisbee"), max_size=16)) == [keys[1], keys[2], keys[4]]
    assert shown(folder, out, filters=Filters(("dog",), min_size=5)) == [keys[0], keys[3]]
    assert shown(folder, out, filters=Filters(min_size=16, max_size=16, recipe="mix")) == [keys[1], keys[4]]
    page = contact_sheet(folder, out, filters=Filters(("dog",), 5), width=64, limit=1)[1].read_text()
    assert "Shown: 1 of 2 samples with category dog, at least 5 pixels." in page


def test_without_objects_all_anomaly_pixels_count_together() -> None:
    row = {"pixels": {"anomaly": 50}, "objects": []}
    assert Filters(min_size=50, max_size=50).passes(row)
    assert not Filters(min_size=51).passes(row)
    assert not Filters(("dog",), min_size=50).passes(row)


@pytest.mark.parametrize(("anomaly", "said"), [(1, "void objects"), (0, "no anomaly")])
def test_what_was_never_pasted_is_called_so(anomaly: int, said: str) -> None:
    label = np.full((32, 64), anomaly, np.uint8)
    plain = Sample("key", np.zeros((32, 64, 3), np.uint8), label, np.zeros((32, 64), np.uint8), meta={})
    assert f"\n{said}   anomaly {100 * anomaly:.2f} %" in tile(plain, None, 32).caption


def test_one_object_must_have_both_category_and_size() -> None:
    row = {"objects": [{"category": "dog+cat", "pixels": 5}, {"category": "kite", "pixels": 500}]}
    assert Filters(("cat",), max_size=9).passes(row)
    assert not Filters(("cat",), min_size=100).passes(row)


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        (Filters(("cow",)), r"no object of the category 'cow'; its categories are: dog, frisbee\."),
        (Filters(recipe="void"), r"No sample was made by the recipe 'void'; there is: mix\."),
        (Filters(("frisbee",), min_size=17), "None of the 5 samples passes: category frisbee, at least 17 pixels"),
    ],
)
def test_nothing_passes(make_set: Any, tmp_path: Path, filters: Filters, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        contact_sheet(make_set(), tmp_path / "out", filters=filters)
    assert not (tmp_path / "out").exists()


def test_only_tars_with_chosen_samples_are_opened(make_set: Any, tmp_path: Path) -> None:
    folder = make_set()
    for name in ("mix-000000.tar", "mix-000002.tar"):
        (folder / name).unlink()
    assert shown(folder, tmp_path / "out", filters=Filters(("dog",), max_size=4)) == ["mix-00000002"]


def test_broken_samples_are_named_and_the_others_shown(make_set: Any, tmp_path: Path) -> None:
    folder = make_set()
    (folder / "mix-000001.tar").unlink()
    page = contact_sheet(folder, tmp_path / "out", width=64)[1].read_text()
    assert page.count("<figure>") == 3
    assert "<li>mix-00000002: bad-tar" in page


def test_before_stands_beside_after(make_set: Any, tmp_path: Path) -> None:
    folder = make_set(config={"size": [64, 32]})
    city = frames(tmp_path / "city", range(5))
    (file, _) = contact_sheet(folder, tmp_path / "out", cityscapes=city, width=64)
    with Image.open(file) as sheet:
        pixels = np.asarray(sheet)
    # Two samples a row; a view is 64x32, a gap 6 and a caption 34 pixels.
    for number in range(5):
        left, top = 6 + number % 2 * 146, 6 + number // 2 * 72
        assert (pixels[top : top + 32, left : left + 64] == 10 * number + 50).all()
    after = pixels[6 : 6 + 32, 6 + 70 : 6 + 70 + 64]
    np.testing.assert_array_equal(after[20:, :], ShardSet(folder)[0].image[20:])
    assert (after[7, 8:24] == 255).all()  # the contour lies around the dog, which begins in row 8


def test_a_crop_is_shown_as_it_was(make_set: Any, tmp_path: Path) -> None:
    folder = make_set(samples=1)
    city = frames(tmp_path / "city", range(1))
    path = city / "leftImg8bit" / "train" / "town" / "town_000000_000019_leftImg8bit.png"
    ramp = np.repeat(np.arange(128, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(path)
    rows = read_rows(folder)
    rows[0]["frame"]["crop"] = [30, 10, 64, 32]
    (folder / "samples.jsonl").write_bytes(row_lines(rows))
    (file, _) = contact_sheet(folder, tmp_path / "out", cityscapes=city, width=64)
    with Image.open(file) as sheet:
        assert np.asarray(sheet)[6, 6 : 6 + 64, 0].tolist() == list(range(30, 94))


def test_frames_of_another_folder(make_set: Any, tmp_path: Path) -> None:
    city = frames(tmp_path / "city", range(2))
    with pytest.raises(
        UserError, match="has no frame 'town_000002_000019': give the folder that the set was made of"
    ):
        contact_sheet(make_set(), tmp_path / "out", cityscapes=city)


def test_nothing_to_show(tmp_path: Path, make_set: Any) -> None:
    folder = make_set(samples=1)
    broken = Sample("mix-00000000", np.zeros((4, 4, 3), np.uint8), *[np.full((4, 4), 7, np.uint8)] * 2)
    record = write_shard(folder / "mix-000000.tar", [broken])
    write_manifest(folder, read_manifest(folder).model_copy(update={"shards": [record]}))
    with pytest.raises(UserError, match="could be decoded: mix-00000000: label-values"):
        contact_sheet(folder, tmp_path / "out")
    (folder / "samples.jsonl").write_text("")
    with pytest.raises(UserError, match="is empty"):
        contact_sheet(folder, tmp_path / "out")
    (folder / "samples.jsonl").write_text("half")
    with pytest.raises(UserError, match=r"line 1 of samples.jsonl is no row of it; `anomsynth verify"):
        contact_sheet(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rejects_are_listed_by_reason(make_set: Any) -> None:
    folder = make_set()
    assert rejected(folder, 9) == ["tiny: 1", "  coco/1: too small"]
    rows = [
        {"reason": "not-placed", "detail": "no room", "input": "", "sample": f"mix-{number}"} for number in range(3)
    ]
    (folder / "rejects.jsonl").write_bytes(row_lines(rows))
    assert rejected(folder, 2) == ["not-placed: 3", "  mix-0: no room", "  mix-1: no room", "  ... and 1 more"]
    (folder / "rejects.jsonl").write_text("")
    assert rejected(folder, 2) == ["Nothing was left out."]
    (folder / "rejects.jsonl").write_text("3")
    with pytest.raises(UserError, match=r"line 1 of rejects\.jsonl is no row of it"):
        rejected(folder, 2)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="does not exist"):
        rejected(folder, 2)


@pytest.mark.parametrize("change", [{"frame": [None]}, {"objects": [3]}, {"objects": {"a": 1}}])
def test_records_of_another_form_are_named(make_set: Any, tmp_path: Path, change: dict[str, Any]) -> None:
    folder = make_set(samples=1)
    before = ShardSet(folder)[0]
    record = write_shard(folder / "mix-000000.tar", [replace(before, meta={**before.meta, **change})])
    write_manifest(folder, read_manifest(folder).model_copy(update={"shards": [record]}))
    with pytest.raises(UserError, match=r"mix-00000000\.json is no record of a sample"):
        contact_sheet(folder, tmp_path / "out")


def test_a_size_that_is_none(make_set: Any, tmp_path: Path) -> None:
    folder = make_set(config={"size": ["a", "b"]})
    with pytest.raises(UserError, match="The manifest's configuration has a broken size"):
        contact_sheet(folder, tmp_path / "out", cityscapes=frames(tmp_path / "cityscapes", range(5)))
