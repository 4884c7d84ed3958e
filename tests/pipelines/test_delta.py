"""Delta sets: direct build = delta + materialize, byte for byte; and no pixel of a frame in them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.coding import Packing, coder_of
from pipelines.engine import build
from pipelines.materialize import Materialized, materialize
from pipelines.recipe import Recipe, Sources
from pipelines.recipes import find_preset, find_recipe
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from pipelines.recipes.voidclass import VoidClass, VoidClassConfig
from pipelines.sources import frames as frame_module
from shards.config import resolve
from shards.delta import DeltaSet
from shards.errors import UserError
from shards.manifest import read_manifest, write_manifest
from shards.reader import ShardSet
from shards.rows import read_rejects, read_rows

DELTA = Packing(layout="delta")
FIELDS: dict[str, Any] = {"min_area": 0, "long_side": (0.2, 0.5), "min_visible": 1}

KINDS = [
    {},
    {"objects": (3, 5), "samples_per_frame": 2},
    {"blend": "feather", "feather_px": (16.0, 40.0), "inside": False},
    {"blend": "poisson", "sharpness": "frame", "noise": "frame"},
    {"style": "reinhard", "placement": "road", "occlusion": True},
    {"style": "histogram", "crop": 512},
    {"probability": 0.5, "size": (100, 70), "placement": "mixed"},
]


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mix(sources: Sources, **fields: Any) -> AnomalyMix:
    return AnomalyMix.open(AnomalyMixConfig(**{**FIELDS, **fields}), sources)


def both(recipe: Recipe, folder: Path, **packing: Any) -> tuple[Path, Path]:
    """A direct build and a delta set."""
    for name, layout in (("direct", "shards"), ("delta", "delta")):
        build(
            recipe,
            folder / name,
            count=9,
            seed=3,
            samples_per_shard=4,
            packing=Packing.model_validate({**packing, "layout": layout}),
        )
    return folder / "direct", folder / "delta"


def damage(path: Path) -> None:
    """Half of a file is gone, its size is not."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: "-".join(fields) or "default")
def test_materialised_is_what_a_direct_build_gives(sources: Sources, tmp_path: Path, fields: dict[str, Any]) -> None:
    direct, delta = both(mix(sources, **fields), tmp_path)
    summary = materialize(delta, sources.cityscapes, tmp_path / "laid")
    assert content(tmp_path / "laid") == content(direct)
    assert (summary.samples, summary.shards) == (9, 3)
    assert sorted(path.name for path in delta.glob("*.tar")) == sorted(path.name for path in direct.glob("*.tar"))


@pytest.mark.parametrize("preset", ["rpl", "pebal", "style-aligned"])
def test_presets(sources: Sources, tmp_path: Path, preset: str) -> None:
    entry = find_recipe("anomalymix")
    config = resolve(
        entry.config,
        preset=find_preset("anomalymix", preset),
        overrides=("min_area=0", "min_side=0", "min_visible=1", "probability=0.7"),
    )
    direct, delta = both(entry.open(config, sources), tmp_path, image_format="jpeg", quality=80)
    materialize(delta, sources.cityscapes, tmp_path / "laid")
    assert content(tmp_path / "laid") == content(direct)


def test_broken_objects_and_frames_are_recorded_as_a_direct_build_does(
    make_cityscapes: Any, make_coco: Any, rectangle: Any, tmp_path: Path
) -> None:
    cityscapes = make_cityscapes(7)
    things = [rectangle(n, (20, 20, 30, 20)) for n in (1, 2, 3)] + [rectangle(2, (1, 1, 0, 2))]
    coco = make_coco(things, images=dict.fromkeys((1, 2, 3), (60, 80)))
    damage(coco / "train2017" / f"{2:012d}.png")
    pictures = sorted(cityscapes.glob("leftImg8bit/train/*/*.png"))
    labels = sorted(cityscapes.glob("gtFine/train/*/*.png"))
    damage(pictures[0])  # its header is whole
    pictures[1].write_bytes(b"no picture")
    damage(labels[2])
    Image.fromarray(np.full((10, 10), 7, np.uint8)).save(labels[3])  # another size than its picture
    labels[4].unlink()  # a problem of the scan
    for name, fields in (("plain", {}), ("road", {"placement": "road", "probability": 0.6})):
        (tmp_path / name).mkdir()
        sources = Sources(cityscapes, coco=coco)
        direct, delta = both(mix(sources, **fields), tmp_path / name)
        materialize(delta, cityscapes, tmp_path / name / "laid")
        assert content(tmp_path / name / "laid") == content(direct)
        reasons = {row["reason"] for row in read_rejects(direct)}
        assert {"truncated-image", "unreadable-image", "size-mismatch", "image-without-labels", "bad-bbox"} & reasons
        assert read_manifest(delta).samples > read_manifest(direct).samples


def test_two_workers_and_an_interruption_change_no_byte(sources: Sources, tmp_path: Path) -> None:
    direct, delta = both(mix(sources), tmp_path)
    materialize(delta, sources.cityscapes, tmp_path / "two", workers=2)
    assert content(tmp_path / "two") == content(direct)
    part = materialize(delta, sources.cityscapes, tmp_path / "parts", shards=(1, 2))
    assert part.missing == 2
    materialize(delta, sources.cityscapes, tmp_path / "parts")
    assert content(tmp_path / "parts") == content(direct)
    # The plan is that of the direct build: one finishes the other.
    assert build(mix(sources), tmp_path / "parts", count=9, seed=3, samples_per_shard=4).complete
    (tmp_path / "parts" / "anomalymix-000001.tar").unlink()
    materialize(delta, sources.cityscapes, tmp_path / "parts", repair=True)
    assert content(tmp_path / "parts") == content(direct)


def test_no_pixel_of_a_frame_and_none_decoded(sources: Sources, tmp_path: Path, monkeypatch: Any) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("a frame was decoded")

    monkeypatch.setattr(frame_module, "read_image", never)
    monkeypatch.setattr(frame_module, "read_semantic", never)
    out = tmp_path / "delta"
    build(mix(sources), out, count=6, seed=3, packing=DELTA)
    with tarfile.open(out / "anomalymix-000000.tar") as tar:
        names = tar.getnames()
        rgb = [np.array(Image.open(tar.extractfile(name))) for name in names if "patches" in name]  # type: ignore[arg-type]
    assert names[:3] == [f"anomalymix-00000000.{suffix}" for suffix in ("patches.png", "masks.png", "json")]
    # The objects are red and green; frames are grey noise.
    colors = {tuple(color) for picture in rgb for color in picture.reshape(-1, 3).tolist()}
    assert colors <= {(0, 0, 0), (220, 30, 20), (20, 210, 40)}
    rows = read_rows(out)
    assert all("pixels" not in row and len(row["frame"]["crc32"]) == 8 for row in rows)
    assert read_manifest(out).pixels == {}
    assert read_manifest(out).packing["layout"] == "delta"
    assert "No pixel of Cityscapes" in (out / "README.md").read_text()


def test_changed_and_missing_frames_are_recorded(make_cityscapes: Any, make_coco: Any, tmp_path: Path) -> None:
    cityscapes = make_cityscapes(6)
    _, delta = both(mix(Sources(cityscapes, coco=make_coco())), tmp_path)
    pictures = sorted(cityscapes.glob("leftImg8bit/train/*/*.png"))
    Image.fromarray(255 - np.array(Image.open(pictures[0]))).save(pictures[0])
    pictures[1].unlink()
    materialize(delta, cityscapes, tmp_path / "laid")
    rejects = [row for row in read_rejects(tmp_path / "laid") if row["sample"]]
    assert {(row["reason"], row["input"][-13:-7]) for row in rejects} == {
        ("changed-frame", "000000"),
        ("missing-frame", "000001"),
    }
    assert len(read_rows(tmp_path / "laid")) == 9 - len(rejects)
    with pytest.raises(UserError, match=r"--strict: cityscapes/train/aachen_00000[01]"):
        materialize(delta, cityscapes, tmp_path / "strict", strict=True)


def test_another_data_set_is_refused_in_one_sentence(sources: Sources, make_cityscapes: Any, tmp_path: Path) -> None:
    direct, delta = both(mix(sources), tmp_path)
    other = make_cityscapes(3, name="other", kind="labelTrainIds")
    with pytest.raises(UserError, match=r"is not what .* was made over: its frames have the same names but other"):
        materialize(delta, other, tmp_path / "laid")
    for half in ("leftImg8bit", "gtFine"):
        for number in range(2):
            next(other.glob(f"{half}/train/*/*_{number:06d}_*")).unlink()
    with pytest.raises(UserError, match=r"it lacks 2 of its 3 frames, such as aachen_000000_000019\.$"):
        materialize(delta, other, tmp_path / "laid")
    with pytest.raises(UserError, match="is no delta set"):
        materialize(direct, sources.cityscapes, tmp_path / "laid")
    assert not (tmp_path / "laid").exists()


def test_a_damaged_delta_set_ends_in_a_sentence(sources: Sources, tmp_path: Path) -> None:
    direct, delta = both(mix(sources), tmp_path)
    tar = delta / "anomalymix-000001.tar"
    whole = tar.read_bytes()
    damage(tar)
    with pytest.raises(UserError, match=r"delta is damaged: anomalymix-000001\.tar has another sha256"):
        materialize(delta, sources.cityscapes, tmp_path / "laid")
    tar.write_bytes(whole)
    materialize(delta, sources.cityscapes, tmp_path / "laid")
    assert content(tmp_path / "laid") == content(direct)
    (delta / "rejects.jsonl").write_text("nothing")
    with pytest.raises(UserError, match=r"delta is damaged: line 1 of rejects\.jsonl"):
        materialize(delta, sources.cityscapes, tmp_path / "again")


def test_only_what_is_laid_over_plain_frames_makes_a_delta(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--layout delta stores what is pasted .* voidclass"):
        coder_of(VoidClass.open(VoidClassConfig(), sources), 0, DELTA)
    direct, delta = both(CityscapesRecipe.open(CityscapesConfig(), sources), tmp_path)
    materialize(delta, sources.cityscapes, tmp_path / "laid")
    assert content(tmp_path / "laid") == content(direct)


@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: "-".join(fields) or "default")
def test_streamed_as_if_it_were_materialised(sources: Sources, tmp_path: Path, fields: dict[str, Any]) -> None:
    direct, delta = both(mix(sources, **fields), tmp_path)
    plain = CityscapesRecipe.open(CityscapesConfig(size=fields.get("size")), sources)
    build(plain, tmp_path / "frames", samples_per_shard=2)
    expected, found = ShardSet(direct), DeltaSet(delta, tmp_path / "frames")
    assert (len(found), found.keys) == (len(expected), expected.keys)
    rng = np.random.default_rng(0)
    for index, (sample, streamed) in enumerate(zip(expected, found, strict=True)):
        assert (sample.key, dict(sample.meta)) == (streamed.key, dict(streamed.meta))
        for name in ("image", "anomaly", "semantic"):
            np.testing.assert_array_equal(getattr(streamed, name), getattr(sample, name))
        coded = found.coded(index)
        assert (coded.height, coded.width) == sample.anomaly.shape
        for _ in range(12):
            left, top = int(rng.integers(coded.width)), int(rng.integers(coded.height))
            width, height = (int(rng.integers(1, side + 1)) for side in (coded.width - left, coded.height - top))
            part = coded.decode((left, top, width, height))
            for name in ("image", "anomaly", "semantic"):
                wanted = getattr(sample, name)[top : top + height, left : left + width]
                np.testing.assert_array_equal(getattr(part, name), wanted)
            assert "pixels" not in part.meta


def test_streaming_leaves_out_what_the_frames_had_to_leave_out(
    make_cityscapes: Any, make_coco: Any, tmp_path: Path
) -> None:
    sources = Sources(make_cityscapes(4), coco=make_coco())
    damage(min(sources.cityscapes.glob("leftImg8bit/train/*/*.png")))
    direct, delta = both(mix(sources), tmp_path)
    build(CityscapesRecipe.open(CityscapesConfig(), sources), tmp_path / "frames")
    assert DeltaSet(delta, tmp_path / "frames").keys == ShardSet(direct).keys
    assert len(ShardSet(direct)) < len(ShardSet(delta))


def test_frames_that_do_not_go_with_a_delta_set(sources: Sources, make_cityscapes: Any, tmp_path: Path) -> None:
    direct, delta = both(mix(sources), tmp_path)
    scaled = CityscapesRecipe.open(CityscapesConfig(size=(64, 32)), sources)
    build(scaled, tmp_path / "scaled")
    few = CityscapesRecipe.open(CityscapesConfig(), sources)
    build(few, tmp_path / "few", count=2)
    relabelled = Sources(make_cityscapes(3, name="relabelled", kind="labelTrainIds"))
    build(CityscapesRecipe.open(CityscapesConfig(), relabelled), tmp_path / "other")
    for base, words in (
        ("scaled", "have the size 64x32, those of .* of their files: build"),
        ("few", r"1 of its 3 frames are missing in it, such as cityscapes/train/"),
        ("other", "3 of its 3 frames are other files"),
        ("direct", "is no set of plain frames"),
    ):
        with pytest.raises(UserError, match=words):
            DeltaSet(delta, tmp_path / base)
    with pytest.raises(UserError, match="is no delta set"):
        DeltaSet(direct, tmp_path / "scaled")


def test_a_delta_set_crosses_into_workers(sources: Sources, tmp_path: Path) -> None:
    _, delta = both(mix(sources), tmp_path)
    recipe = Materialized.open(delta, sources.cityscapes)
    copy = pickle.loads(pickle.dumps(recipe))
    assert [copy.input_of(3, index) for index in range(9)] == [mix(sources).input_of(3, index) for index in range(9)]
    assert isinstance(copy, Recipe)
    base = recipe.base(3, 8)
    shutil.rmtree(delta)
    with pytest.raises(UserError, match=r"delta is damaged: anomalymix-000000\.tar: No such file"):
        recipe.change(3, 0, base)


@pytest.mark.real
def test_real_frames(shared: Path, tmp_path: Path) -> None:
    sources = Sources(shared / "data" / "cityscapes", coco=shared / "data" / "coco")
    recipe = AnomalyMix.open(AnomalyMixConfig(), sources)
    direct, delta = both(recipe, tmp_path)
    materialize(delta, sources.cityscapes, tmp_path / "laid")
    assert content(tmp_path / "laid") == content(direct)
    sizes = [sum(path.stat().st_size for path in folder.glob("*.tar")) for folder in (delta, direct)]
    assert 15 * sizes[0] < sizes[1]
    row = json.loads((delta / "samples.jsonl").read_text().splitlines()[0])
    assert row["delta"]["frame"] == [2048, 1024]


def test_more_samples_than_there_are(tmp_path: Path, sources: Sources) -> None:
    _, delta = both(mix(sources), tmp_path)
    manifest = read_manifest(delta).model_copy(update={"count": 10**14})
    write_manifest(delta, manifest)
    with pytest.raises(UserError, match=f"its manifest speaks of {10**14} samples"):
        materialize(delta, sources.cityscapes, tmp_path / "out")


def test_pipes_are_not_waited_for(tmp_path: Path, sources: Sources) -> None:
    _, delta = both(mix(sources), tmp_path)
    shard = min(delta.glob("*.tar"))
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(UserError, match=rf"is damaged: {shard.name} is no file"):
        materialize(delta, sources.cityscapes, tmp_path / "out")
