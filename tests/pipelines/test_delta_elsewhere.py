"""Delta sets in other people's tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipelines.coding import Packing
from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from shards.delta import decode_delta
from shards.reader import ShardSet

READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
folder = Path(sys.argv[1])
found = {}
if sys.argv[2] == "mlcroissant":
    import mlcroissant
    for row in mlcroissant.Dataset(str(folder / "croissant.json")).records("samples"):
        found[row["samples/key"].decode()] = [row["samples/patches"].size, row["samples/masks"].size]
    assert len(list(mlcroissant.Dataset(str(folder / "croissant.json")).records("rows"))) == len(found)
elif sys.argv[2] == "webdataset":
    import webdataset
    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    for row in webdataset.WebDataset(tars, shardshuffle=False).decode("pil"):
        found[row["__key__"]] = [row["patches.png"].size, row["masks.png"].size]
else:
    import datasets
    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    for row in datasets.load_dataset("webdataset", data_files=tars, split="train", cache_dir=sys.argv[3]):
        found[row["__key__"]] = [row["patches.png"].size, row["masks.png"].size]
print(json.dumps(found))
"""


@pytest.mark.parametrize("tool", ["mlcroissant", "webdataset", "datasets"])
def test_other_tools_read_a_delta_set(sources: Sources, tmp_path: Path, tool: str) -> None:
    if find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    recipe = AnomalyMix.open(AnomalyMixConfig(min_area=0, min_visible=1, probability=0.7), sources)
    out = tmp_path / "delta"
    build(recipe, out, count=7, seed=3, samples_per_shard=4, packing=Packing(layout="delta"))
    done = subprocess.run(
        [sys.executable, "-c", READ, str(out), tool, str(tmp_path / "cache")],
        env={**os.environ, "CROISSANT_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shards = ShardSet(out)
    expected = {}
    for index, key in enumerate(shards.keys):
        patches = decode_delta(key, shards.raw(index)).patches
        shapes = [patch.mask.shape for patch in patches]
        size = [max((w for _, w in shapes), default=1), sum(h for h, _ in shapes) or 1]
        expected[key] = [size, size]
    assert json.loads(done.stdout) == expected
    assert {len(decode_delta(key, shards.raw(index)).patches) for index, key in enumerate(shards.keys)} > {0, 1}
