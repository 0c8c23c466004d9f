"""The columns of the tables that the kernels read: one row per parameter, per group and per pool.

A column is a `tl.constexpr`, so that kernels may name it; the host reads its `.value`.
"""

from __future__ import annotations

import triton.language as tl

# ---------------------------------------------------------------------------------- one parameter (int64 each)

(
    GROUP,  # row of its group in the numbers
    INDEX,  # its position over all groups
    NUMEL,
    FACTORED,  # whether the second moment is a row and a column
    SHAPE,  # which block its tiles are made of
    TILES_L, TILES_P, TILES_Q, HEIGHT,  # number of tiles along an axis, and how far one reaches down the first side
    FIRST_TILE, TILES,  # where its tiles begin, and how many there are
    SUMS_L, SUMS_P, SUMS_Q, SUMS_HEIGHT,  # the same of the larger tiles that sums of squares are made over
    FIRST_LOOK,  # where the flags of the first look begin
    PART_P, PART_Q,  # where its partial sums of squares begin; in the first ones' place its new row and column
    MEAN, MEANS,  # where the partial sums of its row begin, and how many a row has
    ROW_IS_P,  # whether the vector along the tile's first axis is the row
) = map(tl.constexpr, range(21))  # fmt: skip

#: Sizes of the five axes: two outer ones, one in the depth of a tile, and the two that its sides lie along.
SIZES = tl.constexpr(21)
#: Addresses; 0 where there is none.
Y, G, Z, M, V, VP, VQ, X0, S, FILLED, PULL, L1, L2, TURNED, RMS_SQ, UNSCALE = map(tl.constexpr, range(26, 42))
#: Strides over the five axes, in elements; those of E are the strides of row-major logical order.
BY_Y, BY_G, BY_Z, BY_M, BY_V, BY_TURNED, BY_E, BY_VP, BY_VQ = map(tl.constexpr, range(42, 87, 5))
#: Strides of the samples; its position among all parameters of its device.
BY_X0, BY_S, ITEM = map(tl.constexpr, range(87, 90))
#: The length of an inner axis that is a part of the second side, and how many numbers of scratch there are for it
#: along the first side; the length of a strip; where tiles of strips keep sums.
PERIOD, PITCH, STRIP, KEPT = map(tl.constexpr, range(90, 94))
ITEM_WIDTH = 94

# ------------------------------------------------------------------------- one group: what the host sets (float64)

(
    LR, BETA1, BETA2, BETA3, BETA4, DECAY, D0, D_COEF, EPS, GROWTH, R, POWER, REFINED, WARMUP, WINDOW, TOTAL, PATIENCE,
    BOUND_FIRST, BOUND_LATER, ATAN_SCALE,
    CORRECTION,  # 0: none; 1: rectified; 2: rectified, with the moment corrected; 3: Adam's
    AVERAGES, DECAY_BY_LR, SPEED, SIGNS, DISPLACEMENT, AMPLIFIES, SAFEGUARD, LIMITER, COSINE, ADOPT,
    SEED,
) = map(tl.constexpr, range(32))  # fmt: skip
OPTIONS_WIDTH = 32

# --------------------------------------------------------------- one group: what a step computes from it (float64)

(
    N_BETA1, N_BETA3, N_DECAY, N_EPS, N_SCALE,
    N_OK, N_OPENED, N_K, N_D, N_ITEM, N_SUM, N_KEEP, N_GAIN, N_UNIT, N_RENEWAL, N_SHARE, N_MOMENT, N_BOUND, N_MIX,
    N_Z, N_Y, N_YDECAY, N_WEIGHT, N_LARGEST, N_LIMIT,
    N_NEW_D, N_MOVES, N_SEED,
) = map(tl.constexpr, range(28))  # fmt: skip
NUMBERS_WIDTH = 28

# ----------------------------------------------------------------------------- addresses of the scalars (int64)

#: Of the pool of a group, then of the group itself: 0 where a revision keeps none.
(
    AT_D, AT_D_PREV, AT_D_MAX, AT_NUMERATOR, AT_DENOM, AT_N_MAX, AT_K, AT_STALLED, AT_PEAK, AT_WEIGHT, AT_LARGEST,
) = map(tl.constexpr, range(11))  # fmt: skip
SCALARS = ("d", "d_prev", "d_max", "d_numerator", "d_denom", "n_max", "k", "stalled", "peak", "weight_sum", "lr_max")
SCALARS_WIDTH = 11

#: Of a pool: its groups, its ranges of shares, and what it publishes.
FIRST_GROUP, GROUPS, FIRST_RANGE, RANGES, FIRST_ENTRY, ENTRIES = map(tl.constexpr, range(6))
POOL_WIDTH = 6
