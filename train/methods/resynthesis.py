"""A generator that paints street frames from maps of their classes.

Park, Liu, Wang, Zhu: Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019. Generator and
discriminator (`networks/resynthesis.py`) take turns:

    L_generator = L_G + lambda_fm L_FM + lambda_p L_P            losses/gan.py
    L_discriminator = L_D

with the perceptual term only where weights of VGG19 are given. Adam with betas 0 and 0.9, learning rates of 1e-4 and
4e-4 that are constant for half of the run and then fall linearly to 0, as published. Published too, and too much for
a small data set: 200 epochs in batches of 32.

Pixels without a class are a class of their own, "unknown", and are painted and judged like all others: the photograph
shows something there, too. What leaves the run is the moving average of the generator (`ema`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from shards.coded import SampleSet
from shards.errors import BadInput
from shards.progress import track
from shards.resize import resize_seen
from train.cards import RESYNTHESIS
from train.config import TrainConfig
from train.data import Batch, TrainingPool
from train.losses.gan import discriminator_loss, feature_matching, generator_loss, perceptual_loss
from train.methods.base import Figures, Method, Modules, Phase, Progress, Task
from train.networks.features import VGGFeatures
from train.networks.resynthesis import MultiScaleDiscriminator, SpadeGenerator
from train.optimizers import groups
from train.ranks import held
from train.uncertainty import VGG19_WEIGHTS


class ResynthesisConfig(TrainConfig):
    """The defaults are the paper's, but for the batch, which was 32."""

    stride: ClassVar[int] = SpadeGenerator.stride
    """Sides of `input_size` and `crop` are multiples of it."""

    epochs: float = Field(200.0, gt=0)
    """Passes over the shards, where `steps` is not given."""
    batch: int = Field(8, ge=1)
    """Samples a step."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate after the warm-up."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled, on kernels only: biases and batch norm never decay, nor does a classifier with a void output."""
    poly_power: float = Field(1.0, ge=0)
    """The learning rate falls as (1 - x) ** poly_power, x the way from `hold` to the end; 0 keeps it constant."""
    hold: float = Field(0.5, ge=0, lt=1)
    """Share of the run in which the learning rate stays before it falls."""
    ema: float | None = Field(0.999, gt=0, lt=1)
    """Decay of the moving average of the weights, which is then what the run leaves behind. It is at most
    (1 + step) / (10 + step), so that a short run does not end with the weights it began with."""
    discriminator_lr: float = Field(4.0, gt=0)
    """Learning rate of the discriminator, as a factor on the generator's."""
    lambda_fm: float = Field(10.0, ge=0)
    """Weight of the feature matching."""
    lambda_p: float = Field(10.0, ge=0)
    """Weight of the perceptual loss, where weights of VGG19 are given (`--vgg`)."""
    judge_width: float | None = Field(None, gt=0)
    """Factor on the channels of the discriminator; that of the generator without it."""

    @model_validator(mode="after")
    def _fits(self) -> ResynthesisConfig:
        if self.encoder_lr != 1:
            raise ValueError(f"encoder_lr means nothing here: a generator has no encoder, got {self.encoder_lr:g}")
        return self


def prepare(
    network: SpadeGenerator,
    config: ResynthesisConfig,
    pools: Sequence[TrainingPool],
    *,
    vgg: VGGFeatures | None = None,
) -> Task:
    """Generator, discriminator, and VGG19, where it is given, which stays as it is."""
    network.train().requires_grad_(True)
    discriminator = MultiScaleDiscriminator(width=config.judge_width or network.width)
    if vgg is not None:
        vgg.eval().requires_grad_(False)

    def step(modules: Modules, batches: Sequence[Batch], progress: Progress) -> Iterator[Phase]:
        (batch,) = batches
        classes, photographs = batch.semantic, batch.images
        painted: Tensor = modules["network"](classes)
        with torch.no_grad():
            real = held(modules["discriminator"], classes, photographs)
        judged = held(modules["discriminator"], classes, painted)
        terms = {
            "gan": generator_loss(judged),
            "matching": config.lambda_fm * feature_matching(real, judged),
        }
        if vgg is not None:
            vgg.to(painted.device)
            with torch.no_grad():
                seen = vgg(photographs)
            terms["perceptual"] = config.lambda_p * perceptual_loss(seen, vgg(painted), VGG19_WEIGHTS)
        loss = torch.stack([*terms.values()]).sum()
        yield Phase("network", loss, {name: term.detach() for name, term in terms.items()})

        # Both in one call: a wrapped module may be called once a step.
        both = modules["discriminator"](torch.cat([classes, classes]), torch.cat([photographs, painted.detach()]))
        real, fake = ([[one.chunk(2)[part] for one in scale] for scale in both] for part in (0, 1))
        yield Phase("discriminator", discriminator_loss(real, fake), {})

    return Task(
        {"network": network, "discriminator": discriminator},
        {
            "network": _adam(network, config, 1.0),
            "discriminator": _adam(discriminator, config, config.discriminator_lr),
        },
        step,
    )


def _adam(module: nn.Module, config: ResynthesisConfig, factor: float) -> torch.optim.Adam:
    """Adam as published; weight decay, where asked for, is decoupled from the gradient."""
    learning = groups(module.parameters(), weight_decay=config.weight_decay, factor=factor)
    return torch.optim.AdamW(learning, lr=config.lr, betas=(0.0, 0.9))


def judge_generator(
    network: SpadeGenerator, config: TrainConfig, sets: Sequence[SampleSet], device: torch.device
) -> Figures:
    """Mean absolute difference of photographs and what is painted from their labels, on held-out shards.

    Args:
        network: is moved to the device and put in eval mode.
        config: of the method.
        sets: held-out shard sets with semantic maps, pooled.
        device: where the network runs.

    Returns:
        `difference`, a fraction of the range of a pixel; beside it (reason, detail) of what could not be read.
    """
    from shards.resize import resize_labels

    network = network.to(device).eval()
    size: Any = network.input_size
    total, count, unreadable = 0.0, 0, []
    samples = [(shards, index) for shards in sets for index in range(len(shards))]
    with torch.inference_mode():
        for shards, index in track(samples, "validating", total=len(samples), unit="samples"):
            try:
                sample = shards.coded(index).decode()
            except BadInput as bad:
                unreadable.append((bad.reason, bad.detail))
                continue
            classes = torch.from_numpy(resize_labels(sample.semantic, size))[None].to(device)
            photograph = torch.from_numpy(resize_seen(sample.image, size)).to(device).movedim(-1, 0).float() / 255
            total += float((network(classes)[0].float() - photograph).abs().mean())
            count += 1
    return ({"difference": total / count} if count else {}), unreadable


METHOD = Method(card=RESYNTHESIS, config=ResynthesisConfig, prepare=prepare, validate=judge_generator)
