"""Killed without warning at any moment and started again: curve and weights are those of the undisturbed run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Each run is a fork of a process that has everything imported: a kill costs tenths of a second.
# By hand, with more of them: ANOMSYNTH_KILLS=10 .venv/bin/python -m pytest tests/train/test_kills.py
KILLS = int(os.environ.get("ANOMSYNTH_KILLS", "0"))
SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path

import torch
from safetensors.torch import load_file

from train.machine import Machine

torch.set_num_threads(1)
shards, folder, kills, method = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
machine = Machine(torch.device("cpu"), log_every=3, save_every=2)
STEPS = 12 * kills + 8  # more than all forks can reach before they are killed


def train_segmenter(out):
    from train.methods.segmenter import SegmenterConfig
    from train.run_segmenters import train_segmenter

    config = SegmenterConfig(steps=STEPS, batch=2, crop=(32, 16), ema=0.9)
    train_segmenter([shards], out, config=config, network_options={"width": 0.25}, machine=machine)


def train_resynthesis(out):
    from train.methods.resynthesis import ResynthesisConfig
    from train.run_resynthesis import train_resynthesis

    config = ResynthesisConfig(steps=STEPS, batch=2)
    train_resynthesis([shards / "void"], out, config=config, width=0.125, machine=machine)


def train_mgcda(out):
    from train.methods.mgcda import MgcdaConfig
    from train.run_mgcda import train_mgcda

    config = MgcdaConfig(steps=STEPS, batch=2, anchors=5)
    domains = {"voidclass": [shards / "void"], "anomalymix": [shards / "mix"]}
    train_mgcda(domains, out, config=config, width=0.125, machine=machine)


train = globals()["train_" + method]


def forked(out):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        status = 1
        try:
            train(out)
            status = 0
        finally:
            os._exit(status)
    return pid


def curve(out):
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("samples_per_second", "data_wait")} for row in rows]


if __name__ == "__main__":
    train(folder / "whole")
    began = time.monotonic()
    train(folder / "timed")
    step = (time.monotonic() - began) / STEPS
    chance, killed = random.Random(0), 0
    while True:
        pid = forked(folder / "killed")
        if killed < kills:
            while killed == 0 and not (folder / "killed" / "resume.pt").exists():
                time.sleep(step / 10)  # killed before, it would begin anew
            time.sleep(chance.uniform(1, 6) * step)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0
            break
        killed += 1
    assert killed == kills, killed
    one, two = (load_file(folder / name / "checkpoint.safetensors") for name in ("whole", "killed"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert curve(folder / "whole") == curve(folder / "killed")
    print(f"{killed} kills")
"""


@pytest.mark.parametrize(
    ("method", "kills"), [("segmenter", KILLS or 3), ("resynthesis", KILLS or 1), ("mgcda", KILLS or 1)]
)
def test_killed_at_random_and_resumed_is_undisturbed(
    method: str, kills: int, tiny_shards: Path, enriched: Path, tmp_path: Path
) -> None:
    shards = tiny_shards if method == "segmenter" else enriched
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(shards), str(tmp_path), str(kills), method],
        capture_output=True, text=True, timeout=1200, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{kills} kills\n"
