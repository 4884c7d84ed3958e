"""`anomsynth build`: what its options do to the set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.manifest import read_manifest
from shards.reader import ShardSet

Run = Callable[..., Any]


@pytest.fixture
def mix(run: Run, world: Path) -> Run:
    """`build anomalymix` over the toy world with these words more."""

    def call(out: Path, *words: object) -> Any:
        return run(
            "build", "anomalymix", "--coco", world / "coco", "--cityscapes", world / "cityscapes", "--out", out,
            "--set", "min_area=100", "--set", "min_visible=4", *words,
        )  # fmt: skip

    return call


def test_samples_per_frame(mix: Run, tmp_path: Path) -> None:
    outcome = mix(tmp_path / "out", "--samples-per-frame", 3, "--count", 6, "--workers", 1)
    assert outcome.status == 0, outcome.err
    rows = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    frames = [row["frame"]["id"] for row in rows]
    assert frames == [frames[0]] * 3 + [frames[3]] * 3
    assert frames[0] != frames[3]
    assert read_manifest(tmp_path / "out").config["samples_per_frame"] == 3


@pytest.mark.parametrize(("form", "suffix"), [("png", "png"), ("webp", "webp"), ("jpeg", "jpg")])
def test_image_formats(mix: Run, tmp_path: Path, form: str, suffix: str) -> None:
    outcome = mix(tmp_path / "out", "--image-format", form, "--count", 1, "--workers", 1)
    assert outcome.status == 0, outcome.err
    assert sorted(ShardSet(tmp_path / "out").raw(0)) == sorted(
        ["anomaly.png", f"image.{suffix}", "json", "semantic.png"]
    )


def test_quality(mix: Run, tmp_path: Path) -> None:
    sizes = []
    for quality in (30, 95):
        out = tmp_path / str(quality)
        outcome = mix(out, "--image-format", "jpeg", "--quality", quality, "--count", 1, "--workers", 1)
        assert outcome.status == 0, outcome.err
        assert read_manifest(out).packing["quality"] == quality
        sizes.append(len(ShardSet(out).raw(0)["image.jpg"]))
    assert sizes[0] < sizes[1] / 2
    outcome = mix(tmp_path / "png", "--quality", 90)
    assert (outcome.status, outcome.err) == (1, "Error: --quality is of --image-format jpeg; png is lossless.\n")
    assert not (tmp_path / "png").exists()


def test_license_filter(mix: Run, tmp_path: Path) -> None:
    outcome = mix(tmp_path / "out", "--license-filter", "commercial-allowed", "--dry-run")
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["config"]["licences"] == "commercial-allowed"
    outcome = mix(tmp_path / "out", "--license-filter", "free", "--dry-run")
    assert outcome.status != 0


def test_shards_by_several_calls(mix: Run, tmp_path: Path) -> None:
    numbers = ("--count", 6, "--samples-per-shard", 2, "--workers", 1)
    outcome = mix(tmp_path / "out", *numbers, "--shards", "1:3")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("Made 4 samples of 128x64 in 2 shards")
    assert outcome.out.endswith("1 shard of the set is still to be made; then it is complete.\n")
    assert not (tmp_path / "out" / "manifest.json").exists()
    outcome = mix(tmp_path / "out", *numbers, "--shards", ":1")
    assert outcome.out.startswith("Made 6 samples of 128x64 in 3 shards")
    assert len(ShardSet(tmp_path / "out")) == 6
    (tmp_path / "out" / "anomalymix-000001.tar").unlink()
    assert mix(tmp_path / "out", *numbers, "--repair").out == "Made again: anomalymix-000001.tar.\n"
    again = mix(tmp_path / "out", *numbers, "--repair")
    assert again.out == "Nothing to repair: 6 samples of 128x64 in 3 shards, all as their manifest says.\n"


@pytest.mark.parametrize("word", ["3", "a:b", "1:2:3", "-1:2"])
def test_words_that_are_no_shards(mix: Run, tmp_path: Path, word: str) -> None:
    outcome = mix(tmp_path / "out", f"--shards={word}")
    assert outcome.status == 1
    assert outcome.err.startswith(f"Error: Cannot read the shards {word!r}: write them like 100:200")


@pytest.mark.parametrize("word", ["3:3", ":0", "4:3"])
def test_ranges_without_a_shard(mix: Run, tmp_path: Path, word: str) -> None:
    outcome = mix(tmp_path / "out", "--dry-run", "--shards", word)
    assert outcome.err.startswith(f"Error: --shards {word} is empty: the second number is not made")


def test_urls(run: Run, world: Path, tmp_path: Path) -> None:
    """Of files: what comes out lies where the URL says."""
    words = ("--set", "min_area=100", "--set", "min_visible=4", "--count", 2, "--workers", 1)
    outcome = run(
        "build", "anomalymix", "--coco", f"file://{world / 'coco'}", "--cityscapes", f"file://{world / 'cityscapes'}",
        "--out", f"file://{tmp_path / 'out'}", *words,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert len(ShardSet(tmp_path / "out")) == 2
    outcome = run("build", "cityscapes", "--cityscapes", world / "cityscapes", "--out", "memory://a/b")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("Error: --out memory://a/b would be gone as soon as this command ends: give a ")
    outcome = run("build", "cityscapes", "--cityscapes", "gopher://a/b", "--out", tmp_path / "other")
    assert outcome.err == "Error: gopher://a/b: nothing here opens gopher:// URLs; give a folder, or such as s3://.\n"


def test_the_size_of_crops_is_told(mix: Run, tmp_path: Path) -> None:
    outcome = mix(tmp_path / "out", "--set", "crop=700", "--size", "256x128", "--dry-run", "--count", 2)
    assert json.loads(outcome.out)["inputs"]["sample_size"] == "88x88"  # 700 of 1024 pixels
    assert outcome.err.startswith("This would make 2 samples of 88x88 in 1 shard")
    outcome = mix(tmp_path / "out", "--set", "crop=700", "--size", "256x128", "--count", 2, "--workers", 1)
    assert outcome.out.startswith("Made 2 samples of 88x88 in 1 shard"), outcome.err
    assert ShardSet(tmp_path / "out")[0].image.shape == (88, 88, 3)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("min_visible=100000000",), "no object found room; set min_visible (now 100000000) to less, long_side to "),
        (("probability=0",), "probability is 0; set a greater one."),
    ],
)
def test_sets_without_an_anomaly_are_told(mix: Run, tmp_path: Path, words: tuple[str], advice: str) -> None:
    outcome = mix(tmp_path / "out", "--count", 2, "--workers", 1, *("--set", *words), "--set", "objects=[1,1]")
    assert outcome.status == 0, outcome.err
    assert f"No sample has an anomaly, so the set teaches nothing about them: {advice}" in outcome.out
    assert ("2 objects found no room: their samples go without" in outcome.out) == ("no object" in advice)
    assert "left out" not in outcome.out


def test_void_without_an_anomaly(run: Run, world: Path, tmp_path: Path) -> None:
    words = ("build", "voidclass", "--cityscapes", world / "cityscapes", "--count", 2, "--workers", 1)
    outcome = run(*words, "--out", tmp_path / "a", "--set", "anomaly_ids=[10]")
    assert "none of the labelIds [10] is in the frames; set anomaly_ids to others.\n" in outcome.out
    outcome = run("inspect", tmp_path / "a", "--min-size", 5)
    assert outcome.err == "Error: No sample of the set has an anomaly: filters by size do not apply to it.\n"
    outcome = run("inspect", tmp_path / "a", "--category", "dog")
    assert outcome.err == "Error: The set has no pasted objects: filters by category do not apply to it.\n"


def test_the_share_of_anomalies_is_told_beside_the_published_ones(run: Run, world: Path, tmp_path: Path) -> None:
    words = ("build", "voidclass", "--cityscapes", world / "cityscapes", "--out", tmp_path / "a", "--workers", 1)
    assert "labelled pixels" not in run(*words, "--dry-run").out
    outcome = run(*words)
    pixels = read_manifest(tmp_path / "a").pixels
    share = pixels["anomaly"] / (pixels["anomaly"] + pixels["known"])
    assert 0.001 < share < 0.9
    assert (
        f"Anomalies are {share:.1%} of the labelled pixels; SynBoost's published class weights imply 11.2% with "
        "void, 4.2% without void." in outcome.out
    )


def test_the_rate_is_that_of_this_call(mix: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anomsynth.commands import summary
    from pipelines.engine import BuildSummary

    seen: list[BuildSummary] = []
    told = summary.print_summary
    monkeypatch.setattr(summary, "print_summary", lambda found, size: (seen.append(found), told(found, size)))
    numbers = ("--count", 5, "--samples-per-shard", 2, "--workers", 1)
    mix(tmp_path / "out", *numbers, "--shards", "1:3")
    mix(tmp_path / "out", *numbers)
    assert [(found.samples, found.made) for found in seen] == [(3, 3), (5, 2)]
    assert seen[1].resumed == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--placement", "road"), "No such option: --placement. placement is a field: write --set placement=VALUE."),
        (("--set-by", "road"), "No such option: --set-by"),
        (("--preset", "pebbl"), "'--preset': 'pebbl' is not one of"),
        (("--preset", "pebbl"), "Did you mean 'pebal'?"),
        (("--engine", "3"), "'--engine': '3' is not one of 'local', 'ray'."),
    ],
)
def test_words_that_are_no_options(mix: Run, tmp_path: Path, words: tuple[str, str], said: str) -> None:
    outcome = mix(tmp_path / "out", *words)
    assert outcome.status == 2
    assert "".join(said.split()) in "".join(outcome.err.replace("│", "").split())
    assert "Value error" not in outcome.err


def test_a_licence_filter_is_named_by_its_option(mix: Run, tmp_path: Path) -> None:
    outcome = mix(tmp_path / "out", "--set", "licences=free")
    assert outcome.err.startswith("Error: Field 'licences' (--license-filter): Input should be 'any', 'known'")
