"""Toy benchmarks on disk and a toy predictor."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.predictor import Prediction

Draw = Callable[..., None]


class ToyPredictor:
    """Calls bright pixels anomalous; `dark` says the opposite."""

    describe: Mapping[str, Any] = {"network": "toy"}
    score_names: tuple[str, ...] = ("bright", "dark")

    def predict(self, image: np.ndarray, scores: Sequence[str], *, semantic: bool = False) -> Prediction:
        bright = image.mean(2).astype(np.float32)
        maps = {"bright": bright, "dark": -bright}
        return Prediction(
            {name: maps[name] for name in scores}, np.zeros(image.shape[:2], np.uint8) if semantic else None
        )


@pytest.fixture
def predictor() -> ToyPredictor:
    return ToyPredictor()


def draw(image: Path, label: Path, index: int = 0, *, anomaly: int = 1, void: bool = True) -> None:
    """One 32x24 frame with a bright square on a grey road; the square is the anomaly, the frame's top is void."""
    rng = np.random.default_rng(index)
    rgb = rng.integers(60, 120, (24, 32, 3)).astype(np.uint8)
    mask = np.zeros((24, 32), np.uint8)
    y, x = 8 + index % 8, 4 + index % 16
    rgb[y : y + 6, x : x + 6] += 100
    mask[y : y + 6, x : x + 6] = anomaly
    if void:
        mask[:4] = 255
    image.parent.mkdir(parents=True, exist_ok=True)
    label.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(image, **({"lossless": True} if image.suffix == ".webp" else {}))
    Image.fromarray(mask).save(label)


@pytest.fixture
def frame() -> Draw:
    return draw


@pytest.fixture
def worlds(tmp_path: Path) -> Path:
    """A parent of all five sets, in the layouts of the real ones."""
    root = tmp_path / "benchmarks"
    for index in range(3):
        track = root / "dataset_AnomalyTrack"
        key = f"validation{index:04d}"
        draw(track / "images" / f"{key}.jpg", track / "labels_masks" / f"{key}_labels_semantic.png", index)
        track = root / "dataset_ObstacleTrack"
        key = f"validation_{19 + index}"
        draw(track / "images" / f"{key}.webp", track / "labels_masks" / f"{key}_labels_semantic.png", index)
        frames = root / "RoadAnomaly_jpg" / "frames"
        label = frames / f"frame{index}.labels" / "labels_semantic.png"
        draw(frames / f"frame{index}.jpg", label, index, anomaly=2, void=False)
        for name, suffix in (("fishyscapes_lostandfound", "png"), ("fishyscapes_static", "jpg")):
            key = f"{index:04d}"
            draw(root / name / "images" / f"{key}.{suffix}", root / name / "labels_masks" / f"{key}.png", index)
    return root


@pytest.fixture
def sorts_as_recorded() -> None:
    """Skips where NumPy sorts equals otherwise than the machine that the golden areas come from."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    # Half precision has instructions of its own from AVX512_SPR on, and another order of equals.
    if "AVX512_ICL" not in found or "AVX512_SPR" in found:
        pytest.skip("AP_binned depends on how NumPy sorts equals; the recorded values come from AVX-512 without FP16")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def load() -> Callable[[Path], Any]:
    return read_json
