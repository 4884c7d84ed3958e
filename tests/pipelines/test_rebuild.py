from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.engine import build
from pipelines.rebuild import rebuilder
from pipelines.recipe import Sources
from pipelines.recipes import find_recipe
from shards.config import resolve
from shards.errors import BadInput, UserError
from shards.manifest import read_manifest
from shards.verify import verify

MIX = ("min_area=50", "min_visible=10", "border=0")


@pytest.fixture
def sources(make_cityscapes: Any, make_coco: Any) -> Sources:
    return Sources(make_cityscapes(), coco=make_coco())


def made(recipe: str, sources: Sources, out: Path, *overrides: str) -> Path:
    entry = find_recipe(recipe)
    opened = entry.open(resolve(entry.config, overrides=overrides), sources)
    build(opened, out, count=5, seed=3, samples_per_shard=2)
    return out


@pytest.mark.parametrize(
    ("recipe", "overrides"),
    [("anomalymix", (*MIX, "size=64x32", "placement=mixed")), ("voidclass", ()), ("cityscapes", ("size=64x32",))],
)
def test_every_sample_is_made_again_byte_for_byte(
    sources: Sources, tmp_path: Path, recipe: str, overrides: tuple[str, ...]
) -> None:
    out = made(recipe, sources, tmp_path / "set", *overrides)
    remake = rebuilder(read_manifest(out), sources.cityscapes, sources.coco)
    report = verify(out, rebuild=remake, samples=5)
    assert report.problems == ()
    assert dict(report.facts)["rebuilt"] == "5 of 5 samples byte for byte"


def test_other_sources_are_refused(sources: Sources, make_cityscapes: Any, tmp_path: Path) -> None:
    out = made("anomalymix", sources, tmp_path / "set", *MIX)
    manifest = read_manifest(out)
    with pytest.raises(UserError, match="give its folder with --coco"):
        rebuilder(manifest, sources.cityscapes, None)
    other = make_cityscapes(4, name="other")
    with pytest.raises(UserError, match=r"cityscapes folder is not the one .* differs in bytes, files, sha256"):
        rebuilder(manifest, other, sources.coco)
    with pytest.raises(UserError, match="does not fit at 'gone'"):
        rebuilder(manifest.model_copy(update={"config": {"gone": 1}}), sources.cityscapes, sources.coco)
    with pytest.raises(UserError, match="There is no recipe 'lost'"):
        rebuilder(manifest.model_copy(update={"recipe": "lost"}), sources.cityscapes, sources.coco)


def test_a_frame_that_broke_since_cannot_be_made_again(sources: Sources, tmp_path: Path) -> None:
    out = made("cityscapes", sources, tmp_path / "set")
    picture = next(sources.cityscapes.glob("leftImg8bit/train/*/*.png"))
    data = picture.read_bytes()
    picture.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))  # the size stays
    remake = rebuilder(read_manifest(out), sources.cityscapes, None)
    problems = verify(out, rebuild=remake, samples=5).problems
    assert {problem.reason for problem in problems} == {"not-rebuilt"}
    with pytest.raises(BadInput):
        [remake(index) for index in range(5)]
