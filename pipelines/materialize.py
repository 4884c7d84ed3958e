"""From a delta set and the frames that it was made over to the shard set that a direct build gives, byte for byte.

To the engine a delta set is a recipe: its samples begin as frames, and what they change is read instead of drawn.
Workers, resuming and records are therefore those of every build.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from pipelines.coding import Packing
from pipelines.engine import BuildSummary, Engine, build
from pipelines.mixing import Base, Change
from pipelines.recipe import Scene, make, sample_key
from pipelines.recipes import find_recipe
from pipelines.sources.frames import FrameConfig, FrameSource
from shards.delta import LAYOUT, decode_delta, decode_meta
from shards.errors import BadInput, UserError
from shards.index import Entry
from shards.layouts.cityscapes import CityscapesFrame
from shards.layouts.problem import Problem
from shards.manifest import Manifest, read_manifest
from shards.plural import plural
from shards.reader import index_shard, read_members
from shards.rows import Row, read_rejects, read_rows
from shards.sample import Sample
from shards.writer import ShardRecord

_LOOKED_AT: Final = 3
"""Frames whose checksums are compared before anything is built, where the folder is not the recorded one."""


def materialize(
    delta: Path,
    cityscapes: Path,
    out: Path,
    *,
    workers: int | None = 1,
    engine: Engine = "local",
    shards: tuple[int | None, int | None] | None = None,
    repair: bool = False,
    strict: bool = False,
    dry_run: bool = False,
) -> BuildSummary:
    """Lay the objects of a delta set over the frames.

    Args:
        delta: the delta set.
        cityscapes: the folder that it was made over, or a copy.
        out: folder of the shard set; absent, empty, or of the same set.
        workers: as of `pipelines.engine.build`, like the next three; the bytes do not depend on it.
        engine: where shards are made.
        shards: which of them.
        repair: only those that are broken or missing.
        strict: the first broken or changed frame ends it instead of being skipped and recorded.
        dry_run: only say what would be made.

    Returns:
        As `pipelines.engine.build`.

    Raises:
        UserError: not a delta set, a damaged one, frames of another data set, or what `build` raises.
    """
    recipe = Materialized.open(delta, cityscapes)
    manifest = recipe.manifest
    return build(
        recipe,
        out,
        count=manifest.count,
        seed=manifest.seed,
        workers=workers,
        engine=engine,
        shards=shards,
        repair=repair,
        samples_per_shard=manifest.samples_per_shard,
        packing=recipe.packing,
        strict=strict,
        dry_run=dry_run,
    )


def layer(folder: Path, cityscapes: Path) -> Callable[[int], Sample] | None:
    """What makes sample i of a delta set over its frame, as arrays; it raises BadInput. None for other sets.

    Raises:
        UserError: as `materialize`.
    """
    manifest = read_manifest(folder)
    if manifest.packing.get("layout") != LAYOUT:
        return None
    return partial(make, Materialized.open(folder, cityscapes), manifest.seed)


@dataclass(frozen=True, slots=True)
class Materialized:
    """A delta set over its frames, as a recipe: see `pipelines.recipe.Recipe`.

    Attributes:
        folder: of the delta set.
        manifest: of the delta set.
        shards: its shards by name.
        config: of the recipe that made it.
        packing: how a direct build would have stored the samples.
        frames: of the folder at hand.
        by_id: the same by their ids.
        rejects: the rows of rejects.jsonl about samples that could not be made, by key.
        problems: inputs that were left out when the delta set was made.
    """

    folder: Path
    manifest: Manifest
    shards: Mapping[str, ShardRecord] = field(repr=False)
    config: FrameConfig
    packing: Packing
    frames: FrameSource = field(repr=False)
    by_id: Mapping[str, CityscapesFrame] = field(repr=False)
    rejects: Mapping[str, Mapping[str, Any]] = field(repr=False)
    problems: tuple[Problem, ...] = field(repr=False)

    @classmethod
    def open(cls, folder: Path, cityscapes: Path) -> Materialized:
        """Read the records of a delta set and scan the frames; raises UserError as `materialize`."""
        manifest = read_manifest(folder)
        config, packing = _recorded(folder, manifest)
        split = str(manifest.sources.get("cityscapes", {}).get("split", ""))
        frames = FrameSource.open(cityscapes, split, config)
        by_id = {frame.id: frame for frame in frames.frames}
        try:
            rejects = read_rejects(folder)
            same = dict(frames.fingerprint) == manifest.sources.get("cityscapes")
            rows = [] if same else read_rows(folder)
        except BadInput as error:
            raise UserError(
                f"{folder} is damaged: {error.detail}; `anomsynth verify {folder}` tells what else."
            ) from error
        if manifest.count > manifest.samples + len(rejects):
            raise UserError(
                f"{folder} is damaged: its manifest speaks of {manifest.count} samples, it holds and rejects "
                f"{manifest.samples + len(rejects)}; `anomsynth verify {folder}` tells what else."
            )
        if not same:
            _refuse_other_frames(f"{cityscapes} ({split}) is not what {folder} was made over", frames, by_id, rows)
        return cls(
            folder,
            manifest,
            {shard.name: shard for shard in manifest.shards},
            config,
            packing,
            frames,
            by_id,
            {row["sample"]: row for row in rejects if isinstance(row.get("sample"), str)},
            tuple(
                Problem(row["reason"], row["detail"], row["input"]) for row in rejects if row.get("sample") is None
            ),
        )

    @property
    def name(self) -> str:
        """Of the recipe that made it."""
        return self.manifest.recipe

    @property
    def default_count(self) -> int:
        """Samples that were asked for."""
        return self.manifest.count

    def plan(self) -> dict[str, Any]:
        """What the delta set holds, and the frames at hand."""
        size = sum(shard.bytes for shard in self.manifest.shards)
        return {"delta": {"samples": self.manifest.samples, "bytes": size}, "cityscapes": self.frames.plan()}

    def sources(self) -> dict[str, dict[str, Any]]:
        """Fingerprints: of the frames at hand, and of what else the delta set was made of."""
        return {**self.manifest.sources, "cityscapes": dict(self.frames.fingerprint)}

    def input_of(self, seed: int, index: int) -> str:
        """Name of the frame behind sample `index`."""
        members = self._members(index)
        if members is None:
            return str(self._reject(index)["input"])
        origin = decode_meta(sample_key(self.name, index), members)["frame"]
        return f"{origin.get('dataset')}/{origin.get('split')}/{origin.get('id')}"

    def base(self, seed: int, index: int) -> Base:
        """The frame of a sample; BadInput where it is missing or broken."""
        return self.frames.plain(self._frame(self.input_of(seed, index)))

    def change(self, seed: int, index: int, scene: Scene) -> Change:
        """What the sample changes about its frame; BadInput where it could not be made, or the frame is another one.

        Raises:
            UserError: the delta set is damaged.
        """
        members = self._members(index)
        if members is None:
            row = self._reject(index)
            raise BadInput(row["reason"], row["detail"])
        frame = self._frame(self.input_of(seed, index))
        try:
            delta = decode_delta(sample_key(self.name, index), members)
        except BadInput as error:
            raise self._damaged(error.detail) from error
        if self.frames.checksum(frame) != delta.meta["frame"].get("crc32") or scene.size != delta.frame:
            raise BadInput("changed-frame", f"{frame.id} is not the frame that the sample was made over")
        return Change(delta.meta, delta.patches, delta.crop)

    def _frame(self, name: str) -> CityscapesFrame:
        frame = self.by_id.get(name.rpartition("/")[2])
        if frame is None:
            raise BadInput("missing-frame", f"{name} is not among the frames")
        return frame

    def _members(self, index: int) -> Mapping[str, bytes] | None:
        """The files of a sample in the delta set; None where it could not be made."""
        name = f"{self.name}-{index // self.manifest.samples_per_shard:06d}.tar"
        record = self.shards.get(name)
        if record is None:
            return None
        try:
            entry = _indexed(self.folder / name, record).get(sample_key(self.name, index))
            return None if entry is None else _read(self.folder / name, entry, record.sha256)
        except BadInput as error:
            raise self._damaged(error.detail) from error
        except OSError as error:
            raise self._damaged(f"{name}: {error.strerror}") from error

    def _reject(self, index: int) -> Mapping[str, Any]:
        key = sample_key(self.name, index)
        if key not in self.rejects:
            raise self._damaged(f"{key} is neither in its shard nor in its list of rejects")
        return self.rejects[key]

    def _damaged(self, detail: str) -> UserError:
        return UserError(
            f"{self.folder} is damaged: {detail}; `anomsynth verify {self.folder}` tells what else, "
            "and with a sound copy the same command goes on."
        )


@lru_cache(maxsize=2)
def _indexed(path: Path, record: ShardRecord) -> dict[str, Entry]:
    """The samples of a tar by key; BadInput where it is not the one on record."""
    if path.exists() and not path.is_file():  # whoever opens a pipe waits for ever
        raise BadInput("bad-tar", f"{path.name} is no file")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
            raise BadInput("checksum", f"{path.name} has another sha256 than its manifest says")
    return {entry.key: entry for entry in index_shard(path)}


@lru_cache(maxsize=2)
def _read(path: Path, entry: Entry, _sha256: str) -> dict[str, bytes]:
    """The files of a sample, which are asked for several times in a row."""
    return read_members(path, entry)


def _recorded(folder: Path, manifest: Manifest) -> tuple[FrameConfig, Packing]:
    """Configuration and packing of the direct build; UserError where this is no delta set or one of other times."""
    if manifest.packing.get("layout") != LAYOUT:
        raise UserError(f"{folder} is no delta set but a shard set with its frames in it: nothing is to be laid.")
    kind = find_recipe(manifest.recipe).config
    try:
        config = kind.model_validate(manifest.config)
        packing = Packing.model_validate({**manifest.packing, "layout": "shards"})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"This version cannot materialise {folder}: its configuration does not fit at {where!r}: {first['msg']}."
        ) from error
    assert isinstance(config, FrameConfig)
    return config, packing


def _refuse_other_frames(
    sentence: str, frames: FrameSource, by_id: Mapping[str, CityscapesFrame], rows: Sequence[Row]
) -> None:
    """UserError if the frames are another data set; single ones that are missing or changed are recorded later."""
    wanted = {str(row.get("frame", {}).get("id")): row.get("frame", {}).get("crc32") for row in rows}
    missing = sorted(wanted.keys() - by_id.keys())
    if len(missing) > len(wanted) / 2:
        raise UserError(
            f"{sentence}: it lacks {len(missing)} of its {plural(len(wanted), 'frame')}, such as {missing[0]}."
        )
    present = sorted(wanted.keys() & by_id.keys())[:_LOOKED_AT]
    if present and not any(_is_same(frames, by_id[name], wanted[name]) for name in present):
        raise UserError(f"{sentence}: its frames have the same names but other files, such as {present[0]}.")


def _is_same(frames: FrameSource, frame: CityscapesFrame, crc32: Any) -> bool:
    try:
        return bool(frames.checksum(frame) == crc32)
    except BadInput:
        return False
