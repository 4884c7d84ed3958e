"""The top-K one-vs-rest loss.

Zhang et al.: Anomaly-Aware Semantic Segmentation via Style-Aligned OoD Augmentation, ICCVW 2023, equation 1:

    L_ood = 1 / (K |O|)  sum_{i in O}  sum_{k in topK(i)}  -log sigmoid(-s z_ik)

with outlier pixels O and logits z. Each class logit is read as "is it this class, or not?"; on an outlier the answer
of the K most confident classes is pushed to "not". -log sigmoid(-x) = softplus(x), which is how it is computed.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from train.ranks import total


def top_k_ovr(
    logits: Float[Tensor, "n c h w"], outlier: Bool[Tensor, "n h w"], *, k: int = 5, s: float = 2.0
) -> Float[Tensor, ""]:
    """Mean of softplus(s z) over the outlier pixels and their K largest logits, in float32.

    Under several processes the local sum by the joint count (`train/ranks.py`).

    Args:
        logits: of the known classes only; a void output must have been cut off.
        outlier: which pixels are anomalies; void pixels are False here as everywhere.
        k: how many of the largest logits are pushed down.
        s: slope of the sigmoid.

    Returns:
        A scalar >= 0; zero, still attached to the graph, where there is no outlier.

    Raises:
        ValueError: k is not within 1..c.
    """
    classes = logits.shape[1]
    if not 1 <= k <= classes:
        raise ValueError(f"k must be within 1..{classes}, got {k}")
    # (outliers, c): only the outliers go on, a few per cent of the pixels.
    at_outliers = logits.movedim(1, -1)[outlier].float()
    top = at_outliers.topk(k, dim=1, sorted=False).values
    count = total(top.new_full((), top.numel(), dtype=torch.int64))
    return functional.softplus(s * top).sum() / count.clamp(min=1)
