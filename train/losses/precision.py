"""What losses are computed in."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def precise(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The tensor in float32, whatever autocast made of it; float64 stays."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
