"""Networks by name. A network is a file here, a row in `NETWORKS` and a card in `train/cards.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from shards.errors import UserError
from train.networks.base import Part, SegmentationNetwork
from train.networks.erfnet import ERFNet
from train.networks.lite import LiteFPN
from train.networks.weights import load_weights, read_weights

__all__ = ["NETWORKS", "Part", "SegmentationNetwork", "build_module", "build_network", "load_weights", "read_weights"]

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {"erfnet": ERFNet, "lite": LiteFPN}


def build_module(name: str, **options: Any) -> nn.Module:
    """Any network of the registry, with fresh weights from torch's global generator.

    Args:
        name: a key of `NETWORKS`.
        options: arguments of its constructor.

    Raises:
        UserError: unknown name or option, or a value out of range.
    """
    if name not in NETWORKS:
        raise UserError(f"Unknown network {name!r}; known are: {', '.join(NETWORKS)}.")
    try:
        # Options come back from JSON, which has lists for tuples.
        return NETWORKS[name](**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
    except TypeError as error:
        raise UserError(f"Network {name!r}: {error}.") from error


def build_network(name: str, **options: Any) -> SegmentationNetwork:
    """A segmenter, as `build_module`; raises UserError also where the network is none."""
    network = build_module(name, **options)
    if not isinstance(network, SegmentationNetwork):
        raise UserError(f"Network {name!r} is no segmenter.")
    return network
