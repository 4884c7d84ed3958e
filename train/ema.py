"""A moving average of the weights along a run; better than the last weights where the steps are noisy, as in a GAN.

theta_ema <- d theta_ema + (1 - d) theta,     d = min(decay, (1 + t) / (10 + t)) at step t = 1, 2, ...

The singular vectors of spectral norm are no weights: the mean of vectors is not the vector of the mean. The copy
takes a power iteration of its own at every step, on the averaged kernel, so that sigma is that kernel's.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import ParametrizationList


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
        self._averaged = {name for name, _ in network.named_parameters(remove_duplicate=False)}
        own: set[str] = set()
        for prefix, module in self.network.named_modules():
            names = {f"{prefix}.{name}" if prefix else name for name, _ in module.named_buffers()}
            if isinstance(module, _BatchNorm):
                self._averaged |= {name for name in names if not name.endswith("num_batches_tracked")}
            elif isinstance(module, ParametrizationList):
                own |= names
        self._copied = self.network.state_dict().keys() - self._averaged - own

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        averaged = sorted(self._averaged)
        torch._foreach_lerp_([mine[name] for name in averaged], [theirs[name] for name in averaged], 1 - decay)
        for name in self._copied:
            mine[name].copy_(theirs[name])
        for module in self.network.modules():
            if isinstance(module, ParametrizationList):
                module.train()  # in which spectral norm renews its vectors
                module()
                module.eval()
