"""What is known of a chain (`train/chain.py`), and its files.

CHAIN/chain.json               sizes, names, options, checksums; written last
CHAIN/segmenter.safetensors    CHAIN/generator.safetensors    CHAIN/features.safetensors (VGG only)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shards.config import Config
from shards.errors import UserError
from shards.writer import write_atomically
from train.checkpoint import NetworkInfo
from train.networks.features import FeaturesName
from train.uncertainty import Normalise

FOLDER: Final = "chain"
"""Where it lies in an enriched shard set and in a RUN folder."""
INFO: Final = "chain.json"
SEGMENTER, GENERATOR, FEATURES = "segmenter.safetensors", "generator.safetensors", "features.safetensors"


class SpadeInfo(BaseModel):
    """A trained SPADE generator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["spade"] = "spade"
    network: NetworkInfo
    sha256: str
    saw: list[str] = ["unknown"]
    """Data that taught it, as in checkpoint.json."""


class DiffusersConfig(Config):
    """What a diffusion pipeline is asked for."""

    prompt: str = "a street scene seen from a car, photograph"
    """In words."""
    steps: int = Field(20, ge=1)
    """Of the sampler."""
    guidance: float = Field(7.5, ge=0)
    """How much the prompt counts."""
    seed: int = Field(0, ge=0)
    """Of the noise, equal for all pictures."""


class DiffusersInfo(DiffusersConfig):
    """A ControlNet pipeline; gigabytes, so its folder is named and not copied."""

    kind: Literal["diffusers"] = "diffusers"
    folder: str
    """Where it lies on this machine."""
    sha256: str
    """Of all its files."""


class PicturesInfo(BaseModel):
    """Pictures made elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["pictures"] = "pictures"
    folder: str
    """Its name."""
    sha256: str
    """Of all its files."""


GeneratorInfo = Annotated[SpadeInfo | DiffusersInfo | PicturesInfo, Field(discriminator="kind")]


class SegmenterInfo(BaseModel):
    """The segmenter of a chain."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    network: NetworkInfo
    input_size: tuple[int, int]
    """(width, height) that it sees."""
    sha256: str
    """Of its weights, by name and value."""
    saw: list[str]
    """Data that taught it, as in checkpoint.json."""


class ChainInfo(BaseModel):
    """The whole of chain.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    size: tuple[int, int]
    segmenter: SegmenterInfo
    generator: GeneratorInfo
    features: FeaturesName
    features_sha256: str = ""
    normalise: Normalise = "max"

    @property
    def saw(self) -> list[str]:
        """Data that taught segmenter and generator, as in checkpoint.json."""
        return [*self.segmenter.saw, *(self.generator.saw if isinstance(self.generator, SpadeInfo) else ["unknown"])]


def read_chain(folder: Path) -> ChainInfo:
    """Read and validate chain.json.

    Raises:
        UserError: there is none, or it is broken.
    """
    path = folder / INFO
    if not path.is_file():
        raise UserError(f"There is no {FOLDER}/{INFO} in {folder.parent}: type the command that made it again.")
    try:
        return ChainInfo.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{path} is broken at {where}: {first['msg']}.") from error


def copy_chain(source: Path, target: Path) -> None:
    """Put a saved chain into another folder, file by file, chain.json last."""
    target.mkdir(parents=True, exist_ok=True)
    for name in (SEGMENTER, GENERATOR, FEATURES, INFO):
        if (source / name).is_file():
            write_atomically(target / name, (source / name).read_bytes())
