"""Batches of all streams on the device, and how long the device waited for them.

On a CUDA device a batch is copied from page-locked memory by a stream of its own. The host does not wait for the
device between two steps, so it asks for the next batch, and the copy runs, while the device works on this one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from shards.errors import UserError
from shards.stream import EpochSampler, stream
from train.config import TrainConfig
from train.data import Batch, TrainingPool, collate
from train.ranks import rank, world


class Feed:
    """The streams of a run, from one step to another; the position in every stream is the step.

    Args:
        pools: one a stream.
        config: batch and accumulate.
        device: where batches go.
        workers: processes that decode, shared out among the streams, at least one for each; 0 decodes in the caller.
        first: step to begin with.
        stop: step to end before.

    Attributes:
        waits: time that the device waited.

    Raises:
        UserError: the batch cannot be shared out among the processes.
    """

    def __init__(
        self,
        pools: Sequence[TrainingPool],
        config: TrainConfig,
        *,
        device: torch.device,
        workers: int,
        first: int,
        stop: int,
    ) -> None:
        if config.batch % (world() * config.accumulate):
            raise UserError(
                f"batch is shared out among {world()} processes, in {config.accumulate} parts each: give a multiple "
                f"of {world() * config.accumulate}, got {config.batch}."
            )
        self.waits = Waits(device)
        self._device, self._least = device, config.accumulate
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._streams = []
        for pool, share in zip(pools, shares(workers, len(pools)), strict=True):
            sampler = EpochSampler(
                len(pool),
                batch_size=config.batch // world(),
                seed=pool.seed,
                rank=rank(),
                world=world(),
                start=first,
                steps=stop,
            )
            loader = stream(pool, sampler, collate, workers=share, pin_memory=device.type == "cuda")
            self._streams.append(iter(loader))

    def next(self, step: int) -> tuple[list[Batch], list[tuple[str, str]]]:
        """One batch of each stream, on the device; beside it (reason, detail) of the samples that could not be read.

        Args:
            step: for errors, counted from 1.

        Raises:
            UserError: too few samples of a batch can be read.
        """
        batches: list[Batch] = []
        unreadable: list[tuple[str, str]] = []
        with self.waits.measured():
            for one in self._streams:
                batch, rejected = next(one)
                unreadable += rejected
                if batch is None or len(batch.keys) < self._least:
                    what = "No sample" if batch is None else f"Fewer samples than accumulate={self._least}"
                    raise UserError(
                        f"{what} of step {step} can be read ({rejected[0][1]}); look with `anomsynth check`."
                    )
                batches.append(self._copied(batch))
            if self._copies is not None:
                torch.cuda.current_stream(self._device).wait_stream(self._copies)
        return batches, unreadable

    def _copied(self, batch: Batch) -> Batch:
        if self._copies is None:
            return batch.to(self._device)
        with torch.cuda.stream(self._copies):
            copied = batch.to(self._device)
        for tensor in copied.tensors:  # their memory is not given to another copy before the step has used it
            if tensor.is_cuda:
                tensor.record_stream(torch.cuda.current_stream(self._device))
        return copied


def shares(workers: int, streams: int) -> list[int]:
    """How many of the processes that decode each stream gets: at least one, unless there are none."""
    even = [workers * (number + 1) // streams - workers * number // streams for number in range(streams)]
    return [max(share, 1) if workers else 0 for share in even]


class Waits:
    """Time in which the device had nothing to do because a batch was not there.

    On a CUDA device the host is ahead of it, and what the host waits is not yet lost: marks in the device's own queue
    of work tell when it came to the place where the batch was asked for, and when it could go on.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._seconds = 0.0
        self._marks: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Count the time of the block."""
        if self._cuda:
            asked, got = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            asked.record()
            yield
            got.record()
            self._marks.append((asked, got))
        else:
            began = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - began

    def take(self) -> float:
        """Seconds since the last call. On a CUDA device the host waits for the last mark."""
        if self._marks:  # the last one lies behind whatever the host has waited for: asking it early is an error
            self._marks[-1][1].synchronize()
        seconds: float = self._seconds + sum(asked.elapsed_time(got) for asked, got in self._marks) / 1000
        self._seconds = 0.0
        self._marks.clear()
        return seconds
