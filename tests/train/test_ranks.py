"""Two processes on one machine, as `torchrun` starts them, against one process on the joint batch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from shards.errors import UserError
from shards.sample import Sample
from train import feed, ranks
from train.checkpoint import load_checkpoint, read_info
from train.config import TrainConfig
from train.data import TrainingPool
from train.machine import Machine
from train.methods.segmenter import SegmenterConfig
from train.run_mgcda import train_mgcda
from train.run_resynthesis import train_resynthesis
from train.run_segmenters import train_segmenter

Torchrun = Callable[..., "subprocess.CompletedProcess[str]"]
ANOMSYNTH = Path(sys.executable).with_name("anomsynth")

OVR = """
from train.machine import Machine
from train.methods.ovr import OvrConfig
from train.run_segmenters import train_ovr

config = OvrConfig(
    steps=20, batch=4, lr=1e-2, gamma=1.0, trainable="all", keep=1.0, keep_balance=0.5, clip=1.0, accumulate=2,
    ema=0.9,
)
machine = Machine(torch.device("cpu"), log_every=1)
train_ovr([shards], out, config=config, checkpoint=shards.parent / "start", machine=machine, val_shards=[shards])
"""


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, make_sample: Callable[..., Sample], write_shards: Callable[..., Path]
) -> Path:
    """Shards with few and unequal labels, so that a mean of means is no joint mean; beside them a segmenter."""
    samples = []
    for index in range(10):
        sample = make_sample(index, anomaly=index % 3 == 0)
        sample.semantic[:, : 6 * index] = sample.anomaly[:, : 6 * index] = 255
        samples.append(sample)
    folder = tmp_path_factory.mktemp("ranks")
    shards = write_shards(folder / "set", samples)
    config = SegmenterConfig(steps=2, batch=4, crop=None, scale=(1.0, 1.0))
    machine = Machine(torch.device("cpu"))
    train_segmenter([shards], folder / "start", config=config, network_options={"width": 0.25}, machine=machine)
    return shards


def test_two_processes_learn_what_one_does(
    world: Path, tmp_path: Path, joint_curves: Callable[[str, Path], tuple[list[dict[str, float]], ...]]
) -> None:
    alone, together = joint_curves(OVR, world)
    assert [row["step"] for row in together] == [*range(1, 21), 20]
    for one, two in zip(alone[:20], together[:20], strict=True):
        for term in ("loss", "known", "outlier", "keep"):
            assert two[term] == pytest.approx(one[term], rel=1e-5, abs=1e-9), (one["step"], term)
    one, two = (load_checkpoint(tmp_path / f"of-{n}")[0].state_dict() for n in (1, 2))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)
    assert read_info(tmp_path / "of-1").same_run(read_info(tmp_path / "of-2")) is None


def test_an_error_of_one_process_ends_both_with_one_sentence(
    world: Path, tmp_path: Path, torchrun: Torchrun, make_shards: Callable[[Sequence[Sample]], Path]
) -> None:
    image, zeros = np.zeros((32, 64, 3), np.uint8), np.zeros((32, 64), np.uint8)
    good = [Sample(f"g-{i}", image, zeros + 1, zeros) for i in range(3)]
    shards = make_shards([*good, Sample("b-0", image, zeros, zeros + 99)])
    command = [ANOMSYNTH, "train", "ovr", "--shards", shards, "--checkpoint", world.parent / "start"]
    done = torchrun(*command, "--out", tmp_path / "run", "--batch", 2, "--steps", 4, "--device", "cpu")
    assert done.returncode != 0
    sentences = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(sentences) == 1, done.stderr
    assert "can be read (b-0" in sentences[0]


def test_each_process_takes_a_device_of_its_own_once_they_are_joined(
    enriched: Path, tiny_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    machine = Machine(torch.device("cuda"))
    domains = {"voidclass": [enriched / "void"], "anomalymix": [enriched / "mix"]}
    for name, learn in {
        "mgcda": lambda out: train_mgcda(domains, out, width=0.125, machine=machine),
        "generator": lambda out: train_resynthesis([tiny_shards], out, width=0.125, machine=machine),
    }.items():
        with pytest.raises(UserError, match="Each process needs a CUDA device of its own, this machine has 1"):
            learn(tmp_path / name)


def test_what_several_processes_cannot_do_is_one_sentence(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(feed, "world", lambda: 2)
    with pytest.raises(UserError, match="Batch norm that follows the batches needs CUDA devices"):
        ranks.check_batch_norm(torch.nn.BatchNorm2d(2), torch.device("cpu"))
    frozen = torch.nn.BatchNorm2d(2).eval()
    assert ranks.check_batch_norm(frozen, torch.device("cpu")) is frozen
    assert [feed.shares(*of) for of in ((8, 2), (3, 2), (1, 2), (0, 2))] == [[4, 4], [1, 2], [1, 1], [0, 0]]
    config = TrainConfig(batch=6, accumulate=2)
    pool = TrainingPool([world], config, input_size=(64, 32), seed=0)
    with pytest.raises(UserError, match="among 2 processes, in 2 parts each: give a multiple of 4, got 6"):
        feed.Feed([pool], config, device=torch.device("cpu"), workers=0, first=0, stop=1)


GATHER = """
import torch.distributed as dist
from train import ranks


@ranks.together
def check():
    rank = ranks.rank()
    mine = torch.arange(3.0 - rank) .requires_grad_()  # 3 rows here, 2 there
    rows = ranks.gather(mine)
    assert rows.tolist() == ([0, 1, 2, 0, 1] if ranks.world() == 2 else [0, 1, 2])
    (rows * torch.arange(len(rows)) * (rank + 1)).sum().backward()
    weights = torch.arange(len(rows)) * (3 if ranks.world() == 2 else 1)  # of both losses
    assert mine.grad.tolist() == weights[3 * rank : 3 * rank + len(mine)].tolist()
    assert ranks.agree(rank * 7) == 7 * (ranks.world() - 1)
    assert ranks.collect(rank) == list(range(ranks.world()))
    assert int(ranks.total(torch.tensor(rank + 1))) == (3 if ranks.world() == 2 else 1)
    if rank == 0:
        out.mkdir()
        (out / "log.jsonl").write_text('{"done": 1}\\n')


check()
"""


def test_rows_of_all_ranks_and_their_gradients(
    tmp_path: Path, joint_curves: Callable[[str, Path], tuple[list[dict[str, float]], ...]]
) -> None:
    assert joint_curves(GATHER, tmp_path) == ([{"done": 1}], [{"done": 1}])


def test_in_one_process_nothing_is_done() -> None:
    tensor = torch.ones(2, requires_grad=True)
    assert ranks.gather(tensor) is tensor
    assert not ranks.total(tensor).requires_grad
    assert (ranks.world(), ranks.rank(), ranks.agree(3), ranks.collect("x"), ranks.speaks()) == (1, 0, 3, ["x"], True)
    module = torch.nn.BatchNorm2d(2)
    assert ranks.wrapped(module, torch.device("cpu")) is ranks.bare(module) is module
    assert ranks.check_batch_norm(module, torch.device("cpu")) is module
