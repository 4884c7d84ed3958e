"""What a recipe is to the engine and to the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from pipelines.mixing import Base, Change, mixed
from shards.cards import Card
from shards.config import Config
from shards.layouts.problem import Problem
from shards.sample import Sample


class LazyScene:
    """A frame that is not decoded, of which only what is asked for is read, and that once.

    Args:
        size: reads (width, height) in pixels; raises BadInput.
        semantic: reads the trainIds, (H, W) uint8, 255 = ignore; raises BadInput.
    """

    def __init__(self, size: Callable[[], tuple[int, int]], semantic: Callable[[], UInt8[np.ndarray, "h w"]]) -> None:
        self._size, self._semantic = size, semantic

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels; raises BadInput where the file's head is broken."""
        return self._size()

    @cached_property
    def semantic(self) -> UInt8[np.ndarray, "h w"]:
        """TrainIds, (H, W) uint8, 255 = ignore; raises BadInput where they are broken."""
        return self._semantic()


Scene: TypeAlias = Base | LazyScene
"""What a recipe may know of a frame when it says what a sample changes: `size` and `semantic`."""


@runtime_checkable
class Recipe(Protocol):
    """A way to make sample i from (seed, i) alone, in two steps; crosses process borders by pickle.

    Everything that is slow to find out (folders, annotations) is found out once, when a recipe is opened.
    """

    @property
    def name(self) -> str:
        """The word on the command line; also the first part of keys and shard names."""

    @property
    def config(self) -> Config:
        """Every choice that was made."""

    @property
    def default_count(self) -> int:
        """Samples that are made where nobody says how many."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Inputs that were left out when the sources were scanned."""

    def plan(self) -> dict[str, Any]:
        """What the sources hold and what is left after each rule; JSON types."""

    def sources(self) -> dict[str, dict[str, Any]]:
        """Fingerprint of each source; JSON types, no path, no time."""

    def input_of(self, seed: int, index: int) -> str:
        """Name of the frame that sample `index` is made of, for rejects.jsonl."""

    def base(self, seed: int, index: int) -> Base:
        """The frame of a sample, a pure function of `input_of`; raises BadInput where it cannot be used."""

    def change(self, seed: int, index: int, scene: Scene) -> Change:
        """What the sample changes about its frame."""


def make(recipe: Recipe, seed: int, index: int) -> Sample:
    """Make one sample as arrays; raises BadInput where its frame cannot be used."""
    base = recipe.base(seed, index)
    return mixed(sample_key(recipe.name, index), base, recipe.change(seed, index, base))


@dataclass(frozen=True, slots=True)
class Sources:
    """The folders that a command names.

    Attributes:
        cityscapes: the folder with leftImg8bit/ and gtFine/.
        split: of Cityscapes.
        coco: the folder with annotations/; only some recipes need it.
        coco_split: of COCO.
    """

    cityscapes: Path
    split: str = "train"
    coco: Path | None = None
    coco_split: str = "train2017"


@dataclass(frozen=True, slots=True)
class RecipeEntry:
    """A recipe in the catalogue.

    Attributes:
        card: what `anomsynth list` says of it.
        config: its configuration class, for `shards.config.resolve`.
        presets: fields of published variants by name.
        open: scan the sources and be ready to make samples; raises UserError.
    """

    card: Card
    config: type[Config]
    presets: Mapping[str, Mapping[str, Any]]
    open: Callable[[Any, Sources], Recipe]


def sample_key(recipe: str, index: int) -> str:
    """Name of a sample: ``voidclass-00000003``."""
    return f"{recipe}-{index:08d}"
