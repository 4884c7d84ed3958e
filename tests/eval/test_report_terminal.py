"""Tables in terminals of any width: every figure and every word is there."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from eval.frame_figures import save_counts
from eval.metrics.bootstrap import FrameCounts
from eval.metrics.keys import frame_keys
from eval.report import report_tables, tables
from eval.report.grid import Cell, Grid, Part
from eval.report.terminal import Shown, fitted, wrapped

EXACT = ("AP", "AUROC", "FPR95", "best_F1")
OFFICIAL = ("AP_binned", "FPR95_binned", "sIoU", "PPV", "F1_mean")
SCORES = ("msp", "maxlogit", "densehybrid")
SETS = {"dataset_ObstacleTrack": (*EXACT, *OFFICIAL), "fishyscapes_lostandfound": EXACT}


def printed(*made: Any, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in made:
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def words(text: str) -> list[str]:
    """What stands in the cells, heads and lines."""
    return re.sub(r"[^\w\s.,+\-–↑↓Δ%\[\]&/*;:]", " ", text).split()


def figure(rng: np.random.Generator) -> float:
    """One that is printed unlike any other, now and then 100.00."""
    return 1.0 if rng.random() < 0.1 else float(rng.random())


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs with figures of single frames; intervals of all but the binned curve."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / "ovr-litefpn-seed0", tmp_path / "baseline"]
    label = (rng.random((12, 20)) < 0.2).astype(np.uint8)
    for shift, path in zip((2.0, 1.0), paths, strict=True):
        path.mkdir()
        sets: dict[str, Any] = {}
        frames: dict[str, Any] = {}
        counts: dict[str, Any] = {}
        for name, metrics in SETS.items():
            entry: dict[str, Any] = {"benchmark": "smiyc", "frames": 3, "notes": [], "scores": {}}
            for score in SCORES:
                found = {metric: figure(rng) for metric in metrics}
                intervals = [
                    {"of": metric, "low": value / 2, "high": (1 + value) / 2}
                    for metric, value in found.items()
                    if "binned" not in metric
                ]
                entry["scores"][score] = {"metrics": found, "intervals": intervals, "convention": {}}
                maps = [(rng.normal(size=label.shape) + shift * label).astype(np.float32) for _ in range(3)]
                frames.setdefault(name, {})[score] = {str(place): {} for place in range(3)}
                counts.setdefault(name, {})[score] = [FrameCounts.of(frame_keys(found, label)) for found in maps]
            sets[name] = entry
        sets["dataset_ObstacleTrack"]["segmentation"] = {
            "metrics": {"mIoU": 0.4321, "mAcc": 0.5432},
            "iou_per_class": {},
        }
        (path / "results.json").write_text(json.dumps({"schema": 1, "sets": sets}))
        (path / "frames.json").write_text(json.dumps({"schema": 1, "sets": frames}))
        save_counts(path / "counts.npz", counts)
    return paths


WIDTHS = (72, 80, 100, 120, 250)


@pytest.mark.parametrize("width", WIDTHS)
def test_intervals_are_whole_at_any_width(runs: list[Path], width: int) -> None:
    text = printed(*report_tables(runs, intervals=True), width=width)
    found = words(text)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert {*SETS, *EXACT, *OFFICIAL, "mIoU", "mAcc"} <= {word.strip(",;:") for word in found}
    for path in runs:
        for entry in json.loads((path / "results.json").read_text())["sets"].values():
            for score, of_score in entry["scores"].items():
                assert {path.name, score} <= set(found)
                for metric, value in of_score["metrics"].items():
                    assert f"{100 * value:.2f}" in found, metric
                for row in of_score["intervals"]:
                    low, high = f"{100 * row['low']:.2f}", f"{100 * row['high']:.2f}"
                    assert f"[{low}, {high}]" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_comparison_of_two_is_whole_at_any_width(runs: list[Path], width: int) -> None:
    text = printed(*report_tables(runs, compare=True), width=width)
    wide = printed(*report_tables(runs, compare=True), width=300)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    figures = r"[+-]?\d+\.\d\d\b"
    assert sorted(re.findall(figures, text)) == sorted(re.findall(figures, wide))
    assert len(re.findall(figures, wide)) == len(SETS) * len(SCORES) * len(EXACT) * 5
    assert {*SETS, *EXACT, *SCORES, *(path.name for path in runs), "better"} <= {
        word.strip(",;:") for word in words(text)
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_after_an_evaluation_are_whole_at_any_width(runs: list[Path], width: int) -> None:
    content = json.loads((runs[0] / "results.json").read_text())
    text = printed(*tables(content), width=width)
    found = words(text)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert {*SETS, *SCORES, *EXACT[:3], *OFFICIAL} <= set(found)
    for entry in content["sets"].values():
        for of_score in entry["scores"].values():
            for metric, value in of_score["metrics"].items():
                assert metric == "best_F1" or f"{100 * value:.2f}" in found


@pytest.mark.parametrize("width", WIDTHS)
def test_published_names_are_broken_between_words(tmp_path: Path, width: int) -> None:
    metrics = dict.fromkeys(EXACT, 0.25)
    sets = {
        "RoadAnomaly_jpg": {
            "benchmark": "roadanomaly",
            "frames": 60,
            "whole": True,
            "scores": {"msp": {"metrics": metrics}},
        }
    }
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "sets": sets}))
    text = printed(*report_tables([tmp_path], published=True), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert {"WideResNet38", "top-K", "published", "46.39", "38.09"} <= {word.strip(",") for word in words(text)}
    assert "Multi-Granularity" in text


def grid(**others: Any) -> Grid:
    """Two sets; figures of two parts, of which the second set has one only."""
    rows = [
        ("one", "a", "1.00", "2.00", "3.00"),
        ("one", "b", "1.50", "2.50", "3.50"),
        ("two", "a", "4.00", "5.00", "-"),
        ("two", "b", "4.50", "5.50", "-"),
    ]
    return Grid(
        title="title",
        columns=("set", "score", "first figure", "second figure", "third figure"),
        names=2,
        rows=tuple(tuple(map(Cell, row)) for row in rows),
        rules=frozenset({2}),
        repeating=1,
        parts=(Part(2, "exact"), Part(1, "further")),
        **others,
    )


def test_parts_stay_together() -> None:
    assert fitted(grid(), 100) == [(grid(), False)]
    (first, _), (second, _) = fitted(grid(), 50)
    assert (first.title, second.title) == ("title", "title; further")
    assert first.columns == ("set", "score", "first figure", "second figure")
    assert [[cell.text for cell in row] for row in second.rows] == [["one", "a", "3.00"], ["one", "b", "3.50"]]
    assert (first.rules, second.rules) == (frozenset({2}), frozenset())
    # A part that does not fit is taken apart.
    assert [found.columns[2:] for found, _ in fitted(grid(), 36)] == [
        ("first figure",),
        ("second figure",),
        ("third figure",),
    ]


def test_rules_go_on_where_rows_are_left_out() -> None:
    rows = [("one", "1.00", "-"), ("one", "2.00", "3.00"), ("two", "4.00", "-"), ("two", "5.00", "6.00")]
    made = Grid(
        "t",
        ("set", "x" * 14, "y" * 14),
        1,
        tuple(tuple(map(Cell, row)) for row in rows),
        frozenset({2}),
        repeating=1,
        parts=(Part(1, ""), Part(1, "")),
    )
    _, (second, _) = fitted(made, 28)
    assert [[cell.text for cell in row] for row in second.rows] == [["one", "3.00"], ["two", "6.00"]]
    assert second.rules == {1}
    lines = printed(Shown(second), width=28).splitlines()
    assert sum("├" in line for line in lines) == 1
    assert any("two" in line and "6.00" in line for line in lines)


def test_a_set_may_be_a_title() -> None:
    (one, _), (two, _) = fitted(grid(a_table_each=True), 60)
    assert (one.title, two.title) == ("title: one", "title: two")
    assert one.columns == ("score", "first figure", "second figure", "third figure")
    assert [[cell.text for cell in row] for row in two.rows] == [
        ["a", "4.00", "5.00", "-"],
        ["b", "4.50", "5.50", "-"],
    ]


def test_names_are_printed_where_they_change() -> None:
    lines = [line for line in printed(Shown(grid()), width=100).splitlines() if line.startswith("│")]
    assert [line.split("│")[1].strip() for line in lines] == ["one", "", "two", ""]


def test_intervals_go_below_their_figures() -> None:
    cells = tuple(Cell("50.00", interval=ends) for ends in (("40.00", "60.00"), ("-1.00", "+2.00")))
    made = Grid("t", ("name", "AP", "Δ"), 1, ((Cell("a"), *cells),))
    assert "50.00 [40.00, 60.00]" in printed(Shown(made), width=60)
    text = printed(Shown(made), width=42)
    assert re.search(r"│ a +│ +50\.00 │ +50\.00 │\n│ +│ \[40\.00, 60\.00\] │ \[-1\.00, \+2\.00\] │", text)


def test_names_are_no_markup() -> None:
    made = Grid("[b]t", ("[/]", "x[i]"), 1, ((Cell("[red]a"), Cell("1")),), notes=("[/b] note",))
    text = printed(Shown(made), width=80)
    for part in ("[b]t", "[/]", "x[i]", "[red]a", "[/b] note"):
        assert part in text


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("not told apart", 14, ["not told apart"]),
        ("not told apart", 9, ["not told", "apart"]),
        ("dataset_AnomalyTrack", 14, ["dataset_", "AnomalyTrack"]),
        ("a runs/of/a/very-long-name", 10, ["a", "runs/of/a/", "very-long-", "name"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("", 4, [""]),
    ],
)
def test_words_are_broken_last(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines


def test_very_long_names_leave_the_figures_whole(tmp_path: Path) -> None:
    rows = ((Cell("run" * 30), Cell("score_" * 12), Cell("12.34"), Cell("56.78")),)
    text = printed(Shown(Grid("t", ("run", "score", "AP ↑", "AUROC ↑"), 2, rows)), width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert {"12.34", "56.78"} <= set(words(text))
