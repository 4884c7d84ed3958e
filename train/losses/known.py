"""Cross entropy on the known classes: what a closed-set segmenter learns, and keeps while it learns anomalies."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from shards.labels import IGNORE
from train.ranks import total


def known_cross_entropy(
    logits: Float[Tensor, "n c h w"],
    semantic: UInt8[Tensor, "n h w"],
    *,
    weights: Float[Tensor, " c"] | None = None,
) -> Float[Tensor, ""]:
    """Mean of -log softmax(z)_y over the labelled pixels, in float32.

    Under several processes its share: the local sum by the joint count (`train/ranks.py`).

    Args:
        logits: one channel a class.
        semantic: class 0..c-1, or 255 for pixels that count in no term.
        weights: of each class; the mean is then the weighted mean.

    Returns:
        A scalar >= 0; zero, still attached to the graph, where no pixel is labelled.
    """
    target = semantic.long()
    labelled = semantic != IGNORE
    if weights is None:
        count = labelled.sum().float()
    else:
        # A label of 255 is no place among the weights.
        count = (weights[target.masked_fill(~labelled, 0)] * labelled).sum()
    mean = functional.cross_entropy(logits.float(), target, weight=weights, ignore_index=IGNORE)
    share = count / total(count).clamp(min=1e-12)
    # Without a labelled pixel the mean is NaN, its gradient zero. To ask would make the host wait for the device.
    return torch.where(count > 0, mean * share, 0.0)
