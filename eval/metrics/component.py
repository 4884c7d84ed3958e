"""Component metrics of SegmentMeIfYouCan: how well whole objects are found, large or small alike.

Chan et al., "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation" (NeurIPS Datasets and Benchmarks 2021), section
3.2. Components are 8-connected. Void pixels are predicted as known. Labelled components under a size become void
first, then predicted components under another size are dropped (`SIZES`). With k a labelled component, K the union of
the predicted components that touch it, A all labelled components:

    sIoU(k)  = |k & K| / |(k | K) without the pixels of K on other labelled components|
             = |k & K| / (|k| + |K without A|)
    PPV(p)   = |p & A| / |p|                                       for a predicted component p
    F1(tau)  = 2 TP / (2 TP + FN + FP),    TP = #(sIoU >= tau), FN = #(sIoU < tau), FP = #(PPV < tau)

TP, FN and FP are summed over all frames. F1_mean is the mean of F1 over tau = 0.25, 0.30, ..., 0.75; sIoU and PPV are
means over the components of all frames. The official evaluator predicts an anomaly where the score is *above* the
threshold with the best F1 of its own curve on the same frames (`BinnedResult.best_threshold`).

Each frame is taken apart once (`runs.py`), and one table holds the pixels that each pair of components shares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float16, Float32, Float64, Int64, UInt8

from eval.metrics.keys import as_judged
from eval.metrics.runs import Components
from shards.errors import UserError
from shards.labels import ANOMALY, IGNORE, KNOWN

TAUS: Final = tuple(percent / 100 for percent in range(25, 80, 5))
"""What sIoU and PPV are compared with."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Components of fewer pixels do not count.

    Attributes:
        predicted: smaller predicted components are dropped.
        labelled: smaller labelled components become void.
    """

    predicted: int
    labelled: int


SIZES: Final[Mapping[str, Sizes]] = {
    "smiyc-anomaly": Sizes(predicted=500, labelled=100),
    "smiyc-obstacle": Sizes(predicted=50, labelled=10),
}
"""The official sizes, by protocol."""


def convention(sizes: Sizes) -> dict[str, str]:
    """How the figures of `ComponentMetrics` are meant; stands beside them in results.json."""
    return {
        "connectivity": "8",
        "sizes": f"{sizes.predicted} pixels or more predicted, {sizes.labelled} or more labelled",
        "prediction": "score above the threshold",
        "mean": "components of all frames",
        "f1": f"mean over {len(TAUS)} tau from {TAUS[0]:g} to {TAUS[-1]:g}, counts summed over frames",
        "void": "predicted as known",
    }


@dataclass(frozen=True, slots=True)
class FrameComponents:
    """What came out on one frame.

    Attributes:
        frame: its name.
        siou: one value for each labelled component, 0..1; 0 where it was missed.
        ppv: one value for each predicted component, 0..1; 0 where it touches none.
    """

    frame: str
    siou: tuple[float, ...]
    ppv: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TauCounts:
    """Components that count as found, missed and invented at one tau.

    Attributes:
        tau: what sIoU and PPV are compared with.
        tp: labelled components with sIoU >= tau.
        fn: labelled components with a lower one.
        fp: predicted components with PPV < tau.
    """

    tau: float
    tp: int
    fn: int
    fp: int

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FN + FP); None where there is no component of either kind."""
        among = 2 * self.tp + self.fn + self.fp
        return 2 * self.tp / among if among else None


@dataclass(frozen=True, slots=True)
class ComponentResult:
    """The figures of one set; all of them fractions, 0..1.

    Attributes:
        siou: mean sIoU; None where no component is labelled.
        ppv: mean PPV; None where none is predicted.
        f1_mean: mean of F1 over tau; None where neither is.
        counts: TP, FN and FP at each tau.
        frames: every frame's own, sorted by name.
    """

    siou: float | None
    ppv: float | None
    f1_mean: float | None
    counts: tuple[TauCounts, ...]
    frames: tuple[FrameComponents, ...]

    @property
    def metrics(self) -> Mapping[str, float]:
        """The published figures under their published names; those that exist."""
        figures = {"sIoU": self.siou, "PPV": self.ppv, "F1_mean": self.f1_mean}
        return {name: value for name, value in figures.items() if value is not None}


class ComponentMetrics:
    """Collects frames with `add` or `add_mask`, judges the set with `result`.

    Args:
        sizes: which components count; one of `SIZES` for official figures.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.frames: list[FrameComponents] = []

    def add(
        self,
        score: Float16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"],
        threshold: float,
        label: UInt8[np.ndarray, "rows columns"],
        frame: str = "frame",
    ) -> FrameComponents:
        """Judge a frame whose anomaly lies where the score is above a threshold.

        Args:
            score: (H, W), finite, larger = more anomalous; float64 is rounded to float32, as for the curve that the
                threshold is read from.
            threshold: a pixel at it is no anomaly yet.
            label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
            frame: its name, for the error and the result.

        Raises:
            UserError: the sizes differ; the score holds NaN or infinity; the threshold is none; the label holds
                another value. Nothing is added then.
        """
        return self.add_mask(above(as_judged(score), threshold, frame), label, frame)

    def add_mask(
        self,
        mask: Bool[np.ndarray, "h w"] | UInt8[np.ndarray, "h w"],
        label: UInt8[np.ndarray, "rows columns"],
        frame: str = "frame",
    ) -> FrameComponents:
        """Judge a frame whose anomaly is given, as a method may hand in masks of its own.

        Args:
            mask: (H, W), anything but 0 is an anomaly.
            label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
            frame: its name, for the error and the result.

        Raises:
            UserError: the sizes differ; the label holds another value. Nothing is added then.
        """
        found = judge_components(mask, label, self.sizes, frame)
        self.frames.append(found)
        return found

    def result(self) -> ComponentResult:
        """Judge the set; figures that do not exist for it are None."""
        siou = [value for found in self.frames for value in found.siou]
        ppv = [value for found in self.frames for value in found.ppv]
        counts = tuple(_at(tau, siou, ppv) for tau in TAUS)
        return ComponentResult(
            siou=_mean(siou),
            ppv=_mean(ppv),
            f1_mean=_mean([count.f1 for count in counts if count.f1 is not None]),
            counts=counts,
            frames=tuple(sorted(self.frames, key=lambda found: found.frame)),
        )


def above(
    score: Float16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"],
    threshold: float,
    frame: str = "frame",
) -> Bool[np.ndarray, "h w"]:
    """Where the score is above a threshold, compared as exact numbers whatever the precision of the score.

    Raises:
        UserError: the score holds NaN or infinity; the threshold is NaN or infinite.
    """
    if not math.isfinite(threshold):
        raise UserError(f"The threshold is {threshold}; expected a number.")
    broken = score.size - int(np.count_nonzero(np.isfinite(score)))
    if broken:
        raise UserError(
            f"The score map of {frame} holds {broken} values that are NaN or infinite; they must be finite."
        )
    # A threshold in the precision of the scores is compared fast; rounded down it decides the same.
    values = score.astype(np.float32) if score.dtype == np.float16 else score
    with np.errstate(over="ignore"):
        edge = values.dtype.type(threshold)
    return values > (np.nextafter(edge, values.dtype.type(-np.inf)) if float(edge) > threshold else edge)


def judge_components(
    mask: Bool[np.ndarray, "h w"] | UInt8[np.ndarray, "h w"],
    label: UInt8[np.ndarray, "rows columns"],
    sizes: Sizes,
    frame: str = "frame",
) -> FrameComponents:
    """Judge the components of one frame.

    Args:
        mask: (H, W), anything but 0 is predicted as an anomaly.
        label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
        sizes: which components count.
        frame: its name, for the error and the result.

    Raises:
        UserError: the sizes differ; the label holds another value.
    """
    if mask.shape != label.shape:
        raise UserError(f"The prediction of {frame} has the shape {mask.shape}, its label {label.shape}.")
    known, anomaly, ignore = label == KNOWN, label == ANOMALY, label == IGNORE
    if sum(map(np.count_nonzero, (known, anomaly, ignore))) != label.size:
        strange = sorted(set(np.unique(label).tolist()) - {KNOWN, ANOMALY, IGNORE})
        raise UserError(f"The label of {frame} holds the values {strange}; expected 0, 1 and 255 only.")
    truths = Components.of(anomaly)
    judged = truths.areas >= sizes.labelled
    visible = (mask != 0) & ~ignore
    truths.erase(visible, ~judged)
    guesses = Components.of(visible)
    counted = guesses.areas >= sizes.predicted
    rows, columns, pixels = truths.shared(guesses)
    hits = np.bincount(columns, pixels, len(guesses)).astype(np.int64)
    # Only predicted components that touch a labelled one have a column: few, however noisy the prediction.
    touching = counted & (hits > 0)
    table = _table(judged, touching, rows, columns, pixels)
    siou = table.sum(1) / (truths.areas[judged] + (table > 0) @ (guesses.areas - hits)[touching])
    ppv = hits[counted] / guesses.areas[counted]
    return FrameComponents(frame, tuple(siou.tolist()), tuple(ppv.tolist()))


def _table(
    judged: Bool[np.ndarray, " labelled"],
    touching: Bool[np.ndarray, " predicted"],
    rows: Int64[np.ndarray, " k"],
    columns: Int64[np.ndarray, " k"],
    pixels: Int64[np.ndarray, " k"],
) -> Int64[np.ndarray, "rows columns"]:
    """Pixels that each labelled component which is judged shares with each predicted one that touches any."""
    kept = judged[rows] & touching[columns]
    height, width = int(judged.sum()), int(touching.sum())
    places = (np.cumsum(judged) - 1)[rows[kept]] * width + (np.cumsum(touching) - 1)[columns[kept]]
    return np.bincount(places, pixels[kept], height * width).reshape(height, width).astype(np.int64)


def _at(tau: float, siou: list[float], ppv: list[float]) -> TauCounts:
    found = sum(value >= tau for value in siou)
    return TauCounts(tau, found, len(siou) - found, sum(value < tau for value in ppv))


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
