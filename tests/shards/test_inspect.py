from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shards.errors import UserError
from shards.inspect import contact_sheet, label_overlay
from shards.manifest import Manifest, write_manifest
from shards.sample import Sample
from shards.writer import write_shard


def sample(number: int) -> Sample:
    anomaly = np.zeros((32, 64), np.uint8)
    anomaly[8:16, 8:24] = 1
    anomaly[:, 60:] = 255
    image = np.full((32, 64, 3), 120, np.uint8)
    meta = {"objects": [{"category": "<dog>"}], "frame": {"id": f"town_{number}"}}
    return Sample(f"mix-{number:08d}", image, anomaly, np.zeros((32, 64), np.uint8), meta=meta)


def test_the_overlay_shows_each_label() -> None:
    shown = label_overlay(sample(0))
    assert shown[2, 2].tolist() == [120, 120, 120]
    assert shown[12, 12, 0] > 150 > shown[12, 12, 2]
    assert shown[2, 62].max() < 100


def test_a_sheet_and_a_page_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    record = write_shard(folder / "mix-000000.tar", [sample(i) for i in range(5)])
    manifest = Manifest(
        recipe="mix", config={}, seed=0, count=5, samples_per_shard=5, tool={}, sources={}, shards=[record],
        pixels={"known": 9, "anomaly": 1}, rejects={"tiny": 2},
    )  # fmt: skip
    write_manifest(folder, manifest)
    first = contact_sheet(folder, tmp_path / "a", limit=3, width=128)
    again = contact_sheet(folder, tmp_path / "b", limit=3, width=128)
    assert [file.name for file in first] == ["contact-sheet.png", "index.html"]
    assert [a.read_bytes() for a in first] == [b.read_bytes() for b in again]
    with Image.open(first[0]) as sheet:
        assert sheet.size[0] > 4 * 128
    page = first[1].read_text()
    assert page.count("<figure>") == 3
    assert "&lt;dog&gt;" in page
    assert "<dog>" not in page
    assert "tiny 2" in page
    assert "http" not in page.replace("http-equiv", "")


def test_nothing_to_show(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    broken = Sample("mix-0", np.zeros((4, 4, 3), np.uint8), *[np.full((4, 4), 7, np.uint8)] * 2)
    record = write_shard(folder / "mix-000000.tar", [broken])
    manifest = Manifest(
        recipe="mix", config={}, seed=0, count=1, samples_per_shard=1, tool={}, sources={}, shards=[record],
        pixels={}, rejects={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    with pytest.raises(UserError, match="could be decoded: mix-0: label-values"):
        contact_sheet(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
