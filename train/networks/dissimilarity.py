"""The dissimilarity network: which pixels of an image are not what its resynthesis shows.

Di Biase, Blum, Siegwart, Cadena: Pixel-wise Anomaly Detection in Complex Driving Scenes, CVPR 2021, in its best form
(VGG16, semantic and prior encoder, correlation, SPADE decoder), which MGCDA trains. Four levels, level i at 1/2^i of
the input, c_i = 64, 128, 256, 512:

    o_i, s_i = features(image), features(synthesis)            one extractor for both
    m_i      = semantic encoder(one-hot classes)               c_i / 2 channels
    u_i      = prior encoder(entropy, perceptual, distance)    c_i channels
    f_i      = conv1x1([o_i, s_i, m_i]) * u_i                  c_i channels; no activation
    k_i      = sum over channels of o_i s_i                    1 channel, unscaled as published

and from the coarsest to the finest

    d_i      = SPADE block(SELU(conv3x3([tconv2x2(d_{i+1}), k_i, f_i])))     256, 256, 128, 64 channels
    logits   = conv1x1(d_0)                                                  known, anomaly

Unstated in the papers, and as in the code: convolutions pad with zeros; fusion, decoder and head start as torch
starts them, the two small encoders as He et al.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from shards.errors import UserError
from shards.labels import NUM_CLASSES
from train.networks.base import SegmentationNetwork
from train.networks.features import ImageNetNorm, SegmenterFeatures, build_features, kaiming
from train.networks.spade import HIDDEN, SpadeBlock, one_hot

CHANNELS = (64, 128, 256, 512)
"""Of the fused maps, finest first."""
DECODED = (64, 128, 256, 256)
"""Of the decoder's maps, finest first."""


class DissimilarityOutput(NamedTuple):
    """What the network gives; level i is at 1/2^i of the input.

    Attributes:
        logits: (n, 2, h, w) float32: known, anomaly.
        fused: the four f_i, finest first: what the decoder reads of the encoders but for the correlation. The last,
            (n, 512 width, h/8, w/8), is what MGCDA's feature domain classifier looks at (the paper does not say which
            level, nor whether before or behind the product with the prior).
        decoded: (n, 64 width, h, w): d_0, the map before the head, which MGCDA projects (the paper says "features
            derived from the decoder").
    """

    logits: Tensor
    fused: tuple[Tensor, Tensor, Tensor, Tensor]
    decoded: Tensor


class SmallEncoder(nn.Module):
    """Four convolutions with ReLU: 7x7 at stride 1, then three times 3x3 at stride 2.

    Args:
        inputs: channels of its input.
        channels: of its four maps.
    """

    def __init__(self, inputs: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels[0], 7, padding=3)
        self.rest = nn.ModuleList(nn.Conv2d(channels[i], channels[i + 1], 3, stride=2, padding=1) for i in range(3))
        kaiming(self)

    def forward(self, x: Float[Tensor, "n i h w"]) -> tuple[Tensor, ...]:
        """The four maps, at 1, 1/2, 1/4 and 1/8 of the input."""
        x = functional.relu(self.first(x))
        maps = [x]
        for layer in self.rest:
            x = functional.relu(layer(x))
            maps.append(x)
        return tuple(maps)


class ImageEncoder(nn.Module):
    """The extractor that image and resynthesis share, with a learned map at full size where it has none.

    Args:
        features: `vgg16`, or `segmenter`, whose first map is at 1/2: ReLU(conv3x3) of the image stands before it.
        width: factor on the channels that are not the segmenter's.
        segmenter: as `build_features` takes it.
    """

    def __init__(
        self, features: Literal["vgg16", "segmenter"], width: float, segmenter: Mapping[str, Any] | None
    ) -> None:
        super().__init__()
        self.features = build_features(features, width=width, segmenter=segmenter)
        self.full: nn.Sequential | None = None
        self.channels = self.features.channels
        if self.features.strides[0] == 2:
            full = round(CHANNELS[0] * width)
            self.full = nn.Sequential(ImageNetNorm(), nn.Conv2d(3, full, 3, padding=1), nn.ReLU())
            kaiming(self.full)
            self.channels = (full, *self.channels)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """Four maps of RGB in 0..1, at 1, 1/2, 1/4 and 1/8."""
        maps: tuple[Tensor, ...] = self.features(images)
        return maps if self.full is None else (self.full(images), *maps)


class DecoderLevel(nn.Module):
    """SPADE block(SELU(conv3x3)), then the transposed convolution to the next finer level, where there is one."""

    def __init__(self, inputs: int, outputs: int, hidden: int, *, last: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.block = SpadeBlock(outputs, NUM_CLASSES, hidden=hidden)
        self.up: nn.Module = nn.Identity() if last else nn.ConvTranspose2d(outputs, outputs, 2, stride=2)

    def forward(self, x: Float[Tensor, "n i h w"], semantic: Float[Tensor, "n 19 H W"]) -> Float[Tensor, "n o a b"]:
        """At the size of the input if it is the last level, else at twice that."""
        x = functional.selu(self.conv(x))
        up: Tensor = self.up(self.block(x, semantic))
        return up


class DissimilarityNetwork(nn.Module):
    """The whole network; height and width of its input are multiples of 8, from 16 on.

    Attributes:
        input_size: (width, height) that samples have, in pixels.
        fused_channels: of the four fused maps, finest first.
        decoded_channels: of the map before the head.
        width: factor on the channels.

    Args:
        features: what looks at image and resynthesis: `vgg16` as published, or `segmenter`.
        width: factor on all channels but those of a segmenter's encoder; 1 as published.
        segmenter: for `segmenter`: {"name": ..., "options": {...}} of the segmenter whose encoder is copied.
        input_size: (width, height) that samples have, in pixels; 512x256 as published.

    Raises:
        UserError: a value out of range.
    """

    stride = 8
    fused_channels: tuple[int, ...]
    decoded_channels: int

    def __init__(
        self,
        *,
        features: Literal["vgg16", "segmenter"] = "vgg16",
        width: float = 1.0,
        segmenter: Mapping[str, Any] | None = None,
        input_size: tuple[int, int] = (512, 256),
    ) -> None:
        super().__init__()
        if not 0.125 <= width <= 4:
            raise UserError(f"The dissimilarity network's width is a factor of 0.125 to 4, got {width}.")
        if features not in ("vgg16", "segmenter"):
            raise UserError(f"The dissimilarity network's features are vgg16 or segmenter, got {features!r}.")
        if min(input_size) < 16 or any(side % self.stride for side in input_size):
            raise UserError(
                "The dissimilarity network's input width and height are multiples of 8, at least 16, "
                f"got {input_size[0]}x{input_size[1]}."
            )
        self.input_size, self.width = input_size, width
        fused, decoded = ([round(c * width) for c in table] for table in (CHANNELS, DECODED))
        self.fused_channels, self.decoded_channels = tuple(fused), decoded[0]
        half = tuple(round(c / 2 * width) for c in CHANNELS)
        self.encoder = ImageEncoder(features, width, segmenter)
        self.semantic_encoder = SmallEncoder(NUM_CLASSES, half)
        self.prior_encoder = SmallEncoder(3, tuple(fused))
        self.fusion = nn.ModuleList(
            nn.Conv2d(2 * seen + mine, out, 1)
            for seen, mine, out in zip(self.encoder.channels, half, fused, strict=True)
        )
        below = [*decoded[1:], 0]  # channels that come up from the coarser level
        self.decoder = nn.ModuleList(
            DecoderLevel(below[i] + 1 + fused[i], decoded[i], round(HIDDEN * width), last=i == 0) for i in range(4)
        )
        self.head = nn.Conv2d(decoded[0], 2, 1)

    def forward(
        self,
        image: Float[Tensor, "n 3 h w"],
        synthesis: Float[Tensor, "n 3 h w"],
        semantic: UInt8[Tensor, "n h w"],
        uncertainty: Float[Tensor, "n 3 h w"],
    ) -> DissimilarityOutput:
        """Compare.

        Args:
            image: RGB in 0..1.
            synthesis: the same, painted from `semantic`.
            semantic: trainIds; a pixel without a class (255) is of none.
            uncertainty: entropy, perceptual difference, softmax distance, in this order, each in 0..1.
        """
        classes = one_hot(semantic, dtype=image.dtype)
        seen = [maps.chunk(2) for maps in self.encoder(torch.cat([image, synthesis]))]
        meant = self.semantic_encoder(classes)
        doubted = self.prior_encoder(uncertainty)
        fused = [
            fuse(torch.cat([mine, theirs, m], 1)) * u
            for fuse, (mine, theirs), m, u in zip(self.fusion, seen, meant, doubted, strict=True)
        ]
        coarser: list[Tensor] = []
        for i in (3, 2, 1, 0):
            mine, theirs = seen[i]
            # Products of 512 channels: summed in float32 whatever autocast says.
            correlation = (mine * theirs).sum(1, keepdim=True, dtype=torch.float32).to(fused[i].dtype)
            coarser = [self.decoder[i](torch.cat([*coarser, correlation, fused[i]], 1), classes)]
        decoded = coarser[0]
        # bfloat16 has three digits: too few for logits whose difference is the score.
        with torch.autocast(decoded.device.type, enabled=False):
            logits: Tensor = self.head(decoded.float())
        return DissimilarityOutput(logits, (fused[0], fused[1], fused[2], fused[3]), decoded)

    def copy_features(self, segmenter: SegmentationNetwork) -> None:
        """Start from a trained segmenter's encoder, where the features are a segmenter's.

        Raises:
            UserError: they are not, or of another segmenter.
        """
        if not isinstance(self.encoder.features, SegmenterFeatures):
            raise UserError("The features are not a segmenter's: build the network with features 'segmenter'.")
        self.encoder.features.copy_from(segmenter)


def network_inputs(
    pixels: UInt8[Tensor, "n h w 3"], extras: Mapping[str, Tensor]
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n 3 h w"], UInt8[Tensor, "n h w"], Float[Tensor, "n 3 h w"]]:
    """What `forward` takes, from pictures and maps as an enriched sample stores them.

    Args:
        pixels: RGB.
        extras: ``synthesis`` (n, h, w, 3), ``predicted``, ``entropy``, ``perceptual``, ``distance`` (n, h, w), uint8.
    """
    doubts = torch.stack([extras[name] for name in ("entropy", "perceptual", "distance")], 1)
    image, synthesis = (rgb.movedim(-1, 1).float() / 255 for rgb in (pixels, extras["synthesis"]))
    return image, synthesis, extras["predicted"], doubts.float() / 255
