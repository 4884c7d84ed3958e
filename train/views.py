"""Logits of an image from several looks at it: mirrored, and window by window.

The mean is taken over logits. Windows overlap, so that no pixel is judged at a border alone, and are spread evenly.
The sliding window of published Cityscapes evaluations (RPL) is 1024x1024, a third of a window apart, and mirrored:
`--size 2048x1024 --tile 1024x1024 --stride 1/3 --flip`. By default it is two thirds, which is quicker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from shards.errors import UserError
from train.devices import autocast, computes_low
from train.networks import SegmentationNetwork

STRIDE: Final = 2 / 3
"""Step from window to window, where none is given."""

_ROUNDED: Final = 1e-9
"""More than rounding adds to a number of windows, and less than a stride that is meant so."""


@dataclass(frozen=True, slots=True)
class Views:
    """How an image is looked at.

    Attributes:
        flip: also mirrored left and right.
        tile: (width, height) of the windows; the whole image without it.
        stride: step from window to window, as a share of the window, above 0 and at most 1.
        batch: looks in one forward pass.
        precision: of the forward pass; `auto` is bfloat16 on CUDA devices that have it, and float32 elsewhere.
    """

    flip: bool = False
    tile: tuple[int, int] | None = None
    stride: float = STRIDE
    batch: int = 1
    precision: Literal["auto", "float32", "bfloat16"] = "float32"

    def describe(self, device: torch.device) -> dict[str, Any]:
        """What results.json says of it: whatever is not the default; the precision as that device computes."""
        named: dict[str, Any] = {}
        if self.flip:
            named["flip"] = True
        if self.tile is not None:
            named |= {"tile": list(self.tile), "stride": self.stride}
        if self.precision != "float32":
            named["precision"] = "bfloat16" if computes_low(device, self.precision) else "float32"
        return named

    def check(self, network: SegmentationNetwork, size: tuple[int, int]) -> None:
        """See that the network can take these windows of images of that size.

        Raises:
            UserError: it cannot, or a number is out of its range.
        """
        if not 0 < self.stride <= 1:
            raise UserError(f"--stride is a share of the window, above 0 and at most 1, got {self.stride}.")
        if self.batch < 1:
            raise UserError(f"--batch must be at least 1, got {self.batch}.")
        if self.tile is not None:
            if self.tile[0] > size[0] or self.tile[1] > size[1]:
                raise UserError(
                    f"--tile {self.tile[0]}x{self.tile[1]} is larger than the {size[0]}x{size[1]} that images are "
                    "resized to: give a smaller window, or a larger --size."
                )
            network.check_input(self.tile)


def view_logits(
    network: SegmentationNetwork, image: Float32[Tensor, "3 h w"], views: Views
) -> Float32[Tensor, "c hl wl"]:
    """Logits of one image, the mean over all looks at it.

    Args:
        network: in eval mode.
        image: (3, H, W) RGB in 0..1, on the network's device.
        views: how it is looked at.

    Returns:
        (C, h, w): as the network gives them, or at the image's size where there are windows.
    """
    flips = (False, True) if views.flip else (False,)
    if views.tile is None:
        looks = torch.stack([image.flip(2) if flip else image for flip in flips])
        return _mean_of_flips(_forward(network, looks, views), flips)
    width, height = views.tile
    corners = [
        (top, left)
        for top in starts(image.shape[1], height, views.stride)
        for left in starts(image.shape[2], width, views.stride)
    ]
    total: Tensor | None = None
    seen = torch.zeros(image.shape[1:], device=image.device)
    per_pass = max(1, views.batch // len(flips))
    for first in range(0, len(corners), per_pass):
        some = corners[first : first + per_pass]
        windows = [image[:, top : top + height, left : left + width] for top, left in some]
        looks = torch.stack([window.flip(2) if flip else window for window in windows for flip in flips])
        logits = _forward(network, looks, views)
        for number, (top, left) in enumerate(some):
            one = _mean_of_flips(logits[number * len(flips) : (number + 1) * len(flips)], flips)
            if one.shape[1:] != (height, width):
                one = functional.interpolate(one[None], (height, width), mode="bilinear", align_corners=False)[0]
            if total is None:
                total = torch.zeros(len(one), *image.shape[1:], device=image.device)
            total[:, top : top + height, left : left + width] += one
            seen[top : top + height, left : left + width] += 1
    assert total is not None
    return total / seen


def starts(length: int, window: int, stride: float) -> list[int]:
    """Where windows begin along one side: evenly spread, no further apart than the stride, the ends covered."""
    if window >= length:
        return [0]
    # 2/3 is no float: 1280 / (640 * 2/3) comes out above 3, and must not give a window more.
    count = math.ceil((length - window) / (window * stride) - _ROUNDED) + 1
    return [round(place * (length - window) / (count - 1)) for place in range(count)]


def _forward(
    network: SegmentationNetwork, looks: Float[Tensor, "n 3 h w"], views: Views
) -> Float32[Tensor, "n c hl wl"]:
    parts = []
    for part in torch.split(looks, views.batch):
        with autocast(looks.device, views.precision):
            parts.append(network(part).float())
    return torch.cat(parts)


def _mean_of_flips(logits: Float32[Tensor, "n c h w"], flips: tuple[bool, ...]) -> Float32[Tensor, "c h w"]:
    turned = [one.flip(2) if flip else one for one, flip in zip(logits, flips, strict=True)]
    return turned[0] if len(turned) == 1 else torch.stack(turned).mean(0)
