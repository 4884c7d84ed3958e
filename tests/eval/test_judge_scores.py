"""Score maps judged under every protocol, whole and in parts, against scikit-learn and the golden values."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from eval.frame_figures import load_counts
from eval.judge_scores import NO_COMPONENTS, count_scores, judge_scores, merge_parts, results_of
from eval.metrics import PixelMetrics
from eval.protocols import PROTOCOLS, Protocol
from eval.score_counts import ScoreCounts
from eval.scoremaps import find_pairs
from shards.errors import UserError

Frames = Sequence[tuple[np.ndarray, np.ndarray]]
POOLED = [name for name, protocol in PROTOCOLS.items() if protocol.pooling == "pooled"]


def make_frames(count: int = 4, *, ties: bool = False, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        mask = rng.choice(np.array([0, 1, 255], np.uint8), (23, 31), p=[0.8, 0.1, 0.1])
        score = (rng.normal(size=mask.shape) + 1.5 * (mask == 1)).astype(np.float32)
        frames.append((np.round(score) if ties else score, mask))
    return frames


STORED: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "2-is-anomaly": lambda mask: np.where(mask == 1, 2, mask),
    "streethazards": lambda mask: np.where(mask == 1, 14, 5),
    "lostandfound": lambda mask: np.select([mask == 255, mask == 1], [0, 7], 1),
}


def lay_out(folder: Path, frames: Frames, protocol: Protocol = PROTOCOLS["eam"]) -> tuple[Path, Path]:
    """Folders with a score map and a label for every frame, the labels stored as the protocol expects them."""
    scores, labels = folder / "maps", folder / "town"
    for place in (scores, labels):
        place.mkdir(parents=True, exist_ok=True)
    for index, (score, mask) in enumerate(frames):
        np.save(scores / f"f{index}.npy", score)
        stored = STORED.get(protocol.encoding, lambda mask: mask)(mask).astype(np.uint8)
        Image.fromarray(stored).save(labels / f"f{index}_labels.png")
    return scores, labels


def judge(folder: Path, frames: Frames, name: str = "eam", **options: Any) -> dict[str, Any]:
    """The entry of the score in results.json."""
    protocol = PROTOCOLS[name]
    paired = find_pairs(*lay_out(folder, frames, protocol), protocol)
    return dict(judge_scores(paired, protocol, **options).as_json()["sets"]["town"]["scores"]["score"])


def oracle(score: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    truth, values = mask[mask != 255], score[mask != 255].astype(np.float64)
    fpr, tpr, _ = roc_curve(truth, values, drop_intermediate=False)
    return {
        "AP": average_precision_score(truth, values),
        "AUROC": roc_auc_score(truth, values),
        "FPR95": fpr[np.flatnonzero(tpr >= 0.95)[0]],
    }


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", POOLED)
def test_pooled_protocols(tmp_path: Path, name: str, ties: bool) -> None:
    frames = make_frames(ties=ties)
    found = judge(tmp_path, frames, name)
    score, mask = np.concatenate([score for score, _ in frames]), np.concatenate([mask for _, mask in frames])
    expected = oracle(score, mask)
    metrics = PixelMetrics()
    metrics.add(score, mask)
    expected["FPR95"] = metrics.result(reach=PROTOCOLS[name].reach).fpr
    assert {key: found["metrics"][key] for key in expected} == pytest.approx(expected, abs=1e-9)
    assert found["protocol"] == name
    assert ("AP_binned" in found["metrics"]) == PROTOCOLS[name].binned
    assert all(0 <= value <= 1 for value in found["metrics"].values())
    intervals = {interval["of"]: interval for interval in found["intervals"]}
    assert ("FPR95" in intervals) == (PROTOCOLS[name].reach == "first")
    assert all(one["low"] - 0.02 <= found["metrics"][key] <= one["high"] + 0.02 for key, one in intervals.items())


def test_reaches_differ_and_are_told(tmp_path: Path) -> None:
    # 20 anomalies above each other with a known pixel between each two: TPR .95 is met exactly by the 19th.
    score = np.arange(40, 0, -1, dtype=np.float32)[None]
    mask = np.tile(np.array([1, 0], np.uint8), 20)[None]
    expected = {"fishyscapes": 18 / 20, "densehybrid": 19 / 20, "pebal": 19 / 20}
    told = {"fishyscapes": "TPR >= 0.95", "densehybrid": "TPR > 0.95", "pebal": "nearest to 0.95"}
    for name, fpr in expected.items():
        found = judge(tmp_path / name, [(score, mask)], name)
        assert found["metrics"]["FPR95"] == fpr
        assert told[name] in found["convention"]["fpr95"]


def test_caos_takes_the_mean_over_frames(tmp_path: Path) -> None:
    frames = make_frames(5)
    frames[1] = (frames[1][0], np.zeros_like(frames[1][1]))
    frames[3] = (frames[3][0], np.ones_like(frames[3][1]))
    found = judge(tmp_path, frames, "caos")
    # The official evaluator has no void: what is no anomaly is known.
    alone = [oracle(score, np.where(mask == 1, 1, 0)) for score, mask in (frames[i] for i in (0, 2, 4))]
    for metric in ("AP", "AUROC"):
        assert found["metrics"][metric] == pytest.approx(np.mean([one[metric] for one in alone]), abs=1e-9)
    assert (found["frames_judged"], found["frames_of_one_class"]) == (3, 2)
    assert found["convention"]["pooling"].startswith("mean over frames")
    assert "nearest" in found["convention"]["fpr95"]
    assert "threshold95" not in found


def test_caos_without_a_frame_of_both_classes(tmp_path: Path) -> None:
    frames = [(score, np.full_like(mask, index)) for index, (score, mask) in enumerate(make_frames(2))]
    with pytest.raises(UserError, match="No frame of town holds both an anomaly and known pixels"):
        judge(tmp_path, frames, "caos")


def without_components(results: dict[str, Any]) -> dict[str, Any]:
    """What parts can give: components need the maps themselves."""
    results = json.loads(json.dumps(results))
    for entry in results["sets"].values():
        entry["notes"] = [note for note in entry["notes"] if note != NO_COMPONENTS]
        for score in entry["scores"].values():
            score.pop("component_convention", None)
            score["intervals"] = [row for row in score["intervals"] if row["of"] not in ("sIoU", "PPV", "F1_mean")]
            for metric in ("sIoU", "PPV", "F1_mean"):
                score["metrics"].pop(metric, None)
    return dict(results)


@pytest.mark.parametrize("name", ["smiyc-anomaly", "caos"])
@pytest.mark.parametrize("cuts", [[1], [2, 3], [1, 2, 3]])
def test_parts_are_judged_as_the_whole(tmp_path: Path, name: str, cuts: list[int]) -> None:
    protocol = PROTOCOLS[name]
    scores, labels = lay_out(tmp_path, make_frames(4, ties=True), protocol)
    whole = judge_scores(find_pairs(scores, labels, protocol), protocol, "energy", source="maps").as_json()
    parts = []
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, 4], strict=True)):
        place = tmp_path / f"part{number}"
        place.mkdir()
        for index in range(start, end):
            (place / f"f{index}.npy").write_bytes((scores / f"f{index}.npy").read_bytes())
        paired = find_pairs(place, labels, protocol, part=True)
        counts = count_scores(paired, protocol, "energy", "maps")
        with pytest.raises(UserError, match=r"of 4 frames of town are in no part, the first f\d: give all parts"):
            results_of([counts])
        parts.append(tmp_path / "parts" / f"{number}.npz")
        counts.save(parts[-1])
    merged = merge_parts(parts).as_json()
    assert merge_parts(parts[::-1]).as_json() == merged
    assert without_components(merged) == without_components(whole)
    assert ("component_convention" in whole["sets"]["town"]["scores"]["energy"]) == (name == "smiyc-anomaly")
    assert (NO_COMPONENTS in merged["sets"]["town"]["notes"]) == (name == "smiyc-anomaly")
    assert NO_COMPONENTS not in whole["sets"]["town"]["notes"]
    if len(parts) > 2:
        with pytest.raises(UserError, match="frames of town are in no part"):
            merge_parts(parts[1:])
    with pytest.raises(UserError, match=r"0\.npz does not fit to the parts before it: .* be counted in two parts"):
        merge_parts([*parts, parts[0]])


def saved(folder: Path, name: str, set_name: str = "town", score: str = "energy") -> Path:
    protocol = PROTOCOLS[name]
    paired = find_pairs(*lay_out(folder / name, make_frames(2), protocol), protocol, name=set_name)
    path = folder / f"{name}-{set_name}-{score}.npz"
    count_scores(paired, protocol, score, "maps").save(path)
    return path


def test_parts_of_several_sets_and_scores_stand_beside_each_other(tmp_path: Path) -> None:
    files = [saved(tmp_path, "eam", place, score) for place in ("town", "road") for score in ("energy", "msp")]
    results = merge_parts(files, tmp_path / "out").as_json()
    assert {name: list(entry["scores"]) for name, entry in results["sets"].items()} == {
        "town": ["energy", "msp"],
        "road": ["energy", "msp"],
    }
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results


def test_parts_that_do_not_belong_together(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rba-.*does not fit .*differ in their protocol: 'eam' and 'rba'"):
        merge_parts([saved(tmp_path, "eam"), saved(tmp_path, "rba")])
    with pytest.raises(UserError, match="No parts: give the files"):
        merge_parts([])


def judged_apart(folder: Path, other: Sequence[tuple[np.ndarray, np.ndarray]], **about: Any) -> None:
    """Judge two scores of one set, the second over other frames."""
    protocol = PROTOCOLS["eam"]
    parts = []
    for score, frames in (("energy", make_frames(3)), ("msp", other)):
        paired = find_pairs(*lay_out(folder / score, frames, protocol), protocol)
        parts.append(count_scores(paired, protocol, score))
    for key, value in about.items():
        parts[1].about = replace(parts[1].about, **{key: value})
    results_of(parts)


def test_scores_of_one_set_are_of_the_same_frames(tmp_path: Path) -> None:
    frames = make_frames(3)
    judged_apart(tmp_path / "alike", [(score + 1, mask) for score, mask in frames])
    with pytest.raises(
        UserError, match=r"energy and msp of town were counted over different frames: 1 only in energy, .* f2\."
    ):
        judged_apart(tmp_path / "fewer", frames[:2])
    with pytest.raises(UserError, match=r"different frames: 1 only in msp, the first f3\."):
        judged_apart(tmp_path / "more", make_frames(4))
    frames[1][1][:] = 255 - frames[1][1] // 255 * 255
    with pytest.raises(UserError, match=r"counted over different labels: \d+ known, \d+ anomaly and \d+ void and"):
        judged_apart(tmp_path / "labels", frames)
    changes = {"layout": "flat", "benchmark": "smiyc", "protocol": "rba", "tpr": 0.9, "part": "AnomalyTrack"}
    for key, value in changes.items():
        with pytest.raises(UserError, match=rf"differ in their {key}: .* and {value!r}"):
            judged_apart(tmp_path / key, make_frames(3), **{key: value})


@pytest.mark.parametrize("damage", ["gone", "empty", "half", "text", "array", "other"])
def test_broken_parts_are_named(tmp_path: Path, damage: str) -> None:
    path = saved(tmp_path, "smiyc-anomaly")
    whole = path.read_bytes()
    path.unlink()
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "other":
        np.savez(path, score=np.zeros((3, 4)))
    elif damage != "gone":
        path.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "text": b"x\n"}[damage])
    with pytest.raises(UserError, match=r"smiyc-anomaly-town-energy\.npz (cannot be read|is no part that)"):
        ScoreCounts.load(path)


def test_parts_of_another_version_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, "eam")
    with np.load(path) as arrays:
        content = dict(arrays)
    for change, sentence in (
        ({"part": 9}, "its schema is 9"),
        ({"about": {}}, "or is cut off: count it again"),
        ({"frames": 3}, "or is cut off: count it again"),
    ):
        text = json.loads(content["part"].tobytes()) | change
        np.savez(path, **content | {"part": np.frombuffer(json.dumps(text).encode(), np.uint8)})
        with pytest.raises(UserError, match=rf"is no part that .*{sentence}"):
            ScoreCounts.load(path)


def other_pool() -> dict[str, np.ndarray]:
    """A pool of other pixels."""
    metrics = PixelMetrics()
    metrics.add(*make_frames(1, seed=9)[0])
    return metrics.state()


@pytest.mark.parametrize("name", ["smiyc-anomaly", "caos"])
def test_parts_whose_pieces_do_not_fit_together_are_refused(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, name)
    with np.load(path) as arrays:
        content = dict(arrays)
    text = json.loads(content["part"].tobytes())
    first = text["frames"]["f0"]
    known = first["pixels"]["known"]
    changes: list[tuple[dict[str, Any], str]] = [
        ({"metrics": {"AP": 0.5}}, "f0 has the figures"),
        ({"metrics": {**first["metrics"], "AP": 1.5}}, "f0 has the figures"),
        ({"metrics": dict.fromkeys(first["metrics"], "high")}, "or is cut off: count it again"),
        ({"hashes": "0"}, "the hashes of f0 are broken|or is cut off: count it again"),
        ({"kind": "int8"}, "the score map of f0 holds int8"),
        ({"rounded": None}, "or is cut off: count it again|rounded.bins is uint32 of shape"),
        ({"rounded": 1}, "rounded.bins is uint32 of shape"),
        ({"pixels": {**first["pixels"], "known": 3}}, "the known pixels of f0 do not add up"),
        ({"pixels": {"known": known}}, "the anomaly pixels of f0 do not add up"),
    ]
    if name == "smiyc-anomaly":
        changes.append(({"bins": 1}, "bins.thresholds is float64 of shape"))
    broken = [({"frames": {**text["frames"], "f0": first | change}}, sentence) for change, sentence in changes]
    broken += [
        (
            {"frames": {**text["frames"], "f9": {**first, "rounded": 0, "bins": None}}},
            "of f9 do not|of f9 is missing",
        ),
        ({"frames": {"f0": first}}, "is uint32 of shape"),
        ({"missing": ["f0"]}, "its frames do not fit"),
    ]
    for change, sentence in broken:
        np.savez(path, **content | {"part": np.frombuffer(json.dumps(text | change).encode(), np.uint8)})
        with pytest.raises(UserError, match=rf"is no part that .*({sentence})"):
            merge_parts([path])
    pool = {f".{key}": array for key, array in other_pool().items()}
    assert pool.keys() <= content.keys()
    np.savez(path, **content | pool)
    with pytest.raises(UserError, match=r"is no part that .*its known pixels do not add up"):
        merge_parts([path])
    np.savez(path, **content)
    merge_parts([path])


def test_results_have_the_schema_of_the_other_evals(tmp_path: Path) -> None:
    frames = make_frames(2)
    protocol = PROTOCOLS["fishyscapes"]
    paired = find_pairs(*lay_out(tmp_path, frames), protocol)
    results = judge_scores(paired, protocol, "mine", source="maps", out=tmp_path / "out").as_json()
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results
    assert (results["schema"], results["predictor"]) == (1, {"score_maps": ["maps"]})
    entry = results["sets"]["town"]
    assert (entry["benchmark"], entry["layout"], entry["frames"], entry["notes"]) == (None, "files", 2, [])
    assert (entry["labels"], entry["part"], entry["options"]) == (["0 known, 1 anomaly, 255 ignore"], "", {})
    masks = np.concatenate([mask for _, mask in frames])
    assert entry["pixels"] == {
        name: int((masks == value).sum()) for name, value in (("known", 0), ("anomaly", 1), ("ignore", 255))
    }
    assert set(entry["scores"]["mine"]["metrics"]) == {"AP", "AUROC", "FPR95", "best_F1"}


def test_components_are_those_of_the_official_threshold(tmp_path: Path) -> None:
    # A found object, a missed one and an invented one, each large enough to count; a small one that is not.
    mask, score = np.zeros((100, 200), np.uint8), np.zeros((100, 200), np.float32)
    mask[10:40, 10:40] = mask[60:75, 150:165] = 1
    score[10:40, 10:40] = np.linspace(2, 3, 900).reshape(30, 30)
    score[50:80, 50:80] = score[5, 100:110] = 3
    found = judge(tmp_path, [(score, mask)], "smiyc-anomaly")["metrics"]
    # The threshold may cut off the few pixels that are at it.
    assert (found["sIoU"], found["PPV"]) == pytest.approx((0.5, 0.5), abs=0.005)
    assert found["F1_mean"] == pytest.approx(2 / (2 + 1 + 1))
    assert "sIoU" not in judge(tmp_path, [(score, mask)], "fishyscapes")["metrics"]


def test_doubles_and_their_float32_copies_have_the_same_figures(tmp_path: Path) -> None:
    # Scores as a method of segments gives them; the best threshold is 0.7, and as a double that lies above itself.
    mask, score = np.zeros((100, 200), np.uint8), np.full((100, 200), 0.1)
    mask[10:45, 10:70] = 1
    score[10:45, 10:70] = score[60:90, 10:60] = 0.7
    score[60:95, 120:190] = 0.3
    found = [
        judge(tmp_path / kind, [(score.astype(kind), mask)] * 2, "smiyc-anomaly") for kind in ("float64", "float32")
    ]
    assert found[0]["component_threshold"] == found[1]["component_threshold"] == np.float32(0.7)
    assert found[0]["metrics"] == found[1]["metrics"]
    assert "sIoU" in found[0]["metrics"]


def test_component_intervals_do_not_depend_on_where_the_files_lie(tmp_path: Path) -> None:
    rng, frames = np.random.default_rng(0), []
    for _ in range(8):
        mask, score = np.zeros((60, 80), np.uint8), rng.normal(0, 0.1, (60, 80)).astype(np.float32)
        (y, x), shift = rng.integers(0, 40, 2), rng.integers(0, 15)
        mask[y : y + 18, x : x + 18] = 1
        score[y + shift : y + 18 + shift, x : x + 18] += 1
        frames.append((score, mask))
    protocol = PROTOCOLS["smiyc-obstacle"]
    scores, labels = lay_out(tmp_path, frames)
    found = []
    for place in ("flat", "deep"):
        for index, path in enumerate(sorted(scores.rglob("*.npy"))):
            target = tmp_path / place / (f"part{9 - index}" if place == "deep" else "") / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        results = judge_scores(find_pairs(tmp_path / place, labels, protocol), protocol).as_json()
        found.append(results["sets"]["town"]["scores"]["score"])
    assert found[0]["intervals"] == found[1]["intervals"]
    assert {"sIoU", "PPV", "F1_mean"} <= {row["of"] for row in found[0]["intervals"]}


def test_frames_and_inputs_are_recorded(tmp_path: Path) -> None:
    frames = make_frames(3)
    frames[1] = (frames[1][0], np.zeros_like(frames[1][1]))
    protocol = PROTOCOLS["eam"]
    scores, labels = lay_out(tmp_path, frames)

    def again() -> Any:
        results = judge_scores(find_pairs(scores, labels, protocol), protocol, "mine", out=tmp_path / "out")
        return results.as_json()["sets"]["town"]["scores"]["mine"]["inputs_sha256"]

    before = again()
    alone = json.loads((tmp_path / "out" / "frames.json").read_text())["sets"]["town"]["mine"]
    assert alone["f1"] is None
    for name, index in (("f0", 0), ("f2", 2)):
        expected = oracle(*frames[index])
        assert {key: alone[name][key] for key in expected} == pytest.approx(expected, abs=1e-9)
    assert [frame.known.sum() for frame in load_counts(tmp_path / "out" / "counts.npz")["town"]["mine"]] == [
        (mask == 0).sum() for _, mask in frames
    ]
    assert again() == before
    np.save(scores / "f1.npy", frames[1][0] + 1)
    assert again() != before


def test_float16_is_judged_as_it_is(tmp_path: Path) -> None:
    frames = [(score.astype(np.float64) * 3, mask) for score, mask in make_frames()]
    half = [(score.astype(np.float16), mask) for score, mask in frames]
    rounded = [(score.astype(np.float32), mask) for score, mask in half]
    assert judge(tmp_path / "a", half)["metrics"] == judge(tmp_path / "b", rounded)["metrics"]
    assert judge(tmp_path / "a", half)["metrics"] != judge(tmp_path / "c", frames)["metrics"]


def test_what_the_maps_hold_is_recorded(tmp_path: Path) -> None:
    doubles = [(score.astype(np.float64) / 3, mask) for score, mask in make_frames(3)]
    kinds: dict[str, Frames] = {
        "float16": [(score.astype(np.float16), mask) for score, mask in doubles],
        "float32": make_frames(3),
        "float64": doubles,
        "exact": [(score.astype(np.float64), mask) for score, mask in make_frames(3)],
        "mixed": [*make_frames(2), doubles[2]],
    }
    expected = {
        "float16": (["float16"], ["float16"], 0),
        "float32": (["float32"], ["float32"], 0),
        "float64": (["float64"], ["float32"], 3),
        "exact": (["float64"], ["float32"], 0),  # each of these float64 values is a float32
        "mixed": (["float32", "float64"], ["float32"], 1),
    }
    protocol = PROTOCOLS["eam"]
    for name, (stored, judged, rounded) in expected.items():
        paired = find_pairs(*lay_out(tmp_path / name, kinds[name]), protocol)
        path = tmp_path / f"{name}.npz"
        count_scores(paired, protocol, "mine").save(path)
        for results in (judge_scores(paired, protocol, "mine"), merge_parts([path])):
            entry = results.as_json()["sets"]["town"]
            assert (entry["scores"]["mine"]["stored_as"], entry["scores"]["mine"]["judged_as"]) == (stored, judged)
            note = f"mine: the float64 values of {rounded} of 3 score maps were rounded to float32"
            assert [text.startswith(note) for text in entry["notes"]] == [True] * bool(rounded)


def test_progress_tells_of_frames_that_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add, printed = ScoreCounts.add, []

    def slow_add(self: ScoreCounts, *arguments: Any) -> None:
        add(self, *arguments)
        printed.append(capsys.readouterr().err)

    monkeypatch.setattr(ScoreCounts, "add", slow_add)
    judge(tmp_path, make_frames(3))
    assert len(printed) == 3
    assert "town: " not in "".join(printed)
    assert "town: 3/3 frames" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["smiyc-obstacle", "caos", "rba"])
def test_the_number_of_threads_changes_nothing(tmp_path: Path, name: str) -> None:
    protocol, written = PROTOCOLS[name], []
    paired = find_pairs(*lay_out(tmp_path, make_frames(7, ties=True), protocol), protocol)
    for threads in (1, 3):
        out = tmp_path / str(threads)
        judge_scores(paired, protocol, "mine", source="maps", out=out, workers=threads)
        count_scores(paired, protocol, "mine", "maps", workers=threads).save(out / "part.npz")
        merge_parts([out / "part.npz"], out / "merged")
        written.append({str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.json")})
        written[-1]["counts"] = (out / "counts.npz").read_bytes()
    assert len(written[0]) == 7
    assert written[0] == written[1]


def test_the_first_broken_frame_is_told_whatever_the_threads(tmp_path: Path) -> None:
    frames = make_frames(6)
    for index in (2, 3, 5):
        frames[index][0][0, 0] = np.nan
    for threads in (1, 4):
        with pytest.raises(UserError, match=r"f2\.npy holds 1 values that are NaN"):
            judge(tmp_path, frames, workers=threads)


@pytest.mark.parametrize("tpr", [0.8, 0.95])
def test_another_true_positive_rate(tmp_path: Path, tpr: float) -> None:
    frames, name = make_frames(3), f"FPR{100 * tpr:g}"
    pool = PixelMetrics()
    for frame in frames:
        pool.add(*frame)
    found = judge(tmp_path, frames, tpr=tpr)
    assert found["metrics"] == pool.result(tpr=tpr).metrics
    assert name in found["metrics"]
    assert found[f"threshold{100 * tpr:g}"] == pool.result(tpr=tpr).point.threshold
    assert (name in {row["of"] for row in found["intervals"]}) == (tpr == 0.95)
    with pytest.raises(UserError, match="--tpr is a share of the anomaly pixels"):
        judge(tmp_path, frames, tpr=1.5)


def test_sizes_that_differ(tmp_path: Path) -> None:
    frames = make_frames(2)
    frames[1] = (frames[1][0][:-1], frames[1][1])
    with pytest.raises(UserError, match=r"f1\.npy has 31x22 pixels but its label .*f1_labels\.png 31x23"):
        judge(tmp_path, frames, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite(tmp_path: Path, value: float) -> None:
    frames = make_frames(2)
    frames[1][0][0, 0] = value
    with pytest.raises(UserError, match=r"f1\.npy holds 1 values that are NaN or infinite"):
        judge(tmp_path, frames, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_doubles_beyond_float32(tmp_path: Path) -> None:
    frames = [(score.astype(np.float64) * 1e300, mask) for score, mask in make_frames(1)]
    with pytest.raises(UserError, match=r"The score map of .*f0\.npy holds \d+ values that are NaN or infinite"):
        judge(tmp_path, frames)


def test_labels_that_are_void_everywhere(tmp_path: Path) -> None:
    frames = make_frames(3)
    frames[2] = (frames[2][0], np.full_like(frames[2][1], 255))
    with pytest.raises(UserError, match=r"The label .*f2_labels\.png is void everywhere .*hidden test labels"):
        judge(tmp_path, frames)


@pytest.mark.parametrize(("value", "sentence"), [(0, "hold no anomaly pixel"), (1, "hold no known pixel")])
def test_sets_of_one_class(tmp_path: Path, value: int, sentence: str) -> None:
    frames = [(score, np.full_like(mask, value)) for score, mask in make_frames(2)]
    with pytest.raises(UserError, match=rf"The labels of town {sentence}"):
        judge(tmp_path, frames, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_label_with_strange_values(tmp_path: Path) -> None:
    frames = [(score, np.where(mask == 1, 2, mask)) for score, mask in make_frames(1)]
    with pytest.raises(UserError, match=r"f0_labels\.png holds the values 2; expected 0 known, 1 anomaly"):
        judge(tmp_path, frames)


def test_torch_is_not_imported(tmp_path: Path) -> None:
    scores, labels = lay_out(tmp_path, make_frames(2))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from eval.judge_scores import judge_scores\n"
        "from eval.protocols import PROTOCOLS\n"
        "from eval.scoremaps import find_pairs\n"
        "import eval.submission\n"
        "rules = PROTOCOLS['smiyc-anomaly']\n"
        "pairs = find_pairs(Path(sys.argv[1]), Path(sys.argv[2]), rules)\n"
        "judge_scores(pairs, rules, out=Path(sys.argv[3]))\n"
        "print({'torch', 'torchvision', 'train', 'pipelines', 'h5py'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", code, str(scores), str(labels), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2] == "set()"
    assert (tmp_path / "out" / "results.json").is_file()


def golden(shared: Path, folder: Path, name: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Our figures of a recorded set, and what was recorded."""
    expected = json.loads((shared / "golden" / "smiyc" / "expected.json").read_text())[name]
    with np.load(shared / "golden" / "smiyc" / f"{name}.npz") as arrays:
        frames = [(arrays[f"score_{i}"], arrays[f"label_{i}"]) for i in range(expected["frames"])]
    protocol = "smiyc-anomaly" if expected["track"] == "AnomalyTrack" else "smiyc-obstacle"
    return judge(folder, frames, protocol)["metrics"], expected


GOLDEN = [f"set0{number}" for number in range(8)]


@pytest.mark.real
@pytest.mark.parametrize("name", GOLDEN)
def test_the_official_area(shared: Path, tmp_path: Path, name: str, sorts_as_recorded: None) -> None:
    metrics, expected = golden(shared, tmp_path, name)
    assert metrics["AP_binned"] == pytest.approx(expected["official"]["pixel"]["AP"], abs=1e-9)


@pytest.mark.real
@pytest.mark.parametrize("name", GOLDEN)
def test_the_official_figures(shared: Path, tmp_path: Path, name: str) -> None:
    metrics, expected = golden(shared, tmp_path, name)
    assert {key: metrics[key] for key in ("AP", "AUROC", "FPR95")} == pytest.approx(
        expected["exact_pooled"], abs=1e-9
    )
    official = expected["official"]["pixel"]
    assert metrics["FPR95_binned"] == pytest.approx(official["FPR95"], abs=1e-9)
    components = expected["official"]["component"]
    names = {"sIoU": "sIoU_gt", "PPV": "PPV", "F1_mean": "F1_mean"}
    assert {key: metrics[key] for key in names} == pytest.approx(
        {key: components[name] for key, name in names.items()}, abs=1e-9
    )
