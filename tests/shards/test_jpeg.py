from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8
from PIL import Image

from shards.codec import decode_image
from shards.errors import BadInput, UserError
from shards.jpeg import MAX_SIDE, encode_jpeg, restart_interval
from shards.jpeg_crop import JpegIndex, crop_jpeg, index_jpeg

Result = TypeVar("Result")


def picture(height: int, width: int, seed: int = 0) -> UInt8[np.ndarray, "h w 3"]:
    """Smooth colours with noise on them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3 + height // 40, 3 + width // 40, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def saved(image: np.ndarray, **options: Any) -> bytes:
    """As Pillow writes it: without a seal."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **{"subsampling": 0, "restart_marker_blocks": 8, **options})
    return file.getvalue()


def indexed(data: bytes) -> JpegIndex:
    index = index_jpeg(data)
    assert index is not None
    return index


def assert_crops_are_slices(data: bytes, boxes: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    whole, index = decode_image(data), indexed(data)
    height, width = whole.shape[:2]
    assert (index.height, index.width) == (height, width)
    np.testing.assert_array_equal(crop_jpeg(data, index, 0, 0, width, height), whole)
    for _ in range(boxes):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        wide, tall = int(rng.integers(1, width - left + 1)), int(rng.integers(1, height - top + 1))
        crop = crop_jpeg(data, index, left, top, wide, tall)
        np.testing.assert_array_equal(crop, whole[top : top + tall, left : left + wide], f"{left, top, wide, tall}")


@pytest.mark.parametrize(
    ("height", "width"),
    [(256, 512), (250, 509), (8, 8), (1, 1), (17, 1000), (90, 1016), (700, 130), (33, 2041), (600, 72)],
)
@pytest.mark.parametrize("quality", [50, 95, 100])
def test_a_crop_is_a_slice_of_the_whole(height: int, width: int, quality: int) -> None:
    data = encode_jpeg(picture(height, width), quality)
    assert_crops_are_slices(data, 40, seed=height)


@given(st.integers(1, 150), st.integers(1, 300), st.integers(1, 100), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_crops_of_any_size_and_quality(height: int, width: int, quality: int, seed: int) -> None:
    assert_crops_are_slices(encode_jpeg(picture(height, width, seed), quality), 4, seed)


@pytest.mark.real
def test_crops_of_a_real_frame(shared: Path) -> None:
    path = next(iter(sorted((shared / "data/cityscapes/leftImg8bit").rglob("*.png"))))
    assert_crops_are_slices(encode_jpeg(decode_image(path.read_bytes())), 60)


@pytest.mark.parametrize(
    ("width", "blocks"),
    [(2048, 16), (1920, 16), (1280, 16), (1000, 25), (720, 15), (64, 8), (2047, 16), (1016, 127), (8, 1), (1, 1)],
)
def test_restart_markers_divide_the_row(width: int, blocks: int) -> None:
    assert restart_interval(width) == blocks
    assert indexed(encode_jpeg(picture(20, width))).interval == blocks


def test_what_is_written() -> None:
    image = picture(160, 256)
    data = encode_jpeg(image)
    assert data == encode_jpeg(np.asfortranarray(image))
    with Image.open(io.BytesIO(data)) as file:
        assert file.info.get("progressive") is None
        assert [part[1:3] for part in file.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]
    # Neither the markers nor the seal change a pixel.
    np.testing.assert_array_equal(decode_image(data), decode_image(saved(image, quality=95, restart_marker_blocks=0)))
    assert len(encode_jpeg(image, 50)) < len(data) / 2


def test_noise_at_the_best_quality_fits() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert_crops_are_slices(encode_jpeg(noise, 100), 10)


@pytest.mark.parametrize("quality", [0, -1, 101])
def test_a_quality_that_jpeg_does_not_know(quality: int) -> None:
    with pytest.raises(UserError, match="1 to 100"):
        encode_jpeg(picture(8, 8), quality)


def test_a_picture_too_wide_for_jpeg_is_told() -> None:
    with pytest.raises(UserError, match="choose png"):
        encode_jpeg(np.zeros((1, MAX_SIDE + 1, 3), np.uint8))


@pytest.mark.parametrize(
    "options",
    [
        {"restart_marker_blocks": 0},
        {"restart_marker_blocks": 7},
        {"restart_marker_blocks": 32},  # two rows at once
        {"subsampling": 2},
        {"subsampling": 1},
        {"progressive": True},
    ],
    ids=str,
)
def test_other_kinds_of_jpeg_are_left_to_others(options: dict[str, Any]) -> None:
    data = saved(picture(64, 128), **options)
    assert index_jpeg(data) is None
    assert decode_image(data).shape == (64, 128, 3)


def test_other_formats_are_left_to_others() -> None:
    grey = saved(picture(64, 128)[..., 0])
    for data in (grey, b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF----WEBP"):
        assert index_jpeg(data) is None


def test_files_of_other_writers() -> None:
    image = picture(70, 192)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned, which no decoder here does: labels are not turned either
    for options in ({"optimize": True}, {"exif": exif}, {"comment": b"c"}, {"keep_rgb": True}, {"dpi": (9, 9)}):
        assert_crops_are_slices(saved(image, quality=90, **options), 20)
    by_opencv = cv2.imencode(
        ".jpg",
        image,
        [
            cv2.IMWRITE_JPEG_RST_INTERVAL,
            8,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ],
    )[1].tobytes()
    assert_crops_are_slices(by_opencv, 20)
    assert_crops_are_slices(saved(image) + b"\xff\xd8 what follows the end", 5)


@pytest.mark.parametrize(
    "box", [(-1, 0, 4, 4), (0, -1, 4, 4), (0, 0, 0, 4), (0, 0, 4, 0), (125, 0, 4, 4), (0, 61, 4, 4)]
)
def test_a_box_outside_is_a_mistake_of_the_caller(box: tuple[int, int, int, int]) -> None:
    data = encode_jpeg(picture(64, 128))
    with pytest.raises(ValueError, match="does not lie in 128x64"):
        crop_jpeg(data, indexed(data), *box)


@pytest.mark.parametrize("sealed", [True, False])
def test_every_cut_is_noticed(sealed: bool) -> None:
    image = picture(64, 128)
    data = encode_jpeg(image) if sealed else saved(image)
    header = data.index(b"\xff\xda")
    for length in range(len(data)):
        # Without a whole header there is no telling what the file is; whoever decodes it as a whole tells.
        part = data[:length]
        header_only = length < header + 14 and (not sealed or length < data.index(b"anomsynth") + 10)
        if header_only:
            assert index_jpeg(part) is None
            with pytest.raises(BadInput):
                decode_image(part)
        else:
            with pytest.raises(BadInput, match="truncated-image"):
                index_jpeg(part)


def test_the_seal_tells_of_every_damaged_byte() -> None:
    data = encode_jpeg(picture(32, 64))
    seal = range(data.index(b"anomsynth") - 4, data.index(b"anomsynth") + 10)
    rng = np.random.default_rng(0)
    for place in set(range(len(data))) - set(seal):
        damaged = bytearray(data)
        damaged[place] ^= int(rng.integers(1, 256))
        with pytest.raises(BadInput, match=r"checksum|end marker"):
            index_jpeg(bytes(damaged))


def test_segments_that_are_missing_or_moved_are_noticed() -> None:
    data = saved(picture(64, 128))
    marks = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    assert len(marks) == 2 * 8 - 1
    without = data[: marks[3]] + data[marks[4] :]
    swapped = data[: marks[3]] + data[marks[4] : marks[5]] + data[marks[3] : marks[4]] + data[marks[5] :]
    with pytest.raises(BadInput, match="14 restart markers where its size asks for 15"):
        index_jpeg(without)
    with pytest.raises(BadInput, match="out of order"):
        index_jpeg(swapped)


def test_damaged_tables_are_bad_input() -> None:
    data = bytearray(saved(picture(64, 128)))
    table = data.index(b"\xff\xc4")
    data[table + 5 : table + 21] = b"\xff" * 16  # more codes than there are
    index = indexed(bytes(data))
    with pytest.raises(BadInput, match="unreadable-image"):
        crop_jpeg(bytes(data), index, 0, 0, 9, 9)


def unless_bad(action: Callable[[], Result]) -> Result | None:
    """What an action gives; None for input that is broken in one of the two ways that there are."""
    try:
        return action()
    except BadInput as error:
        if error.reason in ("truncated-image", "unreadable-image"):
            return None
        raise


PLAIN = saved(picture(96, 192))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file without a seal whose bytes were changed, cut out, doubled or cut off."""
    data = bytearray(PLAIN)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.one_of(st.integers(0, 700), st.integers(0, len(data))))
        match draw(st.sampled_from(("set", "delete", "insert", "double", "cut"))):
            case "set":
                data[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case "delete":
                del data[place : place + draw(st.integers(1, 300))]
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=8))
            case "double":
                data[place:place] = data[place : place + draw(st.integers(1, 300))]
            case "cut":
                del data[max(place, 2) :]
    return bytes(data)


@given(mutated(), st.data())
@settings(max_examples=600, deadline=2000)
def test_mutated_files_give_bad_input_or_the_right_shape(data: bytes, draws: st.DataObject) -> None:
    index = unless_bad(lambda: index_jpeg(data))
    if index is not None:
        left, top = draws.draw(st.integers(0, index.width - 1)), draws.draw(st.integers(0, index.height - 1))
        wide = draws.draw(st.integers(1, min(400, index.width - left)))
        tall = draws.draw(st.integers(1, min(400, index.height - top)))
        crop = unless_bad(lambda: crop_jpeg(data, index, left, top, wide, tall))
        assert crop is None or (crop.shape == (tall, wide, 3) and crop.dtype == np.uint8)


def test_an_index_of_another_file_never_gives_a_wrong_size() -> None:
    first, second = (saved(picture(96, 192, seed), quality=quality) for seed, quality in ((1, 95), (2, 20)))
    index = indexed(first)
    for length in range(0, len(second), 97):
        crop = unless_bad(lambda part=second[:length]: crop_jpeg(part, index, 30, 20, 100, 50))
        assert crop is None or crop.shape == (50, 100, 3)
