"""Metrics; import them with the from-form, `eval` alone is also the name of a builtin."""

from __future__ import annotations

from eval.metrics.binned import BinnedMetrics, BinnedResult
from eval.metrics.component import SIZES, ComponentMetrics, ComponentResult, Sizes
from eval.metrics.pixel import Curve, PixelMetrics, PixelResult
from eval.metrics.segmentation import SegmentationMetrics, SegmentationResult

__all__ = [
    "SIZES",
    "BinnedMetrics",
    "BinnedResult",
    "ComponentMetrics",
    "ComponentResult",
    "Curve",
    "PixelMetrics",
    "PixelResult",
    "SegmentationMetrics",
    "SegmentationResult",
    "Sizes",
]
