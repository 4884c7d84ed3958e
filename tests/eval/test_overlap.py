"""Doing things meanwhile keeps order and errors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from eval.overlap import MOST, Behind, judging_threads, read_ahead
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


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_frames_are_held_than_threads_work_on_and_one(threads: int) -> None:
    lock, held, most = threading.Lock(), [0], [0]
    running, most_running = [0], [0]

    def take(number: int) -> int:
        with lock:
            running[0] += 1
            most_running[0] = max(most_running[0], running[0])
        time.sleep(0.002 * (number % 3))
        with lock:
            running[0] -= 1
        return number

    def items() -> Iterator[int]:
        for number in range(40):
            held[0] += 1
            most[0] = max(most[0], held[0])
            yield number

    seen = []
    for number, content in read_ahead(items(), take, threads):
        assert number == content
        seen.append(number)
        held[0] -= 1
    assert seen == list(range(40))
    assert most[0] == threads + 1
    assert most_running[0] <= threads


def test_a_call_behind_waits_for_a_free_thread() -> None:
    free, started = threading.Event(), [threading.Event() for _ in range(3)]

    def work(number: int) -> None:
        started[number].set()
        assert free.wait(20)

    with Behind(2) as behind:
        behind(work, 0)
        behind(work, 1)
        assert all(event.wait(10) for event in started[:2])
        third = threading.Thread(target=behind, args=(work, 2))
        third.start()
        third.join(0.1)
        assert third.is_alive()
        assert not started[2].is_set()
        free.set()
        third.join(10)
        assert not third.is_alive()


def test_of_several_errors_behind_that_of_the_first_frame_is_raised() -> None:
    late = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            assert late.wait(20)
        late.set()
        raise ValueError(f"frame {number}")

    def hand_in() -> None:
        with Behind(3) as behind:
            for number in range(3):
                behind(work, number)

    with pytest.raises(ValueError, match="frame 0"):
        hand_in()


def test_threads_are_the_cores_that_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, found in ((1, (1, 1)), (2, (2, 1)), (5, (5, 4)), (64, (MOST, MOST))):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
        assert (judging_threads(), judging_threads(spare=1)) == found
    assert judging_threads(12, spare=1) == 12


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
