"""Where objects lie in the frame, as a small picture for the dataset card."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw, ImageFont

_RAMP: Final = ((13, 12, 36), (76, 22, 108), (163, 44, 96), (229, 92, 48), (252, 181, 25), (252, 255, 200))
_CELL: Final = 16
_LEGEND: Final = 26


def heat_map(share: Float64[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the shares of samples in which an object covers each place, dark to bright, with a legend below.

    Args:
        share: 0..1; the brightest colour stands for the greatest share.

    Returns:
        (H, W, 3) uint8 RGB, 16 pixels a place. Equal shares give equal pixels for equal versions of Pillow.
    """
    greatest = float(share.max())
    cells = _colored(share / greatest if greatest else share)
    picture = Image.fromarray(np.kron(cells, np.ones((_CELL, _CELL, 1), np.uint8)))
    width, height = picture.size
    sheet = Image.new("RGB", (width, height + _LEGEND), (255, 255, 255))
    sheet.paste(picture, (0, 0))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    bar = _colored(np.linspace(0, 1, 160)[None])
    sheet.paste(Image.fromarray(np.repeat(bar, 12, axis=0)), (32, height + 7))
    draw.text((6, height + 6), "0 %", (40, 40, 40), font)
    draw.text((198, height + 6), f"{100 * greatest:.1f} % of the samples", (40, 40, 40), font)
    return np.asarray(sheet)


def _colored(values: Float64[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Colours of values 0..1 along the ramp."""
    stops = np.linspace(0, 1, len(_RAMP))
    channels = [np.interp(values, stops, [color[channel] for color in _RAMP]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
