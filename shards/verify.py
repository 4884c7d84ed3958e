"""`anomsynth verify`: whether a shard set is still what was built, byte by byte and label by label."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final
from zlib import ZLIB_RUNTIME_VERSION

import numpy as np

from shards.check import CheckReport
from shards.codec import decode_sample
from shards.delta import LAYOUT, decode_delta, decode_meta
from shards.documents import CARD, CROISSANT, DOCUMENTS, documents
from shards.documents.card import PLACEMENT
from shards.errors import BadInput, UserError
from shards.index import Entry
from shards.labels import ANOMALY, IGNORE, KNOWN
from shards.layouts.problem import Problem
from shards.manifest import MANIFEST, REJECTS, SAMPLES, Manifest, manifest_bytes, read_manifest
from shards.plural import plural
from shards.progress import track
from shards.reader import index_shard, read_members
from shards.rng import generator
from shards.rows import Row, plain_bytes, read_rejects, read_rows
from shards.writer import ShardRecord

Rebuild = Callable[[int], Mapping[str, bytes]]
"""Makes sample i of the set again: its members by suffix. Raises BadInput."""

_SHARD_FAULTS: Final = ("missing-shard", "shard-size", "checksum")
"""Reasons of problems that another copy of the shard, or another build of it alone, would mend."""

_LABELS: Final = {"known": KNOWN, "anomaly": ANOMALY, "ignore": IGNORE}
_THREADS: Final = min(8, os.cpu_count() or 1)


def broken_shards(folder: Path) -> list[str]:
    """Names of the shards that are missing or differ from what the manifest records, in storage order.

    Made again from their sources, these and no others, the set is whole.

    Raises:
        UserError: not a complete shard set.
    """
    return [record.name for record in read_manifest(folder).shards if _shard_fault(folder, record) is not None]


def verify(
    folder: Path, *, quick: bool = False, rebuild: Rebuild | None = None, samples: int = 0, seed: int = 0
) -> CheckReport:
    """Compare a shard set with its own records and, given a way to rebuild samples, with its sources.

    Args:
        folder: of the set.
        quick: only manifest, lists, checksums and the tars' headers; decode no pixel.
        rebuild: makes sample i again.
        samples: how many are made again: a seeded choice.
        seed: of that choice.

    Returns:
        Facts, and everything that is not as it was built.

    Raises:
        UserError: no shard set, a manifest that cannot be read, or sources that cannot be used.
    """
    manifest = read_manifest(folder)
    problems: list[Problem] = []
    rows = _rows(folder, problems)
    entries = _check_shards(folder, manifest, problems)
    if rows is not None:
        problems += _compare_list(rows, entries)
        problems += _compare_totals(manifest, rows)
        problems += _compare_origin(manifest, rows)
        problems += _compare_documents(folder, manifest, rows)
    problems += _compare_rejects(folder, manifest, entries)
    problems += _strange_tars(folder, manifest)
    by_key = {str(row["key"]): row for row in rows or ()}
    if not quick:
        decode = _decode_changes if manifest.packing.get("layout") == LAYOUT else _decode
        problems += _decode_all(folder, entries, by_key, decode)
    facts = [
        ("recipe", manifest.recipe),
        ("samples", f"{len(entries):,} of {manifest.count:,} asked for"),
        ("shards", f"{len(manifest.shards):,}"),
        ("bytes", f"{sum(shard.bytes for shard in manifest.shards):,}"),
        ("seed", str(manifest.seed)),
        ("made by", ", ".join(f"{name} {version}" for name, version in manifest.tool.items())),
        ("pixels", ", ".join(f"{name} {count:,}" for name, count in manifest.pixels.items()) or "not counted"),
        ("rejected", ", ".join(f"{name} {count:,}" for name, count in manifest.rejects.items()) or "none"),
        ("decoded", "no sample" if quick else plural(len(entries), "sample")),
    ]
    if broken := [problem.input for problem in problems if problem.reason in _SHARD_FAULTS]:
        facts.append(("broken shards", ", ".join(broken)))
    if rebuild is not None:
        chosen = _choose(entries, by_key, samples, seed)
        different = list(_rebuild_all(folder, chosen, by_key, rebuild))
        problems += different
        equal = len(chosen) - len({problem.input for problem in different})
        facts.append(("rebuilt", f"{equal} of {plural(len(chosen), 'sample')} byte for byte"))
    return CheckReport(tuple(facts), tuple(problems))


# The records
# ---------------------------------------------------------------------------------------------------------


def _rows(folder: Path, problems: list[Problem]) -> list[dict[str, object]] | None:
    try:
        return read_rows(folder)
    except BadInput as error:
        problems.append(Problem(error.reason, error.detail, SAMPLES))
        return None


def _compare_list(rows: Sequence[Row], entries: Sequence[Entry]) -> Iterator[Problem]:
    """The list names the samples of the tars in their order, each in its shard."""
    listed = [(row["key"], row["shard"]) for row in rows]
    found = [(entry.key, entry.shard) for entry in entries]
    if listed == found:
        return
    place = next((i for i, pair in enumerate(zip(listed, found, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        detail = f"{SAMPLES} lists {plural(len(listed), 'sample')}, the tars hold {len(found)}"
    else:
        detail = (
            f"line {place + 1} of {SAMPLES} names {listed[place][0]} in {listed[place][1]}, "
            f"the tars hold {found[place][0]} in {found[place][1]} there"
        )
    yield Problem("sample-list", detail, SAMPLES)


def _compare_totals(manifest: Manifest, rows: Sequence[Row]) -> Iterator[Problem]:
    for name, count in manifest.pixels.items():
        total = sum(row.get("pixels", {}).get(name, 0) for row in rows)
        if total != count:
            detail = f"the rows of {SAMPLES} add up to {total:,} {name} pixels, the manifest says {count:,}"
            yield Problem("pixel-counts", detail, SAMPLES)


def _compare_rejects(folder: Path, manifest: Manifest, entries: Sequence[Entry]) -> Iterator[Problem]:
    """The list has as many rows of each reason as the manifest, and names every sample that no tar holds."""
    try:
        rejects = read_rejects(folder)
    except BadInput as error:
        yield Problem(error.reason, error.detail, "rejects.jsonl")
        return
    counts = Counter(row["reason"] for row in rejects)
    known = {entry.key for entry in entries} | {
        row["sample"] for row in rejects if isinstance(row.get("sample"), str)
    }
    if len(entries) == manifest.samples and len(known) != manifest.count:
        detail = (
            f"{len(known)} samples are in the tars or in rejects.jsonl, the manifest speaks of {manifest.count:,}"
        )
        yield Problem("sample-count", detail, MANIFEST)
    if dict(counts) != dict(manifest.rejects):
        detail = (
            f"rejects.jsonl lists {counts.total()} inputs, the manifest {sum(manifest.rejects.values())}, or others"
        )
        yield Problem("reject-list", detail, "rejects.jsonl")


def _strange_tars(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    known = {record.name for record in manifest.shards}
    for path in sorted(folder.glob("*.tar")):
        if path.name not in known:
            yield Problem("unknown-shard", f"{path.name} is not in the manifest; *.tar would load it", path.name)


def _compare_origin(manifest: Manifest, rows: Sequence[Row]) -> Iterator[Problem]:
    """Every sample is of the recipe and the seed that the manifest names."""
    others = [row for row in rows if (row.get("recipe"), row.get("seed")) != (manifest.recipe, manifest.seed)]
    if others:
        made = f"{others[0].get('recipe')}, seed {others[0].get('seed')}"
        detail = (
            f"{plural(len(others), 'row')} of {SAMPLES} of another build, {others[0]['key']} first ({made}); "
            f"the manifest says {manifest.recipe}, seed {manifest.seed}"
        )
        yield Problem("other-build", detail, SAMPLES)


def _compare_documents(folder: Path, manifest: Manifest, rows: Sequence[Row]) -> Iterator[Problem]:
    """The documents are what manifest and rows give, as far as this version writes what that of the set wrote."""
    problem = _compare_croissant(folder, manifest)
    if problem is not None:
        yield problem
    tool = manifest.tool
    if tool.get("anomsynth") != version("anomsynth"):
        return
    try:
        wanted = {**documents(folder, manifest, rows), MANIFEST: manifest_bytes(manifest)}
    except (BadInput, OSError):
        return  # of the first shard or a list, which is a problem of its own
    except (ValueError, OverflowError):
        yield Problem("description", f"no description can be written of what {MANIFEST} and {SAMPLES} say", CARD)
        return
    for name in (*DOCUMENTS, MANIFEST):
        if name == PLACEMENT and tool.get("zlib") != ZLIB_RUNTIME_VERSION:
            continue  # equal pictures, other bytes
        try:
            found = plain_bytes(folder / name)
        except FileNotFoundError:
            found = None
        except OSError as error:
            yield Problem("description", f"{name}: {error.strerror}", name)
            continue
        if found != wanted.get(name) and not (name == CROISSANT and problem is not None):
            what = "is missing" if found is None else "is not what manifest and rows give"
            yield Problem("description", f"{name} {what}", name)


def _compare_croissant(folder: Path, manifest: Manifest) -> Problem | None:
    """The description names the files as they are, whichever version wrote it."""
    try:
        files = json.loads(plain_bytes(folder / CROISSANT))["distribution"]
        described = {file["name"]: file["sha256"] for file in files if "sha256" in file}
        wanted = {record.name: record.sha256 for record in manifest.shards}
        for name in (MANIFEST, SAMPLES, REJECTS):
            if not (folder / name).is_file():
                return None  # a list that is lost is a problem of its own
            wanted[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except FileNotFoundError:
        return Problem("description", f"{CROISSANT} is missing", CROISSANT)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Problem("description", f"{CROISSANT} cannot be read as a description of a data set", CROISSANT)
    if described != wanted:
        return Problem("description", f"{CROISSANT} describes other shards or lists", CROISSANT)
    return None


# The shards
# ----------------------------------------------------------------------------------------------------------


def _shard_fault(folder: Path, record: ShardRecord) -> Problem | None:
    """What is wrong with a shard as a file."""
    path = folder / record.name
    try:
        status = path.stat()
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            return Problem("missing-shard", f"{record.name} is no file", record.name)
        if size != record.bytes:
            detail = f"{record.name} has {size:,} bytes, its manifest says {record.bytes:,}"
            return Problem("shard-size", detail, record.name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Problem("missing-shard", f"{record.name}: {error.strerror}", record.name)
    if digest != record.sha256:
        return Problem("checksum", f"{record.name} has another sha256 than its manifest says", record.name)
    return None


def _check_shards(folder: Path, manifest: Manifest, problems: list[Problem]) -> list[Entry]:
    """The samples of all shards that can be indexed; fills `problems`."""
    found: list[Entry] = []
    for record in track(manifest.shards, "Checksums", total=len(manifest.shards), unit="shards"):
        fault = _shard_fault(folder, record)
        if fault is not None:
            problems.append(fault)
            if fault.reason == "missing-shard":
                continue
        try:
            entries = index_shard(folder / record.name)
        except BadInput as error:
            problems.append(Problem(error.reason, error.detail, record.name))
            continue
        if len(entries) != record.samples:
            detail = f"{record.name} holds {plural(len(entries), 'sample')}, its manifest says {record.samples}"
            problems.append(Problem("sample-count", detail, record.name))
        found += entries
    counts = Counter(entry.key for entry in found)
    problems += [
        Problem("duplicate-key", f"{key} is in the set {count} times", key)
        for key, count in counts.items()
        if count > 1
    ]
    return found


def _decode_all(
    folder: Path, entries: Sequence[Entry], rows: Mapping[str, Row], decode: Callable[..., list[Problem]]
) -> list[Problem]:
    """Decode every sample, some at a time, and compare it with its row."""
    with ThreadPoolExecutor(_THREADS) as pool:
        results = pool.map(partial(decode, folder, rows), entries)
        return [
            problem for found in track(results, "Decoding", total=len(entries), unit="samples") for problem in found
        ]


def _decode(folder: Path, rows: Mapping[str, Row], entry: Entry) -> list[Problem]:
    """What is wrong with a sample."""
    try:
        sample = decode_sample(entry.key, read_members(folder / entry.shard, entry))
    except BadInput as error:
        return [_problem(error, entry)]
    problems = []
    counts = np.bincount(sample.anomaly.ravel(), minlength=256)
    recorded = sample.meta.get("pixels")
    counted = {name: int(counts[value]) for name, value in _LABELS.items()}
    if recorded is not None and recorded != counted:
        detail = f"{entry.key} has {counted} pixels, its record says {recorded}"
        problems.append(Problem("pixel-counts", detail, f"{entry.shard}/{entry.key}"))
    return problems + _compare_row(entry, sample.meta, rows)


def _decode_changes(folder: Path, rows: Mapping[str, Row], entry: Entry) -> list[Problem]:
    """What is wrong with a sample of a delta set."""
    try:
        members = read_members(folder / entry.shard, entry)
        decode_delta(entry.key, members)
        return _compare_row(entry, decode_meta(entry.key, members), rows)
    except BadInput as error:
        return [_problem(error, entry)]


def _problem(error: BadInput, entry: Entry) -> Problem:
    where = entry.shard if error.reason == "missing-shard" else f"{entry.shard}/{entry.key}"
    return Problem(error.reason, error.detail, where)


def _compare_row(entry: Entry, meta: Mapping[str, object], rows: Mapping[str, Row]) -> list[Problem]:
    """A sample's own record says what its row says."""
    row = rows.get(entry.key)
    if row is None or dict(meta) == {name: row[name] for name in row if name not in ("key", "shard")}:
        return []
    detail = f"{entry.key}.json and the row of {entry.key} in {SAMPLES} differ"
    return [Problem("sample-list", detail, f"{entry.shard}/{entry.key}")]


# The sources
# ---------------------------------------------------------------------------------------------------------


def _choose(entries: Sequence[Entry], rows: Mapping[str, Row], count: int, seed: int) -> list[Entry]:
    """Some samples whose index is on record, in storage order."""
    usable = [entry for entry in entries if _index_of(entry, rows) is not None]
    if not usable:
        raise UserError("No sample can be made again: neither the tars nor the list of samples can be read.")
    chosen = generator(seed, "verify").choice(len(usable), min(count, len(usable)), replace=False)
    return [usable[place] for place in sorted(chosen.tolist())]


def _index_of(entry: Entry, rows: Mapping[str, Row]) -> int | None:
    """A sample's number on record, where it is that of its key."""
    index = rows.get(entry.key, {}).get("index")
    return index if type(index) is int and entry.key.endswith(f"-{index:08d}") else None


def _rebuild_all(
    folder: Path, chosen: Sequence[Entry], rows: Mapping[str, Row], rebuild: Rebuild
) -> Iterator[Problem]:
    for entry in track(chosen, "Rebuilding", total=len(chosen), unit="samples"):
        try:
            stored = read_members(folder / entry.shard, entry)
            made = rebuild(rows[entry.key]["index"])
        except BadInput as error:
            detail = f"{entry.key} cannot be made again: {error.reason}: {error.detail}"
        else:
            names = [name for name in sorted({*stored, *made}) if stored.get(name) != made.get(name)]
            if not names:
                continue
            detail = f"{entry.key}, made again, differs in {', '.join(names)}"
        yield Problem("not-rebuilt", detail, f"{entry.shard}/{entry.key}")
