"""PNG's row filters (PNG specification, section 9): rows of pixels to rows of differences, and back.

With a the byte to the left (one pixel), b the one above and c the one above a:

    0 None  x        1 Sub  x - a        2 Up  x - b        3 Average  x - floor((a + b) / 2)
    4 Paeth x - p,   p the one of a, b, c (in this order of preference) that is nearest to a + b - c

The compiler makes vector code only of loops whose indices start at zero: hence the shifted views of a row.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from shards.compiled import compiled


@compiled
@no_type_check
def filtered(rows, step, strip):
    """Rows of pixels to filtered rows, each behind its filter byte.

    The first row of each strip is coded without a look above: Sub for colours, None for maps. The others are Paeth
    for colours, which suits photographs, and Up for maps, of which mostly zeros remain.

    Args:
        rows: (H, W * step) uint8.
        step: bytes a pixel: 3 for colours, 1 for maps.
        strip: rows a strip.

    Returns:
        (H, 1 + W * step) uint8.
    """
    height, width = rows.shape
    out = np.empty((height, width + 1), np.uint8)
    for y in range(height):
        row, coded = rows[y], out[y, 1:]
        if y % strip == 0:
            out[y, 0] = 1 if step == 3 else 0
            if step == 3:
                coded[:step] = row[:step]
                left, here, target = row[: width - step], row[step:], coded[step:]
                for x in range(width - step):
                    target[x] = here[x] - left[x]
            else:
                coded[:] = row
            continue
        above = rows[y - 1]
        if step == 1:
            out[y, 0] = 2
            for x in range(width):
                coded[x] = row[x] - above[x]
            continue
        out[y, 0] = 4
        coded[:step] = row[:step] - above[:step]  # with a = c = 0 the prediction is b
        left, here, target = row[: width - step], row[step:], coded[step:]
        up, corner = above[step:], above[: width - step]
        for x in range(width - step):
            a, b, c = np.int16(left[x]), np.int16(up[x]), np.int16(corner[x])
            far_a = np.int16(b - c)
            far_b = np.int16(a - c)
            far_c = np.int16(abs(np.int16(far_a + far_b)))
            far_a, far_b = np.int16(abs(far_a)), np.int16(abs(far_b))
            best = b if far_b < far_a else a
            far = far_b if far_b < far_a else far_a
            best = c if far_c < far else best
            target[x] = np.uint8(here[x] - np.uint8(best))
    return out


@compiled
@no_type_check
def _paeth(a, b, c):
    """The Paeth prediction without absolute values, whose chain of dependent steps would be half as long again.

    With low and high the smaller and greater one of a and b, and t = 3c - a - b: c is nearest unless t >= high (then
    low is) or t <= low (then high is).
    """
    t = 3 * c - (a + b)
    low, high = min(a, b), max(a, b)
    inner = low if high <= t else c
    return high if t <= low else inner


@compiled
@no_type_check
def unfiltered(coded, step, out):
    """Filtered rows back to pixels; the first row sees zeros above it.

    Args:
        coded: (H, 1 + W * step) uint8, each row behind its filter byte.
        step: bytes a pixel, 3 or 1.
        out: (H, V * step) uint8 with V <= W, filled: only the first V columns are wanted.

    Returns:
        Whether every row named one of the five filters.
    """
    height, width = out.shape
    none = np.zeros(width, np.uint8)
    for y in range(height):
        kind, source, row = coded[y, 0], coded[y, 1:], out[y]
        above = out[y - 1] if y > 0 else none
        if kind == 0:
            for x in range(width):
                row[x] = source[x]
        elif kind == 1:
            row[:step] = source[:step]
            for x in range(step, width):
                row[x] = source[x] + row[x - step]
        elif kind == 2:
            for x in range(width):
                row[x] = source[x] + above[x]
        elif kind == 3:
            for x in range(step):
                row[x] = source[x] + (above[x] >> 1)
            for x in range(step, width):
                row[x] = np.uint8(source[x] + ((np.int64(row[x - step]) + np.int64(above[x])) >> 1))
        elif kind == 4 and step == 3:
            a0, a1, a2, c0, c1, c2 = 0, 0, 0, 0, 0, 0
            for x in range(0, width, 3):  # three independent chains keep the processor busy
                b0, b1, b2 = np.int64(above[x]), np.int64(above[x + 1]), np.int64(above[x + 2])
                a0 = (np.int64(source[x]) + _paeth(a0, b0, c0)) & 255
                a1 = (np.int64(source[x + 1]) + _paeth(a1, b1, c1)) & 255
                a2 = (np.int64(source[x + 2]) + _paeth(a2, b2, c2)) & 255
                c0, c1, c2 = b0, b1, b2
                row[x], row[x + 1], row[x + 2] = a0, a1, a2
        elif kind == 4:
            a, c = 0, 0
            for x in range(width):
                b = np.int64(above[x])
                a = (np.int64(source[x]) + _paeth(a, b, c)) & 255
                c = b
                row[x] = a
        else:
            return False
    return True
