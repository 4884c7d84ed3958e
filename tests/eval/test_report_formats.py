"""Tables over many runs as text, and published figures beside them."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from anomsynth.cli import app
from eval.report import report_tables, report_text
from eval.report.grid import Cell, Grid, latex, markdown
from eval.report.published import published_for, published_sets
from shards.errors import UserError


def score(ap: float, fpr: float, **others: float) -> dict[str, Any]:
    return {
        "metrics": {"AP": ap, "AUROC": 0.9, "FPR95": fpr, "best_F1": 0.5, **others},
        "intervals": [{"of": "AP", "low": ap - 0.1, "high": ap + 0.1}],
        "convention": {"pooling": "pixels of all frames"},
    }


def write(folder: Path, sets: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"schema": 1, "sets": sets}))
    return folder


def road(frames: int, **scores: Any) -> dict[str, Any]:
    return {"benchmark": "roadanomaly", "frames": frames, "whole": frames in (10, 30, 60, 100), "scores": scores}


CITY = {
    "benchmark": "cityscapes",
    "frames": 2,
    "segmentation": {"metrics": {"mIoU": 0.5, "mAcc": 0.625}, "iou_per_class": {}},
}


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    before = write(tmp_path / "be_fore", {"road": road(60, msp=score(0.2, 0.7)), "city": CITY})
    after = write(
        tmp_path / "after",
        {"road": road(60, msp=score(0.3, 0.75), void=score(0.25, 0.4, sIoU=0.125, F1_mean=1 / 3, extra=0.75))},
    )
    return [before, after]


def rows_of(text: str) -> list[list[str]]:
    """The cells of every row of Markdown tables, heads included."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "--" not in line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_markdown_has_a_table_a_set(runs: list[Path]) -> None:
    text = report_text(runs, "markdown")
    assert re.findall("^### .*", text, re.MULTILINE) == ["### road, 60 frames, in %", "### city, 2 frames, in %"]
    head, first, second, third, *city = rows_of(text)
    assert head == [
        *("run", "score", "AP ↑", "AUROC ↑", "FPR95 ↓", r"best\_F1 ↑", "sIoU ↑", r"F1\_mean ↑", "extra ↑")
    ]
    assert first == [r"be\_fore", "msp", "20.00", "**90.00**", "70.00", "**50.00**", "-", "-", "-"]
    assert second[2:5] == ["**30.00**", "**90.00**", "75.00"]
    # A figure that one row only has is not the best of anything.
    assert third[4:] == ["**40.00**", "**50.00**", "12.50", "33.33", "75.00"]
    assert city == [["run", "score", "mIoU ↑", "mAcc ↑"], [r"be\_fore", "", "50.00", "62.50"]]


def test_frames_are_a_column_where_runs_judged_different_ones(runs: list[Path], tmp_path: Path) -> None:
    fewer = write(tmp_path / "fewer", {"road": road(1, msp=score(0.2, 0.7))})
    text = report_text([runs[0], fewer], "markdown")
    assert "### road, in %" in text
    assert [row[:3] for row in rows_of(text)[:3]] == [
        ["run", "score", "frames"],
        [r"be\_fore", "msp", "60"],
        ["fewer", "msp", "1"],
    ]
    assert "### road, 1 frame, in %" in report_text([fewer], "markdown")


def test_intervals_stand_behind_the_figures(runs: list[Path]) -> None:
    assert "20.00 \\[10.00, 30.00\\]" in report_text(runs, "markdown", intervals=True)
    assert "[10.00" not in report_text(runs, "latex")
    assert "20.00 [10.00, 30.00]" in report_text(runs, "latex", intervals=True)
    assert "20.00 [10.00, 30.00]" in report_text(runs, "table", intervals=True)


def test_csv_holds_fractions_and_intervals(runs: list[Path]) -> None:
    rows = list(csv.DictReader(io.StringIO(report_text(runs, "csv", published=True))))
    assert [(row["run"], row["set"], row["score"]) for row in rows[:3]] == [
        ("be_fore", "road", "msp"),
        ("after", "road", "msp"),
        ("after", "road", "void"),
    ]
    assert float(rows[2]["F1_mean"]) == 1 / 3
    assert (float(rows[0]["AP_low"]), float(rows[0]["AP_high"])) == (0.2 - 0.1, 0.2 + 0.1)
    assert rows[0]["sIoU"] == rows[0]["source"] == ""
    papers = [row for row in rows if row["run"] == "published"]
    assert {row["set"] for row in papers} == {"road"}
    assert all(row["source"] and row["AP_low"] == "" and 0 < float(row["AP"]) < 1 for row in papers)
    assert rows[-1]["mIoU"] == "0.5"


def test_latex_escapes_names(runs: list[Path]) -> None:
    text = report_text(runs, "latex")
    assert r"be\_fore & msp & 20.00 & \textbf{90.00}" in text
    assert r"FPR95 $\downarrow$ & best\_F1 $\uparrow$" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    columns = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(line.split(" & ")) for line in rows} == {len(found) for found in columns}
    odd = Grid("50 % of a_b & {c}", ("#",), 1, ((Cell(r"x\y~z^$"),),))
    assert r"\caption{50 \% of a\_b \& \{c\}}" in latex([odd])
    assert r"x\textbackslash{}y\textasciitilde{}z\textasciicircum{}\$" in latex([odd])


def test_markdown_escapes_names() -> None:
    text = markdown([Grid("t", ("a",), 1, ((Cell("x|y*z_[1]<b>"),),))])
    assert r"| x\|y\*z\_\[1\]\<b\> |" in text


def test_published_figures_stand_beside_full_sets(runs: list[Path], tmp_path: Path) -> None:
    text = report_text(runs, "markdown", published=True)
    papers = [row for row in rows_of(text) if row[0] == "published"]
    assert [r"top-K OvR, energy, WideResNet38 \[2\]", "46.39", "-", "38.09"] in [row[1:5] for row in papers]
    assert "Style-Aligned OoD Augmentation, ICCVW 2023, table 4" in text
    # The best of the runs stays bold, whatever papers print.
    assert "**30.00**" in text
    assert not any("**" in cell for row in papers for cell in row)
    few = write(tmp_path / "few", {"road": road(59, msp=score(0.2, 0.7)), "new": {**CITY, "benchmark": "other"}})
    for form in ("markdown", "table"):
        text = report_text([few], form, published=True)
        assert "here 59 were judged" in " ".join(text.split())
        assert "46.39" not in text
    # One run with all frames does not make the other one comparable.
    assert "46.39" not in report_text([runs[0], few], "markdown", published=True)
    assert "46.39" not in report_text(runs, "markdown")


def test_published_figures_of_other_rules_are_left_out() -> None:
    entry = road(60, msp=score(0.2, 0.7))
    assert published_for("RoadAnomaly_jpg", entry)[0]
    entry["scores"]["msp"]["convention"]["pooling"] = "mean over frames; frames of one class are passed over"
    rows, notes = published_for("RoadAnomaly_jpg", entry)
    assert rows == ()
    assert "means over frames" in notes[0]
    rows, notes = published_for("x", {**entry, "benchmark": "shards"})
    assert (rows, notes) == ((), ("x: no published figures are known here.",))


@pytest.mark.parametrize(
    ("benchmark", "folder", "name", "frames"),
    [
        ("fishyscapes", "fishyscapes_lostandfound", "Fishyscapes Lost & Found, validation", 100),
        ("fishyscapes", "fs_static", "Fishyscapes Static, validation", 30),
        ("smiyc", "dataset_AnomalyTrack", "SegmentMeIfYouCan AnomalyTrack, validation", 10),
        ("smiyc", "dataset_ObstacleTrack", "SegmentMeIfYouCan ObstacleTrack, validation", 30),
    ],
)
def test_sets_of_one_benchmark_are_told_apart(benchmark: str, folder: str, name: str, frames: int) -> None:
    (expected,) = [known for known in published_sets() if known.name == name]
    rows, _ = published_for(folder, {**road(frames, msp=score(0.1, 0.1)), "benchmark": benchmark})
    assert rows == expected.rows
    assert not published_for(folder, {**road(frames + 1, msp=score(0.1, 0.1)), "benchmark": benchmark})[0]


def test_published_figures_are_fractions_with_a_source() -> None:
    rows = [row for known in published_sets() for row in known.rows]
    assert len(rows) > 80
    for row in rows:
        assert row.method
        assert re.search(r"20\d\d", row.source)
        assert set(row.metrics) <= {"AP", "FPR95", "mIoU"}
        assert all(0 < value < 1 for value in row.metrics.values())
    names = [(known.name, row.method, row.network, row.source) for known in published_sets() for row in known.rows]
    assert len(set(names)) == len(names)


def test_errors(runs: list[Path]) -> None:
    with pytest.raises(UserError, match="No runs"):
        report_text([], "csv")
    with pytest.raises(UserError, match=r"No run has the score 'enrgy'\. The runs have: msp, void\."):
        report_text(runs, "markdown", ["enrgy"])
    with pytest.raises(UserError, match="do not go together"):
        report_tables(runs, compare=True, published=True)


def test_scores_are_chosen(runs: list[Path]) -> None:
    assert {row[1] for row in rows_of(report_text(runs, "markdown", ["void"]))} == {"score", "void", ""}


def test_command_writes_a_file(runs: list[Path], tmp_path: Path) -> None:
    words = ["report", *map(str, runs), "--format", "markdown"]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    assert printed.output == report_text(runs, "markdown")
    written = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "new" / "table.md")])
    assert written.exit_code == 0
    assert (tmp_path / "new" / "table.md").read_text() == printed.output
    plain = CliRunner().invoke(app, ["report", *map(str, runs), "--out", str(tmp_path / "table.txt")])
    assert plain.exit_code == 0
    assert "Δ" in (tmp_path / "table.txt").read_text()


@pytest.mark.parametrize("key", ["pixels", "inputs_sha256", "frames", "convention"])
@pytest.mark.parametrize("form", ["latex", "markdown"])
def test_nothing_is_best_across_other_frames(tmp_path: Path, form: Any, key: str) -> None:
    entry = {**road(60, msp=score(0.2, 0.7)), "pixels": {"known": 9, "anomaly": 1}, "inputs_sha256": "a" * 64}
    others: dict[str, Any] = {"pixels": {"known": 8, "anomaly": 2}, "inputs_sha256": "b" * 64, "frames": 59}
    other = {**entry, **{name: value for name, value in others.items() if name == key}}
    if key == "convention":
        other["scores"] = {"msp": {**score(0.2, 0.7), "convention": {"pooling": "mean over frames"}}}
    runs = [write(tmp_path / name, {"road": found}) for name, found in (("one", entry), ("two", other))]
    bold = {"latex": r"\textbf", "markdown": "**"}[form]
    text = report_text(runs, form)
    assert bold not in text
    assert text.count("No best figure is marked where runs do not compare. road: two ") == 1
    alike = [runs[0], write(tmp_path / "three", {"road": entry})]
    assert bold in report_text(alike, form)
    assert "No best figure" not in report_text(alike, form)


def test_every_run_without_the_full_set_is_named(tmp_path: Path) -> None:
    runs = [
        write(tmp_path / name, {"road": road(frames, msp=score(0.2, 0.7))})
        for name, frames in (("full", 60), ("some", 12), ("few", 7))
    ]
    text = report_text(runs, "markdown", published=True)
    assert "road, some: published figures are of the full set, RoadAnomaly, 60 frames; here 12 were judged" in text
    assert "road, few: published figures are of the full set, RoadAnomaly, 60 frames; here 7 were judged" in text
    assert "road, full" not in text
    alike = report_text([runs[2], runs[2]], "markdown", published=True)
    assert alike.count("here 7 were judged") == 1


def test_published_figures_are_listed_without_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    printed = CliRunner().invoke(app, ["list", "published"])
    assert printed.exit_code == 0, printed.output
    listed = CliRunner().invoke(app, ["list", "published", "--markdown"]).output
    for known in published_sets():
        assert known.name in " ".join(printed.output.split())
        for row in known.rows:
            assert re.sub(r"\W", "", row.source) in re.sub(r"\W", "", printed.output)
            (line,) = [
                cells
                for part in listed.split("### ")
                if re.sub(r"\\", "", part).startswith(known.name + ",")
                for cells in rows_of(part)
                if re.sub(r"\\| \\?\[\d+\\?\]$", "", cells[0]) == row.title
                and {f"{100 * value:.2f}" for value in row.metrics.values()} <= set(cells)
            ]
            assert len(line) > len(row.metrics)
    assert "published" not in CliRunner().invoke(app, ["list", "scores"]).output
