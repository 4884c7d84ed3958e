"""What a suite is: stages that everything is made of, rows that are trained and judged, and what was published.

All of it is said in the words of the command line, so whatever a suite does can be typed, changed and typed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Figures = Mapping[str, tuple[float, float]]
"""(AP, FPR95) in % by the title of a set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a call of `anomsynth reproduce` says; recorded, so that rows of one table are comparable.

    Attributes:
        toy: whether the world is drawn by the tool.
        steps: of each row.
        size: WIDTHxHEIGHT of what the network compares.
        width: factor on the channels of the network.
        samples: of each domain.
        generator_steps: of the generator.
        generator_width: factor on its channels.
        cityscapes: folder of real frames; of the toy's without it.
        coco: folder of real objects.
        benchmarks: folders that are judged on.
        segmenter: name of a network with weights; trained here without it.
        weights: of the segmenter.
        vgg16: its ImageNet weights, for the published features; those of the segmenter without it.
        vgg19: its ImageNet weights, for the generator's perceptual loss and the perceptual difference.
        segmenter_steps: where it is trained here; the epochs of its method without it.
        device: auto, cpu or cuda.
        workers: processes that decode for each training; the one thing that may change between calls.
    """

    toy: bool
    steps: int
    size: str
    width: float
    samples: int
    generator_steps: int
    generator_width: float
    cityscapes: str = ""
    coco: str = ""
    benchmarks: tuple[str, ...] = ()
    segmenter: str = ""
    weights: str = ""
    vgg16: str = ""
    vgg19: str = ""
    segmenter_steps: int | None = None
    device: str = "auto"
    workers: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """One command.

    Attributes:
        name: for the log, unique in a suite, seeds and parts of a row included.
        words: behind `anomsynth`.
        done: a file that the command leaves behind.
        remnant: a folder that is removed before the command is repeated, where it would not go on with it.
    """

    name: str
    words: tuple[str, ...]
    done: Path
    remnant: Path | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes:
        name: as it is printed.
        key: as its folder is called.
        words: of the training command, which make the row what it is.
        published: its figures in the paper.
    """

    name: str
    key: str
    words: tuple[str, ...]
    published: Figures


@dataclass(frozen=True, slots=True)
class Suite:
    """A table of a paper.

    Attributes:
        name: the word on the command line.
        title: above the table.
        source: where it was published.
        sets: titles of the sets, by the benchmark and the part of it that results.json names.
        score: which of a detector's scores is judged.
        rows: from top to bottom.
        versus: keys of the rows that are compared: what the paper proposes, and its baseline.
        prepare: (out, settings) -> what all rows share, in order.
        train: (out, settings, row, seed, folder of the run) -> the row's training.
        judge: (out, settings, folder of the run, folder of the report) -> its evaluation.
        notes: (settings) -> how our rows were made, and where that is not what the paper did; sentences.
    """

    name: str
    title: str
    source: str
    sets: Mapping[tuple[str, str], str]
    score: str
    rows: Sequence[Row]
    versus: tuple[str, str]
    prepare: Callable[[Path, Settings], Sequence[Stage]]
    train: Callable[[Path, Settings, Row, int, Path], Stage]
    judge: Callable[[Path, Settings, Path, Path], Stage]
    notes: Callable[[Settings], Sequence[str]]
