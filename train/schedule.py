"""The learning rate as a pure function of the step."""

from __future__ import annotations

from train.config import TrainConfig


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Linear warm-up to `lr`, times (1 - x) ** poly_power with x the way from `hold` to the end of the run.

    Args:
        step: which step is about to be taken, from 0.
        steps: length of the run.
        config: lr, warmup, hold, poly_power.
    """
    rise = min(1.0, (step + 1) / (config.warmup + 1))
    fall = min(1.0, (1 - step / steps) / (1 - config.hold)) ** config.poly_power
    return float(config.lr * rise * fall)
