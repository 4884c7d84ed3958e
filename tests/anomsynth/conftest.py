"""The command line, called in this process: what it prints and with which status it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from anomsynth.__main__ import main


@dataclass(frozen=True)
class Outcome:
    """What a command left on the terminal."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `anomsynth` with these words."""

    def call(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["anomsynth", *map(str, words)])
        capsys.readouterr()
        try:
            main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        else:
            status = 0
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny toy world."""
    from pipelines.toy import draw_world

    folder = tmp_path_factory.mktemp("world")
    draw_world(folder / "w", frames=4, size=(128, 64), seed=0)
    return folder / "w"
