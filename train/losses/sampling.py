"""Which pixels the contrastive loss looks at: anomaly-aware sampling.

Zhang, Wu, Cheng, He, Li: Improving Anomaly Segmentation with Multi-Granularity Cross-Domain Alignment, ACM
Multimedia 2023, sections 3.4 and 4.2. In each image the pixels are sorted into four groups by what they are and
whether the network is right about them now (easy) or wrong (hard). From these are drawn

    anchors     50    anomalies, hard and easy; half of each here, since the paper does not say
    positives  100    anomalies
    negatives  400    normal pixels, 100 hard and 300 easy

Where a group is too small its partner fills up; where both are, there are fewer. Nothing is drawn twice for one role.
An anomaly may be anchor and positive, though never its own one; without hard pixels that happens only where an image
has too few anomalies for both. Void pixels are in no group. With random sampling (the ablations PCL and CPCL) the
counts are the same and hard and easy are not told apart, which is what happens anyway while the network makes no
mistake.

All is done on padded tensors: no loop over pixels, and no waiting for the GPU to tell how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from shards.labels import ANOMALY, KNOWN


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pixels of an image are drawn; the defaults are the paper's, apart from `hard_anchors`.

    Attributes:
        anchors: N_a.
        positives: N_p.
        hard_negatives: normal pixels that the network takes for anomalies.
        easy_negatives: normal pixels about which it is right.
        hard_anchors: share of the anchors that are anomalies which the network misses.
    """

    anchors: int = 50
    positives: int = 100
    hard_negatives: int = 100
    easy_negatives: int = 300
    hard_anchors: float = 0.5

    @property
    def negatives(self) -> int:
        """Of both kinds."""
        return self.hard_negatives + self.easy_negatives


@dataclass(frozen=True, slots=True)
class Places:
    """Pixels of one role in each image.

    Attributes:
        index: y * w + x; 0 where not chosen.
        chosen: the first so many of each row.
    """

    index: Int64[Tensor, "n k"]
    chosen: Bool[Tensor, "n k"]


@dataclass(frozen=True, slots=True)
class Draws:
    """The pixels of each role."""

    anchors: Places
    positives: Places
    negatives: Places

    @property
    def index(self) -> Int64[Tensor, "n k"]:
        """Of all roles side by side, for `features_at`."""
        return torch.cat([self.anchors.index, self.positives.index, self.negatives.index], 1)


def draw_places(
    anomaly: UInt8[Tensor, "n h w"],
    predicted: Bool[Tensor, "n h w"],
    seeds: Int64[Tensor, " n"],
    counts: Counts,
    *,
    aware: bool = True,
) -> Draws:
    """Draw anchors, positives and negatives of each image.

    Args:
        anomaly: 0 known, 1 anomaly, 255 ignore, at the size of the features (nearest).
        predicted: where the network sees an anomaly at present.
        seeds: of each image; what is drawn from an image depends on its own seed and on nothing else in the batch.
            On the CPU: from a GPU they must be waited for. CPU and GPU draw differently.
        counts: how many.
        aware: tell hard from easy pixels; random sampling without it.
    """
    labels, wrong = anomaly.flatten(1), (predicted != (anomaly == ANOMALY)).flatten(1)
    if not aware:
        wrong = torch.zeros_like(wrong)
    anomalies, normal = labels == ANOMALY, labels == KNOWN
    keys = torch.stack([_keys(seed, labels.shape[1], labels.device) for seed in seeds.tolist()])
    hard_anchors = round(counts.hard_anchors * counts.anchors)
    return Draws(
        anchors=_of_both(keys, anomalies & wrong, anomalies & ~wrong, hard_anchors, counts.anchors),
        # From the other end of the same order: other pixels than the easy anchors, as far as there are enough.
        positives=_lowest(-keys, anomalies, counts.positives),
        negatives=_of_both(keys, normal & wrong, normal & ~wrong, counts.hard_negatives, counts.negatives),
    )


def features_at(features: Float[Tensor, "n c h w"], index: Int64[Tensor, "n k"]) -> Float[Tensor, "n k c"]:
    """The features of single pixels. A projector of 1x1 convolutions costs little on them, and much on whole maps."""
    width = features.shape[3]
    image = torch.arange(len(index), device=index.device)[:, None]
    return features[image, :, index // width, index % width]


def _keys(seed: int, pixels: int, device: torch.device) -> Float[Tensor, " p"]:
    """A random number in 0..1 for each pixel; in float64 two are hardly ever equal."""
    generator = torch.Generator(device).manual_seed(seed)
    return torch.rand(pixels, generator=generator, dtype=torch.float64, device=device)


def _lowest(keys: Float[Tensor, "n p"], group: Bool[Tensor, "n p"], count: int) -> Places:
    """The pixels of a group with the lowest keys, in their order: `count` of them, or the whole group."""
    size = min(count, keys.shape[1])
    values, index = torch.where(group, keys, torch.inf).topk(size, dim=1, largest=False, sorted=True)
    chosen = values < torch.inf
    missing = (0, count - size)
    return Places(functional.pad(index.masked_fill(~chosen, 0), missing), functional.pad(chosen, missing))


def _of_both(
    keys: Float[Tensor, "n p"], hard: Bool[Tensor, "n p"], easy: Bool[Tensor, "n p"], hard_count: int, count: int
) -> Places:
    """`count` pixels, `hard_count` of them hard; either group fills up what the other lacks."""
    of_hard, of_easy = _lowest(keys, hard, count), _lowest(keys, easy, count)
    hards, easies = (places.chosen.sum(1, keepdim=True) for places in (of_hard, of_easy))
    hards = torch.minimum(hards, (count - easies).clamp(min=hard_count))
    easies = torch.minimum(easies, count - hards)
    place = torch.arange(count, device=keys.device)
    moved = of_easy.index.gather(1, (place - hards).clamp(min=0))
    chosen = place < hards + easies
    return Places(torch.where(place < hards, of_hard.index, moved).masked_fill(~chosen, 0), chosen)
