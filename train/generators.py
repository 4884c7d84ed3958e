"""Label-to-image generators: what paints a street from a map of classes.

Three kinds, all behind one Protocol, so that what is compared with a photograph can come from anywhere:

    spade       a run of `anomsynth train resynthesis`
    diffusers   a folder with a ControlNet pipeline of the diffusers package, steered by Cityscapes' colours
    pictures    pictures that were made elsewhere, one a sample, named after its key
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from shards.codec import decode_image
from shards.errors import BadInput, UserError
from shards.labels import semantic_colors
from shards.resize import resize_seen
from train.chain_info import DiffusersConfig, DiffusersInfo, PicturesInfo, SpadeInfo
from train.checkpoint import fingerprint, load_run
from train.networks import build_network
from train.networks.resynthesis import SpadeGenerator
from train.networks.weights import load_recorded, save_weights, weights_sha256

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of pictures that were made elsewhere, in the order in which they are looked for."""


@runtime_checkable
class Generator(Protocol):
    """Classes in, picture out."""

    @property
    def info(self) -> SpadeInfo | DiffusersInfo | PicturesInfo:
        """What it is, for chain.json."""
        ...

    def paint(self, semantic: UInt8[np.ndarray, "h w"], key: str) -> UInt8[np.ndarray, "h w 3"]:
        """Paint.

        Args:
            semantic: (H, W) uint8 trainIds, 255 where unknown.
            key: of the sample; empty for a photograph that belongs to none.

        Raises:
            BadInput: there is no picture for this sample.
        """
        ...

    def check_size(self, size: tuple[int, int]) -> None:
        """UserError where it cannot paint pictures of (width, height)."""
        ...

    def save(self, file: Path) -> None:
        """Write the weights, where it has some of its own."""
        ...


class Spade:
    """A SPADE generator.

    Args:
        network: with its weights.
        info: what it is.
        device: where it paints.
    """

    def __init__(self, network: SpadeGenerator, info: SpadeInfo, device: torch.device) -> None:
        self.info = info
        self._network, self._device = network.to(device).eval().requires_grad_(False), device

    @classmethod
    def of_run(cls, run: Path, device: torch.device) -> Spade:
        """That of a run of `train resynthesis`; raises UserError where it is none."""
        network, info = load_run(run)
        if not isinstance(network, SpadeGenerator):
            raise UserError(
                f"{run} holds a run of `train {info.method}`, no generator; `anomsynth train resynthesis` makes one."
            )
        if not info.finished:
            raise UserError(
                f"The run in {run} is at step {info.step} of {info.steps}; finish it first: type its train command "
                "again."
            )
        made = SpadeInfo(network=info.network, sha256=weights_sha256(network), saw=info.saw)
        return cls(network, made, device)

    @property
    def trained_size(self) -> tuple[int, int]:
        """(width, height) of the pictures that it learnt to paint."""
        return self._network.input_size

    @torch.inference_mode()
    def paint(self, semantic: UInt8[np.ndarray, "h w"], key: str) -> UInt8[np.ndarray, "h w 3"]:
        """Paint; `key` does not matter."""
        picture = self._network(torch.from_numpy(semantic)[None].to(self._device))[0]
        levels = (picture.float() * 255).round().clamp(0, 255).to(torch.uint8)
        return np.ascontiguousarray(levels.movedim(0, -1).cpu().numpy())

    def check_size(self, size: tuple[int, int]) -> None:
        """UserError where a side is no multiple of its stride."""
        check_sides(size, self._network.stride, "The SPADE generator")

    def save(self, file: Path) -> None:
        """Write the weights."""
        save_weights(self._network, file)


class Pictures:
    """Pictures that were made elsewhere.

    Args:
        folder: with `<key>.png`, `.jpg` or `.webp` for every sample, of any size.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"--pictures {folder}: there is no such folder.")
        self._folder = folder
        self.info = PicturesInfo(folder=folder.resolve().name, sha256=contents_sha256(folder))

    def paint(self, semantic: UInt8[np.ndarray, "h w"], key: str) -> UInt8[np.ndarray, "h w 3"]:
        """The picture of a sample, scaled to the map; BadInput where there is none, or it is broken."""
        for suffix in SUFFIXES:
            path = self._folder / f"{key}{suffix}"
            if path.is_file():
                return resize_seen(decode_image(path.read_bytes(), path.name), semantic.shape[::-1])
        raise BadInput("missing-picture", f"{self.info.folder} holds no {key}.png")

    def check_size(self, size: tuple[int, int]) -> None:
        """Nothing: pictures are scaled."""

    def save(self, file: Path) -> None:
        """Nothing: the pictures stay where they are."""


class Diffusers:
    """A ControlNet pipeline, steered by the colours of Cityscapes' classes as ControlNets for segmentation are.

    Args:
        folder: as `save_pretrained` of a StableDiffusionControlNetPipeline leaves it; nothing is downloaded.
        device: where it paints.
        config: what it is asked for.

    Raises:
        UserError: it cannot be loaded.
    """

    def __init__(self, folder: Path, device: torch.device, config: DiffusersConfig | None = None) -> None:
        from diffusers import StableDiffusionControlNetPipeline

        index = folder / "model_index.json"
        if not index.is_file():
            raise UserError(f"--diffusers {folder} has no model_index.json: give what `save_pretrained` wrote.")
        try:
            load: Any = StableDiffusionControlNetPipeline.from_pretrained
            # Without the package accelerate this way of loading is not there, and asking for it is answered aloud.
            sparing = importlib.util.find_spec("accelerate") is not None
            pipe = load(folder, local_files_only=True, low_cpu_mem_usage=sparing)
        except (OSError, ValueError) as error:
            said = str(error).splitlines()[0]
            raise UserError(f"--diffusers {folder} is no ControlNet pipeline: {said}") from error
        pipe.set_progress_bar_config(disable=True)
        self._pipe, self._device = pipe.to(device), device
        asked = (config or DiffusersConfig()).model_dump(include=set(DiffusersConfig.model_fields))
        self.info = DiffusersInfo(**asked, folder=str(folder.resolve()), sha256=contents_sha256(folder))

    @torch.inference_mode()
    def paint(self, semantic: UInt8[np.ndarray, "h w"], key: str) -> UInt8[np.ndarray, "h w 3"]:
        """Paint; `key` does not matter."""
        height, width = semantic.shape
        found: Any = self._pipe(
            self.info.prompt,
            image=Image.fromarray(semantic_colors(semantic)),
            width=width,
            height=height,
            num_inference_steps=self.info.steps,
            guidance_scale=self.info.guidance,
            generator=torch.Generator(self._device).manual_seed(self.info.seed),
            output_type="np",
        ).images[0]
        levels: UInt8[np.ndarray, "h w 3"] = np.clip(np.rint(np.asarray(found) * 255), 0, 255).astype(np.uint8)
        return levels

    def check_size(self, size: tuple[int, int]) -> None:
        """UserError where a side is no multiple of 64, the coarsest grid of Stable Diffusion in pixels."""
        check_sides(size, 64, "A diffusion pipeline")

    def save(self, file: Path) -> None:
        """Nothing: pipelines are large, and chain.json names their folder."""


def contents_sha256(folder: Path) -> str:
    """Checksum of all files below a folder, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\n{fingerprint(path)}\n".encode())
    return digest.hexdigest()


def check_sides(size: tuple[int, int], stride: int, who: str) -> None:
    """UserError where a side of a picture is no multiple of a stride."""
    if any(side % stride for side in size):
        raise UserError(f"{who} paints pictures whose sides are multiples of {stride}, not {size[0]}x{size[1]}.")


def generator_from(info: SpadeInfo | DiffusersInfo | PicturesInfo, file: Path, device: torch.device) -> Generator:
    """The generator of a saved chain.

    Args:
        info: of chain.json.
        file: where its weights are, if it has some.
        device: where it paints.

    Raises:
        UserError: its weights or its folder cannot be read, or it holds pictures of other images.
    """
    if isinstance(info, SpadeInfo):
        network = build_network(info.network.name, **info.network.options)
        if not isinstance(network, SpadeGenerator):
            raise UserError(f"The chain of {file.parent} names {info.network.name}, which is no generator.")
        load_recorded(network, file, info.sha256)
        return Spade(network, info, device)
    if isinstance(info, DiffusersInfo):
        painter = Diffusers(Path(info.folder), device, info)
        if painter.info != info:
            raise UserError(f"The pipeline in {info.folder} is not the one that the set was enriched with any more.")
        return painter
    raise UserError(
        f"The training set was enriched with pictures made elsewhere ({info.folder}), and there are none of other "
        "images: enrich it with a generator to judge a detector."
    )
