"""Scores as unsigned integers of the same order, and frames taken apart into the keys of known and anomaly pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, no_type_check

import numpy as np
from jaxtyping import Float16, Float32, Float64, UInt8, UInt32

from shards.compiled import compiled
from shards.errors import UserError
from shards.labels import ANOMALY, IGNORE, KNOWN

_SIGN: Final = np.uint32(0x80000000)
_EXPONENT: Final = np.uint32(0x7F800000)
_WHOLE: Final = np.uint32(0xFFFFFFFF)
_ZERO: Final = np.uint32(0)
_KNOWN, _ANOMALY, _IGNORE = np.uint8(KNOWN), np.uint8(ANOMALY), np.uint8(IGNORE)


def ordered(scores: Float32[np.ndarray, "*_"]) -> UInt32[np.ndarray, "*_"]:
    """Unsigned integers in the order of finite scores; -0.0 joins 0.0."""
    bits = (scores + np.float32(0)).view(np.uint32)
    # Negative floats grow in magnitude with their bits: flip all of them; of the others only the sign.
    return bits ^ ((bits.view(np.int32) >> 31).view(np.uint32) | _SIGN)


def scores_of(keys: UInt32[np.ndarray, "*_"]) -> Float32[np.ndarray, "*_"]:
    """The way back from `ordered`."""
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).astype(np.uint32).view(np.float32)


def as_judged(
    score: Float16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"],
) -> Float16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"]:
    """A score map as every figure takes it: float64 is rounded to float32, the others are judged as they are.

    Thresholds are read from the rounded scores, so a map that is cut at one must be rounded as well.
    """
    with np.errstate(over="ignore"):  # beyond float32 lies infinity, which whoever judges refuses
        return score.astype(np.float32) if score.dtype == np.float64 else score


@dataclass(frozen=True, slots=True)
class FrameKeys:
    """The valid pixels of one frame, in any order."""

    known: UInt32[np.ndarray, " n"]
    anomaly: UInt32[np.ndarray, " p"]


def frame_keys(
    score: Float16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"] | Float64[np.ndarray, "h w"],
    label: UInt8[np.ndarray, "rows columns"],
    frame: str = "frame",
) -> FrameKeys:
    """Take a frame apart.

    Args:
        score: (H, W), finite, larger = more anomalous. float16 is judged as it is, float64 rounded to float32.
        label: (H, W) uint8: 0 known, 1 anomaly, 255 ignore.
        frame: its name, for the error.

    Raises:
        UserError: the sizes differ; the score holds NaN or infinity; the label holds another value.
    """
    if score.shape != label.shape:
        raise UserError(f"The score map of {frame} has the shape {score.shape}, its label {label.shape}.")
    with np.errstate(over="ignore"):  # beyond float32 lies infinity, which is refused below
        scores = np.ascontiguousarray(score, np.float32).ravel()
    known, anomaly = np.empty(scores.size, np.uint32), np.empty(scores.size, np.uint32)
    n, p, broken, strange = split(scores.view(np.uint32), np.ascontiguousarray(label).ravel(), known, anomaly)
    if broken:
        raise UserError(
            f"The score map of {frame} holds {broken} values that are NaN or infinite; they must be finite."
        )
    if strange:
        found = sorted(set(np.unique(label).tolist()) - {KNOWN, ANOMALY, IGNORE})
        raise UserError(f"The label of {frame} holds the values {found}; expected 0, 1 and 255 only.")
    return FrameKeys(known[:n], anomaly[:p])


@compiled
@no_type_check
def split(bits, labels, known, anomaly):
    """Sort the pixels of a frame into known and anomaly keys, in one pass.

    Args:
        bits: (P,) uint32, the scores' bits.
        labels: (P,) uint8: 0 known, 1 anomaly, 255 ignore.
        known: (P,) uint32, filled from the front.
        anomaly: (P,) uint32, filled from the front.

    Returns:
        Known pixels, anomaly pixels, scores that are not finite, labels with another value.
    """
    n = p = broken = strange = 0
    for i in range(bits.size):
        b = bits[i]
        if b & _EXPONENT == _EXPONENT:
            broken += 1
            continue
        if b == _SIGN:
            b = _ZERO  # -0.0 is 0.0
        key = b ^ (_WHOLE if b & _SIGN else _SIGN)
        label = labels[i]
        if label == _KNOWN:
            known[n] = key
            n += 1
        elif label == _ANOMALY:
            anomaly[p] = key
            p += 1
        elif label != _IGNORE:
            strange += 1
    return n, p, broken, strange
