"""Philox4x32-7, the counter-based random generator of Salmon et al. (2011), on int64 tensors.

A pure function of counter and key: it has no state, so it never touches torch's global generators, and any
element can be drawn on any device, in any order, on any replica. int64 holds an unsigned 32-bit word exactly;
the 64-bit product of two words wraps to the right bits, and the mask repairs the sign of the shift.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ppsf_fast.numerics import readable

#: Seven are the fewest that pass BigCrush.
ROUNDS = 7
_WORD = 0xFFFFFFFF
#: What the first and the third word are multiplied by, and what is added to the two of a key after each round.
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
#: Elements that share a counter.
BLOCK = 4

#: Rounds in which blocks share words, and those after them.
_SHARED, _LATER = 2, ROUNDS - 2
#: Elements from which on torch shares an operation between threads.
_SHARED_FROM = 1 << 15
#: Which half of an int64, seen as two int32, is the upper one.
_UPPER = int(sys.byteorder == "little")
#: What a draw takes, in int64 numbers for each block: three pairs of words, and what comes of them.
_STATE, _DRAWN = 6, 2

Word = Any  # a tensor, or an int where all share it
Block = tuple[Tensor, Tensor, Tensor, Tensor]


def philox4x32(counter: Block, key: tuple[Tensor, Tensor]) -> Block:
    """Four random words for each counter.

    Args:
        counter: four int64 tensors of words in [0, 2^32), of shapes that broadcast.
        key: two int64 tensors of words in [0, 2^32), of shapes that broadcast with the counter.

    Returns:
        four int64 tensors of words in [0, 2^32), of shapes that broadcast to that of counter and key.
    """
    c0, c1, c2, c3 = counter
    for number in range(ROUNDS):
        key_0, key_1 = _key_of(number, *key)
        product_0, product_2 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c2 = _upper(product_2) ^ c1 ^ key_0, _upper(product_0) ^ c3 ^ key_1
        c1, c3 = product_2 & _WORD, product_0 & _WORD
    return c0, c1, c2, c3


def _key_of(number: int, first: Word, second: Word) -> tuple[Word, Word]:
    """The key of a round."""
    return (first + number * WEYL[0]) & _WORD, (second + number * WEYL[1]) & _WORD


def _upper(product: Word) -> Word:
    """The upper word of a product."""
    return (product >> 32) & _WORD


def _begin(state: Tensor, first: int, position: Word, seed: int, step: Word) -> None:
    """The first two rounds, in which each of the four words is still shared by all blocks or by all parameters.

    Args:
        state: that of a :class:`Place`; written.
        first: number of the first block; all numbers fit into a word.
        position: of the parameter; of several, int64, shape (number of parameters, 1).
        seed, step: the key.
    """
    c0, c2, c1, c3, products, _ = state.flatten(0, 1).unbind()
    block = c0.select(0, 0)
    torch.arange(first, first + state.shape[-1], out=block, device=block.device)
    torch.mul(block.expand_as(products), MULTIPLIERS[0], out=products)
    key_0, key_1 = _key_of(0, seed, step)
    shared, lower = _upper(position * MULTIPLIERS[1]) ^ key_0, (position * MULTIPLIERS[1]) & _WORD
    torch.bitwise_right_shift(products, 32, out=c2).bitwise_xor_(key_1).bitwise_and_(_WORD)
    key_0, key_1 = _key_of(1, seed, step)
    torch.mul(c2, MULTIPLIERS[1], out=c1)
    torch.bitwise_right_shift(c1, 32, out=c0).bitwise_xor_(lower ^ key_0).bitwise_and_(_WORD)
    torch.bitwise_xor(products, _upper(shared * MULTIPLIERS[0]) ^ key_1, out=c2).bitwise_and_(_WORD)
    last = (shared * MULTIPLIERS[0]) & _WORD
    c3.copy_(last) if isinstance(last, Tensor) else c3.fill_(last)


def _later_keys(seed: int, step: Word, device: torch.device) -> Sequence[Tensor]:
    """The keys of the rounds from `_SHARED` on, two rounds in one number: that of the first in its upper half.

    A last one that has no second brings 0, so that it changes nothing of what is returned.
    """
    keys = [_key_of(number, seed, step) for number in range(_SHARED, ROUNDS)] + [(0, step * 0)] * (_LATER % 2)
    if isinstance(step, Tensor):
        signed = torch.stack([torch.stack([torch.full_like(step, one), two]) for one, two in keys])
        joined = signed[::2].bitwise_left_shift(32) | signed[1::2]
    else:
        pairs = zip(keys[::2], keys[1::2], strict=True)
        joined = torch.tensor(
            [[_signed(a << 32 | b) for a, b in zip(*pair, strict=True)] for pair in pairs], device=device
        )
    return joined.view(-1, 2, 1, 1).unbind()


def _signed(word: int) -> int:
    """The int64 of the same 64 bits."""
    return word - (word >> 63 << 64)


class Place:
    """Memory in which words are drawn again and again, and its parts: finding them costs more than drawing a few words.

    Args:
        count: number of parameters.
        numel: elements of each for which words are drawn.
        memory: int64, of 8 numbers at least for each block of each parameter; None: it is made.
        device: where it is made.

    Attributes:
        state: shape (3, 2, count, number of blocks): words 0 and 2, then words 1 and 3; the last is room.
        factors: words 0 and 2 of it.
        rounds: for each later round its two products, and what :func:`_later_rounds` makes of them.
        rest: what the last products leave, and where it goes.
        ends: where the four words of a block go, each of shape (count, number of blocks).
        words: int32, shape (count, numel): all words, in the last quarter of the memory.
    """

    def __init__(
        self, count: int, numel: int, memory: Tensor | None = None, device: torch.device | None = None
    ) -> None:
        self.blocks = -(-numel // BLOCK)
        size = count * self.blocks
        if memory is None:
            memory = torch.empty((_STATE + _DRAWN) * size, dtype=torch.int64, device=device)
        self.state = memory[: _STATE * size].view(3, 2, count, self.blocks)
        words = memory[_STATE * size : (_STATE + _DRAWN) * size].view(torch.int32)
        self.words = words.view(count, BLOCK * self.blocks).narrow(1, 0, numel)
        self._apart = readable(memory.device) and size < _SHARED_FROM <= 2 * size
        # Word 2 p + q of a block is in place p of a pair, of factors for q = 0 and of products for q = 1.
        even, odd = words.view(count, self.blocks, 2, 2).permute(3, 2, 0, 1).unbind()
        self.ends = tuple(words.view(count, self.blocks, BLOCK).unbind(2))
        halves = self.state.view(torch.int32).view(3, 2, count, self.blocks, 2)
        upper, lower = halves.select(-1, _UPPER).unbind(), halves.select(-1, 1 - _UPPER).unbind()
        wide = self.state.unbind()
        self.factors = wide[0].unbind()
        other, product, self.rounds = 1, 2, []
        for number in range(_LATER):
            target = lower[0] if number < _LATER - 1 else even
            parts = self._parts(wide[product], upper[product], lower[other], target)
            self.rounds.append((wide[product].unbind(), parts))
            other, product = product, other
        self.rest = self._parts(lower[other], odd)
        self._keys: dict[tuple[int, int], Sequence[Sequence[Tensor]]] = {}

    def _parts(self, *pairs: Tensor) -> list[tuple[Tensor, ...]]:
        """Pairs of words as operations take them: both at once, but on a CPU one by one if each alone is too short for
        two threads and both are not: what one core has written another one would read."""
        return list(zip(*(pair.unbind() for pair in pairs), strict=True)) if self._apart else [pairs]

    def keys(self, seed: int, step: Word) -> Sequence[Sequence[Tensor]]:
        """The keys of pairs of later rounds, each in as many parts as operations take."""
        if not isinstance(step, int):
            return self._divided(_later_keys(seed, step, self.state.device))
        if (seed, step) not in self._keys:
            self._keys = {(seed, step): self._divided(_later_keys(seed, step, self.state.device))}
        return self._keys[seed, step]

    def _divided(self, keys: Sequence[Tensor]) -> Sequence[Sequence[Tensor]]:
        return [[part[0] for part in self._parts(key)] for key in keys]


def _later_rounds(place: Place, keys: Sequence[Sequence[Tensor]]) -> None:
    """All later rounds, the last of which leaves its words where they belong.

    Two words are worked on at once, and nothing new is made. A product's upper half is taken in its round and its lower
    half in the next one, so one operation brings it the keys of both. What is multiplied next is a word: its upper half
    has been 0 since the first rounds.

    Args:
        place: after the first rounds.
        keys: of pairs of rounds.
    """
    c0, c2 = place.factors
    for number, ((product_2, product_0), parts) in enumerate(place.rounds):
        torch.mul(c2, MULTIPLIERS[1], out=product_2)
        torch.mul(c0, MULTIPLIERS[0], out=product_0)
        for (product, upper, other, target), key in zip(parts, keys[number // 2], strict=True):
            if number % 2 == 0:
                product.bitwise_xor_(key)
            torch.bitwise_xor(upper, other, out=target)
    for lower, target in place.rest:
        target.copy_(lower)


def rounding_words(
    numel: int, seed: int, step: Tensor, parameters: Sequence[int], first: int = 0, place: Place | None = None
) -> Tensor:
    """One random word for each of some elements of some parameters in one step.

    Args:
        numel: number of elements of each parameter.
        seed: the option `rounding_seed`.
        step: k of the pool, a 0-d int64 tensor; its device is the device of the result.
        parameters: positions of the parameters over all groups.
        first: index of the first of the elements, a multiple of 4.
        place: for so many parameters and elements, where it is done and the result is; None: somewhere new.

    Returns:
        int32, shape (len(parameters), numel): the bits of a word for each element in row-major logical order.
    """
    # clause: PPSF-R-004 0cde3f96
    place = Place(len(parameters), numel, device=step.device) if place is None else place
    position: Word = parameters[0]
    if len(parameters) > 1:
        position = torch.stack([torch.full_like(step, parameter) for parameter in parameters]).unsqueeze(1)
    if (first // BLOCK + place.blocks) >> 32:
        for target, word in zip(place.ends, _of_huge(first // BLOCK, place.blocks, position, seed, step), strict=True):
            target.copy_(word)
    else:
        second = int(step) if readable(step.device) else step
        _begin(place.state, first // BLOCK, position, seed, second)
        _later_rounds(place, place.keys(seed, second))
    return place.words


def _of_huge(first: int, blocks: int, position: Word, seed: int, step: Tensor) -> Block:
    """The same where a number of a block takes two words."""
    block = torch.arange(first, first + blocks, device=step.device)
    counter = (block & _WORD, block >> 32, position + torch.zeros_like(step), torch.zeros_like(step))
    return philox4x32(counter, (torch.full_like(step, seed & _WORD), step & _WORD))
