from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.documents import write_documents
from shards.documents.croissant import croissant
from shards.manifest import read_manifest
from shards.reader import ShardSet
from shards.rows import read_rows

READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlcroissant, numpy
found = {}
for name in ("samples", "rows", "images", "provenance"):
    records = mlcroissant.Dataset(sys.argv[1]).records(name)
    found[name] = [
        {
            key: value.decode() if isinstance(value, bytes) else
                 numpy.asarray(value).tolist() if hasattr(value, "mode") else value
            for key, value in record.items()
        }
        for record in records
    ]
print(json.dumps(found))
"""


def described(folder: Path) -> dict[str, Any]:
    return croissant(read_manifest(folder), read_rows(folder))


def test_tars_are_named_with_size_and_checksum(make_set: Any) -> None:
    folder = make_set()
    files = {file["@id"]: file for file in described(folder)["distribution"]}
    for record in read_manifest(folder).shards:
        assert files[record.name]["sha256"] == record.sha256
        assert files[record.name]["contentSize"] == f"{record.bytes} B"
    assert [part["@id"] for part in files["anomaly-files"]["containedIn"]] == [
        "mix-000000.tar", "mix-000001.tar", "mix-000002.tar",
    ]  # fmt: skip


def test_other_members_are_described(make_set: Any) -> None:
    folder = make_set()
    suffixes = ("image.webp", "anomaly.png", "semantic.png", "style.png", "json")
    sets = {part["@id"]: part for part in croissant(read_manifest(folder), (), suffixes)["distribution"]}
    assert sets["image-files"]["encodingFormat"] == "image/webp"
    assert sets["image-files"]["includes"] == "*.image.webp"
    assert "style-files" in sets


def test_licences_of_all_sources_are_named(make_set: Any) -> None:
    licences = described(make_set())["license"]
    assert len(licences) == 3
    assert any("cityscapes" in address for address in licences)
    assert any("by-nc-nd" in address for address in licences)


def test_mlcroissant_reads_every_record(make_set: Any, tmp_path: Path) -> None:
    if find_spec("mlcroissant") is None:  # importorskip would turn its dependencies' warnings into errors
        pytest.skip("mlcroissant is not installed")
    folder = make_set()
    write_documents(folder, read_manifest(folder), read_rows(folder))
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder / "croissant.json")],
        env={**os.environ, "CROISSANT_CACHE": str(tmp_path / "cache")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    samples = {row["samples/key"]: row for row in found["samples"]}
    shards = ShardSet(folder)
    assert sorted(samples) == list(shards.keys)
    for sample in shards:
        row = samples[sample.key]
        np.testing.assert_array_equal(row["samples/image"], sample.image)
        np.testing.assert_array_equal(row["samples/anomaly"], sample.anomaly)
        np.testing.assert_array_equal(row["samples/semantic"], sample.semantic)
        assert json.loads(row["samples/json"]) == sample.meta
    assert [row["rows/key"] for row in found["rows"]] == list(shards.keys)
    assert [row["rows/frame"] for row in found["rows"]] == [sample.meta["frame"]["id"] for sample in shards]
    assert [row["rows/anomaly"] for row in found["rows"]] == [int((s.anomaly == 1).sum()) for s in shards]
    assert len(found["images"]) == len(found["provenance"]) == 5
