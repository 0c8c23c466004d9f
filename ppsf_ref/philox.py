"""Philox4x32-7, the counter-based generator of Salmon, Moraes, Dror and Shaw (SC 2011)."""

from __future__ import annotations

import numpy as np

from ppsf_ref.formats import Array

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 7
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def block(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Four 32-bit words per counter (uint64 arrays whose values are below 2**32)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        a, b = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (b >> HALF) ^ c1 ^ np.uint64(k0), b & LOW, (a >> HALF) ^ c3 ^ np.uint64(k1), a & LOW
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words(key: tuple[int, int], parameter: int, count: int) -> Array:
    """One 32-bit word (uint32) per element of a parameter: element e is word e % 4 of counter e // 4."""
    index = np.arange((count + 3) // 4, dtype=np.uint64)
    zero = np.zeros_like(index)
    counter = (index & LOW, index >> HALF, zero + np.uint64(parameter), zero)
    drawn = block(counter, (key[0] & 0xFFFFFFFF, key[1] & 0xFFFFFFFF))
    return np.stack(drawn, axis=-1).reshape(-1)[:count].astype(np.uint32)
