"""BDD-Anomaly: BDD100K frames with classes that a network was not taught (Hendrycks et al., ICML 2022).

It is no download of its own but a choice of frames of BDD100K's segmentation set, train and val together: those in
which an anomaly class is seen. Layout of BDD100K, older and newer release:

    seg/images/{train,val}/<id>.jpg         seg/labels/{train,val}/<id>_train_id.png
    images/10k/{train,val}/<id>.jpg         labels/sem_seg/masks/{train,val}/<id>.png

The labels are Cityscapes trainIds, 255 void. Anomalies are train, motorcycle and bicycle (16, 17, 18), which gives
810 frames; the first version of the paper has train and motorcycle only: `anomaly` [16, 17]. The figures mean
something for a network only that was trained without these classes, such as on the frames that are left out here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from eval.benchmarks.encoding import CITYSCAPES_NAMES, Encoding, encoding
from eval.benchmarks.native import find_roots, flat_set, set_name
from eval.benchmarks.search import distinct, read_each
from eval.benchmarks.sets import BenchmarkSet, with_anomaly
from eval.benchmarks.trees import Trees, files_by_key, pair_trees
from shards.cards import Card
from shards.config import Config
from shards.errors import UserError
from shards.labels import NUM_CLASSES
from shards.plural import plural

CARD = Card(
    "benchmark",
    "bdd-anomaly",
    "BDD-Anomaly: 810 frames of BDD100K that show trains, motorcycles or bicycles, for networks not taught these",
    title="Scaling Out-of-Distribution Detection for Real-World Settings",
    venue="ICML",
    year=2022,
    url="https://github.com/hendrycks/anomaly-seg",
    needs=("BDD100K's segmentation set: seg/images and seg/labels, or images/10k and labels/sem_seg/masks",),
    licence="BDD100K: non-commercial",
)

_EXPECTED = (
    "seg/images with seg/labels, or images/10k with labels/sem_seg/masks, both of train and val, "
    "or images/ + labels_masks/"
)
_USUAL = (16, 17, 18)


class Options(Config):
    """What may differ between evaluations on BDD-Anomaly."""

    anomaly: Annotated[tuple[Annotated[int, Field(ge=0, lt=NUM_CLASSES)], ...], Field(min_length=1)] = _USUAL
    """TrainIds that are anomalies; the first version of the paper: [16, 17]."""

    splits: Annotated[tuple[Literal["train", "val"], ...], Field(min_length=1)] = ("train", "val")
    """Splits of BDD100K that frames are taken from."""


DEFAULT = Options()


def find(folder: Path, options: Options = DEFAULT) -> list[BenchmarkSet]:
    """The BDD-Anomaly sets of a folder: itself, or those inside it. Reads all labels.

    Raises:
        UserError: it holds none, an incomplete one, or no frame with an anomaly.
    """
    official, flat = find_roots(folder, CARD.name, _EXPECTED)
    native = _encoding(options)
    readers = [
        partial(_official, trees, set_name(trees.root, CARD.name, folder), native, options) for trees in official
    ]
    readers += [partial(flat_set, path, CARD.name, native, _published(options)) for path in flat]
    return distinct(read_each(readers))


def _encoding(options: Options) -> Encoding:
    known = [value for value in range(NUM_CLASSES) if value not in options.anomaly]
    shown = ", ".join(map(str, sorted(options.anomaly)))
    return encoding(
        f"{shown} anomaly, other ids up to {NUM_CLASSES - 1} known, 255 ignore",
        known=known,
        anomaly=options.anomaly,
        ignore=[255],
        semantic={value: value for value in known},
        classes=CITYSCAPES_NAMES,
    )


def _published(options: Options) -> int | None:
    return 810 if set(options.anomaly) == set(_USUAL) and len(set(options.splits)) == 2 else None


def _official(trees: Trees, name: str, native: Encoding, options: Options) -> BenchmarkSet:
    root = trees.root
    images = files_by_key([trees.images / split for split in options.splits], r"(?P<key>.+)\.(jpg|png)", root)
    labels = files_by_key([trees.labels / split for split in options.splits], r"(?P<key>.+?)(_train_id)?\.png", root)
    everything = pair_trees(images, labels, root, native)
    frames = with_anomaly(everything, name)
    if not frames:
        raise UserError(f"Of {plural(len(everything), 'frame')} in {root} none shows an anomaly: {native.name}.")
    gone = len(everything) - len(frames)
    note = f"{gone} of {plural(len(everything), 'frame')} without an anomaly {'is' if gone == 1 else 'are'} left out."
    return BenchmarkSet(name, CARD.name, "official", frames, (note,), _published(options))
