"""The multi-source domain adversarial loss with dynamic label smoothing.

Zhang, Wu, Cheng, He, Li: Improving Anomaly Segmentation with Multi-Granularity Cross-Domain Alignment, ACM
Multimedia 2023, equations 1 and 2:

    tau = tau_b - (tau_b - 1/2) i / max_i                                                                  (1)
    L   = 1/N  sum_i  (P_V - Y_A)^2 + (P_A - Y_V)^2                                                        (2)

P are the maps that a domain classifier predicts for the N images of VoidClass (V) and the N of AnomalyMix (A), and
Y the maps of labels, Y_V = tau and Y_A = 1 - tau everywhere. A square of maps is read as its mean over positions.

**Whose step equation 2 is.** Its labels are swapped, so it is what the segmentation network minimises to be taken for
the other domain. Were the classifier trained on it too, it would learn swapped labels, nobody would oppose anybody
and nothing would be aligned. The classifier's own step, with true labels, is not printed; here it is

    L_D = 1/N  sum_i  (P_V - Y_V)^2 + (P_A - Y_A)^2

`alignment_loss` moves the network only (the classifier's weights are held), `classifier_loss` the classifier only
(its input is detached). Instead of taking turns, `reverse_gradient` between network and classifier lets
`classifier_loss` alone move both at once, in opposite directions (Ganin and Lempitsky, ICML 2015). With squares it is
the weaker one while the classifier is sure: its gradient goes with the error that the classifier still makes, that of
the swapped labels with the error that it should make.

**More than two domains**, which the paper leaves open. One number tells two domains apart, not three: a classifier
then has one channel a domain, "is it this one, or not?". A position of domain d is labelled tau in channel d and
(1 - tau) / (D - 1) in the others, and tau goes to 1/D, where all labels coincide. "Swapped" is the mean of the labels
of the other D - 1 domains; the squared distance to each of them in turn has the same gradient. With two domains the
channels are p and 1 - p and count each error twice, hence half of the sum over channels; and the sum of the domains'
means grows with D, which the weights lambda were not chosen for, hence 2/D of it. With D = 2 both are equations 1
and 2 to the letter, which a test holds.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from train.losses.precision import precise
from train.ranks import total


def smoothed_label(step: int, steps: int, *, base: float = 1.0, domains: int = 2, dynamic: bool = True) -> float:
    """Equation 1: tau, the label of a position's own domain.

    Args:
        step: i, steps done before this one, 0..steps.
        steps: max_i, length of the run.
        base: tau_b, the label at the beginning.
        domains: D; tau ends at 1/D, 1/2 in the paper.
        dynamic: without it the label stays tau_b (the ablation without DLS).
    """
    return base - (base - 1 / domains) * step / steps if dynamic else base


def label_values(tau: float, domains: int, channels: int) -> Float[Tensor, "d c"]:
    """The label of every domain: one number for two domains, or one channel a domain.

    Raises:
        ValueError: channels is neither the number of domains, nor 1 with two of them.
    """
    if domains == 2 and channels == 1:
        return torch.tensor([[tau], [1 - tau]])
    if domains < 2 or channels != domains:
        raise ValueError(
            f"domain maps have one channel a domain, or a single one for two domains; got {channels} for {domains}"
        )
    return torch.full((domains, domains), (1 - tau) / (domains - 1)).fill_diagonal_(tau)


def swapped_values(labels: Float[Tensor, "d c"]) -> Float[Tensor, "d c"]:
    """For every domain the mean of the other domains' labels; with two domains, the other one's."""
    return (labels.sum(0) - labels) / (labels.shape[0] - 1)


def alignment_loss(
    maps: Float[Tensor, "n c h w"],
    domain: Int[Tensor, " n"],
    tau: float,
    *,
    domains: int = 2,
    valid: Bool[Tensor, "n h w"] | None = None,
) -> Float[Tensor, ""]:
    """Equation 2, the segmentation network's step: squared distance to the swapped labels.

    Args:
        maps: what the classifier predicts, its weights held; c = 1 for two domains, one a domain otherwise.
        domain: of each image, 0..D-1; the paper's are 0 = VoidClass (label tau) and 1 = AnomalyMix (1 - tau).
        tau: from `smoothed_label`.
        domains: D.
        valid: positions that count, for instance where not all is void; all without it, as in the paper.

    Returns:
        This rank's share of the joint batch's loss (`train.ranks`), in float32. N is counted over all ranks for each
        domain by itself, and images without a valid position are none.

    Raises:
        ValueError: the channels of the maps do not fit the number of domains.
    """
    return _least_squares(maps, domain, swapped_values(label_values(tau, domains, maps.shape[1])), valid)


def classifier_loss(
    maps: Float[Tensor, "n c h w"],
    domain: Int[Tensor, " n"],
    tau: float,
    *,
    domains: int = 2,
    valid: Bool[Tensor, "n h w"] | None = None,
) -> Float[Tensor, ""]:
    """The classifier's step: squared distance to the true labels. Arguments as those of `alignment_loss`."""
    return _least_squares(maps, domain, label_values(tau, domains, maps.shape[1]), valid)


def _least_squares(
    maps: Float[Tensor, "n c h w"],
    domain: Int[Tensor, " n"],
    labels: Float[Tensor, "d c"],
    valid: Bool[Tensor, "n h w"] | None,
) -> Float[Tensor, ""]:
    """2/D sum_d 1/N_d sum_{i in d} mean over positions of (P_i - Y_d)^2; with channels, half of the sum over them."""
    domains, channels = labels.shape
    maps = precise(maps)
    # Two values tell all labels; plain numbers, since a tensor would be copied to the device at every step.
    own = domain[:, None] == torch.arange(channels, device=domain.device)
    wanted = torch.where(own, float(labels[0, 0]), float(labels[1, 0])).to(maps)
    error = (maps - wanted[:, :, None, None]).square().sum(1) / min(channels, 2)
    inside = torch.ones_like(error) if valid is None else valid.to(error)
    positions = inside.sum((1, 2))
    error = (error * inside).sum((1, 2)) / positions.clamp(min=1)
    counts = total(error.new_zeros(domains).index_add_(0, domain, (positions > 0).to(error)))
    return (error / counts.clamp(min=1)[domain]).sum() * (2 / domains)


class GradientReversal(torch.autograd.Function):
    """The identity, whose gradient is -coefficient times what comes back."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, coefficient: float) -> Tensor:
        """The features as they are."""
        ctx.coefficient = coefficient
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient turned around."""
        return -ctx.coefficient * gradients[0], None


def reverse_gradient(features: Float[Tensor, "*shape"], coefficient: float = 1.0) -> Float[Tensor, "*shape"]:
    """What a classifier sees that helps itself and hinders the network: see the module.

    Args:
        features: of the network.
        coefficient: of the network's gradient against the classifier's; the lambda of equation 4 where
            `classifier_loss` itself is added without a weight.
    """
    reversed_: Tensor = GradientReversal.apply(features, coefficient)
    return reversed_
