"""A picture from a map of classes, and its judge: SPADE's generator and discriminator.

Park, Liu, Wang, Zhu: Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019, appendix A.
Generator, f = 64 channels, every block a residual one with SPADE, "up" nearest neighbour to twice the size:

    one-hot at 1/32 -> conv3x3 16f -> 16f, up -> 16f -> 16f, up -> 8f, up -> 4f, up -> 2f, up -> f
      -> LeakyReLU(.2), conv3x3, tanh -> RGB

Discriminator, on classes and picture side by side, at two scales (average pooling between them), instance norm but in
the first and last layer:

    conv4x4 /2 64 -> conv4x4 /2 128 -> conv4x4 /2 256 -> conv4x4 512 -> conv4x4 1 (a map of verdicts)

Spectral norm is on the convolutions of the generator's residual blocks and on those of the discriminator that
instance norm follows. Read off the code, not in the paper: padding 2 of the 4x4 convolutions, Xavier start with gain
.02, no spectral norm in the discriminator's first and last layer. What differs from both:

* no image encoder and no noise (the code's default too): one picture for a map, which a data set wants;
* 19 trainIds and one plane for the unknown; no plane of instance edges, because a prediction has no instances;
* instance norm within SPADE by default, so that a picture does not depend on those beside it; the published batch
  norm is `norm="batch"`, without its synchronisation over processes.

SynBoost, and with it MGCDA, paint with another generator, CC-FPSE (Liu et al., Learning to Predict Layout-to-image
Conditional Convolutions for Semantic Image Synthesis, NeurIPS 2019), which predicts its depthwise convolutions from
the map, on 35 labelIds with an edge plane and a noise of 256; SynBoost's light variant paints with SPADE.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from shards.errors import UserError
from shards.labels import NUM_CLASSES
from train.networks.spade import HIDDEN, Norm, Spade, one_hot

CLASSES = NUM_CLASSES + 1
FACTORS = (16, 16, 16, 8, 4, 2, 1)
"""Channels of the blocks' outputs, in multiples of f."""
UPSAMPLED = (True, False, True, True, True, True, False)
"""Whether the size doubles behind the block."""
SLOPE = 0.2
"""Of LeakyReLU where it is negative."""


class SpadeResidualBlock(nn.Module):
    """x or its 1x1 convolution, plus twice SPADE, LeakyReLU, conv3x3.

    Args:
        inputs: channels that come in.
        outputs: channels that go out; where they differ, SPADE and a 1x1 convolution take the short way too.
        hidden: of each SPADE.
        norm: of each SPADE.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int = HIDDEN, norm: Norm = "instance") -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.spade_1 = Spade(inputs, CLASSES, hidden=hidden, norm=norm)
        self.conv_1 = nn.Conv2d(inputs, middle, 3, padding=1)
        self.spade_2 = Spade(middle, CLASSES, hidden=hidden, norm=norm)
        self.conv_2 = nn.Conv2d(middle, outputs, 3, padding=1)
        self.short: nn.ModuleList | None = None
        if inputs != outputs:
            self.short = nn.ModuleList(
                [Spade(inputs, CLASSES, hidden=hidden, norm=norm), nn.Conv2d(inputs, outputs, 1, bias=False)]
            )
        xavier(self)
        for conv in [self.conv_1, self.conv_2, *([] if self.short is None else [self.short[1]])]:
            spectral_norm(conv)

    def forward(self, x: Float[Tensor, "n i h w"], semantic: Float[Tensor, "n 20 H W"]) -> Float[Tensor, "n o h w"]:
        """Shapes as annotated."""
        short = x
        if self.short is not None:
            spade, conv = self.short
            short = conv(spade(x, semantic))
        x = self.conv_1(functional.leaky_relu(self.spade_1(x, semantic), SLOPE))
        x = self.conv_2(functional.leaky_relu(self.spade_2(x, semantic), SLOPE))
        return short + x


class SpadeGenerator(nn.Module):
    """trainIds to RGB; height and width are multiples of 32, and larger than 32 x 32 together.

    Args:
        width: factor on all channels; 1 as published.
        norm: within SPADE.
        input_size: (width, height) of maps and pictures, in pixels; 512x256 as published.

    Raises:
        UserError: a value out of range.
    """

    stride = 32

    def __init__(
        self, *, width: float = 1.0, norm: Norm = "instance", input_size: tuple[int, int] = (512, 256)
    ) -> None:
        super().__init__()
        if not 0.125 <= width <= 4:
            raise UserError(f"The generator's width is a factor of 0.125 to 4, got {width}.")
        if any(side < self.stride or side % self.stride for side in input_size) or max(input_size) == self.stride:
            raise UserError(
                "The generator's input width and height are multiples of 32, one of them at least 64, "
                f"got {input_size[0]}x{input_size[1]}."
            )
        self.width, self.input_size = width, input_size
        channels = [round(64 * width) * factor for factor in FACTORS]
        self.first = nn.Conv2d(CLASSES, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SpadeResidualBlock(inputs, outputs, hidden=round(HIDDEN * width), norm=norm)
            for inputs, outputs in zip([channels[0], *channels], channels, strict=False)
        )
        self.last = nn.Conv2d(channels[-1], 3, 3, padding=1)
        xavier(self.first)
        xavier(self.last)

    def forward(self, semantic: UInt8[Tensor, "n h w"]) -> Float[Tensor, "n 3 h w"]:
        """Paint.

        Args:
            semantic: trainIds; whatever is none (255) is the unknown.

        Returns:
            RGB in 0..1.
        """
        classes = one_hot(semantic, unknown=True, dtype=self.first.weight.dtype)
        height, width = semantic.shape[-2:]
        x = self.first(functional.interpolate(classes, (height // self.stride, width // self.stride)))
        for block, up in zip(self.blocks, UPSAMPLED, strict=True):
            x = block(x, classes)
            if up:
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
        x = self.last(functional.leaky_relu(x, SLOPE))
        return (torch.tanh(x) + 1) / 2


class PatchDiscriminator(nn.Module):
    """The discriminator at one scale.

    Args:
        width: factor on the channels.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = [CLASSES + 3, *(round(c * width) for c in (64, 128, 256, 512))]
        layers: list[nn.Module] = []
        for i, stride in enumerate((2, 2, 2, 1)):
            # Instance norm takes a bias off again.
            conv = nn.Conv2d(channels[i], channels[i + 1], 4, stride, padding=2, bias=i == 0)
            layers.append(
                nn.Sequential(conv, nn.LeakyReLU(SLOPE))
                if i == 0
                else nn.Sequential(conv, nn.InstanceNorm2d(channels[i + 1]), nn.LeakyReLU(SLOPE))
            )
        layers.append(nn.Conv2d(channels[-1], 1, 4, padding=2))
        self.layers = nn.ModuleList(layers)
        xavier(self)
        for i in (1, 2, 3):
            spectral_norm(self.layers[i].get_submodule("0"))

    def forward(self, x: Float[Tensor, "n 23 h w"]) -> tuple[Tensor, ...]:
        """The output of every layer; the last is the map of verdicts (n, 1, a, b), without a sigmoid."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)


class MultiScaleDiscriminator(nn.Module):
    """The discriminator at full size, at half, ...

    Args:
        width: factor on the channels; 1 as published.
        scales: how many; 2 as published.
    """

    def __init__(self, *, width: float = 1.0, scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(width) for _ in range(scales))

    def forward(
        self, semantic: UInt8[Tensor, "n h w"], picture: Float[Tensor, "n 3 h w"]
    ) -> tuple[tuple[Tensor, ...], ...]:
        """Judge whether a picture of these classes is a photograph.

        Args:
            semantic: trainIds; whatever is none (255) is the unknown.
            picture: RGB in 0..1, taken to -1..1 inside.

        Returns:
            for each scale, the finest first, the outputs of its five layers: four to match features with, then the
            verdicts.
        """
        x = torch.cat([one_hot(semantic, unknown=True, dtype=picture.dtype), 2 * picture - 1], 1)
        judged = []
        for i, scale in enumerate(self.scales):
            if i:
                x = functional.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            judged.append(scale(x))
        return tuple(judged)


def xavier(module: nn.Module) -> None:
    """Start convolutions as Glorot, Bengio, AISTATS 2010, with gain .02, from torch's global generator; no bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_normal_(layer.weight, gain=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
