"""Post-hoc anomaly scores: pure functions of a segmenter's logits.

Notation: z in R^C the logits of the known classes, p = softmax(z). Larger = more anomalous, always.

    msp       1 - max_c p_c                    [0, 1 - 1/C]
    entropy   -sum_c p_c ln p_c / ln C         [0, 1]
    maxlogit  -max_c z_c
    energy    -ln sum_c e^{z_c}
    maxmin    -(max_c z_c - min_c z_c)         (-inf, 0]
    void      softmax over all outputs, of the one behind the known classes     [0, 1]

A void output, where a network has one, is the output with index `num_classes`; every score but `void` leaves it out.
Arithmetic is float32 whatever the logits are and whether or not autocast is on (law 9).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from eval.score_cards import CARDS
from shards.cards import Card
from shards.errors import UserError
from shards.labels import NUM_CLASSES

ScoreFunction = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Score:
    """One score: its catalogue entry and its arithmetic on float32 logits (N, C, H, W) -> (N, H, W)."""

    card: Card
    function: ScoreFunction
    needs_void: bool = False
    """Reads the void output too, the last one, and exists only where a network has it."""


def _msp(z: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n h w"]:
    return 1 - z.softmax(1).amax(1)


def _entropy(z: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n h w"]:
    # entr is 0 at p = 0, where the product p * ln p would be NaN.
    surprise: Tensor = torch.special.entr(z.softmax(1))
    return surprise.sum(1) / math.log(z.shape[1])


def _maxlogit(z: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n h w"]:
    return -z.amax(1)


def _energy(z: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n h w"]:
    return -z.logsumexp(1)


def _maxmin(z: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n h w"]:
    return z.amin(1) - z.amax(1)


def _void(z: Float32[Tensor, "n c h w"]) -> Float32[Tensor, "n h w"]:
    return z.softmax(1)[:, -1]


SCORES: Mapping[str, Score] = {
    "msp": Score(CARDS["msp"], _msp),
    "entropy": Score(CARDS["entropy"], _entropy),
    "maxlogit": Score(CARDS["maxlogit"], _maxlogit),
    "energy": Score(CARDS["energy"], _energy),
    "maxmin": Score(CARDS["maxmin"], _maxmin),
    "void": Score(CARDS["void"], _void, needs_void=True),
}
"""Score name -> score, in the order in which tables list them."""


def score_names(outputs: int, num_classes: int = NUM_CLASSES) -> tuple[str, ...]:
    """The scores that a network with this many outputs can give."""
    return tuple(name for name, entry in SCORES.items() if outputs > num_classes or not entry.needs_void)


def score(name: str, logits: Float[Tensor, "n c h w"], *, num_classes: int = NUM_CLASSES) -> Float32[Tensor, "n h w"]:
    """Score every pixel; larger = more anomalous.

    Args:
        name: a key of `SCORES`.
        logits: (N, C, H, W), any floating type; the known classes first, then the void output if there is one.
        num_classes: how many of the outputs are known classes.

    Returns:
        (N, H, W) float32.

    Raises:
        UserError: unknown score; too few outputs for it.
    """
    if name not in SCORES:
        raise UserError(f"There is no score {name!r}. The scores are: {', '.join(SCORES)}.")
    outputs = logits.shape[1]
    if outputs not in (num_classes, num_classes + 1):
        raise UserError(
            f"Scores expect a network with {num_classes} outputs, or one more where it has a void output, "
            f"got {outputs}."
        )
    entry = SCORES[name]
    if entry.needs_void and outputs == num_classes:
        raise UserError(
            f"Score {name!r} expects a network with a void output behind its {num_classes} classes, "
            f"got {outputs} outputs. Choose another score: {', '.join(score_names(outputs, num_classes))}."
        )
    with torch.autocast(logits.device.type, enabled=False):
        z = logits.float()
        return entry.function(z if entry.needs_void else z[:, :num_classes])
