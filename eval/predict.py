"""Score maps of single images, for people: arrays to compute with and pictures to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from eval.predictor import Predictor, check_scores, predict
from eval.report.overlay import heat_map, value_range, with_legend
from shards.codec import decode_image
from shards.errors import BadInput, UserError
from shards.plural import plural
from shards.progress import track
from shards.writer import write_atomically

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class PredictSummary:
    """What `predict_images` made.

    Attributes:
        written: the files, in the order of the images.
        skipped: name of an image that could not be read -> why.
    """

    written: tuple[Path, ...]
    skipped: Mapping[str, BadInput] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, int]:
        """How many images were skipped, by reason."""
        return dict(Counter(error.reason for error in self.skipped.values()))


def predict_images(
    images: Sequence[Path],
    predictor: Predictor,
    scores: Sequence[str],
    out: Path,
    *,
    strict: bool = False,
    overwrite: bool = False,
) -> PredictSummary:
    """Write <stem>_<score>.npy (float32 (H, W)) and <stem>_<score>.png (heat map with legend) for every image.

    Args:
        images: picture files; a folder stands for the pictures directly inside it.
        predictor: gives the score maps.
        scores: which scores; all that the predictor has if empty.
        out: folder for the files; made if missing.
        strict: an image that cannot be read is an error instead of a skip.
        overwrite: replace files of an earlier call.

    Raises:
        UserError: no image, a missing file, two images of one stem, files in the way, an unknown score.
    """
    wanted = check_scores(predictor, scores)
    paths = _expand(images)
    targets = {path: {name: out / f"{path.stem}_{name}.npy" for name in wanted} for path in paths}
    _check_free([target for files in targets.values() for target in files.values()], overwrite)
    _make_folder(out)
    written: list[Path] = []
    skipped: dict[str, BadInput] = {}
    for path in track(paths, "predict", total=len(paths), unit="images"):
        try:
            image = decode_image(path.read_bytes(), path.name)
        except OSError as error:
            raise UserError(f"Cannot read {path}: {error.strerror}.") from error
        except BadInput as error:
            if strict:
                raise UserError(f"{path} cannot be read: {error.detail}.") from error
            skipped[path.name] = error
            continue
        prediction = predict(predictor, image, wanted, path.name)
        for name, target in targets[path].items():
            score = prediction.scores[name].astype(np.float32)
            if not np.isfinite(score).all():
                raise UserError(f"The {name} map of {path.name} holds NaN or infinity; the network is broken.")
            limits = value_range(score)
            picture = with_legend(heat_map(image, score, limits), name, limits)
            written += _write(target, score, picture)
    return PredictSummary(tuple(written), skipped)


def _expand(images: Sequence[Path]) -> list[Path]:
    paths: list[Path] = []
    for path in images:
        if path.is_dir():
            paths += sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        elif path.is_file():
            paths.append(path)
        else:
            raise UserError(f"There is no image {path}.")
    if not paths:
        raise UserError("No images: give picture files, or a folder that holds some (png, jpg, jpeg, webp).")
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise UserError(f"{other} and {path} would be written to the same files: rename one of them.")
    return paths


def _check_free(targets: Sequence[Path], overwrite: bool) -> None:
    in_the_way = [file for target in targets for file in (target, target.with_suffix(".png")) if file.exists()]
    if in_the_way and not overwrite:
        raise UserError(
            f"{in_the_way[0]} exists already ({plural(len(in_the_way), 'such file')}): "
            "choose another folder or give --overwrite."
        )
    # Two images "a" and "a_msp" could name one file, too.
    if len(set(targets)) != len(targets):
        raise UserError("Two images would be written to the same files: rename one of them.")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make the folder {out}: {error.strerror}.") from error


def _write(target: Path, score: np.ndarray, picture: np.ndarray) -> list[Path]:
    """The array and, beside it, the picture."""
    png = target.with_suffix(".png")
    write_atomically(target, partial(np.save, arr=score, allow_pickle=False))
    write_atomically(png, partial(Image.fromarray(picture).save, format="PNG"))
    return [target, png]
