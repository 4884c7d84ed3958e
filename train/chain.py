"""From a photograph to what a dissimilarity network compares it with: segmenter, generator, features.

    logits = segmenter(image at its own input size)
    predicted  = argmax over the 19 classes, nearest pixel; `swapped` labels where there are some
    entropy, distance: of the logits, scaled bilinearly                                         (uncertainty.py)
    synthesis  = generator(predicted)
    perceptual = difference of image and synthesis in the features                              (uncertainty.py)

The same chain makes the extras of an enriched shard set and looks at the images of a benchmark: what a network learns
from and what it is asked about are made by the same lines. Maps are rounded to uint8 in either case.
Its files and what they say of it: `chain_info.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from shards.errors import UserError
from shards.labels import IGNORE, NUM_CLASSES
from shards.resize import resize_labels, resize_seen
from shards.writer import write_atomically
from train.chain_info import (
    FEATURES,
    GENERATOR,
    INFO,
    SEGMENTER,
    ChainInfo,
    DiffusersConfig,
    SegmenterInfo,
    read_chain,
)
from train.checkpoint import NetworkInfo
from train.devices import choose_device
from train.generators import Diffusers, Generator, Pictures, Spade, generator_from
from train.networks import SegmentationNetwork, build_segmenter
from train.networks.features import FeatureExtractor, FeaturesName, SegmenterFeatures, VGGFeatures, build_features
from train.networks.imagenet import load_imagenet
from train.networks.weights import load_recorded, save_weights, weights_sha256
from train.start import starting_segmenter
from train.uncertainty import VGG19_WEIGHTS, Normalise, distance_map, entropy_map, halving_weights, perceptual_map

PUBLISHED_SIZE: Final = (512, 256)
"""(width, height) at which SynBoost and MGCDA compare."""


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
        described = self.info.model_dump(mode="json")
        described["generator"].pop("folder", None)  # a checksum says what it holds, and no manifest names a path
        return {**described, "torch": str(torch.__version__), "device": self.device.type}

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
        frame = self._tensor(resize_seen(image, self.info.segmenter.input_size))
        logits = self.segmenter(frame)[:, :NUM_CLASSES].float()
        predicted = resize_labels(logits[0].argmax(0).to(torch.uint8).cpu().numpy(), self.size)
        if swapped is not None:
            wrong = resize_labels(swapped, self.size)
            predicted = np.where(wrong == IGNORE, predicted, wrong)
        normalise = self.info.normalise
        small = resize_seen(image, self.size)
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


def make_chain(
    segmenter: SegmentationNetwork,
    info: SegmenterInfo,
    generator: Generator,
    *,
    size: tuple[int, int],
    features: FeaturesName = "segmenter",
    vgg: Path | None = None,
    normalise: Normalise = "max",
    device: torch.device,
) -> Chain:
    """Put a chain together.

    Args:
        segmenter: with its weights.
        info: what it is.
        generator: paints pictures of `size`.
        size: (width, height) of all maps.
        features: what the perceptual difference is taken in; `vgg19` as published.
        vgg: a file with ImageNet weights of VGG features; torchvision's own without it.
        normalise: of entropy and distance.
        device: where it runs.

    Raises:
        UserError: VGG's weights cannot be had, or are given and not used.
    """
    if vgg is not None and features == "segmenter":
        raise UserError("--vgg holds weights of VGG, and the features are the segmenter's: give --features vgg19.")
    extractor = _extractor(features, segmenter, info.network)
    if isinstance(extractor, VGGFeatures):
        load_imagenet(extractor, vgg)
    whole = ChainInfo(
        size=size,
        segmenter=info,
        generator=generator.info,
        features=features,
        features_sha256=weights_sha256(extractor) if isinstance(extractor, VGGFeatures) else "",
        normalise=normalise,
    )
    return _assembled(whole, segmenter, generator, extractor, device)


def chain_from(
    *,
    size: tuple[int, int] | None = None,
    checkpoint: Path | None = None,
    segmenter: str | None = None,
    weights: Path | None = None,
    generator: Path | None = None,
    diffusers: Path | None = None,
    asked: DiffusersConfig | None = None,
    pictures: Path | None = None,
    features: FeaturesName = "segmenter",
    vgg: Path | None = None,
    normalise: Normalise = "max",
    device: str = "auto",
) -> Chain:
    """The chain that the words of a command describe.

    Args:
        size: (width, height) of all maps; that which the generator was trained at, or `PUBLISHED_SIZE`, without it.
        checkpoint: a RUN folder of a segmenter,
        segmenter: or a network's name,
        weights: with its weight file.
        generator: a RUN folder of `train resynthesis`,
        diffusers: or a folder with a ControlNet pipeline,
        asked: and what it is asked for,
        pictures: or a folder with pictures.
        features: as of `make_chain`, like the next two.
        vgg: a file with ImageNet weights.
        normalise: of entropy and distance.
        device: auto, cpu or cuda.

    Raises:
        UserError: not exactly one segmenter and one generator, a size that the generator cannot paint, or what
            `starting_segmenter`, the generators and `make_chain` raise.
    """
    where = choose_device(device)
    network, built, _, saw = starting_segmenter(checkpoint, segmenter, weights)
    if [generator, diffusers, pictures].count(None) != 2:
        raise UserError(
            "Say what paints the resynthesis, by exactly one of --generator RUN, --diffusers DIR, --pictures DIR."
        )
    painter: Generator
    if generator is not None:
        painter = Spade.of_run(generator, where)
        size = size or painter.trained_size
    elif diffusers is not None:
        painter = Diffusers(diffusers, where, asked)
    else:
        assert pictures is not None
        painter = Pictures(pictures)
    size = size or PUBLISHED_SIZE
    painter.check_size(size)
    info = SegmenterInfo(network=built, input_size=network.input_size, sha256=weights_sha256(network), saw=saw)
    return make_chain(
        network, info, painter, size=size, features=features, vgg=vgg, normalise=normalise, device=where
    )


def load_chain(folder: Path, device: torch.device) -> Chain:
    """The chain that `Chain.save` wrote.

    Raises:
        UserError: there is none, or a file of it is missing, broken or not the one on record.
    """
    info = read_chain(folder)
    segmenter = load_segmenter(folder, info)
    extractor = _extractor(info.features, segmenter, info.segmenter.network)
    if isinstance(extractor, VGGFeatures):
        load_recorded(extractor, folder / FEATURES, info.features_sha256)
    generator = generator_from(info.generator, folder / GENERATOR, device)
    return _assembled(info, segmenter, generator, extractor, device)


def load_segmenter(folder: Path, info: ChainInfo) -> SegmentationNetwork:
    """The segmenter of a saved chain.

    Raises:
        UserError: its weights are missing, broken or not those on record.
    """
    segmenter = build_segmenter(info.segmenter.network.name, **info.segmenter.network.options)
    load_recorded(segmenter, folder / SEGMENTER, info.segmenter.sha256)
    return segmenter


def _extractor(features: FeaturesName, segmenter: SegmentationNetwork, network: NetworkInfo) -> FeatureExtractor:
    if features != "segmenter":
        return build_features(features)
    extractor = build_features(features, segmenter=network.model_dump())
    assert isinstance(extractor, SegmenterFeatures)
    extractor.copy_from(segmenter)
    return extractor


def _assembled(
    info: ChainInfo,
    segmenter: SegmentationNetwork,
    generator: Generator,
    extractor: FeatureExtractor,
    device: torch.device,
) -> Chain:
    frozen = [module.to(device).eval().requires_grad_(False) for module in (segmenter, extractor)]
    assert isinstance(frozen[0], SegmentationNetwork)
    assert isinstance(frozen[1], FeatureExtractor)
    return Chain(info, frozen[0], generator, frozen[1], device)
