"""What results.json says of what it was made from."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import anomsynth
from eval.benchmarks import find_sets
from eval.benchmarks.sets import ShardFrame
from eval.inputs import hashes, versions
from eval.predictor import Predictor
from eval.run import evaluate
from shards.errors import UserError
from shards.reader import ShardSet

Load = Callable[[Path], Any]


def digest(world: Path, predictor: Predictor) -> str:
    (entry,) = evaluate(find_sets("roadanomaly", world), predictor, ["bright"]).as_json()["sets"].values()
    found: str = entry["inputs_sha256"]
    return found


def test_the_digest_is_of_names_and_bytes(worlds: Path, predictor: Predictor) -> None:
    frames = worlds / "RoadAnomaly_jpg" / "frames"
    lines = []
    for name in ("frame0", "frame1", "frame2"):
        files = {"image": frames / f"{name}.jpg", "label": frames / f"{name}.labels" / "labels_semantic.png"}
        lines += [
            f"{name}\0{part}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n" for part, path in files.items()
        ]
    before = digest(worlds, predictor)
    assert before == hashlib.sha256("".join(lines).encode()).hexdigest()
    # Where the folder lies does not count.
    assert digest(worlds.rename(worlds.with_name("elsewhere")), predictor) == before


@pytest.mark.parametrize("file", ["frame1.jpg", "frame1.labels/labels_semantic.png"])
def test_another_file_is_another_digest(worlds: Path, predictor: Predictor, file: str, frame: Any) -> None:
    before = digest(worlds, predictor)
    frames = worlds / "RoadAnomaly_jpg" / "frames"
    image, label = frames / "frame1.jpg", frames / "frame1.labels" / "labels_semantic.png"
    keep = label if file.endswith("jpg") else image
    kept = keep.read_bytes()
    frame(image, label, 5, anomaly=2, void=False)
    keep.write_bytes(kept)
    assert digest(worlds, predictor) != before


def test_another_name_is_another_digest(worlds: Path, predictor: Predictor) -> None:
    before = digest(worlds, predictor)
    frames = worlds / "RoadAnomaly_jpg" / "frames"
    (frames / "frame2.jpg").rename(frames / "frame7.jpg")
    (frames / "frame2.labels").rename(frames / "frame7.labels")
    assert digest(worlds, predictor) != before


class OneSample(ShardSet):
    """A shard set in memory."""

    def __init__(self, members: dict[str, bytes]) -> None:
        self.members = members

    def raw(self, index: int) -> dict[str, bytes]:
        return self.members


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_shards_are_hashed_whatever_their_pictures_are_called(suffix: str) -> None:
    files = {f"image.{suffix}": b"a", "anomaly.png": b"b", "semantic.png": b"c", "depth.npy": b"d", "json": b"{}"}
    found = hashes(ShardFrame("a-0", OneSample(files), 0))
    assert found == {
        part: hashlib.sha256(content).hexdigest()
        for part, content in (("image", b"a"), ("label", b"b"), ("semantic", b"c"))
    }
    assert list(found) == ["image", "label", "semantic"]
    with pytest.raises(UserError, match=r"Sample a-0 cannot be read: it has no anomaly\."):
        hashes(ShardFrame("a-0", OneSample({f"image.{suffix}": b"a", "semantic.png": b"c"}), 0))


def test_versions(
    worlds: Path, tmp_path: Path, predictor: Predictor, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    evaluate(find_sets("roadanomaly", worlds), predictor, (), tmp_path / "out")
    assert load(tmp_path / "out" / "results.json")["versions"] == {
        "python": platform.python_version(),
        "anomsynth": anomsynth.__version__,
        "numpy": np.__version__,
    }
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__="2.0+build"))
    assert versions()["torch"] == "2.0+build"
