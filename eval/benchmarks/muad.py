"""MUAD, the frames with anomalies: a rendered town with animals, rubbish and stands (Franchi et al., BMVC 2022).

Layout as published:

    .../test_sets/test_OOD/leftImg8bit/<number>_leftImg8bit.png
    .../test_sets/test_OOD/leftLabel/<number>_leftLabel.png

The labels are trainIds 0 to 18, 19 for animals, 20 for rubbish and stands, 21 and 255 for what is not labelled.

Which ids are anomalies differs: MultiShiftSeg takes 19 and 20 (`anomaly`, the default), torch-uncertainty also rider,
train, motorcycle and bicycle, [12, 16, 17, 18, 19, 20], of which its networks are trained without. AP under the one
says nothing of AP under the other.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from eval.benchmarks.encoding import CITYSCAPES_NAMES, Encoding, encoding
from eval.benchmarks.native import find_roots, flat_set, set_name
from eval.benchmarks.search import distinct, read_each, wrong_folder
from eval.benchmarks.sets import BenchmarkSet
from eval.benchmarks.trees import Trees, files_by_key, pair_trees
from shards.cards import Card
from shards.config import Config
from shards.labels import NUM_CLASSES

CARD = Card(
    "benchmark",
    "muad",
    "MUAD challenge, test_OOD: 240 rendered frames with animals, rubbish and stands",
    title="MUAD: Multiple Uncertainties for Autonomous Driving, a benchmark for multiple uncertainty types and tasks",
    venue="BMVC",
    year=2022,
    url="https://muad-dataset.github.io",
    needs=("test_sets/test_OOD: leftImg8bit/ and leftLabel/",),
    licence="non-commercial",
)

HIGHEST = 20
"""The highest id that means something; 21 and 255 are void."""

_EXPECTED = (
    "test_OOD/leftImg8bit/*_leftImg8bit.png with test_OOD/leftLabel/*_leftLabel.png, or images/ + labels_masks/"
)


class Options(Config):
    """What may differ between evaluations on MUAD."""

    anomaly: Annotated[tuple[Annotated[int, Field(ge=0, le=HIGHEST)], ...], Field(min_length=1)] = (19, 20)
    """Stored ids that are anomalies; torch-uncertainty: [12, 16, 17, 18, 19, 20]."""


DEFAULT = Options()


def find(folder: Path, options: Options = DEFAULT) -> list[BenchmarkSet]:
    """The MUAD sets of a folder: itself, or those inside it that are named after out-of-distribution frames.

    Raises:
        UserError: it holds none, or an incomplete one.
    """
    official, flat = find_roots(folder, CARD.name, _EXPECTED)
    # train, val and test_normal have the same two trees, but no anomalies.
    marked = [trees for trees in official if "ood" in trees.root.name.lower() or trees.root == folder]
    if not marked and not flat:
        raise wrong_folder(folder, CARD.name, f"a folder named after out-of-distribution frames, {_EXPECTED}")
    native = _encoding(options)
    readers = [partial(_official, trees, set_name(trees.root, CARD.name, folder), native) for trees in marked]
    readers += [partial(flat_set, path, CARD.name, native, None) for path in flat]
    return distinct(read_each(readers))


def _encoding(options: Options) -> Encoding:
    known = [value for value in range(HIGHEST + 1) if value not in options.anomaly]
    shown = ", ".join(map(str, sorted(options.anomaly)))
    return encoding(
        f"{shown} anomaly, other ids up to {HIGHEST} known, 21 and 255 ignore",
        known=known,
        anomaly=options.anomaly,
        ignore=[21, 255],
        semantic={value: value for value in known if value < NUM_CLASSES},
        classes=CITYSCAPES_NAMES,
    )


ENCODING = _encoding(DEFAULT)
"""How its labels are stored, read by the default options."""


def _official(trees: Trees, name: str, native: Encoding) -> BenchmarkSet:
    images = files_by_key([trees.images], r"(?P<key>.+?)(_leftImg8bit)?\.png", trees.root)
    labels = files_by_key([trees.labels], r"(?P<key>.+?)(_leftLabel|_leftImg8bit)?\.png", trees.root)
    # 240 is the challenge's set; the full release has a larger test_ood.
    published = 240 if trees.root.name == "test_OOD" else None
    return BenchmarkSet(name, CARD.name, "official", pair_trees(images, labels, trees.root, native), (), published)
