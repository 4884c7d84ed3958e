"""Post-hoc anomaly scores: pure functions of a segmenter's logits.

Notation: z in R^C the logits of the known classes, p = softmax(z). Larger = more anomalous, always.

    msp       1 - max_c p_c                    [0, 1 - 1/C]
    entropy   -sum_c p_c ln p_c / ln C         [0, 1]
    maxlogit  -max_c z_c
    energy    -ln sum_c e^{z_c}
    maxmin    -(max_c z_c - min_c z_c)         (-inf, 0]
    void      softmax over all outputs, of the one behind the known classes     [0, 1]

A void output, where a network has one, is the output with index `num_classes`; every score but `void` leaves it out.
Arithmetic is float32 whatever the logits are and whether or not autocast is on (law 9). The scores share their terms:
all of them together cost little more than the dearest one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional

from eval.score_cards import CARDS
from shards.cards import Card
from shards.errors import UserError
from shards.labels import NUM_CLASSES

BAND = 32
"""Rows of the image that are scored at once on a processor: so many that their logits stay in the cache."""


class Terms:
    """What the scores of some pixels are made of, computed when a score first asks for it.

    Args:
        z: (C, *pixels) float32, the known classes first.
        num_classes: how many of the outputs are known classes.
    """

    def __init__(self, z: Float32[Tensor, "c ..."], num_classes: int) -> None:
        self.z, self.known = z, z[:num_classes]

    @cached_property
    def top(self) -> Float32[Tensor, " ..."]:
        """The largest logit."""
        return self.known.amax(0)

    @cached_property
    def low(self) -> Float32[Tensor, " ..."]:
        """The smallest logit."""
        return self.known.amin(0)

    @cached_property
    def below(self) -> Float32[Tensor, "c ..."]:
        """How far a logit lies below the largest: z - max z."""
        return self.known - self.top

    @cached_property
    def weights(self) -> Float32[Tensor, "c ..."]:
        """The probabilities, not normalised: exp(z - max z) = p times `total`."""
        return self.below.exp()

    @cached_property
    def total(self) -> Float32[Tensor, " ..."]:
        """Their sum, which is 1 / max p."""
        return self.weights.sum(0)

    @cached_property
    def log_total(self) -> Float32[Tensor, " ..."]:
        """Logarithm of `total`."""
        return self.total.log()

    @cached_property
    def log_sum_exp(self) -> Float32[Tensor, " ..."]:
        """Logarithm of sum exp z."""
        return self.top + self.log_total

    def classes(self) -> UInt8[Tensor, " ..."]:
        """The most probable known class, the first of equals; many times faster than argmax over the first axis."""
        found = torch.zeros_like(self.top, dtype=torch.uint8)
        for number in range(len(self.known) - 1, 0, -1):
            found.masked_fill_(self.known[number] == self.top, number)
        return found.masked_fill_(self.known[0] == self.top, 0)


ScoreFunction = Callable[[Terms], Tensor]


@dataclass(frozen=True, slots=True)
class Score:
    """One score: its catalogue entry and its arithmetic."""

    card: Card
    function: ScoreFunction
    needs_void: bool = False
    """Reads the void output too, the last one, and exists only where a network has it."""


def _msp(t: Terms) -> Float32[Tensor, " ..."]:
    return 1 - 1 / t.total


def _entropy(t: Terms) -> Float32[Tensor, " ..."]:
    # -sum p ln p with ln p = (z - max z) - ln total; both summands are positive, so nothing cancels.
    return (t.log_total - (t.weights * t.below).sum(0) / t.total) / math.log(len(t.known))


def _maxlogit(t: Terms) -> Float32[Tensor, " ..."]:
    return -t.top


def _energy(t: Terms) -> Float32[Tensor, " ..."]:
    return -t.log_sum_exp


def _maxmin(t: Terms) -> Float32[Tensor, " ..."]:
    return t.low - t.top


def _void(t: Terms) -> Float32[Tensor, " ..."]:
    # e^v / (e^v + sum exp z)
    return torch.sigmoid(t.z[-1] - t.log_sum_exp)


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
    _check((name,), logits.shape[1], num_classes)
    with torch.autocast(logits.device.type, enabled=False):
        return SCORES[name].function(Terms(logits.float().movedim(1, 0), num_classes))


@dataclass(frozen=True, slots=True)
class Maps:
    """What is known of the pixels of one image.

    Attributes:
        scores: score maps by name, larger = more anomalous.
        semantic: the most probable known class, where asked for.
    """

    scores: Mapping[str, Float32[Tensor, "h w"]]
    semantic: UInt8[Tensor, "h w"] | None


def score_maps(
    names: Sequence[str],
    logits: Float[Tensor, "c h w"],
    size: tuple[int, int],
    *,
    semantic: bool = False,
    num_classes: int = NUM_CLASSES,
) -> Maps:
    """Score an image at its own size from the logits at a network's: bilinear upsampling, then the scores.

    On a processor this goes in bands of rows. The upsampled logits of a whole frame are 170 MB and more; those of a
    band stay in the cache while all scores are made of them.

    Args:
        names: keys of `SCORES`.
        logits: (C, h, w), any floating type; the known classes first, then the void output if there is one.
        size: (height, width) of the image.
        semantic: give the most probable known class, too.
        num_classes: how many of the outputs are known classes.

    Raises:
        UserError: unknown score; too few outputs for it.
    """
    _check(names, logits.shape[0], num_classes)
    height = size[0]
    band = BAND if logits.device.type == "cpu" else height
    maps = {name: torch.empty(size, device=logits.device) for name in names}
    classes = torch.empty(size, dtype=torch.uint8, device=logits.device) if semantic else None
    with torch.autocast(logits.device.type, enabled=False):
        small = logits.float()
        for first in range(0, height, band):
            last = min(first + band, height)
            terms = Terms(upsampled_rows(small, size, first, last), num_classes)
            for name, whole in maps.items():
                whole[first:last] = SCORES[name].function(terms)
            if classes is not None:
                classes[first:last] = terms.classes()
    return Maps(maps, classes)


def upsampled_rows(
    logits: Float32[Tensor, "c h w"], size: tuple[int, int], first: int, last: int
) -> Float32[Tensor, "c rows width"]:
    """Rows first..last-1 of logits that are upsampled bilinearly (align_corners false) to (height, width)."""
    rows, (height, width) = logits.shape[1], size
    if rows != height:
        at = (torch.arange(first, last, device=logits.device) + 0.5) * (rows / height) - 0.5
        at = at.clamp(0, rows - 1)
        above = at.long()
        share = (at - above)[:, None]
        logits = torch.lerp(logits[:, above], logits[:, (above + 1).clamp(max=rows - 1)], share)
    else:
        logits = logits[:, first:last]
    if logits.shape[2] == width:
        return logits
    return functional.interpolate(logits[None], (last - first, width), mode="bilinear", align_corners=False)[0]


def _check(names: Sequence[str], outputs: int, num_classes: int) -> None:
    unknown = [name for name in names if name not in SCORES]
    if unknown:
        raise UserError(f"There is no score {unknown[0]!r}. The scores are: {', '.join(SCORES)}.")
    if outputs not in (num_classes, num_classes + 1):
        raise UserError(
            f"Scores expect a network with {num_classes} outputs, or one more where it has a void output, "
            f"got {outputs}."
        )
    void = [name for name in names if SCORES[name].needs_void]
    if void and outputs == num_classes:
        raise UserError(
            f"Score {void[0]!r} expects a network with a void output behind its {num_classes} classes, "
            f"got {outputs} outputs. Choose another score: {', '.join(score_names(outputs, num_classes))}."
        )
