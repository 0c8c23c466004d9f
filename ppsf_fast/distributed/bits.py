"""The random bits that round the elements of a parameter that are here: those of the whole."""

from __future__ import annotations

import torch
from torch import Tensor

from ppsf_fast.distributed.layout import Runs
from ppsf_fast.philox import philox4x32, rounding_words

_WORD = 0xFFFFFFFF
#: Elements that share a call of the generator.
_BLOCK = 4


def words(runs: Runs, seed: int, k: Tensor, parameter: int) -> Tensor:
    """One random word for each element, int32, shape (number,): low bits for y, high bits for z.

    Args:
        runs: the elements.
        seed: the option `rounding_seed`.
        k: number of the step, 0-d int64; its device is that of the result.
        parameter: position over all groups.
    """
    # clause: PPSF-R-004 0cde3f96
    if runs.starts.numel() == 1:
        begin = int(runs.starts)
        before = begin % _BLOCK
        found = rounding_words(runs.width + before, seed, k, [parameter], begin - before)
        return found.view(-1).narrow(0, before, runs.width)
    return _of_runs(runs, seed, k, parameter)


def _of_runs(runs: Runs, seed: int, k: Tensor, parameter: int) -> Tensor:
    starts = runs.starts.to(k.device).unsqueeze(1)
    blocks = starts // _BLOCK + torch.arange(runs.width // _BLOCK + 2, device=k.device)
    counter = (blocks & _WORD, blocks >> 32, torch.full_like(k, parameter), torch.zeros_like(k))
    four = philox4x32(counter, (torch.full_like(k, seed & _WORD), k & _WORD))
    found = torch.stack(four, -1).to(torch.int32).flatten(1)
    return found.gather(1, starts % _BLOCK + torch.arange(runs.width, device=k.device)).view(-1)
