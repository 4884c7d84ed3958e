"""A tiny world, finished sets of it, and every way to damage them: what the tests beside this file share.

Each case is a pure function of (seed, number). More of them, and others, than `make test` tries:

    ANOMSYNTH_MUTATIONS=20 ANOMSYNTH_MUTATIONS_SEED=1 python -m pytest -n 0 tests/pipelines/mutations

tries twenty times as many. A case that fails names itself: `ANOMSYNTH_MUTATIONS_ONLY=417` repeats that one.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from PIL import Image

import pipelines.finish
from pipelines.coding import Packing
from pipelines.engine import build
from pipelines.recipe import Sources
from pipelines.recipes import find_recipe
from shards.reader import ShardSet
from shards.sample import Sample

WIDTH, HEIGHT = 96, 48
HANGS = 300
"""Seconds after which a case hangs, however busy the machine is: all threads are shown and the tests end."""

MIX: dict[str, Any] = {"min_area": 0, "long_side": (0.2, 0.6), "min_visible": 1, "max_tries": 4}
PICTURES = {11: "png", 12: "jpg", 13: "png", 14: "jpg"}
LICENCES = [
    {"id": 1, "name": "Attribution License", "url": "http://creativecommons.org/licenses/by/2.0/"},
    {"id": 2, "name": "Attribution-NoDerivs License", "url": "http://creativecommons.org/licenses/by-nd/2.0/"},
]

Rng = np.random.Generator


# The world ----------------------------------------------------------------------------------------------------------


def write_world(root: Path) -> None:
    """Cityscapes: five frames; one has trainIds only, one a palette, one a JPEG picture. COCO: four pictures."""
    for half in ("leftImg8bit", "gtFine"):
        (root / "cityscapes" / half / "train" / "town").mkdir(parents=True)
    for number in range(5):
        rng = np.random.default_rng(number)
        image = rng.integers(60, 120, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        labels = np.full((HEIGHT, WIDTH), 23, np.uint8)  # sky, building, road, ego vehicle; void in the middle
        labels[12:24], labels[24:], labels[45:] = 11, 7, 1
        labels[30:34, 10:20], labels[30:34, 40:52] = 4, 29
        stem = f"town_{number:06d}_000019"
        suffix = "jpg" if number == 3 else "png"
        Image.fromarray(image).save(root / f"cityscapes/leftImg8bit/train/town/{stem}_leftImg8bit.{suffix}")
        kind = "labelTrainIds" if number == 4 else "labelIds"
        if number == 4:
            labels = np.where(labels == 7, 0, 255).astype(np.uint8)
        picture = Image.fromarray(labels)
        if number == 2:
            picture.putpalette(bytes(range(256)) * 3)
        picture.save(root / f"cityscapes/gtFine/train/town/{stem}_gtFine_{kind}.png")
        instances = Image.fromarray(labels.astype(np.uint16) * 1000)
        instances.save(root / f"cityscapes/gtFine/train/town/{stem}_gtFine_instanceIds.png")
    folder = root / "coco" / "train2017"
    folder.mkdir(parents=True)
    (root / "coco" / "annotations").mkdir()
    for number, suffix in PICTURES.items():
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:012d}.{suffix}")
    (root / "coco/annotations/instances_train2017.json").write_text(json.dumps(coco_json()))


def coco_json() -> dict[str, Any]:
    square = [10.0, 10.0, 30.0, 10.0, 30.0, 28.0, 10.0, 28.0]
    runs = [10 * 40 + 8] + [16, 24] * 20
    runs[-1] += 40 * 50 - sum(runs)
    rows: list[tuple[int, int, int, Any]] = [
        # picture, category, crowd, outline
        (11, 18, 0, [square]),
        (12, 34, 0, {"size": [40, 50], "counts": runs}),
        (13, 18, 0, [[8.5, 9.0, 40.0, 9.0, 24.0, 33.0]]),
        (13, 1, 1, {"size": [40, 50], "counts": [0, 80, 1920]}),
        (14, 34, 0, [square, [31.0, 10.0, 36.0, 10.0, 36.0, 20.0]]),
    ]
    return {
        "info": {"year": 2017},
        "licenses": LICENCES,
        "images": [
            {"id": n, "file_name": f"{n:012d}.{s}", "height": 40, "width": 50, "license": 1 + n % 2}
            for n, s in PICTURES.items()
        ],
        "annotations": [
            {"id": 100 + n, "image_id": image, "category_id": category, "iscrowd": crowd, "area": 360.0,
             "bbox": [10.0, 10.0, 20.0, 18.0], "segmentation": outline}
            for n, (image, category, crowd, outline) in enumerate(rows)
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 34, "name": "frisbee"}],
    }  # fmt: skip


@dataclass(frozen=True)
class World:
    """Sources, sets that were made of them, and what is in these.

    Attributes:
        sources: folder with cityscapes/ and coco/.
        sets: folders: `mix`, `void` (JPEG), `frames`, `delta` (of `mix`).
        samples: of each set but `delta` by key.
    """

    sources: Path
    sets: dict[str, Path]
    samples: dict[str, dict[str, Sample]]


KINDS: dict[str, tuple[str, dict[str, Any], Packing]] = {
    "mix": ("anomalymix", MIX, Packing()),
    "delta": ("anomalymix", MIX, Packing(layout="delta")),
    "void": ("voidclass", {}, Packing(image_format="jpeg")),
    "frames": ("cityscapes", {}, Packing()),
}


def make_set(kind: str, root: Path, out: Path, **options: Any) -> None:
    """Build one of `KINDS` from the sources in `root`."""
    name, fields, packing = KINDS[kind]
    entry = find_recipe(name)
    recipe = entry.open(entry.config(**fields), Sources(root / "cityscapes", coco=root / "coco"))
    build(recipe, out, samples_per_shard=2, packing=packing, seed=3, **options)


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here, and waiting for the disk would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def thorough(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """`thorough(False)`: no checks of shapes, and sets without what is written about them: a fourth of the time."""
    write = pipelines.finish.write_documents

    def wanted(yes: bool) -> None:
        monkeypatch.setattr(pipelines.finish, "write_documents", write if yes else lambda *_: None)
        jaxtyping.config.update("jaxtyping_disable", not yes)

    yield wanted
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    write_world(root)
    sets = {kind: root / f"set-{kind}" for kind in KINDS}
    for kind, out in sets.items():
        make_set(kind, root, out)
    samples = {kind: {s.key: s for s in ShardSet(sets[kind])} for kind in KINDS if kind != "delta"}
    assert {kind: len(found) for kind, found in samples.items()} == {"mix": 5, "void": 4, "frames": 5}
    assert sum(bool(sample.meta["objects"]) for sample in samples["mix"].values()) == 5
    return World(root, sets, samples)


# Cases --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One damaged copy.

    Attributes:
        rng: whatever the case still draws.
        folder: for it alone; gone afterwards.
    """

    number: int
    rng: Rng
    folder: Path


@pytest.fixture
def cases(
    tmp_path: Path, failures: list[Exception], request: pytest.FixtureRequest
) -> Callable[[str, int], Iterator[Case]]:
    """`cases(words, count)`: that many cases, or as many times more as the environment says."""
    seed = int(os.environ.get("ANOMSYNTH_MUTATIONS_SEED", "0"))
    times = float(os.environ.get("ANOMSYNTH_MUTATIONS", "1"))
    only = os.environ.get("ANOMSYNTH_MUTATIONS_ONLY")
    stderr = request.config.stash[
        fault_handler_stderr_fd_key
    ]  # what is written to the usual one is captured, and lost

    def each(words: str, count: int) -> Iterator[Case]:
        for number in [int(only)] if only else range(round(count * times)):
            folder = tmp_path / f"case-{number}"
            folder.mkdir()
            faulthandler.dump_traceback_later(HANGS, exit=True, file=stderr)
            try:
                yield Case(number, np.random.default_rng([seed, number, *words.encode()]), folder)
            finally:
                faulthandler.cancel_dump_traceback_later()
            shutil.rmtree(folder)
        if failures:
            raise ExceptionGroup(f"{len(failures)} cases", failures)

    return each


# Damage to bytes ----------------------------------------------------------------------------------------------------


def damaged(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """Bytes with something wrong, and what."""
    at = int(rng.integers(len(data))) if data else 0
    size = int(rng.integers(1, 65))
    ways: dict[str, Callable[[], bytes]] = {
        "bit": lambda: data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :] if data else b"x",
        "byte": lambda: (
            data[:at] + bytes([(data[at] + int(rng.integers(1, 256))) % 256]) + data[at + 1 :] if data else b"x"
        ),
        "cut": lambda: data[:at],
        "empty": lambda: b"",
        "hole": lambda: data[:at] + data[at + size :],
        "twice": lambda: data[: at + size] + data[at:],
        "zeros": lambda: data[:at] + bytes(min(size, len(data) - at)) + data[at + size :],
        "noise": lambda: data[:at] + rng.bytes(min(size, len(data) - at)) + data[at + size :],
        "head": lambda: rng.bytes(size) + data,
        "tail": lambda: data + rng.bytes(size),
        "other": lambda: rng.bytes(size),
    }
    way = str(rng.choice([*ways, "bit", "bit", "byte", "cut"]))
    return way, ways[way]()


# Damage to files ----------------------------------------------------------------------------------------------------


def put(path: Path, data: bytes) -> None:
    """Another file under that name: its neighbours may be links to the same one."""
    path.unlink()
    path.write_bytes(data)


def damage_file(path: Path, others: list[Path], rng: Rng) -> str:
    """Do something to a file as a file."""
    other = others[int(rng.integers(len(others)))]
    data = path.read_bytes()
    away = path.parent.parent / "away"

    def swap() -> None:
        first, second = path.read_bytes(), other.read_bytes()
        put(path, second)
        if other != path:
            put(other, first)

    def moved(target: str | Path) -> Callable[[], object]:
        return lambda: path.rename(path.parent / target)

    def instead(make: Callable[[], object]) -> Callable[[], None]:
        def do() -> None:
            path.unlink()
            make()

        return do

    def linked(target: Path) -> Callable[[], None]:
        return instead(lambda: path.symlink_to(target))

    ways: dict[str, Callable[[], object]] = {
        "swapped": swap,
        "replaced": lambda: put(path, other.read_bytes()),
        "removed": path.unlink,
        "renamed": moved("elsewhere" + path.suffix),
        "no text": moved(Path(os.fsdecode(b"\xff\xfe")).name + path.name),
        "line": moved("a\nb" + path.name),
        "doubled": lambda: shutil.copy(path, path.with_name("x" + path.name)),
        "folder": instead(path.mkdir),
        "dangling": linked(path.parent / "nowhere"),
        "loop": linked(path),
        "leading out": lambda: (away.write_bytes(data), linked(away)()),
        "device": linked(Path("/dev/zero")),
        "link to folder": linked(path.parent),
        "pipe": instead(lambda: os.mkfifo(path)),
    }
    way = str(rng.choice(list(ways)))
    ways[way]()
    return f"{way} ({other.name})" if way in ("swapped", "replaced") else way


# Damage to pictures -------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, color: int, data: bytes, *, before: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


ZEROS = zlib.compress(bytes(1 << 22), 9)


def picture(rng: Rng) -> tuple[str, bytes]:
    """A file that is a picture, but not the one that belongs there."""
    way = str(rng.choice(["mode", "size", "format", "wide", "more", "less", "text", "labels", "eps", "profile"]))
    width, height = WIDTH, HEIGHT
    if way == "size":
        width, height = (int(side) for side in rng.integers(1, 120, 2))
    if way == "wide":  # refused by its head
        return way, png(100_000, 100_000, int(rng.choice([0, 2])), ZEROS)
    if way == "more":  # 4 MB of zeros where a few pixels should be
        return way, png(WIDTH, HEIGHT, int(rng.choice([0, 2])), ZEROS)
    if way == "less":
        return way, png(WIDTH, HEIGHT, 0, zlib.compress(bytes(100)))
    if way in ("text", "profile"):  # text that is compressed, or a profile: bombs beside the pixels
        inside = b"a\0\0" + ZEROS
        extra = chunk(b"zTXt" if way == "text" else b"iCCP", inside)
        return way, png(WIDTH, HEIGHT, 3, zlib.compress(bytes(HEIGHT * (WIDTH + 1))), before=extra)
    if way == "eps":
        return way, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 48\n%%EndComments\n{} loop\n"
    pixels = rng.integers(0, 256, (height, width, 4)).astype(np.uint8)
    image = Image.fromarray(pixels)
    if way == "labels":
        image = Image.fromarray(rng.choice(np.array([0, 1, 7, 11, 18, 34, 200, 254, 255], np.uint8), (height, width)))
    buffer = io.BytesIO()
    if way == "mode":
        mode = str(rng.choice(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]))
        image = Image.fromarray(pixels[..., 0].astype(np.uint16)) if mode == "I;16" else image.convert(mode)
        image.save(buffer, "PNG")
        return f"{way} {mode}", buffer.getvalue()
    form = str(rng.choice(["JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA"])) if way == "format" else "PNG"
    image.convert("RGB" if way != "labels" else "L").save(buffer, form)
    return f"{way} {form}", buffer.getvalue()


# Damage to JSON -----------------------------------------------------------------------------------------------------

_RAW = "\x01raw\x01"


def _deep(depth: int, kind: str = "[]") -> str:
    opened, closed = ('{"a":', "}") if kind == "{}" else ("[", "]")
    return opened * depth + "0" + closed * depth


WORDS = (
    "null", "true", "0", "-1", "1", "1.5", "1e308", "1e999", "NaN", "-Infinity", "1000000000000", "-9" + "0" * 20,
    "9" * 400, "9" * 4300, "9" * 5000, '""', '"x"', '"\\ud800"', '"\\u0000"', '"a\\nb"', '"../../etc/passwd"',
    '"/etc/passwd"', '"<script>"', '"' + "x" * 3000 + '"', "[]", "{}", "[[]]", "[null]", "[0,0,0,0]", "[-1,-1,5,5]",
    '["a","b"]', "[16384,16384]", '{"id":1}', "[1,2,3,4,5,6]", "[[1,2]]", "[[1e9,1,2,1e9,3,3]]", "[{}]", '"1"',
    '{"size":[40,50],"counts":"0"}', '{"size":[40,50],"counts":[-5,2005]}', '{"size":[40,50],"counts":[2000,5]}',
    '{"size":[40,50],"counts":"\\u00e9"}', '{"size":[1,1],"counts":[1]}', '{"size":[0,0],"counts":[]}',
    *map(_deep, (5, 300, 600, 800, 900, 940, 960, 980, 990, 2000, 200_000)), _deep(700, "{}"), _deep(950, "{}"),
)  # fmt: skip
"""What stands where something else should: as text, since some of it cannot be said otherwise."""


def damage_json(tree: Any, rng: Rng) -> tuple[str, bytes]:
    """A JSON text with something wrong about one value of it, and what; `tree` is changed."""
    places = list(_places(tree, ()))
    holder, key, path = places[int(rng.integers(len(places)))]
    way = str(rng.choice(["word", "word", "word", "removed", "doubled", "copied", "key", "text"]))
    word = WORDS[int(rng.integers(len(WORDS)))]
    said = f"{way} {'.'.join(map(str, path))}"
    if way == "removed":
        del holder[key]
    elif way in ("word", "doubled"):
        if way == "doubled" and isinstance(holder, dict):
            holder[_RAW + str(key)] = holder[key]
        holder[key] = _RAW
        said += f" {word[:40]}"
    elif way == "copied":
        source = places[int(rng.integers(len(places)))]
        value = json.dumps(source[0][source[1]])
        holder[key] = json.loads(value)
    elif way == "key" and isinstance(holder, dict):
        holder["strange"] = holder.pop(key)
    text = json.dumps(tree).replace('"\\u0001raw\\u0001"', word).replace("\\u0001raw\\u0001", "")
    if way != "text":
        return said, text.encode()
    at = int(rng.integers(len(text)))
    noise = [b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\0", b",", b"}", b"\n", b'"', b"\\"][int(rng.integers(9))]
    return f"text {at} {noise!r}", text[:at].encode() + noise + text[at:].encode()


def _places(tree: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, value in items:
        yield tree, key, (*path, key)
        yield from _places(value, (*path, key))


def damage_lines(data: bytes, rng: Rng) -> tuple[str, bytes]:
    """samples.jsonl or rejects.jsonl with something wrong about it, and what."""
    lines = data.splitlines()
    if not lines:
        return "stranger", b"{}\n"
    at, to = (int(place) for place in rng.integers(len(lines), size=2))
    way = str(rng.choice(["json", "json", "json", "json", "removed", "doubled", "moved", "blank", "none", "joined"]))
    if way == "json":
        way, lines[at] = damage_json(json.loads(lines[at]), rng)
    elif way == "removed":
        del lines[at]
    elif way == "doubled":
        lines.insert(at, lines[to])
    elif way == "moved":
        lines.insert(to, lines.pop(at))
    elif way == "blank":
        lines.insert(at, b"")
    elif way == "joined":
        lines[at] = lines[at] + lines[to]
    else:
        lines = []
    return f"line {at}: {way}", b"".join(line + b"\n" for line in lines)


# All of it, for the tests -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Damage:
    """What the tests use of this file."""

    bytes = staticmethod(damaged)
    file = staticmethod(damage_file)
    json = staticmethod(damage_json)
    lines = staticmethod(damage_lines)
    picture = staticmethod(picture)
    put = staticmethod(put)
    png = staticmethod(png)
    chunk = staticmethod(chunk)
    zeros = ZEROS


@pytest.fixture
def damage() -> Damage:
    return Damage()


@pytest.fixture
def make() -> Callable[..., None]:
    return make_set


@pytest.fixture
def failures() -> list[Exception]:
    return []


@pytest.fixture
def told(failures: list[Exception]) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """`with told(words):` keeps what fails, and which case it was, for the end."""

    @contextlib.contextmanager
    def explained(*words: object) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            error.add_note(f"CASE {' | '.join(map(str, words))}")
            failures.append(error)

    return explained
