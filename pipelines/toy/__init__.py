"""A toy world: everything that the tool needs, drawn by code and free of anybody's licence."""

from __future__ import annotations

from pipelines.toy.world import draw_world

__all__ = ["draw_world"]
