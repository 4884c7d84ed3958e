"""Imported for its effect: the decoders are loaded and have run once.

The first call of a compiled loop takes a second. The server from which workers are forked imports this module, so
that they begin with everything in place.
"""

from __future__ import annotations

import numpy as np

import shards.batch  # noqa: F401 (torch and what else workers need)
from shards.codec import decode_image, encode_png

for _pixels in (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8)):
    decode_image(encode_png(_pixels))
