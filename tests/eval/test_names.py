"""One table of what stands behind a frame's name: images, labels and score maps of any benchmark find each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eval.benchmarks import (
    acdcpoc,
    bddanomaly,
    fishyscapes,
    fishyscapes_static,
    folders,
    lostandfound,
    muad,
    roadanomaly,
    smiyc,
    streethazards,
)
from eval.benchmarks.folders import key_of
from eval.scoremaps import frame_key

MODULES = (
    *(acdcpoc, bddanomaly, fishyscapes, fishyscapes_static, folders),
    *(lostandfound, muad, roadanomaly, smiyc, streethazards),
)
COLOURED = "_labels_semantic_color.png"
"""For people; no label."""
WRITTEN = {
    (module.__name__.rpartition(".")[2], ending)
    for module in MODULES
    for ending in re.findall(r"<\w+>(_\w+\.\w+)", module.__doc__ or "")
    if ending != COLOURED
}
"""(benchmark, what its docstring writes behind a frame's name)."""
FURTHER = {
    ("acdcpoc", "_rgb_anon.png"),
    ("acdcpoc", "_gt_labelIds.png"),
    ("acdcpoc", "_gt_labelTrainIds.png"),
    ("cityscapes", "_gtFine_labelIds.png"),
    ("cityscapes", "_gtFine_labelTrainIds.png"),
    ("lostandfound", "_gtCoarse_labelTrainIds.png"),
}
"""Names that the downloads have, too."""


def test_the_docstrings_name_their_files() -> None:
    assert {benchmark for benchmark, _ in WRITTEN} == {
        *("bddanomaly", "fishyscapes", "fishyscapes_static", "folders", "lostandfound", "muad", "smiyc")
    }


@pytest.mark.parametrize("name", ["frankfurt_000000_000294", "validation0000", "0003_04_Town_000001", "7d4a79ee"])
@pytest.mark.parametrize(("benchmark", "ending"), sorted(WRITTEN | FURTHER))
def test_endings_are_no_part_of_a_frames_name(name: str, benchmark: str, ending: str) -> None:
    path = Path(name + ending)
    assert key_of(path) == name
    assert frame_key(path.stem) == name
    for tool in ("_anomaly", "_anomaly_p", "_score", "_scores"):
        assert frame_key(path.stem + tool) == name


def test_a_name_is_never_left_empty() -> None:
    assert key_of(Path("_labels.png")) == "_labels"
    assert frame_key("_anomaly_labels") == "_anomaly"
