"""Score maps that any tool wrote: reading them, and finding the label that each belongs to.

A map is one file a frame, larger values more anomalous:

    .npy            an array
    .npz            one array, or several of which one is called `score` or `value`
    .hdf5, .h5      the dataset `value`, as SegmentMeIfYouCan has it
    .png            16 bits, one channel: the values 0..65535 themselves

float16, float32 or float64 of shape (H, W), or with leading axes of length one; float16 stays float16, so that a
submission is judged as its host will. Pairs are made by the names of the files without what tools append to them,
never by sort order (law 4): `0000_anomaly.npy` belongs to `0000_04_Town_000001_labels.png`, `validation0000.hdf5`
to `validation0000_labels_semantic.png`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float16, Float32, Float64, UInt8

from eval.benchmarks import FINDERS, BenchmarkFrame, BenchmarkSet, find_sets
from eval.benchmarks.encoding import TWO_AND_UP, Encoding, two_and_up_or_plain
from eval.benchmarks.folders import FRAME_ENDINGS, guess, images_in, is_flat, named, without_endings
from eval.benchmarks.sets import read_image, read_label
from eval.benchmarks.smiyc import track_of
from eval.files import BROKEN
from eval.protocols import ENCODINGS, Protocol
from shards.codec import decode_map
from shards.errors import BadInput, UserError
from shards.labels import ANOMALY, KNOWN
from shards.plural import plural

ScoreMap = Float16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"]
Label = UInt8[np.ndarray, "h w"]

SUFFIXES: Final = (".npy", ".npz", ".hdf5", ".h5", ".png")
"""Files that may be score maps."""
DATASET: Final = "value"
"""The dataset of an HDF5 file that holds the map."""
_ARRAYS: Final = ("score", DATASET)
_ENDINGS: Final = (*FRAME_ENDINGS, "_anomaly_p", "_anomaly", "_score", "_scores")
"""What benchmarks and tools append to the name of a frame."""
_NO_SCORE: Final = "_segmentation"
_NO_LABEL: Final = re.compile(r"(_color|_labelColors|_instanceIds|_leftImg8bit|_rgb)$")
_NUMBERED: Final = re.compile(r"(?P<number>\d{4})_(?P<base>.+)")
"""A frame of Fishyscapes: both halves name it."""
_PLAIN_NAMES: Final = frozenset({"labels_masks", "labels", "masks", "annotations", "gt"})
"""Names of folders that say nothing of the set."""


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The label of a frame.

    Attributes:
        name: of the frame.
        path: the file.
        read: gives it in our words, (H, W) uint8: 0 known, 1 anomaly, 255 ignore; raises UserError.
        picture: gives the photograph, (H, W, 3) uint8, where the set has it; raises UserError.
        group: the town or the weather that it is from; empty if the benchmark names none.
        frame: of the benchmark that it is the label of; None for a bare file.
    """

    name: str
    path: Path
    read: Callable[[], Label]
    picture: Callable[[], UInt8[np.ndarray, "h w 3"]] | None = None
    group: str = ""
    frame: BenchmarkFrame | None = None


@dataclass(frozen=True, slots=True)
class ScorePair:
    """A score map and the label that it is judged by."""

    score: Path
    label: LabelFile

    @property
    def name(self) -> str:
        """The frame's name."""
        return self.label.name


@dataclass(frozen=True, slots=True)
class PairedSet:
    """The frames of one set.

    Attributes:
        name: the set's, the key in results.json.
        benchmark: the benchmark that the labels' folder is recognised as; None for bare files.
        layout: official, flat or files.
        pairs: in the order of their names.
        missing: frames that have a label but no score map; other parts hold them.
        notes: what was recognised or passed over; sentences for people.
        part: which set of the benchmark it is; empty where nothing tells.
        labels: how they are stored, in words.
        options: of the benchmark, where they are not the default.
    """

    name: str
    benchmark: str | None
    layout: str
    pairs: tuple[ScorePair, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    part: str = ""
    labels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def read_score_map(path: Path) -> ScoreMap:
    """Read one score map.

    Returns:
        (H, W) float16, float32 or float64 as the file has it, finite; of a 16-bit PNG float32, 0..65535.

    Raises:
        UserError: missing, broken, of another kind, shape or type, or with NaN or infinity; names the file.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"The score map {path} has no known ending; expected one of {', '.join(SUFFIXES)}.")
    reader = {".npy": _read_npy, ".npz": _read_npz, ".png": _read_png}.get(suffix, _read_hdf5)
    try:
        array = reader(path)
    except OSError as error:
        raise UserError(f"The score map {path} cannot be read: {error.strerror or error}.") from error
    except BROKEN as error:  # what the libraries say of it helps nobody
        numbers = " of numbers (Python objects are not read)" if suffix in (".npy", ".npz") else ""
        raise UserError(
            f"The score map {path} is cut off or no {suffix} file{numbers}: write or copy it again."
        ) from error
    return _checked(array, path)


def find_pairs(
    scores: Path,
    labels: Path,
    protocol: Protocol,
    *,
    encoding: Encoding | None = None,
    name: str | None = None,
    ending: str = "",
    extra: bool = False,
    part: bool = False,
    overrides: Iterable[str] = (),
) -> PairedSet:
    """Find the score maps of a folder and their labels; opens no score map.

    A labels' folder that is a benchmark set (images/ + labels_masks/, frames/) is read as `anomsynth eval` reads it,
    its encoding and hidden test frames included; any other folder is taken as bare label files.

    Args:
        scores: score maps, in subfolders too.
        labels: a benchmark set, its labels_masks/, or any folder of label PNGs, in subfolders too.
        protocol: what it is judged by.
        encoding: of bare label files, instead of the protocol's.
        name: of the set, instead of the folder's.
        ending: only score files that end so count, and it is no part of a frame's name; with or without a suffix.
        extra: pass over score maps without a label instead of refusing them.
        part: frames without a score map are in other parts, and no error.
        overrides: options of the benchmark as words `key=value`, as for `find_sets`; not for bare label files.

    Raises:
        UserError: a folder is missing or empty, several sets in one, the wrong benchmark, a frame without its
            partner, two files of one frame, options where there is no benchmark or that it does not have.
    """
    found = _find_labels(labels, protocol, encoding, tuple(overrides))
    files = _score_files(scores, ending)
    matched, strangers = _match(files, found.files)
    hidden = [path for path in strangers if frame_key(_stem(path, ending)) in found.left_out]
    strangers = [path for path in strangers if path not in hidden]
    notes = list(found.notes)
    if strangers and not extra:
        raise UserError(
            f"{plural(len(strangers), 'score map')} of {scores} without a label in {labels}, the first "
            f"{strangers[0]}: name score maps like their labels, choose files by --ending, such as "
            "--ending _energy.npy, or pass them over with --allow-extra."
        )
    if hidden or strangers:
        notes.append(f"Passed over: {plural(len(hidden) + len(strangers), 'score map')} without a public label.")
    missing = tuple(label.name for label in found.files if label.name not in matched)
    if missing and not part:
        first = next(label.path for label in found.files if label.name == missing[0])
        raise UserError(
            f"{len(missing)} of {len(found.files)} labels have no score map in {scores}, the first {first}; "
            "a figure over some of the frames compares with nothing (--part counts a part, to be merged)."
        )
    if not matched:
        raise UserError(f"No score map of {scores} has its label in {labels}: their names have nothing in common.")
    pairs = tuple(ScorePair(matched[label.name], label) for label in found.files if label.name in matched)
    of_labels = found.part, found.labels, found.options
    return PairedSet(name or found.name, found.benchmark, found.layout, pairs, missing, tuple(notes), *of_labels)


def frame_key(stem: str) -> str:
    """The name of a frame: a file's stem without everything that tools append."""
    return without_endings(stem, _ENDINGS)


def read_label_file(path: Path, encoding: Encoding) -> Label:
    """Read a bare label file, (H, W) uint8: 0 known, 1 anomaly, 255 ignore.

    Raises:
        UserError: missing, broken, in colour, with more than 8 bits or a value without a meaning; names the file.
    """
    stored = _stored(path)
    try:
        return encoding.translate(stored)
    except ValueError as error:
        fitting = [name for name, other in ENCODINGS.items() if _fits(other, stored)]
        hint = "its values fit --encoding" if fitting else "they fit none of --encoding"
        raise UserError(
            f"The label {path} holds the values {_few([*map(str, error.args[0])])}; expected {encoding.name}; "
            f"{hint} {' or '.join(fitting or ENCODINGS)}."
        ) from error


@dataclass(frozen=True, slots=True)
class _Labels:
    """The labels of a folder; `left_out` are frames of the set that have no public label."""

    name: str
    benchmark: str | None
    layout: str
    files: tuple[LabelFile, ...]
    left_out: frozenset[str] = frozenset()
    notes: tuple[str, ...] = field(default=())
    part: str = ""
    labels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def _find_labels(
    folder: Path, protocol: Protocol, encoding: Encoding | None, overrides: Sequence[str] = ()
) -> _Labels:
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: give --labels the folder that holds the labels.")
    folder = folder.resolve()
    if folder.name in ("labels_masks", "frames") and _is_set(folder.parent):
        folder = folder.parent
    looks_like = guess(folder)
    if protocol.benchmark and looks_like and looks_like != protocol.benchmark:
        raise UserError(
            f"{folder} looks like {looks_like}, but the protocol {protocol.name} is for {protocol.benchmark}."
        )
    told = track_of(folder)
    if protocol.part and told is not None and told.name != protocol.part:
        raise UserError(f"{folder} does not look like {protocol.summary}, which the protocol {protocol.name} is for.")
    benchmark = looks_like or protocol.benchmark
    if overrides and encoding is not None:
        raise UserError("--encoding is for bare label files, --set for a benchmark's own set: give one of them.")
    if overrides and benchmark not in FINDERS:
        raise UserError(
            f"--set {overrides[0]} is an option of a benchmark, but {folder} is recognised as none: give --labels "
            "the folder of its set, images and labels."
        )
    # Options are asked of a benchmark's set: where it is not whole, the benchmark says what is missing.
    bare = encoding is not None or not (overrides or _is_set(folder))
    if benchmark is None or benchmark not in FINDERS or bare:
        return _bare_labels(folder, protocol, encoding)
    sets = [found for found in find_sets(benchmark, folder, overrides) if isinstance(found, BenchmarkSet)]
    if len(sets) != 1:
        names = ", ".join(found.name for found in sets) or "none with anomalies"
        raise UserError(f"{folder} should hold one set with anomaly labels, it holds {names}; give --labels one set.")
    return _of_benchmark(sets[0], folder)


def _is_set(folder: Path) -> bool:
    """Whether a folder is a whole benchmark set; masks of Fishyscapes without their images are bare labels."""
    return is_flat(folder) or guess(folder) not in (None, "fishyscapes")


def _of_benchmark(found: BenchmarkSet, folder: Path) -> _Labels:
    files = tuple(
        LabelFile(frame.name, frame.label, partial(read_label, frame), partial(read_image, frame), frame.group, frame)
        for frame in found.frames
        if isinstance(frame, BenchmarkFrame)
    )
    images = folder / "images"
    names = {frame_key(path.stem) for path in images_in(images)} if images.is_dir() else set()
    left_out = frozenset(names - {frame_key(file.name) for file in files})
    of_set = found.notes, found.part, found.labels, found.options
    return _Labels(found.name, found.benchmark, found.layout, files, left_out, *of_set)


def _bare_labels(folder: Path, protocol: Protocol, encoding: Encoding | None) -> _Labels:
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    if any(map(_is_set, inside)):
        # Masks of Fishyscapes, in a folder of their own beside the images, are told by the name of the set.
        sets = [path.name for path in inside if _is_set(path) or named(path) == "fishyscapes"]
        raise UserError(f"{folder} holds whole sets; give --labels one of them: {', '.join(sets)}.")
    paths: dict[str, Path] = {}
    for path in _label_paths(folder):
        key = _label_key(path)
        if key in paths:
            raise UserError(f"{folder} holds two labels of the frame {key}: {paths[key]} and {path}.")
        paths[key] = path
    if not paths:
        raise UserError(f"{folder} holds no labels: expected PNG files named <frame>.png or <frame>_labels.png.")
    meaning = encoding or ENCODINGS[protocol.encoding]
    notes: tuple[str, ...] = ()
    if encoding is None and meaning is TWO_AND_UP:
        meaning, notes = two_and_up_or_plain(map(_stored, paths.values()))
    files = tuple(LabelFile(key, paths[key], partial(read_label_file, paths[key], meaning)) for key in sorted(paths))
    place = folder.resolve()
    name = place.parent.name if place.name in _PLAIN_NAMES else place.name
    return _Labels(name, None, "files", files, notes=notes, labels=(meaning.name,))


def _label_paths(folder: Path) -> list[Path]:
    """PNG files that may be labels: no pictures, no coloured copies, no trainIds beside labelIds."""
    found = [
        path
        for path in sorted(folder.rglob("*.png"))
        if not {"images", "leftImg8bit"} & set(path.relative_to(folder).parts)
        and not path.name.startswith(".")
        and not _NO_LABEL.search(path.stem)
    ]
    names = set(found)
    return [path for path in found if (twin := _twin(path)) is None or twin not in names]


def _twin(path: Path) -> Path | None:
    """The map of labelIds that one of trainIds would stand beside."""
    name = path.name.replace("_labelTrainIds", "_labelIds")
    return None if name == path.name else path.with_name(name)


def _label_key(path: Path) -> str:
    """A label's frame; RoadAnomaly has it in the name of a folder: <frame>.labels/labels_semantic.png."""
    if path.parent.suffix == ".labels":
        return path.parent.stem
    return frame_key(path.stem)


def _score_files(folder: Path, ending: str) -> list[tuple[str, Path]]:
    """(frame, file) of the score maps of a folder."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: give --scores the folder that holds the score maps.")
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    chosen = [
        path
        for path in files
        if (path.name.endswith(ending) or path.stem.endswith(ending)) and not path.stem.endswith(_NO_SCORE)
    ]
    if not chosen:
        what = f"that end in {ending}" if ending and files else f"({', '.join(SUFFIXES)})"
        raise UserError(f"{folder} holds no score maps {what}.")
    return [(frame_key(_stem(path, ending)), path) for path in chosen]


def _stem(path: Path, ending: str) -> str:
    return path.name.removesuffix(ending) if ending and path.name.endswith(ending) else path.stem.removesuffix(ending)


def _match(scores: Sequence[tuple[str, Path]], labels: Sequence[LabelFile]) -> tuple[dict[str, Path], list[Path]]:
    """The score map of each frame, and the score maps that belong to none."""
    by_key = {frame_key(label.name): label for label in labels}
    by_half: dict[str, list[LabelFile]] = {}
    for key, label in by_key.items():
        for half in _halves(key):
            by_half.setdefault(half, []).append(label)
    matched: dict[str, Path] = {}
    strangers: list[Path] = []
    for key, path in scores:
        fitting = [by_key[key]] if key in by_key else _by_half(key, by_key, by_half)
        if len(fitting) > 1:
            raise UserError(f"The score map {path} fits two labels: {fitting[0].path} and {fitting[1].path}.")
        if not fitting:
            strangers.append(path)
            continue
        label = fitting[0]
        if label.name in matched:
            raise UserError(
                f"Two score maps belong to the frame {label.name}: {matched[label.name]} and {path}; "
                "give one folder a method, or choose files by --ending, such as --ending _energy.npy."
            )
        matched[label.name] = path
    return matched, strangers


def _by_half(
    key: str, by_key: Mapping[str, LabelFile], by_half: Mapping[str, Sequence[LabelFile]]
) -> list[LabelFile]:
    """Labels that a score map's name fits where one of both names is only half of the other."""
    fitting: Iterable[LabelFile] = (*by_half.get(key, ()), *(by_key[half] for half in _halves(key) if half in by_key))
    return list({label.name: label for label in fitting}.values())


def _halves(key: str) -> tuple[str, ...]:
    match = _NUMBERED.fullmatch(key)
    return (match["number"], match["base"]) if match else ()


def _read_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _read_npz(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it holds a bare array")
        names: list[str] = [name for name in _ARRAYS if name in arrays.files]
        if len(arrays.files) == 1:
            names = arrays.files
        if len(names) != 1:
            held = _few(arrays.files)
            raise UserError(f"The score map {path} holds {held}; expected one array, or one called score or value.")
        return np.asarray(arrays[names[0]])


def _read_hdf5(path: Path) -> np.ndarray:
    import h5py

    path.open("rb").close()  # a missing file in the system's words, not in those of h5py
    try:
        with h5py.File(path, "r") as file:
            held = file.get(DATASET)
            if not isinstance(held, h5py.Dataset):
                raise UserError(
                    f"The score map {path} holds {_few(list(file))}; expected a dataset called {DATASET}."
                )
            return np.asarray(held[()])
    except (OSError, RuntimeError) as error:
        raise ValueError("no HDF5") from error


def _read_png(path: Path) -> np.ndarray:
    try:
        stored = decode_map(path.read_bytes(), path.name)
    except BadInput as error:
        if error.reason in ("truncated-image", "unreadable-image"):
            raise ValueError(error.detail) from error
        raise UserError(f"The score map {path} cannot be read: {error.detail}.") from error
    if stored.dtype == np.uint8:
        raise UserError(f"The score map {path} has 8 bits a pixel; expected 16: 256 steps are too few to judge.")
    return stored.astype(np.float32)


def _checked(array: np.ndarray, path: Path) -> ScoreMap:
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise UserError(f"The score map {path} holds {array.dtype}; expected float16, float32 or float64.")
    if array.ndim < 2 or not array.size or any(length != 1 for length in array.shape[:-2]):
        raise UserError(f"The score map {path} has the shape {array.shape}; expected (height, width).")
    plain: ScoreMap = np.ascontiguousarray(array.reshape(array.shape[-2:]), array.dtype.newbyteorder("="))
    broken = plain.size - int(np.isfinite(plain).sum())
    if broken:
        raise UserError(f"The score map {path} holds {broken} values that are NaN or infinite; they must be finite.")
    return plain


def _fits(encoding: Encoding, stored: Label) -> bool:
    """Whether every value of a label has a meaning, and some is an anomaly and some known."""
    try:
        label = encoding.translate(stored)
    except ValueError:
        return False
    return bool((label == ANOMALY).any() and (label == KNOWN).any())


def _stored(path: Path) -> Label:
    try:
        stored = decode_map(path.read_bytes(), path.name)
    except OSError as error:
        raise UserError(f"The label {path} cannot be read: {error.strerror}.") from error
    except BadInput as error:
        raise UserError(f"The label {path} cannot be read: {error.detail}.") from error
    if stored.dtype != np.uint8:
        raise UserError(f"The label {path} holds 16 bits a pixel; expected 8.")
    return stored


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "nothing"
