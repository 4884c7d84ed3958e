"""Cross entropy on the two classes known and anomaly, weighted because anomalies are few.

Di Biase, Blum, Siegwart, Cadena: Pixel-wise Anomaly Detection in Complex Driving Scenes, CVPR 2021 (SynBoost), and
MGCDA, which builds on it:

    L = sum_i w_{y_i} (-log softmax(z_i)_{y_i})  /  sum_i w_{y_i}

over the pixels that are not void. The weights are those that SynBoost's code holds, or come from the shares p of the
classes in the training data by the form that they were made with, that of ENet (Paszke et al., arXiv 1606.02147):

    w = 1 / ln(1.02 + p)

The published ones belong to 11.3 % anomaly pixels where the true void classes are anomalies, and to 4.2 % where only
swapped instances are. MGCDA does not name its weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Annotated, Literal

import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from shards.labels import ANOMALY, IGNORE, KNOWN
from train.losses.precision import precise
from train.ranks import total

Named = Literal["void", "no-void", "shares", "even"]
"""SynBoost's weights with and without void classes among the anomalies; ENet's form of the shares in the training
data; or none."""

ClassWeights = Named | tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
"""A name, or the weights of known and anomaly pixels themselves."""

PUBLISHED: Mapping[Named, tuple[float, float]] = {
    "void": (1.5484, 8.0391),
    "no-void": (1.4649, 16.520),
    "even": (1.0, 1.0),
}
"""(known, anomaly) by name."""


def class_weights(kind: ClassWeights, counts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """(known, anomaly) weights.

    Args:
        kind: published ones, from the shares, or the weights themselves.
        counts: (known, anomaly) pixels of each stream, which `shares` looks at. A step draws equally much of each
            stream, however large they are: a class's share is the mean of its shares.
    """
    if isinstance(kind, tuple):
        return kind
    if kind != "shares":
        return PUBLISHED[kind]
    known, anomaly = (mean(pair[place] / max(1, sum(pair)) for pair in counts) for place in range(2))
    return enet_weight(known), enet_weight(anomaly)


def enet_weight(share: float) -> float:
    """1 / ln(1.02 + share), 1.4 for all pixels and 50 for none."""
    return 1 / math.log(1.02 + share)


def balanced_cross_entropy(
    logits: Float[Tensor, "n 2 h w"], anomaly: UInt8[Tensor, "n h w"], weights: tuple[float, float]
) -> Float[Tensor, ""]:
    """Weighted mean of the cross entropy over the pixels that are not void.

    Args:
        logits: known, anomaly.
        anomaly: 0 known, 1 anomaly, 255 ignore.
        weights: of known and anomaly pixels.

    Returns:
        This rank's share of the joint batch's loss (`train.ranks`), in float32; weights are summed over all ranks.
        Zero, attached to the graph, where all is void.
    """
    # Plain numbers in the arithmetic: a tensor of weights would be copied to the device at every step.
    each = functional.cross_entropy(precise(logits), anomaly.long(), ignore_index=IGNORE, reduction="none")
    loss = (each * torch.where(anomaly == ANOMALY, weights[1], weights[0])).sum()
    weight = (anomaly == KNOWN).sum() * weights[0] + (anomaly == ANOMALY).sum() * weights[1]
    return loss / total(weight).clamp(min=1e-12)
