"""A small shard set with pasted objects, as a build leaves it, without a build."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zlib import ZLIB_RUNTIME_VERSION

import numpy as np
import pytest

from shards.documents import write_documents
from shards.manifest import Manifest, write_manifest
from shards.rows import row_lines
from shards.sample import Sample
from shards.writer import write_shard

HEIGHT, WIDTH = 32, 64
BY = "http://creativecommons.org/licenses/by/2.0/"
BY_NC_ND = "http://creativecommons.org/licenses/by-nc-nd/2.0/"
THINGS = (
    # category, [x, y, width, height], picture, licence
    ("dog", [8, 8, 16, 8], 11, "Attribution License", BY),
    ("frisbee", [40, 20, 4, 4], 12, "Attribution-NonCommercial-NoDerivs License", BY_NC_ND),
    ("dog", [0, 0, 2, 2], 13, "", ""),
)

MakeSet = Callable[..., Path]


def thing(number: int) -> dict[str, Any]:
    category, box, picture, licence, url = THINGS[number % len(THINGS)]
    return {
        "dataset": "coco", "split": "train2017", "image_id": picture, "annotation_id": picture, "category": category,
        "licence": licence, "licence_url": url, "box": box, "scale": 1.0, "flip": False, "pixels": box[2] * box[3],
    }  # fmt: skip


def mixed(number: int) -> Sample:
    """Sample i holds object i of `THINGS`; its last four columns are ignored."""
    item = thing(number)
    x, y, w, h = item["box"]
    anomaly, semantic = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    anomaly[:, 60:] = semantic[:, 60:] = 255
    anomaly[y : y + h, x : x + w] = 1
    semantic[y : y + h, x : x + w] = 255
    image = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    counts = np.bincount(anomaly.ravel(), minlength=256)
    meta = {
        "recipe": "mix", "index": number, "seed": 0,
        "frame": {"dataset": "cityscapes", "split": "train", "id": f"town_{number:06d}_000019"},
        "objects": [item], "rejected": [],
        "pixels": {"known": int(counts[0]), "anomaly": int(counts[1]), "ignore": int(counts[255])},
    }  # fmt: skip
    return Sample(f"mix-{number:08d}", image, anomaly, semantic, meta=meta)


@pytest.fixture
def make_set(tmp_path: Path) -> MakeSet:
    def make(name: str = "set", samples: int = 5, per_shard: int = 2, **changes: Any) -> Path:
        """A complete set; `changes` are fields of its manifest."""
        folder = tmp_path / name
        folder.mkdir()
        made = [mixed(number) for number in range(samples)]
        shards, rows = [], []
        for start in range(0, samples, per_shard):
            part = made[start : start + per_shard]
            shards.append(write_shard(folder / f"mix-{start // per_shard:06d}.tar", part))
            rows += [{**sample.meta, "key": sample.key, "shard": shards[-1].name} for sample in part]
        rejects = [{"reason": "tiny", "detail": "too small", "input": "coco/1", "sample": None}]
        fields = {
            "recipe": "mix", "config": {"size": None}, "seed": 0, "count": samples, "samples_per_shard": per_shard,
            "tool": {"anomsynth": version("anomsynth"), "zlib": ZLIB_RUNTIME_VERSION},
            "shards": shards, "rejects": {"tiny": 1},
            "sources": {
                "cityscapes": {"dataset": "cityscapes", "split": "train", "files": 10},
                "coco": {"dataset": "coco", "split": "train2017", "files": 3},
            },
            "pixels": {name: sum(row["pixels"][name] for row in rows) for name in ("known", "anomaly", "ignore")},
        }  # fmt: skip
        (folder / "samples.jsonl").write_bytes(row_lines(rows))
        (folder / "rejects.jsonl").write_bytes(row_lines(rejects))
        manifest = Manifest(**{**fields, **changes})
        write_documents(folder, manifest, rows)
        write_manifest(folder, manifest)
        return folder

    return make
