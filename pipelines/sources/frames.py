"""Road frames: which one sample i is made of, and its pixels at the size that is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from isal import isal_zlib
from jaxtyping import Int32, Int64, UInt8
from pydantic import Field, field_validator

from pipelines.mixing import Base, Change
from pipelines.pixels import void_as_ignore
from pipelines.recipe import LazyScene, Scene
from shards.config import Config, Size
from shards.errors import BadInput
from shards.layouts.cityscapes import (
    CityscapesFrame,
    image_size,
    read_image,
    read_instance_ids,
    read_label_ids,
    read_semantic,
    scan_cityscapes,
)
from shards.layouts.problem import Problem
from shards.resize import resize_image, resize_labels
from shards.rng import generator

_KNOWN: Final = 8192
"""Files of which a process remembers checksum or size: all of Cityscapes' train split, some megabytes."""


class FrameConfig(Config):
    """What every recipe over road frames can be told."""

    size: Size | None = Field(default=None, json_schema_extra={"option": "--size"})
    """Width and height in pixels to which frames are scaled before anything else, such as 1024x512; None keeps
    theirs. Pictures by area averaging (enlarged: bilinear), labels by the nearest pixel centre."""

    samples_per_frame: int = Field(default=1, ge=1, json_schema_extra={"option": "--samples-per-frame"})
    """Samples in a row that are made of one frame, which is read and coded once for all of them."""

    @field_validator("size")
    @classmethod
    def _something_to_see(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and min(size) < 16:
            raise ValueError("frames must be at least 16 pixels wide and high")
        return size


@dataclass(frozen=True, slots=True)
class FrameSource:
    """The frames of one split.

    Attributes:
        split: ``train``, ``val`` ...
        frames: sorted by id.
        problems: what the scan left out.
        config: size of the frames, and how many samples each is used for.
        fingerprint: what the files are, without paths or times: JSON types.
    """

    split: str
    frames: tuple[CityscapesFrame, ...]
    problems: tuple[Problem, ...]
    config: FrameConfig
    fingerprint: Mapping[str, Any]

    @classmethod
    def open(cls, root: Path, split: str, config: FrameConfig, *, instances: bool = False) -> FrameSource:
        """Scan a Cityscapes folder; raises UserError where it is none.

        Args:
            root: the folder.
            split: of it.
            config: of the recipe.
            instances: whether instanceIds will be read, and so belong to what the set is made of.
        """
        scan = scan_cityscapes(root, split)
        return cls(split, scan.frames, scan.problems, config, _fingerprint(root, split, scan.frames, instances))

    def at(self, seed: int, recipe: str, index: int) -> CityscapesFrame:
        """The frame of sample `index`: the frames are walked in epochs, each in an order of its own."""
        epoch, position = divmod(index // self.config.samples_per_frame, len(self.frames))
        return self.frames[int(_order(seed, recipe, epoch, len(self.frames))[position])]

    def name(self, frame: CityscapesFrame) -> str:
        """What rejects.jsonl calls a frame."""
        return f"cityscapes/{self.split}/{frame.id}"

    def provenance(self, frame: CityscapesFrame) -> dict[str, Any]:
        """What a sample's meta says of its frame; BadInput where its files cannot be read."""
        return {"dataset": "cityscapes", "split": self.split, "id": frame.id, "crc32": self.checksum(frame)}

    def checksum(self, frame: CityscapesFrame) -> str:
        """CRC-32 of the files of a frame, picture then labels, as 8 hexadecimal digits; another version has another.

        Raises:
            BadInput: ``missing-image`` or ``missing-label``.
        """
        check = 0
        for path, reason in ((frame.image, "missing-image"), (frame.label_ids or frame.train_ids, "missing-label")):
            if path is None:
                continue
            try:
                state = path.stat()
                check = _crc32(path, check, state.st_size, state.st_mtime_ns, state.st_ino)
            except OSError as error:
                raise BadInput(reason, f"{path.name}: {error.strerror}") from error
        return f"{check:08x}"

    def plain(self, frame: CityscapesFrame) -> Base:
        """A frame with its void as ignore; BadInput where it is broken."""
        image, semantic = self.image(frame), self.semantic(frame)
        return Base(image, void_as_ignore(semantic), semantic)

    def image(self, frame: CityscapesFrame) -> UInt8[np.ndarray, "h w 3"]:
        """The picture, (H, W, 3) uint8 RGB; BadInput where it is broken."""
        return resize_image(read_image(frame), self.config.size)

    def semantic(self, frame: CityscapesFrame) -> UInt8[np.ndarray, "h w"]:
        """The trainIds, (H, W) uint8, 255 = ignore; BadInput where they are broken."""
        return resize_labels(read_semantic(frame), self.config.size)

    def label_ids(self, frame: CityscapesFrame) -> UInt8[np.ndarray, "h w"]:
        """The labelIds, (H, W) uint8, 255 = license plate; BadInput where they are broken or absent."""
        return resize_labels(read_label_ids(frame), self.config.size)

    def instance_ids(self, frame: CityscapesFrame) -> Int32[np.ndarray, "h w"]:
        """The instanceIds, (H, W) int32; BadInput where they are broken or absent."""
        return resize_labels(read_instance_ids(frame), self.config.size)

    def plan(self) -> dict[str, Any]:
        """What `--dry-run` says: frames, frames left out by reason, and their size."""
        reasons = sorted({problem.reason for problem in self.problems})
        left_out = {reason: sum(problem.reason == reason for problem in self.problems) for reason in reasons}
        size = in_words(self.size)
        return {"split": self.split, "frames": len(self.frames), "left_out": left_out, "size": size}

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the frames in pixels, judged by the first that can be read; None where none can."""
        if self.config.size is not None:
            return self.config.size
        for frame in self.frames:
            with contextlib.suppress(BadInput):
                return image_size(frame)
        return None


def in_words(size: tuple[int, int] | None) -> str:
    """A size such as 1024x512."""
    return "unknown" if size is None else f"{size[0]}x{size[1]}"


@lru_cache(maxsize=_KNOWN)
def _crc32(path: Path, before: int, *_state: int) -> int:
    """CRC-32 of a file behind something else; size, time and number of the file tell whether it is known already."""
    return isal_zlib.crc32(path.read_bytes(), before)


def _size_of(frame: CityscapesFrame) -> tuple[int, int]:
    """(width, height) of a frame in pixels, from its header; BadInput where it is broken."""
    try:
        state = frame.image.stat()
    except OSError:
        return image_size(frame)  # which says what is wrong
    return _known_size(frame, state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=_KNOWN)
def _known_size(frame: CityscapesFrame, *_state: int) -> tuple[int, int]:
    return image_size(frame)


@lru_cache(maxsize=4)
def _order(seed: int, recipe: str, epoch: int, frames: int) -> Int64[np.ndarray, n]:
    return generator(seed, recipe, "order", epoch).permutation(frames)


def _fingerprint(root: Path, split: str, frames: tuple[CityscapesFrame, ...], instances: bool) -> dict[str, Any]:
    """Names and sizes of the files that will be read: cheap, and changed by every likely accident."""
    files = [
        path
        for frame in frames
        for path in (frame.image, frame.label_ids or frame.train_ids, frame.instance_ids if instances else None)
        if path is not None
    ]
    sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in files}
    listing = os.fsencode("\n".join(f"{name} {size}" for name, size in sorted(sizes.items())))  # not all are text
    return {
        "dataset": "cityscapes",
        "split": split,
        "files": len(sizes),
        "bytes": sum(sizes.values()),
        "sha256": hashlib.sha256(listing).hexdigest(),
    }


class OverFrames:
    """What recipes over Cityscapes frames share; each has a `name` and its `frames`."""

    __slots__ = ()
    name: ClassVar[str]
    frames: FrameSource

    @property
    def default_count(self) -> int:
        """One pass over the frames."""
        return len(self.frames.frames) * self.frames.config.samples_per_frame

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Files that make no pair."""
        return self.frames.problems

    def sources(self) -> dict[str, dict[str, Any]]:
        """Fingerprint of the frames."""
        return {"cityscapes": dict(self.frames.fingerprint)}

    def input_of(self, seed: int, index: int) -> str:
        """Name of the frame behind sample `index`."""
        return self.frames.name(self.frames.at(seed, self.name, index))

    def change(self, seed: int, index: int, scene: Scene) -> Change:
        """Nothing: the sample is its frame."""
        meta = {
            "recipe": self.name,
            "index": index,
            "seed": seed,
            "frame": self.frames.provenance(self.frames.at(seed, self.name, index)),
            "objects": [],
            "rejected": [],
        }
        return Change(meta)


class OverPlainFrames(OverFrames):
    """What recipes share whose samples begin as plain frames: what they paste can be stored without the frames."""

    __slots__ = ()

    def base(self, seed: int, index: int) -> Base:
        """The frame of a sample, void as ignore; BadInput where it is broken."""
        return self.frames.plain(self.frames.at(seed, self.name, index))

    def scene(self, seed: int, index: int) -> LazyScene:
        """The same frame before it is decoded."""
        frame = self.frames.at(seed, self.name, index)
        size = self.frames.config.size
        return LazyScene(lambda: size or _size_of(frame), lambda: self.frames.semantic(frame))
