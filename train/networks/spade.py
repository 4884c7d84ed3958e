"""SPADE: normalisation whose scale and shift are drawn from a map of classes.

Park, Liu, Wang, Zhu: Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019, equation 1:

    SPADE(x, s) = norm(x) (1 + gamma(s)) + beta(s)

norm has no affine part of its own; gamma and beta are 3x3 convolutions of ReLU(conv3x3(s)) with 128 channels; s is
the one-hot map of classes, resized to x by nearest neighbour.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from shards.labels import NUM_CLASSES

HIDDEN = 128
"""Channels between the classes and gamma, beta; published."""

Norm = Literal["instance", "batch"]


def one_hot(
    labels: UInt8[Tensor, "n h w"], *, unknown: bool = False, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "n c h w"]:
    """Planes of the classes: 1 where a pixel is of the class, else 0.

    Args:
        labels: trainIds.
        unknown: one plane more, for whatever is no trainId; without it such pixels (255) are 0 in all planes.
        dtype: of the planes.

    Returns:
        19 planes, or 20.
    """
    planes = torch.arange(NUM_CLASSES + unknown, device=labels.device, dtype=torch.uint8)
    if unknown:
        labels = labels.clamp(max=NUM_CLASSES)
    return (labels[:, None] == planes[None, :, None, None]).to(dtype)


class Spade(nn.Module):
    """Equation 1.

    Args:
        channels: of what is normalised.
        classes: planes of the one-hot map.
        hidden: channels between the map and gamma, beta.
        norm: over each channel of each image (`instance`), or of the batch (`batch`).
    """

    def __init__(self, channels: int, classes: int, *, hidden: int = HIDDEN, norm: Norm = "instance") -> None:
        super().__init__()
        self.norm: nn.Module = (
            nn.InstanceNorm2d(channels) if norm == "instance" else nn.BatchNorm2d(channels, affine=False)
        )
        self.shared = nn.Conv2d(classes, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "n c h w"], semantic: Float[Tensor, "n classes H W"]
    ) -> Float[Tensor, "n c h w"]:
        """Shapes as annotated; the semantic map may be of any size."""
        resized = functional.interpolate(semantic, size=x.shape[-2:], mode="nearest")
        hidden = functional.relu(self.shared(resized))
        modulated: Tensor = self.norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)
        return modulated


class SpadeBlock(nn.Module):
    """SPADE, SELU, conv3x3, SPADE, SELU: the block of the dissimilarity network's decoder; size and channels stay.

    Args:
        channels: of input and output.
        classes: planes of the one-hot map.
        hidden: of both SPADEs.
    """

    def __init__(self, channels: int, classes: int, *, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.spade_1 = Spade(channels, classes, hidden=hidden)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.spade_2 = Spade(channels, classes, hidden=hidden)

    def forward(
        self, x: Float[Tensor, "n c h w"], semantic: Float[Tensor, "n classes H W"]
    ) -> Float[Tensor, "n c h w"]:
        """Shapes as annotated."""
        x = functional.selu(self.spade_1(x, semantic))
        return functional.selu(self.spade_2(self.conv(x), semantic))
