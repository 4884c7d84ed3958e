"""Values of the last steps, read together: a look at the device makes the host wait for it.

On the CPU every step is looked at when it is done. On a CUDA device the values stay there until a row of the log or
a saving wants them; a step that went wrong is then found with its number and samples, before anything is saved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from shards.errors import UserError
from train.ranks import collect
from train.steps import Values


@dataclass(frozen=True, slots=True)
class Seen:
    """One step, read.

    Attributes:
        terms: losses and their terms by name; shares under several processes.
        samples: that this process saw.
    """

    terms: dict[str, float]
    samples: int


@dataclass(frozen=True, slots=True)
class Event:
    """A sample that could not be read, and the step (from 1) that asked for it."""

    step: int
    reason: str
    detail: str


class Guard:
    """Keeps what steps came to until somebody looks, and ends a run that is no longer finite."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, tuple[str, ...], Values]] = []
        self._events: list[Event] = []

    def unreadable(self, step: int, samples: list[tuple[str, str]]) -> None:
        """Take note of (reason, detail) of samples of a step."""
        self._events += [Event(step, reason, detail) for reason, detail in samples]

    def note(self, step: int, keys: tuple[str, ...], values: Values) -> None:
        """Take note of a step, counted from 1, and of the samples it saw."""
        self._steps.append((step, keys, values))

    def look(self) -> tuple[list[Seen], list[Event]]:
        """Read what was noted since the last look, and the events of all processes; all of them look together.

        Raises:
            UserError: a loss or a gradient is not finite; by all processes.
        """
        steps, self._steps = self._steps, []
        events, self._events = self._events, []
        scalars: list[Tensor] = []
        for _, _, values in steps:
            scalars += [*values.losses.values(), *values.terms.values(), *values.norms.values()]
        read = iter(torch.stack([scalar.float() for scalar in scalars]).tolist() if scalars else ())
        seen: list[Seen] = []
        problem: tuple[int, int, str] | None = None  # step, whether it is a gradient (a loss says more), sentence
        for step, keys, values in steps:
            losses = {name: next(read) for name in values.losses}
            terms = {name: next(read) for name in values.terms}
            norms = {f"gradient of {name}": next(read) for name in values.norms}
            seen.append(Seen({**losses, **terms}, len(keys)))
            for name, value in {**losses, **norms}.items():
                if problem is None and not math.isfinite(value):
                    sentence = (
                        f"The {name.replace('_', ' ')} is {value} at step {step} (samples {', '.join(keys)}); lower "
                        "lr, or look at these samples with `anomsynth inspect`."
                    )
                    problem = (step, int(name in norms), sentence)
        everywhere = collect((problem, events))
        problems = [problem for problem, _ in everywhere if problem is not None]
        if problems:
            raise UserError(min(problems)[2])
        return seen, [event for _, events in everywhere for event in events]
