"""The page: one HTML file that holds everything, figures, curves and pictures, and opens anywhere.

Pictures are drawn from a few frames of each set, the worst and the best by the frame's own AP of the set's best
score; the predictor is asked again for those, so that an evaluation need not keep every map.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from eval.benchmarks import read_frame
from eval.predictor import Predictor
from eval.report.charts import Chart, precision_recall, roc
from eval.report.overlay import css_ramp, heat_map, outline, shrink, value_range
from eval.report.table import LOWER_IS_BETTER, METRICS, best, percent
from eval.run import AnomalySetResult, Results, SegmentationSetResult, predict, write_text
from shards.labels import IGNORE, TRAIN_CLASSES
from shards.progress import track

PAGE = "report.html"
_PICTURE_WIDTH = 640


@dataclass(frozen=True, slots=True)
class _Picture:
    """One frame on the page."""

    frame: str
    ap: str
    kind: str
    image: str
    heat: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class _Section:
    """One anomaly set on the page."""

    name: str
    found: AnomalySetResult
    rows: list[dict[str, Any]]
    charts: tuple[Chart, Chart]
    shown_score: str
    pictures: list[_Picture]


def write_page(results: Results, predictor: Predictor, out: Path, *, frames_per_set: int = 6) -> Path:
    """Write OUT/report.html.

    Args:
        results: from `evaluate`.
        predictor: the one that was judged; draws the chosen frames again.
        out: folder of the page.
        frames_per_set: at most so many pictures a set.

    Returns:
        The file.

    Raises:
        UserError: a frame is not readable any more, or the folder not writable.
    """
    judged = {name: found for name, found in results.sets.items() if isinstance(found, AnomalySetResult)}
    sections = [
        _section(name, found, predictor, frames_per_set)
        for name, found in track(judged.items(), "pictures", total=len(judged), unit="sets")
    ]
    html = _template().render(
        predictor=results.predictor,
        created_by=results.as_json()["created_by"],
        metrics=METRICS,
        ramp=css_ramp(),
        lower=LOWER_IS_BETTER,
        sections=sections,
        segmentations=[
            _segmentation(name, found)
            for name, found in results.sets.items()
            if isinstance(found, SegmentationSetResult)
        ],
    )
    write_text(out / PAGE, html)
    return out / PAGE


def choose_frames(frame_ap: Mapping[str, float], count: int) -> list[tuple[str, str]]:
    """The worst and the best frames, half and half: [("worst", frame), ..., ("best", frame)], each frame once."""
    order = sorted(frame_ap, key=lambda name: (frame_ap[name], name))
    if len(order) <= count:
        worst = (len(order) + 1) // 2
        return [("worst" if place < worst else "best", name) for place, name in enumerate(order)]
    worst = (count + 1) // 2
    tail = order[len(order) - (count - worst) :]
    return [("worst", name) for name in order[:worst]] + [("best", name) for name in tail]


def _section(name: str, found: AnomalySetResult, predictor: Predictor, count: int) -> _Section:
    metrics = {score: result.metrics for score, result in found.scores.items()}
    rows = [
        {
            "score": score,
            "number": number,
            "cells": [
                {
                    "text": percent(values[metric]),
                    "best": len(metrics) > 1 and values[metric] == best(metrics, metric),
                }
                for metric in METRICS
            ],
        }
        for number, (score, values) in enumerate(metrics.items())
    ]
    shown = max(metrics, key=lambda score: metrics[score]["AP"])
    frame_ap = {frame: values["AP"] for frame, values in found.frames[shown].items() if values is not None}
    frames = {frame.name: frame for frame in found.found.frames}
    pictures = []
    for kind, frame in choose_frames(frame_ap, count):
        image, label = read_frame(frames[frame])
        score = predict(predictor, image, (shown,), frame).scores[shown]
        limits = value_range(score[label != IGNORE])
        image, label, score = shrink(image, label, score, _PICTURE_WIDTH)
        pictures.append(
            _Picture(
                frame=frame,
                ap=percent(frame_ap[frame]),
                kind=kind,
                image=_jpeg(outline(image, label)),
                heat=_jpeg(outline(heat_map(image, score, limits), label, 1)),
                low=f"{limits[0]:.3g}",
                high=f"{limits[1]:.3g}",
            )
        )
    return _Section(name, found, rows, (precision_recall(found.scores), roc(found.scores)), shown, pictures)


def _segmentation(name: str, found: SegmentationSetResult) -> dict[str, Any]:
    return {
        "name": name,
        "frames": len(found.found.frames),
        "miou": percent(found.segmentation.miou),
        "macc": percent(found.segmentation.macc),
        "classes": [
            {
                "name": row.name,
                "color": "rgb({}, {}, {})".format(*row.color),
                "share": 0.0 if iou is None else round(100 * iou, 2),
                "text": "absent" if iou is None else percent(iou),
            }
            for row, iou in zip(TRAIN_CLASSES, found.segmentation.iou, strict=True)
        ],
    }


def _jpeg(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=82, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment.get_template("page.html.j2")
