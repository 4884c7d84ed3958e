"""Multi-granularity cross-domain alignment.

Zhang, Wu, Cheng, He, Li: Improving Anomaly Segmentation with Multi-Granularity Cross-Domain Alignment, ACM Multimedia
2023. A dissimilarity network (`networks/dissimilarity.py`) learns from two domains at once, VoidClass and AnomalyMix,
and is kept from telling them apart:

    L = L_CE + lambda_f L_Df + lambda_o L_Do + lambda_c L_CAC                                              (4)

    L_CE   weighted cross entropy of known and anomaly                            losses/balanced.py
    L_Df   its deepest fused features, to be taken for the other domain           losses/domain.py, eq. 1 and 2
    L_Do   its anomaly map, likewise
    L_CAC  anomalies of all domains together, away from what is normal in theirs  losses/contrast.py, eq. 3

Two classifiers of the domain learn against it in turn, and a projector with it; all three serve the training only, so
inference costs what it cost before (`DissimilarityNetwork` alone is exported).

Every row of the paper's table 3 is a setting: `data`, `oda`, `fda`, `dls`, `contrastive`. What the paper leaves open
is a field: whose step equation 2 is and how the classifiers learn (`adversary`, `classifier_lr`), which map is F
(`feature_level`), whether the classifier of the output sees probabilities or logits (`output_map`), class weights,
temperature and positives of the contrast, the split of the anchors; whether void positions count in the domain
losses (`domain_void`; law 6 of this project says no). More than two domains work, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, UInt8
from pydantic import Field, model_validator
from torch import Tensor, nn

from shards.labels import ANOMALY, IGNORE
from train.cards import MGCDA
from train.comparing import judge_dissimilarity
from train.config import TrainConfig
from train.data import Batch, TrainingPool
from train.losses.balanced import ClassWeights, balanced_cross_entropy, class_weights
from train.losses.contrast import CrossPositives, Variant, contrastive_loss, is_aware, positives_of
from train.losses.domain import alignment_loss, classifier_loss, reverse_gradient, smoothed_label
from train.losses.sampling import Counts, draw_places, features_at
from train.methods.base import Method, Modules, Phase, Progress, Task, at_size
from train.networks.dissimilarity import DissimilarityNetwork, DissimilarityOutput, network_inputs
from train.networks.domain import FeatureDomainClassifier, OutputDomainClassifier, Projector
from train.optimizers import groups
from train.ranks import held

Data = Literal["multi-domain", "mix", "voidclass", "anomalymix"]
"""What a step sees: some of each domain, told apart; some of all, pooled; or one domain alone."""


class MgcdaConfig(TrainConfig):
    """The defaults are the paper's, or readings of it where it is silent (GUESS).

    `epochs` are those of the larger domain. `batch` is of each domain; with pooled data or a single domain its
    default is 8, so that steps stay equal. The paper has no weight decay.
    """

    epochs: float = Field(50.0, gt=0)
    """Passes over the shards, where `steps` is not given."""
    batch: int = Field(4, ge=1)
    """Samples a step."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate after the warm-up."""
    poly_power: float = Field(0.99, ge=0)
    """The learning rate falls as (1 - x) ** poly_power, x the way from `hold` to the end; 0 keeps it constant."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled, on kernels only: biases and batch norm never decay, nor does a classifier with a void output."""

    data: Data = "multi-domain"
    """Training data of table 3: `multi-domain` is what the alignment needs; the others are its baselines."""
    oda: bool = True
    """Whether the output is aligned."""
    fda: bool = True
    """Whether the features are aligned."""
    dls: bool = True
    """Whether the labels of the domains are smoothed as training goes on."""
    contrastive: Variant = "cacl"
    """none; pcl: random pixels within a domain; cpcl: across domains; cacl: across domains and anomaly-aware."""

    lambda_f: float = Field(0.04, ge=0)
    """Weight of the features' alignment."""
    lambda_o: float = Field(0.06, ge=0)
    """Weight of the output's alignment."""
    lambda_c: float = Field(0.1, ge=0)
    """Weight of the contrast."""
    tau: float = Field(1.0, ge=0, le=1)
    """tau_b of equation 1: label of a position's own domain at the beginning, and throughout without `dls`."""

    class_weights: ClassWeights = "shares"
    """Of known and anomaly pixels: a name, or two numbers. GUESS: SynBoost's weights came from the shares in its
    data; so do ours in this."""
    adversary: Literal["alternating", "reversal"] = "alternating"
    """GUESS: network and classifiers take turns; or both move at once with the gradient reversed between them."""
    classifier_lr: float = Field(1.0, gt=0)
    """GUESS: learning rate of the domain classifiers, as a factor on the network's."""
    feature_level: int = Field(3, ge=0, le=3)
    """GUESS: which fused map is F, 0 at full size to 3 at 1/8."""
    output_map: Literal["softmax", "logits"] = "softmax"
    """GUESS: what the classifier of the output sees, two channels of either."""
    domain_void: bool = False
    """GUESS: whether void positions count in the domain losses; the paper excludes none."""
    positives: CrossPositives = "union"
    """Positives of `cpcl` and `cacl`: of all domains, as in equation 3, or of the `other` ones, as in the text."""
    alpha: float = Field(0.1, gt=0)
    """GUESS: temperature of the contrast."""
    log: bool = True
    """Whether the contrast is -log of the ratio; equation 3 as printed has no logarithm."""
    normalise: bool = True
    """GUESS: whether projected features have unit length."""
    anchors: int = Field(50, ge=1)
    """N_a an image; twice as many positives and hard negatives, six times as many easy negatives."""
    hard_anchors: float = Field(0.5, ge=0, le=1)
    """GUESS: share of the anchors that are drawn from anomalies which the network misses."""

    @model_validator(mode="before")
    @classmethod
    def _without_domains(cls, values: Any) -> Any:
        """Pooled data and single domains have nothing to align: what was not asked for is off."""
        if isinstance(values, Mapping) and values.get("data", "multi-domain") != "multi-domain":
            off = {"oda": False, "fda": False, "dls": False, "contrastive": "none", "batch": 8}
            return {**off, **values}
        return values

    @model_validator(mode="after")
    def _needs_domains(self) -> MgcdaConfig:
        asked = [name for name in ("oda", "fda", "dls") if getattr(self, name)]
        asked += [f"contrastive={self.contrastive}"] * (self.contrastive != "none")
        if self.data != "multi-domain" and asked:
            raise ValueError(f"{asked[0]} needs data=multi-domain, which tells the domains apart, got {self.data}")
        return self

    @property
    def counts(self) -> Counts:
        """How many pixels of an image the contrast looks at."""
        return Counts(self.anchors, 2 * self.anchors, 2 * self.anchors, 6 * self.anchors, self.hard_anchors)


def prepare(network: DissimilarityNetwork, config: MgcdaConfig, pools: Sequence[TrainingPool]) -> Task:
    """The network, and what learns beside it: classifiers of the domain and a projector, where they are asked for."""
    network.train().requires_grad_(True)
    domains = len(pools)
    channels = 1 if domains == 2 else domains
    # Drawn in this order whether asked for or not, so that a switch changes what it names and no other weight.
    drawn: dict[str, nn.Module] = {
        "projector": Projector(network.decoded_channels, width=network.width),
        "output_classifier": OutputDomainClassifier(2, outputs=channels, width=network.width),
        "feature_classifier": FeatureDomainClassifier(network.fused_channels[config.feature_level], outputs=channels),
    }
    contrast = config.contrastive != "none"
    asked = {"projector": contrast, "output_classifier": config.oda, "feature_classifier": config.fda}
    modules: dict[str, nn.Module] = {"network": network, **{name: drawn[name] for name in drawn if asked[name]}}
    classifiers = [name for name in ("feature_classifier", "output_classifier") if asked[name]]

    seen = set(network.encoder.features.parameters())
    theirs = [group for name in classifiers for group in _groups(modules[name], config)]
    mine = [
        group
        for name in modules
        if name not in classifiers
        for parameters, factor in (
            ([one for one in modules[name].parameters() if one in seen], config.encoder_lr),
            ([one for one in modules[name].parameters() if one not in seen], 1.0),
        )
        for group in groups(parameters, weight_decay=config.weight_decay, factor=factor)
    ]
    together = config.adversary == "reversal"
    optimizers: dict[str, torch.optim.Optimizer] = {"network": _adam(mine + theirs * together, config)}
    if theirs and not together:
        optimizers["classifiers"] = _adam(theirs, config)
    weights = class_weights(config.class_weights, [pixels_of(pool) for pool in pools])

    def step(modules: Modules, batches: Sequence[Batch], progress: Progress) -> Iterator[Phase]:
        seen = joined(batches)
        domain = torch.cat([torch.full((len(b.keys),), d, device=seen.pixels.device) for d, b in enumerate(batches)])
        output: DissimilarityOutput = modules["network"](*network_inputs(seen.pixels, seen.extras))
        entropy = balanced_cross_entropy(output.logits, seen.anomaly, weights)
        loss, report = entropy, {"ce": entropy.detach()}

        # What the classifiers look at, and with which weight
        looks = {
            "feature_classifier": (output.fused[config.feature_level], config.lambda_f),
            "output_classifier": (output_map(output.logits, config.output_map), config.lambda_o),
        }
        tau = smoothed_label(progress.step, progress.steps, base=config.tau, domains=domains, dynamic=config.dls)

        def told_apart(maps: Float[Tensor, "n c h w"], measure: Callable[..., Tensor]) -> Float[Tensor, ""]:
            valid = None if config.domain_void else valid_at(seen.anomaly, (maps.shape[2], maps.shape[3]))
            return measure(maps, domain, tau, domains=domains, valid=valid)

        for name in classifiers:
            maps, weight = looks[name]
            if together:  # the classifier's own loss, which the network sees with its sign turned
                turned = modules[name](reverse_gradient(maps, weight))
                term = told_apart(turned, classifier_loss)
                loss = loss + term
            else:  # the classifier holds still while the network is to be taken for another domain
                term = told_apart(held(modules[name], maps), alignment_loss)
                loss = loss + weight * term
            report[name.removesuffix("_classifier")] = term.detach()

        if contrast:
            found = output.logits.argmax(1) == ANOMALY
            aware = is_aware(config.contrastive)
            draws = draw_places(seen.anomaly, found, seen.seeds, config.counts, aware=aware)
            pixels = features_at(output.decoded, draws.index).transpose(1, 2)[..., None]
            projected = modules["projector"](pixels)[..., 0].transpose(1, 2)
            term = contrastive_loss(
                projected,
                draws,
                domain,
                domains=domains,
                positives=positives_of(config.contrastive, config.positives),
                alpha=config.alpha,
                log=config.log,
                normalise=config.normalise,
            )
            loss = loss + config.lambda_c * term
            report["contrast"] = term.detach()
        yield Phase("network", loss, report)

        if classifiers and not together:  # their turn: true labels, and nothing reaches the network
            terms = {
                name: told_apart(modules[name](looks[name][0].detach()), classifier_loss) for name in classifiers
            }
            report = {name: term.detach() for name, term in terms.items()}
            yield Phase("classifiers", torch.stack([*terms.values()]).sum(), report)

    return Task(modules, optimizers, step)


def joined(batches: Sequence[Batch]) -> Batch:
    """The batches of all domains behind each other."""
    first = batches[0]
    if len(batches) == 1:
        return first
    return Batch(
        keys=tuple(key for batch in batches for key in batch.keys),
        pixels=torch.cat([batch.pixels for batch in batches]),
        anomaly=torch.cat([batch.anomaly for batch in batches]),
        semantic=torch.cat([batch.semantic for batch in batches]),
        padding=torch.cat([batch.padding for batch in batches]),
        seeds=torch.cat([batch.seeds for batch in batches]),
        extras={name: torch.cat([batch.extras[name] for batch in batches]) for name in first.extras},
    )


def output_map(logits: Float[Tensor, "n 2 h w"], kind: str) -> Float[Tensor, "n 2 h w"]:
    """What the classifier of the output sees."""
    return logits.softmax(1) if kind == "softmax" else logits


def valid_at(anomaly: UInt8[Tensor, "n h w"], size: tuple[int, int]) -> Bool[Tensor, "n a b"]:
    """Positions of a map that are not void."""
    return at_size(anomaly, size) != IGNORE


def pixels_of(pool: TrainingPool) -> tuple[int, int]:
    """(known, anomaly) pixels of a stream's shard sets, from their manifests."""
    manifests = pool.manifests
    return sum(m.pixels["known"] for m in manifests), sum(m.pixels["anomaly"] for m in manifests)


def _groups(classifier: nn.Module, config: MgcdaConfig) -> list[dict[str, Any]]:
    return groups(classifier.parameters(), weight_decay=config.weight_decay, factor=config.classifier_lr)


def _adam(parameters: list[dict[str, Any]], config: MgcdaConfig) -> torch.optim.Adam:
    """Adam as published; weight decay, where asked for, is decoupled from the gradient."""
    return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=0.0)


METHOD = Method(card=MGCDA, config=MgcdaConfig, prepare=prepare, validate=judge_dissimilarity)
