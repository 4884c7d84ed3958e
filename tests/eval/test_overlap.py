"""Doing things meanwhile keeps order and errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from eval.overlap import Behind, read_ahead
from shards.progress import track


def test_items_come_in_order_and_the_next_one_is_read_meanwhile() -> None:
    read = [threading.Event() for _ in range(4)]

    def reader(number: int) -> int:
        read[number].set()
        return number * number

    seen = []
    for number, content in read_ahead(range(4), reader):
        assert number == 3 or read[number + 1].wait(10)
        seen.append((number, content))
    assert seen == [(0, 0), (1, 1), (2, 4), (3, 9)]
    assert list(read_ahead([], reader)) == []


def test_a_frame_that_cannot_be_read_is_told_in_its_turn() -> None:
    def reader(number: int) -> int:
        if number == 1:
            raise ValueError("broken")
        return number

    frames = read_ahead(range(3), reader)
    assert next(frames) == (0, 0)
    with pytest.raises(ValueError, match="broken"):
        next(frames)


def test_an_error_does_not_wait_for_the_next_frame() -> None:
    reading, told = threading.Event(), threading.Event()

    def reader(number: int) -> int:
        if number == 0:
            raise ValueError("broken")
        reading.set()
        assert told.wait(20), "the error waited for this"
        return number

    frames = read_ahead(range(9), reader)
    try:
        start = time.monotonic()
        with pytest.raises(ValueError, match="broken"):
            next(frames)
        assert time.monotonic() - start < 10
    finally:
        told.set()


def test_what_comes_out_can_be_tracked(capsys: pytest.CaptureFixture[str]) -> None:
    for number, _ in track(read_ahead(range(3), str), "frames", total=3):
        assert "3/3" not in capsys.readouterr().err, number
    assert "3/3" in capsys.readouterr().err


def test_calls_run_behind_in_order() -> None:
    done = []
    with Behind() as behind:
        for number in range(5):
            behind(done.append, number)
    assert done == list(range(5))


def fail(*_: object) -> None:
    raise ValueError("behind")


@pytest.mark.parametrize("calls", [[fail], [fail, print], [print, fail]])
def test_an_error_behind_is_raised(calls: list[Callable[..., None]]) -> None:
    def work() -> None:
        with Behind() as behind:
            for call in calls:
                behind(call)

    with pytest.raises(ValueError, match="behind"):
        work()


def test_the_first_error_wins() -> None:
    def work() -> None:
        with Behind() as behind:
            behind(fail)
            raise KeyError("here")

    with pytest.raises(KeyError):
        work()
