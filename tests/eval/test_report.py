from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console, RenderableType

from eval.benchmarks import find_sets
from eval.metrics import PixelMetrics
from eval.metrics.bootstrap import FrameCounts
from eval.metrics.keys import frame_keys
from eval.predictor import Prediction, Predictor
from eval.report import comparison, load_results, tables, write_page
from eval.report.histogram import histogram, shares
from eval.report.operating import walk_along
from eval.report.overlay import OUTLINE, colors, heat_map, outline, value_range, with_legend
from eval.report.page import choose_frames
from eval.run import evaluate
from shards.errors import UserError


def text_of(*made: RenderableType, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in made:
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def write_results(folder: Path, ap: float, *, extra: bool = False) -> Path:
    folder.mkdir(parents=True)
    score = {"metrics": {"AP": ap, "AUROC": 0.9, "FPR95": 1 - ap}, "convention": {}}
    sets = {"A": {"benchmark": "x", "frames": 4, "scores": {"msp": score}}}
    if extra:
        sets["B"] = {"benchmark": "x", "frames": 1, "scores": {"energy": score}}
        sets["cityscapes"] = {
            "benchmark": "cityscapes",
            "frames": 2,
            "segmentation": {"metrics": {"mIoU": 0.5, "mAcc": 0.6}, "iou_per_class": {"road": 0.5, "car": None}},
        }
    (folder / "results.json").write_text(json.dumps({"schema": 1, "sets": sets}))
    return folder


def test_table_prints_percent(tmp_path: Path) -> None:
    printed = text_of(*tables(load_results(write_results(tmp_path / "run", 0.12345, extra=True))))
    assert re.search(r"A\s*│ msp\s*│\s*4 │\s*12\.35 │\s*90\.00 │\s*87\.6[56]", printed)
    assert re.search(r"cityscapes │\s*2 │\s*50\.00 │\s*60\.00 │\s*1", printed)


def test_comparison_shows_differences(tmp_path: Path) -> None:
    runs = [write_results(tmp_path / "before", 0.2), write_results(tmp_path / "after", 0.3, extra=True)]
    printed = text_of(*comparison([runs[0], runs[1] / "results.json"]))
    assert re.search(r"│ AP ↑\s*│ A\s*│ msp\s*│\s*20\.00 │\s*30\.00 │\s*\+10\.00 │", printed)
    assert re.search(r"│ AUROC ↑\s*│ A\s*│ msp\s*│\s*90\.00 │\s*90\.00 │\s*\+0\.00 │", printed)
    assert re.search(r"│ FPR95 ↓\s*│ A\s*│ msp\s*│\s*80\.00 │\s*70\.00 │\s*-10\.00 │", printed)
    # What the first run lacks is shown without a difference, and enters no mean.
    assert re.search(r"│ B\s*│ energy\s*│\s*- │\s*30\.00 │\s*│", printed)
    assert "mean over sets" not in printed
    # Segmentation has its own table.
    assert re.search(r"│ mIoU ↑ │ cityscapes │\s*- │\s*50\.00 │\s*│", printed)


def write_sets(folder: Path, aps: dict[str, dict[str, float]]) -> Path:
    """Results with the AP of each score in each set."""
    folder.mkdir()
    sets = {
        name: {"scores": {score: {"metrics": {"AP": ap, "AUROC": ap, "FPR95": ap}} for score, ap in scores.items()}}
        for name, scores in aps.items()
    }
    (folder / "results.json").write_text(json.dumps({"schema": 1, "sets": sets}))
    return folder


def test_comparison_ends_with_means_over_the_sets_of_all_runs(tmp_path: Path) -> None:
    before = write_sets(tmp_path / "before", {"A": {"msp": 0.1}, "B": {"msp": 0.3}, "C": {"msp": 0.9}})
    after = write_sets(tmp_path / "after", {"A": {"msp": 0.2, "void": 1.0}, "B": {"msp": 0.6}})
    printed = text_of(*comparison([before, after]))
    mean = r"│ mean over sets \(2\)\s*│ msp\s*│\s*20\.00 │\s*40\.00 │\s*\+20\.00 │"
    assert len(re.findall(mean, printed)) == 3
    assert printed.count("mean over sets") == 3


POOLED = {"pooling": "pixels of all frames", "ap": "step sum", "fpr95": "first threshold with TPR >= 0.95"}
MEAN = {**POOLED, "pooling": "mean over frames; frames of one class are passed over"}


def write_judged(folder: Path, ap: float, rules: dict[str, str], frames: int = 4) -> Path:
    """Results of two sets; of A by the rules given, of B by the usual ones."""
    folder.mkdir(parents=True)
    sets = {
        name: {
            "frames": count,
            "scores": {"msp": {"metrics": {"AP": ap, "AUROC": 0.9, "FPR95": 1 - ap}, "convention": convention}},
        }
        for name, count, convention in (("A", frames, rules), ("B", 7, POOLED))
    }
    (folder / "results.json").write_text(json.dumps({"schema": 1, "sets": sets}))
    return folder


def test_titles_come_from_the_conventions(tmp_path: Path) -> None:
    pooled, mean = write_judged(tmp_path / "pooled", 0.2, POOLED), write_judged(tmp_path / "mean", 0.2, MEAN)
    title = "Anomaly segmentation in %, pixels pooled per set"
    for printed, is_pooled in (
        (text_of(*comparison([pooled, pooled])), True),
        (text_of(*tables(load_results(pooled))), True),
        (text_of(*comparison([mean, mean])), False),
        (text_of(*tables(load_results(mean))), False),
    ):
        assert (title in " ".join(printed.split())) == is_pooled
    assert f"{MEAN['pooling']} or {POOLED['pooling']};" in " ".join(text_of(*comparison([mean, mean])).split())
    both = json.loads((mean / "results.json").read_text())
    del both["sets"]["B"]
    (mean / "results.json").write_text(json.dumps(both))
    for printed in (text_of(*comparison([mean, mean])), text_of(*tables(load_results(mean)))):
        assert f"Anomaly segmentation in %, {MEAN['pooling']}" in " ".join(printed.split())
        assert POOLED["pooling"] not in printed


def test_runs_may_read_fpr_at_other_rates(tmp_path: Path) -> None:
    one = write_judged(tmp_path / "one", 0.2, POOLED)
    two = write_judged(tmp_path / "two", 0.3, POOLED)
    content = json.loads((two / "results.json").read_text())
    for entry in content["sets"].values():
        found = entry["scores"]["msp"]
        found["metrics"]["FPR90"] = found["metrics"].pop("FPR95")
        found["convention"]["fpr90"] = found["convention"].pop("fpr95")
    (two / "results.json").write_text(json.dumps(content))
    printed = text_of(*comparison([one, two]))
    assert re.search(r"│ FPR95 ↓\s*│ A\s*│ msp\s*│\s*80\.00 │\s*- │\s*│", printed)
    assert re.search(r"│ FPR90 ↓\s*│ A\s*│ msp\s*│\s*- │\s*70\.00 │\s*│", printed)
    assert "differ" not in printed
    assert printed.count("mean over sets (2)") == 2


@pytest.mark.parametrize(
    ("rules", "frames", "apart", "sentence"),
    [
        (POOLED, 30, ("AP", "AUROC", "FPR95"), "A: two judged 30 frames, one 4"),
        (MEAN, 4, ("AP", "AUROC", "FPR95"), "A, msp: two and one differ in pooling: 'mean over"),
        (
            {**POOLED, "fpr95": "first threshold with TPR > 0.95"},
            4,
            ("FPR95",),
            "A, msp: two and one differ in fpr95: 'first threshold with TPR > 0.95' and 'first threshold with TPR >=",
        ),
    ],
)
def test_figures_that_do_not_compare_are_marked(
    tmp_path: Path, rules: dict[str, str], frames: int, apart: tuple[str, ...], sentence: str
) -> None:
    runs = [write_judged(tmp_path / "one", 0.2, POOLED), write_judged(tmp_path / "two", 0.3, rules, frames)]
    printed = text_of(*comparison(runs), width=200)
    expected = {"AP": "+10.00", "AUROC": "+0.00", "FPR95": "-10.00"}
    blocks = re.split(r"│ (?=AP|AUROC|FPR95)", printed)[1:]
    assert len(blocks) == 3
    for block in blocks:
        metric = block.split()[0]
        lines = block.splitlines()
        assert ("*" in lines[0]) == (metric in apart)
        assert (expected[metric] in lines[0]) != (metric in apart)
        assert expected[metric] in lines[1]  # set B compares
        assert ("mean over sets" in block) == (metric not in apart)  # of two sets that compare
    assert f"* {sentence}" in " ".join(printed.split())
    assert "differ" not in text_of(*comparison([runs[0], runs[0]]))


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("run", ["run", "a-run-with-a-long-name-"])
def test_comparison_loses_nothing_in_any_terminal(tmp_path: Path, width: int, count: int, run: str) -> None:
    sets = {name: {"maxlogit": 1.0} for name in ("fishyscapes_lostandfound", "dataset_ObstacleTrack")}
    runs = [write_sets(tmp_path / f"{run}{place}", sets) for place in range(count)]
    made = comparison(runs, ["maxlogit"], width)
    printed = text_of(*made, width=width)
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= width
    assert printed.count("maxlogit") == 9 * len(made)
    if run == "run":  # long names of runs may cost the sets a line break
        assert printed.count("fishyscapes_lostandfound") == 3 * len(made)
    # Every run's figures for three metrics, two sets and their mean; the first run's in every table.
    assert printed.count("100.00") == 9 * (count + len(made) - 1)


def test_names_are_no_markup(tmp_path: Path) -> None:
    runs = [write_sets(tmp_path / name, {"set[/]": {"msp": 0.5}}) for name in ("run[v2]", "[b]x")]
    printed = text_of(*comparison(runs))
    for name in ("run[v2]", "[b]x", "set[/]"):
        assert name in printed
    results = load_results(write_results(tmp_path / "a", 0.5, extra=True))
    results["sets"]["[/]"] = results["sets"].pop("cityscapes")
    assert "[/]" in text_of(*tables(results))


def test_comparison_tells_equal_folder_names_apart(tmp_path: Path) -> None:
    printed = text_of(*comparison([write_results(tmp_path / name / "eval", 0.2) for name in ("a", "b")]))
    assert "a/eval" in printed
    assert "b/eval" in printed


def test_comparison_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No runs"):
        comparison([])
    run = write_results(tmp_path / "run", 0.5)
    with pytest.raises(UserError, match=r"No run has the score 'enrgy'\. The runs have: msp\."):
        comparison([run], ["msp", "enrgy"])
    with pytest.raises(UserError, match=r"Cannot read .*results\.json"):
        comparison([tmp_path])
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        comparison([tmp_path])
    (tmp_path / "results.json").write_text('{"schema": 9}')
    with pytest.raises(UserError, match="no evaluation results of schema 1"):
        comparison([tmp_path])


def test_page_holds_everything_itself(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    sets = find_sets("smiyc", worlds) + find_sets("roadanomaly", worlds)
    page = write_page(evaluate(sets, predictor), predictor, tmp_path / "out", frames_per_set=2)
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert str(tmp_path) not in html
    assert html.count("data:image/jpeg;base64,") == 3 * 2 * 2
    drawn = [ElementTree.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]
    charts = [chart for chart in drawn if chart.attrib["data-kind"] != "histogram"]
    histograms = [chart for chart in drawn if chart.attrib["data-kind"] == "histogram"]
    assert len(charts) == len(histograms) == 6
    for chart in charts:
        assert len(chart.findall("polyline")) == len(chart.findall("circle")) == 2
    assert [chart.attrib["data-score"] for chart in histograms] == ["bright", "dark"] * 3
    for chart in histograms:
        assert [shape.attrib["class"] for shape in chart.findall("polygon")] == ["known", "anomaly"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    for word in ("dataset_AnomalyTrack", "RoadAnomaly_jpg", "bright", "recall", "false positive rate", "toy"):
        assert word in html


def test_page_spreads_what_is_described_within(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    results = evaluate(find_sets("roadanomaly", worlds), predictor)
    nested = replace(
        results, predictor={**results.predictor, "chain": {"size": [64, 32], "segmenter": {"name": "x"}}}
    )
    html = write_page(nested, predictor, tmp_path / "out").read_text(encoding="utf-8")
    assert "<dt>chain size</dt><dd>64, 32</dd>" in html
    assert "<dt>chain segmenter name</dt><dd>x</dd>" in html


def test_page_shows_intervals_and_inputs(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    results = evaluate(find_sets("roadanomaly", worlds), predictor)
    html = write_page(results, predictor, tmp_path / "out").read_text(encoding="utf-8")
    entry = results.as_json()["sets"]["RoadAnomaly_jpg"]
    assert entry["inputs_sha256"] in html
    for found in entry["scores"].values():
        for row in found["intervals"]:
            assert f"[{100 * row['low']:.2f}, {100 * row['high']:.2f}]" in html
    # The figures that the script shows are those of each frame.
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)[0])["sets"][0]
    for score, frames in results.frames()["sets"]["RoadAnomaly_jpg"].items():
        assert data["frames"][score] == [pytest.approx(list(found.values()), abs=1e-6) for found in frames.values()]


def scored_frames(seed: int, shift: float = 1.0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    labels = [(rng.random((30, 40)) < 0.2).astype(np.uint8) for _ in range(4)]
    return [((rng.normal(size=label.shape) + shift * label).astype(np.float32), label) for label in labels]


def test_histogram_counts_every_pixel_once() -> None:
    frames = scored_frames(1)
    made = shares([FrameCounts.of(frame_keys(*frame)) for frame in frames], bars=20)
    assert not made.log
    scores, labels = (np.stack(parts) for parts in zip(*frames, strict=True))
    for side, found in ((0, made.known), (1, made.anomaly)):
        # What lies beyond the ends is counted into the last bars.
        inside = scores[labels == side].clip(made.edges[0], made.edges[-1])
        expected = np.histogram(inside, made.edges)[0] / inside.size
        assert found.sum() == pytest.approx(1)
        # A pixel near an edge may lie on either side of it: bars end in float64, scores are float32.
        assert np.abs(found - expected).max() < 0.01
    assert made.edges[0] == pytest.approx(np.quantile(scores[labels == 0], 0.001), abs=0.2)


def test_histogram_of_probabilities_is_logarithmic() -> None:
    frames = [(np.exp(4 * score).astype(np.float32), label) for score, label in scored_frames(2)]
    made = shares([FrameCounts.of(frame_keys(*frame)) for frame in frames])
    assert made.log
    assert np.allclose(np.diff(np.log(made.edges)), np.diff(np.log(made.edges))[0])
    assert made.known.sum() == pytest.approx(1)


@pytest.mark.parametrize("value", [0.0, -0.0, 3.5, -7.0])
def test_histogram_of_one_score(value: float) -> None:
    label = np.eye(4, dtype=np.uint8)
    made = shares([FrameCounts.of(frame_keys(np.full((4, 4), value, np.float32), label))])
    assert made.edges[0] <= value <= made.edges[-1]
    assert made.edges[-1] - made.edges[0] <= 1
    assert made.known.sum() == made.anomaly.sum() == pytest.approx(1)
    zeros = np.where(label == 1, 0.25, 0.0).astype(np.float32)
    half = shares([FrameCounts.of(frame_keys(zeros, label))])
    assert not half.log
    assert half.known[0] == half.anomaly[-1] == pytest.approx(1)
    assert histogram("x", [FrameCounts.of(frame_keys(zeros, label))]).low == 0


def test_the_slider_walks_along_the_curve() -> None:
    pool = PixelMetrics()
    frames = scored_frames(3)
    for score, label in frames:
        pool.add(score, label)
    result = pool.result()
    found = walk_along(result)
    assert len(found.threshold) <= 242
    assert (np.diff(found.threshold) > 0).all()
    assert (np.diff(found.tpr) <= 0).all()
    assert (np.diff(found.fpr) <= 0).all()
    assert found.threshold[found.start] == result.point.threshold
    assert (found.fpr[found.start], found.tpr[found.start]) == (result.fpr, result.tpr)
    scores, labels = (np.stack(parts) for parts in zip(*frames, strict=True))
    for place in (0, 20, found.start, found.best, len(found.threshold) - 1):
        called = scores >= np.float32(found.threshold[place])
        assert found.tpr[place] == pytest.approx(called[labels == 1].mean())
        assert found.fpr[place] == pytest.approx(called[labels == 0].mean())
        assert found.precision[place] == pytest.approx(labels[called].mean())
    f1 = 2 * found.precision[found.best] * found.tpr[found.best] / (found.precision + found.tpr)[found.best]
    assert f1 == pytest.approx(result.best_f1, abs=1e-12)
    assert found.threshold[found.best] == result.best_threshold


def test_page_predicts_few_frames(
    tmp_path: Path, predictor: Predictor, frame: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(9):
        frame(
            tmp_path / "fs_x" / "images" / f"{index}.png", tmp_path / "fs_x" / "labels_masks" / f"{index}.png", index
        )
    results = evaluate(find_sets("fishyscapes", tmp_path), predictor)
    asked: list[Sequence[str]] = []
    inner = predictor.predict

    def counting(image: np.ndarray, scores: Sequence[str], *, semantic: bool = False) -> Prediction:
        asked.append(scores)
        return inner(image, scores, semantic=semantic)

    monkeypatch.setattr(predictor, "predict", counting)
    write_page(results, predictor, tmp_path / "out")
    assert len(asked) == 6
    assert all(len(scores) == 1 for scores in asked)


def test_names_are_escaped(worlds: Path, tmp_path: Path, predictor: Predictor) -> None:
    folder = worlds / "RoadAnomaly_jpg"
    folder.rename(worlds / "RoadAnomaly <b>&x")
    html = write_page(evaluate(find_sets("roadanomaly", worlds), predictor), predictor, tmp_path).read_text()
    assert "<b>" not in html
    assert "RoadAnomaly &lt;b&gt;&amp;x" in html


def test_choice_of_frames() -> None:
    aps = {name: place / 10 for place, name in enumerate("abcdefgh")}
    assert choose_frames(aps, 4) == [("worst", "a"), ("worst", "b"), ("best", "g"), ("best", "h")]
    assert [name for _, name in choose_frames(aps, 1)] == ["a"]
    assert choose_frames({"a": 0.1}, 6) == [("worst", "a")]
    assert choose_frames({}, 6) == []
    assert len(choose_frames(aps, 8)) == len({name for _, name in choose_frames(aps, 8)}) == 8


def test_colors_get_brighter() -> None:
    ramp = colors(np.linspace(-0.5, 1.5, 50)).astype(int)
    assert (np.diff(ramp @ [3, 6, 1]) >= 0).all()


def test_overlay_marks_the_anomaly() -> None:
    image = np.full((20, 30, 3), 100, np.uint8)
    label = np.zeros((20, 30), np.uint8)
    label[8:12, 10:15] = 1
    marked = outline(image, label)
    assert (marked[7, 12] == OUTLINE).all()
    assert (marked[9, 12] == 100).all()
    assert (image == 100).all()
    score = np.zeros((20, 30), np.float32)
    score[label == 1] = 5
    heat = heat_map(image, score).astype(int)
    assert heat[9, 12].sum() > heat[0, 0].sum()


def test_flat_scores_have_a_range() -> None:
    flat = np.full((4, 4), 2.5, np.float32)
    low, high = value_range(flat)
    assert low < high
    assert with_legend(np.zeros((4, 9, 3), np.uint8), "msp", (low, high)).shape[1] == 9


TRUE_SET = {"pixels": {"known": 900, "anomaly": 40, "ignore": 60}, "inputs_sha256": "a" * 64}
SENTENCES = {
    "pixels": "A: two and one judged other frames or labels: their pixels are 800 and 900 known, 140 and 40 anomaly.",
    "inputs_sha256": "A: two and one judged files of other bytes: their inputs_sha256 begin with "
    "bbbbbbbbbbbb and aaaaaaaaaaaa.",
}


def of_other_frames(folder: Path, key: str = "") -> list[Path]:
    """Two runs of as many frames of sets of one name, whose first set tells that it is another one by a key."""
    runs = [write_judged(folder / "one", 0.2, POOLED), write_judged(folder / "two", 0.3, POOLED)]
    others = {"pixels": {"known": 800, "anomaly": 140, "ignore": 60}, "inputs_sha256": "b" * 64}
    for run, further in zip(runs, (TRUE_SET, {**TRUE_SET, **{k: others[k] for k in [key] if k}}), strict=True):
        content = json.loads((run / "results.json").read_text())
        content["sets"]["A"] |= further
        (run / "results.json").write_text(json.dumps(content))
    return runs


@pytest.mark.parametrize("key", ["pixels", "inputs_sha256"])
def test_name_and_number_of_frames_do_not_make_a_set_the_same(tmp_path: Path, key: str) -> None:
    printed = text_of(*comparison(of_other_frames(tmp_path, key)), width=200)
    blocks = re.split(r"│ (?=AP|AUROC|FPR95)", printed)[1:]
    assert len(blocks) == 3
    for block in blocks:
        first, second = block.splitlines()[:2]
        assert re.search(r"\* │$", first.strip())
        assert not re.search(r"[+-]\d", first)
        assert re.search(r"[+-]\d+\.\d\d", second)  # set B compares
        assert "mean over sets" not in block
    assert f"* {SENTENCES[key]}" in " ".join(printed.split())


def test_sets_of_the_same_frames_compare(tmp_path: Path) -> None:
    printed = text_of(*comparison(of_other_frames(tmp_path)), width=200)
    assert "*" not in printed
    assert printed.count("+10.00") == 3
    # Runs of files have no digest of the whole set; what is missing tells nothing.
    runs = of_other_frames(tmp_path / "files")
    content = json.loads((runs[1] / "results.json").read_text())
    del content["sets"]["A"]["inputs_sha256"]
    (runs[1] / "results.json").write_text(json.dumps(content))
    assert "*" not in text_of(*comparison(runs), width=200)


def test_scores_without_one_name_in_common_get_a_hint(tmp_path: Path) -> None:
    names = ("msp", "energy", "maxlogit", "entropy")
    one = write_sets(tmp_path / "one", {"A": dict.fromkeys(names, 0.5), "B": {"msp": 0.5}})
    two = write_sets(tmp_path / "two", {"A": {"score": 0.5}})
    printed = " ".join(text_of(*comparison([one, two]), width=200).split())
    hint = "one and two have no score of one name (msp, energy, maxlogit and 1 more; score)"
    assert printed.count(hint) == 1
    assert "--score-name NAME" in printed
    assert "--score-name" not in text_of(*comparison([one, one]), width=200)
    # Two runs of different sets lack more than a name.
    assert "--score-name" not in text_of(*comparison([one, write_sets(tmp_path / "C", {"C": {"x": 0.5}})]), width=200)
