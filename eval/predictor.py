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
        """Method, checkpoint, input size ...: JSON types; goes into results.json."""
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
    """The scores asked for, each once and in order; all that the predictor has where none is named.

    Raises:
        UserError: the predictor cannot give one of them.
    """
    wanted = tuple(dict.fromkeys(scores)) or predictor.score_names
    missing = [name for name in wanted if name not in predictor.score_names]
    if missing:
        raise UserError(
            f"This predictor cannot give the score {missing[0]!r}. It gives: {', '.join(predictor.score_names)}."
        )
    return wanted
