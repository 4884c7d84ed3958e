"""Sets that are trained on or looked at where they lie: delta sets over their frames, sets behind URLs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shards.places import located, remove_tree
from shards.writer import write_atomically

Run = Callable[..., Any]
QUICK = ("--steps", 3, "--batch", 2, "--device", "cpu", "--threads", 1)


@pytest.fixture
def built(world: Path, tmp_path: Path, run: Run) -> Path:
    """Plain frames, a mix of them, and the same as a delta set."""
    frames = ("--cityscapes", world / "cityscapes", "--workers", 1)
    objects = ("--coco", world / "coco", "--count", 6, "--samples-per-shard", 4)
    for words in (
        ("cityscapes", "--out", tmp_path / "frames"),
        ("anomalymix", "--out", tmp_path / "mix", *objects),
        ("anomalymix", "--out", tmp_path / "delta", "--layout", "delta", *objects),
    ):
        done = run("build", *words, *frames)
        assert done.status == 0, done.err
    return tmp_path


def trained(run: Run, out: Path, *words: object) -> tuple[bytes, dict[str, Any]]:
    """The weights and the description of a run."""
    done = run("train", *words, *QUICK, "--out", out)
    assert done.status == 0, done.err
    return (out / "checkpoint.safetensors").read_bytes(), json.loads((out / "checkpoint.json").read_text())


def refused(run: Run, *words: object) -> str:
    done = run(*words)
    assert done.status == 1
    assert done.err.count("\n") == 1, done.err
    return str(done.err)


def test_a_delta_set_teaches_what_the_materialised_set_teaches(built: Path, world: Path, run: Run) -> None:
    mix, delta, frames = (built / name for name in ("mix", "delta", "frames"))
    over = ("--frames", frames)
    small = ("segmenter", "--width", 0.25)
    start, plain = trained(run, built / "start", *small, "--shards", mix, "--val-shards", mix)
    weights, info = trained(run, built / "start-delta", *small, "--shards", delta, "--val-shards", delta, *over)
    assert weights == start
    assert info["validation"] == plain["validation"] is not None
    assert info["input_size"] == plain["input_size"]

    ovr = ("ovr", "--checkpoint", built / "start")
    expected, plain = trained(run, built / "ovr", *ovr, "--shards", mix, "--shards", frames)
    weights, info = trained(run, built / "ovr-delta", *ovr, "--shards", delta, "--shards", frames, *over)
    assert weights == expected != start
    assert info["saw"] == plain["saw"]
    assert info["shards"][1] == plain["shards"][1]
    described = info["shards"][0]
    assert described["folder"] == "delta"
    assert described["samples"] == plain["shards"][0]["samples"]
    assert described["fingerprint"] != plain["shards"][0]["fingerprint"]
    assert described["frames"] == plain["shards"][1]
    assert plain["shards"][0]["frames"] is None

    # Over other frames it would be another run, though the delta set is the same.
    jpeg = ("--cityscapes", world / "cityscapes", "--image-format", "jpeg", "--out", built / "jpeg")
    assert run("build", "cityscapes", *jpeg).status == 0
    words = ("train", *ovr, "--shards", delta, "--shards", frames, *QUICK, "--out", built / "ovr-delta")
    assert "is complete already" in run(*words, *over).out
    assert "a finished run with another shards" in refused(run, *words, "--frames", built / "jpeg")


def test_delta_sets_without_their_frames(built: Path, world: Path, run: Run) -> None:
    segmenter = ("train", "segmenter", *QUICK, "--out", built / "run")
    words = r"delta is a delta set, without frames: give a set of them, which `anomsynth build cityscapes` makes"
    assert words in refused(run, *segmenter, "--shards", built / "delta")
    assert words in refused(run, *segmenter, "--shards", built / "mix", "--val-shards", built / "delta")
    assert words in refused(run, "eval", "shards", "--data", built / "delta", "--checkpoint", built / "run")
    said = refused(run, *segmenter, "--shards", built / "mix", "--frames", built / "frames")
    assert "--frames is for delta sets, and none is given" in said
    said = refused(run, *segmenter, "--shards", built / "delta", "--frames", built / "mix")
    assert "mix is no set of plain frames" in said

    scaled = ("--cityscapes", world / "cityscapes", "--size", "64x32", "--out", built / "scaled")
    assert run("build", "cityscapes", *scaled).status == 0
    several = ("--shards", built / "delta", "--frames", built / "mix", "--frames", built / "scaled")
    said = refused(run, *segmenter, *several)
    assert "None of the 2 sets of frames goes with" in said
    assert "have the size 64x32" in said
    trained(run, built / "run", "segmenter", *several, "--frames", built / "frames")


@pytest.fixture
def store() -> Iterator[Path]:
    path = located(f"memory://{uuid.uuid4().hex}")
    yield path
    remove_tree(path)


def uploaded(folder: Path, target: Path) -> Path:
    for path in folder.iterdir():
        write_atomically(target / path.name, path.read_bytes())
    return target


def test_sets_behind_urls(built: Path, world: Path, store: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built)
    small = ("segmenter", "--width", 0.25)
    expected, _ = trained(run, built / "here", *small, "--shards", built / "mix", "--val-shards", built / "mix")
    mix, delta, frames = (uploaded(built / name, store / name) for name in ("mix", "delta", "frames"))
    for number, shards in enumerate((mix, f"file://{built}/mix")):
        assert "The set is as it was built." in run("verify", shards, "--cityscapes", world / "cityscapes",
                                                    "--coco", world / "coco").out  # fmt: skip
        done = run("inspect", shards)
        assert done.status == 0, done.err
        words = (*small, "--shards", shards, "--val-shards", shards)
        weights, info = trained(run, built / f"there-{number}", *words)
        assert weights == expected
        assert info["shards"][0]["folder"] == "mix"
    assert (built / "mix-inspect" / "index.html").is_file()
    weights, _ = trained(run, built / "laid", *small, "--shards", delta, "--frames", frames)
    assert weights == expected
    judged = ("--checkpoint", built / "here", "--device", "cpu", "--score", "energy")
    figures = []
    for number, data in enumerate((built / "mix", mix)):
        done = run("eval", "shards", "--data", data, *judged, "--out", built / f"report-{number}")
        assert done.status == 0, done.err
        figures.append(json.loads((built / f"report-{number}" / "frames.json").read_text()))
    assert figures[0] == figures[1]
    assert "Only shard sets are judged behind URLs" in refused(run, "eval", "roadanomaly", "--data", mix, *judged)


def test_urls_of_no_or_damaged_sets(built: Path, store: Path, run: Run) -> None:
    train = ("train", "segmenter", *QUICK, "--out", built / "run", "--shards")
    for words in (("inspect",), ("verify",), train, ("eval", "shards", "--checkpoint", built / "run", "--data")):
        assert f"There is no shard set at {store}/none: the folder does not exist" in refused(
            run, *words, store / "none"
        )
        assert "nothing here opens nowhere:// URLs" in refused(run, *words, "nowhere://set")
    mix = uploaded(built / "mix", store / "mix")
    tar = mix / "anomalymix-000001.tar"
    whole = tar.read_bytes()
    write_atomically(tar, whole[:-512])
    assert f"{tar} has {len(whole) - 512} bytes, its manifest says {len(whole)}" in refused(run, *train, mix)
    write_atomically(tar, b"?" * len(whole))
    assert f"{tar} is broken: anomalymix-000001.tar has a damaged header" in refused(run, *train, mix)
    tar.unlink()
    assert f"{mix} lacks the shard anomalymix-000001.tar" in refused(run, *train, mix)
    done = run("verify", mix)
    assert (done.status, "missing-shard" in done.out) == (1, True)
