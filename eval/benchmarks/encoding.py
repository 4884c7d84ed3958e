"""What the values of a label file mean: one lookup table of 256 entries a benchmark.

Every source stores its labels in its own way (0/1/255, 2 and up, labelIds, 1-based ids ...). A table translates them
in one pass over the pixels; values that a benchmark does not know stay recognisable, so that they can be refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from shards.labels import ANOMALY, IGNORE, KNOWN, TRAIN_CLASSES

_STRANGE = 254
"""What a table holds where the benchmark stores no such value."""

CITYSCAPES_NAMES = tuple(row.name for row in TRAIN_CLASSES)
"""The 19 classes in the order of their trainIds."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a label file stores its meanings.

    Attributes:
        name: the meanings in words, such as "0 known, 1 anomaly, 255 ignore".
        anomaly: 256 entries, stored value -> 0 known, 1 anomaly, 255 ignore.
        semantic: 256 entries, stored value -> class, 255 = none; None where the file knows no classes.
        classes: names of the classes that `semantic` gives; `CITYSCAPES_NAMES` where they are trainIds.
    """

    name: str
    anomaly: bytes
    semantic: bytes | None = None
    classes: tuple[str, ...] = ()

    def translate(self, stored: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        """The anomaly label, (H, W) uint8: 0 known, 1 anomaly, 255 ignore.

        Raises:
            ValueError: the file holds values that the benchmark does not; its argument is their sorted list.
        """
        label = _look_up(stored, self.anomaly)
        strange = label == _STRANGE
        if strange.any():
            raise ValueError(np.unique(stored[strange]).tolist())
        return label

    def classify(self, stored: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"] | None:
        """The class of every pixel, (H, W) uint8, 255 = none; None where the file knows no classes."""
        return None if self.semantic is None else _look_up(stored, self.semantic)


def encoding(
    name: str,
    *,
    known: Iterable[int],
    anomaly: Iterable[int],
    ignore: Iterable[int] = (),
    semantic: Mapping[int, int] | None = None,
    classes: tuple[str, ...] = (),
) -> Encoding:
    """Build an encoding from sets of stored values, 0..255; the later set wins where two share a value.

    Args:
        name: the meanings in words.
        known: values of known pixels.
        anomaly: values of anomalies.
        ignore: values of pixels that do not count.
        semantic: stored value -> class; values without one are 255.
        classes: names of the classes.
    """
    meanings = np.full(256, _STRANGE, np.uint8)
    for values, meaning in ((known, KNOWN), (anomaly, ANOMALY), (ignore, IGNORE)):
        meanings[list(values)] = meaning
    of_value: bytes | None = None
    if semantic is not None:
        table = np.full(256, IGNORE, np.uint8)
        table[list(semantic)] = list(semantic.values())
        of_value = table.tobytes()
    return Encoding(name, meanings.tobytes(), of_value, classes)


PLAIN = encoding("0 known, 1 anomaly, 255 ignore", known=[KNOWN], anomaly=[ANOMALY], ignore=[IGNORE])
"""As we store labels, and as Fishyscapes, SegmentMeIfYouCan and nearly every flat copy do."""

TWO_AND_UP = encoding(
    "0 and 1 known, 2 and up anomaly, 255 ignore", known=[0, 1], anomaly=range(2, 255), ignore=[255]
)
"""RoadAnomaly."""


def two_and_up_or_plain(labels: Iterable[UInt8[np.ndarray, "_h _w"]]) -> tuple[Encoding, tuple[str, ...]]:
    """How a set stores its labels that may be RoadAnomaly as published, or a mirror of it that stores 0 and 1.

    Only the whole set tells: a frame of the original may hold 1, which is known there, and no anomaly.

    Args:
        labels: as stored, of all frames.

    Returns:
        The encoding, and a note for people where it is the mirror's: where no label holds a 2.
    """
    # All are read, not only up to the first 2: a broken one is told now.
    of_each = [bool(((stored >= 2) & (stored != IGNORE)).any()) for stored in labels]
    if any(of_each):
        return TWO_AND_UP, ()
    return PLAIN, ("No label holds a 2: taken as a processed mirror, in which 1 is the anomaly.",)


def _look_up(stored: UInt8[np.ndarray, "h w"], table: bytes) -> UInt8[np.ndarray, "h w"]:
    # 1.8 ms for 2048x1024 pixels, where table[stored] takes 4.4.
    found: UInt8[np.ndarray, "h w"] = cv2.LUT(stored, np.frombuffer(table, np.uint8)).astype(np.uint8, copy=False)
    return found
