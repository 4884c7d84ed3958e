"""Top-K one-vs-rest fine-tuning.

Zhang, Sakmann, Beluch, Hutmacher, Li: Anomaly-Aware Semantic Segmentation via Style-Aligned OoD Augmentation, ICCV
Workshops 2023.

    L = L_id + gamma L_ood,     L_ood = 1 / (K |O|) sum_{i in O} sum_{k in topK(i)} softplus(s z_ik)

L_id is the segmenter's own cross entropy on the known pixels, O the pasted anomaly pixels, z the logits before any
final upsampling, so labels are resized to them (nearest). Only the known classes' logits take part: a void output is
left alone. Inference is that of the segmenter; the score is its energy, max-logit or max-min logit.

What the paper leaves open is a field of the configuration: which weights are "the classification head" (`trainable`),
and whether batch norm moves meanwhile (`batch_norm`; the project freezes whatever does not learn in eval mode).
`keep` is ours: distillation of the start network's answer, 0 in the paper. `average` is that of Wortsman et al.:
Robust fine-tuning of zero-shot models, CVPR 2022; 1 in the paper.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from shards.labels import ANOMALY, IGNORE, KNOWN, NUM_CLASSES
from train.cards import OVR
from train.config import TrainConfig
from train.data import Batch, TrainingPool
from train.losses.known import known_cross_entropy
from train.losses.ovr import top_k_ovr
from train.methods.base import Method, Modules, Phase, Progress, Task, at_size, known_labels, let_learn
from train.networks.base import Part, SegmentationNetwork
from train.optimizers import segmenter_optimizer
from train.ranks import total
from train.validate import validate_segmenter

KeepKind = Literal["kl", "logits", "energy"]


class OvrConfig(TrainConfig):
    """The defaults are the paper's (WideResNet38); 0.01 is its gamma for ResNet101."""

    trainable: Part = "head"
    """Which weights learn: the classification head, and "everything else frozen", is the paper's setting."""
    gamma: float = Field(0.05, ge=0)
    """Weight of the anomaly term."""
    k: int = Field(5, ge=1, le=NUM_CLASSES)
    """How many of the largest logits of an anomaly pixel are pushed down."""
    s: float = Field(2.0, gt=0)
    """Slope of the sigmoid."""
    known: float = Field(1.0, ge=0)
    """Weight of the cross entropy on known pixels."""
    batch_norm: Literal["frozen", "learn"] = "frozen"
    """Whether the batch norm statistics of what learns stay or follow the batches."""
    dropout: bool = False
    """Whether what learns drops features meanwhile."""
    keep: float = Field(0.0, ge=0)
    """Weight of the distance to the start network."""
    keep_kind: KeepKind = "logits"
    """That distance: mean squared difference of the logits or of the energy, or KL divergence of the softmax. Cross
    entropy and KL do not see a shift that all logits share, and the energy is that shift: without an anchor the OvR
    term lowers the logits of known objects along with those of anomalies. `logits` anchors class and energy."""
    keep_on: Literal["known", "labelled"] = "known"
    """Pixels that `keep` looks at: the known ones, or the pasted anomalies too. Only `kl` can be asked of anomalies
    without contradicting the OvR term: it then asks for lowering their logits together, not for re-sorting them."""
    keep_balance: float = Field(0.0, ge=0, le=1)
    """How much `keep` looks after rare classes: a pixel counts n ** -b, n the pixels that the start network gives its
    class in the batch. 0: all pixels count alike, so road and buildings decide; 1: all classes do. mIoU is a mean
    over classes, and what few frames hold little of (rider, wall, bicycle) is what it loses first."""
    average: float = Field(1.0, gt=0, le=1)
    """Weight of the tuned network when its weights are averaged with the start network's at the end (WiSE-FT,
    Wortsman et al., CVPR 2022): theta = (1 - a) theta_start + a theta_tuned; 1 keeps the tuned weights."""


def prepare(network: SegmentationNetwork, config: OvrConfig, pools: Sequence[TrainingPool]) -> Task:
    """Freeze all but the trainable part, and keep a copy of the start network where `keep` needs one."""
    start = copy.deepcopy(network).eval().requires_grad_(False) if config.keep else None
    let_learn(network, config.trainable, batch_norm=config.batch_norm, dropout=config.dropout)

    def step(modules: Modules, batches: Sequence[Batch], progress: Progress) -> Iterator[Phase]:
        (batch,) = batches
        images = batch.images
        logits = modules["network"](images)[:, :NUM_CLASSES]
        size = (logits.shape[2], logits.shape[3])
        anomaly = at_size(batch.anomaly, size)
        known = known_cross_entropy(logits, known_labels(batch, size))
        outlier = top_k_ovr(logits, anomaly == ANOMALY, k=config.k, s=config.s)
        loss = config.known * known + config.gamma * outlier
        report = {"known": known.detach(), "outlier": outlier.detach()}
        if start is not None:
            with torch.no_grad():
                before = start.to(images.device)(images)[:, :NUM_CLASSES]
            pixels = anomaly == KNOWN if config.keep_on == "known" else anomaly != IGNORE
            kept = distance(logits, before, pixels, config.keep_kind, balance=config.keep_balance)
            loss = loss + config.keep * kept
            report["keep"] = kept.detach()
        yield Phase("network", loss, report)

    return Task({"network": network}, {"network": segmenter_optimizer(network, config)}, step)


def distance(
    logits: Float[Tensor, "n c h w"],
    before: Float[Tensor, "n c h w"],
    pixels: Bool[Tensor, "n h w"],
    kind: KeepKind,
    *,
    balance: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean distance of two networks' answers over some pixels, in float32; zero where there are none.

    Under several processes the local sum by the joint sum of the weights (`train/ranks.py`).

    Args:
        logits: of the network that learns.
        before: of the network at the start.
        pixels: those that count.
        kind: `kl`: KL(before || now) of the softmax; `logits`: mean squared difference; `energy`: squared
            difference of log sum exp.
        balance: b of the weights n ** -b, n the pixels of the class that `before` gives a pixel; 0 is the plain mean.
    """
    now, then = (z.movedim(1, -1)[pixels].float() for z in (logits, before))
    if kind == "kl":
        given = functional.kl_div(now.log_softmax(1), then.log_softmax(1), reduction="none", log_target=True).sum(1)
    elif kind == "logits":
        given = (now - then).square().mean(1)
    else:
        given = (now.logsumexp(1) - then.logsumexp(1)).square()
    classes = then.argmax(1)
    pixels_of = total(torch.bincount(classes, minlength=logits.shape[1]))
    weights = pixels_of.clamp(min=1).to(given.dtype).pow(-balance)[classes]
    return (weights * given).sum() / total(weights.sum()).clamp(min=1e-12)


def finish(network: SegmentationNetwork, start: Mapping[str, Tensor], config: OvrConfig) -> None:
    """Average the weights, batch norm statistics included, with those of the start network (`average`)."""
    for name, tuned in network.state_dict().items():
        if tuned.is_floating_point():  # batch norm's counters are not
            tuned.copy_(torch.lerp(start[name], tuned, config.average))


METHOD = Method(card=OVR, config=OvrConfig, prepare=prepare, validate=validate_segmenter, finish=finish)
