"""Benchmarks whose images and labels lie in two trees beside each other: where they are, and their pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.benchmarks.encoding import Encoding
from eval.benchmarks.sets import BenchmarkFrame
from shards.errors import UserError
from shards.plural import plural

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

TREES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "cityscapes": (("leftImg8bit", "gtFine"),),
    "lostandfound": (("leftImg8bit", "gtCoarse"),),
    "muad": (("leftImg8bit", "leftLabel"),),
    "streethazards": (("images/test", "annotations/test"),),
    "acdc-poc": (("rgb_anon_trainvaltest/rgb_anon", "gt_trainval/gt"), ("rgb_anon", "gt")),
    "bdd-anomaly": (
        ("seg/images", "seg/labels"),
        ("seg/images", "seg/train_labels"),
        ("images/10k", "labels/sem_seg/masks"),
    ),
}
"""Benchmark -> its trees of images and labels, in every arrangement that is published; the first that exists wins."""


@dataclass(frozen=True, slots=True)
class Trees:
    """The two trees of a set.

    Attributes:
        root: the folder that both lie in.
        images: the tree of images.
        labels: the tree of labels.
    """

    root: Path
    images: Path
    labels: Path


def halves(folder: Path, benchmark: str) -> Trees | None:
    """The two trees of a benchmark directly in a folder; None where they are not."""
    for images, labels in TREES[benchmark]:
        if (folder / images).is_dir() and (folder / labels).is_dir():
            return Trees(folder, folder / images, folder / labels)
    return None


def pair_trees(
    images: Mapping[str, Path], labels: Mapping[str, Path], where: Path, encoding: Encoding
) -> tuple[BenchmarkFrame, ...]:
    """Pair images and labels by their keys.

    Args:
        images: key -> image.
        labels: key -> label.
        where: the benchmark's folder, for errors.
        encoding: of the labels.

    Raises:
        UserError: one without the other, or no pair at all.
    """
    for what, missing in (
        ("without a label", images.keys() - labels.keys()),
        ("without an image", labels.keys() - images.keys()),
    ):
        if missing:
            names = ", ".join(sorted(missing)[:5]) + (" ..." if len(missing) > 5 else "")
            raise UserError(
                f"{where} is incomplete: {plural(len(missing), 'frame is', 'frames are')} {what}: {names}."
            )
    if not images:
        raise UserError(f"{where} holds no frames: its folders of images and labels are empty.")
    return tuple(BenchmarkFrame(key, images[key], labels[key], encoding) for key in sorted(images))


def files_by_key(trees: Iterable[Path], name: str, where: Path, prefix: str = "") -> dict[str, Path]:
    """The files of some folders whose name fits, by the key in it.

    Args:
        trees: searched at any depth; one that does not exist is empty.
        name: regular expression with a group `key`.
        where: the benchmark's folder, for errors.
        prefix: put before each key.

    Raises:
        UserError: two files of one key.
    """
    pattern = re.compile(name)
    found: dict[str, Path] = {}
    for path in (path for tree in trees if tree.is_dir() for path in sorted(tree.rglob("*"))):
        match = pattern.fullmatch(path.name)
        if match is None or path.name.startswith("."):
            continue
        key = prefix + match["key"]
        if key in found:
            first, second = found[key].relative_to(where), path.relative_to(where)
            raise UserError(f"{where} holds two files for frame {key}: {first} and {second}; remove one of them.")
        found[key] = path
    return found
