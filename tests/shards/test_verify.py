from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards.documents import write_documents
from shards.errors import BadInput, UserError
from shards.manifest import read_manifest, write_manifest
from shards.reader import ShardSet
from shards.rows import read_rows, row_lines
from shards.verify import broken_shards, verify


def reasons(folder: Path, *, quick: bool = False) -> set[str]:
    return {problem.reason for problem in verify(folder, quick=quick).problems}


def edit(folder: Path, change: Callable[[list[Any]], None]) -> None:
    rows = read_rows(folder)
    change(rows)
    (folder / "samples.jsonl").write_bytes(row_lines(rows))


@pytest.mark.parametrize("quick", [False, True])
def test_a_set_as_it_was_built(make_set: Any, quick: bool) -> None:
    folder = make_set()
    report = verify(folder, quick=quick)
    assert report.problems == ()
    assert dict(report.facts)["samples"] == "5 of 5 asked for"
    assert dict(report.facts)["decoded"] == ("no sample" if quick else "5 samples")
    assert broken_shards(folder) == []


@pytest.mark.parametrize("quick", [False, True])
def test_a_flipped_byte_is_found(make_set: Any, quick: bool) -> None:
    folder = make_set()
    tar = folder / "mix-000001.tar"
    data = bytearray(tar.read_bytes())
    data[700] ^= 255
    tar.write_bytes(bytes(data))
    report = verify(folder, quick=quick)
    assert "checksum" in {problem.reason for problem in report.problems}
    assert dict(report.facts)["broken shards"] == "mix-000001.tar"
    assert broken_shards(folder) == ["mix-000001.tar"]


def test_every_broken_shard_is_named_in_order(make_set: Any) -> None:
    folder = make_set()
    (folder / "mix-000002.tar").unlink()
    cut = folder / "mix-000000.tar"
    cut.write_bytes(cut.read_bytes()[:3000])
    assert broken_shards(folder) == ["mix-000000.tar", "mix-000002.tar"]
    assert {"missing-shard", "shard-size", "bad-tar", "sample-list"} <= reasons(folder)


def test_no_set_at_all(tmp_path: Path, make_set: Any) -> None:
    with pytest.raises(UserError, match="does not exist"):
        verify(tmp_path / "none")
    folder = make_set()
    (folder / "manifest.json").write_text('{"recipe": 3}')
    for call in (verify, broken_shards):
        with pytest.raises(UserError, match=r"manifest\.json is broken"):
            call(folder)


def test_a_shard_of_another_build_is_found_even_if_the_manifest_agrees(make_set: Any) -> None:
    folder, other = make_set(), make_set("other", samples=4)
    manifest, strange = read_manifest(folder), read_manifest(other)
    (folder / "mix-000000.tar").write_bytes((other / "mix-000001.tar").read_bytes())
    record = strange.shards[1].model_copy(update={"name": "mix-000000.tar"})
    write_manifest(folder, manifest.model_copy(update={"shards": [record, *manifest.shards[1:]]}))
    assert {"sample-list", "duplicate-key"} <= reasons(folder, quick=True)


def test_a_count_that_is_wrong(make_set: Any) -> None:
    folder = make_set()
    manifest = read_manifest(folder)
    shards = [manifest.shards[0].model_copy(update={"samples": 3}), *manifest.shards[1:]]
    write_manifest(folder, manifest.model_copy(update={"shards": shards}))
    (problem,) = (found for found in verify(folder, quick=True).problems if found.reason != "description")
    assert (problem.reason, problem.detail) == ("sample-count", "mix-000000.tar holds 2 samples, its manifest says 3")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows.pop(), "lists 4 samples, the tars hold 5"),
        (lambda rows: rows.reverse(), "line 1 of samples.jsonl names mix-00000004 in mix-000002.tar"),
        (lambda rows: rows[1].update(shard="mix-000001.tar"), "line 2 of samples.jsonl names mix-00000001"),
        (
            lambda rows: rows[0].update(index=9),
            "mix-00000000.json and the row of mix-00000000 in samples.jsonl differ",
        ),
    ],
)
def test_the_list_is_compared(make_set: Any, change: Callable[[list[Any]], None], sentence: str) -> None:
    folder = make_set()
    edit(folder, change)
    details = [problem.detail for problem in verify(folder).problems if problem.reason == "sample-list"]
    assert any(sentence in detail for detail in details), details


@pytest.mark.parametrize(
    "line", ["half", "[]", "3", '{"key": 1}', '{"key": "a", "shard": "../x.tar"}', "[" * 5000, "\udcff",
             '{"key": "a", "shard": "b.tar", "objects": [{"box": [1, 2, 3]}]}',
             '{"key": "a", "shard": "b.tar", "objects": [{"box": [1e400, 2, 3, 4]}]}',
             '{"key": "a", "shard": "b.tar", "pixels": {"known": -1}}'],
)  # fmt: skip
def test_lines_that_are_no_rows(make_set: Any, line: str) -> None:
    folder = make_set()
    (folder / "samples.jsonl").write_bytes(line.encode(errors="surrogateescape") + b"\n")
    (problem,) = (problem for problem in verify(folder).problems if problem.input == "samples.jsonl")
    assert problem.reason == "sample-list"


def test_lists_that_are_gone(make_set: Any) -> None:
    folder = make_set()
    (folder / "samples.jsonl").unlink()
    (folder / "rejects.jsonl").unlink()
    assert reasons(folder) == {"sample-list", "reject-list"}


def test_records_that_do_not_add_up(make_set: Any) -> None:
    folder = make_set()
    manifest = read_manifest(folder)
    changes = {"pixels": {**manifest.pixels, "anomaly": 1}, "rejects": {"tiny": 2}}
    write_manifest(folder, manifest.model_copy(update=changes))
    assert reasons(folder, quick=True) == {"pixel-counts", "reject-list", "description"}


def test_a_tar_that_the_manifest_does_not_name(make_set: Any) -> None:
    folder = make_set()
    (folder / "mix-000009.tar").write_bytes((folder / "mix-000000.tar").read_bytes())
    assert reasons(folder, quick=True) == {"unknown-shard"}


@pytest.mark.parametrize("content", ["{", "[]", '{"distribution": [3]}', '{"distribution": []}', "{}"])
def test_a_description_of_something_else(make_set: Any, content: str) -> None:
    folder = make_set()
    (folder / "croissant.json").write_text(content)
    assert reasons(folder, quick=True) == {"description"}


def test_rows_of_another_build(make_set: Any) -> None:
    """As two builds with other seeds would leave it that got into one folder."""
    folder = make_set()
    manifest = read_manifest(folder).model_copy(update={"seed": 7})
    write_documents(folder, manifest, read_rows(folder))
    write_manifest(folder, manifest)
    (problem,) = verify(folder, quick=True).problems
    assert problem.reason == "other-build"
    assert problem.detail == (
        "5 rows of samples.jsonl of another build, mix-00000000 first (mix, seed 0); the manifest says mix, seed 7"
    )


@pytest.mark.parametrize("name", ["README.md", "croissant.json", "licences.jsonl", "placement.png"])
def test_documents_that_are_lost_or_changed(make_set: Any, name: str) -> None:
    folder = make_set()
    data = (folder / name).read_bytes()
    for changed in (data + b" ", b""):
        (folder / name).write_bytes(changed)
        assert [problem.input for problem in verify(folder, quick=True).problems] == [name]
    (folder / name).unlink()
    (problem,) = verify(folder, quick=True).problems
    assert (problem.reason, problem.detail) == ("description", f"{name} is missing")


@pytest.mark.parametrize(
    "change", [{"config": {"size": [1, 2]}}, {"count": 6}, {"sources": {}}, {"tool": {"anomsynth": "0"}},
               {"packing": {"image_format": "png"}}, {"samples_per_shard": 3}],
)  # fmt: skip
def test_a_manifest_of_another_build(make_set: Any, change: dict[str, Any]) -> None:
    folder = make_set()
    write_manifest(folder, read_manifest(folder).model_copy(update=change))
    count = {"sample-count"} if "count" in change else set()
    assert reasons(folder, quick=True) == {"description"} | count


def rewritten(folder: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Change members of the first tar and let the manifest agree with it."""
    import hashlib
    import io

    path = folder / "mix-000000.tar"
    with tarfile.open(path) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in members:
            changed = change(info.name, data)
            info.size = len(changed)
            tar.addfile(info, io.BytesIO(changed))
    manifest = read_manifest(folder)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = manifest.shards[0].model_copy(update={"bytes": path.stat().st_size, "sha256": digest})
    manifest = manifest.model_copy(update={"shards": [record, *manifest.shards[1:]]})
    write_documents(folder, manifest, read_rows(folder))
    write_manifest(folder, manifest)


def test_pixels_are_counted_again(make_set: Any) -> None:
    folder = make_set()
    first, second = (ShardSet(folder).raw(index)["anomaly.png"] for index in (0, 1))
    rewritten(folder, lambda name, data: second if data == first else data)
    assert reasons(folder, quick=True) == set()
    (problem,) = verify(folder).problems
    assert problem.reason == "pixel-counts"
    assert "mix-00000000 has" in problem.detail


def test_labels_of_another_kind(make_set: Any) -> None:
    folder = make_set()
    image = ShardSet(folder).raw(0)["image.png"]
    rewritten(folder, lambda name, data: image if name == "mix-00000001.semantic.png" else data)
    (problem,) = verify(folder).problems
    assert (problem.reason, problem.input) == ("not-a-map", "mix-000000.tar/mix-00000001")


def test_samples_are_made_again_and_compared(make_set: Any) -> None:
    folder = make_set()
    shards = ShardSet(folder)
    asked = []

    def honest(index: int) -> dict[str, bytes]:
        asked.append(index)
        return shards.raw(index)

    report = verify(folder, rebuild=honest, samples=3, seed=1)
    assert report.problems == ()
    assert dict(report.facts)["rebuilt"] == "3 of 3 samples byte for byte"
    assert len(set(asked)) == 3
    assert asked == sorted(asked)
    again = [*asked]
    asked.clear()
    verify(folder, rebuild=honest, samples=3, seed=1)
    assert asked == again


def test_samples_that_come_out_otherwise_are_named(make_set: Any) -> None:
    folder = make_set()
    shards = ShardSet(folder)

    def broken(index: int) -> dict[str, bytes]:
        if index == 1:
            raise BadInput("truncated-image", "town is cut off")
        made = shards.raw(index)
        return {**made, "image.png": b"x", "more.png": b""} if index == 2 else made

    report = verify(folder, rebuild=broken, samples=99)
    assert [problem.detail for problem in report.problems] == [
        "mix-00000001 cannot be made again: truncated-image: town is cut off",
        "mix-00000002, made again, differs in image.png, more.png",
    ]
    assert dict(report.facts)["rebuilt"] == "3 of 5 samples byte for byte"


def test_nothing_to_make_again(make_set: Any) -> None:
    folder = make_set()
    (folder / "samples.jsonl").write_text("")
    with pytest.raises(UserError, match="No sample can be made again"):
        verify(folder, rebuild=lambda index: {}, samples=1)


def test_mutated_sets_end_in_a_report_or_a_sentence(make_set: Any) -> None:
    import random

    folder = make_set()
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    rng = random.Random(0)
    for _ in range(120):
        name = rng.choice(sorted(whole))
        data = bytearray(whole[name])
        kind = rng.randrange(4)
        if kind == 0:
            data = data[: rng.randrange(len(data))]
        elif kind == 1:
            for _ in range(rng.randrange(1, 9)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == 2:
            at = rng.randrange(len(data))
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 600)))
        else:
            data = bytearray(whole[rng.choice(sorted(whole))])
        (folder / name).write_bytes(bytes(data))
        try:
            report = verify(folder)
        except UserError:
            assert name == "manifest.json"
        else:
            assert report.problems or bytes(data) == whole[name], (name, kind)
        (folder / name).write_bytes(whole[name])
    assert json.loads((folder / "manifest.json").read_bytes())
    assert verify(folder).problems == ()


@pytest.mark.parametrize("name", ["mix-000001.tar", "samples.jsonl", "rejects.jsonl"])
def test_pipes_are_not_waited_for(make_set: Any, name: str) -> None:
    folder = make_set()
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert reasons(folder) & {"missing-shard", "sample-list", "reject-list"}


@pytest.mark.parametrize("index", [-1, 10**30, True, 3])
def test_a_number_that_is_not_the_sample_s_is_not_made_again(make_set: Any, index: int) -> None:
    folder = make_set(samples=1)
    edit(folder, lambda rows: rows[0].update(index=index))
    assert "sample-list" in reasons(folder)
    with pytest.raises(UserError, match="No sample can be made again"):
        verify(folder, rebuild=lambda index: pytest.fail(f"sample {index} was made"), samples=1)


@pytest.mark.parametrize("field", [{"bytes": 10**4000}, {"samples": -1}, {"name": "a\0.tar"}])
def test_records_that_cannot_be_true(make_set: Any, field: dict[str, Any]) -> None:
    folder = make_set()
    manifest = json.loads((folder / "manifest.json").read_text())
    for record in manifest["shards"]:
        record.update(field)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"manifest\.json is broken at shards\.0\."):
        verify(folder)


@pytest.mark.parametrize("count", [4, 6, 10**14])
def test_samples_of_which_nobody_knows(make_set: Any, count: int) -> None:
    folder = make_set(count=count)
    (problem,) = verify(folder, quick=True).problems
    assert problem.reason == "sample-count"
    assert problem.detail == f"5 samples are in the tars or in rejects.jsonl, the manifest speaks of {count:,}"


def test_a_sample_that_was_left_out_is_known(make_set: Any) -> None:
    folder = make_set(count=6)
    row = {"reason": "tiny", "detail": "too small", "input": "cityscapes/1", "sample": "mix-00000005"}
    assert "sample-count" in reasons(folder, quick=True)
    (folder / "rejects.jsonl").write_bytes(row_lines([row]))
    assert reasons(folder, quick=True) <= {"description", "reject-count"}  # of another list than was described
