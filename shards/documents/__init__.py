"""What lies beside the tars of a shard set for people and for other tools: made from the manifest and the rows."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shards.codec import decode_size, encode_png
from shards.documents.card import LICENCES, PLACEMENT, card
from shards.documents.croissant import MEMBERS, croissant
from shards.documents.heatmap import heat_map
from shards.documents.licences import licence_rows
from shards.documents.statistics import statistics
from shards.errors import BadInput
from shards.manifest import REJECTS, Manifest
from shards.reader import index_shard, read_members
from shards.rows import Row, plain_bytes, row_lines
from shards.writer import write_atomically

CARD: Final = "README.md"
CROISSANT: Final = "croissant.json"
DOCUMENTS: Final = (CARD, CROISSANT, LICENCES, PLACEMENT)
"""Every file that `write_documents` may write."""

_ASPECT: Final = 2.0
"""Of Cityscapes; taken where a set holds no pictures."""


def documents(folder: Path, manifest: Manifest, rows: Sequence[Row]) -> dict[str, bytes]:
    """README.md, croissant.json and, where objects were pasted, licences.jsonl and placement.png, by name.

    Equal sets have equal documents, where they are made by equal versions.

    Args:
        folder: of the set; its tars and lists are there, its manifest need not be.
        manifest: what is (or will be) written as manifest.json.
        rows: what is written as samples.jsonl.

    Raises:
        BadInput: the first shard is broken.
        OSError: of reading it or the rejects.
    """
    members, aspect = _first_sample(folder, manifest)
    counts = statistics(rows, aspect)
    described = croissant(manifest, rows, members, rejects=plain_bytes(folder / REJECTS))
    contents = {
        CARD: card(manifest, rows, aspect=aspect).encode(),
        CROISSANT: (json.dumps(described, indent=2, ensure_ascii=False) + "\n").encode(),
    }
    if pictures := licence_rows(rows):
        contents[LICENCES] = row_lines(pictures)
    if counts.objects:
        contents[PLACEMENT] = encode_png(heat_map(counts.placement))
    return contents


def write_documents(folder: Path, manifest: Manifest, rows: Sequence[Row]) -> list[Path]:
    """Write the documents of a set, when its tars and lists are complete, before its manifest; returns the files."""
    contents = documents(folder, manifest, rows)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def _first_sample(folder: Path, manifest: Manifest) -> tuple[tuple[str, ...], float]:
    """The suffixes of its members, and width by height of its picture."""
    if not manifest.shards:
        return MEMBERS, _ASPECT
    path = folder / manifest.shards[0].name
    entries = index_shard(path)
    if not entries:
        raise BadInput("bad-tar", f"{path.name} holds no sample")
    entry = entries[0]
    suffixes = tuple(member.suffix for member in entry.members)
    for suffix, data in read_members(path, entry).items():
        if suffix.startswith("image."):
            try:
                width, height = decode_size(io.BytesIO(data), suffix)
            except BadInput:
                break
            return suffixes, width / height
    return suffixes, _ASPECT
