"""ERFNet.

Romera, Alvarez, Bergasa, Arroyo: ERFNet: Efficient Residual Factorized ConvNet for Real-time Semantic
Segmentation, IEEE T-ITS 2018. An encoder of factorised ("non-bottleneck-1D") residual blocks at 1/4 and 1/8 of the
input and a small decoder of transposed convolutions back to the input size:

    3 -> 16 @1/2 -> 64 @1/4 -> 5 blocks -> 128 @1/8 -> 8 dilated blocks
      -> 64 @1/4 -> 2 blocks -> 16 @1/2 -> 2 blocks -> classes @1

Parameter names and layer order are those of the published Cityscapes weights, which load as they are.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from shards.errors import UserError
from train.networks.base import Encoder, Part, SegmentationNetwork

# The published weights were trained with it: torch's 1e-5 takes the energy AP on AnomalyTrack from 61 to 26.
BATCH_NORM_EPS = 1e-3
DILATIONS = (2, 4, 8, 16, 2, 4, 8, 16)


class Downsampler(nn.Module):
    """Halve height and width: ReLU(BN(concat[conv 3x3 stride 2, max-pool 2x2]))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs - inputs, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2, stride=2)
        self.bn = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h//2 w//2"]:
        """Shapes as annotated."""
        return functional.relu(self.bn(torch.cat([self.conv(x), self.pool(x)], dim=1)))


class Upsampler(nn.Module):
    """Double height and width: ReLU(BN(transposed conv 3x3 stride 2))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.bn = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o 2*h 2*w"]:
        """Shapes as annotated."""
        return functional.relu(self.bn(self.conv(x)))


class NonBottleneck1D(nn.Module):
    """Residual block of two 3x3 convolutions, each factorised into 3x1 and 1x3; the second pair is dilated."""

    def __init__(self, channels: int, *, dilation: int, dropout: float) -> None:
        super().__init__()
        d = dilation
        self.conv3x1_1 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.bn1 = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)
        self.conv3x1_2 = nn.Conv2d(channels, channels, (3, 1), padding=(d, 0), dilation=(d, 1))
        self.conv1x3_2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, d), dilation=(1, d))
        self.bn2 = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Shapes as annotated."""
        y = functional.relu(self.conv3x1_1(x))
        y = functional.relu(self.bn1(self.conv1x3_1(y)))
        y = functional.relu(self.conv3x1_2(y))
        y = self.dropout(self.bn2(self.conv1x3_2(y)))
        return functional.relu(x + y)


class ERFNetEncoder(Encoder):
    """RGB to features at 1/2, 1/4 and 1/8 of the input; nothing is taken off the 0..1 of RGB."""

    strides = (2, 4, 8)

    def __init__(self, narrow: int, middle: int, wide: int, dropout: float) -> None:
        super().__init__()
        self.channels = (narrow, middle, wide)
        self.initial_block = Downsampler(3, narrow)
        self.layers = nn.ModuleList([Downsampler(narrow, middle)])
        # A tenth of the dropout of the deep blocks, as in the published recipe (.03 and .3).
        self.layers.extend(NonBottleneck1D(middle, dilation=1, dropout=dropout / 10) for _ in range(5))
        self.layers.append(Downsampler(middle, wide))
        self.layers.extend(NonBottleneck1D(wide, dilation=d, dropout=dropout) for d in DILATIONS)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """The last map of each size: (n, channels[i], h / strides[i], w / strides[i])."""
        x = self.initial_block(images)
        maps = []
        for layer in self.layers:
            if isinstance(layer, Downsampler):
                maps.append(x)
            x = layer(x)
        return *maps, x


class Decoder(nn.Module):
    """Features at 1/8 to logits at the input size."""

    def __init__(self, narrow: int, middle: int, wide: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                Upsampler(wide, middle),
                NonBottleneck1D(middle, dilation=1, dropout=0.0),
                NonBottleneck1D(middle, dilation=1, dropout=0.0),
                Upsampler(middle, narrow),
                NonBottleneck1D(narrow, dilation=1, dropout=0.0),
                NonBottleneck1D(narrow, dilation=1, dropout=0.0),
            ]
        )
        self.output_conv = nn.ConvTranspose2d(narrow, outputs, 2, stride=2)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n o 8*h 8*w"]:
        """Shapes as annotated."""
        for layer in self.layers:
            x = layer(x)
        # bfloat16 has three digits: too few for logits whose differences are the scores.
        with torch.autocast(x.device.type, enabled=False):
            logits: Tensor = self.output_conv(x.float())
        return logits


class ERFNet(SegmentationNetwork):
    """ERFNet; height and width of its input must be multiples of 8.

    Args:
        num_outputs: 20 as published (trainIds 0..18, then void), or 19 without a void class.
        width: factor on the channels 16, 64, 128; 1 as published, smaller is lighter.
        dropout: of the blocks at 1/8 of the input; a tenth of it at 1/4.
        input_size: (width, height) that frames are resized to, in pixels.

    Raises:
        UserError: a number out of range.
    """

    stride = 8

    def __init__(
        self,
        *,
        num_outputs: int = 20,
        width: float = 1.0,
        dropout: float = 0.3,
        input_size: tuple[int, int] = (1024, 512),
    ) -> None:
        super().__init__()
        narrow, middle, wide = (round(channels * width) for channels in (16, 64, 128))
        if not 4 <= narrow < middle < wide:
            raise UserError(f"ERFNet's width is a factor of at least 0.25 on its channels, got {width}.")
        if num_outputs not in (19, 20):
            raise UserError(f"ERFNet gives 19 outputs, or 20 with a void class, got num_outputs={num_outputs}.")
        self.num_outputs = num_outputs
        self.input_size = self.check_input(input_size)
        self.encoder = ERFNetEncoder(narrow, middle, wide, dropout)
        self.decoder = Decoder(narrow, middle, wide, num_outputs)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        """Logits at the size of the input; RGB in 0..1, no mean or deviation taken off."""
        logits: Tensor = self.decoder(self.encoder(images)[-1])
        return logits

    def part(self, which: Part) -> nn.Module:
        """`head` is the last transposed convolution, `decoder` the decoder with it."""
        parts: dict[Part, nn.Module] = {"head": self.decoder.output_conv, "decoder": self.decoder, "all": self}
        return parts[which]
