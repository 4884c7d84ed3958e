from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from shards.manifest import Manifest, write_manifest
from shards.rng import generator
from shards.sample import Sample
from shards.writer import write_shard

if TYPE_CHECKING:
    from train.chain import Chain

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]
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


def write_set(folder: Path, samples: Sequence[Sample], sources: Mapping[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    record = write_shard(folder / "tiny-000000.tar", samples)
    rows = [{"key": sample.key, "frame": {"dataset": "tiny", "split": "train"}} for sample in samples]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = np.stack([sample.anomaly for sample in samples])
    pixels = {name: int((labels == value).sum()) for name, value in (("known", 0), ("anomaly", 1), ("ignore", 255))}
    manifest = Manifest(
        recipe="tiny", config={}, seed=0, count=len(samples), samples_per_shard=len(samples), tool={},
        sources=dict(sources or {}),
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


@pytest.fixture(scope="session")
def write_shards() -> Callable[[Path, Sequence[Sample]], Path]:
    return write_set


@pytest.fixture
def make_shards(tmp_path: Path) -> Callable[[Sequence[Sample]], Path]:
    return lambda samples: write_set(tmp_path / "made", samples)


def fresh_chain(seed: int) -> Chain:
    """A chain of untrained networks at 64x32."""
    from train.chain import make_chain
    from train.chain_info import SegmenterInfo, SpadeInfo
    from train.checkpoint import NetworkInfo
    from train.generators import Spade
    from train.networks import build_network, build_segmenter
    from train.networks.resynthesis import SpadeGenerator
    from train.networks.weights import weights_sha256

    size, device = (WIDTH, HEIGHT), torch.device("cpu")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options: dict[str, Any] = {"width": 0.25, "input_size": list(size)}
        segmenter = build_segmenter("lite", **options)
        painting: dict[str, Any] = {"width": 0.125, "input_size": list(size)}
        generator = build_network("spade", **painting)
        assert isinstance(generator, SpadeGenerator)
    with torch.no_grad():  # fresh ones say one class everywhere, and paint grey
        segmenter.part("head").weight.mul_(50)
        generator.last.weight.mul_(50)
    info = SpadeInfo(
        network=NetworkInfo(name="spade", options=painting), sha256=weights_sha256(generator), saw=["painted/train"]
    )
    whole = SegmenterInfo(
        network=NetworkInfo(name="lite", options=options),
        input_size=size,
        sha256=weights_sha256(segmenter),
        saw=["a/b"],
    )
    return make_chain(segmenter, whole, Spade(generator, info, device), size=size, device=device)


def enriched_set(folder: Path, chain: Chain, samples: Sequence[Sample]) -> Path:
    """What `anomsynth enrich` leaves, without the command."""
    rich = []
    for sample in samples:
        seen = chain.look(sample.image, key=sample.key)
        rich.append(replace(sample, image=seen.pop("image"), extras=seen))
    write_set(folder, rich, {"shards": {"sha256": ""}})
    chain.save(folder / "chain")
    return folder


@pytest.fixture(scope="session")
def untrained() -> Callable[[int], Chain]:
    return fresh_chain


@pytest.fixture(scope="session")
def make_enriched() -> Callable[[Path, Chain, Sequence[Sample]], Path]:
    return enriched_set


@pytest.fixture(scope="session")
def enriched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three enriched sets, `void`, `mix` and `third`, with unequal shares of void."""
    folder, chain = tmp_path_factory.mktemp("enriched"), fresh_chain(0)
    for number, name in enumerate(("void", "mix", "third")):
        samples = [tiny_sample(8 * number + i) for i in range(8)]
        for i, sample in enumerate(samples):
            sample.semantic[:, : 3 * i * number] = sample.anomaly[:, : 3 * i * number] = 255
        enriched_set(folder / name, chain, samples)
    return folder


RANKS = """
import sys
from pathlib import Path

import torch

torch.set_num_threads(1)
shards, out = Path(sys.argv[1]), Path(sys.argv[2])
"""
"""Before the body of a script for `joint_curves`."""


@pytest.fixture
def torchrun(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Start a script, or a program of the virtual environment, in two processes that know each other by gloo.

    In one process it is started without `torchrun`.
    """

    def start(*command: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
        launcher = [sys.executable]
        if processes > 1:
            launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        return subprocess.run(
            [*launcher, *map(str, command)],
            cwd=tmp_path, env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    return start


@pytest.fixture
def joint_curves(
    torchrun: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> Callable[[str, Path], tuple[list[dict[str, float]], list[dict[str, float]]]]:
    """Rows of the log of one process on the joint batch, and of two that share it.

    The body of the script trains on the shard set `shards` and writes to the folder `out`.
    """

    def curves(body: str, shards: Path) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        script = tmp_path / "ranks.py"
        script.write_text(RANKS + body)
        found = []
        for processes in (1, 2):
            out = tmp_path / f"of-{processes}"
            done = torchrun(script, shards, out, processes=processes)
            assert done.returncode == 0, done.stderr
            found.append([json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()])
        return found[0], found[1]

    return curves
