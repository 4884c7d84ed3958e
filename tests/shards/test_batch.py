from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from shards import slots
from shards.batch import DEVIATION, MEAN, CropBatch, RandomCrop, collate_crops, stacked, to_device
from shards.codec import encode_sample
from shards.coded import CodedSample
from shards.errors import BadInput
from shards.manifest import Manifest, write_manifest
from shards.reader import ShardSet
from shards.rng import generator
from shards.sample import Sample
from shards.stream import EpochSampler, Position, ShardDataset, stream
from shards.writer import write_shard

WIDTH, HEIGHT = 96, 64


def sample_of(index: int) -> Sample:
    rng = generator(4, "batch", index)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return Sample(
        f"k-{index}", image, (image[..., 0] > 200).astype(np.uint8), image[..., 1] % 19, meta={"index": index}
    )


def write_set(folder: Path, samples: list[Sample], *, per_shard: int = 4) -> Path:
    folder.mkdir()
    records = [
        write_shard(folder / f"k-{first}.tar", samples[first : first + per_shard])
        for first in range(0, len(samples), per_shard)
    ]
    manifest = Manifest(
        recipe="k", config={}, seed=0, count=len(samples), samples_per_shard=per_shard, tool={}, sources={},
        shards=records, pixels={}, rejects={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Path]:
    return lambda count: write_set(tmp_path / "set", [sample_of(i) for i in range(count)])


def crops(folder: Path, *, workers: int, steps: int = 8, size: int = 40) -> list[CropBatch]:
    dataset = ShardDataset([folder], RandomCrop(size, size - 8, flip=0.5), seed=3)
    sampler = EpochSampler(len(dataset), batch_size=3, seed=3, steps=steps)
    return list(stream(dataset, sampler, collate_crops, workers=workers))


def test_a_crop_is_cut_at_a_drawn_place_and_mirrored_as_often_as_asked() -> None:
    sample = sample_of(0)
    coded = CodedSample(sample.key, dict(encode_sample(sample)))
    corners, mirrored = set(), 0
    for place in range(60):
        cut = RandomCrop(90, 60, flip=0.5)(coded, generator(0, place))
        found = [
            (left, top, flip)
            for left in range(7)
            for top in range(5)
            for flip in (1, -1)
            if np.array_equal(cut.image, sample.image[top : top + 60, left : left + 90][:, ::flip])
        ]
        ((left, top, flip),) = found
        for name in ("anomaly", "semantic"):
            expected = getattr(sample, name)[top : top + 60, left : left + 90][:, ::flip]
            np.testing.assert_array_equal(getattr(cut, name), expected)
        corners.add((left, top))
        mirrored += flip == -1
    assert {left for left, _ in corners} == set(range(7))
    assert {top for _, top in corners} == set(range(5))
    assert 15 <= mirrored <= 45
    with pytest.raises(BadInput, match="small-frame: k-0 has 96x64 pixels, less than a crop of 97x5"):
        RandomCrop(97, 5)(coded, generator(0))


def test_workers_hand_over_the_same_bytes_and_kept_batches_stay_as_they_are(make: Callable[[int], Path]) -> None:
    folder = make(11)
    # More batches than a worker has slots: all of them are kept, so none may be written over.
    alone = crops(folder, workers=0, steps=40)
    before = set(slots._received)
    together = crops(folder, workers=1, steps=40)
    assert len({id(batch) for batch in together}) == 40
    for one, two in zip(alone, together, strict=True):
        assert one.keys == two.keys
        assert two.pixels.dtype == torch.uint8
        for name in ("pixels", "anomaly", "semantic"):
            assert torch.equal(getattr(one, name), getattr(two, name)), name
    assert set(slots._received) == before  # the loader is gone, and its slots with it


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_of_nothing_but_broken_samples_says_why(make: Callable[[int], Path], workers: int) -> None:
    for batch in crops(make(5), workers=workers, steps=2, size=200):
        assert batch.keys == ()
        assert [reason for reason, _ in batch.rejected] == ["small-frame"] * 3
        assert batch.pixels.shape == (0, 0, 0, 3)
        assert batch.anomaly.shape == batch.semantic.shape == (0, 0, 0)
        assert to_device(batch.pixels, torch.device("cpu")).shape == (0, 3, 0, 0)


def test_memory_is_used_again_when_a_batch_is_gone(make: Callable[[int], Path]) -> None:
    dataset = ShardDataset([make(11)], RandomCrop(40, 32), seed=3)
    sampler = EpochSampler(len(dataset), batch_size=3, seed=3, steps=60)
    before = set(slots._received)
    for _ in (loader := stream(dataset, sampler, collate_crops, workers=1)):
        mine = set(slots._received) - before
        assert len(mine) <= 12  # three tensors a batch; one batch here, two under way, one in the making
    assert len(mine) >= 3
    del loader


def test_a_slot_is_free_when_its_last_view_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_worker", slots._Worker("loader"))
    monkeypatch.setattr(slots, "_received", {})
    worker = slots._worker
    assert worker is not None

    def there_and_back(value: int) -> torch.Tensor:
        sent = stacked([np.full((3, 5), value, np.int16)] * 2)
        name, _, shape, dtype = slots._sent(sent)[1]  # type: ignore[arg-type]
        return slots._arrived(name, sent.slot.memory, shape, dtype)  # type: ignore[attr-defined]

    first = there_and_back(7)
    view = first[1].view(-1)[2:]
    second = there_and_back(8)
    assert len(worker.slots[60]) == 2
    del first
    third = there_and_back(9)  # a view of the first is still held: its memory must not be taken
    assert len(worker.slots[60]) == 3
    assert view.tolist() == [7] * 13
    del view
    fourth = there_and_back(10)
    assert len(worker.slots[60]) == 3
    assert [t.unique().tolist() for t in (second, third, fourth)] == [[8], [9], [10]]
    kept = [there_and_back(value) for value in range(slots.LIMIT - 3)]
    assert type(stacked([np.zeros((3, 5), np.int16)] * 2)) is torch.Tensor  # no slot left: ordinary shared memory
    assert [int(t[0, 0, 0]) for t in kept] == list(range(slots.LIMIT - 3))


@pytest.mark.parametrize(("mean", "deviation"), [(MEAN, DEVIATION), ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))])
def test_the_device_makes_what_a_worker_would_have_made(
    mean: tuple[float, ...], deviation: tuple[float, ...]
) -> None:
    pixels = generator(0).integers(0, 256, (2, 9, 7, 3)).astype(np.uint8)
    floats = pixels.astype(np.float64) / 255
    expected = (floats - np.array(mean)) / np.array(deviation)
    made = to_device(torch.from_numpy(pixels), torch.device("cpu"), mean=mean, deviation=deviation)
    assert made.dtype == torch.float32
    assert made.shape == (2, 3, 9, 7)
    assert made.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(made.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pinned_batches_reach_a_gpu(make: Callable[[int], Path]) -> None:
    dataset = ShardDataset([make(11)], RandomCrop(40, 32), seed=3)
    sampler = EpochSampler(len(dataset), batch_size=3, seed=3, steps=8)
    gpu = torch.device("cuda")
    alone = list(stream(dataset, sampler, collate_crops))
    for one, two in zip(alone, stream(dataset, sampler, collate_crops, workers=1, pin_memory=True), strict=True):
        assert two.pixels.is_pinned()
        assert torch.equal(two.to(gpu).pixels.cpu(), one.pixels)
        expected = to_device(one.pixels, torch.device("cpu"))
        torch.testing.assert_close(to_device(two.pixels, gpu).cpu(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_shards_that_vanish_or_are_cut_off_are_counted(tmp_path: Path, workers: int) -> None:
    folder = write_set(tmp_path / "set", [sample_of(i) for i in range(12)])
    dataset = ShardDataset([folder], RandomCrop(40, 32), seed=3)
    (folder / "k-0.tar").unlink()
    cut = folder / "k-4.tar"
    cut.write_bytes(cut.read_bytes()[:3000])
    sampler = EpochSampler(12, batch_size=4, seed=3, steps=6)
    batches = list(stream(dataset, sampler, collate_crops, workers=workers))
    rejected = [found for batch in batches if batch is not None for found in batch.rejected]
    keys = [key for batch in batches if batch is not None for key in batch.keys]
    lost = sum(4 for batch in batches if batch is None)
    assert len(rejected) + len(keys) + lost == 24
    assert set(keys) == {"k-8", "k-9", "k-10", "k-11"}
    assert ("missing-shard", "k-0.tar: No such file or directory") in rejected
    assert any(reason == "bad-tar" and detail.startswith("k-4.tar ends within k-") for reason, detail in rejected)


def test_a_set_that_is_open_outlives_its_files(make: Callable[[int], Path]) -> None:
    folder = make(6)
    shards = ShardSet(folder)
    first = shards[0].image
    (folder / "k-0.tar").unlink()
    np.testing.assert_array_equal(shards[0].image, first)  # the file is open
    with pytest.raises(BadInput, match="missing-shard"):
        pickle.loads(pickle.dumps(shards))[0]  # elsewhere it must be opened
    (folder / "k-4.tar").write_bytes(b"")
    with pytest.raises(BadInput, match=r"bad-tar: k-4\.tar ends within k-5\.image\.png"):
        shards[5]


def test_threads_share_a_set_with_fewer_open_files_than_tars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.reader._OPEN", 2)
    samples = [sample_of(i) for i in range(10)]
    shards = ShardSet(write_set(tmp_path / "set", samples, per_shard=1))
    wrong: list[int] = []

    def read(offset: int) -> None:
        for turn in range(40):
            index = (turn * 7 + offset) % 10
            if not np.array_equal(shards[index].image, samples[index].image):
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert shards._tar.cache_info().currsize == 2


def test_a_position_gives_the_same_crop_for_ever(make: Callable[[int], Path]) -> None:
    dataset = ShardDataset([make(5)], RandomCrop(40, 32), seed=3)
    one, two, other = (dataset[Position(2, place, 4)] for place in (1, 1, 3))
    assert isinstance(one, Sample)
    assert isinstance(two, Sample)
    assert isinstance(other, Sample)
    np.testing.assert_array_equal(one.image, two.image)
    assert not np.array_equal(one.image, other.image)
