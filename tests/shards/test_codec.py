from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from shards.codec import MAX_PIXELS, decode_image, decode_map, decode_sample, decode_size, encode_png, encode_sample
from shards.errors import BadInput
from shards.sample import Sample


def make_sample(key: str = "k-0", height: int = 24, width: int = 40, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    return Sample(
        key,
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        rng.choice(np.array([0, 1, 255], np.uint8), (height, width)),
        rng.choice(np.array([*range(19), 255], np.uint8), (height, width)),
        {"entropy": rng.integers(0, 256, (height, width), dtype=np.uint8)},
        {"index": 3, "objects": [{"category": "dog", "box": [1, 2, 3, 4]}]},
    )


def test_a_sample_survives_the_round_trip() -> None:
    sample = make_sample()
    again = decode_sample(sample.key, dict(encode_sample(sample)))
    np.testing.assert_array_equal(again.image, sample.image)
    np.testing.assert_array_equal(again.anomaly, sample.anomaly)
    np.testing.assert_array_equal(again.semantic, sample.semantic)
    np.testing.assert_array_equal(again.extras["entropy"], sample.extras["entropy"])
    assert again.meta == sample.meta


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_every_cut_of_a_picture_is_noticed(suffix: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(make_sample().image).save(buffer, Image.registered_extensions()[suffix])
    data = buffer.getvalue()
    for length in range(0, len(data) - 20, max(1, len(data) // 50)):
        with pytest.raises(BadInput) as caught:
            decode_image(data[:length])
        assert caught.value.reason in ("truncated-image", "unreadable-image")


def test_maps_keep_their_values() -> None:
    wide = np.array([[0, 24003, 65535]], np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(wide).save(buffer, "PNG")
    np.testing.assert_array_equal(decode_map(buffer.getvalue()), wide.astype(np.int32))
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").convert("P")
    palette.putdata([2, 1, 0])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG")
    np.testing.assert_array_equal(decode_map(buffer.getvalue()), np.array([[2, 1, 0]], np.uint8))


def test_a_colour_picture_is_no_map() -> None:
    with pytest.raises(BadInput, match="not-a-map"):
        decode_map(encode_png(make_sample().image))


def test_wrong_members_get_their_reason() -> None:
    sample = make_sample()
    members = dict(encode_sample(sample))
    broken: dict[str, tuple[dict[str, bytes], str]] = {
        "none": ({k: v for k, v in members.items() if k != "semantic.png"}, "missing-member"),
        "size": ({**members, "anomaly.png": encode_png(sample.anomaly[:-1])}, "size-mismatch"),
        "value": ({**members, "anomaly.png": encode_png(np.full_like(sample.anomaly, 2))}, "label-values"),
        "class": ({**members, "semantic.png": encode_png(np.full_like(sample.anomaly, 19))}, "label-values"),
        "json": ({**members, "json": b"{"}, "bad-json"),
        "list": ({**members, "json": b"[1]"}, "bad-json"),
    }
    for given, reason in broken.values():
        with pytest.raises(BadInput) as caught:
            decode_sample("k", given)
        assert caught.value.reason == reason


def claim(width: int, height: int) -> bytes:
    """A small PNG whose header says that it is larger."""
    data = bytearray(encode_png(np.zeros((2, 2), np.uint8)))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_sizes_come_from_headers() -> None:
    data = encode_png(make_sample().image)
    assert decode_size(io.BytesIO(data)) == (40, 24)
    assert decode_size(io.BytesIO(data[: len(data) // 2])) == (40, 24)
    for cut in (0, 4, 20):
        with pytest.raises(BadInput, match=r"(truncated|unreadable)-image: it\b"):
            decode_size(io.BytesIO(data[:cut]), "it")


@pytest.mark.parametrize("width", [MAX_PIXELS // 1000 + 1, 170_000, 190_000, 400_000])
def test_bombs_are_refused_whatever_pillow_says_of_them(width: int) -> None:
    for read in (decode_image, decode_map, lambda data: decode_size(io.BytesIO(data))):
        with pytest.raises(BadInput) as caught:
            read(claim(width, 1000))
        assert caught.value.reason == "oversized-image"
