"""The whole way on real frames: a plain ERFNet reaches the recorded figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.benchmarks import find_sets
from eval.run import evaluate

SETS = (
    "dataset_AnomalyTrack",
    "RoadAnomaly_jpg",
    "dataset_ObstacleTrack",
    "fishyscapes_static",
    "fishyscapes_lostandfound",
)


@pytest.mark.real
@pytest.mark.parametrize("name", SETS)
def test_erfnet_reaches_the_golden_figures(shared: Path, name: str) -> None:
    from eval.scores import SCORES
    from train.predictor import predictor_from

    weights = shared / "weights" / "erfnet_cityscapes_20c.pth"
    predictor = predictor_from(segmenter="erfnet", weights=weights, device="cpu")
    sets = find_sets("all", shared / "data" / "benchmarks" / name)
    found = evaluate(sets, predictor, tuple(SCORES)).as_json()["sets"][name]
    golden = json.loads((shared / "golden" / "erfnet.json").read_text())[name]
    assert set(found["scores"]) == set(golden)
    for score, expected in golden.items():
        assert (found["pixels"]["anomaly"], found["pixels"]["known"]) == (expected["pos"], expected["neg"])
        figures = found["scores"][score]["metrics"]
        metrics = {metric.lower(): 100 * figures[metric] for metric in ("AP", "AUROC", "FPR95")}
        # The golden file has three decimals; two thousandths leave room for another processor's rounding.
        assert metrics == pytest.approx({key: expected[key] for key in ("ap", "auroc", "fpr95")}, abs=2e-3), score
