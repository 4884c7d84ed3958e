"""What must not be pasted because a benchmark contains it: whoever has trained on dogs has not found an unknown dog.

Detectors that saw a category as an anomaly in training are no longer judged on the unknown there; Meta-OOD's users
complained of exactly this overlap. Each list names categories of COCO, in its spelling.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from shards.errors import UserError

_ANIMALS: Final = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
_LOST: Final = ("dog", "sports ball")

BENCHMARK_CATEGORIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        # All of COCO's animals, for whoever wants to be sure.
        "animals": _ANIMALS,
        # Lost and Found's table of classes has two dogs and a ball; its bicycle and its children are of the street.
        # Its toy cars, crates, pallets and tyres are no category of COCO.
        "lostandfound": _LOST,
        # Fishyscapes Lost & Found shows frames of Lost and Found.
        "fishyscapes-lostandfound": _LOST,
        # Cat, cow, dog, sheep were seen on the frames of its validation set; the others are GUESS: it draws from the
        # classes of Pascal VOC that Cityscapes does not know.
        "fishyscapes-static": (
            "airplane",
            "bird",
            "boat",
            "bottle",
            "cat",
            "chair",
            "couch",
            "cow",
            "dining table",
            "dog",
            "horse",
            "potted plant",
            "sheep",
            "tv",
        ),
        # Bear, bird and cow were seen on a third of its frames, beside boars, deer, a donkey, cones and rocks, which
        # are no categories of COCO. GUESS: the other animals and what else lies on roads.
        "roadanomaly": (*_ANIMALS, "suitcase"),
        # GUESS: animals as in RoadAnomaly, whose frames it began with; aircraft and boats for the helicopter that was
        # seen.
        "smiyc-anomaly": (*_ANIMALS, "airplane", "boat"),
        # A dog and balls were seen; GUESS: small things that are left on roads.
        "smiyc-obstacle": ("dog", "sports ball", "bottle", "cup", "backpack", "handbag", "suitcase", "umbrella"),
        # Ten of the names that its objects were painted from; the other fifteen are no category of COCO.
        "acdc-poc": (
            "bear",
            "bird",
            "cat",
            "chair",
            "couch",
            "dog",
            "horse",
            "sheep",
            "skateboard",
            "suitcase",
        ),
    }
)
"""COCO's categories that a benchmark has among its anomalies, by the benchmark's name."""


def held_out(words: Sequence[str], categories: Collection[str]) -> frozenset[str]:
    """The categories that some words leave out.

    Args:
        words: categories, or names of `BENCHMARK_CATEGORIES`.
        categories: those that the annotations have.

    Raises:
        UserError: a word is neither.
    """
    named: set[str] = set()
    for word in words:
        if word not in BENCHMARK_CATEGORIES and word not in categories and word not in _KNOWN:
            near = difflib.get_close_matches(word, [*BENCHMARK_CATEGORIES, *categories], n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise UserError(
                f"--exclude-categories takes a category of COCO, such as dog, or a benchmark, one of "
                f"{', '.join(BENCHMARK_CATEGORIES)}; got {word!r}.{meant}"
            )
        named.update(BENCHMARK_CATEGORIES.get(word, (word,)))
    return frozenset(named)


_KNOWN: Final = frozenset(name for names in BENCHMARK_CATEGORIES.values() for name in names)
"""Names that a small set of annotations may lack without being misspelt."""
