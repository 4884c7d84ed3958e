"""Numbers in sentences."""

from __future__ import annotations

from shards.plural import plural


def test_one_is_singular() -> None:
    assert [plural(count, "frame") for count in (0, 1, 2, 11)] == ["0 frames", "1 frame", "2 frames", "11 frames"]
    assert plural(1, "is", "are") == "1 is"
    assert plural(21, "frame is left out", "frames are left out") == "21 frames are left out"
