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
from collections.abc import Mapping
from typing import Literal

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from shards.labels import ANOMALY, IGNORE, KNOWN
from train.losses.precision import precise
from train.ranks import total

ClassWeights = Literal["void", "no-void", "shares", "even"]
"""SynBoost's weights with and without void classes among the anomalies; ENet's form of the shares in the training
data; or none."""

PUBLISHED: Mapping[ClassWeights, tuple[float, float]] = {
    "void": (1.5484, 8.0391),
    "no-void": (1.4649, 16.520),
    "even": (1.0, 1.0),
}
"""(known, anomaly) by name."""


def class_weights(kind: ClassWeights, known: int, anomaly: int) -> tuple[float, float]:
    """(known, anomaly) weights.

    Args:
        kind: published ones, or from the shares.
        known: pixels in the training data, which `shares` looks at.
        anomaly: pixels in the training data.
    """
    if kind != "shares":
        return PUBLISHED[kind]
    pixels = max(1, known + anomaly)
    return enet_weight(known / pixels), enet_weight(anomaly / pixels)


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
    scores = precise(logits)
    loss = functional.cross_entropy(
        scores, anomaly.long(), weight=scores.new_tensor(weights), ignore_index=IGNORE, reduction="sum"
    )
    weight = (anomaly == KNOWN).sum() * weights[0] + (anomaly == ANOMALY).sum() * weights[1]
    return loss / total(weight).clamp(min=1e-12)
