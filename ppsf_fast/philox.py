"""Philox4x32-10, the counter-based random generator of Salmon et al. (2011), on int64 tensors.

A pure function of counter and key: it has no state, so it never touches torch's global generators, and any
element can be drawn on any device, in any order, on any replica. int64 holds an unsigned 32-bit word exactly;
the 64-bit product of two words wraps to the right bits, and the mask repairs the sign of the shift.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

_ROUNDS = 10
_WORD = 0xFFFFFFFF
_MULTIPLIER_0, _MULTIPLIER_2 = 0xD2511F53, 0xCD9E8D57
_WEYL = (0x9E3779B9, 0xBB67AE85)

#: Rounds after which each block has words of its own, whatever the counters share.
_SHARED = 2

Block = tuple[Tensor, Tensor, Tensor, Tensor]


def philox4x32(counter: Block, key: tuple[Tensor, Tensor]) -> Block:
    """Four random words for each counter.

    Args:
        counter: four int64 tensors of words in [0, 2^32), of shapes that broadcast.
        key: two int64 tensors of words in [0, 2^32), of shapes that broadcast with the counter.

    Returns:
        four int64 tensors of words in [0, 2^32), of shapes that broadcast to that of counter and key.
    """
    keys = [tuple((word + i * weyl) & _WORD for word, weyl in zip(key, _WEYL, strict=True)) for i in range(_ROUNDS)]
    return _rounds(counter, keys)


def _rounds(counter: Block, keys: Iterable[Sequence[Tensor | int]]) -> Block:
    c0, c1, c2, c3 = counter
    for key_0, key_1 in keys:
        product_0, product_2 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_2
        # What is multiplied next has to be a word; of the others the upper half, which no word takes from, is left.
        c0, c2 = _mixed(product_2 >> 32, c1 ^ key_0), _mixed(product_0 >> 32, c3 ^ key_1)
        c1, c3 = product_2, product_0
    return c0, c1 & _WORD, c2, c3 & _WORD


def _rounds_in_place(counter: Block, shape: Sequence[int], keys: Iterable[Tensor]) -> Iterable[Tensor]:
    """The same for words that each counter has of its own; of what is returned the lower halves count.

    Two words are worked on at once, and nothing new is made.

    Args:
        counter: four words that broadcast to `shape`.
        shape: of the counters.
        keys: of the rounds, two numbers each.
    """
    c0, c1, c2, c3 = (word.expand(shape) for word in counter)
    factors, others = torch.stack((c0, c2)), torch.stack((c1, c3))
    products = torch.empty_like(factors)
    c0, c2 = factors.unbind()
    for key in keys:
        product_2, product_0 = products.unbind()
        torch.mul(c2, _MULTIPLIER_2, out=product_2)
        torch.mul(c0, _MULTIPLIER_0, out=product_0)
        torch.bitwise_right_shift(products, 32, out=factors)
        factors.bitwise_xor_(others).bitwise_xor_(key).bitwise_and_(_WORD)
        others, products = products, others
    c1, c3 = others.unbind()
    return c0, c1, c2, c3


def _mixed(high: Tensor, other: Tensor) -> Tensor:
    """The exclusive or of two tensors that nobody needs any more, as words."""
    large, small = (high, other) if high.numel() >= other.numel() else (other, high)
    fits = small.numel() == 1 or small.shape == large.shape[large.dim() - small.dim() :]
    if small.dim() > large.dim() or not fits:
        return (large ^ small) & _WORD
    return large.bitwise_xor_(small).bitwise_and_(_WORD)


def rounding_words(numel: int, seed: int, step: Tensor, parameters: Sequence[int], first: int = 0) -> Tensor:
    """One random word for each of some elements of some parameters in one step.

    Args:
        numel: number of elements of each parameter.
        seed: the option `rounding_seed`.
        step: k of the pool, a 0-d int64 tensor; its device is the device of the result.
        parameters: positions of the parameters over all groups.
        first: index of the first of the elements, a multiple of 4.

    Returns:
        int32, shape (len(parameters), numel): the bits of a word for each element in row-major logical order.
    """
    # clause: PPSF-R-004 01ac67d9
    blocks = (numel + 3) // 4
    block = torch.arange(first // 4, first // 4 + blocks, device=step.device)
    position = torch.stack([torch.full_like(step, parameter) for parameter in parameters]).unsqueeze(1)
    zero = torch.zeros_like(step)
    # Numbers that all blocks share are kept as one: the first rounds are cheaper then.
    upper = block >> 32 if (first // 4 + blocks) >> 32 else zero
    rounds = torch.arange(_ROUNDS, device=step.device)
    first_key, second_key = rounds * _WEYL[0] + (seed & _WORD), rounds * _WEYL[1] + (step & _WORD)
    keys = torch.stack((first_key, second_key), 1).bitwise_and_(_WORD)
    begun = _rounds((block & _WORD, upper, position, zero), [key.unbind() for key in keys[:_SHARED]])
    shape = (len(parameters), blocks)
    words = torch.empty(*shape, 4, dtype=torch.int32, device=step.device)
    for place, word in enumerate(_rounds_in_place(begun, shape, keys[_SHARED:].view(-1, 2, 1, 1).unbind())):
        words.select(2, place).copy_(word)
    return words.view(len(parameters), 4 * blocks).narrow(1, 0, numel)
