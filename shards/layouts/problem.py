"""What a scan of a folder found that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One input that a scan left out; becomes a row of rejects.jsonl.

    Attributes:
        reason: short slug that problems are counted by.
        detail: one sentence; names files without the folders of this machine.
        input: the thing itself: a frame's id, a file's name, ``image 42`` ...
    """

    reason: str
    detail: str
    input: str
