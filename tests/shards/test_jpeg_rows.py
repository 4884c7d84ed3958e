from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image

from shards.coded import CodedImage
from shards.errors import BadInput
from shards.jpeg_head import JpegHead, jpeg_head
from shards.jpeg_rows import upper_rows


def picture(height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Hard edges everywhere: colours that are interpolated differ from row to row."""
    coarse = np.random.default_rng(height).integers(0, 256, (height // 3 + 2, width // 3 + 2, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((3, 3, 1), np.uint8))[:height, :width]


def saved(image: np.ndarray, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def head_of(data: bytes) -> JpegHead:
    head = jpeg_head(data)
    assert head is not None
    return head


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned, which no decoder here does: labels are not turned either
    return exif


ORDINARY = [
    {"subsampling": 0},
    {"subsampling": 1},
    {"subsampling": 2},
    {"subsampling": 2, "restart_marker_blocks": 3},
    {"keep_rgb": True},
    {"exif": turned()},
    {"optimize": True, "comment": b"c", "quality": 97},
]


@pytest.mark.parametrize("options", ORDINARY, ids="+".join)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (37, 50), (64, 33), (70, 90)])
def test_upper_rows_are_those_of_the_whole(
    height: int, width: int, options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    data = saved(picture(height, width), **options)
    whole, head = by_pillow(data), head_of(data)
    for bottom in range(1, height + 1):
        rows = upper_rows(data, head, bottom)
        assert rows is not None
        np.testing.assert_array_equal(rows, whole[:bottom])
    assert capfd.readouterr().err == ""  # libjpeg has no word to say


def test_rectangles_and_wholes() -> None:
    rng = np.random.default_rng(0)
    for options in ORDINARY:
        data = saved(picture(75, 101), **options)
        coded, whole = CodedImage.of(data), by_pillow(data)
        assert isinstance(coded.parts, JpegHead)
        np.testing.assert_array_equal(coded.image(), whole)
        for _ in range(20):
            left, top = int(rng.integers(101)), int(rng.integers(75))
            wide, tall = int(rng.integers(1, 102 - left)), int(rng.integers(1, 76 - top))
            np.testing.assert_array_equal(
                coded.image((left, top, wide, tall)), whole[top : top + tall, left : left + wide]
            )


def test_other_kinds_are_pillows() -> None:
    image = picture(40, 60)
    narrow = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411])[
        1
    ].tobytes()
    for data in (saved(image, "L"), saved(image, "CMYK"), saved(image, progressive=True), narrow):
        coded = CodedImage.of(data)
        assert coded.parts is None
        np.testing.assert_array_equal(coded.image((3, 5, 20, 10)), by_pillow(data)[5:15, 3:23])


@pytest.mark.parametrize("box", [None, (0, 0, 8, 8)])
def test_a_file_that_was_cut_off_is_noticed_wherever_one_looks(box: tuple[int, int, int, int] | None) -> None:
    data = saved(picture(70, 90))
    for length in range(head_of(data).scan_at, len(data) - 2, 13):
        with pytest.raises(BadInput, match="truncated-image"):
            CodedImage.of(data[:length]).image(box)


def test_data_that_end_before_the_rows_do_are_left_to_pillow() -> None:
    # Pillow takes the end marker's word for it and leaves the rest grey: no rectangle may say otherwise.
    data = saved(picture(70, 90))
    head = head_of(data)
    part = data[: head.scan_at + (len(data) - head.scan_at) // 2] + data[-2:]
    assert upper_rows(part, head, 48) is None
    assert upper_rows(part, head, 8) is not None
    np.testing.assert_array_equal(CodedImage.of(part).image(), by_pillow(part))
    for tall in range(1, 71):
        np.testing.assert_array_equal(CodedImage.of(part).image((0, 0, 90, tall)), by_pillow(part)[:tall])


def test_what_follows_the_picture_is_allowed() -> None:
    data = saved(picture(30, 40))
    assert upper_rows(data + b"more", head_of(data), 30) is None
    np.testing.assert_array_equal(CodedImage.of(data + b"more").image(), by_pillow(data))


@pytest.mark.real
def test_real_pictures(shared: Path) -> None:
    files = sorted((shared / "data" / "coco").glob("*/*.jpg")) + sorted(
        (shared / "data" / "benchmarks").rglob("*.jpg")
    )
    ordinary = 0
    for number, path in enumerate(sorted(files)):
        data = path.read_bytes()
        coded = CodedImage.of(data, path.name)
        if isinstance(coded.parts, JpegHead):
            ordinary += 1
            whole, tall = by_pillow(data), 1 + coded.height * (number % 7) // 7
            np.testing.assert_array_equal(coded.image(), whole, path.name)
            np.testing.assert_array_equal(coded.image((0, 0, coded.width, tall)), whole[:tall], path.name)
    assert ordinary > 0.9 * len(files)
