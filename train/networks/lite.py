"""LiteFPN: a small segmenter that learns from scratch in minutes on a processor, for the toy world and for tests.

Plain 3x3 convolutions, which processors are good at, and a feature pyramid (Lin et al., Feature Pyramid Networks for
Object Detection, CVPR 2017), so that the loss reaches every scale at once:

    3 -> 24 @1/2 -> 48 @1/4 (2 convs) -> 96 @1/8 (4, dilated to 4) -> 96 @1/16 (3, dilated to 4)
    top-down: 64 @1/16 + 64 @1/8, up, + 64 @1/4, 48, up, + 48 @1/2 -> classes @1/2

The logits are at half the input size; "before the final upsampling" is there.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from shards.errors import UserError
from train.networks.base import Encoder, Part, SegmentationNetwork


class ConvBlock(nn.Sequential):
    """ReLU(BN(conv 3x3))."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class LiteEncoder(Encoder):
    """RGB to features at 1/2, 1/4, 1/8 and 1/16 of the input."""

    strides: tuple[int, ...] = (2, 4, 8, 16)

    def __init__(self, half: int, quarter: int, deep: int) -> None:
        super().__init__()
        self.channels: tuple[int, ...] = (half, quarter, deep, deep)
        stages = (
            ConvBlock(3, half, stride=2),
            nn.Sequential(ConvBlock(half, quarter, stride=2), ConvBlock(quarter, quarter)),
            nn.Sequential(
                ConvBlock(quarter, deep, stride=2),
                *(ConvBlock(deep, deep, dilation=dilation) for dilation in (1, 2, 4)),
            ),
            nn.Sequential(
                ConvBlock(deep, deep, stride=2),
                *(ConvBlock(deep, deep, dilation=dilation) for dilation in (2, 4)),
            ),
        )
        for i, stage in enumerate(stages):
            self.add_module(str(i), stage)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """The four stages: (n, channels[i], h / strides[i], w / strides[i])."""
        x = images - 0.5
        maps = []
        for stage in self.children():
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def keep_three(self) -> None:
        """Take out the stage at 1/16."""
        delattr(self, "3")
        self.channels, self.strides = self.channels[:3], self.strides[:3]


class PyramidDecoder(nn.Module):
    """Merge the encoder's levels from coarse to fine, then classify."""

    def __init__(self, channels: tuple[int, int, int, int], middle: int, outputs: int) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = channels
        self.lateral16 = nn.Conv2d(sixteenth, middle, 1)
        self.lateral8 = nn.Conv2d(eighth, middle, 1)
        self.lateral4 = nn.Conv2d(quarter, middle, 1)
        self.merge = ConvBlock(middle, quarter)
        self.lateral2 = nn.Conv2d(half, quarter, 1)
        self.classifier = nn.Conv2d(quarter, outputs, 1)

    def forward(self, levels: tuple[Tensor, ...]) -> Float[Tensor, "n c h w"]:
        """Logits at the size of the first level."""
        at2, at4, at8, at16 = levels
        merged = functional.relu(_up(self.lateral16(at16), at8) + self.lateral8(at8))
        merged = functional.relu(_up(merged, at4) + self.lateral4(at4))
        merged = functional.relu(_up(self.merge(merged), at2) + self.lateral2(at2))
        # bfloat16 has three digits: too few for logits whose differences are the scores.
        with torch.autocast(merged.device.type, enabled=False):
            logits: Tensor = self.classifier(merged.float())
        return logits


def _up(coarse: Float[Tensor, "n c h w"], fine: Tensor) -> Float[Tensor, "n c H W"]:
    return functional.interpolate(coarse, size=fine.shape[-2:], mode="bilinear")


class LiteFPN(SegmentationNetwork):
    """A feature pyramid of plain convolutions; height and width of its input must be multiples of 16.

    Args:
        num_outputs: 19, or 20 with a void class.
        width: factor on all channels.
        input_size: (width, height) that frames are resized to, in pixels.

    Raises:
        UserError: a number out of range.
    """

    stride = 16

    def __init__(
        self, *, num_outputs: int = 19, width: float = 1.0, input_size: tuple[int, int] = (512, 256)
    ) -> None:
        super().__init__()
        if not 0.25 <= width <= 8:
            raise UserError(f"LiteFPN's width is a factor of 0.25 to 8 on its channels, got {width}.")
        if num_outputs not in (19, 20):
            raise UserError(f"LiteFPN gives 19 outputs, or 20 with a void class, got num_outputs={num_outputs}.")
        self.num_outputs = num_outputs
        self.input_size = self.check_input(input_size)
        half, quarter, deep, middle = (round(channels * width) for channels in (24, 48, 96, 64))
        self.encoder = LiteEncoder(half, quarter, deep)
        self.decoder = PyramidDecoder((half, quarter, deep, deep), middle, num_outputs)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h//2 w//2"]:
        """Logits at half the size of the input; RGB in 0..1."""
        logits: Tensor = self.decoder(self.encoder(images))
        return logits

    def part(self, which: Part) -> nn.Module:
        """`head` is the last 1x1 convolution, `decoder` the pyramid with it."""
        parts: dict[Part, nn.Module] = {"head": self.decoder.classifier, "decoder": self.decoder, "all": self}
        return parts[which]
