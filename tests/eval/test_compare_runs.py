"""Whether two runs differ by more than the choice of frames explains."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from anomsynth.cli import app
from eval.benchmarks import find_sets
from eval.frame_figures import load_counts
from eval.judge_scores import judge_scores
from eval.metrics.bootstrap import differences
from eval.predictor import Prediction
from eval.protocols import PROTOCOLS
from eval.report import report_text
from eval.report.paired import paired
from eval.run import evaluate
from eval.scoremaps import find_pairs
from shards.errors import UserError

Draw = Callable[..., None]


class Noisy:
    """Brightness and noise: the more noise, the worse."""

    describe: Mapping[str, Any] = {"network": "toy"}
    score_names: tuple[str, ...] = ("bright", "other")

    def __init__(self, noise: float, seed: int = 0) -> None:
        self.noise, self.rng = noise, np.random.default_rng(seed)

    def predict(self, image: np.ndarray, scores: Sequence[str], *, semantic: bool = False) -> Prediction:
        bright = image.mean(2) + self.noise * self.rng.normal(size=image.shape[:2])
        return Prediction({name: bright.astype(np.float32) for name in scores})


@pytest.fixture
def world(tmp_path: Path, frame: Draw) -> Path:
    for index in range(8):
        folder = tmp_path / "fishyscapes_static"
        frame(folder / "images" / f"{index}.png", folder / "labels_masks" / f"{index}.png", index)
    return tmp_path / "fishyscapes_static"


def judge(world: Path, out: Path, noise: float, scores: Sequence[str] = ("bright",), seed: int = 0) -> Path:
    evaluate(find_sets("fishyscapes", world), Noisy(noise, seed), scores, out)
    return out


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_clear_difference(world: Path, tmp_path: Path) -> None:
    good, bad = judge(world, tmp_path / "good", 40), judge(world, tmp_path / "bad", 200)
    found = paired([bad, good])
    assert [(row.name, row.score, row.metric) for row in found.rows] == [
        ("fishyscapes_static", "bright", metric) for metric in ("AP", "AUROC", "FPR95", "best_F1")
    ]
    by_metric = {row.metric: row for row in found.rows}
    counts = [load_counts(run / "counts.npz")["fishyscapes_static"]["bright"] for run in (good, bad)]
    assert {metric: row.difference for metric, row in by_metric.items()} == differences(*counts)
    assert {row.verdict for row in found.rows} == {"good better"}
    assert by_metric["AP"].second - by_metric["AP"].first > 0 > by_metric["FPR95"].second - by_metric["FPR95"].first
    # The other way round, the same run is better.
    assert {row.verdict for row in paired([good, bad]).rows} == {"good better"}


def test_no_difference(world: Path, tmp_path: Path) -> None:
    runs = [judge(world, tmp_path / name, 90, seed=seed) for name, seed in (("a", 1), ("b", 2))]
    assert {row.verdict for row in paired(runs).rows} == {"not told apart"}
    assert {row.verdict for row in paired([runs[0], runs[0]]).rows} == {"not told apart"}


def test_order_of_frames_does_not_count(world: Path, tmp_path: Path) -> None:
    one, other = judge(world, tmp_path / "one", 40), judge(world, tmp_path / "other", 60, seed=3)
    expected = paired([one, other]).rows

    def turn(content: dict[str, Any]) -> None:
        for scores in content["sets"].values():
            scores["bright"] = dict(reversed(scores["bright"].items()))

    edit(other / "frames.json", turn)
    with np.load(other / "counts.npz") as arrays:
        parts = {part: np.split(arrays[f"0.{part}"], arrays["0.ends"][:-1]) for part in ("bins", "known", "anomaly")}
        turned = {name: arrays[name] for name in ("schema", "index")}
    turned |= {f"0.{part}": np.concatenate(frames[::-1]) for part, frames in parts.items()}
    turned["0.ends"] = np.cumsum([frame.size for frame in parts["bins"][::-1]])
    np.savez(other / "counts.npz", **turned)
    assert paired([one, other]).rows == expected


def test_texts(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [judge(world, tmp_path / "bad", 200), judge(world, tmp_path / "good", 40)]
    markdown = report_text(runs, "markdown", compare=True)
    assert "| fishyscapes\\_static | bright | AP ↑ | **good better** |" in markdown
    assert "1000 draws" in markdown
    (ap, *_) = csv.DictReader(io.StringIO(report_text(runs, "csv", compare=True)))
    assert float(ap["difference"]) == float(ap["good"]) - float(ap["bad"])
    assert 0 < float(ap["low"]) <= float(ap["difference"]) <= float(ap["high"])
    # Whoever starts the tests may have said how wide the terminal is; GNU readline does, for every child.
    shown = {}
    for columns in (100, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        printed = CliRunner().invoke(app, ["report", "--compare", *map(str, runs)])
        assert printed.exit_code == 0
        shown[columns] = printed.output
    assert shown[100].count("good better") == 4
    # A narrow one breaks words and cuts no figure off.
    assert "…" not in shown[80]
    figures = re.findall(r"[+-]?\d+\.\d\d\b", shown[100].split("bad and good")[1])
    assert len(figures) == 4 * 5
    assert figures == re.findall(r"[+-]?\d+\.\d\d\b", shown[80].split("bad and good")[1])


def score_files(folder: Path, protocol: str, noise: float) -> Path:
    """Judge score files under a protocol."""
    rng = np.random.default_rng(7)
    for place in ("maps", "town"):
        (folder / place).mkdir(parents=True)
    for index in range(6):
        mask = rng.choice(np.array([0, 1], np.uint8), (20, 30), p=[0.8, 0.2])
        score = (rng.normal(size=mask.shape) * noise + mask).astype(np.float32)
        np.save(folder / "maps" / f"f{index}.npy", score)
        stored = np.where(mask == 1, 14, 5).astype(np.uint8) if protocol == "caos" else mask
        Image.fromarray(stored).save(folder / "town" / f"f{index}.png")
    rules = PROTOCOLS[protocol]
    judge_scores(find_pairs(folder / "maps", folder / "town", rules), rules, "mine", out=folder / "out")
    return folder / "out"


@pytest.mark.parametrize(("protocol", "told"), [("rba", "TPR > 0.95"), ("pebal", "TPR nearest to 0.95")])
def test_only_the_figures_that_the_draws_read_alike_are_compared(tmp_path: Path, protocol: str, told: str) -> None:
    found = paired([score_files(tmp_path / "bad", protocol, 3), score_files(tmp_path / "good", protocol, 0.5)])
    assert [row.metric for row in found.rows] == ["AP", "AUROC", "best_F1"]
    (note,) = found.notes
    assert note.startswith("town, mine: FPR95 is left out")
    assert told in note
    usual = paired([score_files(tmp_path / "1", "eam", 3), score_files(tmp_path / "2", "eam", 0.5)])
    assert [row.metric for row in usual.rows] == ["AP", "AUROC", "FPR95", "best_F1"]
    assert not usual.notes


def test_another_true_positive_rate_is_told(world: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "bad", tmp_path / "good"]
    for run, noise in zip(runs, (200, 40), strict=True):
        evaluate(find_sets("fishyscapes", world), Noisy(noise), ["bright"], run, tpr=0.9)
    found = paired(runs)
    assert [row.metric for row in found.rows] == ["AP", "AUROC", "best_F1"]
    (note,) = found.notes
    assert note.startswith("fishyscapes_static, bright: FPR90 is left out; the runs read it at the first threshold")


def test_means_over_frames_are_not_compared(tmp_path: Path) -> None:
    runs = [score_files(tmp_path / name, "caos", 1) for name in ("a", "b")]
    with pytest.raises(UserError, match=r"Nothing to compare\. town, mine: its figures are a mean over frames"):
        paired(runs)
    pooled = [score_files(tmp_path / f"{name}-pooled", "eam", 1) for name in ("a", "b")]
    for run, other in zip(runs, pooled, strict=True):
        for file in ("results.json", "frames.json"):
            content = json.loads((other / file).read_text())
            mean = json.loads((run / file).read_text())
            content["sets"]["streets"] = mean["sets"]["town"]
            (other / file).write_text(json.dumps(content))
    found = paired(pooled)
    assert {row.name for row in found.rows} == {"town"}
    assert found.notes[0].startswith("streets, mine: its figures are a mean over frames")


def test_what_only_one_run_has_is_named(world: Path, tmp_path: Path) -> None:
    one = judge(world, tmp_path / "one", 40, ("bright", "other"))
    found = paired([one, judge(world, tmp_path / "two", 40)])
    assert found.notes == ("Only in one: other on fishyscapes_static.",)
    assert {row.score for row in found.rows} == {"bright"}


def test_other_bytes_are_named(world: Path, tmp_path: Path) -> None:
    one, two = judge(world, tmp_path / "one", 40), judge(world, tmp_path / "two", 40)
    edit(two / "results.json", lambda content: content["sets"]["fishyscapes_static"].update(inputs_sha256="0" * 64))
    assert "other bytes" in paired([one, two]).notes[0]
    edit(two / "results.json", lambda content: content["sets"]["fishyscapes_static"].pop("inputs_sha256"))
    assert paired([one, two]).notes == ()


def test_other_frames_are_refused(world: Path, tmp_path: Path) -> None:
    one = judge(world, tmp_path / "one", 40)
    for folder in ("images", "labels_masks"):
        (world / folder / "7.png").unlink()
    with pytest.raises(UserError, match=r"different frames of fishyscapes_static: 1 is only in one, the first 7"):
        paired([one, judge(world, tmp_path / "two", 40)])


def test_other_labels_are_refused(world: Path, tmp_path: Path, frame: Draw) -> None:
    one = judge(world, tmp_path / "one", 40)
    frame(world / "images" / "2.png", world / "labels_masks" / "2.png", 2, void=False)
    with pytest.raises(UserError, match="Frame 2 of fishyscapes_static has other labels in the two runs"):
        paired([one, judge(world, tmp_path / "two", 40)])


def test_errors(world: Path, tmp_path: Path) -> None:
    one = judge(world, tmp_path / "one", 40)
    with pytest.raises(UserError, match=r"takes two runs, the baseline first; 1 were given"):
        paired([one])
    with pytest.raises(UserError, match="Neither run has the score 'msp'"):
        paired([one, one], ["msp"])
    two = judge(world, tmp_path / "two", 40, ("other",))
    with pytest.raises(UserError, match="one holds bright on fishyscapes_static; two holds other on"):
        paired([one, two])
    three = judge(world, tmp_path / "three", 40)

    def other_rules(content: dict[str, Any]) -> None:
        content["sets"]["fishyscapes_static"]["scores"]["bright"]["convention"]["fpr95"] = "another"

    edit(three / "results.json", other_rules)
    with pytest.raises(UserError, match="by different conventions"):
        paired([one, three])
    judge(world, three, 40)
    edit(three / "frames.json", lambda content: content["sets"]["fishyscapes_static"]["bright"].pop("3"))
    with pytest.raises(UserError, match=r"frames\.json and counts\.npz of three do not fit together"):
        paired([one, three])
    (three / "frames.json").write_text("{")
    with pytest.raises(UserError, match=r"frames\.json cannot be read"):
        paired([one, three])
    (three / "frames.json").write_text("[]")
    with pytest.raises(UserError, match="of schema 1"):
        paired([one, three])
    (three / "counts.npz").unlink()
    with pytest.raises(UserError, match="holds no figures of single frames"):
        paired([one, three])


def test_figures_without_counts_of_frames_are_named(tmp_path: Path, world: Path) -> None:
    runs = [judge(world, tmp_path / "one", 40), judge(world, tmp_path / "two", 90)]

    def add(content: dict[str, Any]) -> None:
        entry = content["sets"]["fishyscapes_static"]
        entry["scores"]["bright"]["metrics"] |= {"AP_binned": 0.5, "FPR95_binned": 0.5, "sIoU": 0.5, "F1_mean": 0.5}
        for found in (entry, content["sets"].setdefault("city", {})):
            found["segmentation"] = {"metrics": {"mIoU": 0.5, "mAcc": 0.5}}

    edit(runs[0] / "results.json", add)
    assert not paired(runs).notes  # the other run lacks them, so there is nothing to compare
    edit(runs[1] / "results.json", add)
    found = paired(runs)
    (note,) = found.notes
    assert note.startswith(
        "Not compared: AP_binned, FPR95_binned, sIoU, F1_mean on fishyscapes_static; mIoU, mAcc on "
        "fishyscapes_static; mIoU, mAcc on city. counts.npz holds"
    )
    assert {row.metric for row in found.rows} == {"AP", "AUROC", "FPR95", "best_F1"}


def test_many_names_that_do_not_match_are_a_short_sentence(world: Path, tmp_path: Path) -> None:
    one, two = judge(world, tmp_path / "one", 40), judge(world, tmp_path / "two", 40)

    def rename(content: dict[str, Any]) -> None:
        entry = content["sets"]["fishyscapes_static"]
        entry["scores"] = {f"s{place}": entry["scores"]["bright"] for place in range(20)}

    edit(one / "results.json", rename)
    with pytest.raises(UserError, match="--score-name") as told:
        paired([one, two])
    assert (
        "one holds s0 on fishyscapes_static, s1 on fishyscapes_static, s10 on fishyscapes_static and 17 more; "
        in (str(told.value))
    )
    three = judge(world, tmp_path / "three", 40)
    edit(one / "results.json", lambda content: content["sets"].update(b=content["sets"]["fishyscapes_static"]))
    edit(
        one / "results.json",
        lambda content: content["sets"].update(
            fishyscapes_static=json.loads((three / "results.json").read_text())["sets"]["fishyscapes_static"]
        ),
    )
    assert paired([one, three]).notes == ("Only in one: s0 on b, s1 on b, s10 on b and 17 more.",)
