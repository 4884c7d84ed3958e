"""The whole way on real frames: a plain ERFNet reaches the recorded figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.benchmarks import find_sets
from eval.run import evaluate


@pytest.mark.real
def test_erfnet_on_the_anomaly_track(shared: Path) -> None:
    from eval.scores import SCORES
    from train.predictor import predictor_from

    weights = shared / "weights" / "erfnet_cityscapes_20c.pth"
    predictor = predictor_from(segmenter="erfnet", weights=weights, device="cpu")
    sets = find_sets("smiyc", shared / "data" / "benchmarks" / "dataset_AnomalyTrack")
    found = evaluate(sets, predictor, tuple(SCORES)).as_json()["sets"]["dataset_AnomalyTrack"]
    golden = json.loads((shared / "golden" / "erfnet.json").read_text())["dataset_AnomalyTrack"]
    assert set(found["scores"]) == set(golden)
    for name, expected in golden.items():
        assert (found["pixels"]["anomaly"], found["pixels"]["known"]) == (expected["pos"], expected["neg"])
        figures = found["scores"][name]["metrics"]
        metrics = {metric.lower(): 100 * figures[metric] for metric in ("AP", "AUROC", "FPR95")}
        assert metrics == pytest.approx({key: expected[key] for key in ("ap", "auroc", "fpr95")}, abs=0.15), name
