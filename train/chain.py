"""From a photograph to what a dissimilarity network compares it with: segmenter, generator, features.

    logits = segmenter(image at its own input size)
    predicted  = argmax over the 19 classes, nearest pixel; `swapped` labels where there are some
    entropy, distance: of the logits, scaled bilinearly                                         (uncertainty.py)
    synthesis  = generator(predicted)
    perceptual = difference of image and synthesis in the features                              (uncertainty.py)

The same chain makes the extras of an enriched shard set and looks at the images of a benchmark: what a network learns
from and what it is asked about are made by the same lines. Maps are rounded to uint8 in either case.

    CHAIN/chain.json               sizes, names, options, checksums
    CHAIN/segmenter.safetensors    CHAIN/generator.safetensors    CHAIN/features.safetensors (VGG only)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import save
from torch import Tensor, nn

from shards.errors import UserError
from shards.labels import IGNORE, NUM_CLASSES
from shards.resize import resize_labels
from shards.writer import write_atomically
from train.checkpoint import NetworkInfo, fingerprint
from train.generators import Generator, GeneratorInfo, generator_from
from train.networks import SegmentationNetwork, build_segmenter, load_weights
from train.networks.features import FeatureExtractor, FeaturesName, VGGFeatures, build_features
from train.uncertainty import VGG19_WEIGHTS, Normalise, distance_map, entropy_map, halving_weights, perceptual_map

FOLDER: Final = "chain"
"""Where it lies in an enriched shard set and in a RUN folder."""
INFO: Final = "chain.json"
SEGMENTER, GENERATOR, FEATURES = "segmenter.safetensors", "generator.safetensors", "features.safetensors"


class SegmenterInfo(BaseModel):
    """The segmenter of a chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkInfo
    input_size: tuple[int, int]
    sha256: str
    saw: list[str]


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


@dataclass(frozen=True, slots=True)
class Chain:
    """Implements `pipelines.enrich.Chain`.

    Attributes:
        info: what it is made of.
        segmenter: in eval mode.
        generator: paints pictures.
        extractor: what image and synthesis are compared with; in eval mode.
        device: where all of it runs.
    """

    info: ChainInfo
    segmenter: SegmentationNetwork
    generator: Generator
    extractor: FeatureExtractor
    device: torch.device

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of all that it gives."""
        return self.info.size

    @property
    def describe(self) -> dict[str, Any]:
        """What decides about its maps; equal ones give equal maps."""
        return {**self.info.model_dump(mode="json"), "torch": str(torch.__version__), "device": self.device.type}

    @torch.inference_mode()
    def look(
        self, image: UInt8[np.ndarray, "h w 3"], *, swapped: UInt8[np.ndarray, "h w"] | None = None, key: str = ""
    ) -> dict[str, np.ndarray]:
        """All maps of one photograph.

        Args:
            image: (H, W, 3) uint8 RGB, at its own size.
            swapped: (H, W) uint8 trainIds that stand in for what the segmenter says; 255 where they do not.
            key: of the sample, for generators that hold a picture for each.

        Returns:
            ``image``, ``synthesis`` (h, w, 3); ``predicted``, ``entropy``, ``distance``, ``perceptual`` (h, w); all
            uint8, at `size`.

        Raises:
            BadInput: the generator holds no picture for the sample.
        """
        logits = self.segmenter(self._tensor(resized(image, self.info.segmenter.input_size)))[:, :NUM_CLASSES].float()
        predicted = resize_labels(logits[0].argmax(0).to(torch.uint8).cpu().numpy(), self.size)
        if swapped is not None:
            wrong = resize_labels(swapped, self.size)
            predicted = np.where(wrong == IGNORE, predicted, wrong)
        normalise = self.info.normalise
        small = resized(image, self.size)
        synthesis = self.generator.paint(predicted, key)
        seen = self.extractor(torch.cat([self._tensor(small), self._tensor(synthesis)]))
        perceptual = perceptual_map(
            [one[:1] for one in seen], [one[1:] for one in seen], self._weights(len(seen)), self.size[::-1]
        )
        return {
            "image": small,
            "predicted": predicted,
            "synthesis": synthesis,
            "entropy": self._map(entropy_map(logits, normalise=normalise)),
            "distance": self._map(distance_map(logits, normalise=normalise)),
            "perceptual": self._map(perceptual),
        }

    def save(self, folder: Path) -> None:
        """Write all that `load_chain` needs; chain.json last."""
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.segmenter, folder / SEGMENTER)
        self.generator.save(folder / GENERATOR)
        if isinstance(self.extractor, VGGFeatures):
            save_weights(self.extractor, folder / FEATURES)
        write_atomically(folder / INFO, (self.info.model_dump_json(indent=2) + "\n").encode())

    def _weights(self, maps: int) -> tuple[float, ...]:
        return VGG19_WEIGHTS if self.info.features == "vgg19" else halving_weights(maps)

    def _tensor(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
        return torch.from_numpy(image).to(self.device).movedim(-1, 0)[None].float() / 255

    def _map(self, values: Float[Tensor, "1 h w"]) -> UInt8[np.ndarray, "H W"]:
        """A map in 0..1 as it is stored, at `size`."""
        levels = (values[0] * 255).cpu().numpy()
        scaled = cv2.resize(levels, self.size, interpolation=cv2.INTER_LINEAR)
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def resized(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """A picture at (width, height) as networks here see it: Pillow's bilinear filter, which averages what merges."""
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def make_chain(
    segmenter: SegmentationNetwork,
    network: NetworkInfo,
    *,
    sha256: str,
    saw: list[str],
    generator: Generator,
    size: tuple[int, int],
    input_size: tuple[int, int] | None = None,
    features: FeaturesName = "segmenter",
    vgg: Path | None = None,
    normalise: Normalise = "max",
    device: torch.device,
) -> Chain:
    """Put a chain together.

    Args:
        segmenter: with its weights.
        network: how it is built.
        sha256: of its weights.
        saw: data that it was trained on.
        generator: paints pictures of `size`.
        size: (width, height) of all maps.
        input_size: (width, height) that the segmenter sees; its own without it.
        features: what the perceptual difference is taken in; `vgg19` as published.
        vgg: ImageNet weights of these features; torchvision's download without it.
        normalise: of entropy and distance.
        device: where it runs.

    Raises:
        UserError: VGG's weights cannot be had.
    """
    checksum = ""
    if features == "segmenter":
        extractor = build_features(
            features, segmenter={"name": network.name, "options": {**network.options, "num_outputs": segmenter.num_outputs}}
        )
        extractor.copy_from(segmenter)
    else:
        extractor = build_features(features)
        checksum = load_imagenet(extractor, vgg)
    info = ChainInfo(
        size=size,
        segmenter=SegmenterInfo(
            network=network, input_size=input_size or segmenter.input_size, sha256=sha256, saw=saw
        ),
        generator=generator.info,
        features=features,
        features_sha256=checksum,
        normalise=normalise,
    )
    return Chain(
        info,
        segmenter.to(device).eval().requires_grad_(False),
        generator,
        extractor.to(device).eval().requires_grad_(False),
        device,
    )
