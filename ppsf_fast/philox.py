"""Philox4x32-10, the counter-based random generator of Salmon et al. (2011), on int64 tensors.

A pure function of counter and key: it has no state, so it never touches torch's global generators, and any
element can be drawn on any device, in any order, on any replica. int64 holds an unsigned 32-bit word exactly;
the 64-bit product of two words wraps to the right bits, and the mask repairs the sign of the shift.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 10
_WORD = 0xFFFFFFFF
_MULTIPLIER_0, _MULTIPLIER_2 = 0xD2511F53, 0xCD9E8D57
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85

Block = tuple[Tensor, Tensor, Tensor, Tensor]


def _product(word: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """High and low 32 bits of the 64-bit product."""
    product = word * factor
    return (product >> 32) & _WORD, product & _WORD


def philox4x32(counter: Block, key: tuple[Tensor, Tensor]) -> Block:
    """Four random words for each counter.

    Args:
        counter: four int64 tensors of words in [0, 2^32), of shapes that broadcast.
        key: two int64 tensors of words in [0, 2^32), of shapes that broadcast with the counter.

    Returns:
        four int64 tensors of words in [0, 2^32).
    """
    c0, c1, c2, c3 = counter
    key_0, key_1 = key
    for _ in range(_ROUNDS):
        high_0, low_0 = _product(c0, _MULTIPLIER_0)
        high_2, low_2 = _product(c2, _MULTIPLIER_2)
        c0, c1, c2, c3 = high_2 ^ c1 ^ key_0, low_2, high_0 ^ c3 ^ key_1, low_0
        key_0 = (key_0 + _WEYL_0) & _WORD
        key_1 = (key_1 + _WEYL_1) & _WORD
    return c0, c1, c2, c3


def rounding_words(numel: int, seed: int, step: Tensor, parameter: int) -> Tensor:
    """One random word for each element of one parameter in one step.

    Args:
        numel: number of elements of the parameter.
        seed: the option `rounding_seed`.
        step: k of the pool, a 0-d int64 tensor; its device is the device of the result.
        parameter: position of the parameter over all groups.

    Returns:
        int64, shape (numel,): a word in [0, 2^32) for each element in row-major logical order.
    """
    # clause: PPSF-R-004 01ac67d9
    block = torch.arange((numel + 3) // 4, device=step.device)
    position, zero = torch.full_like(step, parameter), torch.zeros_like(step)
    key = (torch.full_like(step, seed & _WORD), step & _WORD)
    words = philox4x32((block & _WORD, block >> 32, position, zero), key)
    return torch.stack([word.expand_as(block) for word in words], dim=-1).reshape(-1)[:numel]
