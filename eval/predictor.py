"""What `eval` asks of whoever predicts: the roof passes in a network of `train/`, a test passes in a toy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from shards.errors import UserError


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a predictor says of one image, at the image's own size.

    Attributes:
        scores: score maps by name, (H, W) float32, finite, larger = more anomalous.
        semantic: (H, W) uint8 Cityscapes trainIds 0..18, where asked for.
    """

    scores: Mapping[str, Float32[np.ndarray, "h w"]]
    semantic: UInt8[np.ndarray, "h w"] | None = None


@runtime_checkable
class Predictor(Protocol):
    """Image in, score maps and semantic map out."""

    @property
    def describe(self) -> Mapping[str, Any]:
        """Method, checkpoint, input size ...: JSON types; goes into results.json.

        `tuned`, where it is there, has a sentence on each score that was tuned on test data.
        """
        ...

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores that it can give."""
        ...

    def predict(
        self, image: UInt8[np.ndarray, "h w 3"], scores: Sequence[str], *, semantic: bool = False
    ) -> Prediction:
        """Predict one RGB image (H, W, 3) uint8; the prediction holds exactly what is asked for.

        Its arrays are handed over: they are judged in another thread while the next image is predicted, so they must
        not be written to again, nor be views of a buffer that is.
        """
        ...


def check_scores(predictor: Predictor, scores: Sequence[str]) -> tuple[str, ...]:
    """The scores asked for, each once and in order; all that were not tuned on test data where none is named.

    Raises:
        UserError: the predictor cannot give one of them.
    """
    tuned = predictor.describe.get("tuned", {})
    wanted = tuple(dict.fromkeys(scores)) or tuple(name for name in predictor.score_names if name not in tuned)
    missing = [name for name in wanted if name not in predictor.score_names]
    if missing:
        raise UserError(
            f"This detector cannot give the score {missing[0]!r}. It gives: {', '.join(predictor.score_names)}."
        )
    return wanted


def predict(
    predictor: Predictor,
    image: UInt8[np.ndarray, "h w 3"],
    scores: Sequence[str],
    frame: str,
    *,
    semantic: bool = False,
) -> Prediction:
    """Ask the predictor and hold it to its contract: everything asked for, at the image's size.

    Raises:
        UserError: it does not keep it; names the frame.
    """
    prediction = predictor.predict(image, scores, semantic=semantic)
    maps: dict[str, np.ndarray] = dict(prediction.scores)
    if prediction.semantic is not None:
        maps["semantic"] = prediction.semantic
    missing = [name for name in (*scores, *(["semantic"] if semantic else [])) if name not in maps]
    if missing:
        raise UserError(f"The predictor gave no {missing[0]!r} map for {frame}.")
    for what, found in maps.items():
        if found.shape != image.shape[:2]:
            raise UserError(
                f"The predictor's {what} map of {frame} has the shape {found.shape}; expected {image.shape[:2]}."
            )
    return prediction
