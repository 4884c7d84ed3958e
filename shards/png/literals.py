"""Deflate without back references: a Huffman code for single bytes, which is all that photographs need.

Differences of neighbouring pixels of a photograph hardly ever repeat in longer pieces. Looking for repetitions takes
most of a common encoder's time and, because lengths and distances need codes of their own, costs bytes: real frames
come out smaller this way than from level 6 of the usual library.

A piece is one block with a code of its own (RFC 1951, 3.2.7), then an empty stored block, which ends on a byte.
Pieces can be strung together; the last one is followed by an empty final block.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import UInt8

from shards.compiled import compiled

FINAL_BLOCK = b"\x03\x00"
"""An empty block that ends a deflate stream."""

_END = 256  # the symbol that ends a block
_LONGEST = 15  # bits of a code word
_LONGEST_META = 7  # bits of a word of the code in which the lengths are written


def deflate_literals(data: UInt8[np.ndarray, n]) -> bytes:
    """Code bytes as literals, ending on a byte border.

    Args:
        data: (N,) uint8, contiguous.

    Returns:
        Raw deflate blocks, none of them final.
    """
    # No word is longer than 15 bits; the block's head takes less than 300 bytes.
    out = np.empty((data.size * _LONGEST + 7) // 64 + 64, np.uint64)
    size = _literals(data, out)
    return out.view(np.uint8)[:size].tobytes()


@compiled
@no_type_check
def _counts(data):
    """How often each byte occurs, and the end of the block once; four tables, so that none waits for another."""
    tables = np.zeros((4, 257), np.int64)
    whole = data.size // 4 * 4
    for i in range(0, whole, 4):
        tables[0, data[i]] += 1
        tables[1, data[i + 1]] += 1
        tables[2, data[i + 2]] += 1
        tables[3, data[i + 3]] += 1
    for i in range(whole, data.size):
        tables[0, data[i]] += 1
    counts = tables[0] + tables[1] + tables[2] + tables[3]
    counts[256] = 1
    return counts


@compiled
@no_type_check
def _lengths(counts, longest):
    """Lengths of a Huffman code's words, none over `longest` bits; 0 for what does not occur.

    The two rarest are joined again and again; of equally rare ones the lower symbol and the older node come first, so
    that equal counts give equal codes everywhere. Words that come out too long are shortened, and others lengthened
    until the code is complete again.
    """
    lengths = np.zeros(counts.size, np.uint8)
    keys = np.sort(np.array([counts[s] * 512 + s for s in range(counts.size) if counts[s] > 0]))
    n = keys.size
    if n == 1:
        lengths[keys[0] % 512] = 1
        return lengths
    weight = np.zeros(2 * n - 1, np.int64)
    parent = np.zeros(2 * n - 1, np.int64)
    weight[:n] = keys // 512
    leaf, node = 0, n
    for new in range(n, 2 * n - 1):
        for _ in range(2):
            if leaf < n and (node >= new or weight[leaf] <= weight[node]):
                child = leaf
                leaf += 1
            else:
                child = node
                node += 1
            weight[new] += weight[child]
            parent[child] = new
    depth = np.zeros(2 * n - 1, np.int64)
    number = np.zeros(longest + 1, np.int64)  # of words by length
    for child in range(2 * n - 3, -1, -1):
        depth[child] = depth[parent[child]] + 1
        if child < n:
            number[min(depth[child], longest)] += 1
    used = 0  # of the code space, in units of the longest word
    for bits in range(1, longest + 1):
        used += number[bits] << (longest - bits)
    while used > 1 << longest:
        bits = longest - 1
        while number[bits] == 0:
            bits -= 1
        number[bits] -= 1
        number[bits + 1] += 2
        number[longest] -= 1
        used -= 1
    place = 0
    for bits in range(longest, 0, -1):  # the rarest have the longest words
        for _ in range(number[bits]):
            lengths[keys[place] % 512] = bits
            place += 1
    return lengths


@compiled
@no_type_check
def _words(lengths):
    """The canonical code of some lengths (RFC 1951, 3.2.2): bits in writing order << 8 | length."""
    number = np.zeros(17, np.int64)
    for length in lengths:
        number[length] += 1
    number[0] = 0
    following = np.zeros(17, np.int64)
    for bits in range(1, 17):
        following[bits] = (following[bits - 1] + number[bits - 1]) << 1
    words = np.zeros(lengths.size, np.uint64)
    for symbol in range(lengths.size):
        length = np.int64(lengths[symbol])
        word, turned = following[length], np.int64(0)
        following[length] += 1
        for _ in range(length):  # Huffman words are written from their most significant bit on
            turned = (turned << 1) | (word & 1)
            word >>= 1
        words[symbol] = np.uint64(turned << 8 | length)
    return words


@compiled
@no_type_check
def _put(out, at, bits, count):
    """Write `count` (at most 32) bits at bit `at`; returns the place behind them."""
    word, shift = at >> 6, np.uint64(at & 63)
    if shift == 0:
        out[word] = 0
    out[word] |= np.uint64(bits) << shift
    if (at & 63) + count > 64:
        out[word + 1] = np.uint64(bits) >> (np.uint64(64) - shift)
    return at + count


@compiled
@no_type_check
def _literals(data, out):
    """Fill `out` with the blocks of `deflate_literals`; returns their size in bytes."""
    lengths = _lengths(_counts(data), 15)
    # The lengths of 257 literals and of one distance, which never occurs: all alike in one list.
    listed = np.zeros(258, np.uint8)
    listed[:257] = lengths
    listed[257] = 1
    meta_counts = np.zeros(19, np.int64)
    for length in listed:
        meta_counts[length] += 1
    meta_lengths = _lengths(meta_counts, 7)
    order = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])
    at = _put(out, 0, 0b100, 3)  # not the final block; a code of its own
    at = _put(out, at, 0, 5 + 5)  # 257 literals, 1 distance
    at = _put(out, at, 19 - 4, 4)
    for symbol in order:
        at = _put(out, at, meta_lengths[symbol], 3)
    meta = _words(meta_lengths)
    for length in listed:
        at = _put(out, at, meta[length] >> np.uint64(8), np.int64(meta[length] & np.uint64(255)))
    words = _words(lengths)
    place = at >> 6
    filled = np.uint64(at & 63)
    pending = out[place] if filled > 0 else np.uint64(0)
    for i in range(data.size):
        word = words[data[i]]
        bits, length = word >> np.uint64(8), word & np.uint64(255)
        pending |= bits << filled
        filled += length
        if filled >= np.uint64(64):
            out[place] = pending
            place += 1
            filled -= np.uint64(64)
            pending = bits >> (length - filled)
    out[place] = pending
    at = (place << 6) + np.int64(filled)
    at = _put(out, at, words[256] >> np.uint64(8), np.int64(words[256] & np.uint64(255)))
    at = _put(out, at, 0, 3)  # an empty stored block
    at = _put(out, at, 0, -at & 7)
    at = _put(out, at, 0xFFFF0000, 32)
    return at >> 3
