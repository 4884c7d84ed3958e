"""Tables of papers by one command: what is run, what is left alone, what is said and printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anomsynth.suites import SUITES
from anomsynth.suites.base import Row, Settings, Stage, Suite
from anomsynth.suites.mgcda_table3 import ROWS, SETS, SUITE, TOY_SETS, notes
from anomsynth.suites.runner import COST, LOGS, Runner, Stopped, busy
from anomsynth.suites.table import cost_of, table_of, verdicts
from eval.report.grid import markdown
from shards.errors import UserError

SETTINGS = Settings(
    toy=True, steps=3, size="64x32", width=0.25, samples=4, generator_steps=2, generator_width=0.25, device="cpu"
)
ROAD = {"benchmark": "roadanomaly", "part": ""}
PUBLISHED = {"RoadAnomaly": (38.21, 64.75)}


def script(out: Path, name: str, text: str) -> Stage:
    """A stage that is no command of ours: `python -m anomsynth` is replaced by `python -c` below."""
    return Stage(name, (text,), out / f"{name}.made")


def small(tmp_path: Path, rows: tuple[Row, ...], **stages: Callable[..., str]) -> Suite:
    """A suite whose commands append to a list of what was run."""
    note = f"open({str(tmp_path / 'ran')!r}, 'a').write"

    def made(out: Path, name: str, key: str) -> Stage:
        extra = stages.get(key, lambda *_: "pass")(out, name)
        text = f"{note}({name!r} + '\\n'); {extra}; open({str(out / f'{name}.made')!r}, 'w')"
        return script(out, name, text)

    def judge(out: Path, settings: Settings, run: Path, report: Path) -> Stage:
        name = f"judge-{run.parent.name}"
        number = float(run.parent.name[-1])
        metrics = {"AP": 0.4 + number / 10, "FPR95": 0.2}
        results = {"sets": {"RoadAnomaly_jpg": {**ROAD, "scores": {"anomaly": {"metrics": metrics}}}}}
        path = str(report)
        write = (
            f"import os; os.makedirs({path!r}); open({path + '/results.json'!r}, 'w').write({json.dumps(results)!r})"
        )
        return Stage(name, (f"{note}({name!r} + '\\n'); {write}",), report / "results.json")

    return Suite(
        name="small",
        title="Small",
        source="nobody",
        sets={("roadanomaly", ""): "RoadAnomaly"},
        score="anomaly",
        rows=rows,
        versus=("b", "a"),
        prepare=lambda out, settings: [made(out, "world", "world"), made(out, "shards", "shards")],
        train=lambda out, settings, row, seed, run: made(out, f"{row.key}-seed{seed}", row.key),
        judge=judge,
        notes=lambda settings: ["A note."],
    )


@pytest.fixture
def words_are_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages hold Python instead of words of the command line."""
    monkeypatch.setattr("anomsynth.suites.runner.command_of", lambda stage: [sys.executable, "-c", *stage.words])


A, B = Row("A", "a", (), PUBLISHED), Row("B", "b", (), PUBLISHED)


def ran(tmp_path: Path) -> list[str]:
    return (tmp_path / "ran").read_text().splitlines()


@pytest.mark.usefixtures("words_are_python")
def test_what_is_done_is_left_alone(tmp_path: Path) -> None:
    suite = small(tmp_path, (A, B))
    runner = Runner(suite, tmp_path / "out", SETTINGS)
    runner.run([A], range(1))
    assert ran(tmp_path) == ["world", "shards", "a-seed0", "judge-a-seed0"]
    Runner(suite, tmp_path / "out", SETTINGS, jobs=2).run([A, B], range(2))
    assert ran(tmp_path)[:4] == ["world", "shards", "a-seed0", "judge-a-seed0"]
    assert sorted(ran(tmp_path)[4:]) == sorted(
        ["a-seed1", "b-seed0", "b-seed1", "judge-a-seed1", "judge-b-seed0", "judge-b-seed1"]
    )
    (tmp_path / "out" / "rows" / "b-seed1" / COST).unlink()
    (tmp_path / "out" / "shards.made").unlink()
    (tmp_path / "out" / "rows" / "b-seed1" / "report" / "results.json").unlink()
    (tmp_path / "out" / "rows" / "b-seed1" / "report").rmdir()
    Runner(suite, tmp_path / "out", SETTINGS).run([A, B], range(2))
    assert ran(tmp_path)[10:] == ["shards", "judge-b-seed1"]
    trained, judged = cost_of(runner, [A, B], range(2))
    assert trained > 0
    assert judged > 0


@pytest.mark.usefixtures("words_are_python")
def test_the_table(tmp_path: Path) -> None:
    runner = Runner(small(tmp_path, (A, B)), tmp_path / "out", SETTINGS)
    runner.run([A], range(3))
    printed = markdown([table_of(runner, [A, B], range(3), notes=[*runner.suite.notes(SETTINGS), *notes(SETTINGS)])])
    # AP 40, 50, 60: mean 50, standard deviation 10; FPR95 is 20 in all.
    assert "| A | ours, 3 of 3 seeds | 50.00 ± 10.00 | 20.00 ± 0.00 |" in printed
    assert "| published | 38.21 | 64.75 |" in printed
    assert "| B | ours, 0 of 3 seeds | - | - |" in printed
    assert "A note." in printed
    assert (
        "Ours: features of the segmenter, perceptual difference of the segmenter, width 0.25, pictures of 64x32, 3 "
        "steps, 4 samples of each domain, learning rate 1e-3, 10 steps of warm-up, gradients clipped at 5." in printed
    )
    assert "not comparable with the published figures" in printed
    published = replace(SETTINGS, vgg16="a.pth", vgg19="b.pth", width=1.0)
    assert "features of VGG16, perceptual difference of VGG19, width 1," in notes(published)[1]
    real = " ".join(notes(replace(published, toy=False)))
    assert "1e-3" not in real
    assert "not comparable" not in real
    assert "VoidClass holds true void objects and instances painted under a wrong name" in real


def test_verdicts_compare_means_with_the_spread_of_the_seeds(tmp_path: Path) -> None:
    runner = Runner(small(tmp_path, (A, B)), tmp_path / "out", SETTINGS)

    def judged(row: Row, *figures: tuple[float, float]) -> None:
        for seed, (ap, fpr) in enumerate(figures):
            folder = runner.folder(row, seed)
            (folder / "report").mkdir(parents=True, exist_ok=True)
            metrics = {"AP": ap, "FPR95": fpr}
            results = {"sets": {"RoadAnomaly_jpg": {**ROAD, "scores": {"anomaly": {"metrics": metrics}}}}}
            (folder / "report" / "results.json").write_text(json.dumps(results))
            (folder / COST).touch()

    judged(A, (0.40, 0.20), (0.50, 0.40))
    assert verdicts(runner, range(2)) == []
    judged(B, (0.60, 0.33))
    assert verdicts(runner, range(2)) == []
    # Deviations of A are 7.07 and 14.14, of B 0 and 0: 20 is beyond 7.07, -5 within 14.14.
    judged(B, (0.65, 0.35), (0.65, 0.35))
    assert verdicts(runner, range(2)) == [
        "RoadAnomaly, 'B' against 'A': AP 20.00 better, beyond the spread of the seeds (7.07); FPR95 5.00 worse, "
        "within the spread of the seeds (14.14)."
    ]


WAITS = """
import os, signal, sys, time
told = []
def note(number, frame):
    told.append(number)
    open({told!r}, "a").write(f"{{os.getpid()}} {{number}}\\n")
signal.signal(signal.SIGTERM, note)
signal.signal(signal.SIGINT, note)
assert os.getsid(0) == os.getpid()
open({started!r}, "a").write(f"{{os.getpid()}}\\n")
until = time.monotonic() + 60
while not told and time.monotonic() < until:
    time.sleep(0.02)
time.sleep(0.2)
sys.exit(143)
"""


@pytest.mark.usefixtures("words_are_python")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_each_command_once_and_the_same_command_goes_on(tmp_path: Path, number: int) -> None:
    assert threading.current_thread() is threading.main_thread()
    told_to, started = tmp_path / "signals", tmp_path / "started"
    script = tmp_path / "waits.py"
    script.write_text(WAITS.format(told=str(told_to), started=str(started)))
    waits = f"exec(open({str(script)!r}).read())"
    suite = small(tmp_path, (A, B), a=lambda *_: waits, b=lambda *_: waits)
    runner = Runner(suite, tmp_path / "out", SETTINGS, jobs=2)

    def press() -> None:
        while not started.is_file() or len(started.read_text().splitlines()) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=press, daemon=True).start()
    before = signal.getsignal(number)
    with pytest.raises(Stopped):
        runner.run([A, B], range(2))
    assert runner.signal == number
    assert signal.getsignal(number) is before
    pids = [int(line) for line in started.read_text().splitlines()]
    assert sorted(told_to.read_text().splitlines()) == sorted(f"{pid} {signal.SIGTERM.value}" for pid in pids)
    assert len(pids) == 2
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            pytest.fail(f"{pid} is still there")
    again = Runner(small(tmp_path, (A, B)), tmp_path / "out", SETTINGS, jobs=2)
    again.run([A, B], range(1))
    assert again.has(A, 0)
    assert again.has(B, 0)
    assert ran(tmp_path).count("world") == 1


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import anomsynth.suites.runner
from test_reproduce import A, SETTINGS, Runner, small
anomsynth.suites.runner.command_of = lambda stage: [sys.executable, "-c", *stage.words]
Runner(small(Path({folder!r}), (A,), world=lambda *_: {waits!r}), Path({folder!r}) / "out", SETTINGS).run([A], [0])
"""


@pytest.mark.usefixtures("words_are_python")
def test_what_a_killed_runner_began_keeps_the_next_one_out_until_it_ends(tmp_path: Path) -> None:
    begun, end = tmp_path / "begun", tmp_path / "end"
    waits = (
        f"import os, time; from pathlib import Path; Path({str(begun)!r}).touch(); until = time.monotonic() + 60\n"
        f"while not Path({str(end)!r}).exists() and time.monotonic() < until: time.sleep(0.02)\n"
    )
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path), waits=f"exec({waits!r})")
    with subprocess.Popen([sys.executable, "-c", code]) as killed:
        while not begun.exists():
            assert killed.poll() is None
            time.sleep(0.02)
        killed.kill()
    record = (tmp_path / "out" / "suite.json").read_bytes()
    for settings in (SETTINGS, replace(SETTINGS, steps=4)):
        with pytest.raises(UserError, match=r"works in .*: world \(process (\d+)\)\. Wait for it, .* by `kill \1`"):
            Runner(small(tmp_path, (A,)), tmp_path / "out", settings).run([A], range(1))
    assert (tmp_path / "out" / "suite.json").read_bytes() == record
    note = tmp_path / "out" / LOGS / "reproduce.pid"
    note.write_text(f"{os.getpid()} {note.read_text().partition(' ')[2]}")  # another process has its number today
    assert "world (process" in busy(tmp_path / "out")
    end.touch()
    runner = Runner(small(tmp_path, (A,)), tmp_path / "out", SETTINGS)
    until = time.monotonic() + 60
    while not runner.has(A, 0):
        with suppress(UserError):
            runner.run([A], range(1))
        assert time.monotonic() < until
    assert ran(tmp_path) == ["world", "world", "shards", "a-seed0", "judge-a-seed0"]


@pytest.mark.usefixtures("words_are_python")
def test_a_command_that_fails_is_one_sentence(tmp_path: Path) -> None:
    suite = small(tmp_path, (A, B), b=lambda out, name: "import sys; sys.exit('Error: there is no room')")
    with pytest.raises(UserError, match=r"b-seed0 failed: there is no room All that it printed: .*b-seed0\.txt"):
        Runner(suite, tmp_path / "out", SETTINGS, jobs=2).run([A, B], range(1))
    assert "sys.exit" in (tmp_path / "out" / LOGS / "b-seed0.txt").read_text()
    Runner(small(tmp_path, (A, B)), tmp_path / "out", SETTINGS).run([A, B], range(1))  # and goes on from there
    assert ran(tmp_path).count("world") == 1


@pytest.mark.usefixtures("words_are_python")
def test_one_folder_one_setting(tmp_path: Path) -> None:
    suite = small(tmp_path, (A,))
    Runner(suite, tmp_path / "out", SETTINGS).run([A], range(1))
    sentence = r"another steps \(3, now 4\), width \(0\.25, now 1\.0\); one table has one setting"
    with pytest.raises(UserError, match=sentence):
        Runner(suite, tmp_path / "out", replace(SETTINGS, steps=4, width=1.0)).run([A], range(1))
    with pytest.raises(UserError, match=r"another suite \(small, now other\)"):
        Runner(replace(suite, name="other"), tmp_path / "out", SETTINGS).run([A], range(1))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").touch()
    with pytest.raises(UserError, match="holds something else"):
        Runner(suite, tmp_path / "other", SETTINGS).run([A], range(1))
    with pytest.raises(UserError, match=r"--out must be a folder, .*mine is a file"):
        Runner(suite, tmp_path / "other" / "mine", SETTINGS).run([A], range(1))


@pytest.mark.usefixtures("words_are_python")
def test_the_table_of_a_folder_only_grows(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUITES, "mgcda-table3", small(tmp_path, (A, replace(B, name="The better"))))
    words = ("reproduce", "mgcda-table3", "--toy", "--out", tmp_path / "out", "--seeds", 1)
    first = run(*words, "--row", "b")
    assert first.status == 0, first.err
    assert f"b-seed0: what it says is in {tmp_path / 'out' / LOGS / 'b-seed0.txt'}" in first.err
    assert "| A |" not in (tmp_path / "out" / "table.md").read_text()
    assert run(*words, "--row", "a").status == 0
    printed = (tmp_path / "out" / "table.md").read_text()
    assert "| A | ours, 1 of 1 seeds |" in printed
    assert "| The better (b) | ours, 1 of 1 seeds |" in printed
    assert "deviation" not in printed
    assert list((tmp_path / "out" / LOGS).glob("*.pid")) == []
    more = ("reproduce", "mgcda-table3", "--toy", "--out", tmp_path / "out", "--seeds", 2)
    assert run(*more).status == 0
    whole = (tmp_path / "out" / "table.md").read_text()
    assert "against 'A'" in whole
    assert run(*words, "--row", "a").status == 0
    assert (tmp_path / "out" / "table.md").read_text() == whole


@pytest.mark.usefixtures("words_are_python")
def test_settings_of_nothing_may_change(tmp_path: Path) -> None:
    suite = small(tmp_path, (A,), world=lambda *_: "import sys; sys.exit('Error: no such folder')")
    with pytest.raises(UserError, match="no such folder"):
        Runner(suite, tmp_path / "out", SETTINGS).run([A], range(1))
    corrected = Runner(small(tmp_path, (A,)), tmp_path / "out", replace(SETTINGS, cityscapes="right"))
    corrected.run([A], range(1))
    assert corrected.has(A, 0)
    more = Runner(corrected.suite, tmp_path / "out", replace(corrected.settings, workers=3))
    more.run([A], range(2))
    assert more.has(A, 1)


@pytest.mark.usefixtures("words_are_python")
def test_a_stage_that_cannot_go_on_begins_anew(tmp_path: Path) -> None:
    remnant = tmp_path / "out" / "half"
    make = f"import os, sys; os.mkdir({str(remnant)!r}); sys.exit(os.path.exists({str(tmp_path / 'fail')!r}))"
    stage = Stage("half", (make,), remnant, remnant=remnant)
    runner = Runner(small(tmp_path, ()), tmp_path / "out", SETTINGS)
    (tmp_path / "fail").touch()
    for _ in range(2):
        with pytest.raises(UserError, match="half failed"):
            runner.do(stage)
    (tmp_path / "fail").unlink()
    runner.do(stage)
    assert runner.mark(stage).is_file()
    world = next(stage for stage in SUITE.prepare(tmp_path, SETTINGS) if stage.name == "world")
    assert world.remnant == world.done.parent == tmp_path / "world"


@pytest.mark.usefixtures("words_are_python")
def test_costs_of_all_calls_are_added(tmp_path: Path) -> None:
    work = "import time; until = time.process_time() + 0.3\nwhile time.process_time() < until: pass"
    fails = small(tmp_path, (A,), a=lambda *_: f"exec({work!r}); import sys; sys.exit('Error: later')")
    with pytest.raises(UserError, match="later"):
        Runner(fails, tmp_path / "out", SETTINGS).run([A], range(1))
    runner = Runner(small(tmp_path, (A,), a=lambda *_: f"exec({work!r})"), tmp_path / "out", SETTINGS)
    runner.run([A], range(1))
    assert cost_of(runner, [A], range(1))[0] > 0.6
    (runner.folder(A, 0) / COST).unlink()
    Runner(runner.suite, tmp_path / "out", SETTINGS).run([A], range(1))
    assert ran(tmp_path).count("a-seed0") == 2
    assert cost_of(runner, [A], range(1))[0] > 0.6


def test_published_figures() -> None:
    """Table 3 of the paper: AP and FPR95 on LostAndFound, Static, RoadAnomaly."""
    table = {
        "voidclass": (60.58, 31.02, 66.44, 25.59, 38.21, 64.75),
        "anomalymix": (18.45, 40.52, 77.87, 19.41, 33.82, 65.45),
        "mix": (56.71, 37.90, 67.61, 22.17, 34.45, 65.81),
        "oda": (67.29, 38.20, 74.63, 23.36, 43.01, 55.59),
        "fda": (68.99, 25.39, 76.56, 21.95, 45.24, 56.33),
        "dls": (70.20, 25.76, 78.05, 26.12, 46.17, 53.89),
        "pcl": (71.55, 24.73, 77.95, 24.15, 46.87, 51.23),
        "cpcl": (72.30, 22.15, 78.79, 17.15, 47.95, 48.29),
        "cacl": (74.71, 19.08, 80.90, 22.72, 50.35, 42.19),
    }
    found = {row.key: tuple(figure for title in SETS.values() for figure in row.published[title]) for row in ROWS}
    assert found == table
    assert list(SUITES) == [SUITE.name] == ["mgcda-table3"]


def test_rows_are_what_they_are_called(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The words of every row through the command line, to the configuration that is trained."""
    import train.run_mgcda

    seen: list[Mapping[str, Any]] = []

    def catch(domains: Any, out: Path, *, config: Any, width: float, seed: int, **_: Any) -> None:
        seen.append({**config.model_dump(), "width": width, "seed": seed})
        raise UserError("enough")

    monkeypatch.setattr(train.run_mgcda, "train_mgcda", catch)
    for row in ROWS:
        run(*SUITE.train(tmp_path, SETTINGS, row, 7, tmp_path / "run").words)
    assert len(seen) == len(ROWS)
    told = [tuple(s[name] for name in ("data", "batch", "oda", "fda", "dls", "contrastive")) for s in seen]
    assert told == [
        ("voidclass", 8, False, False, False, "none"),
        ("anomalymix", 8, False, False, False, "none"),
        ("mix", 8, False, False, False, "none"),
        ("multi-domain", 4, True, False, False, "none"),
        ("multi-domain", 4, True, True, False, "none"),
        ("multi-domain", 4, True, True, True, "none"),
        ("multi-domain", 4, True, True, True, "pcl"),
        ("multi-domain", 4, True, True, True, "cpcl"),
        ("multi-domain", 4, True, True, True, "cacl"),
    ]
    assert {(s["steps"], s["width"], s["seed"]) for s in seen} == {(3, 0.25, 7)}
    assert {(s["class_weights"], s["lr"], s["warmup"], s["clip"]) for s in seen} == {("void", 1e-3, 10, 5.0)}
    rest = [
        {k: v for k, v in s.items() if k not in ("data", "batch", "oda", "fda", "dls", "contrastive")} for s in seen
    ]
    assert all(one == rest[0] for one in rest)
    seen.clear()
    real = replace(SETTINGS, toy=False, width=1.0)
    run(*SUITE.train(tmp_path, real, ROWS[-1], 7, tmp_path / "run").words)
    assert [(s["class_weights"], s["lr"], s["warmup"], s["clip"]) for s in seen] == [("void", 1e-4, 0, None)]


@pytest.mark.parametrize("toy", [True, False])
def test_every_word_is_known_to_the_command_line(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: bool
) -> None:
    """Words of what all rows share, and of the judging: each command is reached, with what it is to be given."""
    (tmp_path / "vgg.pth").touch()
    (tmp_path / "erfnet.pth").touch()
    vgg, weights = str(tmp_path / "vgg.pth"), str(tmp_path / "erfnet.pth")
    real = {
        "toy": False, "cityscapes": "city", "coco": "coco", "benchmarks": ("one", "two"), "segmenter": "erfnet",
        "weights": weights, "vgg16": vgg, "vgg19": vgg,
    }  # fmt: skip
    settings = SETTINGS if toy else replace(SETTINGS, **real)  # type: ignore[arg-type]
    reached: list[str] = []

    def caught(name: str) -> Callable[..., None]:
        def catch(*_: Any, **__: Any) -> None:
            reached.append(name)
            raise UserError(f"reached {name}")

        return catch

    for name in (
        "pipelines.toy.draw_world", "anomsynth.commands.build._build", "train.run_segmenters.train_segmenter",
        "train.run_resynthesis.train_resynthesis", "train.chain.chain_from", "eval.benchmarks.find_all",
    ):  # fmt: skip
        monkeypatch.setattr(name, caught(name))
    stages = [*SUITE.prepare(tmp_path, settings), SUITE.judge(tmp_path, settings, tmp_path / "run", tmp_path / "rep")]
    for stage in stages:
        outcome = run(*stage.words)
        assert (outcome.status, "reached" in outcome.err) == (1, True), (stage.name, outcome.err)
    assert len(reached) == len(stages)
    names = [stage.name for stage in stages]
    drawn, learnt = (["world"], ["segmenter"]) if toy else ([], [])
    rich = ["generator", "voidclass-rich", "anomalymix-rich"]
    judging = f"judge-{tmp_path.name}"
    assert names == [*drawn, "frames", "voidclass", "anomalymix", *learnt, *rich, judging]
    assert SUITE.train(tmp_path, settings, ROWS[0], 0, tmp_path / "run").name not in names
    said = {stage.name: " ".join(stage.words) for stage in stages}
    assert f"--samples-per-frame {2 if toy else 1} " in said["voidclass"]
    assert ("--vgg" in said["generator"]) == ("--vgg" in said["voidclass-rich"]) == (not toy)
    judged = said[judging]
    assert judged.count("--data") == (3 if toy else 2)
    assert all((f"benchmarks/{name}" in judged) == toy for name in TOY_SETS)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "or --toy for a world drawn here"),
        (("--toy", "--coco", "c"), "--toy draws its own world"),
        (("--toy", "--row", "cackl"), "There is no row 'cackl'; they are: voidclass, anomalymix, mix, oda"),
        (("--toy", "--segmenter", "erfnet"), "--segmenter NAME and --weights FILE belong together"),
        (("--toy", "--vgg16", "nowhere.pth"), "--vgg16 nowhere.pth: there is no such file"),
        (("--toy", "--vgg19", __file__), "leave --vgg16 and --vgg19 out"),
        (("--vgg16", __file__, "--width", "0.5"), "--vgg16 holds weights of width 1, got --width 0.5"),
        (("--cityscapes", "c", "--coco", "c", "--benchmarks", "nowhere"), "nowhere"),
        (("--toy", "--size", "12"), "Cannot read the size '12'"),
        (("--toy", "--size", "500x250"), "--size must be multiples of 32, got 500x250"),
        (("--toy", "--segmenter", "erfnet", "--weights", __file__), "Weights are a .pth"),
        (
            ("--toy", "--segmenter", "erfnet", "--weights", __file__, "--segmenter-steps", "9"),
            "--segmenter-steps is for a segmenter that is trained here",
        ),
    ],
)
def test_wrong_words(run: Any, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    outcome = run("reproduce", "mgcda-table3", "--out", tmp_path / "out", *words)
    assert outcome.status == 1
    assert sentence in " ".join(outcome.err.split())
    assert not (tmp_path / "out").exists()
