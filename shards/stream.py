"""The PyTorch side of a shard set: shuffled, exactly resumable, any number of workers, split over ranks.

The order of an epoch is one permutation of all samples, a pure function of (seed, epoch). A rank takes every
world-size-th place of it, the DataLoader hands the places to its workers in order, so the batches of a run depend
neither on the number of workers nor on where the run was interrupted; the position in the stream is one integer.
"""

from __future__ import annotations

import bisect
import functools
import multiprocessing
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from shards import slots
from shards.coded import SampleSet, StoredSample
from shards.delta import open_set
from shards.errors import BadInput, UserError
from shards.rng import generator
from shards.sample import Sample

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Position:
    """One place in the endless stream of samples.

    Attributes:
        epoch: which pass over the samples.
        place: the place within the epoch's order; augmentation draws from (seed, epoch, place).
        index: which sample stands there.
    """

    epoch: int
    place: int
    index: int


class ShardDataset(Dataset[Item | BadInput], Generic[Item]):
    """Map-style dataset over one or more shard sets, addressed by `Position`.

    Args:
        sets: folders of shard sets, or opened ones (a `DeltaSet` over its frames), pooled.
        transform: (stored sample, generator) -> item; a module-level callable, so that it can cross into workers. It
            sees the frame's size, chooses a rectangle and calls `StoredSample.decode` with it, which decodes no more.
            The generator is a pure function of (seed, epoch, place).
        seed: of the augmentation.

    Raises:
        UserError: a folder is no complete shard set, or one without frames; or there is no sample.
    """

    def __init__(
        self,
        sets: Sequence[Path | SampleSet],
        transform: Callable[[StoredSample, np.random.Generator], Item],
        *,
        seed: int,
    ) -> None:
        self._sets = [open_set(given) if isinstance(given, Path) else given for given in sets]
        self._ends = list(accumulate(map(len, self._sets)))
        self._transform = transform
        self._seed = seed
        if not self._ends or self._ends[-1] == 0:
            names = [str(given if isinstance(given, Path) else getattr(given, "folder", "a set")) for given in sets]
            raise UserError(f"There are no samples in {', '.join(names) or 'no folder at all'}.")

    def __len__(self) -> int:
        return self._ends[-1]

    def coded(self, index: int) -> StoredSample:
        """One sample of the pool, read and not decoded.

        Raises:
            BadInput: it cannot be read, or is broken.
        """
        which = bisect.bisect_right(self._ends, index)
        return self._sets[which].coded(index - (self._ends[which - 1] if which else 0))

    def sample(self, index: int) -> Sample:
        """Decode one sample of the pool, untransformed."""
        return self.coded(index).decode()

    def __getitem__(self, position: Position) -> Item | BadInput:
        """The transformed sample at a position of the stream, or why there is none (law 3)."""
        rng = generator(self._seed, "augment", position.epoch, position.place)
        try:
            return self._transform(self.coded(position.index), rng)
        except BadInput as bad:
            return bad


class EpochSampler(Sampler[list[Position]]):
    """Endless batches of positions; give it to a DataLoader as `batch_sampler`.

    Every rank gets the same number of batches an epoch, disjoint samples within it; the rest that does not fill a
    batch on every rank is left to chance in the next epoch's order. Where an epoch is smaller than one joint batch,
    orders of successive epochs are joined.

    Args:
        length: number of samples.
        batch_size: samples a batch and rank.
        seed: of the order.
        rank: of this process.
        world: number of processes.
        start: batches that were consumed before (the resume position).
        steps: stop after this many batches in all, counted from the beginning of the run; endless without it.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        start: int = 0,
        steps: int | None = None,
    ) -> None:
        if length < 1 or batch_size < 1 or not 0 <= rank < world:
            raise ValueError(f"length={length}, batch_size={batch_size}, rank={rank} of {world} make no stream")
        self._length, self._batch, self._seed = length, batch_size, seed
        self._rank, self._world, self._start, self._steps = rank, world, start, steps
        self.batches_per_epoch = max(1, length // (batch_size * world))

    def __len__(self) -> int:
        if self._steps is None:
            raise TypeError("an endless stream has no length")
        return max(0, self._steps - self._start)

    def __iter__(self) -> Iterator[list[Position]]:
        """Batches from `start` on."""
        joint = self._batch * self._world
        current, order = -1, np.empty(0, np.int64)
        step = self._start
        while self._steps is None or step < self._steps:
            epoch, number = divmod(step, self.batches_per_epoch)
            if epoch != current:
                current, order = epoch, self._order(epoch, joint)
            first = number * joint + self._rank
            yield [Position(epoch, place, int(order[place])) for place in range(first, first + joint, self._world)]
            step += 1

    def _order(self, epoch: int, joint: int) -> np.ndarray:
        """Permutation of the epoch; several in a row where one is shorter than a joint batch."""
        turns = max(1, -(-joint // self._length))
        return np.concatenate(
            [generator(self._seed, "order", epoch, turn).permutation(self._length) for turn in range(turns)]
        )


def stream(
    dataset: ShardDataset[Item],
    sampler: EpochSampler,
    collate: Callable[[list[Item | BadInput]], Any],
    *,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Any]:
    """The batches of a sampler, decoded by worker processes.

    Args:
        dataset: where the samples come from.
        sampler: in which order.
        collate: module-level function: list of items, and of BadInput for those that could not be read -> batch.
        workers: processes that decode; 0 decodes in the caller.
        pin_memory: page-locked batches, for a CUDA device.
    """
    if workers:
        # Modules that cost seconds are imported once, by the server that workers are forked from, and lie in memory
        # once; it has no effect where another part of the program has started the server before.
        modules = {"shards.warm", type(dataset).__module__, collate.__module__} - {"__main__"}
        multiprocessing.set_forkserver_preload(sorted(modules))
    name = uuid.uuid4().hex
    start = functools.partial(_start_worker, name)
    weakref.finalize(start, slots.forget, name)  # the loader and its iterator hold it for as long as either lives
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=start if workers else None,
        # forkserver: forking a process that runs torch threads can dead-lock.
        multiprocessing_context="forkserver" if workers else None,
        persistent_workers=workers > 0,
    )


def _start_worker(loader: str, worker: int) -> None:
    """Workers share the cores with the trainer: one thread each, in torch and in OpenCV.

    Ctrl-C reaches them too; it is for the trainer alone, whose last step may need them.
    """
    import signal

    import cv2
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    slots.start_worker(loader)
