"""Damaged and hostile PNG files: the right pixels or a BadInput, in little memory, never a look outside an array."""

from __future__ import annotations

import importlib.util
import io
import itertools
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from PIL import Image

import shards.compiled
import shards.png.filters
import shards.png.literals
import shards.png.reading
import shards.png.strips
from shards.codec import MAX_PIXELS, decode_extra, decode_image, decode_map, decode_size
from shards.errors import BadInput
from shards.png.filters import filtered
from shards.png.reading import plain_png, read_png
from shards.png.strips import MARK, ROWS, SIGNATURE, StripPng, chunk

FIBONACCI = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597]
REASONS = {"truncated-image", "unreadable-image", "oversized-image"}

Chunks = list[tuple[bytes, bytes]]


def chunks_of(file: bytes) -> Chunks:
    at, found = 8, []
    while at < len(file):
        size, kind = struct.unpack_from(">I4s", file, at)
        found.append((kind, file[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def joined(chunks: Chunks) -> bytes:
    """A file whose checksums are right whatever is in its chunks."""
    return SIGNATURE + b"".join(chunk(kind, data) for kind, data in chunks)


def head(width: int, height: int, step: int = 3) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2 if step == 3 else 0, 0, 0, 0)


def pillow_file(pixels: np.ndarray, mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def noise(height: int, width: int, step: int = 3) -> np.ndarray:
    shape = (height, width, 3) if step == 3 else (height, width)
    return np.random.default_rng(height).integers(0, 256, shape, dtype=np.uint8)


def outcome(read: Callable[[], np.ndarray]) -> np.ndarray | None:
    """Pixels, or None for a BadInput with one of the three reasons; anything else is an error of the test."""
    try:
        return read()
    except BadInput as bad:
        if bad.reason not in REASONS:
            raise
        return None


def whole(file: bytes) -> np.ndarray | None:
    """What the reader of plain files makes of one."""

    def read() -> np.ndarray:
        plain = plain_png(file)
        assert plain is not None
        return read_png(file, plain)

    return outcome(read)


def crop(file: bytes, box: tuple[int, int, int, int]) -> np.ndarray | None:
    def read() -> np.ndarray:
        plain = plain_png(file)
        assert plain is not None
        return read_png(file, plain, box=box)

    return outcome(read)


# --- kernels do not leave their arrays ------------------------------------------------------------------------------


def loaded(module: ModuleType, compiled: Callable[..., Any]) -> ModuleType:
    """The module once more, its kernels passed through another `compiled`."""
    assert module.__file__ is not None
    spec = importlib.util.spec_from_file_location(f"again_{module.__name__.split('.')[-1]}", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards.compiled, "compiled", compiled)
        spec.loader.exec_module(again)
    return again


@pytest.fixture(scope="module")
def checked() -> Iterator[ModuleType]:
    """From here on the reader's kernels raise an IndexError where they would leave an array."""
    filters = loaded(shards.png.filters, numba.njit(boundscheck=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards.png.reading, "unfiltered", filters.unfiltered)
        yield filters


def test_the_check_of_bounds_works(checked: ModuleType) -> None:
    coded = np.full((2, 1 + 6), 1, np.uint8)
    coded.setflags(write=False)  # as the reader has them
    for broken in (coded[:, :4].copy(), coded[:1]):
        broken.setflags(write=False)
        with pytest.raises((IndexError, ValueError)):
            checked.unfiltered(broken, 3, np.empty((2, 6), np.uint8))


@pytest.mark.parametrize("step", [1, 3])
def test_coding_stays_inside_its_arrays(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    # As plain Python, whose arrays check every index; scalars of NumPy complain where bytes are meant to wrap.
    filters, literals = (loaded(m, lambda kernel: kernel) for m in (shards.png.filters, shards.png.literals))
    deep = np.random.default_rng(0).permutation(np.repeat(np.arange(17, dtype=np.uint8), FIBONACCI))
    shapes = [(1, 1), (1, 2), (2, 1), (31, 5), (33, 4), (65, 3)]
    pictures = [noise(h, w, step) for h, w in shapes] + [np.zeros_like(noise(h, w, step)) for h, w in shapes]
    files = [StripPng.of(pixels).file() for pixels in pictures]
    monkeypatch.setattr(shards.png.strips, "filtered", filters.filtered)
    monkeypatch.setattr(shards.png.strips, "deflate_literals", literals.deflate_literals)
    with np.errstate(over="ignore"):
        assert [StripPng.of(pixels).file() for pixels in pictures] == files
        for size in (*range(1, 80), deep.size):  # every place of the last bit within a word
            assert literals.deflate_literals(deep[:size]) == shards.png.literals.deflate_literals(deep[:size])


@pytest.mark.parametrize("step", [1, 3])
def test_reading_stays_inside_its_arrays(checked: ModuleType, step: int) -> None:
    for height, width in [(1, 1), (1, 9), (33, 1), (40, 7)]:
        lines = np.random.default_rng(1).integers(0, 256, (height, 1 + width * step), dtype=np.uint8)
        for first in (0, 1, 2, 3, 4, 5, 255):
            lines[:, 0] = first
            file = joined([head(width, height, step), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")])
            assert (whole(file) is None) == (first > 4)
            for box in [
                (0, 0, 1, 1),
                (width - 1, height - 1, 1, 1),
                (width // 2, height // 2, width - width // 2, 1),
            ]:
                found = crop(file, box)
                assert (found is None) == (first > 4)
                assert found is None or found.shape[:2] == (box[3], box[2])


# --- damage ---------------------------------------------------------------------------------------------------------

SOURCES = [
    *(StripPng.of(noise(h, w, step)).file() for h, w in [(70, 9), (5, 5), (33, 20)] for step in (1, 3)),
    StripPng.of(np.zeros((70, 9), np.uint8)).file(),
    pillow_file(noise(20, 9), "RGB"),
    pillow_file(noise(20, 9), "L"),
]
OTHERS = [*SOURCES, *(pillow_file(noise(20, 9), mode) for mode in ("P", "1", "RGBA", "LA"))]
OTHERS.append(pillow_file(noise(20, 9, 1).astype(np.uint16) * 200, "I;16"))
KINDS = [
    b"IHDR",
    b"IDAT",
    b"PLTE",
    b"tRNS",
    MARK,
    b"gAMA",
    b"acTL",
    b"fcTL",
    b"fdAT",
    b"iCCP",
    b"zTXt",
    b"eXIf",
    b"IEND",
]


def mutated(file: bytes, luck: random.Random, kinds: list[bytes]) -> bytes:
    """A file with one to three faults, mostly behind right checksums."""
    way = luck.random()
    if way < 0.2:
        damaged = bytearray(file)
        for _ in range(luck.randint(1, 4)):
            damaged[luck.randrange(len(damaged))] = luck.randrange(256)
        return bytes(damaged)
    if way < 0.3:
        return file[: luck.randrange(len(file))]
    chunks = chunks_of(file)
    for _ in range(luck.randint(1, 3)):
        here, there = luck.randrange(len(chunks)), luck.randrange(len(chunks))
        kind, data = chunks[here]
        what = luck.choice(["swap", "double", "leave out", "byte", "byte", "shorten", "lengthen", "new", "split"])
        if what == "swap":
            chunks[here], chunks[there] = chunks[there], chunks[here]
        elif what == "double":
            chunks.insert(there, chunks[here])
        elif what == "leave out" and len(chunks) > 1:
            del chunks[here]
        elif what == "byte" and data:
            place = luck.randrange(len(data))
            chunks[here] = kind, data[:place] + bytes([luck.randrange(256)]) + data[place + 1 :]
        elif what == "shorten":
            chunks[here] = kind, data[: luck.randrange(len(data) + 1)]
        elif what == "lengthen":
            chunks[here] = kind, data + luck.randbytes(luck.randint(1, 9))
        elif what == "new":
            chunks.insert(here, (luck.choice(kinds), luck.randbytes(luck.randrange(30))))
        elif what == "split":
            place = luck.randrange(len(data) + 1)
            chunks[here : here + 1] = [(kind, data[:place]), (kind, data[place:])]
    return joined(chunks)


@pytest.mark.parametrize("seed", range(4))
def test_faults_give_the_right_pixels_or_a_reason(checked: ModuleType, seed: int) -> None:
    luck = random.Random(seed)
    good = 0
    for _ in range(600):
        file = mutated(luck.choice(SOURCES), luck, [b"IHDR", b"IDAT", MARK, b"teSt", b"IEND"])
        pixels = outcome(lambda file=file: decode_image(file))
        if pixels is None:
            continue
        good += 1
        with Image.open(io.BytesIO(file)) as image:  # what we take, Pillow takes, and sees the same
            np.testing.assert_array_equal(pixels, np.array(image.convert("RGB")))
        height, width = pixels.shape[:2]
        if plain_png(file) is None:  # Pillow's
            continue
        left, top = luck.randrange(width), luck.randrange(height)
        box = left, top, luck.randint(1, width - left), luck.randint(1, height - top)
        part = crop(file, box)
        if part is not None:
            part = part if part.ndim == 3 else np.repeat(part[..., None], 3, axis=2)
            np.testing.assert_array_equal(part, pixels[top : top + box[3], left : left + box[2]])
    assert good > 30


@pytest.mark.parametrize("seed", range(4))
def test_no_other_exception_from_any_kind_of_png(checked: ModuleType, seed: int) -> None:
    luck = random.Random(seed)
    reads: list[Callable[[bytes], object]] = [
        decode_image,
        decode_map,
        decode_extra,
        lambda f: decode_size(io.BytesIO(f)),
    ]
    for _ in range(600):
        file = mutated(luck.choice(OTHERS), luck, KINDS)
        for read in reads:
            try:
                read(file)
            except BadInput as bad:
                if bad.reason not in REASONS | {"not-a-map"}:
                    raise


def test_a_colour_profile_without_a_name_is_no_accident_of_ours() -> None:
    chunks = chunks_of(pillow_file(noise(5, 5), "RGBA"))
    chunks.insert(1, (b"iCCP", b"name"))  # Pillow looks for a zero byte, and then behind the end
    with pytest.raises(BadInput, match="unreadable-image"):
        decode_image(joined(chunks))


def test_every_cut_and_every_flipped_byte_is_noticed() -> None:
    file = SOURCES[2]
    for length in range(len(file)):
        assert outcome(lambda length=length: decode_image(file[:length])) is None
    flipped = [file[:at] + bytes([file[at] ^ 0x55]) + file[at + 1 :] for at in range(len(file))]
    survivors = [at for at, bad in enumerate(flipped) if outcome(lambda bad=bad: decode_image(bad)) is not None]
    assert survivors == []


def test_strips_in_another_order_are_noticed() -> None:
    pixels = noise(128, 9)
    coded = chunks_of(StripPng.of(pixels).file())
    first = next(i for i, (kind, _) in enumerate(coded) if kind == b"IDAT")
    for a, b in [(1, 2), (1, 3), (2, 3)]:
        swapped = list(coded)
        swapped[first + a], swapped[first + b] = coded[first + b], coded[first + a]
        assert whole(joined(swapped)) is None  # each chunk alone is right: only the picture's Adler-32 tells
        doubled = list(coded)
        doubled[first + a] = coded[first + b]
        assert whole(joined(doubled)) is None


@pytest.mark.parametrize(
    ("width", "height"), [(9, 69), (9, 71), (8, 70), (10, 70), (9, 1), (1, 70), (70, 9), (2**31, 1), (1, 2**32 - 1)]
)
def test_wrong_sizes_are_noticed(width: int, height: int) -> None:
    for step in (1, 3):
        chunks = chunks_of(StripPng.of(noise(70, 9, step)).file())
        file = joined([head(width, height, step), *chunks[1:]])
        assert outcome(lambda file=file: decode_image(file)) is None


@pytest.mark.parametrize("size", [0, 4, 12, 14, 20])
def test_a_head_of_another_length_is_left_to_pillow(size: int) -> None:
    chunks = chunks_of(StripPng.of(noise(5, 5)).file())
    file = joined([(b"IHDR", (chunks[0][1] + bytes(9))[:size]), *chunks[1:]])
    assert plain_png(file) is None
    found = outcome(lambda: decode_image(file))
    assert found is None or np.array_equal(found, noise(5, 5))


def test_the_order_of_chunks() -> None:
    pixels = noise(40, 5)
    start, mark, *data, end = chunks_of(StripPng.of(pixels).file())
    text = (b"tEXt", b"a\0b")
    for good in (
        [start, text, mark, *data, text, end],
        [start, *data, mark, end],
        [start, *data, text, end, *data],
    ):
        np.testing.assert_array_equal(whole(joined(good)), pixels)
        np.testing.assert_array_equal(crop(joined(good), (1, 33, 3, 4)), pixels[33:37, 1:4])
    np.testing.assert_array_equal(whole(joined([start, mark, *data, end]) + b"more"), pixels)
    for bad in (
        [*data, start, mark, end],
        [mark, start, *data, end],
        [start, mark, *data[:1], text, *data[1:], end],
        [start, start, mark, *data, end],
        [start, mark, (b"NEWs", b""), *data, end],
    ):
        assert plain_png(joined(bad)) is None
        found = outcome(lambda bad=bad: decode_image(joined(bad)))
        assert found is None or np.array_equal(found, pixels)
    for bad in ([start, mark, end], [start, mark, *data], [start, end], [start, mark, *data[:-1], end]):
        assert whole(joined(bad)) is None


BOXES = [(0, 0, 9, 70), (0, 0, 9, 1), (2, 31, 3, 2), (1, 33, 4, 5), (0, 64, 9, 6), (8, 69, 1, 1)]


@pytest.mark.parametrize("rows", [0, 1, 16, 31, 33, 34, 35, 64, 70, 65535])
def test_marks_that_lie_give_the_right_pixels_or_a_reason(rows: int) -> None:
    pixels = noise(70, 9)
    start, _, *data, end = chunks_of(StripPng.of(pixels).file())
    for mark in [(MARK, struct.pack(">H", rows)), (MARK, struct.pack(">H", rows) + b"\0"), (MARK, b"")]:
        file = joined([start, mark, *data, end])
        np.testing.assert_array_equal(whole(file), pixels)
        for left, top, width, height in BOXES:
            part = crop(file, (left, top, width, height))
            assert part is None or np.array_equal(part, pixels[top : top + height, left : left + width])


def test_any_other_borders_of_the_pieces() -> None:
    pixels = noise(70, 9)
    start, mark, *data, end = chunks_of(StripPng.of(pixels).file())
    stream = b"".join(piece for _, piece in data)
    luck = random.Random(0)
    for count in (1, 2, 3, 4, 4, 4, 4, 5, 9):
        for _ in range(20):
            borders = [0, *sorted(luck.randint(0, len(stream)) for _ in range(count - 1)), len(stream)]
            pieces = [(b"IDAT", stream[a:b]) for a, b in itertools.pairwise(borders)]
            file = joined([start, mark, *pieces, end])
            np.testing.assert_array_equal(whole(file), pixels)
            for left, top, width, height in BOXES:
                part = crop(file, (left, top, width, height))
                assert part is None or np.array_equal(part, pixels[top : top + height, left : left + width])


def strips_of(lines: np.ndarray, flush: int, *, final: int | None = None) -> list[tuple[bytes, bytes]]:
    """IDATs of a picture of 64 rows in two strips whose deflate blocks were ended in some way."""
    packer = zlib.compressobj(9)
    data = [packer.compress(lines[:ROWS].tobytes()) + packer.flush(flush)]
    data.append(packer.compress(lines[ROWS:].tobytes()) + packer.flush(flush))
    data.append(packer.flush())
    if final is not None:
        alone = zlib.compressobj(9, zlib.DEFLATED, -15)
        data[final] = (
            b"\x78\x01"[: 2 * (final == 0)] + alone.compress(lines[ROWS * final :][:ROWS].tobytes()) + alone.flush()
        )
    return [(b"IDAT", piece) for piece in data]


def test_crops_of_strips_that_need_each_other_are_refused() -> None:
    pixels = noise(64, 9, 1)
    pixels[ROWS:] = pixels[:ROWS]
    mark, end = (MARK, struct.pack(">H", ROWS)), (b"IEND", b"")
    lines = filtered(pixels, 1, ROWS)
    reaching = joined([head(9, 64, 1), mark, *strips_of(lines, zlib.Z_SYNC_FLUSH), end])
    np.testing.assert_array_equal(whole(reaching), pixels)
    np.testing.assert_array_equal(crop(reaching, (0, 0, 9, 5)), pixels[:5])
    assert crop(reaching, (0, 40, 9, 5)) is None  # repeats bytes of the strip above
    above = filtered(pixels, 1, 64)  # the second strip begins with a difference to the row above
    looking = joined([head(9, 64, 1), mark, *strips_of(above, zlib.Z_FULL_FLUSH), end])
    np.testing.assert_array_equal(whole(looking), pixels)
    np.testing.assert_array_equal(crop(looking, (0, 0, 9, 40)), pixels[:40])
    assert crop(looking, (0, 40, 9, 5)) is None
    for final in (0, 1):  # a stream that ends early, with more behind it
        ended = joined([head(9, 64, 1), mark, *strips_of(lines, zlib.Z_FULL_FLUSH, final=final), end])
        assert whole(ended) is None
        assert crop(ended, (0, 40 * final, 9, 5)) is None


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("kind", [5, 6, 127, 128, 255])
def test_filters_that_png_does_not_have(step: int, kind: int) -> None:
    lines = filtered(noise(40, 7, step).reshape(40, -1), step, ROWS)
    for row in (0, 1, 31, 32, 39):
        coded = lines.copy()
        coded[row, 0] = kind
        file = joined([head(7, 40, step), (b"IDAT", zlib.compress(coded.tobytes())), (b"IEND", b"")])
        assert whole(file) is None
        assert crop(file, (0, row, 7, 1)) is None
        packer = zlib.compressobj(1)
        pieces = [
            (b"IDAT", packer.compress(part.tobytes()) + packer.flush(zlib.Z_FULL_FLUSH))
            for part in (coded[:ROWS], coded[ROWS:])
        ]
        file = joined([head(7, 40, step), (MARK, b"\0\x20"), *pieces, (b"IDAT", packer.flush()), (b"IEND", b"")])
        assert whole(file) is None
        assert crop(file, (0, row, 7, 1)) is None


# --- bombs ----------------------------------------------------------------------------------------------------------


def peak(read: Callable[[], object]) -> int:
    """Bytes that were in use at once."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_and_time_stay_bounded() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = packer.compress(bytes(1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = zeros * 512  # 2 MB that inflate to 2 GB
    chunks = chunks_of(StripPng.of(np.zeros((70, 64), np.uint8)).file())
    start, mark, *data, end = chunks
    files = {
        "one stream": joined([start, (b"IDAT", b"\x78\x01" + bomb), end]),
        "a strip": joined([start, mark, data[0], (b"IDAT", bomb), *data[2:], end]),
        "many": joined([start, *[(b"IDAT", b"\x78\x01" + bomb), *[(b"IDAT", zeros)] * 20], end]),
    }
    began = time.perf_counter()
    for name, file in files.items():
        assert len(file) < 3 << 20
        assert peak(lambda file=file: whole(file)) < 4 * len(file), name
        assert whole(file) is None
        assert peak(lambda file=file: crop(file, (0, 40, 64, 8))) < 4 * len(file), name
        assert crop(file, (0, 40, 64, 8)) is None
    huge = joined([head(MAX_PIXELS // 1000, 1000), *chunks[1:]])  # says 450 MB, holds 4 KB
    assert peak(lambda: outcome(lambda: decode_image(huge))) < 1 << 20
    for width, height in [(MAX_PIXELS, 2), (2**32 - 1, 2**32 - 1), (2**31 - 1, 1)]:
        larger = joined([head(width, height), *chunks[1:]])
        with pytest.raises(BadInput, match="oversized-image"):
            decode_image(larger)
    assert time.perf_counter() - began < 30


def test_a_hundred_thousand_empty_pieces_take_no_time() -> None:
    pixels = noise(70, 9)
    start, mark, *data, end = chunks_of(StripPng.of(pixels).file())
    file = joined([start, mark, *[(b"IDAT", b"")] * 100_000, *data, end])
    began = time.perf_counter()
    np.testing.assert_array_equal(whole(file), pixels)
    np.testing.assert_array_equal(crop(file, (1, 33, 3, 4)), pixels[33:37, 1:4])
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("mode", ["P", "1", "I;16", "RGBA", "LA"])
def test_no_byte_changes_a_pixel_of_kinds_that_pillow_reads(mode: str) -> None:
    """Pillow compares neither the checksums of the pixels nor, once it has all rows, that of their stream."""
    pixels = np.repeat(np.arange(24, dtype=np.uint8), 20).reshape(24, 20)
    image = Image.fromarray(pixels.astype(np.uint16) * 1000 if mode == "I;16" else pixels)
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    buffer = io.BytesIO()
    (image if mode in ("P", "I;16") else image.convert(mode)).save(buffer, "PNG")
    file = buffer.getvalue()
    clean = decode_extra(file)
    for at, bit in itertools.product(range(len(file)), (1, 128)):
        found = outcome(lambda: decode_extra(file[:at] + bytes([file[at] ^ bit]) + file[at + 1 :]))  # noqa: B023
        assert found is None or np.array_equal(found, clean)


def test_no_other_program_is_asked() -> None:
    """Pillow would hand this to Ghostscript."""
    with pytest.raises(BadInput, match="is no picture of a known format"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 48\n%%EndComments\n{} loop\n")
