"""A closed-set segmenter: cross entropy on the known classes, from scratch.

The network that anomaly methods start from. Nothing here knows of anomalies: their pixels, like all void, are left
out (law 6), unless `void_output` asks for the twentieth output that some published segmenters have.

    L = - 1/|I|  sum_{i in I}  w_{y_i} log softmax(z_i)_{y_i}  (weighted mean)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from shards.config import Size
from shards.errors import BadInput
from shards.labels import ANOMALY, IGNORE, NUM_CLASSES
from train.cards import SEGMENTER
from train.config import TrainConfig
from train.data import Batch, TrainingPool
from train.losses.known import known_cross_entropy
from train.methods.base import Method, Modules, Phase, Progress, Task, at_size
from train.networks.base import SegmentationNetwork
from train.optimizers import segmenter_optimizer
from train.validate import validate_segmenter


class SegmenterConfig(TrainConfig):
    """A recipe that gets far in few steps; longer training wants a lower `lr`.

    Measured with LiteFPN on the toy world (96 frames of 384x192): 600 steps take 134 s of one core and reach 0.575
    mIoU on its 24 validation frames.
    """

    epochs: float = Field(25.0, gt=0)
    """Passes over the shards, where `steps` is not given."""
    batch: int = Field(4, ge=1)
    """Samples a step."""
    lr: float = Field(4e-3, gt=0)
    """Learning rate after the warm-up."""
    warmup: int = Field(20, ge=0)
    """Steps in which the learning rate rises linearly from zero."""
    clip: float | None = Field(5.0, gt=0)
    """Largest norm of the gradient; longer ones are shortened to it."""
    scale: tuple[float, float] = (1.0, 1.5)
    """Range of a random factor on `input_size`, drawn evenly in its logarithm."""
    crop: Size | None = (256, 192)
    """(width, height) of a random crop after scaling; `input_size` without it. Smaller frames are padded."""
    class_weights: Literal["none", "sqrt"] = "sqrt"
    """`sqrt`: weight 1 / sqrt(share of pixels), clipped to 1/10 .. 10 and with mean 1 over pixels."""
    void_output: bool = False
    """Train output 19 on void pixels (anomalies and padding stay out). Against law 6, hence off; the `void` score
    needs it."""


def prepare(network: SegmentationNetwork, config: SegmenterConfig, pools: Sequence[TrainingPool]) -> Task:
    """Everything learns; batch norm and dropout are in training mode."""
    network.train().requires_grad_(True)
    weights = class_weights(class_counts(pools[0])) if config.class_weights == "sqrt" else None
    outputs = network.num_outputs if config.void_output else NUM_CLASSES
    if weights is not None and outputs > NUM_CLASSES:
        weights = torch.cat([weights, torch.ones(1)])
    if weights is not None:
        weights = weights.to(next(network.parameters()).device)

    def step(modules: Modules, batches: Sequence[Batch], progress: Progress) -> Iterator[Phase]:
        (batch,) = batches
        logits = modules["network"](batch.images)[:, :outputs]
        semantic = batch.semantic.masked_fill(batch.anomaly == ANOMALY, IGNORE)
        if outputs > NUM_CLASSES:
            void = (semantic == IGNORE) & (batch.anomaly != ANOMALY) & ~batch.padding
            semantic = semantic.masked_fill(void, NUM_CLASSES)
        labels = at_size(semantic, (logits.shape[2], logits.shape[3]))
        loss = known_cross_entropy(logits, labels, weights=weights)
        yield Phase("network", loss, {"known": loss.detach()})

    return Task({"network": network}, {"network": segmenter_optimizer(network, config)}, step)


def class_counts(pool: TrainingPool, limit: int = 200) -> Int[Tensor, " 19"]:
    """Pixels of each class in up to `limit` samples, spread evenly over the pool."""
    picked = sorted({round(i * (len(pool) - 1) / max(1, limit - 1)) for i in range(limit)})
    counts = torch.zeros(NUM_CLASSES, dtype=torch.int64)
    for index in picked:
        try:
            sample = pool.sample(index)
        except BadInput:
            continue  # the loop counts it when it meets it
        known = torch.from_numpy(sample.semantic[sample.anomaly == 0].astype("int64"))
        counts += torch.bincount(known, minlength=IGNORE + 1)[:NUM_CLASSES]
    return counts


def class_weights(counts: Int[Tensor, " 19"]) -> Float[Tensor, " 19"]:
    """1 / sqrt(share), with mean 1 over the pixels; classes without pixels get the largest weight allowed, 10."""
    share = counts.float() / counts.sum().clamp(min=1)
    raw = share.clamp(min=1e-6).rsqrt()
    return (raw / (share * raw).sum().clamp(min=1e-6)).clamp(0.1, 10.0)


METHOD = Method(card=SEGMENTER, config=SegmenterConfig, prepare=prepare, validate=validate_segmenter)
