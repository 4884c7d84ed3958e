"""What a sample changes about its frame: stored, read with distrust, laid."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shards.codec import encode_png, encode_sample
from shards.coded import CodedSample
from shards.delta import Delta, LaidSample, decode_delta, encode_delta, laid, preview, size_of
from shards.errors import BadInput
from shards.patches import Blend, Patch
from shards.sample import Sample

META = {
    "recipe": "mix",
    "index": 0,
    "frame": {"dataset": "cityscapes", "split": "train", "id": "a", "crc32": "0" * 8},
}
FRAME = (64, 48)  # width, height


def patch(number: int, width: int, height: int, left: int, top: int, **blend: Any) -> Patch:
    rng = np.random.default_rng(number)
    mask = rng.random((height, width)) < 0.7
    mask[0, 0] = True
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8) * mask[..., None]
    return Patch(rgb, mask, left, top, Blend(**blend))


def base() -> Sample:
    rng = np.random.default_rng(9)
    width, height = FRAME
    semantic = rng.choice(np.array([0, 1, 11, 255], np.uint8), (height, width))
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Sample("frame", image, np.where(semantic == 255, np.uint8(255), np.uint8(0)), semantic, meta={})


def hidden(item: Patch) -> Patch:
    """The same with something in front of its left half and beside it."""
    front = np.zeros_like(item.mask)
    front[:, : item.mask.shape[1] // 2] = True
    return replace(item, hidden=front)


SEVERAL = Delta(
    META,
    (
        patch(0, 9, 14, 3, 5),
        patch(1, 20, 4, -6, 40, edge="feather", sigma=1.25),
        patch(2, 1, 1, 63, 47, match="reinhard", seed=2**32 - 1),
        patch(3, 12, 12, 30, 20, edge="poisson", sharpness="frame", noise="frame", seed=7),
        hidden(patch(4, 11, 9, 20, 8, edge="feather", sigma=2.0, noise="frame", seed=3)),
        hidden(patch(5, 8, 9, 50, 30)),
    ),
    FRAME,
)


@pytest.mark.parametrize(
    "delta", [SEVERAL, Delta(META, (), FRAME), Delta(META, SEVERAL.patches[:2], FRAME, (10, 4, 32, 40))]
)
def test_there_and_back(delta: Delta) -> None:
    members, meta = encode_delta(delta)
    assert [name for name, _ in members] == ["patches.png", "masks.png", "json"]
    assert json.loads(dict(members)["json"]) == meta
    found = decode_delta("k", dict(members))
    assert (dict(found.meta), found.frame, found.crop) == (dict(delta.meta), delta.frame, delta.crop)
    assert size_of(meta) == found.size == (delta.crop[2:] if delta.crop else FRAME)
    for one, other in zip(found.patches, delta.patches, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)
        np.testing.assert_array_equal(one.mask, other.mask)
        assert (one.left, one.top, one.blend) == (other.left, other.top, other.blend)
        np.testing.assert_array_equal(one.hidden, other.hidden)
    assert encode_delta(found)[0] == members


def test_hard_objects_against_a_loop_over_pixels() -> None:
    delta = Delta(META, (patch(0, 9, 14, 3, 5), patch(1, 20, 8, -6, 12)), FRAME, (2, 3, 40, 30))
    frame = base()
    found = laid("k", delta, frame)
    image, anomaly, semantic = (array[3:33, 2:42].copy() for array in (frame.image, frame.anomaly, frame.semantic))
    for item in delta.patches:
        for y, x in np.argwhere(item.mask):
            row, column = y + item.top, x + item.left
            if 0 <= row < 30 and 0 <= column < 40:
                image[row, column], anomaly[row, column], semantic[row, column] = item.rgb[y, x], 1, 255
    np.testing.assert_array_equal(found.image, image)
    np.testing.assert_array_equal(found.anomaly, anomaly)
    np.testing.assert_array_equal(found.semantic, semantic)
    assert found.meta == {
        **META,
        "pixels": {
            "known": int((anomaly == 0).sum()),
            "anomaly": int((anomaly == 1).sum()),
            "ignore": int((anomaly == 255).sum()),
        },
    }
    np.testing.assert_array_equal(frame.image, base().image)  # the frame is as it was


def test_every_rectangle_is_that_of_the_whole() -> None:
    frame = CodedSample("frame", dict(encode_sample(base())))
    for delta in (SEVERAL, *(Delta(META, (item,), FRAME) for item in SEVERAL.patches)):
        sample = LaidSample("k", delta, frame)
        whole = sample.decode()
        for left in range(0, 64, 9):
            for top in range(0, 48, 9):
                box = (left, top, min(17, 64 - left), min(13, 48 - top))
                part = sample.decode(box)
                rectangle = np.s_[top : top + box[3], left : left + box[2]]
                np.testing.assert_array_equal(part.image, whole.image[rectangle])
                np.testing.assert_array_equal(part.anomaly, whole.anomaly[rectangle])
                np.testing.assert_array_equal(part.semantic, whole.semantic[rectangle])
        with pytest.raises(ValueError, match="does not lie in"):
            sample.decode((60, 0, 5, 5))


def test_another_frame_is_refused() -> None:
    delta = Delta(META, (), (32, 32))
    with pytest.raises(BadInput, match="made over a frame of 32x32, this one is 64x48"):
        laid("k", delta, base())
    with pytest.raises(BadInput, match="size-mismatch"):
        LaidSample("k", delta, CodedSample("frame", dict(encode_sample(base()))))


def test_a_preview_needs_no_frame() -> None:
    shown = preview("k", Delta(META, SEVERAL.patches[:1], FRAME))
    assert shown.anomaly.shape == (48, 64)
    assert int((shown.anomaly == 1).sum()) == int(SEVERAL.patches[0].mask.sum())
    assert (shown.image[shown.anomaly == 0] == 128).all()


Change = Callable[[dict[str, Any]], None]


def within(*path: Any, value: Any) -> Change:
    def change(meta: dict[str, Any]) -> None:
        target: Any = meta
        for word in path[:-1]:
            target = target[word]
        target[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        within("delta", value=None),
        within("delta", "frame", value=[64]),
        within("delta", "frame", value=[64, 0]),
        within("delta", "crop", value=[60, 0, 5, 5]),
        within("delta", "crop", value=[-1, 0, 5, 5]),
        within("delta", "patches", value=[]),
        within("delta", "patches", 0, "width", value=8),
        within("delta", "patches", 0, "height", value=10**9),
        within("delta", "patches", 0, "left", value=2**40),
        within("delta", "patches", 0, "left", value="near"),
        within("delta", "patches", 0, "blend", value={"edge": "sharp"}),
        within("delta", "patches", 0, "blend", value={"edge": "feather", "sigma": float("nan")}),
        within("delta", "patches", 0, "blend", value={"edge": "feather", "sigma": 1e6}),
        within("delta", "patches", 0, "blend", value={"noise": "frame", "seed": -1}),
        within("delta", "patches", 0, "blend", value={"noise": "frame", "seed": 2**32}),
        within("delta", "more", value=1),
    ],
)
def test_json_that_no_build_writes(change: Change) -> None:
    members, meta = encode_delta(SEVERAL)
    told = json.loads(json.dumps(meta))
    change(told)
    with pytest.raises(BadInput, match="bad-delta"):
        decode_delta("k", {**dict(members), "json": json.dumps(told).encode()})


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("json", b"{", "bad-json"),
        ("json", b"[]", "bad-json"),
        ("json", b"[" * 100_000, "bad-json"),
        ("json", b'{"frame": 3}', "bad-json"),
        ("patches.png", b"nothing", "unreadable-image"),
        ("patches.png", encode_png(np.zeros((3, 3, 3), np.uint8)), "bad-delta"),
        ("masks.png", encode_png(np.zeros((31, 20), np.uint8)), "bad-delta"),
        ("masks.png", encode_png(np.full((31, 20), 7, np.uint8)), "bad-delta"),
        ("masks.png", encode_png(np.zeros((31, 20, 3), np.uint8)), "not-a-map"),
    ],
)
def test_files_that_no_build_writes(name: str, data: bytes, reason: str) -> None:
    members, _ = encode_delta(SEVERAL)
    with pytest.raises(BadInput) as caught:
        decode_delta("k", {**dict(members), name: data})
    assert caught.value.reason == reason
    missing = dict(members)
    del missing[name]
    with pytest.raises(BadInput, match="missing-member"):
        decode_delta("k", missing)
    assert size_of({"delta": {"frame": [1]}}) is None
