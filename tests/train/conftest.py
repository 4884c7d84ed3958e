from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from shards.manifest import Manifest, write_manifest
from shards.rng import generator
from shards.sample import Sample
from shards.writer import write_shard

torch.set_num_threads(1)

WIDTH, HEIGHT, SIDE = 64, 32, 14


def tiny_sample(index: int, *, anomaly: bool = True, width: int = WIDTH, height: int = HEIGHT) -> Sample:
    """Sky above, road below, noise on both; where asked, a green square that is the anomaly; a void column."""
    rng = generator(7, "tiny", index)
    semantic = np.full((height, width), 10, np.uint8)
    semantic[height // 2 :] = 0
    image = np.where((semantic == 10)[..., None], (120, 160, 230), (90, 90, 90))
    image = (image + rng.integers(-20, 21, image.shape)).clip(0, 255).astype(np.uint8)
    labels = np.zeros((height, width), np.uint8)
    if anomaly:
        y, x = int(rng.integers(0, height - SIDE)), int(rng.integers(4, width - SIDE))
        image[y : y + SIDE, x : x + SIDE] = (30, 220, 40)
        labels[y : y + SIDE, x : x + SIDE] = 1
    semantic[labels == 1] = 255
    semantic[:, :2] = labels[:, :2] = 255
    meta = {"index": index, "frame": {"dataset": "tiny", "split": "train", "id": str(index)}}
    return Sample(f"tiny-{index:08d}", image, labels, semantic, meta=meta)


def write_set(folder: Path, samples: Sequence[Sample]) -> Path:
    folder.mkdir(parents=True)
    record = write_shard(folder / "tiny-000000.tar", samples)
    rows = [{"key": sample.key, "frame": {"dataset": "tiny", "split": "train"}} for sample in samples]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = np.stack([sample.anomaly for sample in samples])
    pixels = {name: int((labels == value).sum()) for name, value in (("known", 0), ("anomaly", 1), ("ignore", 255))}
    manifest = Manifest(
        recipe="tiny", config={}, seed=0, count=len(samples), samples_per_shard=len(samples), tool={}, sources={},
        shards=[record], pixels=pixels, rejects={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., Sample]:
    return tiny_sample


@pytest.fixture(scope="session")
def tiny_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("tiny") / "set", [tiny_sample(i, anomaly=i % 2 == 0) for i in range(10)])


@pytest.fixture
def make_shards(tmp_path: Path) -> Callable[[Sequence[Sample]], Path]:
    return lambda samples: write_set(tmp_path / "made", samples)
