"""Fixtures for all rooms."""

from __future__ import annotations

import os
from pathlib import Path

# Before numpy, OpenCV or torch start their pools: two busy threads on shared cores make tests 10 to 50 times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real frames, weights and golden values, which are not part of the project."""
    folder = Path(os.environ.get("ANOMSYNTH_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip("real data is absent: set ANOMSYNTH_SHARED to the folder that holds golden/, data/ and weights/")
    return folder
