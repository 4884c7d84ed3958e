"""What crosses from the workers to the device: crops as uint8, which the device makes floating point numbers.

A worker spends as long on converting and normalising a crop as on decoding it, and the four times larger arrays cross
process borders, pinned memory and the bus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from shards import slots
from shards.coded import StoredSample
from shards.errors import BadInput
from shards.sample import Sample

MEAN: Final = (0.485, 0.456, 0.406)
"""Of ImageNet's pixels in 0..1, red, green, blue, as most pretrained networks expect them to be taken off."""
DEVIATION: Final = (0.229, 0.224, 0.225)
"""Of the same pixels."""


@dataclass(frozen=True, slots=True)
class CropBatch:
    """Crops of equal size, as they are stored.

    Attributes:
        keys: of the samples, in order.
        pixels: (N, H, W, 3) uint8 RGB.
        anomaly: (N, H, W) uint8: 0 known, 1 anomaly, 255 ignore.
        semantic: (N, H, W) uint8 trainIds, 255 ignore.
        rejected: (reason, detail) of the samples that could not be read and are missing here.
    """

    keys: tuple[str, ...]
    pixels: UInt8[Tensor, "n h w 3"]
    anomaly: UInt8[Tensor, "n h w"]
    semantic: UInt8[Tensor, "n h w"]
    rejected: tuple[tuple[str, str], ...] = ()

    def pin_memory(self) -> CropBatch:
        """The batch in page-locked memory, from where a CUDA device fetches it alone; the DataLoader calls it."""
        return self._with(lambda tensor: tensor.pin_memory())

    def to(self, device: torch.device) -> CropBatch:
        """The batch on a device, still as uint8; from page-locked memory without waiting for the copy."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def _with(self, move: Callable[[Tensor], Tensor]) -> CropBatch:
        return replace(self, pixels=move(self.pixels), anomaly=move(self.anomaly), semantic=move(self.semantic))


@dataclass(frozen=True, slots=True)
class RandomCrop:
    """The transform of a `ShardDataset` that cuts a rectangle at a random place, of which alone anything is decoded.

    Attributes:
        width: in pixels.
        height: in pixels.
        flip: probability of mirroring left and right.
    """

    width: int
    height: int
    flip: float = 0.0

    def __call__(self, coded: StoredSample, rng: np.random.Generator) -> Sample:
        """The cut sample.

        Raises:
            BadInput: ``small-frame`` where the frame is smaller than the crop, or what decoding raises.
        """
        if coded.width < self.width or coded.height < self.height:
            size = f"{coded.width}x{coded.height} pixels, less than a crop of {self.width}x{self.height}"
            raise BadInput("small-frame", f"{coded.key} has {size}")
        left = int(rng.integers(coded.width - self.width + 1))
        top = int(rng.integers(coded.height - self.height + 1))
        mirrored = bool(rng.random() < self.flip)
        sample = coded.decode((left, top, self.width, self.height))
        if not mirrored:
            return sample
        return replace(
            sample, image=sample.image[:, ::-1], anomaly=sample.anomaly[:, ::-1], semantic=sample.semantic[:, ::-1]
        )


def collate_crops(items: list[Sample | BadInput]) -> CropBatch:
    """Stack crops of equal size; where not one could be read, the batch is empty (N = H = W = 0) and says why."""
    good = [item for item in items if isinstance(item, Sample)]
    rejected = tuple((item.reason, item.detail) for item in items if isinstance(item, BadInput))
    if not good:
        nothing = torch.empty((0, 0, 0), dtype=torch.uint8)
        return CropBatch((), torch.empty((0, 0, 0, 3), dtype=torch.uint8), nothing, nothing, rejected)
    return CropBatch(
        keys=tuple(item.key for item in good),
        pixels=stacked([item.image for item in good]),
        anomaly=stacked([item.anomaly for item in good]),
        semantic=stacked([item.semantic for item in good]),
        rejected=rejected,
    )


def stacked(arrays: Sequence[np.ndarray]) -> Tensor:
    """Arrays of equal shape and kind as one tensor, along a new first axis.

    In a worker process it lies in shared memory from the start: what the parent receives is not copied again.
    """
    first = arrays[0]
    tensor = slots.empty((len(arrays), *first.shape), torch.from_numpy(np.empty(0, first.dtype)).dtype)
    np.stack(arrays, out=tensor.numpy())
    return tensor


def to_device(
    pixels: UInt8[Tensor, "n h w 3"],
    device: torch.device,
    *,
    mean: Sequence[float] = MEAN,
    deviation: Sequence[float] = DEVIATION,
) -> Float[Tensor, "n 3 h w"]:
    """Normalised float32 pictures on a device, from the bytes that workers hand over.

    With x the bytes, (x / 255 - mean) / deviation in each channel. Only the bytes are copied; from page-locked memory
    (`pin_memory` of `stream`) the copy does not wait. The result lies in memory as channels last, as convolutions
    want it.

    Args:
        pixels: (N, H, W, 3) uint8 RGB.
        device: where the pictures should be.
        mean: of each channel, in 0..1; zeros keep it.
        deviation: of each channel, in 0..1; ones keep it.
    """
    values = pixels.to(device, non_blocking=True).movedim(-1, 1).float()
    scale = torch.tensor([255 * d for d in deviation], device=device)[:, None, None]
    shift = torch.tensor([m / d for m, d in zip(mean, deviation, strict=True)], device=device)[:, None, None]
    return values.div_(scale).sub_(shift)
