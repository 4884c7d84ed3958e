"""Pixels to bytes and back, in one call each; `shards/coded.py` reads parts of pictures and samples.

PNG of the plain kind is read and written by `shards/png`; everything else goes through Pillow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from shards.coded import MAX_PIXELS, CodedImage, CodedSample, decode_size
from shards.jpeg import encode_jpeg
from shards.png.strips import StripPng
from shards.sample import Sample
from shards.webp import encode_webp

__all__ = [
    "MAX_PIXELS",
    "decode_extra",
    "decode_image",
    "decode_map",
    "decode_sample",
    "decode_size",
    "encode_image",
    "encode_json",
    "encode_png",
    "encode_sample",
    "in_order",
]


def decode_image(data: bytes, name: str = "image") -> UInt8[np.ndarray, "h w 3"]:
    """Decode a picture of any usual format to RGB.

    Args:
        data: the file's bytes.
        name: what to call it in an error.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BadInput: ``truncated-image``, ``unreadable-image`` or ``oversized-image``.
    """
    return CodedImage.of(data, name).image()


def decode_map(data: bytes, name: str = "map") -> np.ndarray:
    """Decode a single-channel map without touching its values.

    Args:
        data: the file's bytes; 8-bit (also with a palette: the indices count) or 16-bit.
        name: what to call it in an error.

    Returns:
        (H, W) uint8, or int32 where the file holds 16 bits (instance ids).

    Raises:
        BadInput: ``not-a-map`` for colour pictures, and the reasons of `decode_image`.
    """
    return CodedImage.of(data, name).map()


def decode_extra(data: bytes, name: str = "extra") -> np.ndarray:
    """Decode an extra of a sample: (H, W) where the file has one channel, else (H, W, 3)."""
    return CodedImage.of(data, name).decode()


def encode_png(array: np.ndarray) -> bytes:
    """Encode (H, W, 3) or (H, W) uint8 as PNG in strips: equal pixels give equal bytes.

    Equal bytes hold for equal versions of zlib, which the manifest names.
    """
    return StripPng.of(array).file()


def encode_image(image: UInt8[np.ndarray, "h w 3"], form: str, quality: int) -> tuple[str, bytes]:
    """Encode a picture for a sample.

    Args:
        image: (H, W, 3) uint8 RGB.
        form: ``png``, ``webp`` (both lossless) or ``jpeg``.
        quality: 1..100, of jpeg.

    Returns:
        The file name's ending, and the bytes; pinned settings, so equal pixels give equal bytes.
    """
    if form == "jpeg":
        return "jpg", encode_jpeg(image, quality)
    return form, encode_webp(image) if form == "webp" else encode_png(image)


def encode_json(value: Mapping[str, Any]) -> bytes:
    """Compact JSON with sorted keys; refuses NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def encode_sample(sample: Sample) -> list[tuple[str, bytes]]:
    """The members of a sample in their fixed order: (suffix after ``KEY.``, bytes)."""
    extras = {name: encode_png(extra) for name, extra in sample.extras.items()}
    maps = encode_png(sample.anomaly), encode_png(sample.semantic)
    return in_order(("png", encode_png(sample.image)), *maps, extras, sample.meta)


def in_order(
    image: tuple[str, bytes], anomaly: bytes, semantic: bytes, extras: Mapping[str, bytes], meta: Mapping[str, Any]
) -> list[tuple[str, bytes]]:
    """The files of a sample as they are stored, in their fixed order: (suffix after ``KEY.``, bytes).

    Args:
        image: the file name's ending, and the file.
        anomaly: PNG file.
        semantic: PNG file.
        extras: PNG files of further maps by name.
        meta: provenance.
    """
    files = [(f"image.{image[0]}", image[1]), ("anomaly.png", anomaly), ("semantic.png", semantic)]
    files += [(f"{name}.png", extras[name]) for name in sorted(extras)]
    return [*files, ("json", encode_json(meta))]


def decode_sample(key: str, members: Mapping[str, bytes]) -> Sample:
    """Rebuild a sample from its members by suffix; the picture may have any extension.

    Raises:
        BadInput: ``missing-member``, ``size-mismatch``, ``label-values``, ``bad-json`` or a decoding reason.
    """
    return CodedSample(key, members).decode()
