from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.engine import build
from pipelines.enrich import Enriched
from pipelines.rebuild import rebuilder
from pipelines.recipe import Sources, make
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.recipes.voidclass import VoidClass, VoidClassConfig
from shards.config import resolve
from shards.errors import UserError
from shards.manifest import read_manifest
from shards.reader import ShardSet
from shards.rows import read_rejects, read_rows
from shards.sample import EXTRAS
from shards.verify import verify


class PlainChain:
    """A chain of arithmetic: every map is a function of the picture and of the swapped labels."""

    size = (32, 16)

    def __init__(self, name: str = "plain") -> None:
        self.describe: Mapping[str, Any] = {"segmenter": name}
        self.looks = 0

    def look(
        self, image: np.ndarray, *, swapped: np.ndarray | None = None, key: str = ""
    ) -> Mapping[str, np.ndarray]:
        self.looks += 1
        small = np.ascontiguousarray(image[::4, ::4])
        predicted = (small[..., 0] % 19).astype(np.uint8)
        if swapped is not None:
            predicted = np.where(swapped[::4, ::4] != 255, swapped[::4, ::4], predicted)
        maps = {name: small[..., place % 3] for place, name in enumerate(EXTRAS)}
        return {"image": small} | maps | {"predicted": predicted, "synthesis": 255 - small}


@pytest.fixture
def plain(sources: Sources, tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    build(VoidClass.open(VoidClassConfig(), sources), folder, samples_per_shard=2)
    return folder


def test_a_set_with_its_maps(plain: Path, tmp_path: Path) -> None:
    chain = PlainChain()
    recipe = Enriched.open(plain, chain)
    summary = build(recipe, tmp_path / "out", count=recipe.default_count, samples_per_shard=2)
    before, after = ShardSet(plain), ShardSet(tmp_path / "out")
    assert after.keys == before.keys
    assert summary.samples == len(before) == chain.looks
    for old, new in zip(before, after, strict=True):
        seen = chain.look(old.image)
        np.testing.assert_array_equal(new.image, seen["image"])
        assert set(new.extras) == set(EXTRAS)
        for name in EXTRAS:
            np.testing.assert_array_equal(new.extras[name], seen[name])
        np.testing.assert_array_equal(new.anomaly, old.anomaly[2::4, 2::4])
        np.testing.assert_array_equal(new.semantic, old.semantic[2::4, 2::4])
        assert {**old.meta, "pixels": new.meta["pixels"]} == new.meta
        assert new.meta["pixels"]["anomaly"] == np.count_nonzero(new.anomaly == 1)
    assert verify(tmp_path / "out").problems == ()
    manifest = read_manifest(tmp_path / "out")
    assert manifest.config["source"]["sha256"] == hashlib.sha256((plain / "manifest.json").read_bytes()).hexdigest()
    with pytest.raises(UserError, match="enriched from another one"):
        rebuilder(manifest, plain, None)
    with pytest.raises(UserError, match="enriched already"):
        Enriched.open(tmp_path / "out", chain)


def test_another_chain_is_another_build(plain: Path, tmp_path: Path) -> None:
    build(Enriched.open(plain, PlainChain()), tmp_path / "out")
    assert build(Enriched.open(plain, PlainChain()), tmp_path / "out").complete
    with pytest.raises(UserError, match=r"config\.chain"):
        build(Enriched.open(plain, PlainChain("other")), tmp_path / "out")


def test_swapped_labels_reach_the_chain(make_cityscapes: Any, tmp_path: Path) -> None:
    from PIL import Image

    root: Path = make_cityscapes(3)
    for path in (root / "gtFine/train/aachen").glob("*_labelIds.png"):
        ids = np.array(Image.open(path)).astype(np.uint16)
        ids[32:40, 48:64], ids[32:40, 72:92], ids[44:48, 4:8] = 26000, 26001, 24000
        Image.fromarray(ids).save(path.with_name(path.name.replace("labelIds", "instanceIds")))
    config = resolve(VoidClassConfig, options={"mechanism": "swapped", "samples_per_frame": 3})
    build(VoidClass.open(config, Sources(root)), tmp_path / "plain")
    recipe = Enriched.open(tmp_path / "plain", PlainChain())
    some = 0
    for index in range(9):
        sample = make(recipe, 0, index)
        wrong = ShardSet(tmp_path / "plain")[index].extras["swapped"][::4, ::4]
        np.testing.assert_array_equal(sample.extras["predicted"][wrong != 255], wrong[wrong != 255])
        some += np.count_nonzero(wrong != 255)
        assert "swapped" not in sample.extras
    assert some


def test_what_the_set_lacks_is_lacking(make_cityscapes: Any, tmp_path: Path) -> None:
    root: Path = make_cityscapes(3)
    (root / "gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png").write_bytes(b"\x89PNG broken")
    build(VoidClass.open(VoidClassConfig(), Sources(root)), tmp_path / "plain")
    summary = build(Enriched.open(tmp_path / "plain", PlainChain()), tmp_path / "out")
    assert summary.samples == 2
    reasons = [(row["sample"], row["reason"]) for row in read_rejects(tmp_path / "plain")]
    assert [(row["sample"], row["reason"]) for row in read_rejects(tmp_path / "out")] == reasons
    assert len(reasons) == 1


def test_objects_are_on_record_in_the_new_pixels(sources: Sources, tmp_path: Path) -> None:
    build(AnomalyMix.open(AnomalyMixConfig(min_area=0), sources), tmp_path / "plain")
    build(Enriched.open(tmp_path / "plain", PlainChain()), tmp_path / "out")
    seen = 0
    for old, new, sample in zip(
        read_rows(tmp_path / "plain"), read_rows(tmp_path / "out"), ShardSet(tmp_path / "out"), strict=True
    ):
        for before, after in zip(old["objects"], new["objects"], strict=True):
            x, y, width, height = before["box"]
            left, top, across, down = after["box"]
            # A quarter of the size: the smallest whole pixels around it
            assert (left, top) == (x // 4, y // 4)
            assert (left + across, top + down) == (-(-(x + width) // 4), -(-(y + height) // 4))
            assert left + across <= 32
            assert top + down <= 16
            assert after["pixels"] == max(1, round(before["pixels"] / 16))
            assert {k: v for k, v in after.items() if k not in ("box", "pixels")} == {
                k: v for k, v in before.items() if k not in ("box", "pixels")
            }
            seen += 1
        assert sample.meta["objects"] == new["objects"]
    assert seen
    assert verify(tmp_path / "out").problems == ()


def test_the_card_tells_how_it_was_enriched(sources: Sources, tmp_path: Path) -> None:
    build(VoidClass.open(VoidClassConfig(), sources), tmp_path / "plain")
    chain = PlainChain()
    chain.describe = {"generator": {"kind": "pictures"}, "normalise": "range", "features": "vgg19"}
    build(Enriched.open(tmp_path / "plain", chain), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert (
        "anomsynth enrich SHARDS --checkpoint SEGMENTER --pictures PICTURES --size 32x16 --features vgg19 --vgg VGG "
        "--normalise range --out enriched"
    ) in card
    assert "`KEY.perceptual.png`" in card
    assert "anomsynth build" not in card.split("## Making it again")[1]
    assert "the set whose manifest.json has the SHA-256" in card
    assert "## Building it again" in (tmp_path / "plain" / "README.md").read_text()


def test_delta_sets_are_refused(sources: Sources, tmp_path: Path) -> None:
    from pipelines.coding import Packing

    build(AnomalyMix.open(AnomalyMixConfig(min_area=0), sources), tmp_path / "delta", packing=Packing(layout="delta"))
    with pytest.raises(UserError, match="materialize"):
        Enriched.open(tmp_path / "delta", PlainChain())
