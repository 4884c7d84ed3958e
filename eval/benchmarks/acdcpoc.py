"""ACDC-POC: ACDC validation frames in fog, rain, snow and at night, with objects painted in (de Jorge et al., 2024).

Layout as published; images and labels have one name:

    rgb_anon_trainvaltest/rgb_anon/<condition>/val/<sequence>/<name>.png
    gt_trainval/gt/<condition>/val/<sequence>/<name>.png

The labels are Cityscapes labelIds, and ids above 33 (100 and up) for what was painted in; 0 is void. Two readings of
what is known are in use (`known`): MultiShiftSeg counts every id from 1 to 33, POC only the 19 evaluated classes.
255 is void in both here, though the first counts it as an anomaly, as it does everything above 33.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from eval.benchmarks.encoding import CITYSCAPES_NAMES, Encoding, encoding
from eval.benchmarks.native import find_roots, flat_set, set_name
from eval.benchmarks.search import distinct, read_each
from eval.benchmarks.sets import BenchmarkSet
from eval.benchmarks.trees import Trees, files_by_key, pair_trees
from shards.cards import Card
from shards.config import Config
from shards.errors import UserError
from shards.labels import CITYSCAPES_CLASSES, TRAIN_CLASSES

CARD = Card(
    "benchmark",
    "acdc-poc",
    "ACDC-POC: 200 ACDC val frames in bad weather and at night, with objects painted in",
    title="Placing Objects in Context via Inpainting for Out-of-distribution Segmentation",
    venue="ECCV",
    year=2024,
    url="https://github.com/naver/poc",
    needs=("rgb_anon_trainvaltest/ and gt_trainval/ of the ACDC-POC download",),
    licence="ACDC images: non-commercial, no redistribution; the painted-in parts have a licence of their own",
)

CONDITIONS = ("fog", "night", "rain", "snow")
_HIGHEST = CITYSCAPES_CLASSES[-1].label_id
_EXPECTED = (
    "rgb_anon_trainvaltest/rgb_anon/<condition>/val/*/*.png with gt_trainval/gt/<condition>/val/*/*.png, "
    "or images/ + labels_masks/"
)
# MultiShiftSeg's copies share one name; those of ACDC itself end differently.
_IMAGE = r"(?P<key>.+?)(_rgb_anon)?\.png"
_LABEL = r"(?P<key>.+?)(_rgb_anon|_gt_labelIds)?\.png"


class Options(Config):
    """What may differ between evaluations on ACDC-POC."""

    conditions: tuple[Literal["fog", "night", "rain", "snow"], ...] | None = None
    """Only these; all that are there by default."""

    known: Literal["all", "evaluated"] = "all"
    """Known pixels: all labelIds 1..33 (MultiShiftSeg), or the 19 evaluated classes only, the rest void (POC)."""


DEFAULT = Options()


def find(folder: Path, options: Options = DEFAULT) -> list[BenchmarkSet]:
    """The ACDC-POC sets of a folder: itself, or those inside it. A frame's `group` is its condition.

    Raises:
        UserError: it holds none, an incomplete one, or not the conditions that are asked for.
    """
    official, flat = find_roots(folder, CARD.name, _EXPECTED)
    native = _encoding(options)
    readers = [
        partial(_official, trees, set_name(trees.root, CARD.name, folder), native, options) for trees in official
    ]
    readers += [partial(flat_set, path, CARD.name, native, 200) for path in flat]
    return distinct(read_each(readers))


def _encoding(options: Options) -> Encoding:
    semantic = {row.label_id: row.train_id for row in TRAIN_CLASSES}
    if options.known == "all":
        return encoding(
            f"1 to {_HIGHEST} known, {_HIGHEST + 1} and up anomaly, 0 and 255 ignore",
            known=range(1, _HIGHEST + 1),
            anomaly=range(_HIGHEST + 1, 255),
            ignore=[0, 255],
            semantic=semantic,
            classes=CITYSCAPES_NAMES,
        )
    return encoding(
        "labelIds of the 19 evaluated classes known, 100 and up anomaly, the others and 255 ignore",
        known=semantic,
        anomaly=range(100, 255),
        ignore={*range(100), 255} - semantic.keys(),
        semantic=semantic,
        classes=CITYSCAPES_NAMES,
    )


ENCODING = _encoding(DEFAULT)
"""How its labels are stored, read by the default options."""


def _official(trees: Trees, name: str, native: Encoding, options: Options) -> BenchmarkSet:
    root = trees.root
    present = [
        condition
        for condition in CONDITIONS
        if any((tree / condition / "val").is_dir() for tree in (trees.images, trees.labels))
    ]
    wanted = present if options.conditions is None else sorted(options.conditions)
    missing = [condition for condition in wanted if condition not in present]
    if missing or not wanted:
        what = f"frames in {missing[0]!r}" if missing else "validation frames"
        raise UserError(f"{root} has no {what}: there are {', '.join(present) or 'none'}.")
    images = files_by_key([trees.images / condition / "val" for condition in wanted], _IMAGE, root)
    labels = files_by_key([trees.labels / condition / "val" for condition in wanted], _LABEL, root)
    frames = tuple(
        replace(frame, group=frame.image.relative_to(trees.images).parts[0])
        for frame in pair_trees(images, labels, root, native)
    )
    return BenchmarkSet(name, CARD.name, "official", frames, (f"Conditions: {', '.join(wanted)}.",), 200)
