"""Numbers in sentences: 1 frame, 2 frames."""

from __future__ import annotations


def plural(count: int, one: str, many: str = "") -> str:
    """A number and what it counts.

    Args:
        count: the number; any but 1 takes the plural.
        one: the singular, its verb with it if that changes: "frame", "frame is left out".
        many: the plural; the singular and an s without.
    """
    return f"{count} {one if count == 1 else many or f'{one}s'}"
