// What the host lays out: a tensor as a row of 64-bit words, the numbers of a group as doubles. See layout.py.

#pragma once

#include <cstdint>

using i64 = std::int64_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

// One tensor. A pointer is 0 where there is no such array.
struct Item {
  void *grad, *y, *z, *m, *v, *row, *col, *x0, *s;
  i64 half;           // bit i: array i of those above is bfloat16; y and z are alike
  i64 numel, index;   // number of elements; position of the parameter
  i64 O, A, M, B, I;  // geometry of a factored tensor
  i64 row_is_over_b;  // whether `row` is the mean over B
};
enum Array { GRAD, Y, Z, MOMENT, V, ROW, COL, X0, S };

// What multiplies the arrays of a group: all doubles on the way, most of them float32 numbers.
struct Numbers {
  double measures, moves, writes_y, adapts, averages, cautious, grams, has_moment, atan2, clip, stochastic;
  double keep, gain, share, beta1, moment_gain, unit, eps, inner_scale, outer_scale, bound;
  double mix, z_step, y_step, y_decay, z_decay, update_decay, penalty;
  double beta3, item_weight, sum_weight, at_z, by_signs, amplifies, stride, seed, k;
};
enum Clip { NONE, BOUNDED, SOFT };

constexpr i64 CHUNK = 512;     // elements that a stage works on; a multiple of what random.hpp draws at once
constexpr i64 BLOCK = 4096;    // elements of a row that a thread sums at once
constexpr i64 NEAR = 2048;     // elements of a row whose sums stay in the first-level cache, at most
constexpr i64 TASK = 32768;    // elements that a thread takes at once; a multiple of CHUNK
constexpr i64 SMALL = 131072;  // elements up to which a tensor is left to one thread
constexpr i64 PERIOD = 64;     // elements of a pattern, at least; short trailing axes repeat in it
constexpr i64 PANELS = 16;     // parts of axis A that are summed apart, at most
constexpr i64 RARE = 128;      // what is kept of a tensor between two calls is at most one number for so many elements
