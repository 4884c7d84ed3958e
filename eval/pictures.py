"""What the page shows of a frame: from the network that was judged, or from the score maps that were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from eval.benchmarks import read_frame
from eval.benchmarks.folders import images_in
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet, ShardFrame
from eval.predictor import Predictor, predict
from eval.results import Results
from eval.scoremaps import PairedSet, ScorePair, frame_key, read_score_map
from shards.codec import decode_image
from shards.errors import BadInput, UserError
from shards.labels import IGNORE

_PLAIN, _VOID = 128, 48
"""Grey levels that stand for a photograph that is not there: valid and void pixels."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame.

    Attributes:
        image: (H, W, 3) uint8 RGB; a grey plane, darker where void, if there is no photograph.
        label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
        score: (H, W) float32, larger = more anomalous.
    """

    image: UInt8[np.ndarray, "h w 3"]
    label: UInt8[np.ndarray, "h w"]
    score: Float32[np.ndarray, "h w"]


Pictures = Callable[[str, str, str], Shown]
"""Where the page's pictures come from: set, frame and score -> what is shown. Raises UserError where files are not
readable any more."""


class PredictedPictures:
    """Asks the predictor once more.

    Args:
        results: from `eval.run.evaluate`.
        predictor: the one that was judged.
    """

    def __init__(self, results: Results, predictor: Predictor) -> None:
        self._predictor = predictor
        self._frames: dict[str, dict[str, BenchmarkFrame | ShardFrame]] = {
            name: {frame.name: frame for frame in judged.found.frames}
            for name, judged in results.sets.items()
            if isinstance(judged.found, BenchmarkSet)
        }

    def __call__(self, name: str, frame: str, score: str) -> Shown:
        """The frame with what the predictor says of it."""
        image, label = read_frame(self._frames[name][frame])
        return Shown(image, label, predict(self._predictor, image, (score,), frame).scores[score])


class StoredPictures:
    """Reads score maps and labels once more, and photographs where there are some.

    Args:
        paired: the set that was judged.
        images: folder of its photographs, named like the frames, in subfolders too; without it those of the
            benchmark.

    Raises:
        UserError: there is no such folder, or a frame has no photograph in it.
    """

    def __init__(self, paired: PairedSet, images: Path | None = None) -> None:
        self._pairs = {pair.name: pair for pair in paired.pairs}
        self._images: Mapping[str, Path] | None = None if images is None else _by_frame(images)
        missing = [name for name in self._pairs if self._images is not None and frame_key(name) not in self._images]
        if missing:
            raise UserError(
                f"{len(missing)} of {len(self._pairs)} frames have no image in {images}, the first {missing[0]}: "
                "give --images the folder of the images that the score maps belong to."
            )

    def __call__(self, name: str, frame: str, score: str) -> Shown:
        """The frame with its stored score map; which score that is called does not matter."""
        pair = self._pairs[frame]
        label = pair.label.read()
        with np.errstate(over="ignore"):
            values = read_score_map(pair.score).astype(np.float32)
        return Shown(self._image(pair, label), label, values)

    def _image(self, pair: ScorePair, label: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
        if self._images is not None:
            image = _read(self._images[frame_key(pair.name)])
            if image.shape[:2] != label.shape:
                raise UserError(
                    f"The image of {pair.name} has {image.shape[1]}x{image.shape[0]} pixels but its label "
                    f"{label.shape[1]}x{label.shape[0]}; they must be equal."
                )
            return image
        if pair.label.picture is not None:
            with suppress(UserError):  # nobody asked for it: figures do not need it
                image = pair.label.picture()
                if image.shape[:2] == label.shape:
                    return image
        return np.where(label == IGNORE, np.uint8(_VOID), np.uint8(_PLAIN))[..., None].repeat(3, axis=2)


def _by_frame(folder: Path) -> dict[str, Path]:
    """The images of a folder by the frame that they are named after."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: give --images the folder that holds an image for each frame.")
    places = [folder, *(path for path in sorted(folder.rglob("*")) if path.is_dir())]
    return {frame_key(path.stem): path for place in places for path in images_in(place)}


def _read(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    try:
        return decode_image(path.read_bytes(), path.name)
    except OSError as error:
        raise UserError(f"The image {path} cannot be read: {error.strerror or error}.") from error
    except BadInput as error:
        raise UserError(f"The image {path} cannot be read: {error.detail}.") from error
