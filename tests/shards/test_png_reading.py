"""PNG files of other writers: the pixels that Pillow finds in them, whoever reads them."""

from __future__ import annotations

import io
import itertools
import struct
import warnings
import zlib
from collections.abc import Iterator

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shards.codec import decode_extra, decode_image, decode_map
from shards.errors import BadInput
from shards.png.filters import _paeth
from shards.png.reading import plain_png, read_png
from shards.png.strips import SIGNATURE, chunk

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By the colour type of a PNG file."""


def predicted(a: int, b: int, c: int) -> int:
    """The Paeth prediction as the PNG specification words it."""
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def coded_rows(rows: np.ndarray, step: int, kinds: np.ndarray) -> bytes:
    """(H, W * step) uint8 filtered, slowly, each row by the filter of its own."""
    wide = np.pad(rows.astype(int), ((1, 0), (step, 0)))
    out = bytearray()
    for y, kind in enumerate(kinds.tolist(), start=1):
        out.append(kind)
        for x in range(step, wide.shape[1]):
            a, b, c = (int(v) for v in (wide[y, x - step], wide[y - 1, x], wide[y - 1, x - step]))
            guess = (0, a, b, (a + b) // 2, predicted(a, b, c))[kind]
            out.append((int(wide[y, x]) - guess) % 256)
    return bytes(out)


def png(head: tuple[int, ...], data: list[bytes], *between: bytes) -> bytes:
    """A file of IHDR, other chunks, IDATs and IEND."""
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", *head)), *between, *(chunk(b"IDAT", piece) for piece in data)]
    return SIGNATURE + b"".join(parts) + chunk(b"IEND", b"")


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """A stream in pieces, some of which may be empty."""
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(borders)]


def by_pillow(file: bytes, mode: str | None = None) -> np.ndarray:
    with warnings.catch_warnings(), Image.open(io.BytesIO(file)) as image:
        warnings.simplefilter("ignore")  # of transparent palettes, which our reader should keep to itself
        return np.array(image.convert(mode) if mode else image)


@settings(deadline=None, max_examples=100)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 25),
    step=st.sampled_from([1, 3]),
    level=st.integers(0, 9),
    strategy=st.sampled_from(
        [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_RLE, zlib.Z_HUFFMAN_ONLY, zlib.Z_FILTERED]
    ),
    places=st.lists(st.integers(0, 10_000), max_size=5),
    only=st.sampled_from([None, 0, 1, 2, 3, 4]),
    seed=st.integers(0, 10_000),
    draw=st.data(),
)
def test_every_filter_of_every_writer(
    height: int,
    width: int,
    step: int,
    level: int,
    strategy: int,
    places: list[int],
    only: int | None,
    seed: int,
    draw: st.DataObject,
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, rng.choice([2, 40, 256]), (height, width * step), dtype=np.uint8)
    kinds = rng.integers(0, 5, height) if only is None else np.full(height, only)
    packer = zlib.compressobj(level, zlib.DEFLATED, int(rng.integers(9, 16)), 8, strategy)
    stream = packer.compress(coded_rows(rows, step, kinds)) + packer.flush()
    file = png((width, height, 8, 2 if step == 3 else 0, 0, 0, 0), cut(stream, places))
    pixels = rows.reshape(height, width, 3) if step == 3 else rows
    np.testing.assert_array_equal(by_pillow(file), pixels)
    plain = plain_png(file)
    assert plain is not None
    np.testing.assert_array_equal(read_png(file, plain), pixels)
    left, top = draw.draw(st.integers(0, width - 1)), draw.draw(st.integers(0, height - 1))
    box = (left, top, draw.draw(st.integers(1, width - left)), draw.draw(st.integers(1, height - top)))
    crop = read_png(file, plain, box=box)
    np.testing.assert_array_equal(crop, pixels[top : top + box[3], left : left + box[2]])


def test_the_short_paeth_is_the_specified_one_for_all_inputs() -> None:
    short = _paeth

    def disagreements() -> int:
        found = 0
        for a in range(256):
            for b in range(256):
                for c in range(256):
                    far_a, far_b, far_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
                    if far_a <= far_b and far_a <= far_c:
                        best = a
                    elif far_b <= far_c:
                        best = b
                    else:
                        best = c
                    found += best != short(a, b, c)
        return found

    assert numba.njit(disagreements)() == 0


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{"optimize": True}, *({"compress_level": level} for level in range(10))])
def test_what_pillow_writes(mode: str, options: dict[str, int]) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:67, :131]
    pixels = np.clip(np.stack([x, y * 2, x + y], 2) + rng.normal(0, 3, (67, 131, 3)), 0, 255).astype(np.uint8)
    pixels = pixels if mode == "RGB" else pixels[..., 0]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    file = buffer.getvalue()
    plain = plain_png(file)
    assert plain is not None
    assert plain.strip is None
    np.testing.assert_array_equal(read_png(file, plain), pixels)
    np.testing.assert_array_equal(decode_image(file), by_pillow(file, "RGB"))


# --- kinds that are not plain ---------------------------------------------------------------------------------------


def packed(values: np.ndarray, depth: int) -> bytes:
    """(H, W * channels) samples as unfiltered rows of a depth in bits."""
    if depth == 16:
        rows = values.astype(">u2").view(np.uint8).reshape(len(values), -1)
    elif depth == 8:
        rows = values.astype(np.uint8)
    else:
        bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(len(values), -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def interlaced(values: np.ndarray, channels: int, depth: int) -> bytes:
    """The seven passes of Adam7; passes without pixels are left out."""
    values = values.reshape(len(values), -1, channels)
    grid = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = [values[y::down, x::right] for y, x, down, right in grid]
    return b"".join(packed(part.reshape(len(part), -1), depth) for part in passes if part.size)


def every_kind() -> Iterator[tuple[int, int, int, bool]]:
    """(colour type, bits a sample, interlacing, with tRNS) of all that PNG allows."""
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for color, allowed in depths.items():
        for depth in allowed:
            for adam7 in (0, 1):
                yield color, depth, adam7, False
                if color in (0, 2, 3):
                    yield color, depth, adam7, True


@pytest.mark.parametrize("size", [(1, 1), (9, 13), (33, 5)])
@pytest.mark.parametrize(("color", "depth", "adam7", "transparent"), list(every_kind()))
def test_every_kind_of_png(color: int, depth: int, adam7: int, transparent: bool, size: tuple[int, int]) -> None:
    height, width = size
    rng = np.random.default_rng(color + depth)
    channels = CHANNELS[color]
    values = rng.integers(0, 1 << depth, (height, width * channels))
    between = []
    if color == 3:
        between.append(chunk(b"PLTE", rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes()))
    if transparent:
        between.append(
            chunk(b"tRNS", b"\x80" * 2 if color == 3 else struct.pack(f">{channels}H", *values[0, :channels]))
        )
    rows = interlaced(values, channels, depth) if adam7 else packed(values, depth)
    file = png((width, height, depth, color, 0, 0, adam7), [zlib.compress(rows)], *between)
    plain = plain_png(file)
    assert (plain is not None) == (color in (0, 2) and depth == 8 and not adam7)
    found = by_pillow(file)
    np.testing.assert_array_equal(decode_image(file), by_pillow(file, "RGB"))
    if channels == 1:
        np.testing.assert_array_equal(decode_map(file), found.astype(int) * (255 if depth == 1 and color == 0 else 1))
        np.testing.assert_array_equal(decode_extra(file), decode_map(file))
        if color == 3 or depth in (8, 16):  # Pillow stretches fewer bits of grey to 0..255
            np.testing.assert_array_equal(decode_map(file), values)
    else:
        np.testing.assert_array_equal(decode_extra(file), decode_image(file))
        with pytest.raises(BadInput, match="not-a-map"):
            decode_map(file)
