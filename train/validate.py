"""Figures on held-out shards: never on a benchmark (law 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from eval.metrics.pixel import PixelMetrics
from eval.metrics.segmentation import SegmentationMetrics
from shards.coded import SampleSet
from shards.errors import BadInput
from shards.labels import ANOMALY, IGNORE, KNOWN
from shards.progress import track
from train.config import TrainConfig
from train.networks.base import SegmentationNetwork
from train.predictor import NetworkPredictor


def validate_segmenter(
    network: SegmentationNetwork, config: TrainConfig, sets: Sequence[SampleSet], device: torch.device
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Mean IoU on the known pixels, and AP and FPR95 of the energy score where there are anomalies.

    Args:
        network: is moved to the device and put in eval mode; its own input size is used.
        config: of the method.
        sets: held-out shard sets, pooled.
        device: where the network runs.

    Returns:
        Fractions by name: `mIoU`, `energy_AP`, `energy_FPR95`; a figure that the labels do not allow is missing.
        Beside them (reason, detail) of the samples that could not be read.
    """
    predictor = NetworkPredictor(network, device=device)
    classes, pixels = SegmentationMetrics(), PixelMetrics()
    samples = [(shards, index) for shards in sets for index in range(len(shards))]
    unreadable: list[tuple[str, str]] = []
    labelled = anomalous = known = False
    for shards, index in track(samples, "validating", total=len(samples), unit="samples"):
        try:
            sample = shards.coded(index).decode()
        except BadInput as bad:
            unreadable.append((bad.reason, bad.detail))
            continue
        prediction = predictor.predict(sample.image, ["energy"], semantic=True)
        assert prediction.semantic is not None
        semantic = np.where(sample.anomaly == KNOWN, sample.semantic, IGNORE).astype(np.uint8)
        classes.add(prediction.semantic, semantic, sample.key)
        pixels.add(prediction.scores["energy"], sample.anomaly, sample.key)
        labelled |= bool((semantic != IGNORE).any())
        anomalous |= bool((sample.anomaly == ANOMALY).any())
        known |= bool((sample.anomaly == KNOWN).any())
    figures: dict[str, float] = {}
    if labelled:
        figures["mIoU"] = float(classes.result().miou)
    if anomalous and known:
        judged = pixels.result()
        figures |= {"energy_AP": float(judged.ap), "energy_FPR95": float(judged.fpr)}
    return figures, unreadable
