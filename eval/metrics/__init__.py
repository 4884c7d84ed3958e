"""Metrics; import them with the from-form, `eval` alone is also the name of a builtin."""

from __future__ import annotations

from eval.metrics.pixel import Curve, PixelMetrics, PixelResult
from eval.metrics.segmentation import SegmentationMetrics, SegmentationResult

__all__ = ["Curve", "PixelMetrics", "PixelResult", "SegmentationMetrics", "SegmentationResult"]
