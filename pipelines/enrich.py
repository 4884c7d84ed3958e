"""Enriched sets: what a detector compares a photograph with, made once and stored beside each sample.

A dissimilarity network (SynBoost, MGCDA) sees of each frame what a segmenter says of it, the picture that a generator
paints from that, and how sure the segmenter was. None of it changes while the network learns, so it is made offline:

    predicted   (H, W)     trainIds 0..18; wrong ones on purpose where the sample swaps labels
    synthesis   (H, W, 3)  RGB, painted from `predicted`
    entropy     (H, W)     softmax entropy, 0..255
    distance    (H, W)     1 - (p1 - p2) of the two most probable classes, 0..255
    perceptual  (H, W)     how much photograph and synthesis differ in the features of a network, 0..255

All members of an enriched sample have the size that the detector works at (published: 512x256). Segmenter, generator
and features are a `Chain`; the same one looks at benchmark images later, so both see the same maps. To the engine an
enriched set is a recipe over another set: keys, resuming and records are those of every build.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from pipelines.mixing import Base, Change, Relabel
from pipelines.recipe import Scene, sample_key
from shards.config import Config, Size
from shards.delta import LAYOUT
from shards.errors import BadInput, UserError
from shards.layouts.problem import Problem
from shards.manifest import MANIFEST, Manifest
from shards.reader import ShardSet
from shards.resize import resize_labels
from shards.rows import is_record, read_rejects
from shards.sample import EXTRAS, Sample

SWAPPED: Final = "swapped"
"""Name of the map of wrong labels in a set of swapped instances (`pipelines/swapping.py`)."""


@runtime_checkable
class Chain(Protocol):
    """Segmenter, generator and features; the roof passes in those of `train`."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of all that it gives."""
        ...

    @property
    def describe(self) -> Mapping[str, Any]:
        """What decides about its maps: networks, checksums of weights, versions. JSON types, no path."""
        ...

    def look(
        self, image: UInt8[np.ndarray, "h w 3"], *, swapped: UInt8[np.ndarray, "h w"] | None = None, key: str = ""
    ) -> Mapping[str, np.ndarray]:
        """The picture at `size` under ``image``, and beside it each of `EXTRAS`.

        Args:
            image: (H, W, 3) uint8 RGB, at its own size.
            swapped: (H, W) uint8 trainIds that stand in for what the segmenter says; 255 where they do not.
            key: of the sample, for generators that hold a picture for each.
        """
        ...


class EnrichConfig(Config):
    """What an enriched set records of its making."""

    size: Size
    """(width, height) in pixels of every member."""
    chain: dict[str, Any]
    """`Chain.describe`."""
    source: dict[str, Any]
    """Recipe, configuration, seed and checksum of the set that was enriched."""


@dataclass(frozen=True, slots=True)
class Enriched:
    """A shard set seen through a chain, as a recipe: see `pipelines.recipe.Recipe`.

    Attributes:
        shards: the set.
        chain: what looks at its samples.
        config: for the manifest.
        places: where each key stands in the set.
        rejects: rows of rejects.jsonl about samples that the set lacks, by key.
        problems: inputs that were left out when the set was scanned.
    """

    shards: ShardSet = field(repr=False)
    chain: Chain = field(repr=False)
    config: EnrichConfig
    places: Mapping[str, int] = field(repr=False)
    rejects: Mapping[str, Mapping[str, Any]] = field(repr=False)
    problems: tuple[Problem, ...] = field(repr=False)
    last: _Last = field(repr=False, default_factory=lambda: _Last())

    @classmethod
    def open(cls, folder: Path, chain: Chain) -> Enriched:
        """Open a shard set.

        Raises:
            UserError: no complete shard set, a delta set, or one that is enriched already.
        """
        shards = ShardSet(folder)
        manifest = shards.manifest
        if manifest.packing.get("layout") == LAYOUT:
            raise UserError(
                f"{folder} is a delta set, without frames: `anomsynth materialize` makes a plain one of it."
            )
        if "shards" in manifest.sources:
            raise UserError(f"{folder} is enriched already; give the set that it was made of.")
        try:
            rejects = read_rejects(folder)
        except BadInput as error:
            raise UserError(f"{folder} is damaged: {error.detail}; `anomsynth verify` tells what else.") from error
        source = {
            "recipe": manifest.recipe,
            "config": manifest.config,
            "seed": manifest.seed,
            "sha256": hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest(),
        }
        return cls(
            shards,
            chain,
            EnrichConfig(size=chain.size, chain=dict(chain.describe), source=source),
            {key: place for place, key in enumerate(shards.keys)},
            {row["sample"]: row for row in rejects if isinstance(row.get("sample"), str)},
            tuple(
                Problem(row["reason"], row["detail"], row["input"]) for row in rejects if row.get("sample") is None
            ),
        )

    @property
    def manifest(self) -> Manifest:
        """Of the set that is enriched."""
        return self.shards.manifest

    @property
    def name(self) -> str:
        """Of the recipe that made the set: keys stay what they were."""
        return self.manifest.recipe

    @property
    def default_count(self) -> int:
        """As many as were asked for when the set was made."""
        return self.manifest.count

    def plan(self) -> dict[str, Any]:
        """What the set holds, and what looks at it."""
        return {"shards": {"samples": len(self.shards)}, "chain": self.config.chain}

    def sources(self) -> dict[str, dict[str, Any]]:
        """Those of the set, and the set."""
        return {**self.manifest.sources, "shards": {"sha256": self.config.source["sha256"]}}

    def input_of(self, seed: int, index: int) -> str:
        """Key of the sample in the set."""
        return sample_key(self.name, index)

    def base(self, seed: int, index: int) -> Base:
        """The sample at the chain's size, its picture as the chain shows it; BadInput where the set lacks it."""
        sample, seen = self._seen(index)
        size = self.config.size
        return Base(seen["image"], resize_labels(sample.anomaly, size), resize_labels(sample.semantic, size))

    def change(self, seed: int, index: int, scene: Scene) -> Change:
        """The maps beside it; BadInput where the set lacks the sample."""
        sample, seen = self._seen(index)
        meta = {name: value for name, value in sample.meta.items() if name != "pixels"}
        if is_record(meta) and "objects" in meta:
            height, width = sample.anomaly.shape
            meta["objects"] = [_resized(item, (width, height), self.config.size) for item in meta["objects"]]
        nothing = np.zeros(scene.size[::-1], bool)
        return Change(meta, relabel=Relabel(nothing, {name: seen[name] for name in EXTRAS}))

    def _seen(self, index: int) -> tuple[Sample, Mapping[str, np.ndarray]]:
        """A sample and what the chain says of it: found out once for `base` and `change`, which follow each other."""
        key = sample_key(self.name, index)
        if self.last.key != key:
            if key not in self.places:
                row = self.rejects.get(key, {"reason": "missing-sample", "detail": f"{key} is not in the set"})
                raise BadInput(row["reason"], row["detail"])
            sample = self.shards[self.places[key]]
            self.last.found = sample, self.chain.look(sample.image, swapped=sample.extras.get(SWAPPED), key=key)
            self.last.key = key
        assert self.last.found is not None
        return self.last.found


def _resized(item: Mapping[str, Any], before: tuple[int, int], after: tuple[int, int]) -> dict[str, Any]:
    """What is on record of an object, in pixels of a picture of another size.

    Args:
        item: with ``box`` (x, y, width, height) and ``pixels`` where they are known. The box becomes the smallest one
            of whole pixels around it; how many pixels are seen is scaled with the picture's area, not counted again.
        before: (width, height) that they belong to.
        after: the new one.
    """
    told = dict(item)
    across, down = after[0] / before[0], after[1] / before[1]
    if "box" in told:
        x, y, width, height = told["box"]
        left, top = math.floor(x * across), math.floor(y * down)
        right, bottom = min(after[0], math.ceil((x + width) * across)), min(after[1], math.ceil((y + height) * down))
        told["box"] = [left, top, max(0, right - left), max(0, bottom - top)]
    if told.get("pixels"):
        told["pixels"] = max(1, round(told["pixels"] * across * down))
    return told


class _Last:
    """What was looked at last."""

    def __init__(self) -> None:
        self.key = ""
        self.found: tuple[Sample, Mapping[str, np.ndarray]] | None = None
