"""What MGCDA learns with and leaves behind: two domain classifiers and the projector of its contrastive loss.

Sections 3.3 and 3.4 of the paper. All are fully convolutional at stride 1, so a classifier gives a map of domains,
one value a pixel, as the least-squares loss wants it (no sigmoid); one a domain where there are more than two. None
is part of the exported network. Convolutions pad with zeros, so that the map has the size of the input (the paper
does not say). The paper is silent on how they start, too. The classifiers start as He et al. with the variance of the
maps kept: torch's own start gives a third of it at every layer, so that a classifier sees hardly anything at first;
with that of the gradients kept, the map of D_f starts ten times too large for its labels.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from train.networks.features import kaiming

OUTPUT_CHANNELS = (32, 64, 128, 256)
PROJECTED = (64, 128)


class _Convolutions(nn.Sequential):
    """Convolutions at stride 1 with ReLU between them."""

    def __init__(self, kernel: int, channels: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for i in range(len(channels) - 1):
            layers += [nn.Conv2d(channels[i], channels[i + 1], kernel, padding=kernel // 2), nn.ReLU()]
        super().__init__(*layers[:-1])


class FeatureDomainClassifier(nn.Module):
    """D_f: 3x3 convolutions to ic/2, ic/4, ic/8 and 1 channel.

    Args:
        inputs: ic, the channels of the features, a multiple of 8. Which level they are of is not in the paper; the
            deepest fused one (512 at width 1) is MGCDA's default here.
        outputs: channels of the map: 1 for two domains, as published.
    """

    def __init__(self, inputs: int, *, outputs: int = 1) -> None:
        super().__init__()
        self.layers = _Convolutions(3, (inputs, inputs // 2, inputs // 4, inputs // 8, outputs))
        kaiming(self, "fan_in")

    def forward(self, features: Float[Tensor, "n ic h w"]) -> Float[Tensor, "n d h w"]:
        """The map of domains."""
        domains: Tensor = self.layers(features)
        return domains


class OutputDomainClassifier(nn.Module):
    """D_o: 3x3 convolutions to 32, 64, 128, 256 and 1 channel.

    Args:
        inputs: channels of the anomaly map: 2 for the softmax of both logits; the paper does not say.
        outputs: channels of the map: 1 for two domains, as published.
        width: factor on the channels.
    """

    def __init__(self, inputs: int = 2, *, outputs: int = 1, width: float = 1.0) -> None:
        super().__init__()
        self.layers = _Convolutions(3, (inputs, *(round(c * width) for c in OUTPUT_CHANNELS), outputs))
        kaiming(self, "fan_in")

    def forward(self, anomaly: Float[Tensor, "n i h w"]) -> Float[Tensor, "n d h w"]:
        """The map of domains."""
        domains: Tensor = self.layers(anomaly)
        return domains


class Projector(nn.Module):
    """1x1 convolution to 64 channels, ReLU, 1x1 convolution to 128; the loss takes the norm.

    Args:
        inputs: channels of the decoder's map.
        width: factor on both.
    """

    def __init__(self, inputs: int, *, width: float = 1.0) -> None:
        super().__init__()
        self.layers = _Convolutions(1, (inputs, *(round(c * width) for c in PROJECTED)))

    def forward(self, decoded: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h w"]:
        """A vector a pixel, not normalised."""
        vectors: Tensor = self.layers(decoded)
        return vectors
