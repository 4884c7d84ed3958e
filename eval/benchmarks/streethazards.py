"""StreetHazards: rendered towns with one object that does not belong there (Hendrycks et al., ICML 2022).

Layout as published, the test archive alone or beside the training archive:

    .../test/images/test/<town>/<number>.png           towns t5 and t6
    .../test/annotations/test/<town>/<number>.png      1-based: 1 ... 13 known classes, 14 anomaly

The annotations count from 1 where the networks count from 0, the source of many a wrong figure: class 13 of a
network's list is stored as 14. The official evaluation ignores no pixel and leaves out images without an anomaly,
since it averages over images; figures that pool the pixels of all images need no such rule, so all are kept unless
`without_anomaly` says "skip". DenseHybrid leaves the class "other" (stored as 4) out: `ignore`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from eval.benchmarks.encoding import Encoding, encoding
from eval.benchmarks.native import find_roots, flat_set, set_name
from eval.benchmarks.search import distinct, read_each
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet, with_anomaly
from eval.benchmarks.trees import Trees, files_by_key, pair_trees
from shards.cards import Card
from shards.config import Config
from shards.errors import UserError
from shards.plural import plural

CARD = Card(
    "benchmark",
    "streethazards",
    "StreetHazards test: 1500 rendered frames of towns t5 and t6, with objects that do not belong there",
    title="Scaling Out-of-Distribution Detection for Real-World Settings",
    venue="ICML",
    year=2022,
    url="https://github.com/hendrycks/anomaly-seg",
    needs=("the test archive: test/images/test/t5, t6 and test/annotations/test/t5, t6",),
)

CLASSES = (
    "unlabeled",
    "building",
    "fence",
    "other",
    "pedestrian",
    "pole",
    "road line",
    "road",
    "sidewalk",
    "vegetation",
    "car",
    "wall",
    "traffic sign",
)
"""The known classes; class k is stored as k + 1."""

ANOMALY_ID = 14
"""How an anomaly is stored."""

PUBLISHED_TOWNS = ("t5", "t6")
"""Towns of the published test set."""

_EXPECTED = "test/images/test/<town>/*.png with test/annotations/test/<town>/*.png, or images/ + labels_masks/"


class Options(Config):
    """What may differ between evaluations on StreetHazards."""

    towns: tuple[str, ...] | None = None
    """Only these towns, such as ["t5"]; all by default."""

    without_anomaly: Literal["keep", "skip"] = "keep"
    """Frames without an anomaly: they count like any other, or are left out as in the official per-image mean."""

    ignore: tuple[Annotated[int, Field(ge=1, le=13)], ...] = ()
    """Stored ids that are void; DenseHybrid: [4], the class "other"."""


DEFAULT = Options()


def find(folder: Path, options: Options = DEFAULT) -> list[BenchmarkSet]:
    """The StreetHazards sets of a folder: itself, or those inside it. A frame's `group` is its town.

    Raises:
        UserError: it holds none, an incomplete one, or not the towns that are asked for.
    """
    official, flat = find_roots(folder, CARD.name, _EXPECTED)
    native = _encoding(options)
    readers = [
        partial(_official, trees, set_name(trees.root, CARD.name, folder), native, options) for trees in official
    ]
    readers += [partial(flat_set, path, CARD.name, native, None) for path in flat]
    return distinct(read_each(partial(_kept, read, options) for read in readers))


def _encoding(options: Options) -> Encoding:
    void = {0, 255, *options.ignore}
    shown = f", {', '.join(map(str, sorted(options.ignore)))} ignored" if options.ignore else ""
    return encoding(
        f"1 to 13 known, {ANOMALY_ID} anomaly{shown}, 0 and 255 ignore",
        known=range(1, ANOMALY_ID),
        anomaly=[ANOMALY_ID],
        ignore=void,
        semantic={stored: stored - 1 for stored in range(1, ANOMALY_ID) if stored not in void},
        classes=CLASSES,
    )


ENCODING = _encoding(DEFAULT)
"""How its labels are stored, read by the default options."""


def _official(trees: Trees, name: str, native: Encoding, options: Options) -> BenchmarkSet:
    root = trees.root
    both = (trees.images, trees.labels)
    towns = sorted({path.name for tree in both for path in tree.iterdir() if path.is_dir()})
    wanted = towns if options.towns is None else list(options.towns)
    missing = [town for town in wanted if town not in towns]
    if missing:
        raise UserError(f"{root} has no town {missing[0]!r}: there are {', '.join(towns) or 'none'}.")
    frames: list[BenchmarkFrame] = []
    for town in wanted:
        # The numbers begin anew in each town.
        images, labels = (files_by_key([tree / town], r"(?P<key>.+)\.png", root, f"{town}_") for tree in both)
        frames += [replace(frame, group=town) for frame in pair_trees(images, labels, root, native)]
    if not frames:
        raise UserError(f"{root} holds no frames: images/test and annotations/test have no town in them.")
    others = sorted(wanted) != list(PUBLISHED_TOWNS)
    notes = [
        *([f"Towns: {', '.join(wanted)}; the published test set has t5 and t6."] if others else []),
        "Figures of the benchmark's own code are means over frames: --protocol caos.",
    ]
    return BenchmarkSet(name, CARD.name, "official", tuple(frames), tuple(notes), 1500)


def _kept(read: Callable[[], BenchmarkSet], options: Options) -> BenchmarkSet:
    found = read()
    if options.without_anomaly == "keep":
        return found
    frames = tuple(frame for frame in found.frames if isinstance(frame, BenchmarkFrame))
    kept = with_anomaly(frames, found.name)
    gone = len(frames) - len(kept)
    note = f"{plural(gone, 'frame')} without an anomaly {'is' if gone == 1 else 'are'} left out."
    return replace(found, frames=kept, notes=(*found.notes, note))
