"""The scores of one frame in bins that follow their ranks, so that no scale and no offset of a score matters.

Figures of a set are made of how many pixels lie at or above a threshold. Going down from the highest score, a bin
takes further scores as long as its pixels of either kind are at most one in `FINE` of those of that kind above it; a
score by itself is a bin however many pixels have it. So at every threshold

    tp - tp / FINE <= tp of the bins <= tp,    fp - fp / FINE <= fp of the bins <= fp,

with equality among the first `FINE` pixels of a kind and wherever a bin ends. Sums over frames, each as often as it
is drawn, keep the bounds. Bins of equal width in the score, or in its logarithm, keep none: a score of 1000 + x, or a
probability that saturates, puts all that tells anomalies apart into a few of them.

The bins of N pixels number about FINE (1 + ln(N / FINE)) for either kind.
"""

from __future__ import annotations

from typing import Final, no_type_check

import numpy as np
from jaxtyping import Int64, UInt32

from eval.metrics.counts import group_sizes
from eval.metrics.keys import FrameKeys
from eval.metrics.order import in_order
from shards.compiled import compiled

FINE: Final = 1024
_SHIFT: Final = np.uint32(12)
"""Keys that share their bits above it are a group. Only groups that are too full for a bin are looked into."""


def rank_bins(
    keys: FrameKeys,
) -> tuple[UInt32[np.ndarray, " b"], Int64[np.ndarray, " b"], Int64[np.ndarray, " b"]]:
    """Count a frame's pixels in bins.

    Returns:
        Rising keys, where a pixel is in the last bin whose key it reaches; known pixels in each bin; anomaly pixels
        in each.
    """
    sizes = group_sizes(keys.known, _SHIFT), group_sizes(keys.anomaly, _SHIFT)
    full = full_groups(*sizes)
    bins, known, anomaly = fill_bins(
        *sizes, full, *(in_order(keys_in(side, full)) for side in (keys.known, keys.anomaly))
    )
    return bins, known, anomaly


@compiled
@no_type_check
def full_groups(known, anomaly):
    """Which groups hold more pixels than a bin at their rank may: (G,) bool.

    Args:
        known: (G,) int32, known pixels of each group, by rising keys.
        anomaly: (G,) int32, anomaly pixels.
    """
    full = np.zeros(known.size, np.bool_)
    fp = tp = 0
    for group in range(known.size - 1, -1, -1):
        full[group] = known[group] > fp // FINE or anomaly[group] > tp // FINE
        fp += known[group]
        tp += anomaly[group]
    return full


@compiled
@no_type_check
def keys_in(keys, chosen):
    """The keys, (N,) uint32, whose group is chosen, (G,) bool; in their order."""
    found = np.empty(keys.size, np.uint32)
    count = 0
    for key in keys:
        found[count] = key  # overwritten by the next one if it was not chosen
        count += chosen[key >> _SHIFT]
    return found[:count].copy()


@compiled
@no_type_check
def fill_bins(known_sizes, anomaly_sizes, full, known, anomaly):
    """Fill bins from the highest score down.

    Args:
        known_sizes: (G,) int32, known pixels of each group, by rising keys.
        anomaly_sizes: (G,) int32, anomaly pixels.
        full: (G,) bool, the groups that are taken key by key.
        known: (n,) uint32, rising, the known pixels' keys in those groups.
        anomaly: (p,) uint32, rising, the anomaly pixels' keys in them.

    Returns:
        (B,) uint32, (B,) int64, (B,) int64: the bins as `rank_bins` gives them.
    """
    most = known.size + anomaly.size
    for group in range(full.size):
        most += not full[group] and known_sizes[group] + anomaly_sizes[group] > 0
    bins, counts = np.empty(most, np.uint32), np.zeros((2, most), np.int64)
    fp = tp = 0  # above the open bin
    last = -1  # the open bin
    i, j = known.size - 1, anomaly.size - 1
    for group in range(full.size - 1, -1, -1):
        if known_sizes[group] + anomaly_sizes[group] == 0:
            continue
        looking = True
        while looking:
            key = np.uint32(group) << _SHIFT
            n, p = np.int64(known_sizes[group]), np.int64(anomaly_sizes[group])
            if full[group]:
                if i >= 0:
                    key = max(key, known[i])
                if j >= 0:
                    key = max(key, anomaly[j])
                n = p = np.int64(0)
                while i >= 0 and known[i] == key:
                    n += 1
                    i -= 1
                while j >= 0 and anomaly[j] == key:
                    p += 1
                    j -= 1
            looking = full[group] and (
                (i >= 0 and known[i] >> _SHIFT == group) or (j >= 0 and anomaly[j] >> _SHIFT == group)
            )
            if last < 0 or counts[0, last] + n > fp // FINE or counts[1, last] + p > tp // FINE:
                if last >= 0:
                    fp += counts[0, last]
                    tp += counts[1, last]
                last += 1
            bins[last] = key
            counts[0, last] += n
            counts[1, last] += p
    made = last + 1
    return bins[:made][::-1].copy(), counts[0, :made][::-1].copy(), counts[1, :made][::-1].copy()
