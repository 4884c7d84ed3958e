"""manifest.json: what a shard set is, how it was made and of what. Written last, so its presence means complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shards.errors import UserError
from shards.writer import ShardRecord, write_atomically

MANIFEST = "manifest.json"
SAMPLES = "samples.jsonl"
REJECTS = "rejects.jsonl"


class Manifest(BaseModel):
    """The whole of manifest.json; holds no time, host or path, so equal builds have equal manifests."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    schema_version: Literal[1] = 1
    recipe: str
    """Name of the recipe."""
    config: dict[str, Any]
    """Every field of the recipe's configuration, defaults included."""
    seed: int
    count: int = Field(ge=0)
    """Samples asked for; the shards may hold fewer where inputs were rejected."""
    samples_per_shard: int = Field(ge=1)
    packing: dict[str, Any] = Field(default_factory=dict)
    """How samples are stored: format and quality of the pictures."""
    tool: dict[str, str]
    """Versions of anomsynth and of the libraries whose version decides about bytes."""
    sources: dict[str, dict[str, Any]]
    """Fingerprint of each source by its name."""
    shards: list[ShardRecord]
    pixels: dict[str, int]
    """Pixels by anomaly label over the set: known, anomaly, ignore."""
    rejects: dict[str, int]
    """How many inputs were left out, by reason."""

    @property
    def samples(self) -> int:
        """Samples in all shards."""
        return sum(shard.samples for shard in self.shards)


def manifest_bytes(manifest: Manifest) -> bytes:
    """The content of manifest.json."""
    return (manifest.model_dump_json(indent=2) + "\n").encode()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json atomically."""
    write_atomically(folder / MANIFEST, manifest_bytes(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read and validate manifest.json.

    Raises:
        UserError: no folder, no manifest (not a shard set, or a build that did not finish), or a broken one.
    """
    if folder.is_file():
        raise UserError(f"{folder} is a file; a shard set is the folder that holds {MANIFEST} and the tars.")
    if not folder.is_dir():
        raise UserError(f"There is no shard set at {folder}: the folder does not exist.")
    path = folder / MANIFEST
    if not path.is_file():
        if (folder / ".build").is_dir():
            raise UserError(
                f"The build in {folder} did not finish; type the same build command again to complete it."
            )
        raise UserError(f"{folder} is not a shard set: it holds no {MANIFEST}; make one with `anomsynth build`.")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path} is broken at {where}: {first['msg']}.") from error
