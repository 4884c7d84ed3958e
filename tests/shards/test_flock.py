"""Locks on folders: one process in it at a time, whatever becomes of the others."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shards.errors import UserError
from shards.flock import alone_in, try_lock

HOLDS = """
import sys, time
from pathlib import Path
from shards.flock import alone_in
with alone_in(Path(sys.argv[1]), "busy"):
    print("in", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_until_it_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(UserError, match=r"^Wait\.$"), alone_in(tmp_path, "Wait."):
            pytest.fail("two are in the folder")
        other.kill()
    with alone_in(tmp_path, "Wait."):
        pass
    assert list(tmp_path.iterdir()) == []


def test_whoever_inherits_the_descriptor_keeps_the_lock(tmp_path: Path) -> None:
    with alone_in(tmp_path, "Wait.") as descriptor:
        heir = subprocess.Popen(["sleep", "0.5"], pass_fds=(descriptor,))
        stranger = subprocess.Popen(["sleep", "60"])
    began = time.monotonic()
    try:
        with alone_in(tmp_path, "Wait.", patience=60.0):
            assert 0.3 < time.monotonic() - began < 60
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        heir.wait()


def test_where_there_are_no_locks_nobody_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"number": errno.ENOLCK}

    def refuse(file: object, kind: int) -> None:
        raise OSError(answers["number"], "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for answers["number"] in (errno.ENOLCK, errno.EBADF):
        assert try_lock(0, fcntl.LOCK_EX) is None
        with alone_in(tmp_path, "Wait."):
            pass
    answers["number"] = errno.EIO
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="no"), alone_in(tmp_path, "Wait."):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    sentence = r"Cannot open the folder .*nowhere: No such file or directory\.$"
    with pytest.raises(UserError, match=sentence), alone_in(tmp_path / "nowhere", "Wait."):
        pass
