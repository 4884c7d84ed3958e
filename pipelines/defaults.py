"""Defaults that the command line shows; importing them costs nothing."""

from __future__ import annotations

from typing import Final

SAMPLES_PER_SHARD: Final = 64
"""About 150 MB of frames of 2048x1024: large enough to stream, small enough to lose."""
