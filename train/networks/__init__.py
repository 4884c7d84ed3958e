"""Networks by name. A network is a file here, a row in `NETWORKS` and a card in `train/cards.py`.

A segmenter (an image in, a logit a class out) has its row in `SEGMENTERS`, which is part of `NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from train.networks.base import Encoder, Part, SegmentationNetwork
from train.networks.dissimilarity import DissimilarityNetwork
from train.networks.resynthesis import SpadeGenerator
from train.networks.segmenters import SEGMENTERS, build_segmenter, construct
from train.networks.weights import load_weights, read_weights

__all__ = [
    "NETWORKS",
    "SEGMENTERS",
    "Encoder",
    "Part",
    "SegmentationNetwork",
    "build_network",
    "build_segmenter",
    "load_weights",
    "read_weights",
]

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    **SEGMENTERS,
    "dissimilarity": DissimilarityNetwork,
    "spade": SpadeGenerator,
}


def build_network(name: str, **options: Any) -> nn.Module:
    """A network with fresh weights from torch's global generator.

    Args:
        name: a key of `NETWORKS`.
        options: arguments of its constructor.

    Raises:
        UserError: unknown name or option, or a value out of range.
    """
    return construct(NETWORKS, "network", name, options)
