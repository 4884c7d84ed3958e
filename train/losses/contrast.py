"""The cross-domain anomaly-aware contrastive loss, and what it is compared with.

Zhang, Wu, Cheng, He, Li: Improving Anomaly Segmentation with Multi-Granularity Cross-Domain Alignment, ACM
Multimedia 2023, equation 3, here for one domain d of two:

    L_d = - 1/|S_d^a| sum_{a in S_d^a} 1/|S^p| sum_{p in S^p}  e^(a.p/alpha) / (e^(a.p/alpha) + sum_n e^(a.n/alpha))

with anchors and negatives n of domain d (S_d^n), and positives p. Where paper and sense disagree:

* **The logarithm is missing.** Without it a pair's gradient dies where the ratio is small, just where the work
  is. The loss that it is modelled on (InfoNCE) is the mean of -log ratio; `log=False` is the printed form.
* **The positives.** The formula takes those of both domains, the text pairs anchors "with positive samples from
  different domains": `union` (the default) or `other`. `same` is the ablation's pixel contrast within one domain.
  An anchor is never its own positive.
* Temperature alpha and whether features have unit length are not given: 0.1 and yes.

A domain's term is zero where it has no anchors or no negatives, and an anchor without a positive is not counted. With
D domains the sum of their terms is scaled by 2/D, so that lambda_c means what it means for two.

    variant    pixels          positives
    none       no contrast
    pcl        random          same
    cpcl       random          union or other
    cacl       anomaly-aware   union or other
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from train.losses.precision import precise
from train.losses.sampling import Draws
from train.ranks import gather, rank, total

Variant = Literal["none", "pcl", "cpcl", "cacl"]
"""The rows of the ablation: see the module."""

CrossPositives = Literal["union", "other"]
"""Positives of the variants across domains: those of all domains, or of the others only."""

Positives = Literal["same", "union", "other"]
"""Domains of an anchor's positives: its own, all, or the others."""

FAR = torch.finfo(torch.float32).min / 2
"""Stands for the score of a pair that is none; finite, so that no gradient becomes NaN."""


def is_aware(variant: Variant) -> bool:
    """Whether a variant samples anomaly-aware."""
    return variant == "cacl"


def positives_of(variant: Variant, cross: CrossPositives) -> Positives:
    """Where a variant takes its positives from."""
    return "same" if variant == "pcl" else cross


def contrastive_loss(
    features: Float[Tensor, "n k c"],
    draws: Draws,
    domain: Int64[Tensor, " n"],
    *,
    domains: int = 2,
    positives: Positives = "union",
    alpha: float = 0.1,
    log: bool = True,
    normalise: bool = True,
) -> Float[Tensor, ""]:
    """Equation 3 over the images of all ranks: anchors of this one, positives and negatives of all.

    Args:
        features: projected, at the pixels `draws.index` of each image.
        draws: which of them is what.
        domain: of each image, 0..D-1.
        domains: D.
        positives: which domains an anchor's positives are of.
        alpha: temperature.
        log: -log of the ratio; without it the equation as printed.
        normalise: bring features to unit length.

    Returns:
        This rank's share of the joint batch's loss (`train.ranks`), in float32; zero, attached to the graph, where
        there are no pairs. Every rank has to run backward on its share.
    """
    with torch.autocast(features.device.type, enabled=False):  # it would multiply in half precision
        vectors = precise(features)
        vectors = functional.normalize(vectors, dim=2) if normalise else vectors
        sizes = [places.index.shape[1] for places in (draws.anchors, draws.positives, draws.negatives)]
        others = gather(vectors[:, sizes[0] :])
        about = gather(torch.stack([domain, torch.full_like(domain, rank())], 1))
        of_image, first = about[:, 0], (about[:, 1] < rank()).sum()

        # One row an anchor of this rank; one column a positive or negative of any rank
        images = torch.arange(len(domain), device=domain.device) + first
        anchor_domain = domain.repeat_interleave(sizes[0])
        anchors = vectors[:, : sizes[0]].flatten(0, 1)
        positive_scores = anchors @ others[:, : sizes[1]].flatten(0, 1).T / alpha
        negative_scores = anchors @ others[:, sizes[1] :].flatten(0, 1).T / alpha

        same = anchor_domain[:, None] == of_image
        fits = {"same": same, "other": ~same, "union": torch.ones_like(same)}[positives]
        anchor_pixel = _pixel(images, draws.anchors.index).flatten()
        positive_pixel = gather(_pixel(images, draws.positives.index)).flatten()
        pairs = fits.repeat_interleave(sizes[1], 1) & gather(draws.positives.chosen).flatten()
        pairs = pairs & (anchor_pixel[:, None] != positive_pixel)
        against = same.repeat_interleave(sizes[2], 1) & gather(draws.negatives.chosen).flatten()

        # ratio = sigmoid(a.p / alpha - log sum_n e^(a.n / alpha))
        margin = positive_scores - negative_scores.masked_fill(~against, FAR).logsumexp(1, keepdim=True)
        terms = -functional.logsigmoid(margin) if log else -margin.sigmoid()
        of_anchor = (terms * pairs).sum(1) / pairs.sum(1).clamp(min=1)

        counted = (draws.anchors.chosen.flatten() & pairs.any(1) & against.any(1)).to(of_anchor)
        counts = total(counted.new_zeros(domains).index_add_(0, anchor_domain, counted))
        mean = (of_anchor * counted / counts.clamp(min=1)[anchor_domain]).sum()
        return mean * (2 / domains) + others.sum() * 0.0  # a rank without anchors takes part in backward too


def _pixel(images: Int64[Tensor, " n"], index: Int64[Tensor, "n k"]) -> Int64[Tensor, "n k"]:
    """One number for a pixel of an image of the joint batch."""
    return images[:, None] * 2**32 + index
