"""Help, version, the catalogue, import times and the guard against strangers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules_after(*words: str) -> set[str]:
    """Names of the modules that a command has loaded when it ends, in a process of its own."""
    code = (
        "import sys; sys.argv = ['anomsynth', *sys.argv[1:]]\n"
        "from anomsynth.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


BENCHMARKS = (
    "fishyscapes",
    "roadanomaly",
    "smiyc",
    "lostandfound",
    "streethazards",
    "acdc-poc",
    "muad",
    "bdd-anomaly",
)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("list",),
        ("build", "anomalymix", "--help"),
        ("train", "ovr", "--help"),
        ("eval", "smiyc", "--help"),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded(words: tuple[str, ...]) -> None:
    heavy = {"torch", "torchvision", "diffusers", "transformers", "controlnet_aux", "webdataset", "sklearn"}
    assert not heavy & modules_after(*words)


def test_help_needs_no_array_library() -> None:
    assert not {"numpy", "cv2", "PIL"} & modules_after("--help")


def test_version(run: Callable[..., Any]) -> None:
    from anomsynth import __version__

    assert run("--version").out == f"anomsynth {__version__}\n"


def test_every_command_explains_itself_by_example(run: Callable[..., Any]) -> None:
    commands = [
        *(("build", name) for name in ("cityscapes", "voidclass", "anomalymix")),
        *(("train", name) for name in ("segmenter", "ovr")),
        *(("eval", name) for name in (*BENCHMARKS, "cityscapes", "shards", "all", "scores", "merge", "submit")),
        *(("check", name) for name in (*BENCHMARKS, "cityscapes", "coco")),
        *((name,) for name in ("predict", "report", "inspect", "verify", "list", "toy")),
    ]
    for words in commands:
        outcome = run(*words, "--help")
        assert outcome.status == 0, words
        assert "Example" in outcome.out, words


def test_the_catalogue_names_everything(run: Callable[..., Any]) -> None:
    printed = run("list", "--markdown").out
    for name in ("anomalymix", "voidclass", "ovr", "erfnet", "energy", "fishyscapes", "smiyc", "roadanomaly"):
        assert f"`{name}`" in printed
    assert "`anomalymix`" not in run("list", "scores", "--markdown").out
    assert "energy" in run("list").out


def test_the_readme_shows_the_catalogue(run: Callable[..., Any]) -> None:
    between = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- cards -->")[1].split("<!-- /cards -->")[0]
    assert between.strip() == run("list", "--markdown").out.strip(), "paste what `anomsynth list --markdown` prints"


def test_a_strangers_module_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('the stranger ran')")
    done = subprocess.run(
        [sys.executable, "-m", "anomsynth", "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "the stranger ran" not in done.stdout + done.stderr
    assert "anomsynth needs its own package 'train'" in done.stderr


def test_the_console_script_does_not_mind_strangers(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('the stranger ran')")
    script = Path(sys.executable).with_name("anomsynth")
    done = subprocess.run(
        [str(script), "--version"], cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ.copy()
    )
    assert done.returncode == 0
    assert done.stdout.startswith("anomsynth ")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NotADirectoryError(20, "Not a directory", "sheet.png"), "Error: Not a directory: sheet.png."),
        (PermissionError(13, "Permission denied"), "Error: Permission denied."),
        (OSError("no number"), "Error: no number."),
        (OSError(28, "No space left on device"), "Error: The disk is full;"),
        (MemoryError(), "Error: Memory is exhausted:"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "Error: Memory is exhausted:"),
    ],
    ids=repr,
)
def test_the_system_gets_one_sentence(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("anomsynth.cli.app", fail)
    outcome = run("list")
    assert outcome.status == 1
    assert outcome.err.startswith(sentence)
    assert outcome.err.count("\n") == 1


def test_other_runtime_errors_stay_visible(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("anomsynth.cli.app", fail)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        run("list")


def test_a_piped_table_is_100_columns_wide(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert max(map(len, run("list", "scores").out.splitlines())) == 100
    monkeypatch.setenv("COLUMNS", "120")
    assert max(map(len, run("list", "scores").out.splitlines())) == 120
