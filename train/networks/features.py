"""Feature extractors by name: what the dissimilarity network and the perceptual difference look at images with.

    vgg16      VGG16 cut behind children 4, 9, 16, 23 of its features: 64 @1, 128 @1/2, 256 @1/4, 512 @1/8
    vgg19      VGG19 cut behind 2, 7, 12, 21, 30: 64 @1, 128 @1/2, 256 @1/4, 512 @1/8, 512 @1/16
    segmenter  the stages of a segmenter's own encoder at 1/2, 1/4 and 1/8

The cuts are those of Di Biase et al., Pixel-wise Anomaly Detection in Complex Driving Scenes, CVPR 2021: `vgg16` in
the dissimilarity network, `vgg19` in the perceptual difference. VGG: Simonyan, Zisserman, ICLR 2015, with
torchvision's layers; `segmenter` is ours, for machines without VGG's weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shards.errors import UserError
from train.networks.base import SegmentationNetwork
from train.networks.segmenters import build_segmenter

FeaturesName = Literal["vgg16", "vgg19", "segmenter"]

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's RGB in 0..1: what VGG's weights expect."""

VGG: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "vgg16": ("D", (0, 4, 9, 16, 23)),
    "vgg19": ("E", (0, 2, 7, 12, 21, 30)),
}
"""The paper's configuration, and where its children are cut."""


class FeatureExtractor(nn.Module):
    """RGB images in 0..1 to maps (n, channels[i], h / strides[i], w / strides[i]), finest first.

    Attributes:
        channels: of its maps.
        strides: pixels of the input to one of each map.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]


def kaiming(module: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Start convolutions in front of ReLU as He et al., ICCV 2015, from torch's global generator; no bias.

    Args:
        module: whose convolutions start.
        mode: what keeps its variance: the maps (`fan_in`), or the gradients, as torchvision's VGG does.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ImageNetNorm(nn.Module):
    """(x - mean) / deviation of ImageNet's RGB."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not persistent: constants are no weights.
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """RGB in 0..1 as VGG expects it."""
        return (images - self.mean) / self.deviation


class VGGFeatures(FeatureExtractor):
    """The first layers of VGG; every map is behind its ReLU.

    Args:
        name: `vgg16` or `vgg19`.
        width: factor on the channels; ImageNet weights exist for 1 only.
    """

    def __init__(self, name: Literal["vgg16", "vgg19"], *, width: float = 1.0) -> None:
        super().__init__()
        from torchvision.models.vgg import cfgs, make_layers

        configuration, cuts = VGG[name]
        layers = make_layers([c if c == "M" else round(c * width) for c in cfgs[configuration]])[: cuts[-1]]
        kaiming(layers)
        self.name, self.width = name, width
        self.norm = ImageNetNorm()
        # Children keep the numbers that they have in the whole: slices.1.5 is torchvision's features.5.
        self.slices = nn.ModuleList(layers[start:end] for start, end in pairwise(cuts))
        self.channels = tuple(
            [layer.out_channels for layer in part.children() if isinstance(layer, nn.Conv2d)][-1]
            for part in self.slices
        )
        self.strides = tuple(2**i for i in range(len(self.slices)))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """Shapes as `FeatureExtractor` says."""
        x = self.norm(images)
        maps = []
        for part in self.slices:
            x = part(x)
            maps.append(x)
        return tuple(maps)


class SegmenterFeatures(FeatureExtractor):
    """The encoder of a segmenter, in eval mode for ever: its batch norm keeps the statistics that it came with.

    Dropout stays off likewise, so that image and resynthesis are seen by the same function.

    Args:
        name: a key of `SEGMENTERS`.
        options: arguments of its constructor.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.encoder = build_segmenter(name, **options).encoder
        # Weights that take no part would have no gradient, which DistributedDataParallel refuses.
        self.encoder.keep_three()
        self.channels, self.strides = self.encoder.channels, self.encoder.strides

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """Shapes as `FeatureExtractor` says."""
        maps: tuple[Tensor, ...] = self.encoder(images)
        return maps

    def train(self, mode: bool = True) -> SegmenterFeatures:
        """Leave the encoder in eval mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def copy_from(self, segmenter: SegmentationNetwork) -> None:
        """Take over a trained segmenter's weights and statistics.

        Raises:
            UserError: it was built with another name or other options.
        """
        theirs = segmenter.encoder.state_dict()
        try:
            self.encoder.load_state_dict({key: theirs[key] for key in self.encoder.state_dict() if key in theirs})
        except RuntimeError as error:
            raise UserError(
                f"The features were built for another segmenter than this {type(segmenter).__name__}: give them its "
                "name and options."
            ) from error


def build_features(
    name: FeaturesName, *, width: float = 1.0, segmenter: Mapping[str, Any] | None = None
) -> FeatureExtractor:
    """A feature extractor with fresh weights from torch's global generator.

    Args:
        name: which one.
        width: factor on VGG's channels; a segmenter has its own.
        segmenter: {"name": ..., "options": {...}} of the segmenter, for `segmenter` alone.

    Raises:
        UserError: unknown name; `segmenter` missing or not asked for.
    """
    if name == "segmenter":
        if segmenter is None:
            raise UserError("Features of a segmenter need to know which: its name and options are missing.")
        return SegmenterFeatures(segmenter["name"], segmenter.get("options", {}))
    if name not in VGG:
        raise UserError(f"Unknown features {name!r}; known are: {', '.join((*VGG, 'segmenter'))}.")
    if segmenter is not None:
        raise UserError(f"Features {name!r} take no segmenter; leave it out, or ask for features 'segmenter'.")
    return VGGFeatures(name, width=width)
