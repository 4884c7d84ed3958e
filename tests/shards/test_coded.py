from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shards.codec import encode_image, encode_png, encode_sample
from shards.coded import CodedImage, CodedSample
from shards.errors import BadInput
from shards.jpeg_crop import JpegIndex
from shards.jpeg_head import JpegHead
from shards.png.reading import PlainPng
from shards.rng import generator
from shards.sample import Sample

WIDTH, HEIGHT = 256, 104


def frame() -> np.ndarray:
    """Something smooth with noise, as photographs are."""
    rng = generator(0, "coded")
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([x / 2, y * 2, (x + y) / 3], axis=-1)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def labels(highest: int) -> np.ndarray:
    values = generator(1, "labels", highest).integers(0, highest + 2, (HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
    values[values > highest] = 255
    return values.repeat(8, 0).repeat(8, 1)


def sample() -> Sample:
    extras = {"entropy": labels(200), "donor": frame()[::-1].copy()}
    return Sample("s", frame(), labels(1), labels(18), extras, {"index": 3})


def saved(pixels: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


FILES = {
    "strip PNG": (lambda: encode_png(frame()), PlainPng),
    "plain PNG": (lambda: saved(frame(), "PNG"), PlainPng),
    "grey PNG": (lambda: saved(frame()[..., 0], "PNG"), PlainPng),
    "PNG with alpha": (lambda: saved(frame(), "PNG", "RGBA"), type(None)),
    "JPEG in segments": (lambda: encode_image(frame(), "jpeg", 90)[1], JpegIndex),
    "JPEG": (lambda: saved(frame(), "JPEG"), JpegHead),
    "progressive JPEG": (lambda: saved(frame(), "JPEG", progressive=True), type(None)),
    "WebP": (lambda: encode_image(frame(), "webp", 0)[1], type(None)),
}

boxes = st.tuples(
    st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, WIDTH), st.integers(1, HEIGHT)
).map(lambda b: (b[0], b[1], min(b[2], WIDTH - b[0]), min(b[3], HEIGHT - b[1])))


@pytest.mark.parametrize("kind", FILES)
@settings(deadline=None, max_examples=25)
@given(box=boxes)
def test_a_rectangle_is_the_slice_of_the_whole(kind: str, box: tuple[int, int, int, int]) -> None:
    make, parts = FILES[kind]
    coded = CodedImage.of(make())
    assert isinstance(coded.parts, parts)
    assert (coded.width, coded.height) == (WIDTH, HEIGHT)
    left, top, width, height = box
    expected = coded.image()[top : top + height, left : left + width]
    assert expected.shape == (height, width, 3)
    np.testing.assert_array_equal(coded.image(box), expected)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
@settings(deadline=None, max_examples=20)
@given(box=boxes)
def test_a_part_of_a_sample_is_the_slice_of_the_sample(form: str, box: tuple[int, int, int, int]) -> None:
    suffix, image = encode_image(frame(), form, 95)
    members = {**dict(encode_sample(sample())), f"image.{suffix}": image}
    coded = CodedSample("s", {name: data for name, data in members.items() if name != "image.png" or form == "png"})
    whole, part = coded.decode(), coded.decode(box)
    left, top, width, height = box
    here = np.s_[top : top + height, left : left + width]
    for name in ("image", "anomaly", "semantic"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[here])
    assert part.extras.keys() == {"entropy", "donor"}
    for name, pixels in part.extras.items():
        np.testing.assert_array_equal(pixels, whole.extras[name][here])
    assert (part.key, part.meta) == ("s", {"index": 3})


@pytest.mark.parametrize("mode", ["P", "1", "I;16"])
def test_maps_of_other_kinds_are_cut_too(mode: str) -> None:
    values = labels(1) if mode == "1" else labels(18)
    if mode == "I;16":
        data = saved(values.astype(np.uint16) * 1000, "PNG")
    else:
        data = saved(values * (255 if mode == "1" else 1), "PNG", mode)
    coded = CodedImage.of(data)
    whole = coded.map()
    assert whole.any()
    np.testing.assert_array_equal(coded.map((9, 7, 100, 30)), whole[7:37, 9:109])


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, WIDTH + 1, 5), (0, 100, 5, 5), (3, 3, 0, 5)])
def test_a_box_outside_of_the_picture_is_a_mistake(kind: str, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie in 256x104 pixels"):
        CodedImage.of(FILES[kind][0]()).image(box)


def test_labels_are_judged_where_they_are_read() -> None:
    given = sample()
    given.semantic[50, 200] = 77
    coded = CodedSample("s", dict(encode_sample(given)))
    for box in (None, (190, 40, 20, 20), (0, 0, WIDTH, HEIGHT)):
        with pytest.raises(BadInput, match=r"label-values: s\.semantic holds values other than 0\.\.18 and 255"):
            coded.decode(box)
    np.testing.assert_array_equal(coded.decode((0, 0, 100, 104)).semantic, given.semantic[:, :100])


def test_damage_is_told_before_or_at_decoding_never_as_pixels() -> None:
    members = dict(encode_sample(sample()))
    for name in ("image.png", "anomaly.png", "semantic.png"):
        data = members[name]
        for cut in (0, 20, len(data) // 2, len(data) - 13):
            with pytest.raises(BadInput, match=r"(truncated|unreadable)-image"):
                CodedSample("s", {**members, name: data[:cut]}).decode((0, 0, 8, 8))
    with pytest.raises(BadInput, match=r"size-mismatch: s\.entropy is 20x10, its image 256x104"):
        CodedSample("s", {**members, "entropy.png": encode_png(np.zeros((10, 20), np.uint8))})
    for broken in (b"{", b"[]", b"[" * 100_000, b"\xff"):
        with pytest.raises(BadInput, match="bad-json"):
            CodedSample("s", {**members, "json": broken}).decode((0, 0, 8, 8))


def test_a_crop_of_strips_does_not_look_at_other_strips() -> None:
    members = dict(encode_sample(sample()))
    coded = CodedSample("s", members)
    png = CodedImage.of(members["image.png"])
    assert isinstance(png.parts, PlainPng)
    # Behind the checksums that were compared when the file was looked through: only inflating would notice.
    start, end = png.parts.pieces[0]
    spoilt = png.data[: start + 2] + b"\xff" * (end - start - 2) + png.data[end:]
    damaged = CodedImage(spoilt, png.name, png.width, png.height, png.mode, png.parts)
    np.testing.assert_array_equal(damaged.image((3, 40, 50, 20)), coded.decode().image[40:60, 3:53])
    with pytest.raises(BadInput):
        damaged.image((3, 20, 50, 20))
