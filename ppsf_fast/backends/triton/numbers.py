"""The numbers of groups and pools: what multiplies the arrays, and the estimate after the step. All in float64."""

from __future__ import annotations

import triton
import triton.language as tl

from ppsf_fast.backends.triton import columns as C
from ppsf_fast.backends.triton.estimate import SLOT
from ppsf_fast.backends.triton.maths import power, wide_atan2

_OPTIONS = tl.constexpr(C.OPTIONS_WIDTH)
_NUMBERS = tl.constexpr(C.NUMBERS_WIDTH)
_SCALARS = tl.constexpr(C.SCALARS_WIDTH)
_POOL = tl.constexpr(C.POOL_WIDTH)
_SPAN = tl.constexpr(1024)
_PI = tl.constexpr(3.141592653589793)
#: Length of the built-in decay where the length of training is not given.
_DECAY_LENGTH = tl.constexpr(1000.0)
_LARGEST_STEP = tl.constexpr(2**0.25)
_CEILING = tl.constexpr(2.0**40)
_GROWTH = tl.constexpr(0.975)


@triton.jit
def _scalar(scalars, COLUMN: tl.constexpr):
    """A scalar that is kept between steps, of a pool or a group."""
    return tl.load(tl.load(scalars + COLUMN).to(tl.pointer_type(tl.float64)))


@triton.jit
def _count(scalars, COLUMN: tl.constexpr):
    return tl.load(tl.load(scalars + COLUMN).to(tl.pointer_type(tl.int64)))


@triton.jit
def _keep(scalars, COLUMN: tl.constexpr, value, mask):
    tl.store(tl.load(scalars + COLUMN).to(tl.pointer_type(tl.float64)), value, mask=mask)


@triton.jit
def _keep_count(scalars, COLUMN: tl.constexpr, value, mask):
    tl.store(tl.load(scalars + COLUMN).to(tl.pointer_type(tl.int64)), value, mask=mask)


@triton.jit
def _is_good(bad, tiles, elsewhere):
    """Whether all gradients are finite: those of these tiles, and those on other devices."""
    worst = tl.zeros((_SPAN,), tl.int32)
    for begin in range(0, tiles, _SPAN):
        at = begin + tl.arange(0, _SPAN)
        worst = tl.maximum(worst, tl.load(bad + at, mask=at < tiles, other=0))
    return (tl.max(worst, axis=0) == 0) & (tl.load(elsewhere) == 0)


@triton.jit
def _step_estimate(own, estimates, groups):
    """The mean of the estimates of the groups that have taken part before."""
    # clause: PPSF-G-003 04bf0f0a
    count, inverse = tl.full((), 0.0, tl.float64), tl.full((), 0.0, tl.float64)
    for group in range(groups):
        d = tl.load(tl.load(estimates + 2 * group).to(tl.pointer_type(tl.float64)))
        active = tl.load(tl.load(estimates + 2 * group + 1).to(tl.pointer_type(tl.int64))) > 1
        count += active.to(tl.float64)
        inverse += tl.where(active, 1.0 / d, 0.0)
    return tl.where(count > 0, count / tl.where(count > 0, inverse, 1.0), own)


@triton.jit
def _correction(settings, k):
    """The bias correction of the step size."""
    kind = tl.load(settings + C.CORRECTION)
    beta1, beta2 = tl.load(settings + C.BETA1), tl.load(settings + C.BETA2)
    factor = tl.full((), 1.0, tl.float64)
    if kind > 2.5:
        # clause: PPSF-M-020 d4ecea4e
        factor = tl.sqrt(1.0 - power(beta2, k)) / (1.0 - power(beta1, k))
    elif kind > 0.5:
        # clause: PPSF-M-003 e9b4ab5a
        weight = power(beta2, k)
        longest = 2.0 / (1.0 - beta2) - 1.0
        length = longest - 2.0 * k * weight / (1.0 - weight)
        safe = tl.where(length > 4, length, 5.0)
        ratio = (safe - 4.0) * (safe - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * safe)
        factor = tl.sqrt(tl.where(length > 4, ratio, 0.0))
    return factor


@triton.jit
def _warmup(settings, k):
    # clause: PPSF-M-021 3ca3ff7d
    steps = tl.load(settings + C.WARMUP)
    return tl.where(steps > 0, tl.minimum(k / tl.where(steps > 0, steps, 1.0), 1.0), 1.0)


@triton.jit
def _decay(settings, scalars, k, L: tl.constexpr):
    """The built-in decay: half a cosine from the peak to the end of training."""
    # clause: PPSF-M-023 db30bb73
    factor = tl.full((), 1.0, tl.float64)
    if L.cosine:
        if tl.load(settings + C.COSINE) != 0:
            peak = _count(scalars, C.AT_PEAK).to(tl.float64)
            total = tl.load(settings + C.TOTAL)
            length = tl.where(total < 0, _DECAY_LENGTH, total - peak)
            done = k - 1.0 - peak
            cosine = 0.5 * (1.0 + tl.cos(done * _PI / tl.maximum(length, 1.0)))
            factor = tl.where(peak < 0, 1.0, tl.where(done < length, cosine, 0.0))
    return factor


@triton.jit
def _put_weights(settings, numbers, d, full, dlr, L: tl.constexpr):
    """What multiplies the inner product and the gradient in the statistics."""
    d0 = tl.load(settings + C.D0)
    if L.statistic_weight == "prodigy":
        # clause: PPSF-D-021 80b40fdc
        ratio = d / d0
        tl.store(numbers + C.N_ITEM, ratio * dlr)
        tl.store(numbers + C.N_SUM, ratio * tl.where(tl.load(settings + C.SAFEGUARD) != 0, d, dlr))
    else:
        if L.statistic_weight == "d_squared":
            # clause: PPSF-D-020 7a527ae5
            weight = d * d / tl.sqrt(d0)
        elif L.statistic_weight == "share":
            # clause: PPSF-D-022 7314ec4b
            weight = full * (1.0 - tl.load(settings + C.BETA3))
        else:
            # clause: PPSF-D-001 6eb47677
            root = tl.sqrt(d)
            # clause: PPSF-M-010 aede28e9
            weight = tl.where(tl.load(settings + C.SIGNS) != 0, root * d0, root)
        tl.store(numbers + C.N_ITEM, weight)
        tl.store(numbers + C.N_SUM, weight)


@triton.jit
def _put_memory(settings, numbers, scalars, d, k, L: tl.constexpr):
    """What multiplies the moments and the new gradients in them."""
    beta1, beta2 = tl.load(settings + C.BETA1), tl.load(settings + C.BETA2)
    if tl.load(settings + C.CORRECTION) == 2:
        # clause: PPSF-M-004 f1c65d5a
        beta2 = 1.0 - (1.0 - beta2) / (1.0 - power(beta2, k))
    if L.second_moment == "rescaled":
        ratio = _scalar(scalars, C.AT_D_PREV) / d
        keep, unit = beta2 * (ratio * ratio), d * 0 + 1.0
    else:
        keep, unit = beta2, d * d
    tl.store(numbers + C.N_KEEP, keep)
    tl.store(numbers + C.N_GAIN, unit * (1.0 - beta2))
    tl.store(numbers + C.N_UNIT, unit)
    tl.store(numbers + C.N_RENEWAL, 1.0 - beta2)
    tl.store(numbers + C.N_MOMENT, d * (1.0 - beta1))
    if L.second_moment == "corrected":
        # clause: PPSF-V-013 bf5718d5
        tl.store(numbers + C.N_SHARE, 1.0 - power(tl.load(settings + C.BETA2), k))


@triton.jit
def _bound(settings, d):
    # clause: PPSF-M-013 f9aa6e97
    # clause: PPSF-U-001 9d1739ee
    first, later = tl.load(settings + C.BOUND_FIRST), tl.load(settings + C.BOUND_LATER)
    return tl.where((d <= tl.load(settings + C.D0)) & (tl.load(settings + C.SPEED) == 0), first, later)


@triton.jit
def _put_averaging(settings, numbers, scalars, dlr, k, L: tl.constexpr):
    """What averages the weights, and by how much they move."""
    beta1, decay = tl.load(settings + C.BETA1), tl.load(settings + C.DECAY)
    mix = tl.full((), 0.0, tl.float64)
    averages = tl.load(settings + C.AVERAGES) != 0
    if L.averaging_weight != "none":
        if averages:
            if L.averaging_weight == "largest":
                # clause: PPSF-Z-010 a50e7a76
                largest = tl.maximum(_scalar(scalars, C.AT_LARGEST), dlr)
                weight = power(k, tl.load(settings + C.R)) * power(largest, tl.load(settings + C.POWER))
                tl.store(numbers + C.N_LARGEST, largest)
            else:
                # clause: PPSF-Z-001 a9f28a09
                weight = dlr * dlr
            total = _scalar(scalars, C.AT_WEIGHT) + weight
            tl.store(numbers + C.N_WEIGHT, total)
            mix = tl.where(total > 0, weight / tl.where(total > 0, total, 1.0), 0.0)
            refined = tl.load(settings + C.REFINED)
            # clause: PPSF-Z-011 dc023cc6
            mix = tl.where(refined != 0, tl.minimum(mix * ((1.0 - beta1) * refined), 1.0), mix)
    reach = 1.0 - beta1 * (1.0 - mix)
    apart = tl.where(tl.load(settings + C.DECAY_BY_LR) != 0, decay * dlr, decay)
    tl.store(numbers + C.N_MIX, mix)
    tl.store(numbers + C.N_Z, dlr)
    tl.store(numbers + C.N_Y, dlr * reach)
    tl.store(numbers + C.N_YDECAY, tl.where(averages, decay * reach, apart))


@triton.jit(do_not_specialize=["groups", "tiles"])
def begin(settings, scalars, numbers, estimates, groups, bad, tiles, elsewhere, skipped, L: tl.constexpr):
    """The numbers of a group in this step, all known before any array is touched: one program for each group."""
    group = tl.program_id(0).to(tl.int64)
    settings, scalars, numbers = settings + group * _OPTIONS, scalars + group * _SCALARS, numbers + group * _NUMBERS
    good = _is_good(bad, tiles, elsewhere)
    if group == 0:
        tl.store(skipped, tl.load(skipped) + (1 - good.to(tl.int64)))
    k = _count(scalars, C.AT_K).to(tl.float64)
    d0 = tl.load(settings + C.D0)
    d = d0
    if L.estimate != "none":
        d = _scalar(scalars, C.AT_D)
    # clause: PPSF-G-004 1dcdeaaf
    full = _step_estimate(d, estimates, groups) * tl.load(settings + C.LR) * _correction(settings, k)
    dlr = full * _warmup(settings, k) * _decay(settings, scalars, k, L)
    window = tl.load(settings + C.WINDOW)
    # clause: PPSF-D-008 eab78d5a
    opened = (window == 0) | (k <= window)
    tl.store(numbers + C.N_OK, good.to(tl.float64))
    tl.store(numbers + C.N_OPENED, opened.to(tl.float64))
    tl.store(numbers + C.N_K, k)
    tl.store(numbers + C.N_D, d)
    tl.store(numbers + C.N_NEW_D, d)
    tl.store(numbers + C.N_MOVES, good.to(tl.float64))
    tl.store(numbers + C.N_BOUND, _bound(settings, d))
    tl.store(numbers + C.N_LIMIT, power(k, d0 * 0 + 0.25))
    tl.store(numbers + C.N_BETA1, tl.load(settings + C.BETA1))
    tl.store(numbers + C.N_BETA3, tl.load(settings + C.BETA3))
    tl.store(numbers + C.N_DECAY, tl.load(settings + C.DECAY))
    tl.store(numbers + C.N_EPS, tl.load(settings + C.EPS))
    tl.store(numbers + C.N_SEED, tl.load(settings + C.SEED))
    tl.store(numbers + C.N_SCALE, tl.load(settings + C.ATAN_SCALE))
    _put_weights(settings, numbers, d, full, dlr, L)
    _put_memory(settings, numbers, scalars, d, k, L)
    _put_averaging(settings, numbers, scalars, dlr, k, L)


# ----------------------------------------------------------------------------------------------------------- the end


@triton.jit
def _sums(pool, ranges, shares, numbers):
    """The numerator's and the denominator's new parts, over all parameters of a pool."""
    inner, norm = tl.full((), 0.0, tl.float64), tl.full((), 0.0, tl.float64)
    first = tl.load(pool + C.FIRST_RANGE)
    for index in range(tl.load(pool + C.RANGES).to(tl.int32)):
        at = ranges + (first + index) * 3
        group, start, count = tl.load(at), tl.load(at + 1), tl.load(at + 2)
        one, two = tl.zeros((_SPAN,), tl.float64), tl.zeros((_SPAN,), tl.float64)
        for begin_ in range(0, count.to(tl.int32), _SPAN):
            place = begin_ + tl.arange(0, _SPAN)
            one += tl.load(shares + (start + place) * SLOT, mask=place < count, other=0.0)
            two += tl.load(shares + (start + place) * SLOT + 1, mask=place < count, other=0.0)
        inner += tl.sum(one, axis=0) * tl.load(numbers + group * _NUMBERS + C.N_ITEM)
        norm += tl.sum(two, axis=0)
    return inner, norm


@triton.jit
def _candidate(settings, d, numerator, denom, L: tl.constexpr):
    scaled = numerator * tl.load(settings + C.D_COEF)
    there = denom > 0
    safe = tl.where(there, denom, 1.0)
    if L.estimate == "atan2":
        # clause: PPSF-D-006 1203086f
        d_hat = tl.where(there, wide_atan2(scaled, safe), 0.0)
    else:
        # clause: PPSF-D-025 a841ffa1
        d_hat = tl.where(there, scaled / safe, 0.0)
    # clause: PPSF-D-026 6540778a
    d_hat = tl.where(tl.load(settings + C.LIMITER) != 0, tl.minimum(d_hat, d * _LARGEST_STEP), d_hat)
    # clause: PPSF-M-012 a96de1b9
    return tl.where(tl.load(settings + C.SIGNS) != 0, tl.minimum(d_hat, power(d, d * 0 + _GROWTH)), d_hat)


@triton.jit
def _followed(settings, d, d_hat):
    """The new d where it is a largest candidate, or a moving average of them."""
    beta4, d0 = tl.load(settings + C.BETA4), tl.load(settings + C.D0)
    # clause: PPSF-D-027 59fe8cba
    floored = tl.maximum(d_hat, d0)
    # clause: PPSF-D-028 0305121b
    smoothed = d * tl.abs(beta4) + floored * (1.0 - tl.abs(beta4))
    smoothed = tl.where(beta4 > 0, smoothed, tl.maximum(floored, smoothed))
    # clause: PPSF-D-007 671f117d
    plain = (beta4 == 0) | (tl.load(settings + C.SPEED) != 0)
    return tl.where(plain, tl.maximum(d, d_hat), smoothed)


@triton.jit
def _displaced(settings, d, numerator, before, largest):
    """The new d under SPEED, from the numerator, the one before it and the largest so far."""
    # clause: PPSF-M-042 fa0ea389
    at_peak = (numerator >= largest) & (numerator > 0) & (before > 0)
    ratio = tl.sqrt(tl.where(at_peak, numerator, 1.0) / tl.where(at_peak, before, 1.0))
    ratio = tl.minimum(ratio, tl.full((), _LARGEST_STEP, tl.float64))
    coefficient = power(tl.load(settings + C.D_COEF), d * 0 + 0.125)
    return tl.where(at_peak, tl.maximum(d, d * ratio * coefficient), d)


@triton.jit
def _estimate(settings, scalars, d, inner, norm, adapts, L: tl.constexpr):
    """Write the estimate of a pool; returns d after the step."""
    before = _scalar(scalars, C.AT_NUMERATOR)
    if L.numerator == "add":
        # clause: PPSF-D-024 5a5651fe
        added = inner
    else:
        # clause: PPSF-D-005 1fdbffb7
        # Not a maximum, which would make 0 of a NaN.
        added = tl.where((d <= tl.load(settings + C.D0)) & (inner < 0), 0.0, inner)
    numerator = before * tl.load(settings + C.BETA3) + added
    # clause: PPSF-D-033 c03a2330
    adapts = adapts & (tl.abs(numerator) < float("inf")) & (tl.abs(norm) < float("inf"))
    d_hat = _candidate(settings, d, numerator, norm, L)
    if L.growth == "capped":
        # clause: PPSF-D-029 fc8d499b
        start = tl.where(d == tl.load(settings + C.D0), tl.maximum(d, d_hat), d)
        largest = tl.maximum(_scalar(scalars, C.AT_D_MAX), d_hat)
        new = tl.minimum(largest, start * tl.load(settings + C.GROWTH))
        _keep(scalars, C.AT_D_MAX, largest, adapts)
    else:
        new = _followed(settings, d, d_hat)
    if L.speed == "displacement":
        n_max = _scalar(scalars, C.AT_N_MAX)
        displaced = _displaced(settings, d, numerator, before, n_max)
        new = tl.where(tl.load(settings + C.DISPLACEMENT) != 0, displaced, new)
        _keep(scalars, C.AT_N_MAX, tl.maximum(n_max, numerator), adapts)
    if L.ceiling == "d":
        # clause: PPSF-D-031 c5bbad4a
        new = tl.minimum(new, _CEILING)
    _keep(scalars, C.AT_NUMERATOR, numerator, adapts)
    _keep(scalars, C.AT_DENOM, norm, adapts)
    _keep(scalars, C.AT_D, new, adapts)
    return tl.where(adapts, new, d)


@triton.jit
def _count_step(settings, scalars, d, after, moves, L: tl.constexpr):
    """Count the step, and what the built-in decay counts."""
    k = _count(scalars, C.AT_K)
    if L.cosine:
        if tl.load(settings + C.COSINE) != 0:
            # clause: PPSF-M-022 ac5f6892
            peak = _count(scalars, C.AT_PEAK)
            stalled = tl.where(after > d, 0, _count(scalars, C.AT_STALLED) + 1)
            begins = (peak < 0) & (stalled >= tl.load(settings + C.PATIENCE).to(tl.int64))
            _keep_count(scalars, C.AT_STALLED, stalled, moves)
            _keep_count(scalars, C.AT_PEAK, tl.where(begins, k, peak), moves)
    # clause: PPSF-D-009 bb40aa36
    if L.keeps_d_prev:
        _keep(scalars, C.AT_D_PREV, d, moves)
    _keep_count(scalars, C.AT_K, k + 1, moves)


@triton.jit
def _any_moves(member, ranges, shares):
    """Whether a parameter of a group had a moment to divide by."""
    some = tl.zeros((_SPAN,), tl.float64)
    first = tl.load(member)
    for index in range(tl.load(member + 1).to(tl.int32)):
        at = ranges + (first + index) * 3
        start, count = tl.load(at + 1), tl.load(at + 2)
        for begin_ in range(0, count.to(tl.int32), _SPAN):
            place = begin_ + tl.arange(0, _SPAN)
            some = tl.maximum(some, tl.load(shares + (start + place) * SLOT + 2, mask=place < count, other=0.0))
    return tl.max(some, axis=0) > 0


@triton.jit
def _keep_averaging(group, numbers, scalars, settings, members, ranges, shares, L: tl.constexpr, ADOPT: tl.constexpr):
    """Write the weight sum and the largest step size of a group, if one of its weights moves."""
    # clause: PPSF-Z-006 c280d816
    numbers, scalars = numbers + group * _NUMBERS, scalars + group * _SCALARS
    moves = (tl.load(numbers + C.N_OK) != 0) & (tl.load(settings + group * _OPTIONS + C.AVERAGES) != 0)
    if ADOPT:
        if tl.load(settings + group * _OPTIONS + C.ADOPT) != 0:
            moves = moves & _any_moves(members + 2 * group, ranges, shares)
    _keep(scalars, C.AT_WEIGHT, tl.load(numbers + C.N_WEIGHT), moves)
    if L.averaging_weight == "largest":
        _keep(scalars, C.AT_LARGEST, tl.load(numbers + C.N_LARGEST), moves)


@triton.jit
def _publish(pool, entries, values):
    """Gather the scalars of a pool and its groups, as float64, on their way to the host.

    An entry holds the address of a scalar, whether it is a count, and its place among the values.
    """
    first = tl.load(pool + C.FIRST_ENTRY)
    for index in range(tl.load(pool + C.ENTRIES).to(tl.int32)):
        entry = entries + (first + index) * 3
        address, place = tl.load(entry), tl.load(entry + 2)
        if tl.load(entry + 1) != 0:
            value = tl.load(address.to(tl.pointer_type(tl.int64))).to(tl.float64)
        else:
            value = tl.load(address.to(tl.pointer_type(tl.float64)))
        tl.store(values + place, value)


@triton.jit
def end(
    pools, ranges, shares, members, entries, settings, scalars, numbers, values, L: tl.constexpr, ADOPT: tl.constexpr
):
    """The estimate of a pool after the step, and what its groups keep: one program for each pool."""
    pool = pools + tl.program_id(0).to(tl.int64) * _POOL
    first = tl.load(pool + C.FIRST_GROUP)
    own, mine, state = settings + first * _OPTIONS, numbers + first * _NUMBERS, scalars + first * _SCALARS
    good, opened = tl.load(mine + C.N_OK) != 0, tl.load(mine + C.N_OPENED) != 0
    d = tl.load(mine + C.N_D)
    after, moves = d, good
    if L.estimate != "none":
        inner, norm = _sums(pool, ranges, shares, numbers)
        adapts = good & opened
        if L.without_evidence == "rests":
            # clause: PPSF-D-030 40a5b747
            adapts = adapts & (norm > 0)
            moves = good & ((norm > 0) | (opened == 0))
        after = _estimate(own, state, d, inner, norm, adapts, L)
    for index in range(tl.load(pool + C.GROUPS).to(tl.int32)):
        group = first + index
        tl.store(numbers + group * _NUMBERS + C.N_NEW_D, after)
        tl.store(numbers + group * _NUMBERS + C.N_MOVES, moves.to(tl.float64))
        if L.averaging_weight != "none":
            _keep_averaging(group, numbers, scalars, settings, members, ranges, shares, L, ADOPT)
    _count_step(own, state, d, after, moves, L)
    tl.debug_barrier()
    _publish(pool, entries, values)
