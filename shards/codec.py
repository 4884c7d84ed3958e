"""Pixels to bytes and back.

PNG of the plain kind is read and written by `shards/png`; everything else goes through Pillow, which refuses
truncated files (OpenCV returns a half-grey picture instead).
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from shards.errors import BadInput
from shards.jpeg import encode_jpeg
from shards.jpeg_crop import crop_jpeg, index_jpeg
from shards.png.reading import PlainPng, plain_png, read_png
from shards.png.strips import StripPng
from shards.sample import Sample
from shards.webp import encode_webp

MAX_PIXELS = 150_000_000
"""Larger pictures are refused from their header: a guard against decompression bombs.

Below Pillow's own limit, so that both cannot disagree about a picture."""


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
    if (plain := _plain(data, name)) is not None:
        pixels = read_png(data, plain, name)
        return pixels if plain.step == 3 else np.repeat(pixels[..., None], 3, axis=2)
    if (jpeg := index_jpeg(data, name)) is not None:
        _check_pixels(jpeg.width, jpeg.height, name)
        return crop_jpeg(data, jpeg, 0, 0, jpeg.width, jpeg.height, name)
    return np.array(_open(data, name, "RGB"))


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
    if (plain := _plain(data, name)) is not None and plain.step == 1:
        return read_png(data, plain, name)
    image = _open(data, name)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode in ("L", "P"):
        return np.array(image, dtype=np.uint8)
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        return np.array(image, dtype=np.int32)
    raise BadInput("not-a-map", f"{name} should have one channel, its mode is {image.mode}")


def decode_extra(data: bytes, name: str = "extra") -> np.ndarray:
    """Decode an extra of a sample: (H, W) where the file has one channel, else (H, W, 3)."""
    image = _open(data, name)
    return decode_map(data, name) if image.mode in ("1", "L", "P", "I", "I;16") else decode_image(data, name)


def decode_size(file: io.BytesIO | io.BufferedReader, name: str = "image") -> tuple[int, int]:
    """(width, height) of a picture in pixels, from its header; the pixels may still be broken.

    Raises:
        BadInput: as `decode_image`.
    """
    with _header(file, name) as image:
        return image.size


def _plain(data: bytes, name: str) -> PlainPng | None:
    """Where the parts of a plain PNG are; None for what is left to Pillow."""
    plain = plain_png(data, name)
    if plain is not None:
        _check_pixels(plain.width, plain.height, name)
    return plain


def _check_pixels(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise BadInput("oversized-image", f"{name} has {width}x{height} pixels")


def _open(data: bytes, name: str, mode: str | None = None) -> Image.Image:
    """Open and decode fully; into a mode of Pillow's where one is given."""
    with _header(io.BytesIO(data), name) as image:
        image.load()
        return image.convert(mode) if mode else image


@contextlib.contextmanager
def _header(file: io.BytesIO | io.BufferedReader, name: str) -> Iterator[Image.Image]:
    """A picture of which only the header was read; every way of being broken becomes a BadInput."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of big pictures, for which we have a limit of our own, and of parts that it leaves out.
            warnings.simplefilter("ignore")
            image = Image.open(file)
            _check_pixels(image.width, image.height, name)
            yield image
    except UnidentifiedImageError as error:
        raise BadInput("unreadable-image", f"{name} is no picture of a known format") from error
    except Image.DecompressionBombError as error:
        raise BadInput("oversized-image", f"{name} has more than {MAX_PIXELS:,} pixels") from error
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error) as error:
        if "truncated" in str(error).lower():
            raise BadInput("truncated-image", f"{name} is cut off") from error
        raise BadInput("unreadable-image", f"{name} is broken") from error


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
    members = [
        ("image.png", encode_png(sample.image)),
        ("anomaly.png", encode_png(sample.anomaly)),
        ("semantic.png", encode_png(sample.semantic)),
    ]
    members += [(f"{name}.png", encode_png(sample.extras[name])) for name in sorted(sample.extras)]
    members.append(("json", encode_json(sample.meta)))
    return members


def decode_sample(key: str, members: Mapping[str, bytes]) -> Sample:
    """Rebuild a sample from its members by suffix; the picture may have any extension.

    Raises:
        BadInput: ``missing-member``, ``size-mismatch``, ``label-values``, ``bad-json`` or a decoding reason.
    """
    by_name = {suffix.split(".")[0]: data for suffix, data in members.items()}
    for name in ("image", "anomaly", "semantic"):
        if name not in by_name:
            raise BadInput("missing-member", f"{key} has no {name}")
    image = decode_image(by_name["image"], f"{key}.image")
    maps = {name: decode_map(by_name[name], f"{key}.{name}") for name in ("anomaly", "semantic")}
    for name, array in maps.items():
        if array.shape != image.shape[:2]:
            raise BadInput("size-mismatch", f"{key}.{name} is {_size(array)}, its image {_size(image)}")
        # Anomaly maps may hold 0, 1, 255; semantic maps 0..18, 255.
        highest = 1 if name == "anomaly" else 18
        if array.dtype != np.uint8 or ((array > highest) & (array != 255)).any():
            raise BadInput("label-values", f"{key}.{name} holds values other than 0..{highest} and 255")
    try:
        meta = json.loads(by_name["json"]) if "json" in by_name else {}
    except ValueError as error:
        raise BadInput("bad-json", f"{key}.json: {error}") from error
    if not isinstance(meta, dict):
        raise BadInput("bad-json", f"{key}.json should hold an object, it holds a {type(meta).__name__}")
    extras = {
        name: decode_extra(data, f"{key}.{name}")
        for name, data in by_name.items()
        if name not in ("image", "anomaly", "semantic", "json")
    }
    return Sample(key, image, maps["anomaly"], maps["semantic"], extras, meta)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
