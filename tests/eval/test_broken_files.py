"""Whatever byte of a file of arrays is damaged: its reader either reads it or refuses it in our words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from eval.benchmarks.overlay import add_overlay
from eval.class_maps import read_map
from eval.frame_figures import load_counts, save_counts
from eval.metrics.bootstrap import FrameCounts
from eval.metrics.keys import frame_keys
from eval.protocols import PROTOCOLS
from eval.score_counts import About, ScoreCounts
from eval.scoremaps import read_score_map
from shards.errors import BadInput, UserError

Read = Callable[[Path], object]

RNG = np.random.default_rng(0)
SCORE = RNG.normal(size=(20, 24)).astype(np.float32)
LABEL = (RNG.random(SCORE.shape) < 0.2).astype(np.uint8)

# Of a header that Python 2 wrote, which a damaged one may look like; and of a score that a damaged one became.
pytestmark = pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning", "ignore::RuntimeWarning")


def overlay(path: Path) -> Read:
    picture = np.zeros((*SCORE.shape, 3), np.uint8)
    np.savez_compressed(path.with_suffix(".npz"), rgb=RNG.integers(-9, 9, picture.shape).astype(np.int16))
    return lambda file: add_overlay(picture, file.read_bytes(), file.name)


def score_npy(path: Path) -> Read:
    np.save(path.with_suffix(".npy"), SCORE)
    return read_score_map


def score_npz(path: Path) -> Read:
    np.savez_compressed(path.with_suffix(".npz"), score=SCORE)
    return read_score_map


def score_hdf5(path: Path) -> Read:
    with h5py.File(path.with_suffix(".hdf5"), "w") as file:
        file.create_dataset("value", data=SCORE.astype(np.float16), compression="gzip")
    return read_score_map


def mask(path: Path) -> Read:
    np.save(path.with_suffix(".npy"), LABEL)
    return lambda file: read_map(file, "mask")


def part(path: Path) -> Read:
    counts = ScoreCounts(About("town", "mine", "smiyc-anomaly", "", "files"), PROTOCOLS["smiyc-anomaly"])
    counts.add("one", SCORE, LABEL, "one.npy")
    counts.save(path.with_suffix(".npz"))
    return ScoreCounts.load


def counts_of_frames(path: Path) -> Read:
    save_counts(path.with_suffix(".npz"), {"town": {"mine": [FrameCounts.of(frame_keys(SCORE, LABEL))]}})
    return load_counts


@pytest.mark.parametrize("make", [overlay, score_npy, score_npz, score_hdf5, mask, part, counts_of_frames])
def test_damaged_bytes_get_a_sentence(tmp_path: Path, make: Callable[[Path], Read]) -> None:
    read = make(tmp_path / "file")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    read(path)
    # Where the headers are: all bytes of the first and the last 200; and some between them.
    places = {*range(min(200, len(whole))), *range(max(0, len(whole) - 200), len(whole))}
    places |= set(np.random.default_rng(1).integers(0, len(whole), 100).tolist())
    refused = []
    for place in sorted(places):
        for change in (0xFF, 0x20):
            damaged = bytearray(whole)
            damaged[place] ^= change
            path.write_bytes(damaged)
            try:
                read(path)
            except (UserError, BadInput) as error:
                refused.append(str(error))
    assert len(refused) > 100
    assert all(path.name in sentence for sentence in refused)


def header(shape: str) -> bytes:
    """An .npy file of version 1.0 that is nothing but its header."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "shape", ["(1000000000, 10000000)", "(9223372036854775807, 3)", "(2, 3", "(2,\n 3)", "((" * 99]
)
def test_headers_that_cannot_be_true(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(header(shape))
    with pytest.raises(UserError, match=r"a\.npy"):
        read_map(path, "mask")
    with pytest.raises(UserError, match=r"a\.npy"):
        read_score_map(path)


def test_ends_of_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "counts.npz"
    save_counts(path, {"town": {"mine": [FrameCounts.of(frame_keys(SCORE, LABEL))]}})
    with np.load(path) as arrays:
        empty = {name: array[:0] if name.startswith("0.") else array for name, array in arrays.items()}
    np.savez(path, **empty)
    with pytest.raises(UserError, match=r"counts\.npz holds no counts of an evaluation"):
        load_counts(path)
