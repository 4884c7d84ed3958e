"""Segmenters by name: the networks that `train segmenter` teaches and that other networks read features from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from shards.errors import UserError
from train.networks.base import SegmentationNetwork
from train.networks.erfnet import ERFNet
from train.networks.lite import LiteFPN

Network = TypeVar("Network", bound=nn.Module)

SEGMENTERS: Mapping[str, Callable[..., SegmentationNetwork]] = {"erfnet": ERFNet, "lite": LiteFPN}


def build_segmenter(name: str, **options: Any) -> SegmentationNetwork:
    """A segmenter with fresh weights from torch's global generator.

    Args:
        name: a key of `SEGMENTERS`.
        options: arguments of its constructor.

    Raises:
        UserError: unknown name or option, or a value out of range.
    """
    return construct(SEGMENTERS, "segmenter", name, options)


def construct(
    registry: Mapping[str, Callable[..., Network]], kind: str, name: str, options: Mapping[str, Any]
) -> Network:
    """What a registry builds under `name`, with options as they come back from JSON, which has lists for tuples.

    Raises:
        UserError: unknown name or option, or a value out of range.
    """
    if name not in registry:
        raise UserError(f"Unknown {kind} {name!r}; known are: {', '.join(registry)}.")
    try:
        return registry[name](**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
    except TypeError as error:
        raise UserError(f"{kind.capitalize()} {name!r}: {error}.") from error
