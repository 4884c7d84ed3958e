"""Contact sheets: what is in a shard set, to be looked at before anybody trains on it.

Only the samples that are shown are read: the choice is made from samples.jsonl, and a tar is opened where one of them
lies in it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from shards.codec import decode_sample
from shards.config import parse_size
from shards.delta import LAYOUT, decode_delta, preview
from shards.errors import BadInput, UserError
from shards.index import Entry
from shards.inspect.choice import ALL, Filters, choose, rejected
from shards.inspect.frames import StreetFrames
from shards.inspect.page import page, sheet
from shards.inspect.views import Tile, label_overlay, tile
from shards.manifest import Manifest, read_manifest
from shards.progress import track
from shards.reader import index_shard, read_members
from shards.rows import Row, is_record, read_rows
from shards.sample import Sample
from shards.writer import write_atomically

__all__ = ["ALL", "Filters", "contact_sheet", "label_overlay", "rejected"]

_THREADS = 4


def contact_sheet(
    folder: Path,
    out: Path,
    *,
    filters: Filters = ALL,
    cityscapes: Path | None = None,
    lay: Callable[[int], Sample] | None = None,
    limit: int = 24,
    seed: int = 0,
    width: int = 420,
) -> list[Path]:
    """Write OUT/contact-sheet.png and OUT/index.html: before and after side by side, semantic map and provenance.

    Args:
        folder: a shard set.
        out: folder for the two files; made when missing.
        filters: which samples.
        cityscapes: the folder that the set was made of: the frame as it was stands before each sample. Without it,
            the sample itself does, and its labels are drawn into the second picture.
        lay: for a delta set: makes sample i over its frame; raises BadInput. Without it, objects are shown on grey.
        limit: samples shown; a seeded choice where more pass.
        seed: of that choice.
        width: of one view in pixels.

    Returns:
        The files written.

    Raises:
        UserError: not a complete shard set, no sample passes the filters or can be decoded, or the frames are others.
    """
    manifest = read_manifest(folder)
    try:
        rows = read_rows(folder)
    except BadInput as error:
        raise UserError(
            f"{folder}: {error.detail}; `anomsynth verify {folder}` tells what else is broken."
        ) from error
    passing, chosen = choose(rows, filters, limit, seed)
    frames = None if cityscapes is None else StreetFrames(cityscapes, _size(manifest))
    decode = partial(_decode, manifest.packing.get("layout") == LAYOUT, lay)
    tiles, broken = [], []
    with ThreadPoolExecutor(_THREADS) as pool:
        drawn = pool.map(partial(_draw, folder, _indexed(folder, chosen), decode, frames, width), chosen)
        for made in track(drawn, "Drawing", total=len(chosen), unit="samples"):
            if isinstance(made, Tile):
                tiles.append(made)
            else:
                broken.append(made)
    if not tiles:
        raise UserError(f"No sample of {folder} could be decoded: {'; '.join(broken[:3])}.")
    out.mkdir(parents=True, exist_ok=True)
    files = [out / "contact-sheet.png", out / "index.html"]
    write_atomically(files[0], sheet(tiles))
    # Names of files need not be text.
    write_atomically(files[1], page(manifest, filters, passing, tiles, broken).encode(errors="backslashreplace"))
    return files


def _draw(
    folder: Path,
    found: dict[tuple[str, str], Entry | str],
    decode: Callable[[Row, dict[str, bytes]], Sample],
    frames: StreetFrames | None,
    width: int,
    row: Row,
) -> Tile | str:
    """A sample as it is shown, or why it cannot be."""
    entry = found.get((row["shard"], row["key"]), f"{row['shard']} does not hold it")
    if isinstance(entry, str):
        return f"{row['key']}: {entry}"
    try:
        sample = decode(row, read_members(folder / entry.shard, entry))
        if not is_record(sample.meta):
            raise BadInput("bad-json", f"{row['key']}.json is no record of a sample")
        before = None if frames is None else frames.of(row)
    except BadInput as error:
        return f"{row['key']}: {error}"
    return tile(sample, before, width)


def _decode(is_delta: bool, lay: Callable[[int], Sample] | None, row: Row, members: dict[str, bytes]) -> Sample:
    """A sample with all that can be seen of it."""
    if not is_delta:
        return decode_sample(row["key"], members)
    delta = decode_delta(row["key"], members)
    if lay is None:
        return preview(row["key"], delta)
    index = delta.meta.get("index")
    if not isinstance(index, int):
        raise BadInput("bad-json", f"{row['key']}.json says no number of the sample")
    return lay(index)


def _indexed(folder: Path, rows: list[Row]) -> dict[tuple[str, str], Entry | str]:
    """Where the members of these samples lie, or why nobody knows; only their tars are opened."""
    found: dict[tuple[str, str], Entry | str] = {}
    for shard in sorted({str(row["shard"]) for row in rows}):
        try:
            found.update({(shard, entry.key): entry for entry in index_shard(folder / shard)})
        except BadInput as error:
            found.update({(shard, row["key"]): str(error) for row in rows if row["shard"] == shard})
    return found


def _size(manifest: Manifest) -> tuple[int, int] | None:
    """(width, height) that frames were scaled to; None where they kept theirs. UserError where it is neither."""
    size = manifest.config.get("size")
    try:
        return None if size is None else parse_size(size)
    except ValueError as error:
        raise UserError(f"The manifest's configuration has a broken size: {error}.") from error
