"""Running a suite: commands one after the other, rows side by side, and whatever is done already left alone.

Commands run in sessions of their own, so that a Ctrl-C in the terminal reaches this process alone. It, and SIGTERM,
is passed on as one SIGTERM to each of them: a training saves where it stands, anything else is made again.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from anomsynth.suites.base import Row, Settings, Stage, Suite
from shards.errors import UserError
from shards.flock import alone_in
from shards.progress import track
from shards.writer import write_atomically

SETTINGS: Final = "suite.json"
ROWS: Final = "rows"
LOGS: Final = "logs"
COST: Final = "cost.json"
PATIENCE: Final = 3.0
"""Seconds by which helpers of a command that was ended may outlive it."""
RUNNER: Final = "reproduce"
"""Name of this process among those that are noted while they run."""
FREE: Final = frozenset({"workers"})
"""Settings that change nothing about a row."""
ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Stopped(Exception):
    """A signal ended the suite before its time; the same command goes on."""


@dataclass(slots=True)
class Runner:
    """One suite in one folder.

    Attributes:
        suite: the table.
        out: where all of it lies.
        settings: of this call.
        jobs: rows that are made at a time.
        signal: number of the signal that came; 0 while there was none.
        ending: whether no further command is to be started.
        running: processes that have not been told to end.
        inherited: descriptors that commands get: the locked one of `out`, so that what a killed runner began keeps
            the next one out until it ends.
    """

    suite: Suite
    out: Path
    settings: Settings
    jobs: int = 1
    signal: int = 0
    ending: bool = False
    running: set[int] = field(default_factory=set)
    inherited: tuple[int, ...] = ()

    def run(self, rows: Sequence[Row], seeds: Sequence[int]) -> None:
        """Make what is missing.

        Raises:
            UserError: the folder holds the suite with other settings, somebody works in it, or a command failed.
            Stopped: by Ctrl-C or SIGTERM; `signal` has the number.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise UserError(f"--out must be a folder, {self.out} is a file.") from error
        except OSError as error:
            raise UserError(f"Cannot make the folder {self.out}: {error.strerror}.") from error
        with alone_in(self.out, busy(self.out), patience=PATIENCE) as lock, self._signals():
            claim(self.out, self.suite, self.settings)
            for note in (self.out / LOGS).glob("*.pid"):  # of a runner that was killed; nobody else is here
                note.unlink(missing_ok=True)
            self.inherited = (lock,)
            with noted(self.out, RUNNER, os.getpid()):
                self._run(rows, seeds)

    def _run(self, rows: Sequence[Row], seeds: Sequence[int]) -> None:
        stages = [stage for stage in self.suite.prepare(self.out, self.settings) if not self.is_done(stage)]
        for stage in track(stages, "preparing", total=len(stages), unit="stages"):
            self.do(stage)
        # Seed by seed, so that a whole table is there early.
        tasks = [(row, seed) for seed in seeds for row in rows if not self.has(row, seed)]
        for _ in track(self._side_by_side(tasks), "rows", total=len(tasks), unit="rows"):
            pass

    def mark(self, stage: Stage) -> Path:
        """The file that says that a stage was finished."""
        return self.out / LOGS / f"{stage.name}.done"

    def is_done(self, stage: Stage) -> bool:
        """Whether a stage was finished before, and what it made is still there."""
        return self.mark(stage).is_file() and stage.done.is_file()

    def has(self, row: Row, seed: int) -> bool:
        """Whether a row was trained and judged with this seed."""
        return (self.folder(row, seed) / COST).is_file()

    def seeds(self, rows: Sequence[Row]) -> list[int]:
        """The seeds with which any of these rows was trained and judged, in order."""
        costs = (self.out / ROWS).glob(f"*-seed*/{COST}")
        numbers = {int(number) for path in costs if (number := path.parent.name.rpartition("-seed")[2]).isdecimal()}
        return sorted(number for number in numbers if any(self.has(row, number) for row in rows))

    def folder(self, row: Row, seed: int) -> Path:
        """Where a row with a seed lies."""
        return self.out / ROWS / f"{row.key}-seed{seed}"

    def row(self, row: Row, seed: int) -> None:
        """Train and judge one row; raises UserError where a command fails."""
        folder = self.folder(row, seed)
        folder.mkdir(parents=True, exist_ok=True)
        environment = ONE_THREAD if self.jobs > 1 else {}
        stages = {
            "train": self.suite.train(self.out, self.settings, row, seed, folder / "run"),
            "judge": self.suite.judge(self.out, self.settings, folder / "run", folder / "report"),
        }
        for stage in stages.values():
            if not self.is_done(stage):
                self.do(stage, environment)
        cost = {part: self.cost(stage) for part, stage in stages.items()}
        write_atomically(folder / COST, (json.dumps(cost, indent=2) + "\n").encode())

    def cost(self, stage: Stage) -> dict[str, float]:
        """What a command took so far, all its calls together: seconds on the clock and of a processor."""
        path = self.out / LOGS / f"{stage.name}.cost"
        return json.loads(path.read_bytes()) if path.is_file() else {"seconds": 0.0, "processor_seconds": 0.0}

    def do(self, stage: Stage, environment: Mapping[str, str] | None = None) -> None:
        """Run a command, its output in a log.

        Args:
            stage: the command.
            environment: variables that it gets beside ours.

        Raises:
            UserError: it failed; the last line that it printed is in the sentence.
            Stopped: no further command is to be started, or this one was ended.
        """
        if self.ending:
            raise Stopped
        log = self.out / LOGS / f"{stage.name}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"{stage.name}: what it says is in {log}", file=sys.stderr)
        if stage.remnant is not None and stage.remnant.exists():
            shutil.rmtree(stage.remnant)
        began = time.monotonic()
        with log.open("ab") as file:
            file.write(f"$ anomsynth {' '.join(stage.words)}\n".encode())
            file.flush()
            child = subprocess.Popen(
                command_of(stage),
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                pass_fds=self.inherited,
            )
            self.running.add(child.pid)
            if self.ending:  # meanwhile
                self._end()
            with noted(self.out, stage.name, child.pid):
                _, status, usage = os.wait4(child.pid, 0)
            self.running.discard(child.pid)
            child.returncode = os.waitstatus_to_exitcode(status)
        took = {"seconds": time.monotonic() - began, "processor_seconds": usage.ru_utime + usage.ru_stime}
        total = {name: value + took[name] for name, value in self.cost(stage).items()}
        write_atomically(self.out / LOGS / f"{stage.name}.cost", (json.dumps(total, indent=2) + "\n").encode())
        if child.returncode != 0 and self.ending:
            raise Stopped
        if child.returncode != 0:
            lines = log.read_text(errors="replace").strip().splitlines()
            said = lines[-1].removeprefix("Error: ") if lines else "nothing"
            raise UserError(f"{stage.name} failed: {said} All that it printed: {log}")
        self.mark(stage).touch()

    def _side_by_side(self, tasks: Sequence[tuple[Row, int]]) -> Iterator[None]:
        """Rows as they get done; the first failure ends the others."""
        with ThreadPoolExecutor(self.jobs) as pool:
            waiting = list(tasks)
            busy: set[Any] = set()
            try:
                while waiting or busy:
                    while waiting and len(busy) < self.jobs:
                        busy.add(pool.submit(self.row, *waiting.pop(0)))
                    done, busy = wait(busy, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                        yield
            except BaseException:
                self._end()  # runs save where they are, and the same command goes on
                raise

    def _end(self) -> None:
        """Start nothing more, and tell each process once to end."""
        self.ending = True
        for pid in tuple(self.running):
            with suppress(KeyError, ProcessLookupError):  # another thread was there first; it ended by itself
                self.running.remove(pid)
                os.kill(pid, signal.SIGTERM)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Within the block Ctrl-C and SIGTERM end the commands; a second one changes nothing."""
        if threading.current_thread() is not threading.main_thread():  # elsewhere Python sets no handlers
            yield
            return

        def note(number: int, frame: FrameType | None) -> None:
            self.signal = self.signal or number
            self._end()

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def noted(out: Path, name: str, pid: int) -> Iterator[None]:
    """Within the block LOGS/NAME.pid says which process this is, where that can be written."""
    note = out / LOGS / f"{name}.pid"
    with suppress(OSError):
        note.parent.mkdir(exist_ok=True)
        note.write_text(f"{pid} {_identity(pid)}\n")
    try:
        yield
    finally:
        with suppress(OSError):
            note.unlink()


def busy(out: Path) -> str:
    """What to say where somebody works in a folder: who, where that can be told, and how to end it."""
    alive = {}
    for note in sorted((out / LOGS).glob("*.pid")):
        with suppress(OSError, ValueError):  # it has ended, or no such things are known here
            pid, _, identity = note.read_text().strip().partition(" ")
            if identity == _identity(int(pid)):
                alive[note.stem] = pid
    alive = {RUNNER: alive[RUNNER]} if RUNNER in alive else alive  # which ends the others
    who = ", ".join(f"{name} (process {pid})" for name, pid in alive.items())
    how = f"end it by `kill {' '.join(alive.values())}`" if alive else "end it"
    return f"Another command works in {out}{f': {who}' if who else ''}. Wait for it, or {how}, and repeat this one."


def _identity(pid: int) -> str:
    """Host and start of a process, which no other one with its number shares; OSError where it has ended."""
    state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state in "ZX":  # ended, and nobody has asked how
        raise ProcessLookupError(pid)
    return f"{platform.node()} {rest[18]}"


def command_of(stage: Stage) -> list[str]:
    """The command of a stage; -P: a folder of the user's called train, say, is not ours."""
    return [sys.executable, "-P", "-m", "anomsynth", *stage.words]


def claim(out: Path, suite: Suite, settings: Settings) -> None:
    """Record the settings in a new folder, or compare them with those of an old one in which something was made.

    Raises:
        UserError: they differ, or the folder holds something else.
    """
    fixed = {name: value for name, value in asdict(settings).items() if name not in FREE}
    record = {"suite": suite.name, **json.loads(json.dumps(fixed))}
    path = out / SETTINGS
    if path.is_file():
        try:
            before = json.loads(path.read_bytes())
        except ValueError as error:
            raise UserError(f"{path} is broken; choose another --out.") from error
        before = before if isinstance(before, dict) else {}
        names = [
            f"{name} ({before.get(name) or 'none'}, now {value or 'none'})"
            for name, value in record.items()
            if before.get(name) != value
        ]
        if not names:
            return
        if any(path.name not in (SETTINGS, LOGS) for path in out.iterdir()):
            raise UserError(
                f"{out} holds what was made with another {', '.join(names)}; one table has one setting: choose "
                "another --out."
            )
    elif any(out.iterdir()):
        raise UserError(f"{out} holds something else; choose another --out.")
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
