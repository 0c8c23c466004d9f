// What a step does to the elements of one tensor, chunk by chunk, once its second moment is known.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <type_traits>

#include "formats.hpp"
#include "random.hpp"

// How many elements are taken at once where positions in an axis of length I repeat: whole repetitions of a short one.
inline i64 repeats(i64 I) { return I > PERIOD ? PERIOD : I * ((PERIOD + I - 1) / I); }

// The same, in whole vectors too if those fit in a pattern.
constexpr i64 PATTERN = 4 * PERIOD;
inline i64 vectors(i64 I) {
  const i64 both = std::lcm(I, i64(16));
  return both > PATTERN ? repeats(I) : both * std::max<i64>(1, PERIOD / both);
}

// Fills `pattern` with n values of b, from position i on and over and over.
inline void repeat(const float* b, i64 I, i64 i, i64 n, float* pattern) {
  i64 k = 0;
  for (; k < std::min(I, n); ++k, i = i + 1 == I ? 0 : i + 1) pattern[k] = b[i];
  for (i64 some; k < n; k += some) {
    some = std::min(k, n - k);
    std::memcpy(pattern + k, pattern, some * sizeof(float));
  }
}

inline void multiply(const float* a, const float* b, i64 n, float* products) {
  for (i64 j = 0; j < n; ++j) products[j] = a[j] * b[j];
}

// Both arguments as in atan2, x >= 0: in double, so that it rounds almost correctly.
inline float angle(float over, float under) {
  const double a = std::fabs(double(over)), x = under;
  const bool steep = a > x;
  const double least = steep ? x : a, most = steep ? a : x;
  // Beyond pi / 8 it is pi / 4 and the angle from there, with one quotient for both; none is made of 0 or infinity.
  const bool far = least > most * 0.41421356237309503 || least == HUGE_VAL, edge = most == 0.0 || most == HUGE_VAL;
  const double rise = far ? least - most : least, run = far ? least + most : most;
  const double r = (edge ? 0.0 : rise) / (edge ? 1.0 : run), q = r * r;
  // The series of atan to r^19: the remainder is below 0.4143^21 / 21 = 5e-10, under a hundredth of a unit of float32.
  double sum = -1.0 / 19;
  sum = sum * q + 1.0 / 17, sum = sum * q - 1.0 / 15, sum = sum * q + 1.0 / 13, sum = sum * q - 1.0 / 11;
  sum = sum * q + 1.0 / 9, sum = sum * q - 1.0 / 7, sum = sum * q + 1.0 / 5, sum = sum * q - 1.0 / 3;
  double result = r + r * q * sum + (far ? 0.78539816339744831 : 0.0);
  result = steep ? 1.5707963267948966 - result : result;
  return std::copysign(float(result), over);
}

inline float sign(float value) { return value > 0 ? 1.0f : value < 0 ? -1.0f : value; }

// What a step works on between its stages, for one chunk.
struct Buffers {
  alignas(64) float grad[CHUNK], y[CHUNK], z[CHUNK], m[CHUNK], v[CHUNK], denom[CHUNK], update[CHUNK];
  alignas(64) float sampled[CHUNK];  // the weights that are sampled, as they were before they moved
  alignas(64) u32 words[CHUNK];
};

// Samples that wait for being counted, and what was counted.
struct Samples {
  i64 from = 0, count = 0;
  double inner = 0, norm = 0;
  float grad[CHUNK], way[CHUNK];
};

// The update of element j before it is clipped: a quotient whose divisor is over_a[j] * over_b ...
template <class Value>
struct Quotient {
  const Value* over;
  const float* over_a;
  float over_b, unit, eps;
  // clause: PPSF-U-011 46ab4792
  // clause: PPSF-U-002 9f1c013e
  // clause: PPSF-U-012 a1c3be3d
  float operator()(i64 j) const { return widened(over[j]) * unit / (over_a[j] * over_b + eps); }
};

// ... or what is there already.
struct Given {
  const float* update;
  float operator()(i64 j) const { return update[j]; }
};

template <class Update>
double sum_of_squares(i64 n, Update update) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (i64 j = 0; j < n; ++j) {
    const double u = update(j);
    sum += u * u;
  }
  return sum;
}

// The divisor in whole short rows: over_b of the row times over_a.
template <int N>
void short_divisor(const float* over_a, const float* over_b, i64 rows, float* denom) {
  for (i64 r = 0; r < rows; ++r, denom += N) {
    const float factor = over_b[r];
    for (int j = 0; j < N; ++j) denom[j] = over_a[j] * factor;
  }
}

// What a move of y and z consists of: each includes those before it.
enum Extent { USUAL, DECAY, MASKS };

struct Task {
  const Item& t;
  const Numbers& c;
  const float *over_a, *over_b;  // factors of the divisor: over (o, m, b, i) and over (o, a, m, i)

  Reader reader(Array array) const { return {(&t.grad)[array], half(array)}; }
  bool half(Array array) const { return t.half >> array & 1; }

  // The gradient, with an l2 penalty where it is asked for.
  const float* gradient(i64 first, i64 n, Buffers& w) const {
    const float* g = reader(GRAD).at(first, n, w.grad);
    if (c.penalty == 0) return g;
    const float* y = reader(Y).at(first, n, w.y);
    const float penalty = float(c.penalty);
    for (i64 j = 0; j < n; ++j) w.grad[j] = g[j] + y[j] * penalty;
    return w.grad;
  }

  // ------------------------------------------------------------------------------------------------------- the update

  // The root of the second moment of each element.
  // clause: PPSF-V-005 170be250
  void factored_divisor(i64 first, i64 n, float* denom) const {
    const i64 length = t.B * t.I;
    if (t.I == 1 && t.M == 1 && t.O == 1 && CHUNK % length == 0)
      switch (length) {  // chunks begin and end with rows
        case 4: return short_divisor<4>(over_a, over_b + first / 4, n / 4, denom);
        case 8: return short_divisor<8>(over_a, over_b + first / 8, n / 8, denom);
        case 16: return short_divisor<16>(over_a, over_b + first / 16, n / 16, denom);
        case 32: return short_divisor<32>(over_a, over_b + first / 32, n / 32, denom);
      }
    in_rows(first, n, [&](i64 at, i64 count, i64 column, const float* a, const float* b) {
      i64 i = column % t.I;
      if (t.I <= PERIOD) {
        float pattern[PATTERN];
        const i64 period = std::min(count, vectors(t.I));
        repeat(b, t.I, i, period, pattern);
        for (i64 j = 0; j < count; j += period) multiply(a + j, pattern, std::min(period, count - j), denom + at + j);
        return;
      }
      for (i64 j = 0, some; j < count; j += some, i = 0) {
        some = std::min(t.I - i, count - j);
        multiply(a + j, b + i, some, denom + at + j);
      }
    });
  }

  // Calls use(at, count, column, a, b) for the pieces of rows in elements first .. first + n: a piece is `count` elements
  // from first + at, and from `column` of its row; a and b are the factors of its divisor.
  template <class Use>
  void in_rows(i64 first, i64 n, Use use) const {
    const i64 length = t.B * t.I;
    i64 row = first / length, column = first % length;
    for (i64 at = 0; at < n; column = 0, ++row) {
      const i64 count = std::min(n - at, length - column), o = row / (t.A * t.M), m = row % t.M;
      use(at, count, column, over_a + (o * t.M + m) * length + column, over_b + row * t.I);
      at += count;
    }
  }

  // The same where every element has its own; w.v is its new second moment.
  // clause: PPSF-V-001 eda871f8
  // clause: PPSF-V-010 ba9d63ae
  // clause: PPSF-V-004 ef012b6a
  // clause: PPSF-V-013 bf5718d5
  void own_divisor(const float* g, i64 first, i64 n, Buffers& w) const {
    const float* v = static_cast<const float*>(t.v) + first;
    const float keep = float(c.keep), gain = float(c.gain), share = float(c.share);
    for (i64 j = 0; j < n; ++j) w.v[j] = v[j] * keep + g[j] * g[j] * gain;
    for (i64 j = 0; j < n; ++j) w.denom[j] = std::sqrt(w.v[j] / share);
  }

  // What is divided, with w.denom as the divisor; w.m and w.v are new moments where there are any.
  const float* dividend(i64 first, i64 n, Buffers& w) const {
    const float* g = gradient(first, n, w);
    if (t.v) own_divisor(g, first, n, w);
    else factored_divisor(first, n, w.denom);
    if (!c.has_moment) return g;
    // clause: PPSF-U-010 3667548e
    const float* m = reader(MOMENT).at(first, n, w.m);
    const float beta1 = float(c.beta1), gain = float(c.moment_gain);
    for (i64 j = 0; j < n; ++j) w.m[j] = m[j] * beta1 + g[j] * gain;
    return w.m;
  }

  // Leaves the update before it is clipped in w.update.
  void updated(i64 first, i64 n, Buffers& w) const {
    const Quotient<float> update = quotient(first, n, w);
    // clause: PPSF-U-003 fd609a87
    // clause: PPSF-U-013 abd36150
    const float in = float(c.inner_scale), out = float(c.outer_scale);
    if (c.atan2)
      for (i64 j = 0; j < n; ++j) w.update[j] = angle(update.over[j] * update.unit, w.denom[j] * in) * out;
    else
      for (i64 j = 0; j < n; ++j) w.update[j] = update(j);
  }

  Quotient<float> quotient(i64 first, i64 n, Buffers& w) const {
    const float* over = dividend(first, n, w);
    return {over, w.denom, 1, c.has_moment ? 1.0f : float(c.unit), float(c.eps)};
  }

  // Calls use(at, count, update) for pieces of elements first .. first + n, from first + at each: with what computes the
  // update where that is all there is to it, so that it needs no room of its own.
  template <class Use>
  void with_updates(i64 first, i64 n, Buffers& w, Use use) const {
    const bool rows = !t.v && t.I == 1 && t.B >= PERIOD;
    if (c.atan2) {
      updated(first, n, w);
      return use(0, n, Given{w.update});
    }
    if (!rows || c.has_moment || c.penalty != 0) return use(0, n, quotient(first, n, w));
    typed(t.grad, half(GRAD), [&](auto* g) {
      in_rows(first, n, [&](i64 at, i64 count, i64, const float* a, const float* b) {
        const Quotient<std::remove_pointer_t<decltype(g)>> update{g + first + at, a, *b, float(c.unit), float(c.eps)};
        use(at, count, update);
      });
    });
  }

  double squares(i64 first, i64 n, Buffers& w) const {
    double sum = 0;
    with_updates(first, n, w, [&](i64, i64 count, auto update) { sum += sum_of_squares(count, update); });
    return sum;
  }

  // ------------------------------------------------------------------------------------------------------ the weights

  // The update after clipping and, in its place, decay.
  // clause: PPSF-W-001 29728ec4
  float decayed(float update, float y) const { return c.update_decay != 0 ? update + y * float(c.update_decay) : update; }

  // How far y is taken back by the average and the update together.
  float decrease(float y, float z, float update) const { return (y - z) * float(c.mix) + update * float(c.y_step); }

  static bool agree(float decrease, float update) {
    return ((decrease > 0) & (update > 0)) | ((decrease < 0) & (update < 0));
  }

  // How many elements of y move in the direction of the update, which is multiplied by `shorter`.
  double agreeing(i64 first, i64 n, float shorter, Buffers& w) const {
    updated(first, n, w);
    const float *y = reader(Y).at(first, n, w.y), *z = reader(Z).at(first, n, w.z);
    int count = 0;
#pragma omp simd reduction(+ : count)
    for (i64 j = 0; j < n; ++j) {
      const float update = decayed(w.update[j] * shorter, y[j]);
      count += agree(decrease(y[j], z[j], update), update);
    }
    return count;
  }

  // New y and z. `kept`: what an element of y that moves is taken back by, under cautious.
  // clause: PPSF-Z-002 f37679bd
  // clause: PPSF-Z-003 ab92e5c3
  // clause: PPSF-M-002 dd8e6b2b
  // clause: PPSF-M-001 9062a592
  // clause: PPSF-W-002 04320623
  template <Extent WITH, class Rounding, class Weight, class Update>
  void averaged(Weight* y, Weight* z, i64 n, Update of, float shorter, float kept, const u32* words, float* sampled) const {
    const float mix = float(c.mix), y_step = float(c.y_step), z_step = float(c.z_step);
    const float y_decay = float(c.y_decay), z_decay = float(c.z_decay);
    const bool at_z = c.at_z, grams = c.grams, cautious = c.cautious;
#pragma omp simd
    for (i64 j = 0; j < n; ++j) {
      const float old_y = widened(y[j]), old_z = widened(z[j]), shortened = of(j) * shorter;
      sampled[j] = at_z ? old_z : old_y;
      const float update = WITH >= DECAY ? decayed(shortened, old_y) : shortened;
      float new_y = old_y + (old_z - old_y) * mix - update * y_step, new_z = old_z - update * z_step;
      if (WITH == MASKS) {
        const float back = decrease(old_y, old_z, update);
        new_y = cautious ? old_y - back * (agree(back, update) ? kept : 0.0f) : new_y;
        new_y = grams ? old_y - std::fabs(back) * sign(update) : new_y;
      }
      if (WITH >= DECAY) {
        new_y = y_decay != 0 ? new_y - old_y * y_decay : new_y;
        new_z = z_decay != 0 ? new_z - old_y * z_decay : new_z;
      }
      Rounding::put(y[j], z[j], new_y, new_z, words[j]);
    }
  }

  // New weights where nothing is averaged.
  // clause: PPSF-Z-012 ec80dd2d
  template <class Rounding, class Weight, class Update>
  void single(Weight* y, i64 n, Update of, float shorter, const u32* words, float* sampled) const {
    const float y_decay = float(c.y_decay), step = float(c.z_step);
#pragma omp simd
    for (i64 j = 0; j < n; ++j) {
      const float old = widened(y[j]);
      sampled[j] = old;
      Rounding::put(y[j], (old - old * y_decay) - of(j) * shorter * step, words[j]);
    }
  }

  struct Nearest {
    template <class Weight>
    static void put(Weight& y, float value, u32) { store(y, value, half_way(value)); }
    template <class Weight>
    static void put(Weight& y, Weight& z, float new_y, float new_z, u32) {
      store(y, new_y, half_way(new_y)), store(z, new_z, half_way(new_z));
    }
  };
  struct Stochastic {  // y takes the lower half of a word, z the upper one
    template <class Weight>
    static void put(Weight& y, float value, u32 word) { store(y, value, word & 0xffff); }
    template <class Weight>
    static void put(Weight& y, Weight& z, float new_y, float new_z, u32 word) {
      store(y, new_y, word & 0xffff), store(z, new_z, word >> 16);
    }
  };

  template <class Rounding, class Weight>
  void put_weights(Weight* y, i64 first, i64 n, float shorter, float kept, Buffers& w) const {
    y += first;
    Weight* z = static_cast<Weight*>(t.z) + first;
    // A processor foresees what is read in order, but not beyond the time in which words are drawn.
    constexpr bool draws = std::is_same_v<Rounding, Stochastic>;
    if (draws && t.z) fetch(z + CHUNK, n);
    const auto average = [&](auto with) {
      with_updates(first, n, w, [&](i64 at, i64 count, auto of) {
        averaged<decltype(with)::value, Rounding>(y + at, z + at, count, of, shorter, kept, w.words + at, w.sampled + at);
      });
    };
    if (!c.averages)
      with_updates(first, n, w, [&](i64 at, i64 count, auto of) {
        single<Rounding>(y + at, count, of, shorter, w.words + at, w.sampled + at);
      });
    else if (c.cautious || c.grams) average(std::integral_constant<Extent, MASKS>());
    else if (c.y_decay != 0 || c.z_decay != 0 || c.update_decay != 0) average(std::integral_constant<Extent, DECAY>());
    else average(std::integral_constant<Extent, USUAL>());
    if (draws) fetch(y + CHUNK, n);  // not before: memory shall have work while samples are taken
  }

  void put_all_weights(i64 first, i64 n, float shorter, float kept, Buffers& w) const {
    if (!half(Y)) return put_weights<Nearest>(static_cast<float*>(t.y), first, n, shorter, kept, w);
    BFloat16* y = static_cast<BFloat16*>(t.y);
    if (!c.stochastic) return put_weights<Nearest>(y, first, n, shorter, kept, w);
    random_words(u64(c.seed), u64(c.k), u64(t.index), first, w.words);
    put_weights<Stochastic>(y, first, n, shorter, kept, w);
  }

  // Moves the moments and the weights of one chunk.
  void move(i64 first, i64 n, float shorter, float kept, Buffers& w) const {
    if (c.writes_y) put_all_weights(first, n, shorter, kept, w);
    else updated(first, n, w);
    if (c.has_moment) write(t.m, half(MOMENT), first, w.m, n);
    if (t.v) std::memcpy(static_cast<float*>(t.v) + first, w.v, n * sizeof(float));
  }

  // --------------------------------------------------------------------------------------------------- the statistics

  // Takes the samples in elements first .. first + n of a chunk whose weights have moved, if they do.
  void sample(i64 first, i64 n, Samples& of, Buffers& w) const {
    const i64 stride = i64(c.stride), from = (first + stride - 1) / stride, count = (first + n + stride - 1) / stride - from;
    if (of.count + count > CHUNK) settle(of, w);
    if (of.count == 0) of.from = from;
    float *g = of.grad + of.count, *way = of.way + of.count;
    of.count += count;
    for (const Array array : {X0, S})  // soon settled
      typed((&t.grad)[array], half(array), [=](auto* values) { fetch(values + from, count); });
    reader(GRAD).every(stride, from, count, g);
    if (c.moves && c.writes_y)
      for (i64 i = 0; i < count; ++i) way[i] = w.sampled[(from + i) * stride - first];
    else reader(c.at_z ? Z : Y).every(stride, from, count, way);
    const float penalty = float(c.penalty);  // weights in a penalty are not averaged: what is sampled is y
    if (penalty != 0)
      for (i64 i = 0; i < count; ++i) g[i] += way[i] * penalty;
  }

  // Adds what was sampled to the two statistics; renews s.
  void settle(Samples& of, Buffers& w) const {
    const i64 n = of.count;
    float* g = of.grad;
    const float *x0 = reader(X0).at(of.from, n, w.m), *s = reader(S).at(of.from, n, w.v);
    const float beta3 = float(c.beta3), weight = float(c.sum_weight);
    double products = 0, sizes = 0;
    // clause: PPSF-D-002 d788f0e1
#pragma omp simd reduction(+ : products)
    for (i64 i = 0; i < n; ++i) products += double(g[i]) * double(x0[i] - of.way[i]);
    if (c.by_signs)
      for (i64 i = 0; i < n; ++i) g[i] = sign(g[i]);
    else if (c.amplifies)
      for (i64 i = 0; i < n; ++i) g[i] = std::copysign(std::sqrt(std::fabs(g[i])), g[i]);
    // clause: PPSF-D-003 e3d54af9
    // clause: PPSF-D-004 58e6761c
#pragma omp simd reduction(+ : sizes)
    for (i64 i = 0; i < n; ++i) {
      w.z[i] = s[i] * beta3 + g[i] * weight;
      sizes += std::fabs(double(w.z[i]));
    }
    if (c.adapts) write(t.s, half(S), of.from, w.z, n);
    of.inner += products, of.norm += sizes, of.count = 0;
  }
};
