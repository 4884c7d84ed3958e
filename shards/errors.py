"""The two ways in which input can be wrong.

A wrong *command* raises :class:`UserError`: the command line prints its sentence and exits.
A broken *sample* raises :class:`BadInput`: whoever iterates counts it by ``reason`` and goes on (law 3).
"""

from __future__ import annotations


class UserError(Exception):
    """A wrong command: one sentence that says what was expected, what was got and what to do."""


class BadInput(Exception):
    """One input that cannot be used.

    Attributes:
        reason: a short slug that rejects are counted by, such as ``truncated-image``.
        detail: what exactly was found, in one sentence; names the file without its folders.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, str]]:
        """Cross process borders with both arguments."""
        return type(self), (self.reason, self.detail)
