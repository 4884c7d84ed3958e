"""The page in a real browser, driven over the pipe of its debugging protocol: clicks and keys as a person's."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.benchmarks import find_sets
from eval.predictor import Prediction, Predictor
from eval.report import write_page
from eval.run import evaluate

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-pipe",
)
# The browser reads commands from descriptor 3 and writes answers to 4.
WIRED = """
import os, sys
x, y = map(os.dup, map(int, sys.argv[1:3]))
os.dup2(y, 9), os.dup2(x, 3), os.dup2(9, 4)
os.set_inheritable(3, True), os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {"ArrowLeft": 37, "End": 35, "Enter": 13}


class Browser:
    """One tab of a headless Chromium."""

    def __init__(self, program: str, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        command = [sys.executable, "-c", WIRED, str(to_read), str(to_write), program]
        self._process = subprocess.Popen(
            [*command, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._numbers = itertools.count(1)
        self._rest = b""
        self._session = ""
        self.complaints: list[str] = []
        """What the page wrote to the console, and errors of its script."""

    def open_tab(self) -> None:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        os.close(self._read)

    def send(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
        raise AssertionError("unreachable")

    def _messages(self, seconds: float = 60) -> Iterator[dict[str, Any]]:
        end = time.monotonic() + seconds
        while True:
            while b"\0" not in self._rest:
                if not select.select([self._read], [], [], max(0, end - time.monotonic()))[0]:
                    raise TimeoutError("the browser does not answer")
                got = os.read(self._read, 1 << 16)
                if not got:
                    raise EOFError("the browser has ended")
                self._rest += got
            text, self._rest = self._rest.split(b"\0", 1)
            found = json.loads(text)
            if found.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(found["params"]))
            yield found

    def show(self, page: Path, *, width: int = 1100, height: int = 900, dark: bool = False) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=page.as_uri())
        while self.run("document.readyState") != "complete" or self.run("location.href") != page.as_uri():
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Click the middle of an element, after scrolling to it."""
        box = self.run(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
            f"return [b.x + b.width / 2, b.y + b.height / 2]; }})(document.querySelector({selector!r}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, key: str) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key], **text)

    def picture(self, path: Path) -> None:
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is installed: looked for {', '.join(NAMES)}")
    found = Browser(program, tmp_path_factory.mktemp("profile"))
    try:
        try:
            found.open_tab()
        except (OSError, EOFError) as error:
            pytest.skip(f"{program} does not start here: {error}")
        yield found
    finally:
        found.close()


@pytest.fixture
def page(tmp_path: Path, predictor: Predictor) -> Path:
    """The page of six frames, the later the harder; the last has no anomaly, and so no figures of its own."""
    rng = np.random.default_rng(0)
    for index in range(6):
        label = np.zeros((24, 32), np.uint8)
        label[8:20, 4 : 4 + 2 * index + 4] = index < 5
        image = rng.integers(60, 160, (24, 32, 1)) + label[..., None] * (80 - 12 * index)
        for folder, picture in (("images", image.repeat(3, 2)), ("labels_masks", label)):
            place = tmp_path / "fishyscapes_static" / folder
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.astype(np.uint8)).save(place / f"{index:04d}.png")
    sets = find_sets("fishyscapes", tmp_path / "fishyscapes_static")
    return write_page(evaluate(sets, predictor, (), tmp_path / "out"), predictor, tmp_path / "out", frames_per_set=2)


NAMES_SHOWN = [f"{index:04d}" for index in range(6)]
COLUMN = "Array.from(document.querySelector('#frames-1').tBodies[0].rows, row => row.cells[{}].textContent.trim())"
HEAD = "#frames-1 th:nth-child({}) button"
FIGURES = "['threshold', 'tpr', 'fpr', 'precision', 'f1'].map(key => document.getElementById(key + '-1').textContent)"


def test_columns_sort(browser: Browser, page: Path) -> None:
    browser.complaints.clear()
    browser.show(page)
    assert browser.run(COLUMN.format(0)) == NAMES_SHOWN
    browser.click(HEAD.format(3))
    rising = browser.run(COLUMN.format(2))
    assert rising[-1] == "-"
    assert [float(text) for text in rising[:-1]] == sorted(float(text) for text in rising[:-1])
    assert browser.run(COLUMN.format(0)) == [*NAMES_SHOWN[4::-1], "0005"]
    assert browser.run("document.querySelector('#frames-1 th:nth-child(3)').ariaSort") == "ascending"
    # The head has the focus: the keyboard goes on.
    browser.press("Enter")
    assert browser.run(COLUMN.format(2)) == [*rising[-2::-1], "-"]
    assert browser.run("document.querySelector('#frames-1 th:nth-child(3)').ariaSort") == "descending"
    browser.click(HEAD.format(1))
    assert browser.run(COLUMN.format(0)) == NAMES_SHOWN
    assert browser.run("document.querySelectorAll('#frames-1 [aria-sort]').length") == 1
    assert browser.complaints == []


def test_the_slider_tells_what_a_threshold_does(browser: Browser, page: Path) -> None:
    browser.complaints.clear()
    browser.show(page)
    results = json.loads((page.parent / "results.json").read_text())["sets"]["fishyscapes_static"]
    figures = results["scores"]["bright"]
    shown = browser.run(FIGURES)
    threshold, tpr, fpr, precision, f1 = map(float, shown)
    # It starts at the operating point of the table.
    assert threshold == pytest.approx(figures["threshold95"], rel=1e-3)
    assert shown[2] == f"{100 * figures['metrics']['FPR95']:.2f}"
    assert tpr >= 95
    assert f1 == pytest.approx(2 * precision * tpr / (precision + tpr), abs=0.02)
    line = "document.querySelector('svg[data-kind=histogram]:not([hidden]) .mark line').getAttribute('x1')"
    ring = "['cx', 'cy'].map(key => document.querySelector('svg[data-kind=ROC] .mark circle').getAttribute(key))"
    before = [float(value) for value in (browser.run(line), *browser.run(ring))]
    browser.click("#best-1")
    shown = browser.run(FIGURES)
    assert shown[4] == f"{100 * figures['metrics']['best_F1']:.2f}"
    best = [float(text) for text in shown]
    assert best[0] == pytest.approx(figures["best_F1_threshold"], rel=1e-3)
    assert best[4] > f1
    # A higher threshold: fewer pixels of either kind; the marks have moved along.
    assert best[0] > threshold
    assert best[1] < tpr
    assert best[2] < fpr
    after = [float(value) for value in (browser.run(line), *browser.run(ring))]
    assert after[0] > before[0]
    assert after[1] < before[1]
    assert after[2] > before[2]
    # The keyboard moves it as well; at the highest threshold next to nothing is left.
    browser.click("#threshold-slider-1")
    browser.press("End")
    assert float(browser.run(FIGURES)[1]) < 5
    browser.press("ArrowLeft")
    assert browser.run("document.querySelector('#threshold-slider-1').getAttribute('aria-valuetext')").count("%") == 3
    assert browser.complaints == []


def test_another_score_is_looked_at(browser: Browser, page: Path) -> None:
    browser.complaints.clear()
    browser.show(page)
    browser.click(HEAD.format(3))
    bright = dict(zip(browser.run(COLUMN.format(0)), browser.run(COLUMN.format(2)), strict=True))
    browser.run(
        "const s = document.querySelector('#score-1'); s.value = 'dark'; s.dispatchEvent(new Event('change'))"
    )
    dark = dict(zip(browser.run(COLUMN.format(0)), browser.run(COLUMN.format(2)), strict=True))
    assert {frame for frame in dark if dark[frame] == bright[frame]} == {"0005"}
    assert list(dark.values())[:-1] == sorted(list(dark.values())[:-1], key=float)
    shown = "Array.from(document.querySelectorAll('svg[data-kind=histogram]:not([hidden])'), s => s.dataset.score)"
    assert browser.run(shown) == ["dark"]
    frames = json.loads((page.parent / "frames.json").read_text())["sets"]["fishyscapes_static"]["dark"]
    assert {name: f"{100 * found['AP']:.2f}" if found else "-" for name, found in frames.items()} == dark
    assert browser.complaints == []


class SixScores:
    """As many scores as the networks here give, with their names."""

    describe: Mapping[str, Any] = {"network": "toy"}
    score_names = ("msp", "entropy", "maxlogit", "energy", "maxmin", "void")

    def predict(self, image: np.ndarray, scores: Sequence[str], *, semantic: bool = False) -> Prediction:
        bright = image.mean(2).astype(np.float32)
        maps = {name: bright % (50 + 40 * place) for place, name in enumerate(self.score_names)}
        return Prediction({name: maps[name] for name in scores})


def test_no_table_scrolls_sideways_on_a_laptop(browser: Browser, worlds: Path, tmp_path: Path) -> None:
    sets = [*find_sets("smiyc", worlds), *find_sets("roadanomaly", worlds), *find_sets("fishyscapes", worlds)]
    results = evaluate(sets, SixScores(), (), tmp_path / "out")
    browser.show(write_page(results, SixScores(), tmp_path / "out", frames_per_set=1), width=1100)
    widths = browser.run(
        "Object.fromEntries(Array.from(document.querySelectorAll('.scroll'),"
        " e => [e.ariaLabel, [e.scrollWidth, e.clientWidth]]))"
    )
    assert "As the official evaluator has them of dataset_AnomalyTrack" in widths
    assert "FPR95 ↓ of all sets" in widths
    assert {name for name, (needed, there) in widths.items() if needed > there} == set()


@pytest.mark.parametrize("dark", [False, True])
def test_narrow_screens_do_not_scroll_sideways(browser: Browser, page: Path, dark: bool) -> None:
    browser.show(page, width=400, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= 400
    color = browser.run("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", color)[:3])) / 3
    assert (brightness < 64) == dark


def test_everything_that_is_operated_has_a_name(browser: Browser, page: Path) -> None:
    browser.show(page)
    nameless = browser.run(
        "Array.from(document.querySelectorAll('button, select, input, svg, img, [role=region]')).filter(e =>"
        " !(e.ariaLabel || e.alt || e.textContent.trim() && e.tagName === 'BUTTON' || (e.labels || []).length))"
        ".map(e => e.outerHTML)"
    )
    assert nameless == []
