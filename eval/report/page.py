"""The page: one HTML file that holds everything, figures, curves, pictures and a script, and opens anywhere.

Pictures are drawn from a few frames of each set, the worst and the best by the frame's own AP of the set's best
score; the predictor is asked again for those, or their files are read again (`eval/pictures.py`), so that an
evaluation need not keep every map.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from eval.files import write_text
from eval.pictures import Pictures, PredictedPictures, Shown
from eval.predictor import Predictor
from eval.report.charts import BOX, Chart, precision_recall, roc
from eval.report.columns import columns_of, fpr_of, head, lower_is_better, parts_of, percent
from eval.report.histogram import Histogram, histogram
from eval.report.operating import walk_along
from eval.report.overlay import css_ramp, heat_map, outline, shrink, value_range
from eval.results import AnomalySetResult, Results, SegmentationSetResult
from shards.labels import IGNORE, TRAIN_CLASSES
from shards.plural import plural
from shards.progress import track

PAGE = "report.html"
_PICTURE_WIDTH = 640
_CONVENTIONS = {
    "convention": "Exact figures",
    "binned_convention": "AP_binned and FPR95_binned",
    "component_convention": "sIoU, PPV and F1_mean",
}
"""Keys of a score's entry in results.json, and what the page calls them."""
_CLASS_CONVENTIONS = {"convention": "mIoU and mAcc", "open_convention": "open_mIoU"}
"""The same of a set's `segmentation`."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """One frame on the page."""

    frame: str
    place: int
    """Of the frame in its set."""
    ap: str
    kind: str
    image: str
    heat: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class _Section:
    """One anomaly set on the page.

    Attributes:
        number: from 1; part of the elements' names.
        name: of the set.
        found: what came out on it.
        metrics: the columns of its table.
        rows: one a score.
        conventions: how its figures are meant, by title: the exact ones, what the official evaluator adds, and those
            of the known classes.
        charts: precision-recall and ROC.
        histograms: one a score.
        shown_score: the one that the pictures are of, and that the page opens with.
        pictures: the worst and the best frames.
        frame_columns: the columns of the table of frames.
        frame_rows: its rows.
    """

    number: int
    name: str
    found: AnomalySetResult
    metrics: list[str]
    rows: list[dict[str, Any]]
    conventions: list[tuple[str, Mapping[str, str]]]
    charts: tuple[Chart, Chart]
    histograms: list[Histogram]
    shown_score: str
    pictures: list[_Picture]
    frame_columns: list[str]
    frame_rows: list[dict[str, Any]]

    @property
    def tables(self) -> list[tuple[str, list[str]]]:
        """Titles and columns of the tables of figures: one would be too wide for both kinds."""
        first, *others = parts_of(self.metrics)
        exact, further = self.metrics[: first.columns], self.metrics[first.columns :]
        return [("Exact figures", exact), ("As the official evaluator has them", further)][: 2 if others else 1]

    @property
    def tpr(self) -> str:
        """The true positive rate of the operating point, in %."""
        return f"{100 * self.found.tpr:g}"

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script needs."""
        return {
            "number": self.number,
            "box": BOX,
            "top": self.charts[0].top,
            "metrics": self.frame_columns[2:],
            "walks": {score: walk_along(result).as_json() for score, result in self.found.scores.items()},
            "histograms": {
                drawn.name: {"low": drawn.low, "high": drawn.high, "log": drawn.log} for drawn in self.histograms
            },
            "frames": {
                score: [
                    None if figures is None else [round(value, 6) for value in figures.values()]
                    for figures in frames.values()
                ]
                for score, frames in self.found.frames.items()
            },
        }


def _flat(described: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """What is described within what is described, under joint names such as `chain segmenter sha256`."""
    flat: dict[str, Any] = {}
    for name, value in described.items():
        flat |= _flat(value, f"{before}{name} ") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return flat


def write_page(
    results: Results, predictor: Predictor | Pictures | None, out: Path, *, frames_per_set: int = 6
) -> Path:
    """Write OUT/report.html.

    Args:
        results: from `evaluate` or `judge_scores`.
        predictor: the one that was judged, to draw the chosen frames again, or where else their pictures come from;
            without it the page has none.
        out: folder of the page.
        frames_per_set: at most so many pictures a set.

    Returns:
        The file.

    Raises:
        UserError: a frame is not readable any more, or the folder not writable.
    """
    judged = {name: found for name, found in results.sets.items() if isinstance(found, AnomalySetResult)}
    pictures = PredictedPictures(results, predictor) if isinstance(predictor, Predictor) else predictor
    sections = [
        _section(number, name, found, pictures, frames_per_set)
        for number, (name, found) in enumerate(track(judged.items(), "pictures", total=len(judged), unit="sets"), 1)
    ]
    html = _template().render(
        predictor=_flat(results.predictor),
        versions=results.versions,
        ramp=css_ramp(),
        lower=lower_is_better,
        overview=_overview(sections) if len(sections) > 1 else [],
        sections=sections,
        data=_json({"sets": [section.data for section in sections]}),
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


def _overview(sections: list[_Section]) -> list[dict[str, Any]]:
    """A table of AP and one of FPR: a row a set, a column a score."""
    names = dict.fromkeys(row["score"] for section in sections for row in section.rows)
    tables = []
    for metric in ("AP", fpr_of(sections[0].found.metrics(sections[0].shown_score))):
        rows = []
        for section in sections:
            cells = {row["score"]: row["cells"].get(metric) for row in section.rows}
            rows.append(
                {"number": section.number, "name": section.name, "cells": [cells.get(name) for name in names]}
            )
        tables.append({"head": head(metric), "scores": list(enumerate(names)), "rows": rows})
    return tables


def _section(number: int, name: str, found: AnomalySetResult, look: Pictures | None, count: int) -> _Section:
    content = found.as_json()
    entries: dict[str, dict[str, Any]] = content["scores"]
    metrics = {score: entry["metrics"] for score, entry in entries.items()}
    columns = columns_of(list(metrics.values()))
    rows = [
        {
            "score": score,
            "number": place,
            "cells": {metric: _cell(metric, score, metrics, entry["intervals"]) for metric in columns},
        }
        for place, (score, entry) in enumerate(entries.items())
    ]
    shown = max(metrics, key=lambda score: metrics[score]["AP"])
    frame_ap = {frame: values["AP"] for frame, values in found.frames[shown].items() if values is not None}
    places = {frame: place for place, frame in enumerate(found.frames[shown])}
    pictures = []
    if look is not None:
        for kind, frame in choose_frames(frame_ap, count):
            seen = look(name, frame, shown)
            pictures.append(_picture(seen, frame, places[frame], kind, percent(frame_ap[frame])))
    return _Section(
        number=number,
        name=name,
        found=found,
        metrics=columns,
        rows=rows,
        conventions=[
            (title, entry[key])
            for entry, titles in (
                (next(iter(entries.values())), _CONVENTIONS),
                (content.get("segmentation", {}), _CLASS_CONVENTIONS),
            )
            for key, title in titles.items()
            if key in entry
        ],
        charts=(precision_recall(found.scores), roc(found.scores)),
        histograms=[histogram(score, counts) for score, counts in found.counts.items()],
        shown_score=shown,
        pictures=pictures,
        frame_columns=["frame", "anomaly pixels, %", *_frame_metrics(found, shown)],
        frame_rows=_frame_rows(found, shown, {picture.frame for picture in pictures}),
    )


def _picture(seen: Shown, frame: str, place: int, kind: str, ap: str) -> _Picture:
    limits = value_range(seen.score[seen.label != IGNORE])
    image, label, score = shrink(seen.image, seen.label, seen.score, _PICTURE_WIDTH)
    return _Picture(
        frame=frame,
        place=place,
        ap=ap,
        kind=kind,
        image=_jpeg(outline(image, label)),
        heat=_jpeg(outline(heat_map(image, score, limits), label, 1)),
        low=f"{limits[0]:.3g}",
        high=f"{limits[1]:.3g}",
    )


def _cell(
    metric: str, score: str, metrics: Mapping[str, Mapping[str, float]], intervals: list[dict[str, Any]]
) -> dict[str, Any]:
    """One figure: its text, its interval, and whether it is the best of several."""
    if metric not in metrics[score]:
        return {"text": "-", "range": "", "best": False}
    values = [of_score[metric] for of_score in metrics.values() if metric in of_score]
    best = (min if lower_is_better(metric) else max)(values)
    ranges = [f"[{percent(row['low'])}, {percent(row['high'])}]" for row in intervals if row["of"] == metric]
    value = metrics[score][metric]
    return {"text": percent(value), "range": "".join(ranges), "best": len(values) > 1 and value == best}


def _frame_metrics(found: AnomalySetResult, shown: str) -> list[str]:
    return next((list(values) for values in found.frames[shown].values() if values is not None), [])


def _frame_rows(found: AnomalySetResult, shown: str, drawn: set[str]) -> list[dict[str, Any]]:
    """The table of frames; the figures of other scores are put in by the script."""
    columns = _frame_metrics(found, shown)
    rows = []
    for place, ((frame, figures), counts) in enumerate(
        zip(found.frames[shown].items(), found.counts[shown], strict=True)
    ):
        anomaly, known = int(counts.anomaly.sum()), int(counts.known.sum())
        share = f"{100 * anomaly / (anomaly + known):.3f}" if anomaly + known else "-"
        cells = ["-"] * len(columns) if figures is None else [percent(figures[column]) for column in columns]
        rows.append({"place": place, "frame": frame, "shown": frame in drawn, "cells": [share, *cells]})
    return rows


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


def _json(content: Mapping[str, Any]) -> Markup:
    """JSON for a script element: no text in it can end the element."""
    return Markup(json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))


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
    environment.filters["plural"] = plural
    return environment.get_template("page.html.j2")
