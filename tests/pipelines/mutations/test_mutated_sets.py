"""Damaged shard sets: readers give exactly the clean samples or refuse, and `verify` names what is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.materialize import layer, materialize
from pipelines.rebuild import rebuilder
from shards.coded import StoredSample
from shards.delta import DeltaSet
from shards.errors import BadInput, UserError
from shards.inspect import contact_sheet, rejected
from shards.manifest import read_manifest
from shards.reader import ShardSet
from shards.sample import Sample
from shards.stream import Position, ShardDataset
from shards.verify import broken_shards, verify

SETS = ("mix", "void", "frames", "delta")
Rng = np.random.Generator


def equal(one: Sample, other: Sample) -> bool:
    names = ("image", "anomaly", "semantic")
    return (one.key, one.meta) == (other.key, other.meta) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in names
    )


def is_sentence(error: Exception) -> None:
    """What is told says what is wrong, in one piece."""
    text = str(error)
    assert len(text) > 20
    assert not re.search(r"Traceback|Error\b|object at 0x", text.partition("not JSON")[0]), text
    assert isinstance(error, BadInput) or text.endswith("."), text


def refused(call: Callable[[], Any]) -> Any:
    """What the call gives; None where it says in a sentence why it cannot."""
    try:
        return call()
    except (UserError, BadInput) as error:
        is_sentence(error)
        return None


def as_it_is(sample: StoredSample, _: Rng) -> Sample:
    return sample.decode()


def delivered(shards: Any) -> dict[str, Sample]:
    """The samples that a set gives; those that it refuses are missing."""
    if shards is None:
        return {}
    keys = shards.keys
    found = [(key, refused(partial(shards.__getitem__, place))) for place, key in enumerate(keys)]
    return {key: sample for key, sample in found if sample is not None}


def sealed(folder: Path, path: Path) -> None:
    """Let the manifest describe the tar as it is now."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    data = path.read_bytes()
    for record in manifest["shards"]:
        if record["name"] == path.name:
            record.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            # Not by Python's own reader, which never ends where a size is negative.
            record["samples"] = len(set(re.findall(rb"[a-z]+-[0-9]{8}(?=\.)", data)))
    file.unlink()
    file.write_text(json.dumps(manifest))


# Archives -----------------------------------------------------------------------------------------------------------


def members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        return [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]


def written(parts: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, data in parts:
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return buffer.getvalue()


def stranger(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: Any) -> Any:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


HOSTILE: dict[str, Callable[[str], Any]] = {
    "absolute": lambda key: stranger("/etc/passwd", data=b"x"),
    "parent": lambda key: stranger(f"../{key}.image.png", data=b"x"),
    "within": lambda key: stranger(f"a/../../{key}.image.png", data=b"x"),
    "backslash": lambda key: stranger(f"..\\{key}.image.png", data=b"x"),
    "symbolic link": lambda key: stranger(f"{key}.link.png", tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": lambda key: stranger(f"{key}.link.png", tarfile.LNKTYPE, linkname=f"{key}.image.png"),
    "device": lambda key: stranger(f"{key}.zero.png", tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": lambda key: stranger(f"{key}.disk.png", tarfile.BLKTYPE, devmajor=8),
    "pipe": lambda key: stranger(f"{key}.pipe.png", tarfile.FIFOTYPE),
    "folder": lambda key: stranger(f"{key}.folder", tarfile.DIRTYPE),
    "no key": lambda key: stranger(".png", data=b"x"),
    "no suffix": lambda key: stranger(key, data=b"x"),
    "long name": lambda key: stranger("a" * 90 + "/" + key + ".png", data=b"x"),
}


def hostile(path: Path, rng: Rng) -> tuple[str, bytes]:
    """An archive with something in it that no build puts there, and what."""
    parts = members(path)
    at = int(rng.integers(len(parts) + 1))
    key = parts[min(at, len(parts) - 1)][0].name.partition(".")[0]
    way = str(rng.choice([*HOSTILE, "sparse", "long chain", "attributes", "size", "bomb", "negative", "again"]))
    block = bytearray(written([stranger(f"{key}.more.png", data=b"x")])[:512])
    if way in HOSTILE:
        parts.insert(at, HOSTILE[way](key))
        return way, written(parts, tarfile.GNU_FORMAT if way == "long name" else tarfile.USTAR_FORMAT)
    if way == "attributes":
        info, data = stranger(f"{key}.more.png", data=b"x")
        info.pax_headers = {"path": "/etc/passwd", "size": "9" * 20, "comment": "a"}
        return way, written([*parts[:at], (info, data), *parts[at:]], tarfile.PAX_FORMAT)
    if way == "again":
        parts.insert(at, parts[int(rng.integers(len(parts)))])
        return way, written(parts)
    whole = written(parts)
    start = sum(512 + -(-len(data) // 512) * 512 for _, data in parts[:at])
    if way == "sparse":  # a few bytes that stand for a terabyte
        block[156:157] = tarfile.GNUTYPE_SPARSE
        block[257:265] = b"ustar  \0"
        block[483:495] = b"77777777777\0"
    elif way == "long chain":
        block[156:157] = tarfile.GNUTYPE_LONGNAME
        block[124:136] = b"00000000000\0"
    elif way in ("size", "bomb"):
        block[124:136] = b"77777777777\0" if way == "size" else b"\x80" + b"\x00" * 3 + b"\x7f" + b"\xff" * 7
    else:  # counts back to the header before it, for ever
        block[124:136] = (2**96 - int(rng.integers(1, 5)) * 512).to_bytes(12)
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
    return way, whole[:start] + bytes(block) * (3000 if way == "long chain" else 1) + whole[start:]


def remade(path: Path, damage: Any, rng: Rng) -> tuple[str, bytes]:
    """A sound archive with other members."""
    parts = members(path)
    at, to = (int(place) for place in rng.integers(len(parts), size=2))
    info, data = parts[at]
    way = str(
        rng.choice(["json", "json", "json", "json", "bytes", "picture", "removed", "swapped", "renamed", "moved"])
    )
    if way == "json":
        at = int(rng.choice([n for n, (part, _) in enumerate(parts) if part.name.endswith(".json")]))
        info, data = parts[at]
        way, data = damage.json(json.loads(data), rng)
    elif way == "bytes":
        way, data = damage.bytes(data, rng)
    elif way == "picture":
        way, data = damage.picture(rng)
    elif way == "removed":
        del parts[at]
    elif way == "swapped":
        data = parts[to][1]
    elif way == "moved":
        parts.insert(to, parts.pop(at))
    else:
        words = ["x", "image.png", "image.jpg", "json", "semantic.png", "extra.png", "png", "a.b.c", "ä.png", "image"]
        info.name = f"{info.name.partition('.')[0]}.{rng.choice(words)}"
    if way not in ("removed", "moved"):
        info.size = len(data)
        parts[at] = info, data
    return f"{info.name}: {way}", written(parts, tarfile.GNU_FORMAT)


def damage_set(folder: Path, damage: Any, rng: Rng) -> tuple[str, bool]:
    """Damage one file of a set; returns what was done, and whether its manifest was made to agree."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    tars = [path for path in files if path.suffix == ".tar"]
    lists = [path for path in files if path.suffix == ".jsonl" and path.stem in ("samples", "rejects")]
    luck = rng.random()
    if luck < 0.18:
        path = files[int(rng.integers(len(files)))]
        return f"{path.name}: {damage.file(path, files, rng)}", False
    if luck < 0.25:
        path = files[int(rng.integers(len(files)))]
        how, data = damage.bytes(path.read_bytes(), rng)
    elif luck < 0.42:
        path = folder / "manifest.json"
        how, data = damage.json(json.loads(path.read_text()), rng)
    elif luck < 0.58:
        path = lists[int(rng.integers(len(lists)))]
        how, data = damage.lines(path.read_bytes(), rng)
    else:
        path = tars[int(rng.integers(len(tars)))]
        way = int(rng.choice(4, p=[0.25, 0.25, 0.3, 0.2]))
        if way == 0:
            how, data = damage.bytes(path.read_bytes(), rng)
        elif way == 1:
            how, data = hostile(path, rng)
        else:
            how, data = remade(path, damage, rng)
        damage.put(path, data)
        seal = way == 2 or (way == 1 and rng.random() < 0.7)
        if seal:
            sealed(folder, path)
        return f"{path.name}: {how}{', sealed' * seal}", seal
    damage.put(path, data)
    return f"{path.name}: {how}", False


def test_damaged_sets(world: Any, cases: Any, damage: Any, thorough: Any, told: Any) -> None:
    outcomes: Counter[str] = Counter()
    for case in cases("sets", 840):
        kind = SETS[case.number % len(SETS)]
        folder = case.folder / "set"
        thorough(case.number // 4 % 8 == 0)
        shutil.copytree(world.sets[kind], folder, copy_function=os.link)
        how, seal = damage_set(folder, damage, case.rng)
        with told(case.number, kind, how):
            outcomes[_judge(world, kind, folder, case, sealed=seal)] += 1
    if sum(outcomes.values()) > 500:  # unless one case is repeated
        assert min(outcomes.values()) > 30, outcomes


def _judge(world: Any, kind: str, folder: Path, case: Any, *, sealed: bool) -> str:
    root = world.sources
    faults = _faults(folder, root, sources=sealed or case.number // 4 % 4 == 0)
    if case.number // 4 % 4 == 1 and faults != {"refused"}:
        assert _faults(folder, root, quick=True) <= faults
    clean = world.samples["mix" if kind == "delta" else kind]
    try:
        shards = DeltaSet(folder, world.sets["frames"]) if kind == "delta" else ShardSet(folder)
    except UserError as error:
        is_sentence(error)
        shards = None
    found = delivered(shards)
    same = [key for key in found if key in clean and equal(found[key], clean[key])]
    if not sealed:
        # A byte that changed may change the record of a sample, never its pixels.
        for key in found:
            if key in clean:
                np.testing.assert_array_equal(found[key].anomaly, clean[key].anomaly)
                np.testing.assert_array_equal(found[key].semantic, clean[key].semantic)
                np.testing.assert_array_equal(found[key].image, clean[key].image)
    if shards is not None and len(shards) and case.number // 4 % 4 == 2:
        dataset = ShardDataset([shards], as_it_is, seed=0)
        for place in range(len(shards)):
            item = dataset[Position(0, 0, place)]
            assert isinstance(item, BadInput) or equal(item, found[item.key])
    as_built = len(same) == len(found) == len(clean)
    assert as_built or faults  # whatever is wrong is named
    if case.number // 4 % 8 in (3, 7):
        refused(lambda: _shown(folder, case.folder / "page", root, over=case.number // 4 % 8 == 3))
        refused(lambda: rejected(folder, 3))
    if kind == "delta":
        out = case.folder / "out"
        made = refused(lambda: materialize(folder, root / "cityscapes", out))
        if made is not None:
            laid = {sample.key: sample for sample in ShardSet(out)}
            assert sealed or all(equal(laid[key], clean[key]) for key in laid)
            # Documents are written in thorough cases alone, and what is forged may name another recipe.
            allowed = {"description"} if case.number // 4 % 8 else set()
            allowed |= {"other-build"} if sealed else set()
            assert {problem.reason for problem in verify(out).problems} <= allowed
    return "as built" if as_built and not faults else "named" if as_built else "refused" if not found else "other"


def _shown(folder: Path, out: Path, root: Path, *, over: bool) -> None:
    """Two samples on a contact sheet, beside their frames or, those of a delta set, over them."""
    frames = root / "cityscapes"
    way: dict[str, Any] = {"lay": layer(folder, frames)} if over else {"cityscapes": frames}
    contact_sheet(folder, out, width=40, limit=2, **way)


def _faults(folder: Path, root: Path, *, quick: bool = False, sources: bool = False) -> set[str]:
    """What `verify` finds: quickly or in full, without the sources or with them."""
    refused(lambda: broken_shards(folder))
    remake = None
    if sources:
        remake = refused(lambda: rebuilder(read_manifest(folder), root / "cityscapes", root / "coco"))
    try:
        report = verify(folder, quick=quick, rebuild=remake, samples=9)
    except UserError as error:
        is_sentence(error)
        return {"refused"}
    return {problem.reason for problem in report.problems}
