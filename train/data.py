"""Batches of a pool of shard sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from shards.batch import stacked
from shards.coded import SampleSet
from shards.errors import BadInput, UserError
from shards.stream import ShardDataset
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
    """

    keys: tuple[str, ...]
    pixels: UInt8[Tensor, "n h w 3"]
    anomaly: UInt8[Tensor, "n h w"]
    semantic: UInt8[Tensor, "n h w"]
    padding: Bool[Tensor, "n h w"]

    @property
    def images(self) -> Float[Tensor, "n 3 h w"]:
        """RGB in 0..1, converted wherever the batch lies."""
        return self.pixels.movedim(-1, 1).float().div_(255)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory; the DataLoader calls it."""
        return self._with(lambda tensor: tensor.pin_memory())

    def _with(self, move: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            pixels=move(self.pixels),
            anomaly=move(self.anomaly),
            semantic=move(self.semantic),
            padding=move(self.padding),
        )


class TrainingPool(ShardDataset[Item]):
    """One or more shard sets as training items.

    Args:
        sets: shard sets, opened or not.
        config: sizes, augmentation and how often each set counts.
        input_size: (width, height) of a frame at scale 1.
        seed: of the augmentation.

    Raises:
        UserError: no complete shard set, or a number of repeats that does not fit the number of sets.
    """

    def __init__(
        self, sets: Sequence[Path | SampleSet], config: TrainConfig, *, input_size: tuple[int, int], seed: int
    ) -> None:
        if config.repeat and len(config.repeat) != len(sets):
            raise UserError(
                f"repeat needs one number for each of the {len(sets)} shard sets, got {list(config.repeat)}."
            )
        repeats = config.repeat or (1,) * len(sets)
        pooled = [found for found, times in zip(sets, repeats, strict=True) for _ in range(times)]
        super().__init__(pooled, Augment(config, input_size), seed=seed)


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
    )
    return batch, rejected
