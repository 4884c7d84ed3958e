"""Cross entropy on the known classes: what a closed-set segmenter learns, and keeps while it learns anomalies."""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from shards.labels import IGNORE


def known_cross_entropy(
    logits: Float[Tensor, "n c h w"],
    semantic: UInt8[Tensor, "n h w"],
    *,
    weights: Float[Tensor, " c"] | None = None,
) -> Float[Tensor, ""]:
    """Mean of -log softmax(z)_y over the labelled pixels, in float32.

    Args:
        logits: one channel a class.
        semantic: class 0..c-1, or 255 for pixels that count in no term.
        weights: of each class; the mean is then the weighted mean.

    Returns:
        A scalar >= 0; zero, still attached to the graph, where no pixel is labelled.
    """
    if not bool((semantic != IGNORE).any()):
        return logits.sum().float() * 0.0
    return functional.cross_entropy(logits.float(), semantic.long(), weight=weights, ignore_index=IGNORE)
