"""Opening a set of either layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shards.delta.storing import LAYOUT
from shards.delta.streaming import DeltaSet
from shards.errors import UserError
from shards.manifest import read_manifest
from shards.reader import ShardSet


def open_set(folder: Path, frames: Sequence[Path] = ()) -> ShardSet | DeltaSet:
    """A shard set, or a delta set over the first of the sets of frames that goes with it.

    Args:
        folder: the set.
        frames: shard sets of plain frames; only delta sets look at them.

    Raises:
        UserError: no complete set, or a delta set whose frames are not among those given.
    """
    if read_manifest(folder).packing.get("layout") != LAYOUT:
        return ShardSet(folder)
    if not frames:
        raise UserError(
            f"{folder} is a delta set, without frames: give a set of them, which `anomsynth build cityscapes` makes "
            "(train: --frames), or make a plain set of it with `anomsynth materialize`."
        )
    refused = []
    for base in frames:
        try:
            return DeltaSet(folder, base)
        except UserError as error:
            refused.append(str(error))
    if len(refused) == 1:
        raise UserError(refused[0])
    raise UserError(f"None of the {len(refused)} sets of frames goes with {folder}: {' '.join(refused)}")
