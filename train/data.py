"""Batches of pools of shard sets: one pool is a stream, and a run has one or more of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from shards.batch import stacked
from shards.delta import DeltaSet, open_set
from shards.errors import BadInput, UserError
from shards.reader import ShardSet
from shards.rng import generator
from shards.stream import EpochSampler, ShardDataset
from train.augment import Augment, Item
from train.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step sees.

    Attributes:
        keys: of the samples, in order.
        pixels: (N, H, W, 3) uint8 RGB.
        anomaly: (N, H, W) uint8: 0 known, 1 anomaly, 255 ignore.
        semantic: (N, H, W) uint8 trainIds, 255 ignore.
        padding: (N, H, W) bool: beside the frame, where both maps are 255.
        seeds: (N,) int64, a number of each sample from its own generator: what a method draws for a sample it draws
            from this, so that the draw depends neither on the batch nor on the number of processes. On the CPU
            always: to read them from a CUDA device, the host would have to wait for it.
        extras: further maps by name, uint8 (N, H, W) or (N, H, W, 3), see `TrainingPool`.
    """

    keys: tuple[str, ...]
    pixels: UInt8[Tensor, "n h w 3"]
    anomaly: UInt8[Tensor, "n h w"]
    semantic: UInt8[Tensor, "n h w"]
    padding: Bool[Tensor, "n h w"]
    seeds: Int64[Tensor, " n"]
    extras: Mapping[str, UInt8[Tensor, "n h w *c"]] = field(default_factory=dict)

    @property
    def images(self) -> Float[Tensor, "n 3 h w"]:
        """RGB in 0..1, converted wherever the batch lies."""
        return self.pixels.movedim(-1, 1).float().div_(255)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; the seeds stay on the CPU, where they are read."""
        moved = self._with(lambda tensor: tensor.to(device, non_blocking=True))
        return replace(moved, seeds=self.seeds)

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory; the DataLoader calls it."""
        return self._with(lambda tensor: tensor.pin_memory())

    def parts(self, count: int) -> list[Batch]:
        """The batch in so many parts, one after the other, as equal as its samples allow."""
        bounds = [number * len(self.keys) // count for number in range(count + 1)]
        return [
            replace(self._with(lambda tensor, cut=slice(a, b): tensor[cut]), keys=self.keys[a:b])  # type: ignore[misc]
            for a, b in itertools.pairwise(bounds)
        ]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them."""
        return (self.pixels, self.anomaly, self.semantic, self.padding, self.seeds, *self.extras.values())

    def _with(self, move: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            pixels=move(self.pixels),
            anomaly=move(self.anomaly),
            semantic=move(self.semantic),
            padding=move(self.padding),
            seeds=move(self.seeds),
            extras={name: move(tensor) for name, tensor in self.extras.items()},
        )


class TrainingPool(ShardDataset[Item]):
    """One or more shard sets as training items.

    Args:
        sets: shard sets, opened or not.
        config: sizes, augmentation and how often each set counts.
        input_size: (width, height) of a frame at scale 1.
        seed: of the order and the augmentation.
        extras: names of the samples' extras that batches hold; a sample without one of them is unreadable.

    Raises:
        UserError: no complete shard set, or a number of repeats that does not fit the number of sets.
    """

    def __init__(
        self,
        sets: Sequence[Path | ShardSet | DeltaSet],
        config: TrainConfig,
        *,
        input_size: tuple[int, int],
        seed: int,
        extras: Sequence[str] = (),
    ) -> None:
        if config.repeat and len(config.repeat) != len(sets):
            raise UserError(
                f"repeat needs one number for each of the {len(sets)} shard sets, got {list(config.repeat)}."
            )
        opened = [open_set(given) if isinstance(given, Path) else given for given in sets]
        repeats = config.repeat or (1,) * len(opened)
        pooled = [found for found, times in zip(opened, repeats, strict=True) for _ in range(times)]
        super().__init__(pooled, Augment(config, input_size, extras), seed=seed)
        self.seed = seed
        self.manifests = [found.manifest for found in pooled]


def stream_seed(seed: int, number: int) -> int:
    """Seed of the pool of stream `number`, counted from 0: pools of equal length shall not be read in equal order."""
    return seed if number == 0 else int(generator(seed, "stream", number).integers(2**31))


def steps_per_epoch(pools: Sequence[TrainingPool], batch: int) -> int:
    """Steps in which the longest stream is read once; the shorter ones begin again meanwhile."""
    return max(EpochSampler(len(pool), batch_size=batch, seed=0).batches_per_epoch for pool in pools)


def collate(items: list[Item | BadInput]) -> tuple[Batch | None, list[tuple[str, str]]]:
    """Stack what could be read (None where nothing could); beside it (reason, detail) of what could not."""
    good = [item for item in items if isinstance(item, Item)]
    rejected = [(item.reason, item.detail) for item in items if isinstance(item, BadInput)]
    if not good:
        return None, rejected
    batch = Batch(
        keys=tuple(item.key for item in good),
        pixels=stacked([item.image for item in good]),
        anomaly=stacked([item.anomaly for item in good]),
        semantic=stacked([item.semantic for item in good]),
        padding=stacked([item.padding for item in good]),
        seeds=torch.tensor([item.seed for item in good], dtype=torch.int64),
        extras={name: stacked([item.extras[name] for item in good]) for name in good[0].extras},
    )
    return batch, rejected
