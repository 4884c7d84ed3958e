"""Fishyscapes Static as downloaded: overlays on Cityscapes, against arrays made by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import BenchmarkSet, count_pixels, find_sets, read_frame
from eval.benchmarks.overlay import add_overlay
from shards.errors import BadInput, UserError

BASES = ("frankfurt_000001_046504", "lindau_000002_000019")
RNG = np.random.default_rng(0)
CITY = RNG.integers(0, 256, (2, 12, 16, 3)).astype(np.uint8)


def overlay_of(index: int) -> np.ndarray:
    overlay = np.zeros((12, 16, 3), np.int16)
    overlay[2:5, 3:7] = RNG.integers(-255, 256, (3, 4, 3)) if index else 200
    return overlay


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """Two overlays in data/fs_val_v2 and their images in city/leftImg8bit/val."""
    for index, base in enumerate(BASES):
        town = base.split("_")[0]
        save(tmp_path / "city" / "leftImg8bit" / "val" / town / f"{base}_leftImg8bit.png", CITY[index])
        label = np.zeros((12, 16), np.uint8)
        label[2:5, 3:7], label[0] = 1, 255
        # Numbers and names sort differently.
        save(tmp_path / "data" / "fs_val_v2" / f"{1 - index:04d}_{base}_labels.png", label)
        np.savez_compressed(
            tmp_path / "data" / "fs_val_v2" / f"{1 - index:04d}_{base}_rgb.npz", rgb=overlay_of(index)
        )
    return tmp_path


def one(folder: Path, *words: str) -> BenchmarkSet:
    (found,) = find_sets("fishyscapes", folder, words)
    assert isinstance(found, BenchmarkSet)
    return found


def test_overlays_are_added_and_clipped(static: Path) -> None:
    found = one(static / "data", f"cityscapes={static / 'city'}")
    assert (found.name, found.layout, found.published) == ("fs_val_v2", "official", 30)
    assert [frame.name for frame in found.frames] == [f"0000_{BASES[1]}", f"0001_{BASES[0]}"]
    image, label = read_frame(found.frames[1])
    expected = CITY[0].astype(int)
    expected[2:5, 3:7] = np.minimum(expected[2:5, 3:7] + 200, 255)
    np.testing.assert_array_equal(image, expected)
    assert (label == 1).sum() == 12
    assert (label == 255).sum() == 16
    assert count_pixels(found).anomaly == 24
    with np.load(static / "data" / "fs_val_v2" / f"0000_{BASES[1]}_rgb.npz") as stored:
        wanted = np.clip(CITY[1].astype(int) + stored["rgb"], 0, 255)
    np.testing.assert_array_equal(read_frame(found.frames[0])[0], wanted)


def test_images_are_found_below_the_folder_and_the_folder_itself_is_enough(static: Path) -> None:
    assert len(one(static).frames) == 2
    (static / "city").rename(static / "data" / "fs_val_v2" / "city")
    assert len(one(static / "data" / "fs_val_v2").frames) == 2


def test_missing_images_are_told_and_where_to_give_them(static: Path) -> None:
    with pytest.raises(
        UserError, match=rf"2 of the 2 Cityscapes images .* missing: {BASES[0]}.* --set cityscapes=DIR"
    ):
        find_sets("fishyscapes", static / "data")
    (static / "city" / "leftImg8bit" / "val" / "lindau" / f"{BASES[1]}_leftImg8bit.png").unlink()
    with pytest.raises(UserError, match=rf"1 of the 2 Cityscapes images .* missing: {BASES[1]}\. Give"):
        find_sets("fishyscapes", static / "data", [f"cityscapes={static / 'city'}"])
    with pytest.raises(UserError, match=r"There is no folder .*: the option cityscapes"):
        find_sets("fishyscapes", static / "data", [f"cityscapes={static / 'none'}"])
    (static / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no \*_leftImg8bit.png"):
        find_sets("fishyscapes", static / "data", [f"cityscapes={static / 'empty'}"])


@pytest.mark.parametrize(
    ("name", "words", "note"),
    [
        ("fs_val_v1", (), "Version 1;"),
        ("fishyscapes-3.0.0", (), "Version 3;"),
        ("fishyscapes_static", (), "not told by a folder name"),
        ("fishyscapes_static", ("version=3",), "Version 3;"),
        ("v2", (), "Version 2;"),
        ("overlays", (), "not told by a folder name"),
    ],
)
def test_versions_are_told_apart_by_the_folders_names(
    static: Path, name: str, words: tuple[str, ...], note: str
) -> None:
    (static / "data" / "fs_val_v2").rename(static / "data" / name)
    found = one(static / "data", f"cityscapes={static / 'city'}", *words)
    assert (found.name, len(found.notes)) == (name, 1)
    assert note in found.notes[0]


def test_two_versions_lie_beside_lost_and_found(static: Path) -> None:
    data = static / "data"
    (data / "fs_val_v1").mkdir()
    for path in (data / "fs_val_v2").iterdir():
        (data / "fs_val_v1" / path.name).write_bytes(path.read_bytes())
    save(data / "fishyscapes_lostandfound" / "0000_04_Road_000001_labels.png", np.zeros((12, 16), np.uint8))
    save(data / "laf" / "04_Road_000001_leftImg8bit.png", CITY[0])
    found = find_sets("fishyscapes", data, [f"cityscapes={static / 'city'}"])
    assert [(one.name, len(one.frames)) for one in found] == [
        ("fishyscapes_lostandfound", 1),
        ("fs_val_v1", 2),
        ("fs_val_v2", 2),
    ]


def test_half_a_pair_and_a_mixture(static: Path) -> None:
    place, words = static / "data" / "fs_val_v2", [f"cityscapes={static / 'city'}"]
    mask = place / f"0001_{BASES[0]}_labels.png"
    kept = mask.read_bytes()
    mask.unlink()
    with pytest.raises(UserError, match=rf"1 overlay is without its mask <key>_labels.png: 0001_{BASES[0]}"):
        find_sets("fishyscapes", static / "data", words)
    mask.write_bytes(kept)
    overlay = place / f"0001_{BASES[0]}_rgb.npz"
    overlay.rename(place / f"0000_{BASES[0]}_rgb.npz")
    mask.rename(place / f"0000_{BASES[0]}_labels.png")
    with pytest.raises(UserError, match="two masks with the number 0000: a mixture of versions"):
        find_sets("fishyscapes", static / "data", words)


def packed(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "unreadable-overlay", "no .npz file"),
        (b"PK\x03\x04 cut off", "unreadable-overlay", "no .npz file"),
        (packed(other=np.zeros(3)), "unreadable-overlay", "no array named 'rgb'"),
        (packed(rgb=np.array([object()])), "unreadable-overlay", "no .npz file"),
        (packed(rgb=np.zeros((4, 5, 3))), "unreadable-overlay", "float64 where signed integers"),
        (packed(rgb=np.zeros((5, 4, 3), np.int16)), "size-mismatch", "is 5x4x3 but its image 4x5x3"),
    ],
)
def test_broken_overlays(data: bytes, reason: str, detail: str) -> None:
    with pytest.raises(BadInput, match=detail) as caught:
        add_overlay(np.zeros((4, 5, 3), np.uint8), data, "0000_x_rgb.npz")
    assert caught.value.reason == reason


def test_a_broken_overlay_names_its_frame(static: Path) -> None:
    (static / "data" / "fs_val_v2" / f"0001_{BASES[0]}_rgb.npz").write_bytes(b"")
    found = one(static)
    with pytest.raises(UserError, match=rf"Frame 0001_{BASES[0]}: the image cannot be read: .*no .npz file"):
        read_frame(found.frames[1])
