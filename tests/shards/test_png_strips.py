"""Pictures in strips are ordinary PNG files, whoever opens them and however they came about."""

from __future__ import annotations

import hashlib
import heapq
import io
import itertools
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from shards.png.filters import filtered, unfiltered
from shards.png.literals import FINAL_BLOCK, _lengths, _words, deflate_literals
from shards.png.reading import plain_png, read_png
from shards.png.strips import ROWS, StripPng, _flat, _joined, _photo

FIBONACCI = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584]

kinds = st.sampled_from(["noise", "photo", "flat", "two", "extreme"])
heights = st.sampled_from([1, 2, 31, 32, 33, 63, 64, 65, 97])
widths = st.integers(1, 70)
depths = st.sampled_from([1, 3])
seeds = st.integers(0, 10_000)


def picture(kind: str, height: int, width: int, step: int, seed: int) -> np.ndarray:
    """(H, W, 3) or (H, W) uint8."""
    rng = np.random.default_rng(seed)
    shape = (height, width, 3) if step == 3 else (height, width)
    if kind == "noise":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if kind == "photo":
        slopes = rng.uniform(-3, 3, (2, *shape[2:]))
        rows, columns = np.arange(height).reshape(-1, *[1] * (len(shape) - 1)), np.arange(width)
        smooth = 128 + rows * slopes[0] + columns.reshape(1, -1, *[1] * (len(shape) - 2)) * slopes[1]
        return np.clip(smooth + rng.normal(0, 2, shape), 0, 255).astype(np.uint8)
    if kind == "flat":
        return np.full(shape, rng.integers(256), np.uint8)
    if kind == "two":
        return rng.choice(rng.integers(0, 256, 2, dtype=np.uint8), shape, p=[0.9, 0.1])
    # Rows whose differences are as frequent as Fibonacci's numbers: the deepest tree that so many bytes can have.
    counts = FIBONACCI * (1 + height * width * step // sum(FIBONACCI))
    values = np.repeat(np.arange(len(counts)) % len(FIBONACCI), counts)[::-1].astype(np.uint8)
    coded = np.empty((height, 1 + width * step), np.uint8)
    coded[:, 0] = 4 if step == 3 else 2
    coded[::ROWS, 0] = 1 if step == 3 else 0
    coded[:, 1:] = rng.permutation(values[: height * width * step]).reshape(height, -1)
    pixels = np.empty((height, width * step), np.uint8)
    for top in range(0, height, ROWS):
        assert unfiltered(coded[top : top + ROWS], step, pixels[top : top + ROWS])
    return pixels.reshape(shape)


def data_of(file: bytes) -> list[bytes]:
    """What the IDAT chunks hold, found without the reader under test."""
    at, found = 8, []
    while at < len(file):
        size, kind = struct.unpack_from(">I4s", file, at)
        assert zlib.crc32(file[at + 4 : at + 8 + size]) == int.from_bytes(file[at + 8 + size : at + 12 + size])
        if kind == b"IDAT":
            found.append(file[at + 8 : at + 8 + size])
        at += 12 + size
    return found


@settings(deadline=None, max_examples=150)
@given(kind=kinds, height=heights, width=widths, step=depths, seed=seeds)
def test_every_decoder_sees_the_same_pixels(kind: str, height: int, width: int, step: int, seed: int) -> None:
    pixels = picture(kind, height, width, step, seed)
    file = StripPng.of(pixels).file()
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with Image.open(io.BytesIO(file)) as image:
        assert image.mode == ("RGB" if step == 3 else "L")
        np.testing.assert_array_equal(np.array(image), pixels)
    other = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(other[..., ::-1] if step == 3 else other, pixels)
    plain = plain_png(file)
    assert plain is not None
    assert plain.strip == ROWS
    whole = read_png(file, plain)
    assert whole.flags.c_contiguous
    np.testing.assert_array_equal(whole, pixels)
    data = data_of(file)
    lines = filtered(pixels.reshape(height, -1), step, ROWS)
    assert zlib.decompress(b"".join(data)) == lines.tobytes()
    assert len(data) == -(-height // ROWS) + 1
    for number, piece in enumerate(data[:-1]):  # each strip alone
        inflater = zlib.decompressobj(-15)
        assert inflater.decompress(piece[2 * (number == 0) :]) == lines[number * ROWS : (number + 1) * ROWS].tobytes()
        assert not inflater.eof


@settings(deadline=None, max_examples=80)
@given(kind=kinds, height=heights, width=widths, step=depths, seed=seeds, draw=st.data())
def test_boxes_are_slices(kind: str, height: int, width: int, step: int, seed: int, draw: st.DataObject) -> None:
    pixels = picture(kind, height, width, step, seed)
    left, top = draw.draw(st.integers(0, width - 1)), draw.draw(st.integers(0, height - 1))
    box = (left, top, draw.draw(st.integers(1, width - left)), draw.draw(st.integers(1, height - top)))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    for file in (StripPng.of(pixels).file(), buffer.getvalue()):
        plain = plain_png(file)
        assert plain is not None
        crop = read_png(file, plain, box=box)
        np.testing.assert_array_equal(crop, pixels[top : top + box[3], left : left + box[2]])


@pytest.mark.parametrize(
    "box", [(-1, 0, 1, 1), (0, -1, 1, 1), (0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 6, 1), (5, 0, 1, 1), (0, 39, 1, 2)]
)
def test_a_box_outside_the_picture_is_a_mistake(box: tuple[int, int, int, int]) -> None:
    file = StripPng.of(np.zeros((40, 5), np.uint8)).file()
    plain = plain_png(file)
    assert plain is not None
    with pytest.raises(ValueError, match="does not lie in 5x40"):
        read_png(file, plain, box=box)


@settings(deadline=None, max_examples=80)
@given(kind=kinds, other=kinds, height=heights, width=widths, step=depths, seed=seeds, draw=st.data())
def test_replaced_strips_give_the_bytes_of_coding_anew(
    kind: str, other: str, height: int, width: int, step: int, seed: int, draw: st.DataObject
) -> None:
    before, after = picture(kind, height, width, step, seed), picture(other, height, width, step, seed + 1)
    first = draw.draw(st.integers(0, (height - 1) // ROWS))
    bottom = min(draw.draw(st.integers(first + 1, -(-height // ROWS))) * ROWS, height)
    changed = before.copy()
    changed[first * ROWS : bottom] = after[first * ROWS : bottom]
    coded = StripPng.of(before)
    again = coded.with_rows(first * ROWS, after[first * ROWS : bottom])
    assert again.file() == StripPng.of(changed).file()
    assert coded.file() == StripPng.of(before).file()


@pytest.mark.parametrize(
    ("top", "shape", "dtype"),
    [
        (1, (32, 5, 3), np.uint8),
        (-32, (32, 5, 3), np.uint8),
        (0, (31, 5, 3), np.uint8),
        (64, (5, 5, 3), np.uint8),
        (64, (7, 5, 3), np.uint8),
        (96, (32, 5, 3), np.uint8),
        (0, (32, 4, 3), np.uint8),
        (0, (32, 5), np.uint8),
        (0, (32, 5, 4), np.uint8),
        (0, (32, 5, 3), np.uint16),
    ],
)
def test_only_whole_strips_of_the_same_kind_are_replaced(top: int, shape: tuple[int, ...], dtype: type) -> None:
    coded = StripPng.of(np.zeros((70, 5, 3), np.uint8))
    with pytest.raises(ValueError, match=r"rows .*"):
        coded.with_rows(top, np.zeros(shape, dtype))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.uint16),
        np.zeros((2, 2), bool),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
    ],
)
def test_other_arrays_are_no_pictures(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        StripPng.of(array)


def test_views_are_coded_as_their_copies() -> None:
    pixels = picture("photo", 80, 90, 3, 0)
    for view in (pixels[::2, ::3], pixels[::-1], pixels[3:70, 5:60], pixels[..., ::-1], pixels[..., 1]):
        assert StripPng.of(view).file() == StripPng.of(view.copy()).file()


def test_equal_pixels_give_equal_bytes_in_another_process() -> None:
    code = (
        "import sys, hashlib, numpy as np; from shards.png.strips import StripPng;"
        "p = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(70, 61, 3);"
        "print(hashlib.sha256(StripPng.of(p).file() + StripPng.of(p[..., 1] // 90).file()).hexdigest())"
    )
    pixels = picture("photo", 70, 61, 3, 5)
    here = hashlib.sha256(StripPng.of(pixels).file() + StripPng.of(pixels[..., 1] // 90).file()).hexdigest()
    run = subprocess.run([sys.executable, "-c", code], input=pixels.tobytes(), capture_output=True, check=True)
    assert run.stdout.decode().strip() == here


# torchvision 0.29 says that its decoders will move to torchcodec.
@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")
def test_torchvision_sees_the_same_pixels() -> None:
    import torch
    from torchvision.io import decode_image

    for kind in ("noise", "photo", "flat", "extreme"):
        for step in (1, 3):
            pixels = picture(kind, 65, 67, step, 2)
            file = torch.frombuffer(bytearray(StripPng.of(pixels).file()), dtype=torch.uint8)
            np.testing.assert_array_equal(decode_image(file).numpy().transpose(1, 2, 0).squeeze(), pixels)


# --- the literals' code ---------------------------------------------------------------------------------------------


def huffman_bits(counts: list[int]) -> int:
    """Bits that the best code without a limit needs."""
    heap, bits = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        heapq.heappush(heap, joined)
        bits += joined
    return bits


rare = st.lists(
    st.one_of(st.integers(0, 3), st.integers(0, 2**40), st.sampled_from(FIBONACCI)), min_size=2, max_size=60
)


@settings(deadline=None, max_examples=150)
@given(counts=rare, longest=st.sampled_from([7, 15]))
def test_codes_are_complete_and_never_too_long(counts: list[int], longest: int) -> None:
    counts[:2] = [max(1, count) for count in counts[:2]]
    lengths = _lengths(np.array(counts), longest).astype(int)
    used = [(count, length) for count, length in zip(counts, lengths, strict=True) if count]
    assert all(length == 0 for count, length in zip(counts, lengths, strict=True) if not count)
    assert all(1 <= length <= longest for _, length in used)
    assert sum(1 << (longest - length) for _, length in used) == 1 << longest
    used.sort(key=lambda pair: (pair[0], -pair[1]))
    assert all(rarer >= commoner for (_, rarer), (_, commoner) in itertools.pairwise(used))
    cost, best = sum(count * length for count, length in used), huffman_bits([count for count, _ in used])
    assert cost >= best
    if lengths.max() < longest:
        assert cost == best
    words = _words(lengths.astype(np.uint8))
    spelled = [format(int(word) >> 8, f"0{int(word) & 255}b")[::-1] for word in words if word]
    assert len(spelled) == len(used)
    spelled.sort()
    assert not any(longer.startswith(shorter) for shorter, longer in itertools.pairwise(spelled))


@pytest.mark.parametrize("longest", [7, 15])
def test_fibonacci_needs_the_limit(longest: int) -> None:
    lengths = _lengths(np.array(FIBONACCI), longest)
    assert lengths.max() == longest
    assert sum(2.0 ** -lengths.astype(float)) == 1


@settings(deadline=None, max_examples=80)
@given(
    data=st.one_of(st.binary(min_size=1, max_size=300), st.just(b"\0" * 8191)), symbols=st.integers(1, 18), seed=seeds
)
def test_literals_inflate_to_what_they_were(data: bytes, symbols: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.permutation(256).astype(np.uint8)[:symbols]
    deep = rng.permutation(np.repeat(values, FIBONACCI[:symbols]))
    for raw in (np.frombuffer(data, np.uint8), deep):
        blocks = deflate_literals(raw)
        assert blocks.endswith(b"\x00\x00\xff\xff")
        assert zlib.decompress(blocks + blocks + FINAL_BLOCK, -15) == raw.tobytes() * 2


def test_flat_strips_look_for_repetitions() -> None:
    for raw in (np.zeros(6000, np.uint8), np.tile(np.array([0, 0, 7, 0, 0, 0], np.uint8), 1000)):
        assert len(_photo(raw)) < len(deflate_literals(raw))
        assert zlib.decompress(_photo(raw) + FINAL_BLOCK, -15) == raw.tobytes()
        assert zlib.decompress(_flat(raw) + FINAL_BLOCK, -15) == raw.tobytes()


@given(first=st.binary(max_size=400), second=st.binary(max_size=400))
@settings(deadline=None)
def test_adler_of_pieces(first: bytes, second: bytes) -> None:
    assert _joined(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)


@pytest.mark.parametrize("size", [5551, 5552, 5553, 65520, 65521, 65522, 300_000])
def test_adler_of_long_pieces(size: int) -> None:
    first, second = b"\xff" * size, b"\xfe" * (size + 1)
    assert _joined(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)
