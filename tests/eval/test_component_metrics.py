"""Component metrics against their definition, pixel by pixel, and against recorded values."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics import SIZES, ComponentMetrics, Sizes
from eval.metrics.component import TAUS, above, judge_components
from eval.metrics.runs import Components
from shards.errors import UserError

Pixels = set[tuple[int, int]]
SMALL = Sizes(predicted=4, labelled=3)


def flood(mask: np.ndarray) -> list[Pixels]:
    """8-connected components, by the first pixel of each in the order of rows."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    found = []
    for pixel in sorted(left):
        if pixel not in left:
            continue
        left.remove(pixel)
        component, edge = {pixel}, [pixel]
        while edge:
            y, x = edge.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            component |= near
            edge += near
        found.append(component)
    return found


def literal(mask: np.ndarray, label: np.ndarray, sizes: Sizes) -> tuple[list[float], list[float]]:
    """sIoU and PPV by sets of pixels."""
    labelled = flood(label == 1)
    truths = [truth for truth in labelled if len(truth) >= sizes.labelled]
    allowed = np.array(mask != 0) & (label != 255)
    for truth in labelled:
        if len(truth) < sizes.labelled:
            for pixel in truth:
                allowed[pixel] = False
    guesses = [guess for guess in flood(allowed) if len(guess) >= sizes.predicted]
    every: Pixels = set().union(*truths)
    siou = []
    for truth in truths:
        union: Pixels = set().union(*(guess for guess in guesses if guess & truth))
        siou.append(len(truth & union) / len((truth | union) - ((every - truth) & union)))
    return siou, [len(guess & every) / len(guess) for guess in guesses]


def blobs(rng: np.random.Generator, share: float, shape: tuple[int, int] = (26, 37)) -> np.ndarray:
    field = cv2.GaussianBlur(rng.random(shape), (0, 0), float(rng.uniform(0.4, 2)))
    found: np.ndarray = field > np.quantile(field, 1 - share)
    return found if share else np.zeros(shape, bool)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 100_000),
    anomaly=st.sampled_from([0.0, 0.1, 0.4]),
    predicted=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    void=st.sampled_from([0.0, 0.15, 1.0]),
    sizes=st.sampled_from([SMALL, Sizes(0, 0), Sizes(12, 30)]),
)
def test_equal_to_the_definition(seed: int, anomaly: float, predicted: float, void: float, sizes: Sizes) -> None:
    rng = np.random.default_rng(seed)
    label = blobs(rng, anomaly).astype(np.uint8)
    mask = blobs(rng, predicted) if rng.random() < 0.5 else (label == 1) ^ (blobs(rng, predicted) & blobs(rng, 0.3))
    label[blobs(rng, void) if void < 1 else ...] = 255
    found = judge_components(mask, label, sizes)
    siou, ppv = literal(mask, label, sizes)
    assert found.siou == pytest.approx(siou, abs=1e-12)
    assert found.ppv == pytest.approx(ppv, abs=1e-12)


def test_sets_are_counted_over_all_frames() -> None:
    rng = np.random.default_rng(5)
    metrics, turned = ComponentMetrics(SMALL), list[tuple[np.ndarray, np.ndarray, str]]()
    siou: list[float] = []
    ppv: list[float] = []
    for index in range(8):
        label, mask = blobs(rng, 0.2 if index else 0.0).astype(np.uint8), blobs(rng, 0.2 if index != 3 else 0.0)
        mask |= label.astype(bool) & blobs(rng, 0.8)
        one, other = literal(mask, label, SMALL)
        siou, ppv = siou + one, ppv + other
        metrics.add_mask(mask, label, str(index))
        turned.insert(0, (mask.astype(np.uint8) * 255, label, str(index)))
    result = metrics.result()
    assert result.siou == pytest.approx(sum(siou) / len(siou), abs=1e-12)
    assert result.ppv == pytest.approx(sum(ppv) / len(ppv), abs=1e-12)
    f1 = []
    for tau, count in zip(TAUS, result.counts, strict=True):
        tp, fn, fp = sum(v >= tau for v in siou), sum(v < tau for v in siou), sum(v < tau for v in ppv)
        assert (count.tau, count.tp, count.fn, count.fp) == (tau, tp, fn, fp)
        f1.append(2 * tp / (2 * tp + fn + fp))
    assert result.metrics == pytest.approx(
        {"sIoU": result.siou, "PPV": result.ppv, "F1_mean": sum(f1) / 11}, abs=1e-12
    )
    assert 0 < result.metrics["F1_mean"] < 1
    again = ComponentMetrics(SMALL)
    for frame in turned:
        again.add_mask(*frame)
    assert again.result() == result


def test_by_hand() -> None:
    label = np.zeros((6, 12), np.uint8)
    label[0:2, 0:4] = 1  # 8 pixels; joined at a corner with the next
    label[2:4, 4:6] = 1  # 4 pixels
    label[0:3, 9:11] = 1  # 6 pixels, a component of its own
    mask = np.zeros(label.shape, bool)
    mask[1, 2:11] = True  # 2 pixels on the first component, 2 on the second, 5 on neither
    found = judge_components(mask, label, Sizes(1, 1))
    assert found.siou == (2 / (12 + 5), 2 / (6 + 5))
    assert found.ppv == (4 / 9,)


def test_components_below_the_sizes() -> None:
    label = np.zeros((5, 9), np.uint8)
    label[0, :3], label[4, :2] = 1, 1
    mask = np.zeros(label.shape, bool)
    mask[0, :2], mask[4, :4] = True, True
    exact = judge_components(mask, label, Sizes(predicted=2, labelled=2))
    assert (exact.siou, exact.ppv) == ((2 / 3, 2 / 4), (1.0, 2 / 4))
    # The labelled pair becomes void, which takes two pixels from the prediction on it.
    fewer = judge_components(mask, label, Sizes(predicted=3, labelled=3))
    assert (fewer.siou, fewer.ppv) == ((0.0,), ())


def test_official_sizes() -> None:
    assert (SIZES["smiyc-anomaly"].predicted, SIZES["smiyc-anomaly"].labelled) == (500, 100)
    assert (SIZES["smiyc-obstacle"].predicted, SIZES["smiyc-obstacle"].labelled) == (50, 10)


def test_figures_that_do_not_exist() -> None:
    empty, known = np.zeros((4, 5), bool), np.zeros((4, 5), np.uint8)
    nothing = ComponentMetrics(SMALL)
    nothing.add_mask(empty, known)
    assert nothing.result().metrics == ComponentMetrics(SMALL).result().metrics == {}
    missed = ComponentMetrics(SMALL)
    missed.add_mask(empty, known + np.uint8(1))
    assert missed.result().metrics == {"sIoU": 0, "F1_mean": 0}
    invented = ComponentMetrics(SMALL)
    invented.add_mask(~empty, known)
    assert invented.result().metrics == {"PPV": 0, "F1_mean": 0}
    assert [count.fp for count in invented.result().counts] == [1] * 11


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("threshold", [0.5, 0.1, -0.1, 0.5000001, 1 / 3, 1e300, -1e300])
def test_above_means_above(kind: type, threshold: float) -> None:
    score = np.array([[0.5, np.nextafter(kind(0.5), kind(1)), 0.1, -0.1, 1 / 3]], kind)
    assert above(score, threshold).tolist() == [[float(value) > threshold for value in score[0]]]


def test_scores_and_their_mask_are_judged_alike() -> None:
    rng = np.random.default_rng(0)
    label, score = blobs(rng, 0.2).astype(np.uint8), cv2.GaussianBlur(rng.random((26, 37)), (0, 0), 1.5)
    by_score, by_mask = ComponentMetrics(SMALL), ComponentMetrics(SMALL)
    assert by_score.add(score, 0.5, label, "a") == by_mask.add_mask(score > 0.5, label, "a")
    assert by_score.result() == by_mask.result()


def test_doubles_are_cut_as_their_float32() -> None:
    # Thresholds are read from the rounded scores: 0.7 as a double lies above 0.7 as a float32.
    label = np.zeros((9, 9), np.uint8)
    label[2:6, 2:6] = 1
    doubles = np.where(label == 1, 0.7, 0.1)
    threshold = float(np.float32(0.7))
    assert threshold < 0.7
    for score in (doubles, doubles.astype(np.float32)):
        metrics = ComponentMetrics(SMALL)
        assert metrics.add(score, threshold, label).siou == (0,)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.95]), width=st.integers(1, 40))
def test_components_are_those_of_opencv(seed: int, share: float, width: int) -> None:
    mask = np.random.default_rng(seed).random((23, width)) < share
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    assert sorted(Components.of(mask).areas.tolist()) == sorted(stats[1:, cv2.CC_STAT_AREA].tolist())


def test_winding_components() -> None:
    comb = np.ones((40, 41), bool)
    comb[:-1, 1::2] = False  # twenty-one teeth that meet in the last row
    assert Components.of(comb).areas.tolist() == [comb.sum()]
    assert Components.of(comb[::-1]).areas.tolist() == [comb.sum()]
    board = np.indices((9, 9)).sum(0) % 2 == 0  # joined at corners only
    assert Components.of(board).areas.tolist() == [41]
    assert len(Components.of(np.zeros((3, 4), bool))) == 0
    assert Components.of(np.ones((3, 4), bool)).areas.tolist() == [12]


def test_bad_input_gets_a_sentence() -> None:
    metrics, label = ComponentMetrics(SMALL), np.zeros((2, 3), np.uint8)
    score = label.astype(np.float32)
    with pytest.raises(UserError, match=r"prediction of f has the shape \(3, 2\), its label \(2, 3\)"):
        metrics.add(score.T.copy(), 0.5, label, "f")
    with pytest.raises(UserError, match="score map of f holds 6 values that are NaN or infinite"):
        metrics.add(score * np.float32(np.nan), 0.5, label, "f")
    with pytest.raises(UserError, match=r"label of f holds the values \[2, 7\]"):
        metrics.add_mask(label, np.array([[0, 2, 7], [1, 255, 0]], np.uint8), "f")
    with pytest.raises(UserError, match="The threshold is nan; expected a number"):
        metrics.add(score, float("nan"), label)
    assert not metrics.frames


@pytest.mark.real
def test_golden(shared: Path) -> None:
    folder = shared / "golden" / "smiyc"
    recorded = json.loads((folder / "expected.json").read_text())
    assert recorded
    for name, entry in recorded.items():
        sizes = Sizes(entry["min_predicted_component"], entry["min_ground_truth_component"])
        assert sizes == SIZES[f"smiyc-{entry['track'].removesuffix('Track').lower()}"]
        metrics = ComponentMetrics(sizes)
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            for index in range(entry["frames"]):
                threshold = entry["official"]["pixel"]["best_f1_threshold"]
                metrics.add(arrays[f"score_{index}"], threshold, arrays[f"label_{index}"], str(index))
        result, wanted = metrics.result(), entry["official"]["component"]
        figures = {"sIoU": wanted["sIoU_gt"], "PPV": wanted["PPV"], "F1_mean": wanted["F1_mean"]}
        assert result.metrics == pytest.approx(figures, abs=1e-12), name
        assert [[c.tau, c.tp, c.fn, c.fp] for c in result.counts] == wanted["counts_tau_tp_fn_fp"], name
        for found, frame in zip(result.frames, entry["official"]["per_frame"], strict=True):
            assert found.siou == pytest.approx(frame["sIoU_gt"], abs=1e-12), name
            assert found.ppv == pytest.approx(frame["PPV"], abs=1e-12), name
