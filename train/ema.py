"""A moving average of the weights along a run; better than the last weights where the steps are noisy, as in a GAN.

theta_ema <- d theta_ema + (1 - d) theta,     d = min(decay, (1 + t) / (10 + t)) at step t = 1, 2, ...
"""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """The averaged copy of a network, batch norm statistics included.

    Attributes:
        network: the copy, in eval mode.

    Args:
        network: with its start weights, where the average begins.
        decay: d of a long run.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floating = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in floating], [theirs[n] for n in floating], 1 - decay)
        for name in mine.keys() - set(floating):  # batch norm's counters
            mine[name].copy_(theirs[name])
