"""From a recipe to the files of sample i, as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.delta import DeltaCoder
from pipelines.mixing import Base, Change, CodedBase
from pipelines.recipe import Recipe
from shards.codec import encode_image, in_order
from shards.config import Config
from shards.writer import Members


class Packing(Config):
    """How samples are stored; the same for all of a set."""

    layout: Literal["shards", "delta"] = "shards"
    """shards: whole samples; delta: only what they change about their frames (`shards/delta.py`)."""

    image_format: Literal["png", "webp", "jpeg"] = "png"
    """png: lossless, in strips; webp: lossless, smaller and slower; jpeg: a quarter of the bytes, with losses. Label
    maps are always PNG."""
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    """Of jpeg."""


def coder_of(recipe: Recipe, seed: int, packing: Packing) -> Coder | DeltaCoder:
    """What codes the samples of a recipe in this layout; UserError where the recipe does not go with it."""
    return DeltaCoder(recipe, seed) if packing.layout == "delta" else Coder(recipe, seed, packing)


class Coder:
    """Codes the samples of a recipe, one by one; what neighbours share is done once.

    Args:
        recipe: an opened recipe.
        seed: of all randomness.
        packing: how samples are stored.
    """

    def __init__(self, recipe: Recipe, seed: int, packing: Packing) -> None:
        self._recipe, self._seed, self._packing = recipe, seed, packing
        self._frame = ""  # what the two below belong to
        self._base: Base | None = None
        self._coded: CodedBase | None = None

    def members(self, index: int) -> tuple[Members, Mapping[str, Any]]:
        """The files of sample `index` in their order, and its meta; raises BadInput where its frame is broken."""
        base = self._base_of(index)
        change = self._recipe.change(self._seed, index, base)
        sample = self._coded_of(base, change).mixed(change)
        if sample.picture is None:
            image = "png", sample.image or b""
        else:
            image = encode_image(sample.picture, self._packing.image_format, self._packing.quality)
        return in_order(image, sample.anomaly, sample.semantic, sample.extras, sample.meta), sample.meta

    def _coded_of(self, base: Base, change: Change) -> CodedBase:
        """What the sample begins with, coded; crops differ from sample to sample."""
        strips = self._packing.image_format == "png"
        if change.crop is not None:
            return CodedBase.of(base.cropped(change.crop), image=strips)
        if self._coded is None:
            self._coded = CodedBase.of(base, image=strips)
        return self._coded

    def _base_of(self, index: int) -> Base:
        frame = self._recipe.input_of(self._seed, index)
        if self._base is None or frame != self._frame:
            self._base, self._coded = None, None  # before the next one is read: two at once are twice the memory
            self._base, self._frame = self._recipe.base(self._seed, index), frame
        return self._base
