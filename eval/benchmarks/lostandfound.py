"""LostAndFound: lost cargo on real roads, under its own labels (Pinggera et al., IROS 2016).

Layout as published, with the sequences of each split:

    leftImg8bit/{train,test}/<sequence>/<base>_leftImg8bit.png
    gtCoarse/{train,test}/<sequence>/<base>_gtCoarse_labelIds.png     0 void, 1 free road, 2 ... 43 obstacles

Only the free road and what lies on it are labelled: everything but the road is void, and that is the region of
interest. The files `..._labelTrainIds.png` are wrong for the ids 31, 33, 34 and 36 to 39 and are never read.

The evaluator of SegmentMeIfYouCan judges lists of frames (`split`):

| split | frames | what is left out |
|---|---|---|
| test-no-known | 1043 | test-valid without children and bicycles, which are known classes: four beginnings of names |
| test-valid | 1186 | 17 of the 1203 frames of test: their labels are void everywhere |
| train-valid | 1030 | 6 of the 1036 frames of train, for the same reason |
| test, train | 1203, 1036 | nothing |

It lists the void ones by their places in the sorted names, which holds for a whole split only; the labels at those
places are read, to see that it does. In a partial copy the void ones are recognised by what they are: labels that are
void everywhere. A list of one's own goes before both: `exclude`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from eval.benchmarks.encoding import encoding
from eval.benchmarks.folders import guess, is_flat
from eval.benchmarks.native import flat_set
from eval.benchmarks.search import distinct, places, read_each, roots, wrong_folder
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet, read_stored_label
from eval.benchmarks.trees import Trees, files_by_key, pair_trees
from shards.cards import Card
from shards.config import Config
from shards.errors import UserError
from shards.plural import plural
from shards.progress import track

CARD = Card(
    "benchmark",
    "lostandfound",
    "LostAndFound under its own labels: obstacles on the road, 1043 test frames without known classes",
    title="Lost and Found: Detecting Small Road Hazards for Self-Driving Vehicles",
    venue="IROS",
    year=2016,
    url="http://www.6d-vision.com/lostandfounddataset",
    needs=("leftImg8bit/ and gtCoarse/ of LostAndFound",),
    licence="non-commercial, no redistribution",
)

LABEL_IDS = encoding(
    "1 free road, 2 to 43 anomaly, 0 and 255 ignore", known=[1], anomaly=range(2, 44), ignore=[0, 255]
)

KNOWN_OBJECTS = (
    "15_Rechbergstr_Deckenpfronn",
    "01_Hanns_Klemm_Str_45_000006",
    "01_Hanns_Klemm_Str_45_000007",
    "10_Schlossberg_9_000004",
)
"""Beginnings of the names of frames with children and bicycles, which Cityscapes knows."""

_NAME = re.compile(r"^(?!.*(fishy|fs_|^fs$)).*(lost_?and_?found|lost_?found|^laf)")
"""Names of folders that hold it; Fishyscapes' masks of it are another benchmark."""
_EXPECTED = (
    "leftImg8bit/<split>/<sequence>/*_leftImg8bit.png with gtCoarse/<split>/<sequence>/*_gtCoarse_labelIds.png, "
    "or images/ + labels_masks/"
)


@dataclass(frozen=True, slots=True)
class _Split:
    """A split as published: its frames, and the places of those without a label in the sorted names, from 0."""

    frames: int
    void: tuple[int, ...]


_SPLITS: Mapping[str, _Split] = {
    "test": _Split(1203, (17, 37, 55, 72, 91, 110, 129, 153, 174, 197, 218, 353, 490, 618, 686, 792, 793)),
    "train": _Split(1036, (44, 67, 88, 109, 131, 614)),
}
_PUBLISHED = {"test-no-known": 1043, "test-valid": 1186, "train-valid": 1030, "test": 1203, "train": 1036}


class Options(Config):
    """What may differ between evaluations on LostAndFound."""

    split: Literal["test-no-known", "test-valid", "train-valid", "test", "train"] = "test-no-known"
    """The list of frames; SegmentMeIfYouCan reports test-no-known."""

    exclude: Path | None = None
    """Instead of the official exclusions: a file with the names of frames to leave out, one a line or a JSON list."""


DEFAULT = Options()


def find(folder: Path, options: Options = DEFAULT) -> list[BenchmarkSet]:
    """The LostAndFound sets of a folder: itself, or those inside it.

    Raises:
        UserError: it holds none, an incomplete one, or not the split that is asked for.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Give --data the folder of LostAndFound, or a parent of it.")
    flat = [path for path in places(folder) if is_flat(path) and _says_so(path, given=path == folder)]
    official = [] if is_flat(folder) else roots(folder, CARD.name)
    if not flat and not official:
        raise wrong_folder(folder, CARD.name, _EXPECTED)
    readers = [partial(_official, trees, _name(trees), options) for trees in official]
    readers += [partial(flat_set, path, CARD.name, LABEL_IDS, None) for path in flat]
    return distinct(read_each(readers))


def _says_so(folder: Path, *, given: bool) -> bool:
    """Whether a flat folder is LostAndFound by its name; Fishyscapes' own masks of it are another benchmark."""
    return bool(_NAME.search(folder.name.lower())) or (given and guess(folder) is None)


def _name(trees: Trees) -> str:
    return trees.root.name if _NAME.search(trees.root.name.lower()) else CARD.name


def _official(trees: Trees, name: str, options: Options) -> BenchmarkSet:
    split = options.split.partition("-")[0]
    images = files_by_key([trees.images / split], r"(?P<key>.+)_leftImg8bit\.(png|webp|jpg)", trees.root)
    labels = files_by_key([trees.labels / split], r"(?P<key>.+)_gtCoarse_labelIds\.png", trees.root)
    if images and not labels:
        raise UserError(
            f"{trees.labels / split} holds no *_gtCoarse_labelIds.png. No other label files of LostAndFound are "
            "used: *_labelTrainIds.png is wrong for some obstacles. Unpack gtCoarse.zip again."
        )
    if not images and not labels:
        there = sorted(path.name for path in trees.images.iterdir() if path.is_dir())
        raise UserError(f"{trees.root} has no frames of the split {split!r}: there are {', '.join(there) or 'none'}.")
    frames = pair_trees(images, labels, trees.root, LABEL_IDS)
    kept, notes = _own_choice(frames, options.exclude) if options.exclude else _official_choice(frames, options, name)
    if not kept:
        raise UserError(f"No frame of {trees.root} is left: {' '.join(notes)}")
    notes = (f"Split: {options.split}.", *notes)
    return BenchmarkSet(
        name, CARD.name, "official", kept, notes, None if options.exclude else _PUBLISHED[options.split]
    )


def _official_choice(
    frames: tuple[BenchmarkFrame, ...], options: Options, name: str
) -> tuple[tuple[BenchmarkFrame, ...], tuple[str, ...]]:
    split, _, choice = options.split.partition("-")
    if not choice:
        return frames, ()
    whole = _SPLITS[split]
    if len(frames) == whole.frames:
        listed = [frames[place] for place in whole.void]
        _check_void(listed, split)
        void = {frame.name for frame in listed}
        gone = plural(len(void), "frame is", "frames are")
        notes = [f"{gone} left out by the official list: void everywhere in the labels."]
    else:
        reading = track(frames, f"Labels of {name}", total=len(frames), unit="frames")
        void = {frame.name for frame in reading if not read_stored_label(frame).any()}
        notes = [
            f"{len(frames)} of the {whole.frames} frames of {split} {'is' if len(frames) == 1 else 'are'} there; "
            f"{plural(len(void), 'of them is', 'of them are')} left out: void everywhere in the labels."
        ]
    kept = tuple(frame for frame in frames if frame.name not in void)
    if choice == "no-known":
        strange = tuple(frame for frame in kept if not frame.name.startswith(KNOWN_OBJECTS))
        known = plural(len(kept) - len(strange), "frame is", "frames are")
        notes.append(f"{known} left out for children or bicycles: known classes.")
        kept = strange
    return kept, tuple(notes)


def _check_void(frames: Sequence[BenchmarkFrame], split: str) -> None:
    """See that the frames at the official places are void: in a copy that sorts otherwise, labels would be lost.

    Raises:
        UserError: one of them has a label, or cannot be read.
    """
    labelled = [frame for frame in frames if read_stored_label(frame).any()]
    if labelled:
        raise UserError(
            f"{len(labelled)} of the {len(frames)} frames at the places that the official list of {split} leaves out "
            f"have a label, the first {labelled[0].name}: the names sort in another order than those of the "
            "published set. Unpack gtCoarse.zip again, or give a list of your own by --set exclude=FILE."
        )


def _own_choice(frames: tuple[BenchmarkFrame, ...], file: Path) -> tuple[tuple[BenchmarkFrame, ...], tuple[str, ...]]:
    names = _listed(file)
    there = {frame.name for frame in frames}
    strangers = sorted(names - there)
    if strangers:
        raise UserError(
            f"{file} names {strangers[0]}, which is no frame of this split; write names such as {min(there)}."
        )
    kept = tuple(frame for frame in frames if frame.name not in names)
    gone = plural(len(names), "frame is", "frames are")
    return kept, (f"{gone} left out by {file.name}, instead of the official exclusions.",)


def _listed(file: Path) -> set[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the list of frames {file}: {error}.") from error
    names: list[object]
    if text.lstrip().startswith("["):
        try:
            names = json.loads(text)
        except ValueError as error:
            raise UserError(f"{file} is not JSON: {error}.") from error
    else:
        names = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {re.sub(r"_(leftImg8bit|gtCoarse_labelIds)(\.\w+)?$", "", str(name)) for name in names}
