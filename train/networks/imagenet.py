"""ImageNet weights for VGG features: from a file, or by torchvision's own download."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor, nn

from shards.errors import UserError
from train.networks.features import VGGFeatures
from train.networks.weights import read_weights


def load_imagenet(features: VGGFeatures, file: Path | None = None) -> None:
    """Fill VGG features with the weights that torchvision publishes (IMAGENET1K_V1); untouched when they do not fit.

    Args:
        features: what is filled, in place.
        file: a state dict of torchvision's whole VGG (`features.0.weight`, ...), read without running what it holds;
            without it torchvision's cache, or its download into it.

    Raises:
        UserError: a width other than 1, for which there are none; the file is missing, broken or of another network;
            the download fails.
    """
    if features.width != 1:
        raise UserError(
            f"ImageNet weights of {features.name} fit width 1 alone, got {features.width:g}: take width 1, or leave "
            "the weights out."
        )
    weights = _download(features.name) if file is None else read_weights(file)
    convolutions = _convolutions(features)
    missing = [
        f"{name}.{kind}"
        for name, layer in convolutions.items()
        for kind, mine in (("weight", layer.weight), ("bias", layer.bias))
        if mine is not None and getattr(weights.get(f"{name}.{kind}"), "shape", None) != mine.shape
    ]
    if missing:
        raise UserError(
            f"{file or 'The download'} does not hold torchvision's weights of {features.name}: {missing[0]} is "
            "missing or has another shape."
        )
    for name, layer in convolutions.items():
        layer.load_state_dict({kind: weights[f"{name}.{kind}"] for kind in ("weight", "bias")})


def _convolutions(features: VGGFeatures) -> dict[str, nn.Conv2d]:
    """Convolutions by the name that torchvision gives them: features.<child>."""
    return {
        f"features.{child}": layer
        for part in features.slices
        for child, layer in part.named_children()
        if isinstance(layer, nn.Conv2d)
    }


def _download(name: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    weights: Any = get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"The ImageNet weights of {name} could not be downloaded from {weights.url} ({error}): give them "
            "by --vgg FILE, or take the segmenter's features."
        ) from error
