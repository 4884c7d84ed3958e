"""A dissimilarity network as `eval` sees it: chain, network, score maps at the size of the image.

anomaly    p, the softmax of the network's second output, upsampled bilinearly
ensemble   3/4 p + 1/4 H with the segmenter's entropy map H (Di Biase et al., CVPR 2021); the weights were found by a
grid search on test data, so figures of this score are optimistic there
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn import functional

from eval.metrics.pixel import PixelMetrics
from eval.predictor import Prediction
from shards.coded import SampleSet
from shards.errors import BadInput
from shards.labels import ANOMALY, KNOWN
from shards.progress import track
from shards.resize import resize_labels
from shards.sample import EXTRAS
from train.chain import Chain
from train.config import TrainConfig
from train.devices import memory_advice
from train.networks.dissimilarity import DissimilarityNetwork, network_inputs

SCORES: Final = ("anomaly", "ensemble")
TUNED: Final = 0.75
"""Weight of the network in `ensemble`; tuned on test data by its authors."""
TOLD: Final = "its weights were found by a grid search on test data, so its figures are optimistic"
"""Below every figure of `ensemble`."""


class ComparingPredictor:
    """Implements `eval.predictor.Predictor`.

    Args:
        network: is moved to the chain's device and put in eval mode.
        chain: makes its inputs.
        describe: what results.json shall say of it.
    """

    def __init__(self, network: DissimilarityNetwork, chain: Chain, *, describe: Mapping[str, Any]) -> None:
        self._network, self._chain = network.to(chain.device).eval(), chain
        self._describe = {
            **describe,
            "input_size": list(chain.size),
            "precision": "float32",
            "chain": chain.describe,
            "tuned": {"ensemble": TOLD},
        }

    @property
    def describe(self) -> Mapping[str, Any]:
        """Network, run, and the chain before it."""
        return self._describe

    @property
    def score_names(self) -> tuple[str, ...]:
        """The network's own score, and its published mixture with the entropy."""
        return SCORES

    @memory_advice("use --device cpu where the GPU is full")
    @torch.inference_mode()
    def predict(
        self, image: UInt8[np.ndarray, "h w 3"], scores: Sequence[str], *, semantic: bool = False
    ) -> Prediction:
        """Predict one RGB image (H, W, 3) uint8; the prediction holds exactly what is asked for.

        Raises:
            UserError: memory is exhausted.
        """
        seen = self._chain.look(image)
        anomaly = anomaly_map(self._network, seen, self._chain.device)
        maps = {"anomaly": anomaly}
        if "ensemble" in scores:
            maps["ensemble"] = ensemble(anomaly, torch.from_numpy(seen["entropy"]).to(anomaly) / 255)
        height, width = image.shape[:2]
        return Prediction(
            scores={name: _at(maps[name], (height, width)) for name in scores},
            semantic=resize_labels(seen["predicted"], (width, height)) if semantic else None,
        )


def anomaly_map(
    network: DissimilarityNetwork, seen: Mapping[str, np.ndarray], device: torch.device
) -> Float32[Tensor, "h w"]:
    """P of one sample, (h, w) in 0..1, in float32: figures do not depend on the device but for rounding.

    Args:
        network: in eval mode, on the device.
        seen: ``image`` and the maps of a chain, uint8.
        device: where the network is.
    """
    tensors = {name: torch.from_numpy(np.ascontiguousarray(one))[None].to(device) for name, one in seen.items()}
    logits: Tensor = network(*network_inputs(tensors["image"], tensors)).logits
    return logits.float().softmax(1)[0, 1]


def ensemble(anomaly: Float32[Tensor, "h w"], entropy: Float32[Tensor, "h w"]) -> Float32[Tensor, "h w"]:
    """The published mixture of p and the entropy map, both in 0..1."""
    return TUNED * anomaly + (1 - TUNED) * entropy


def judge_dissimilarity(
    network: DissimilarityNetwork, config: TrainConfig, sets: Sequence[SampleSet], device: torch.device
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """AP and FPR95 of `anomaly` on held-out enriched shards, at their size.

    Args:
        network: is moved to the device and put in eval mode.
        config: of the method.
        sets: enriched shard sets, pooled.
        device: where the network runs.

    Returns:
        Fractions by name: `anomaly_AP`, `anomaly_FPR95`; none where the labels hold no anomaly or nothing else.
        Beside them (reason, detail) of the samples that could not be read.
    """
    network = network.to(device).eval()
    pixels, unreadable, labels = PixelMetrics(), [], set()
    samples = [(shards, index) for shards in sets for index in range(len(shards))]
    with torch.inference_mode():
        for shards, index in track(samples, "validating", total=len(samples), unit="samples"):
            try:
                sample = shards.coded(index).decode()
                missing = set(EXTRAS) - sample.extras.keys()
                if missing:
                    raise BadInput("missing-member", f"{sample.key} has no {min(missing)}")
            except BadInput as bad:
                unreadable.append((bad.reason, bad.detail))
                continue
            score = anomaly_map(network, {"image": sample.image, **sample.extras}, device).cpu().numpy()
            pixels.add(score, sample.anomaly, sample.key)
            labels |= set(np.unique(sample.anomaly).tolist())
    if not {KNOWN, ANOMALY} <= labels:
        return {}, unreadable
    judged = pixels.result()
    return {"anomaly_AP": float(judged.ap), "anomaly_FPR95": float(judged.fpr)}, unreadable


def _at(score: Float32[Tensor, "h w"], size: tuple[int, int]) -> Float32[np.ndarray, "H W"]:
    upsampled = functional.interpolate(score[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return np.ascontiguousarray(upsampled.cpu().numpy())
