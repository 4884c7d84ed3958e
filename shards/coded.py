"""Bytes to pixels: a whole picture or sample, or only a rectangle of it.

What is stored is looked through first, which tells its size, and decoded when it is known what is wanted of it. Of
PNG in strips and JPEG in segments (`shards/png`, `shards/jpeg.py`) only what a rectangle meets is decoded, and of
ordinary JPEG (`shards/jpeg_rows.py`) nothing below it. Everything else is decoded whole, by Pillow, which also says
what is wrong with a file.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from shards.errors import BadInput
from shards.jpeg_crop import JpegIndex, crop_jpeg, index_jpeg
from shards.jpeg_head import JpegHead, jpeg_head
from shards.jpeg_rows import upper_rows
from shards.png.reading import PlainPng, plain_png, read_png
from shards.sample import Sample

Box = tuple[int, int, int, int]
"""(left, top, width, height) of a rectangle in pixels, width and height at least 1."""

MAX_PIXELS = 150_000_000
"""Larger pictures are refused from their header: a guard against decompression bombs.

Below Pillow's own limit, so that both cannot disagree about a picture."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow knows forty more, some of which start other programs (EPS: Ghostscript)."""

_MAP_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")


@dataclass(frozen=True, slots=True, eq=False)
class CodedImage:
    """A picture that was looked through and is not decoded.

    Attributes:
        data: the file's bytes.
        name: what to call it in an error.
        width: in pixels.
        height: in pixels.
        mode: of its pixels, as Pillow calls it.
        parts: where its strips or segments are, or what an ordinary JPEG file begins with; None for what is decoded
            whole by Pillow.
    """

    data: bytes
    name: str
    width: int
    height: int
    mode: str
    parts: PlainPng | JpegIndex | JpegHead | None

    @classmethod
    def of(cls, data: bytes, name: str = "image") -> CodedImage:
        """Look through a file of any usual format.

        Raises:
            BadInput: ``truncated-image``, ``unreadable-image`` or ``oversized-image``; what only decoding shows is
                raised by the methods below.
        """
        if (png := plain_png(data, name)) is not None:
            _check_pixels(png.width, png.height, name)
            return cls(data, name, png.width, png.height, "RGB" if png.step == 3 else "L", png)
        if (jpeg := index_jpeg(data, name) or jpeg_head(data)) is not None:
            _check_pixels(jpeg.width, jpeg.height, name)
            return cls(data, name, jpeg.width, jpeg.height, "RGB", jpeg)
        with _header(io.BytesIO(data), name) as image:
            return cls(data, name, image.width, image.height, image.mode, None)

    @property
    def is_map(self) -> bool:
        """Whether it has one channel."""
        return self.mode in _MAP_MODES

    def image(self, box: Box | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """Decode to RGB.

        Args:
            box: the rectangle that is wanted, inside the picture; all of it without one.

        Returns:
            (H, W, 3) uint8 RGB: the same pixels as those of the whole.

        Raises:
            BadInput: ``truncated-image`` or ``unreadable-image``.
        """
        box = self._inside(box)
        if isinstance(self.parts, PlainPng):
            pixels = read_png(self.data, self.parts, self.name, box)
            return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
        if isinstance(self.parts, JpegIndex):
            return crop_jpeg(self.data, self.parts, *(box or (0, 0, self.width, self.height)), self.name)
        if self.parts is not None:
            bottom = self.height if box is None else box[1] + box[3]
            rows = upper_rows(self.data, self.parts, bottom)
            if rows is not None:
                return _cut(rows, box)
        return _cut(np.array(_open(self.data, self.name, "RGB")), box)

    def map(self, box: Box | None = None) -> np.ndarray:
        """Decode a single-channel map without touching its values.

        Args:
            box: the rectangle that is wanted, inside the picture; all of it without one.

        Returns:
            (H, W) uint8, or int32 where the file holds 16 bits (instance ids).

        Raises:
            BadInput: ``not-a-map`` for colour pictures, ``truncated-image`` or ``unreadable-image``.
        """
        box = self._inside(box)
        if not self.is_map:
            raise BadInput("not-a-map", f"{self.name} should have one channel, its mode is {self.mode}")
        if isinstance(self.parts, PlainPng):
            return read_png(self.data, self.parts, self.name, box)
        image = _open(self.data, self.name)
        if image.mode == "1":
            image = image.convert("L")
        return _cut(np.array(image, np.uint8 if image.mode in ("L", "P") else np.int32), box)

    def decode(self, box: Box | None = None) -> np.ndarray:
        """The map where the file has one channel, else the image."""
        return self.map(box) if self.is_map else self.image(box)

    def _inside(self, box: Box | None) -> Box | None:
        """The rectangle; None where it is the whole picture, of which a decoder can check more than of a part."""
        if box is None or box == (0, 0, self.width, self.height):
            return None
        left, top, width, height = box
        if left < 0 or top < 0 or width < 1 or height < 1 or left + width > self.width or top + height > self.height:
            raise ValueError(f"the box {box} does not lie in {self.width}x{self.height} pixels")
        return box


@runtime_checkable
class StoredSample(Protocol):
    """What a transform gets: a sample of which the size is known and nothing is decoded.

    Attributes:
        key: as in `Sample`.
        width: of the frame in pixels.
        height: of the frame in pixels.
    """

    key: str
    width: int
    height: int

    def decode(self, box: Box | None = None) -> Sample:
        """Decode a rectangle of it, or all of it; raises BadInput."""
        ...


@runtime_checkable
class SampleSet(Protocol):
    """What can be streamed: a `ShardSet`, or a delta set over its frames."""

    def __len__(self) -> int: ...

    def coded(self, index: int) -> StoredSample:
        """A sample; raises BadInput where it cannot be read or is broken."""
        ...


class CodedSample:
    """A sample of which the size is known and nothing is decoded.

    Attributes:
        key: as in `Sample`.
        width: of the frame in pixels.
        height: of the frame in pixels.

    Args:
        key: of the sample.
        members: its files by suffix; the picture may have any extension.

    Raises:
        BadInput: ``missing-member``, ``duplicate-member``, ``size-mismatch``, or what `CodedImage.of` raises.
    """

    __slots__ = ("_images", "_json", "height", "key", "width")

    def __init__(self, key: str, members: Mapping[str, bytes]) -> None:
        self.key = key
        by_name = {suffix.split(".")[0]: data for suffix, data in members.items()}
        if len(by_name) < len(members):
            raise BadInput("duplicate-member", f"{key} has two files of one name, such as image.png and image.jpg")
        for name in ("image", "anomaly", "semantic", "json"):
            if name not in by_name:
                raise BadInput("missing-member", f"{key} has no {name}")
        self._json = by_name.pop("json")
        self._images = {name: CodedImage.of(data, f"{key}.{name}") for name, data in by_name.items()}
        frame = self._images["image"]
        self.width, self.height = frame.width, frame.height
        for name, image in self._images.items():
            if (image.width, image.height) != (self.width, self.height):
                sizes = f"{image.width}x{image.height}, its image {self.width}x{self.height}"
                raise BadInput("size-mismatch", f"{key}.{name} is {sizes}")

    @property
    def meta(self) -> dict[str, Any]:
        """Provenance, read anew at each call.

        Raises:
            BadInput: ``bad-json``.
        """
        try:
            meta = json.loads(self._json)
        except (ValueError, RecursionError) as error:
            raise BadInput("bad-json", f"{self.key}.json: {error}") from error
        if not isinstance(meta, dict):
            raise BadInput("bad-json", f"{self.key}.json should hold an object, it holds a {type(meta).__name__}")
        return meta

    def image(self, box: Box | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """Decode only the picture, or a rectangle of it; raises BadInput as `decode`."""
        return self._images["image"].image(box)

    def decode(self, box: Box | None = None) -> Sample:
        """Decode the sample.

        Args:
            box: the rectangle that is wanted, inside the frame; all of it without one. `meta` speaks of the whole
                frame in either case.

        Returns:
            The sample, or what the rectangle shows of it: exactly the pixels of the whole.

        Raises:
            BadInput: ``label-values`` where the labels that are read hold unknown ones, ``bad-json``, or a reason of
                `CodedImage`.
        """
        image = self.image(box)
        anomaly, semantic = self._labels("anomaly", 1, box), self._labels("semantic", 18, box)
        extras = {
            name: coded.decode(box)
            for name, coded in self._images.items()
            if name not in ("image", "anomaly", "semantic")
        }
        return Sample(self.key, image, anomaly, semantic, extras, self.meta)

    def _labels(self, name: str, highest: int, box: Box | None) -> UInt8[np.ndarray, "h w"]:
        """A label map, of 0 to `highest` and 255."""
        labels = self._images[name].map(box)
        # One more than each label, where 255 becomes 0: a single comparison is left.
        if labels.dtype != np.uint8 or (labels + np.uint8(1)).max() > highest + 1:
            raise BadInput("label-values", f"{self.key}.{name} holds values other than 0..{highest} and 255")
        return labels


def decode_size(file: io.BytesIO | io.BufferedReader, name: str = "image") -> tuple[int, int]:
    """(width, height) of a picture in pixels, from its header; the pixels may still be broken.

    Raises:
        BadInput: as `CodedImage.of`.
    """
    with _header(file, name) as image:
        return image.size


def _cut(pixels: np.ndarray, box: Box | None) -> np.ndarray:
    if box is None:
        return pixels
    left, top, width, height = box
    return pixels[top : top + height, left : left + width]


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
            image = Image.open(file, formats=_FORMATS)
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
