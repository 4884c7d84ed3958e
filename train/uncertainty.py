"""The three maps of doubt that the dissimilarity network weights its features with.

Di Biase et al., Pixel-wise Anomaly Detection in Complex Driving Scenes, CVPR 2021, with p = softmax(z) of the 19
known classes and p1 >= p2 its two largest entries:

    entropy     H = -sum_c p_c ln p_c                                                  (H - min H) / max H
    distance    D = p1 - p2                                                            1 - (D - min D) / max D
    perceptual  V = sum_i w_i up(mean over channels |F_i(image) - F_i(synthesis)|)     (V - min V) / (max V - min V)

on the right as it is stored; minimum and maximum are those of the image. The published code divides entropy and
distance by the maximum, not by the range, so that they do not fill 0..1 where the minimum is not 0;
`normalise="range"` is what one would expect. Maps are stored as uint8, rounded to the nearest of 0..255 (a cast alone
would lose up to one level).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from shards.labels import NUM_CLASSES

Normalise = Literal["max", "range"]

VGG19_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of the five maps of VGG19 in the perceptual difference, finest first; published."""


def entropy_map(logits: Float[Tensor, "n c h w"], *, normalise: Normalise = "max") -> Float[Tensor, "n h w"]:
    """Softmax entropy of the known classes, per image.

    Args:
        logits: of the segmenter, at any size; outputs behind the 19 classes do not take part.
        normalise: by what the shifted map is divided: `max` as published, `range` to fill 0..1.

    Returns:
        float32 in 0..1, large where the segmenter doubts; 0 all over where every pixel has the same entropy.
    """
    p = torch.softmax(logits[:, :NUM_CLASSES].float(), dim=1)
    # p ln p goes to 0 with p; the logarithm of an underflown p would make it NaN.
    entropy = -torch.special.xlogy(p, p).sum(1)
    return _shifted(entropy, normalise)


def distance_map(logits: Float[Tensor, "n c h w"], *, normalise: Normalise = "max") -> Float[Tensor, "n h w"]:
    """One minus the softmax distance between the two best classes, per image.

    Args:
        logits: as for `entropy_map`.
        normalise: as for `entropy_map`.

    Returns:
        float32 in 0..1, large where two classes contend; 1 all over where every pixel has the same distance.
    """
    best = torch.softmax(logits[:, :NUM_CLASSES].float(), dim=1).topk(2, dim=1).values
    return 1 - _shifted(best[:, 0] - best[:, 1], normalise)


def perceptual_map(
    image: Sequence[Tensor], synthesis: Sequence[Tensor], weights: Sequence[float], size: tuple[int, int]
) -> Float[Tensor, "n h w"]:
    """Perceptual difference of two pictures from their feature maps, per image.

    Args:
        image: maps (n, c_i, h_i, w_i) of one picture, finest first, such as those of `vgg19`.
        synthesis: those of the other.
        weights: one a map: `VGG19_WEIGHTS`, or `halving_weights`.
        size: (height, width) of the result: that of the pictures.

    Returns:
        float32 in 0..1, both reached, large where the pictures differ; 0 all over where they differ evenly.
    """
    total = torch.zeros((), device=image[0].device)
    for mine, theirs, weight in zip(image, synthesis, weights, strict=True):
        difference = (mine.float() - theirs.float()).abs().mean(1, keepdim=True)
        total = total + weight * functional.interpolate(difference, size=size, mode="bicubic")[:, 0]
    return _shifted(total, "range")


def halving_weights(maps: int) -> tuple[float, ...]:
    """Weights for maps that have no published ones: 1 for the deepest, half of it for each finer one."""
    return tuple(0.5 ** (maps - 1 - i) for i in range(maps))


def _shifted(maps: Float[Tensor, "n h w"], normalise: Normalise) -> Float[Tensor, "n h w"]:
    """(x - min) / max, or / (max - min), of each image; 0 where that is 0 / 0."""
    least, most = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    divisor = most if normalise == "max" else most - least
    return (maps - least) / torch.where(divisor > 0, divisor, 1)
