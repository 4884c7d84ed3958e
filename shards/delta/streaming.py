"""A delta set over a shard set of its frames, read as if it were materialised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shards.delta.laying import LaidSample
from shards.delta.storing import LAYOUT, decode_delta
from shards.errors import BadInput, UserError
from shards.manifest import Manifest
from shards.plural import plural
from shards.reader import ShardSet
from shards.rows import read_rejects, read_rows
from shards.sample import Sample

_FRAMES = "cityscapes"  # the recipe of plain frames


class DeltaSet:
    """The samples of a delta set, in storage order, laid over frames as they are read: used like a `ShardSet`.

    Samples whose frames the set of frames had to leave out as broken are left out here, too, as a build does.

    Attributes:
        folder: the delta set.
        frames: the set of frames.
        manifest: of the delta set.
        keys: of the samples, in storage order.

    Args:
        folder: the delta set.
        base: a shard set of its frames: `anomsynth build cityscapes` with the same --size. Lossless ones give exactly
            the pixels of the materialised set.

    Raises:
        UserError: one of the two is no such set or damaged, or the frames are others than those that were used.
    """

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        self._deltas, self.frames = ShardSet(folder), ShardSet(base)
        self.manifest: Manifest = self._deltas.manifest
        if self.manifest.packing.get("layout") != LAYOUT:
            raise UserError(f"{folder} is no delta set: read it without the frames.")
        frames = self.frames.manifest
        if frames.recipe != _FRAMES or frames.packing.get("layout", "shards") != "shards":
            raise UserError(f"{base} is no set of plain frames: make one with `anomsynth build {_FRAMES}`.")
        if frames.config.get("size") != self.manifest.config.get("size"):
            raise UserError(
                f"The frames of {base} have the size {_size(frames)}, those of {folder} {_size(self.manifest)}: "
                f"build {base} again with the same --size."
            )
        self._places = _places(self._deltas, self.frames)
        keys = self._deltas.keys
        self.keys = tuple(keys[place] for place, _ in self._places)

    def __len__(self) -> int:
        return len(self._places)

    def raw(self, index: int) -> dict[str, bytes]:
        """The still encoded members of a sample by suffix: what it changes, without its frame."""
        return self._deltas.raw(self._places[index][0])

    def coded(self, index: int) -> LaidSample:
        """A sample whose size is known and whose frame is not decoded yet.

        Raises:
            BadInput: its members or its frame cannot be read, or are broken.
        """
        place, frame = self._places[index]
        delta = decode_delta(self.keys[index], self._deltas.raw(place))
        return LaidSample(self.keys[index], delta, self.frames.coded(frame))

    def __getitem__(self, index: int) -> Sample:
        """Decode one sample: exactly that of the materialised set; raises BadInput as `coded`."""
        return self.coded(index).decode()

    def __iter__(self) -> Iterator[Sample]:
        """All samples in storage order."""
        return (self[index] for index in range(len(self)))


def _places(deltas: ShardSet, frames: ShardSet) -> list[tuple[int, int]]:
    """For each sample its place in the delta set and that of its frame in the other one."""
    try:
        used, there, broken = read_rows(deltas.folder), read_rows(frames.folder), read_rejects(frames.folder)
    except BadInput as error:
        raise UserError(f"{deltas.folder} or {frames.folder} is damaged: {error.detail}.") from error
    for rows, shards in ((used, deltas), (there, frames)):
        if [row["key"] for row in rows] != list(shards.keys):
            raise UserError(
                f"{shards.folder} is damaged: its list of samples names others than its tars; "
                f"`anomsynth verify {shards.folder}` tells more."
            )
    found: dict[str, tuple[int, Any]] = {}
    for place, row in enumerate(there):
        found.setdefault(_name(row), (place, row.get("frame", {}).get("crc32")))
    left_out = {row["input"] for row in broken if row.get("sample") is not None}
    places, missing, other = [], set[str](), set[str]()
    for number, row in enumerate(used):
        name = _name(row)
        if name in found:
            place, check = found[name]
            places.append((number, place))
            if check is None or check != row.get("frame", {}).get("crc32"):
                other.add(name)
        elif name not in left_out:
            missing.add(name)
    for names, words in ((missing, "are missing in it"), (other, "are other files than those that were used")):
        if names:
            raise UserError(
                f"{frames.folder} does not go with {deltas.folder}: {len(names)} of its "
                f"{plural(len({_name(row) for row in used}), 'frame')} {words}, such as {min(names)}."
            )
    return places


def _name(row: Mapping[str, Any]) -> str:
    """A frame as rejects.jsonl names it."""
    origin = row.get("frame", {})
    return f"{origin.get('dataset')}/{origin.get('split')}/{origin.get('id')}"


def _size(manifest: Manifest) -> str:
    size = manifest.config.get("size")
    return "x".join(map(str, size)) if isinstance(size, list) else "of their files"
