"""What a generator and its discriminator learn from.

Park, Liu, Wang, Zhu: Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019, with the losses of
pix2pixHD (Wang et al., CVPR 2018) and the hinge. With D_k(x)_i the i-th map of the discriminator at scale k of K, its
last one the verdict V_k, real pictures x and painted ones y of the same classes:

    L_D  = 1/K sum_k  mean max(0, 1 - V_k(x)) + mean max(0, 1 + V_k(y))
    L_G  = - 1/K sum_k  mean V_k(y)
    L_FM = 1/K sum_k sum_{i < last}  mean |D_k(x)_i - D_k(y)_i|
    L_P  = sum_j  w_j mean |F_j(x) - F_j(y)|            F: VGG19, w = 1/32, 1/16, 1/8, 1/4, 1

Means are over images, channels and positions of the joint batch. A rank may hold fewer pictures than another, where
some cannot be read: its share is its own sum divided by the count of all ranks (`train.ranks`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from train.losses.precision import precise
from train.ranks import total

Judged = Sequence[Sequence[Tensor]]
"""For each scale the discriminator's maps, the verdicts last: (n, c, h, w)."""


def discriminator_loss(real: Judged, painted: Judged) -> Float[Tensor, ""]:
    """L_D, this rank's share, in float32."""
    terms = [
        _mean(functional.relu(1 - precise(x[-1]))) + _mean(functional.relu(1 + precise(y[-1])))
        for x, y in zip(real, painted, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_loss(painted: Judged) -> Float[Tensor, ""]:
    """L_G, this rank's share, in float32."""
    return -torch.stack([_mean(precise(y[-1])) for y in painted]).mean()


def feature_matching(real: Judged, painted: Judged) -> Float[Tensor, ""]:
    """L_FM, this rank's share, in float32; no gradient reaches the maps of the real pictures."""
    terms = [
        torch.stack([_distance(a, b) for a, b in zip(x[:-1], y[:-1], strict=True)]).sum()
        for x, y in zip(real, painted, strict=True)
    ]
    return torch.stack(terms).mean()


def perceptual_loss(real: Sequence[Tensor], painted: Sequence[Tensor], weights: Sequence[float]) -> Float[Tensor, ""]:
    """L_P, this rank's share, in float32.

    Args:
        real: feature maps (n, c_j, h_j, w_j) of the photographs; no gradient reaches them.
        painted: those of the painted pictures.
        weights: one a map.
    """
    terms = [w * _distance(x, y) for x, y, w in zip(real, painted, weights, strict=True)]
    return torch.stack(terms).sum()


def _distance(real: Tensor, painted: Tensor) -> Float[Tensor, ""]:
    return _mean((precise(real).detach() - precise(painted)).abs())


def _mean(values: Tensor) -> Float[Tensor, ""]:
    """This rank's share of the mean over the joint batch."""
    pictures = total(torch.full((), values.shape[0], dtype=torch.float32, device=values.device))
    return values.sum() / (pictures * values[0].numel())
