from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shards.coded import CodedSample
from shards.errors import UserError
from shards.manifest import Manifest, write_manifest
from shards.reader import ShardSet
from shards.sample import Sample
from shards.stream import EpochSampler, Position, ShardDataset, stream
from shards.writer import write_shard


def tag(sample: CodedSample, rng: np.random.Generator) -> tuple[int, int]:
    """What the stream delivers in these tests: which sample, and its augmentation draw."""
    return sample.meta["index"], int(rng.integers(2**31))


def to_list(items: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return items


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    zeros = np.zeros((4, 4), np.uint8)
    samples = [Sample(f"k-{i}", np.zeros((4, 4, 3), np.uint8), zeros, zeros, meta={"index": i}) for i in range(11)]
    records = [write_shard(folder / "k-0.tar", samples[:7]), write_shard(folder / "k-1.tar", samples[7:])]
    manifest = Manifest(
        recipe="k", config={}, seed=0, count=11, samples_per_shard=7, tool={}, sources={}, shards=records,
        pixels={}, rejects={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def deliver(folder: Path, workers: int = 0, start: int = 0, steps: int = 12) -> list[list[tuple[int, int]]]:
    dataset = ShardDataset([folder], tag, seed=5)
    sampler = EpochSampler(len(dataset), batch_size=3, seed=5, start=start, steps=steps)
    return list(stream(dataset, sampler, to_list, workers=workers))


def test_batches_do_not_depend_on_the_number_of_workers(folder: Path) -> None:
    assert deliver(folder) == deliver(folder, workers=2)


def test_resume_is_exact(folder: Path) -> None:
    whole = deliver(folder)
    for start in (1, 3, 7):
        assert deliver(folder, start=start) == whole[start:]


def test_resume_with_other_workers_in_the_midst_of_an_epoch_is_exact(folder: Path) -> None:
    whole = deliver(folder)
    parts = [*deliver(folder, steps=5), *deliver(folder, start=5, workers=2, steps=8), *deliver(folder, start=8)]
    assert parts == whole


def test_what_was_consumed_is_neither_read_nor_decoded_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    raw = ShardSet.raw
    monkeypatch.setattr(ShardSet, "raw", lambda shards, index: read.append(index) or raw(shards, index))
    rest = deliver(folder, start=9)
    assert read == [index for batch in rest for index, _ in batch]
    assert len(read) == 9


def test_an_epoch_repeats_no_sample_and_epochs_differ() -> None:
    sampler = EpochSampler(12, batch_size=3, seed=0, steps=12)
    epochs = [[p.index for batch in list(sampler)[4 * e : 4 * e + 4] for p in batch] for e in range(3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_ranks_are_disjoint_and_equal() -> None:
    batches = [list(EpochSampler(50, batch_size=4, seed=1, rank=r, world=3, steps=4)) for r in range(3)]
    assert [len(b) for b in batches] == [4, 4, 4]
    seen = [p.index for rank in batches for batch in rank for p in batch]
    assert len(seen) == len(set(seen)) == 48


@pytest.mark.parametrize(("length", "batch", "world"), [(50, 4, 3), (47, 5, 2), (97, 1, 4), (12, 3, 4)])
def test_ranks_agree_on_the_length_of_an_epoch_and_share_it_out(length: int, batch: int, world: int) -> None:
    samplers = [EpochSampler(length, batch_size=batch, seed=1, rank=r, world=world) for r in range(world)]
    per_epoch = samplers[0].batches_per_epoch
    assert {sampler.batches_per_epoch for sampler in samplers} == {per_epoch}
    streams = [
        list(EpochSampler(length, batch_size=batch, seed=1, rank=r, world=world, steps=3 * per_epoch))
        for r in range(world)
    ]
    for epoch in range(3):
        seen = [p for rank in streams for b in rank[epoch * per_epoch : (epoch + 1) * per_epoch] for p in b]
        assert {p.epoch for p in seen} == {epoch}
        assert len(seen) == len({p.index for p in seen}) == per_epoch * batch * world
        assert length - len(seen) < batch * world


def test_the_joint_batch_does_not_depend_on_the_split() -> None:
    joint = list(EpochSampler(50, batch_size=8, seed=1, steps=9))
    halves = [list(EpochSampler(50, batch_size=4, seed=1, rank=r, world=2, steps=9)) for r in range(2)]
    for step in range(9):
        assert {*joint[step]} == {*halves[0][step], *halves[1][step]}


def spearman(one: list[int], two: list[int]) -> float:
    """Spearman's rank correlation of two orders without ties: 1 - 6 sum d^2 / (n (n^2 - 1))."""
    squares = sum((a - b) ** 2 for a, b in zip(one, two, strict=True))
    return 1 - 6 * squares / (len(one) * (len(one) ** 2 - 1))


def test_spearman_knows_its_ends() -> None:
    assert spearman([0, 1, 2, 3], [0, 1, 2, 3]) == 1
    assert spearman([0, 1, 2, 3], [3, 2, 1, 0]) == -1


@pytest.mark.parametrize("seed", range(5))
def test_no_epoch_resembles_the_storage_order_nor_another_epoch(seed: int) -> None:
    # For orders drawn by chance the coefficient has mean 0 and deviation 1 / sqrt(n - 1): 0.0224 here.
    n, epochs = 2000, 3
    order = [p.index for batch in EpochSampler(n, batch_size=1, seed=seed, steps=epochs * n) for p in batch]
    parts = [order[e * n : (e + 1) * n] for e in range(epochs)]
    assert all(sorted(part) == list(range(n)) for part in parts)
    for e, part in enumerate(parts):
        assert abs(spearman(part, list(range(n)))) < 0.09
        assert abs(spearman(part, parts[e - 1])) < 0.09


def test_neighbours_in_storage_are_not_neighbours_in_the_stream() -> None:
    order = [p.index for batch in EpochSampler(2000, batch_size=1, seed=3, steps=2000) for p in batch]
    assert np.mean(np.abs(np.diff(order)) < 10) < 0.03  # chance: 2 * 9 / 2000


def test_fewer_samples_than_a_batch() -> None:
    batch = next(iter(EpochSampler(2, batch_size=5, seed=0)))
    assert len(batch) == 5
    assert {p.index for p in batch} == {0, 1}
    assert len({p.place for p in batch}) == 5


def test_two_sets_are_pooled(folder: Path) -> None:
    dataset = ShardDataset([folder, folder], tag, seed=0)
    assert len(dataset) == 22
    assert dataset[Position(0, 0, 12)][0] == 1


def test_impossible_streams_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no samples"):
        ShardDataset([], tag, seed=0)
    with pytest.raises(ValueError, match="rank=2 of 2"):
        EpochSampler(5, batch_size=1, seed=0, rank=2, world=2)
