"""Delta sets: of each sample only what it changes about its frame, and no pixel of the frame.

The frame is named by its id and known by a checksum (``frame`` in the sample's meta). Fitting an object's edge and
colours to the frame is left to whoever has the frame; laying gives the sample that a build over the frames gives.
"""

from __future__ import annotations

from shards.delta.laying import LaidSample, laid, preview
from shards.delta.opening import open_set
from shards.delta.storing import LAYOUT, Delta, decode_delta, decode_meta, encode_delta, size_of
from shards.delta.streaming import DeltaSet

__all__ = [
    "LAYOUT",
    "Delta",
    "DeltaSet",
    "LaidSample",
    "decode_delta",
    "decode_meta",
    "encode_delta",
    "laid",
    "open_set",
    "preview",
    "size_of",
]
