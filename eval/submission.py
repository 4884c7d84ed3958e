"""The files that the hosts of hidden test sets want.

SegmentMeIfYouCan (Chan et al., 2021) takes what its own evaluator saves, one HDF5 file a frame with the dataset
`value`, float16, gzip 9. All frames of a track, public and hidden, lie in one folder:

    OUT/anomaly_p/METHOD/AnomalyTrack-all/<fid>.hdf5      110 frames
    OUT/anomaly_p/METHOD/ObstacleTrack-all/<fid>.hdf5     442 frames

float16 holds three digits: scores far from 0, as energies are, fall together there, which costs AP. What comes out
can be judged as the host will, by `anomsynth eval scores --protocol smiyc-anomaly`.

Fishyscapes (Blum et al., 2021) runs a container that reads /input/DDDD_*.png and writes for each

    /output/DDDD_anomaly.npy         (H, W) float32, larger = more anomalous
    /output/DDDD_segmentation.npy    (H, W) uint8 trainIds

and compares what it finds on the validation frames of Lost & Found with validation_performance.json, {"ap": 0..1,
"fpr": 0..1}, which the pull request brings; they may differ by 0.01.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float16, Float32, UInt8

from eval.benchmarks import BenchmarkFrame, BenchmarkSet, find_sets
from eval.benchmarks.folders import images_in
from eval.benchmarks.search import WrongFolder
from eval.benchmarks.sets import UnlabelledFrame, UnlabelledSet, read_image, read_label
from eval.files import write_bytes, write_json
from eval.metrics import PixelMetrics
from eval.predictor import Predictor, check_scores, predict
from eval.protocols import PROTOCOLS
from eval.scoremaps import DATASET
from shards.errors import UserError
from shards.plural import plural
from shards.progress import track

PERFORMANCE: Final = "validation_performance.json"
VALIDATION_FRAMES: Final = 100
"""Of Fishyscapes Lost & Found."""

_METHOD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_NUMBER: Final = re.compile(r"(\d{4})(?!\d)")


@dataclass(frozen=True, slots=True)
class HostFrame:
    """A frame that Fishyscapes wants predicted.

    Attributes:
        name: its four digits.
        image: gives the photograph, (H, W, 3) uint8 RGB; raises UserError.
        label: gives the label where it is public, (H, W) uint8: 0 known, 1 anomaly, 255 ignore; raises UserError.
    """

    name: str
    image: Callable[[], UInt8[np.ndarray, "h w 3"]]
    label: Callable[[], UInt8[np.ndarray, "h w"]] | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What was written.

    Attributes:
        files: in the order of the frames.
        notes: what the host will miss; sentences for people.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def submit_smiyc(
    tracks: Sequence[UnlabelledSet],
    predictor: Predictor,
    score: str,
    out: Path,
    *,
    method: str,
    overwrite: bool = False,
) -> Submission:
    """Write OUT/anomaly_p/METHOD/TRACK/<fid>.hdf5 for every frame.

    Args:
        tracks: from `smiyc.find_submission`.
        predictor: gives the score maps.
        score: which of its scores.
        out: folder of the submission; made if missing.
        method: what the host shall call it: letters, digits and . _ + - only.
        overwrite: replace files of an earlier call.

    Raises:
        UserError: an impossible name, files in the way, an unknown score, a broken image, a score that is not finite
            or beyond float16.
    """
    check_scores(predictor, [score])
    if not _METHOD.fullmatch(method):
        raise UserError(f"The method's name {method!r} will be a folder's: use letters, digits and . _ + - only.")
    targets = {
        found.submission: [
            out / "anomaly_p" / method / found.submission / f"{frame.name}.hdf5" for frame in found.frames
        ]
        for found in tracks
    }
    _check_free([target for files in targets.values() for target in files], overwrite)
    for found in tracks:
        frames = track(found.frames, found.submission, total=len(found.frames), unit="frames")
        for frame, target in zip(frames, targets[found.submission], strict=True):
            score_map = predict(predictor, read_image(frame), (score,), frame.name).scores[score]
            write_bytes(target, hdf5_of(score_map, frame.name))
    notes = tuple(f"{found.submission}: {note}" for found in tracks for note in found.notes)
    return Submission(tuple(target for files in targets.values() for target in files), notes)


def fishyscapes_frames(folder: Path) -> tuple[HostFrame, ...]:
    """The frames of a folder: a validation set with its labels, or the pictures DDDD_*.png that the host mounts.

    Raises:
        UserError: neither is found, a name without its four digits, two frames of one number, or several sets.
    """
    return frames_of_set(fishyscapes_set(folder), folder)


def fishyscapes_set(folder: Path) -> BenchmarkSet | UnlabelledSet:
    """The validation set of a folder, or the pictures DDDD_*.png that the host mounts.

    Raises:
        UserError: neither is found, or several sets.
    """
    try:
        sets = [found for found in find_sets("fishyscapes", folder) if isinstance(found, BenchmarkSet)]
    except WrongFolder:
        pictures = [path for path in images_in(folder) if _NUMBER.match(path.name)]
        if not pictures:
            raise
        frames = tuple(UnlabelledFrame(path.stem, path) for path in pictures)
        return UnlabelledSet(folder.resolve().name, "fishyscapes", "DDDD_anomaly.npy", frames)
    if len(sets) != 1:
        names = ", ".join(found.name for found in sets)
        raise UserError(f"{folder} holds several sets, whose numbers collide; give --data one of them: {names}.")
    return sets[0]


def frames_of_set(found: BenchmarkSet | UnlabelledSet, folder: Path) -> tuple[HostFrame, ...]:
    """The frames of a set that was found, under their four digits.

    Raises:
        UserError: a name without its four digits, or two frames of one number; names the folder.
    """
    frames: dict[str, HostFrame] = {}
    for frame in found.frames:
        match = _NUMBER.match(frame.name)
        if match is None:
            raise UserError(f"The frame {frame.name} of {folder} does not begin with the four digits of Fishyscapes.")
        if match[1] in frames:
            raise UserError(
                f"{folder} holds two frames of the number {match[1]}; a submission has one file for both."
            )
        if isinstance(frame, BenchmarkFrame):
            frames[match[1]] = HostFrame(match[1], partial(read_image, frame), partial(read_label, frame))
        elif isinstance(frame, UnlabelledFrame):
            frames[match[1]] = HostFrame(match[1], partial(read_image, frame))
    return tuple(frames.values())


def submit_fishyscapes(
    frames: Sequence[HostFrame], predictor: Predictor, score: str, out: Path, *, overwrite: bool = False
) -> Submission:
    """Write OUT/DDDD_anomaly.npy and OUT/DDDD_segmentation.npy for every frame.

    Where all frames have labels, validation_performance.json is written beside them.

    Args:
        frames: from `fishyscapes_frames`.
        predictor: gives score maps and semantic maps.
        score: which of its scores.
        out: folder of the files; made if missing.
        overwrite: replace files of an earlier call.

    Raises:
        UserError: files in the way, an unknown score, a broken image or label, image and label of different size,
            a score that is not finite.
    """
    check_scores(predictor, [score])
    targets = [(out / f"{frame.name}_anomaly.npy", out / f"{frame.name}_segmentation.npy") for frame in frames]
    _check_free([*(file for pair in targets for file in pair), out / PERFORMANCE], overwrite)
    pool = PixelMetrics()
    for frame, (anomaly, segmentation) in zip(
        track(frames, "fishyscapes", total=len(frames), unit="frames"), targets, strict=True
    ):
        image, label = frame.image(), None if frame.label is None else frame.label()
        if label is not None and label.shape != image.shape[:2]:
            raise UserError(
                f"Frame {frame.name}: the label has {label.shape[1]}x{label.shape[0]} pixels "
                f"but the image {image.shape[1]}x{image.shape[0]}; they must be equal."
            )
        found = predict(predictor, image, (score,), frame.name, semantic=True)
        values = _finite(found.scores[score].astype(np.float32), frame.name)
        if label is not None:
            pool.add(values, label, frame.name)
        write_bytes(anomaly, _npy_of(values))
        write_bytes(segmentation, _npy_of(np.asarray(found.semantic)))
    files = [file for pair in targets for file in pair]
    if any(frame.label is None for frame in frames):
        return Submission(tuple(files), (f"{PERFORMANCE} needs the validation frames and their labels.",))
    result = pool.result(reach=PROTOCOLS["fishyscapes"].reach)
    write_json(out / PERFORMANCE, {"ap": result.ap, "fpr": result.fpr})
    notes: list[str] = []
    if len(frames) != VALIDATION_FRAMES:
        expected = f"the {VALIDATION_FRAMES} validation frames of Lost & Found"
        notes.append(f"{PERFORMANCE} is of {plural(len(frames), 'frame')}, where the host takes {expected}.")
    return Submission((*files, out / PERFORMANCE), tuple(notes))


def hdf5_of(score: Float32[np.ndarray, "h w"], frame: str) -> bytes:
    """A score map as SegmentMeIfYouCan stores it: HDF5, dataset `value`, float16, gzip 9.

    Raises:
        UserError: a value is not finite, or too large for float16.
    """
    import h5py

    _finite(score, frame)
    with np.errstate(over="ignore"):
        half: Float16[np.ndarray, "h w"] = score.astype(np.float16)
    if not np.isfinite(half).all():
        largest = float(np.abs(score).max())
        raise UserError(
            f"The score map of {frame} reaches {largest:g}, but the host stores float16, up to 65504; "
            "choose a score of a smaller range."
        )
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset(DATASET, data=half, compression="gzip", compression_opts=9)
    return content.getvalue()


def _finite(score: Float32[np.ndarray, "h w"], frame: str) -> Float32[np.ndarray, "h w"]:
    if not np.isfinite(score).all():
        raise UserError(f"The score map of {frame} holds NaN or infinity; the network is broken.")
    return score


def _npy_of(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _check_free(targets: Sequence[Path], overwrite: bool) -> None:
    in_the_way = [file for file in targets if file.exists()]
    if in_the_way and not overwrite:
        raise UserError(
            f"{in_the_way[0]} exists already ({plural(len(in_the_way), 'such file')}): "
            "choose another folder or give --overwrite."
        )
