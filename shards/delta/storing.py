"""What a sample changes about its frame, as three files and back.

::

    KEY.patches.png   the objects below each other, cut out, scaled and mirrored, black around them: (H, W, 3)
    KEY.masks.png     which pixels are theirs: 255, or 128 where something stands in front; 64 where it does beside
                      them, within reach of a soft edge; elsewhere 0: (H, W)
    KEY.json          the sample's meta without `pixels`, and under "delta" the size of the frame, the rectangle of it
                      that the sample shows, and for each object its size, its place and how it is fitted

All objects of a sample share two pictures, so that all samples have the same files, whatever is pasted into them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shards.codec import decode_image, decode_map, encode_json, encode_png
from shards.errors import BadInput
from shards.patches import Blend, Patch
from shards.writer import Members

LAYOUT: Final = "delta"
"""What a manifest's packing calls this layout."""

# A mask's pixels.
_SEEN: Final = 255
_HIDDEN: Final = 128
_BESIDE: Final = 64

_Side = Annotated[int, Field(ge=1, le=65536)]
_Place = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class _Object(BaseModel):
    """One object as the JSON has it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    left: _Place
    top: _Place
    width: _Side
    height: _Side
    blend: Blend


class _Laid(BaseModel):
    """What the JSON has under "delta"."""

    model_config = ConfigDict(extra="forbid")

    frame: tuple[_Side, _Side]
    crop: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], _Side, _Side] | None
    patches: list[_Object]


@dataclass(frozen=True, slots=True)
class Delta:
    """What a sample changes about its frame.

    Attributes:
        meta: provenance as the sample has it, but for ``pixels``, which only laying tells.
        patches: from back to front; places are those in the crop, if there is one.
        frame: (width, height) of the frame in pixels, as it was scaled before anything else.
        crop: (left, top, width, height) of the rectangle of the frame that the sample shows; None: all of it.
    """

    meta: Mapping[str, Any]
    patches: tuple[Patch, ...]
    frame: tuple[int, int]
    crop: tuple[int, int, int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the sample in pixels."""
        return self.crop[2:] if self.crop else self.frame


def encode_delta(delta: Delta) -> tuple[Members, dict[str, Any]]:
    """The files of a sample in their order, and what its JSON holds; equal deltas give equal bytes."""
    height = sum(len(patch.mask) for patch in delta.patches)
    width = max((patch.mask.shape[1] for patch in delta.patches), default=1)
    rgb, mask = np.zeros((max(height, 1), width, 3), np.uint8), np.zeros((max(height, 1), width), np.uint8)
    rows, objects = 0, []
    for patch in delta.patches:
        h, w = patch.mask.shape
        rgb[rows : rows + h, :w] = patch.rgb
        mask[rows : rows + h, :w] = _stored(patch)
        objects.append(
            {"left": patch.left, "top": patch.top, "width": w, "height": h, "blend": patch.blend.as_json()}
        )
        rows += h
    crop = None if delta.crop is None else list(delta.crop)
    meta = {**delta.meta, "delta": {"frame": list(delta.frame), "crop": crop, "patches": objects}}
    members = [("patches.png", encode_png(rgb)), ("masks.png", encode_png(mask)), ("json", encode_json(meta))]
    return members, meta


def decode_delta(key: str, members: Mapping[str, bytes]) -> Delta:
    """Read the files of a sample, with distrust.

    Args:
        key: of the sample, for errors.
        members: its files by suffix.

    Raises:
        BadInput: ``missing-member``, ``bad-json``, ``bad-delta`` where places, patches and masks do not fit together,
            or a reason of `shards.codec.decode_image`.
    """
    meta = decode_meta(key, members)
    try:
        laid = _Laid.model_validate(meta.pop("delta", None))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput("bad-delta", f"{key}.json: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if laid.crop is not None:
        left, top, width, height = laid.crop
        if left + width > laid.frame[0] or top + height > laid.frame[1]:
            raise BadInput("bad-delta", f"{key}.json: the rectangle leaves its frame")
    rgb = decode_image(_member(key, members, "patches.png"), f"{key}.patches")
    mask = decode_map(_member(key, members, "masks.png"), f"{key}.masks")
    size = max((item.width for item in laid.patches), default=1), sum(item.height for item in laid.patches) or 1
    if rgb.shape[:2] != size[::-1] or mask.shape != size[::-1]:
        raise BadInput("bad-delta", f"{key}: patches, masks and their sizes do not fit together")
    own, hidden = (mask == _SEEN) | (mask == _HIDDEN), (mask == _HIDDEN) | (mask == _BESIDE)
    if mask.dtype != np.uint8 or (mask[~(own | hidden)] != 0).any() or rgb[~own].any():
        raise BadInput(
            "bad-delta", f"{key}: a mask holds something other than 0, 64, 128 and 255, or a patch leaves its mask"
        )
    rows, covered, patches = 0, 0, list[Patch]()
    for item in laid.patches:
        part = np.s_[rows : rows + item.height, : item.width]
        front = hidden[part] if hidden[part].any() else None
        patch = Patch(rgb[part], own[part], item.left, item.top, item.blend, front)
        if not _is_laid(patch, laid.frame):
            raise BadInput("bad-delta", f"{key}: a patch without pixels, or fitted in no possible way")
        patches.append(patch)
        covered += int(np.count_nonzero(mask[part]))
        rows += item.height
    if covered != np.count_nonzero(mask):
        raise BadInput("bad-delta", f"{key}: a mask reaches beyond its object")
    return Delta(meta, tuple(patches), laid.frame, laid.crop)


def decode_meta(key: str, members: Mapping[str, bytes]) -> dict[str, Any]:
    """What a sample's JSON holds, "delta" included; BadInput where it is missing or no object."""
    try:
        meta = json.loads(_member(key, members, "json"))
    except (ValueError, RecursionError) as error:
        raise BadInput("bad-json", f"{key}.json: {error}") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("frame"), dict):
        raise BadInput("bad-json", f"{key}.json names no frame")
    return meta


def size_of(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """(width, height) of a sample in pixels, where its row of samples.jsonl has a delta; None elsewhere."""
    try:
        found = _Laid.model_validate(row["delta"])
    except (KeyError, ValidationError):
        return None
    return found.crop[2:] if found.crop else found.frame


def _stored(patch: Patch) -> UInt8[np.ndarray, "h w"]:
    """What masks.png has of a patch."""
    own = patch.mask.astype(np.uint8)
    if patch.hidden is None:
        return own * np.uint8(_SEEN)
    table = np.array([[0, _SEEN], [_BESIDE, _HIDDEN]], np.uint8)
    return np.asarray(table[patch.hidden.astype(np.uint8), own], np.uint8)


def _member(key: str, members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        raise BadInput("missing-member", f"{key} has no {name}")
    return members[name]


def _is_laid(patch: Patch, frame: tuple[int, int]) -> bool:
    """Whether an object has pixels, and nothing about it is of a size that no build draws."""
    values = [getattr(patch.blend, item.name) for item in fields(patch.blend)]
    lengths = [value for value in values if isinstance(value, float)]
    seeds = [value for value in values if isinstance(value, int)]
    return (
        bool(patch.mask.any())
        and all(math.isfinite(value) and 0 <= value <= max(frame) for value in lengths)
        and all(0 <= value < 2**32 for value in seeds)
    )
