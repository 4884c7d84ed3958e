"""The same bytes from a cluster; skipped where Ray (the extra `cluster`) is not installed.

In a process of its own: Ray leaves threads and warnings behind that have no place among other tests.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.recipes.cityscapes import CityscapesConfig, CityscapesRecipe
from shards.errors import UserError

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is absent: make ray-test installs it"
)

SCRIPT = """
import os, sys, tempfile
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_raylet_start_wait_time_s"] = "120"  # on a busy machine a node takes its time
from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from shards.errors import UserError


def main(root):
    import ray
    from ray.cluster_utils import Cluster

    sources = Sources(root / "cityscapes", coco=root / "coco")
    recipe = AnomalyMix.open(AnomalyMixConfig(min_area=0), sources)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        os.environ["RAY_ADDRESS"] = cluster.address
        ray.init(address=cluster.address, log_to_driver=False)
        assert len([node for node in ray.nodes() if node["Alive"]]) == 2
        numbers = {"count": 14, "seed": 3, "samples_per_shard": 2, "engine": "ray", "workers": None}
        summary = build(recipe, root / "ray", **numbers)
        print(summary.samples, summary.shards)
        build(recipe, root / "parts", **numbers, shards=(2, 4))
        print(build(recipe, root / "parts", **numbers).resumed)
        (root / "parts" / "anomalymix-000001.tar").write_bytes(b"lost")
        print(*build(recipe, root / "parts", **numbers, repair=True).repaired)
        for path in (root / "cityscapes" / "leftImg8bit").rglob("*.png"):
            path.unlink()
        try:
            build(recipe, root / "vanished", **numbers)
        except UserError as error:
            print(error)
        print(sum(path.suffix == ".tmp" for path in (root / "vanished").rglob(".*")))
        ray.shutdown()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
"""


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@needs_ray
def test_two_nodes(tmp_path: Path, sources: Sources) -> None:
    recipe = AnomalyMix.open(AnomalyMixConfig(min_area=0), sources)
    build(recipe, tmp_path / "here", count=14, seed=3, samples_per_shard=2)
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    said = result.stdout.splitlines()
    assert said[:3] == ["14 7", "2", "anomalymix-000001.tar"]
    assert "was there when the build began and cannot be read now" in said[3]
    assert said[4] == "0"
    assert content(tmp_path / "ray") == content(tmp_path / "here")
    assert content(tmp_path / "parts") == content(tmp_path / "here")


class RayError(Exception):
    """As in ray.exceptions, whose others all derive from it."""


class WorkerCrashedError(RayError):
    pass


class OutOfMemoryError(RayError):
    pass


class RaySystemError(RayError):
    pass


class StandIn:
    """What the engine uses of Ray, on which every task fails in the same way."""

    exceptions = SimpleNamespace(RayError=RayError, WorkerCrashedError=WorkerCrashedError)

    def __init__(self, failure: RayError) -> None:
        self._failure = failure

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def put(self, value: bytes) -> bytes:
        return value

    def remote(self, **options: Any) -> Any:
        return lambda function: SimpleNamespace(remote=lambda token, stored, task: task)

    def wait(self, references: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        return references[:num_returns], references[num_returns:]

    def cancel(self, reference: Any) -> None:
        pass

    def get(self, reference: Any) -> Any:
        raise self._failure


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (
            WorkerCrashedError("gone"),
            r"cityscapes-000000\.tar could not be made in four tries, each time a work",
        ),
        (
            OutOfMemoryError("Task was killed due to the node running low on memory.\n"),
            r"Ray could not make cityscapes-000000\.tar: OutOfMemoryError: Task was killed due to the node run",
        ),
        (
            RaySystemError("System error: No module named 'pipelines'\ntraceback: Tra\nModuleNotFoundError: No m"),
            r"Ray could not make cityscapes-000000\.tar: RaySystemError: ModuleNotFoundError: No m; the same command",
        ),
        (RayError(""), r"Ray could not make cityscapes-000000\.tar: RayError: no reason; the same command resumes\."),
    ],
)
def test_failures_of_ray_are_one_sentence(
    tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch, failure: RayError, sentence: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", StandIn(failure))  # type: ignore[arg-type]
    recipe = CityscapesRecipe.open(CityscapesConfig(), sources)
    with pytest.raises(UserError, match=sentence):
        build(recipe, tmp_path / "out", engine="ray", count=6, samples_per_shard=2)


def test_without_ray(tmp_path: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    recipe = CityscapesRecipe.open(CityscapesConfig(), sources)
    with pytest.raises(UserError, match=r"--engine ray needs the package Ray: pip install 'anomsynth\[cluster\]'\."):
        build(recipe, tmp_path / "out", engine="ray")
    with pytest.raises(UserError, match="--engine ray needs the package Ray"):
        build(recipe, tmp_path / "out", engine="ray", dry_run=True)
