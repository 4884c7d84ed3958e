"""Things to put into road frames, chosen from COCO by named rules.

Every rule has a slug under which it counts what it left out; the first rule that speaks counts. Papers say little
about how they choose (Meta-OOD's preparation rejects whole pictures; the style-aligned augmentation says "only
non-occluded objects" and no more), so each threshold is a field, marked GUESS where nobody states it.
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from pydantic import Field, model_validator

from pipelines.cutout import Cutout, box_around
from pipelines.sources.leakage import held_out
from pipelines.sources.recent import RecentCutouts
from shards.config import Config
from shards.errors import BadInput, UserError
from shards.layouts.coco import (
    CocoAnnotation,
    CocoImage,
    CocoIndex,
    annotation_mask,
    coded_image,
    run_lengths,
    scan_coco,
)
from shards.layouts.licences import LicenceFilter
from shards.layouts.problem import Problem
from shards.progress import track

STREET_CATEGORIES: Final = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "bus",
    "truck",
    "train",
    "traffic light",
    "stop sign",
)
"""COCO's names of things that Cityscapes knows: pasted, they would teach that a car is unknown."""

OBJECT_RULES: Final = (
    "broken",
    "crowd",
    "street-category",
    "held-out",
    "no-derivatives",
    "tiny",
    "truncated",
    "occluded",
)
IMAGE_RULES: Final = ("broken", "street-category", "held-out", "small-image", "no-derivatives")


class ObjectRules(Config):
    """Which objects of COCO may be pasted."""

    unit: Literal["object", "image", "class"] = "object"
    """What is cut out: one object; all annotated objects of a picture at once (Meta-OOD, PEBAL, RPL); or all of one
    class in a picture (MultiShift). The latter two judge whole pictures: street categories and the shorter side."""
    street_categories: tuple[str, ...] = STREET_CATEGORIES
    """Rule street-category: what Cityscapes knows and is no anomaly. With unit image or class, one annotation of
    these rejects the picture. What else shall not be pasted goes into `held_out`."""
    allow_known: tuple[str, ...] = ()
    """Categories that `street_categories` lacks on purpose although Cityscapes knows them, such as train, which
    Meta-OOD's preparation leaves in: they are pasted as anomalies."""
    held_out: tuple[str, ...] = Field(default=(), json_schema_extra={"option": "--exclude-categories"})
    """Rule held-out: further categories that are never pasted, or benchmarks by name, such as roadanomaly: those of
    their anomalies, see `pipelines/sources/leakage.py`. With unit image or class, one annotation of these rejects the
    picture."""
    licences: LicenceFilter = Field(default="any", json_schema_extra={"option": "--license-filter"})
    """Rule no-derivatives: leave out pictures whose licence does not permit this. known: without a known one;
    derivatives-allowed: NoDerivs, too; commercial-allowed: NonCommercial, too."""
    min_area: int = Field(default=1500, ge=0)
    """Rule tiny, unit object: pixels of the object in its own picture, before any scaling: what is smaller has too
    little texture to stand for a thing once enlarged. GUESS"""
    border: float = Field(default=4.0, ge=0)
    """Rule truncated, unit object: pixels between the object's box and the edge of its picture; nearer, it is most
    likely cut off, and the straight cut is a cue that no road has. GUESS"""
    max_components: int = Field(default=1, ge=1)
    """Rule occluded, unit object: a mask in more sizeable pieces has something in front of it. GUESS"""
    component_share: float = Field(default=0.05, ge=0, le=1)
    """Rule occluded: share of the mask from which on a piece is sizeable. GUESS"""
    max_overlap: float = Field(default=0.1, ge=0, le=1)
    """Rule occluded, unit object: share of the mask that may also belong to annotations that presumably lie in front:
    those of a street category, and smaller ones (a plate on a table, not the table under a plate). GUESS"""
    min_side: int = Field(default=480, ge=0)
    """Rule small-image, units image and class: shorter side of the picture in pixels (Meta-OOD: 480)."""

    @model_validator(mode="after")
    def _known_stay_known(self) -> ObjectRules:
        pasted = [name for name in STREET_CATEGORIES if name not in self.street_categories]
        unsaid = [name for name in pasted if name not in self.allow_known]
        if unsaid:
            raise ValueError(
                f"street_categories lacks {', '.join(unsaid)}, known to Cityscapes, to be pasted as anomalies then: "
                "what shall not be pasted goes into --exclude-categories; whoever wants them as anomalies says it "
                f"twice, with --set allow_known='{json.dumps(pasted)}'"
            )
        idle = [name for name in self.allow_known if name not in pasted]
        if idle:
            raise ValueError(
                f"allow_known names {', '.join(idle)}, which street_categories leaves out or Cityscapes does not know"
            )
        return self


@dataclass(frozen=True, slots=True)
class CocoObject:
    """What is cut out of one picture: the union of some annotations.

    Attributes:
        image: the picture.
        annotations: one of them, or all of the picture or class.
        category: its class; several are joined by ``+``.
    """

    image: CocoImage
    annotations: tuple[CocoAnnotation, ...]
    category: str


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """The objects that the rules left over.

    Attributes:
        split: of COCO.
        unit: what is cut out.
        objects: ordered by the id of their (first) annotation.
        considered: how many there were before the rules.
        left_out: what each rule left out, in the order of the rules.
        problems: rows, files and masks that cannot be used.
        fingerprint: what the split is: JSON types.
        recent: what was cut out lately.
    """

    split: str
    unit: str
    objects: tuple[CocoObject, ...]
    considered: int
    left_out: Mapping[str, int]
    problems: tuple[Problem, ...]
    fingerprint: Mapping[str, Any]
    recent: RecentCutouts = field(default_factory=RecentCutouts, compare=False, repr=False)

    @classmethod
    def open(cls, root: Path, split: str, rules: ObjectRules) -> ObjectSource:
        """Scan a COCO split and choose.

        Raises:
            UserError: it is no COCO folder, a category to exclude does not exist, or nothing is left.
        """
        index = scan_coco(root, split)
        for name in rules.street_categories:
            if name not in index.categories and name not in STREET_CATEGORIES:
                raise UserError(
                    f"street_categories names {name!r}, which is no category of {split}: "
                    f"there are {', '.join(index.categories)}."
                )
        return cls.choose(index, rules)

    @classmethod
    def choose(cls, index: CocoIndex, rules: ObjectRules) -> ObjectSource:
        """Apply the rules to an index; raises UserError with the counts where nothing is left."""
        absent = held_out(rules.held_out, index.categories)
        counts = dict.fromkeys(OBJECT_RULES if rules.unit == "object" else IMAGE_RULES, 0)
        problems = list(index.problems)
        # Of these annotations only the row's reading failed; a missing picture counts as one.
        counts["broken"] = len(problems)
        by_image: dict[int, list[CocoAnnotation]] = defaultdict(list)
        for annotation in index.annotations:
            by_image[annotation.image_id].append(annotation)
        chosen: list[CocoObject] = []
        considered = counts["broken"]
        for image_id in _walk(sorted(by_image)):
            image, annotations = index.images[image_id], by_image[image_id]
            if rules.unit == "object":
                considered += len(annotations)
                for annotation in annotations:
                    try:
                        rule = _object_rule(image, annotation, annotations, rules, absent)
                    except BadInput as error:
                        rule = "broken"
                        problems.append(Problem(error.reason, error.detail, f"annotation {annotation.id}"))
                    if rule is None:
                        chosen.append(CocoObject(image, (_compact(annotation),), annotation.category))
                    else:
                        counts[rule] += 1
            else:
                considered += 1
                rule = _image_rule(image, annotations, rules, absent)
                if rule is None:
                    chosen.extend(_units(image, annotations, rules.unit))
                else:
                    counts[rule] += 1
        if not chosen:
            listed = ", ".join(f"{count} {rule}" for rule, count in counts.items() if count) or "nothing"
            what = "objects" if rules.unit == "object" else "pictures"
            most = max(counts, key=lambda rule: counts[rule])
            loose = "--license-filter any" if most == "no-derivatives" else "--set min_area=0"
            raise UserError(
                f"No object is left of the {considered} {what} in COCO {index.split}; the rules left out: {listed}. "
                f"Loosen a rule, such as {loose}, or give a larger split."
            )
        chosen.sort(key=lambda item: item.annotations[0].id)
        return cls(
            index.split, rules.unit, tuple(chosen), considered, counts, tuple(sorted(problems)), index.fingerprint
        )

    def load(self, item: CocoObject) -> Cutout:
        """Cut an object out of its picture, not to be changed; BadInput where picture or mask are broken."""
        return self.recent.get(item.image.path, tuple(row.id for row in item.annotations), lambda: _cut_out(item))

    def name(self, item: CocoObject) -> str:
        """What rejects.jsonl calls an object."""
        return f"coco/{self.split}/image {item.image.id}/annotation {item.annotations[0].id}"

    def provenance(self, item: CocoObject) -> dict[str, Any]:
        """What a sample's meta says of an object's origin."""
        ids = [annotation.id for annotation in item.annotations]
        origin = {
            "dataset": "coco",
            "split": self.split,
            "image_id": item.image.id,
            "annotation_id": ids[0] if self.unit == "object" else None,
            "category": item.category,
            "licence": item.image.licence.name,
            "licence_url": item.image.licence.url,
        }
        return origin if self.unit == "object" else {**origin, "annotation_ids": ids}

    def plan(self) -> dict[str, Any]:
        """What `--dry-run` says: what there was, what each rule left out, what is left."""
        unit = "objects" if self.unit == "object" else "pictures"
        return {
            "split": self.split,
            unit: self.considered,
            "left_out": dict(self.left_out),
            "usable": len(self.objects),
            "categories": len({item.category for item in self.objects}),
        }


def _cut_out(item: CocoObject) -> Cutout:
    picture = coded_image(item.image)
    mask = annotation_mask(item.image, item.annotations[0])
    for annotation in item.annotations[1:]:
        mask |= annotation_mask(item.image, annotation)
    box = box_around(mask)
    left, top, width, height = box
    # Copies, so that what is kept holds nothing of the rest.
    return Cutout(picture.image(box).copy(), mask[top : top + height, left : left + width].copy())


def _walk(image_ids: list[int]) -> Iterable[int]:
    """The pictures, with a progress bar where choosing takes longer than a few seconds (all of COCO: a minute)."""
    if len(image_ids) < 5000:
        return image_ids
    return track(image_ids, "choosing objects", total=len(image_ids), unit="pictures")


def _object_rule(
    image: CocoImage,
    annotation: CocoAnnotation,
    all_of_image: Sequence[CocoAnnotation],
    rules: ObjectRules,
    absent: frozenset[str],
) -> str | None:
    """Slug of the first rule against an object; None where it may be used. Cheap rules first."""
    if annotation.crowd:
        return "crowd"
    if annotation.category in rules.street_categories:
        return "street-category"
    if annotation.category in absent:
        return "held-out"
    if not image.licence.passes(rules.licences):
        return "no-derivatives"
    if annotation.area < rules.min_area:
        return "tiny"
    x, y, width, height = annotation.box
    nearest = min(x, y, image.width - x - width, image.height - y - height)
    if nearest < rules.border:
        return "truncated"
    if _pieces(image, annotation, rules.component_share) > rules.max_components:
        return "occluded"
    if _overlap(image, annotation, all_of_image, rules.street_categories) > rules.max_overlap:
        return "occluded"
    return None


def _image_rule(
    image: CocoImage, annotations: Sequence[CocoAnnotation], rules: ObjectRules, absent: frozenset[str]
) -> str | None:
    """Slug of the first rule against a whole picture (Meta-OOD's preparation); None where it may be used."""
    if any(annotation.category in rules.street_categories for annotation in annotations):
        return "street-category"
    if any(annotation.category in absent for annotation in annotations):
        return "held-out"
    if min(image.width, image.height) < rules.min_side:
        return "small-image"
    if not image.licence.passes(rules.licences):
        return "no-derivatives"
    return None


def _units(image: CocoImage, annotations: Sequence[CocoAnnotation], unit: str) -> list[CocoObject]:
    """One unit of all annotations, crowds included (Meta-OOD), or one a class without crowds (MultiShift)."""
    if unit == "image":
        categories = sorted({annotation.category for annotation in annotations})
        return [CocoObject(image, tuple(map(_compact, annotations)), "+".join(categories))]
    by_class: dict[str, list[CocoAnnotation]] = defaultdict(list)
    for annotation in annotations:
        if not annotation.crowd:
            by_class[annotation.category].append(_compact(annotation))
    return [CocoObject(image, tuple(by_class[name]), name) for name in sorted(by_class)]


def _pieces(image: CocoImage, annotation: CocoAnnotation, share: float) -> int:
    """Connected pieces of a mask that hold at least this share of it."""
    polygons = annotation.segmentation
    if isinstance(polygons, list) and len(polygons) == 1:
        return 1
    mask = annotation_mask(image, annotation)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return int((areas >= share * mask.sum()).sum())


def _overlap(
    image: CocoImage, annotation: CocoAnnotation, others: Sequence[CocoAnnotation], street: Sequence[str]
) -> float:
    """Share of a mask that annotations in front of it claim, too."""
    front = [
        other
        for other in others
        if other.id != annotation.id
        and (other.category in street or other.area < annotation.area)
        and _boxes_meet(annotation.box, other.box)
    ]
    own = run_lengths(image, annotation)
    claims = []
    for other in front:
        try:
            claims.append(run_lengths(image, other))
        except BadInput:
            continue  # a broken neighbour has a problem of its own and says nothing about this one
    if not claims:
        return 0.0
    both = coco_mask.merge([own, coco_mask.merge(claims)], intersect=True)
    return float(coco_mask.area(both)) / max(float(coco_mask.area(own)), 1.0)


def _boxes_meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _compact(annotation: CocoAnnotation) -> CocoAnnotation:
    """Arrays instead of lists of numbers: a quarter of the memory of each worker, and quick to pickle."""
    form = annotation.segmentation
    if isinstance(form, list):
        return replace(annotation, segmentation=[array("d", polygon) for polygon in form])
    if isinstance(form["counts"], list):
        return replace(annotation, segmentation={**form, "counts": array("q", form["counts"])})
    return annotation
