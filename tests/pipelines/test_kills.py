"""Killed without warning, anywhere, and started again: the set is what an undisturbed build gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pipelines.recipe import Sources

# Each build is a fork of a process that has everything imported: a kill costs hundredths of a second.
PRELUDE = """
import hashlib, os, random, signal, sys, time
from pathlib import Path
import cv2
from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig

root = Path(sys.argv[1])
sources = Sources(root / "cityscapes", coco=root / "coco")


def run(out, workers=1):
    recipe = AnomalyMix.open(AnomalyMixConfig(min_area=0), sources)
    return build(recipe, out, count=COUNT, seed=3, workers=workers, samples_per_shard=PER_SHARD)


def forked(act):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return pid


def content(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*") if path.is_file()
    }


def notes(out):
    return len(list((out / ".build").glob("anomalymix-*.json")))
"""

RANDOM = (
    "COUNT, PER_SHARD = 48, 3\n"
    + PRELUDE
    + """
if __name__ == "__main__":
    cv2.setNumThreads(1)
    whole, again = root / "whole", root / "again"
    run(whole)
    start = time.monotonic()
    run(again)
    usual = time.monotonic() - start
    assert content(again) == content(whole)
    rng = random.Random(7)
    kills = rounds = 0
    out = root / "torn-0"
    while kills < 20:
        before = notes(out)
        workers = 2 if kills >= 17 else 1
        pid = forked(lambda: run(out, workers))
        while workers == 2 and notes(out) <= before and not (out / "manifest.json").exists():
            time.sleep(0.005)  # not while they start
        time.sleep(rng.uniform(0, usual / 2))
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            kills += 1
        if (out / "manifest.json").exists():
            run(out)
            assert content(out) == content(whole), out
            rounds += 1
            out = root / f"torn-{rounds}"
    finished = notes(out)
    assert run(out).resumed >= finished
    assert content(out) == content(whole)
    print(kills, rounds)
"""
)

EVERYWHERE = (
    "COUNT, PER_SHARD = 5, 2\n"
    + PRELUDE
    + """
EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}


def dying(out, at):
    # The build, killed as it is about to change the folder for the `at`-th time.
    left = [at]

    def hook(event, arguments):
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in EVENTS) and str(arguments[0]).startswith(str(out)):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    run(out)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    whole = root / "whole"
    run(whole)
    steps = 0
    while True:
        out = root / f"torn-{steps}"
        _, status = os.waitpid(forked(lambda: dying(out, steps + 1)), 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        run(out)
        assert content(out) == content(whole), steps
        steps += 1
    assert content(out) == content(whole)
    print(steps)
"""
)


def run_script(folder: Path, sources: Sources, text: str) -> list[int]:
    """Run a script over the sources; the numbers that it prints."""
    assert sources.cityscapes == folder / "cityscapes"
    script = folder / "script.py"
    script.write_text(text)
    words = [sys.executable, str(script), str(folder)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return [json.loads(word) for word in result.stdout.split()]


def test_twenty_random_kills(tmp_path: Path, sources: Sources) -> None:
    kills, _ = run_script(tmp_path, sources, RANDOM)
    assert kills == 20


def test_a_kill_before_each_change_of_the_folder(tmp_path: Path, sources: Sources) -> None:
    (steps,) = run_script(tmp_path, sources, EVERYWHERE)
    # Three shards, their notes, the plan, six lists and documents, and the manifest: each opened and renamed.
    assert steps > 2 * (3 + 3 + 1 + 6 + 1)
