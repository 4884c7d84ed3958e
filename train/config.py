"""What every method's training has in common: length, optimiser, and how frames are cut and varied."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from shards.config import Config, Size

Strength = Annotated[float, Field(ge=0.0, lt=1.0)]


class TrainConfig(Config):
    """Fields of all methods; each method's own configuration adds to them and sets the defaults."""

    stride: ClassVar[int] = 8
    """Sides of `input_size` and `crop` are multiples of it; networks may want larger ones."""

    # Length
    steps: int | None = Field(None, ge=1)
    """Optimiser steps; without it `epochs` decides."""
    epochs: float = Field(20.0, gt=0)
    """Passes over the shards, where `steps` is not given."""
    batch: int = Field(8, ge=1)
    """Samples a step."""
    accumulate: int = Field(1, ge=1)
    """Parts of the batch that go through the network one after the other: less memory for the same batch. The
    gradient is the mean over the parts, each of which is normalised by its own pixels."""

    # Optimiser
    lr: float = Field(1e-5, gt=0)
    """Learning rate after the warm-up."""
    encoder_lr: float = Field(1.0, gt=0)
    """Factor on the learning rate of what lies outside of the decoder, where that learns at all; of a dissimilarity
    network: of the features that look at image and resynthesis."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled, on kernels only: biases and batch norm never decay, nor does a classifier with a void output."""
    poly_power: float = Field(0.9, ge=0)
    """The learning rate falls as (1 - x) ** poly_power, x the way from `hold` to the end; 0 keeps it constant."""
    hold: float = Field(0.0, ge=0, lt=1)
    """Share of the run in which the learning rate stays before it falls."""
    warmup: int = Field(0, ge=0)
    """Steps in which the learning rate rises linearly from zero."""
    clip: float | None = Field(None, gt=0)
    """Largest norm of the gradient; longer ones are shortened to it."""

    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the moving average of the weights, which is then what the run leaves behind. It is at most
    (1 + step) / (10 + step), so that a short run does not end with the weights it began with."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the network's forward pass; losses and the classifier are float32 always. `auto` is bfloat16 on CUDA."""

    # Data
    input_size: Size | None = None
    """(width, height) that frames are resized to before anything else; the network's own without it."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of a random factor on `input_size`, drawn evenly in its logarithm."""
    aspect: float = Field(0.0, ge=0, le=1)
    """Bound on the logarithm of a random factor on width / height."""
    crop: Size | None = None
    """(width, height) of a random crop after scaling; `input_size` without it. Smaller frames are padded."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of mirroring left and right."""
    brightness: Strength = 0.0
    """Factor on the pixel values, drawn from 1 - x .. 1 + x."""
    contrast: Strength = 0.0
    """Factor on the distance to the frame's mean grey, drawn from 1 - x .. 1 + x."""
    saturation: Strength = 0.0
    """Factor on the distance to grey, drawn from 1 - x .. 1 + x."""
    exponent: Strength = 0.0
    """Exponent of the pixel values in 0..1, drawn from 1 - x .. 1 + x."""
    tint: Strength = 0.0
    """Factor on each colour channel, drawn from 1 - x .. 1 + x."""
    degrade: float = Field(0.0, ge=0, le=1)
    """Probability of blur, JPEG compression or noise on the whole crop."""
    repeat: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """How often each shard set counts in an epoch, in the order in which they are given (of several
    streams: one stream after the other); once each without it."""

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        low, high = self.scale
        if not 0.05 <= low <= high <= 20:
            raise ValueError(f"scale must be a range low..high within 0.05..20, got {low}..{high}")
        for name in ("input_size", "crop"):
            size = getattr(self, name)
            if size is not None and any(side % self.stride for side in size):
                raise ValueError(f"{name} must be multiples of {self.stride}, got {size[0]}x{size[1]}")
        if self.batch % self.accumulate:
            raise ValueError(f"batch must be a multiple of accumulate, got {self.batch} and {self.accumulate}")
        return self
