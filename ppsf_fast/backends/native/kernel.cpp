// The step of revised optimizers on a CPU: whole tensors, contiguous, float32 or bfloat16, one call for a list of them.
//
// Everything is computed on chunks of a few hundred elements that stay in the first-level cache, in float32; sums are
// taken in double, in an order that the shape alone decides: neither the number of threads nor what else is in the list
// changes a bit. Small tensors are spread over the threads, large ones are worked on by all of them.
//
// A factored tensor is seen as [O, A, M, B, I]: A and B are the two factored axes in the order of memory, the others are
// merged. Its two means are over A (a vector over (m, b, i) for each o) and over B (over (a, m, i)).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <omp.h>

namespace {

using i64 = std::int64_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr i64 CHUNK = 512;       // elements that a stage works on; a multiple of 4, for the random bits
constexpr i64 TASK = 32768;      // elements that a thread takes at once; a multiple of CHUNK
constexpr i64 BLOCK = 4096;      // elements of a row that a thread sums at once
constexpr i64 SMALL = 131072;    // elements up to which a tensor is left to one thread
constexpr i64 PERIOD = 64;       // elements of a pattern, at least; short trailing axes repeat in it
constexpr i64 PANELS = 16;       // parts of axis A that are summed apart, at most

// One tensor, as the host lays it out: 64-bit words. A pointer is 0 where there is no such array.
struct Item {
  void *grad, *y, *z, *m, *v, *row, *col, *x0, *s;
  i64 half;              // bit i: array i of those above is bfloat16
  i64 numel, index;      // number of elements; position of the parameter
  i64 O, A, M, B, I;     // geometry of a factored tensor
  i64 row_is_over_b;     // whether `row` is the mean over B
};
enum Array { GRAD, Y, Z, MOMENT, V, ROW, COL, X0, S };

// What multiplies the arrays of a group: all doubles on the way, most of them float32 numbers.
struct Numbers {
  double measures, moves, writes_y, adapts, averages, cautious, grams, has_moment, atan2, clip, stochastic;
  double keep, gain, share, beta1, moment_gain, unit, eps, inner_scale, outer_scale, bound;
  double mix, z_step, y_step, y_decay, z_decay, update_decay, penalty;
  double beta3, item_weight, sum_weight, at_z, by_signs, amplifies, stride, seed, k;
};
// How many elements are taken at once where positions in an axis of length I repeat: whole repetitions of a short one.
inline i64 repeats(i64 I) { return I > PERIOD ? PERIOD : I * ((PERIOD + I - 1) / I); }

enum Clip { NONE, BOUNDED, SOFT };

// ------------------------------------------------------------------------------------------------ loading and storing

inline float widened(std::uint16_t half) {
  u32 bits = u32(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline std::uint16_t upper(float value, u32 added) {
  u32 bits;
  std::memcpy(&bits, &value, 4);
  u32 moved = (bits + added) >> 16;
  u32 nan = (bits >> 16) | 0x40;
  return std::uint16_t((bits & 0x7fffffff) > 0x7f800000 ? nan : moved);
}

inline std::uint16_t nearest(float value) {
  u32 bits;
  std::memcpy(&bits, &value, 4);
  return upper(value, 0x7fff + ((bits >> 16) & 1));
}

struct Reader {  // an array that is read as float32
  const void* data;
  bool half;
  const float* at(i64 first, i64 n, float* buffer) const {
    if (!half) return static_cast<const float*>(data) + first;
    const std::uint16_t* from = static_cast<const std::uint16_t*>(data) + first;
    for (i64 j = 0; j < n; ++j) buffer[j] = widened(from[j]);
    return buffer;
  }
  // Elements stride * from, stride * (from + 1), ...
  void every(i64 stride, i64 from, i64 n, float* buffer) const {
    if (half) {
      const std::uint16_t* values = static_cast<const std::uint16_t*>(data) + stride * from;
      for (i64 i = 0; i < n; ++i) buffer[i] = widened(values[i * stride]);
    } else {
      const float* values = static_cast<const float*>(data) + stride * from;
      for (i64 i = 0; i < n; ++i) buffer[i] = values[i * stride];
    }
  }
  float one(i64 e) const {
    return half ? widened(static_cast<const std::uint16_t*>(data)[e]) : static_cast<const float*>(data)[e];
  }
};

inline void write_one(void* data, bool half, i64 e, float value) {
  if (half) static_cast<std::uint16_t*>(data)[e] = nearest(value);
  else static_cast<float*>(data)[e] = value;
}

// Stores with one rounding; noise: bits for stochastic rounding, or null.
inline void write(void* data, bool half, i64 first, const float* values, i64 n, const u32* noise) {
  if (!half) {
    float* to = static_cast<float*>(data) + first;
    if (to != values) std::memcpy(to, values, n * sizeof(float));
    return;
  }
  std::uint16_t* to = static_cast<std::uint16_t*>(data) + first;
  if (noise)
    for (i64 j = 0; j < n; ++j) to[j] = upper(values[j], noise[j]);
  else
    for (i64 j = 0; j < n; ++j) to[j] = nearest(values[j]);
}

// Philox4x32-10 for elements first .. first + n: the noise of y (low halves) and of z (high halves).
// clause: PPSF-R-004 01ac67d9
void random_bits(u32 seed, u32 step, i64 index, i64 first, i64 n, u32* noise_y, u32* noise_z) {
  constexpr i64 MOST = CHUNK / 4;
  u32 c0[MOST], c1[MOST], c2[MOST], c3[MOST];
  const i64 blocks = (n + 3) / 4;
  for (i64 j = 0; j < blocks; ++j) {
    const u64 block = u64(first / 4 + j);
    c0[j] = u32(block), c1[j] = u32(block >> 32), c2[j] = u32(index), c3[j] = 0;
  }
  u32 key0 = seed, key1 = step;
  for (int round = 0; round < 10; ++round) {
    for (i64 j = 0; j < blocks; ++j) {
      const u64 p0 = u64(c0[j]) * 0xD2511F53u, p2 = u64(c2[j]) * 0xCD9E8D57u;
      c0[j] = u32(p2 >> 32) ^ c1[j] ^ key0, c2[j] = u32(p0 >> 32) ^ c3[j] ^ key1;
      c1[j] = u32(p2), c3[j] = u32(p0);
    }
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  u32 words[CHUNK];
  for (i64 j = 0; j < blocks; ++j)
    words[4 * j] = c0[j], words[4 * j + 1] = c1[j], words[4 * j + 2] = c2[j], words[4 * j + 3] = c3[j];
  for (i64 j = 0; j < n; ++j) noise_y[j] = words[j] & 0xffff, noise_z[j] = words[j] >> 16;
}

// ------------------------------------------------------------------------------------------------------------- stages

// Both arguments as in atan2, x >= 0: in double, so that it rounds almost correctly.
inline float angle(float over, float under) {
  const double a = std::fabs(double(over)), x = under;
  const bool steep = a > x;
  const double least = steep ? x : a, most = steep ? a : x;
  const double infinite = least == most ? 1.0 : 0.0;
  double t = most == 0.0 ? 0.0 : least / most;
  t = most == HUGE_VAL ? infinite : t;
  const bool far = t > 0.41421356237309503;
  const double r = far ? (t - 1) / (t + 1) : t, q = r * r;
  // The series of atan to r^19: the remainder is below 0.4143^21 / 21 = 5e-10, under a hundredth of a unit of float32.
  double sum = -1.0 / 19;
  sum = sum * q + 1.0 / 17, sum = sum * q - 1.0 / 15, sum = sum * q + 1.0 / 13, sum = sum * q - 1.0 / 11;
  sum = sum * q + 1.0 / 9, sum = sum * q - 1.0 / 7, sum = sum * q + 1.0 / 5, sum = sum * q - 1.0 / 3;
  double result = r + r * q * sum + (far ? 0.78539816339744831 : 0.0);
  result = steep ? 1.5707963267948966 - result : result;
  return std::copysign(float(result), over);
}

double sum_of_squares(const float* values, i64 n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (i64 j = 0; j < n; ++j) sum += double(values[j]) * double(values[j]);
  return sum;
}

inline float sign(float value) { return value > 0 ? 1.0f : value < 0 ? -1.0f : value; }

// What a step works on between its stages, for one chunk.
struct Buffers {
  alignas(64) float grad[CHUNK], y[CHUNK], z[CHUNK], m[CHUNK], v[CHUNK], denom[CHUNK], update[CHUNK], new_y[CHUNK], new_z[CHUNK];
  u32 noise_y[CHUNK], noise_z[CHUNK];
};

// The divisor in whole short rows: over_b of the row times over_a.
template <int N>
void short_divisor(const float* over_a, const float* over_b, i64 rows, float* denom) {
  for (i64 r = 0; r < rows; ++r, denom += N) {
    const float factor = over_b[r];
    for (int j = 0; j < N; ++j) denom[j] = over_a[j] * factor;
  }
}

struct Task {
  const Item& t;
  const Numbers& c;
  const float *over_a, *over_b;  // factors of the divisor: over (o, m, b, i) and over (o, a, m, i)

  Reader reader(Array array) const { return {(&t.grad)[array], bool(t.half >> array & 1)}; }
  bool half(Array array) const { return t.half >> array & 1; }

  // Fetches the chunk after this one into the cache: arithmetic on one hides the way of the next.
  void fetch(Array array, i64 first) const {
    const i64 size = half(array) ? 2 : 4, from = first + CHUNK, to = std::min(from + CHUNK, t.numel);
    const char* data = static_cast<const char*>((&t.grad)[array]);
    if (data)
      for (i64 e = from; e < to; e += 64 / size) __builtin_prefetch(data + e * size);
  }

  // The gradient, with an l2 penalty where it is asked for.
  const float* gradient(i64 first, i64 n, Buffers& w) const {
    const float* g = reader(GRAD).at(first, n, w.grad);
    if (c.penalty == 0) return g;
    const float* y = reader(Y).at(first, n, w.y);
    const float penalty = float(c.penalty);
    for (i64 j = 0; j < n; ++j) w.grad[j] = g[j] + y[j] * penalty;
    return w.grad;
  }

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
    i64 row = first / length, column = first % length;
    for (i64 done = 0; done < n;) {
      const i64 count = std::min(n - done, length - column);
      const i64 o = row / (t.A * t.M), m = row % t.M;
      const float* a = over_a + (o * t.M + m) * length + column;
      const float* b = over_b + row * t.I;
      if (t.I == 1) {
        const float factor = *b;
        for (i64 j = 0; j < count; ++j) denom[done + j] = a[j] * factor;
      } else {
        float pattern[2 * PERIOD];
        const i64 period = repeats(t.I);
        for (i64 j = 0; j < count; j += period) {
          const i64 some = std::min(period, count - j);
          if (j == 0 || t.I > PERIOD)
            for (i64 k = 0, i = (column + j) % t.I; k < some; ++k, i = i + 1 == t.I ? 0 : i + 1) pattern[k] = b[i];
          for (i64 k = 0; k < some; ++k) denom[done + j + k] = a[j + k] * pattern[k];
        }
      }
      done += count, column = 0, ++row;
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

  // The update before it is clipped, in w.update; w.m and w.v are new moments where there are any.
  const float* updated(i64 first, i64 n, Buffers& w) const {
    fetch(GRAD, first);
    const float* g = gradient(first, n, w);
    if (t.v) own_divisor(g, first, n, w);
    else factored_divisor(first, n, w.denom);
    const float unit = float(c.unit);
    const float* over = g;
    if (c.has_moment) {
      // clause: PPSF-U-010 3667548e
      const float* m = reader(MOMENT).at(first, n, w.m);
      const float beta1 = float(c.beta1), gain = float(c.moment_gain);
      for (i64 j = 0; j < n; ++j) w.m[j] = m[j] * beta1 + g[j] * gain;
      over = w.m;
    } else if (c.unit != 1) {
      // clause: PPSF-U-011 46ab4792
      for (i64 j = 0; j < n; ++j) w.update[j] = g[j] * unit;
      over = w.update;
    }
    const float eps = float(c.eps), in = float(c.inner_scale), out = float(c.outer_scale);
    // clause: PPSF-U-003 fd609a87
    // clause: PPSF-U-013 abd36150
    // clause: PPSF-U-002 9f1c013e
    // clause: PPSF-U-012 a1c3be3d
    if (c.atan2)
      for (i64 j = 0; j < n; ++j) w.update[j] = angle(over[j], w.denom[j] * in) * out;
    else
      for (i64 j = 0; j < n; ++j) w.update[j] = over[j] / (w.denom[j] + eps);
    return g;
  }

  void shortened(float by, i64 n, Buffers& w) const {
    const float inverse = 1 / by;
    if (by != 1)
      for (i64 j = 0; j < n; ++j) w.update[j] *= inverse;
  }

  // How far y is taken back by the average and the update together.
  void decrease(const float* y, const float* z, i64 n, Buffers& w) const {
    const float mix = float(c.mix), step = float(c.y_step);
    for (i64 j = 0; j < n; ++j) w.new_y[j] = (y[j] - z[j]) * mix + w.update[j] * step;
  }

  // clause: PPSF-W-001 29728ec4
  void decayed(const float* y, i64 n, Buffers& w) const {
    const float decay = float(c.update_decay);
    if (decay != 0)
      for (i64 j = 0; j < n; ++j) w.update[j] += y[j] * decay;
  }

  double square_sum(i64 first, i64 n, Buffers& w) const {
    updated(first, n, w);
    return sum_of_squares(w.update, n);
  }

  // How many elements of y move in the direction of the update.
  double agreeing(i64 first, i64 n, float shorter, Buffers& w) const {
    updated(first, n, w);
    shortened(shorter, n, w);
    const float *y = reader(Y).at(first, n, w.y), *z = reader(Z).at(first, n, w.z);
    decayed(y, n, w);
    decrease(y, z, n, w);
    i64 count = 0;
    for (i64 j = 0; j < n; ++j) count += sign(w.new_y[j]) * sign(w.update[j]) > 0;
    return double(count);
  }

  // The new y and z, where nothing is masked; in place if need be.
  void averaged(const float* y, const float* z, i64 n, const float* update, float* new_y, float* new_z) const {
    const float mix = float(c.mix), y_step = float(c.y_step), z_step = float(c.z_step);
    // clause: PPSF-Z-002 f37679bd
    // clause: PPSF-Z-003 ab92e5c3
#pragma omp simd
    for (i64 j = 0; j < n; ++j) {
      const float old_y = y[j], old_z = z[j];
      new_y[j] = old_y + (old_z - old_y) * mix - update[j] * y_step;
      new_z[j] = old_z - update[j] * z_step;
    }
  }

  // The same where only a part of what y is taken back by is taken.
  void masked(const float* y, const float* z, float share, i64 n, Buffers& w, float* new_y, float* new_z) const {
    const float z_step = float(c.z_step), kept = 1 / share;
    decrease(y, z, n, w);
    // clause: PPSF-M-002 dd8e6b2b
    // clause: PPSF-M-001 9062a592
    if (c.grams)
#pragma omp simd
      for (i64 j = 0; j < n; ++j) new_y[j] = y[j] - std::fabs(w.new_y[j]) * sign(w.update[j]);
    else
#pragma omp simd
      for (i64 j = 0; j < n; ++j)
        new_y[j] = y[j] - w.new_y[j] * (sign(w.new_y[j]) * sign(w.update[j]) > 0 ? kept : 0.0f);
#pragma omp simd
    for (i64 j = 0; j < n; ++j) new_z[j] = z[j] - w.update[j] * z_step;
  }

  // Moves the moments and the weights.
  // `look` sees the elements while they are in the cache, and before weights change.
  template <class Look>
  void apply(i64 first, i64 n, float shorter, float share, Buffers& w, Look look) const {
    for (const Array array : {Y, Z, MOMENT, V}) fetch(array, first);
    updated(first, n, w);
    if (c.has_moment) write(t.m, half(MOMENT), first, w.m, n, nullptr);
    if (t.v) std::memcpy(static_cast<float*>(t.v) + first, w.v, n * sizeof(float));
    if (!c.writes_y) return look();
    shortened(shorter, n, w);
    const bool noisy = c.stochastic && (half(Y) || (t.z && half(Z)));
    if (noisy) random_bits(u32(u64(c.seed)), u32(u64(c.k)), t.index, first, n, w.noise_y, w.noise_z);
    look();
    const float* y = reader(Y).at(first, n, w.y);
    float* new_y = place(Y, first, w.new_y);
    const float y_decay = float(c.y_decay), z_decay = float(c.z_decay), z_step = float(c.z_step);
    if (c.averages) {
      const float* z = reader(Z).at(first, n, w.z);
      float* new_z = place(Z, first, w.new_z);
      decayed(y, n, w);
      // clause: PPSF-W-002 04320623
      if (y_decay != 0 || z_decay != 0) y = kept(y, n, w);
      if (c.cautious || c.grams) masked(y, z, share, n, w, new_y, new_z);
      else averaged(y, z, n, w.update, new_y, new_z);
      if (y_decay != 0)
        for (i64 j = 0; j < n; ++j) new_y[j] -= y[j] * y_decay;
      if (z_decay != 0)
        for (i64 j = 0; j < n; ++j) new_z[j] -= y[j] * z_decay;
      if (half(Z)) write(t.z, true, first, new_z, n, noisy ? w.noise_z : nullptr);
    } else {
      // clause: PPSF-Z-012 ec80dd2d
#pragma omp simd
      for (i64 j = 0; j < n; ++j) new_y[j] = (y[j] - y[j] * y_decay) - w.update[j] * z_step;
    }
    if (half(Y)) write(t.y, true, first, new_y, n, noisy ? w.noise_y : nullptr);
  }

  // Where new weights are computed: in place, or where they are rounded from.
  float* place(Array array, i64 first, float* buffer) const {
    return half(array) ? buffer : static_cast<float*>((&t.grad)[array]) + first;
  }

  // Weights as they are before they move.
  const float* kept(const float* y, i64 n, Buffers& w) const {
    if (y != w.y) std::copy(y, y + n, w.y);
    return w.y;
  }

  // Adds the samples in elements first .. first + n to the two statistics; renews s.
  void measure(i64 first, i64 n, double& inner, double& norm, Buffers& w) const {
    const i64 stride = i64(c.stride), end = (first + n + stride - 1) / stride;
    for (i64 from = (first + stride - 1) / stride; from < end; from += CHUNK)
      measure_some(from, std::min(CHUNK, end - from), stride, inner, norm, w);
  }

  void measure_some(i64 from, i64 n, i64 stride, double& inner, double& norm, Buffers& w) const {
    float *g = w.grad, *way = w.y, *sum = w.z;
    reader(GRAD).every(stride, from, n, g);
    const float penalty = float(c.penalty), beta3 = float(c.beta3), weight = float(c.sum_weight);
    if (penalty != 0) {
      reader(Y).every(stride, from, n, way);
      for (i64 i = 0; i < n; ++i) g[i] += way[i] * penalty;
    }
    reader(c.at_z ? Z : Y).every(stride, from, n, way);
    const float *x0 = reader(X0).at(from, n, w.m), *s = reader(S).at(from, n, w.v);
    double products = 0, sizes = 0;
    // clause: PPSF-D-002 d788f0e1
#pragma omp simd reduction(+ : products)
    for (i64 i = 0; i < n; ++i) products += double(g[i]) * double(x0[i] - way[i]);
    if (c.by_signs)
      for (i64 i = 0; i < n; ++i) g[i] = sign(g[i]);
    else if (c.amplifies)
      for (i64 i = 0; i < n; ++i) g[i] = std::copysign(std::sqrt(std::fabs(g[i])), g[i]);
    // clause: PPSF-D-003 e3d54af9
    for (i64 i = 0; i < n; ++i) sum[i] = s[i] * beta3 + g[i] * weight;
    // clause: PPSF-D-004 58e6761c
#pragma omp simd reduction(+ : sizes)
    for (i64 i = 0; i < n; ++i) sizes += std::fabs(double(sum[i]));
    if (c.adapts) write(t.s, half(S), from, sum, n, nullptr);
    inner += products, norm += sizes;
  }
};

// ---------------------------------------------------------------------------------------------------- factored moments

// How the sums over a factored tensor are split: by its shape alone.
struct Split {
  i64 panels, blocks, block;
  explicit Split(const Item& t) {
    panels = std::clamp<i64>(std::min(t.numel / (t.O * 2 * TASK), t.A / 64), 1, PANELS);
    block = t.I * std::max<i64>(1, BLOCK / t.I);
    blocks = (t.B * t.I + block - 1) / block;
  }
  i64 sums_over_a(const Item& t) const { return t.O * panels * t.M * t.B * t.I; }
  i64 sums_over_b(const Item& t) const { return t.O * blocks * t.A * t.M * t.I; }
};

// Adds the squares of a piece of a row to `over_a`, element by element, and to `over_b`, by the position in I.
void add_squares(const float* g, i64 n, i64 I, double* over_a, double* over_b) {
  if (I == 1) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (i64 j = 0; j < n; ++j) {
      const double square = double(g[j]) * double(g[j]);
      over_a[j] += square;
      sum += square;
    }
    *over_b += sum;
    return;
  }
  double sums[2 * PERIOD] = {};
  const i64 period = repeats(I);
  for (i64 j = 0; j < n; j += period) {
    const i64 some = std::min(period, n - j);
    for (i64 k = 0; k < some; ++k) {
      const double square = double(g[j + k]) * double(g[j + k]);
      over_a[j + k] += square;
      sums[k] += square;
    }
    if (I > PERIOD || j + period >= n)
      for (i64 k = 0, i = j % I; k < period; ++k, i = i + 1 == I ? 0 : i + 1) over_b[i] += sums[k], sums[k] = 0;
  }
}

// The same for four rows at once, I = 1: the sums over A are read and written once for all of them.
void add_squares_of_four(const float* const* g, i64 n, double* over_a, double* const* over_b) {
  const float *g0 = g[0], *g1 = g[1], *g2 = g[2], *g3 = g[3];
  double sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
  for (i64 j = 0; j < n; ++j) {
    const double s0 = double(g0[j]) * double(g0[j]), s1 = double(g1[j]) * double(g1[j]);
    const double s2 = double(g2[j]) * double(g2[j]), s3 = double(g3[j]) * double(g3[j]);
    over_a[j] += (s0 + s1) + (s2 + s3);
    sum0 += s0, sum1 += s1, sum2 += s2, sum3 += s3;
  }
  *over_b[0] += sum0, *over_b[1] += sum1, *over_b[2] += sum2, *over_b[3] += sum3;
}

// The same for `rows` short rows that follow each other, N elements each, I = 1.
template <int N>
void add_squares_of_short(const float* g, i64 rows, double* over_a, double* over_b) {
  double a[N];
  std::copy(over_a, over_a + N, a);
  for (i64 r = 0; r < rows; ++r, g += N) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < N; ++j) {
      const double square = double(g[j]) * double(g[j]);
      a[j] += square;
      sum += square;
    }
    over_b[r] += sum;
  }
  std::copy(a, a + N, over_a);
}

using Short = void (*)(const float*, i64, double*, double*);
Short short_rows(i64 length) {
  switch (length) {
    case 4: return add_squares_of_short<4>;
    case 8: return add_squares_of_short<8>;
    case 16: return add_squares_of_short<16>;
    case 32: return add_squares_of_short<32>;
    default: return nullptr;
  }
}

// Renews the moments of a factored tensor; leaves the factors of its divisor.
class Factored {
 public:
  Factored(const Item& t, const Numbers& c, char* scratch) : t(t), c(c), split(t) {
    sums_a = reinterpret_cast<double*>(scratch);
    sums_b = sums_a + split.sums_over_a(t);
    over_a = reinterpret_cast<float*>(sums_b + split.sums_over_b(t));
    over_b = over_a + t.O * t.M * t.B * t.I;
  }

  static i64 bytes(const Item& t) {
    const Split split(t);
    const i64 means = t.O * t.M * t.I * (t.A + t.B);
    return 8 * (split.sums_over_a(t) + split.sums_over_b(t)) + 4 * means + 64;
  }

  i64 tasks() const { return t.O * split.panels * split.blocks; }

  // Sums of squares of one part of the tensor.
  void sum(i64 task, Buffers& w) const {
    const i64 block = task % split.blocks, panel = task / split.blocks % split.panels;
    const i64 o = task / (split.blocks * split.panels), length = t.B * t.I;
    const i64 from = t.A * panel / split.panels, to = t.A * (panel + 1) / split.panels;
    const i64 left = block * split.block, right = std::min(left + split.block, length);
    double* a = sums_a + (o * split.panels + panel) * t.M * length;
    double* b = sums_b + (o * split.blocks + block) * t.A * t.M * t.I;
    for (i64 m = 0; m < t.M; ++m) std::fill(a + m * length + left, a + m * length + right, 0.0);
    std::fill(b + from * t.M * t.I, b + to * t.M * t.I, 0.0);
    const Task at{t, c, nullptr, nullptr};
    const i64 most = t.I * std::max<i64>(1, CHUNK / t.I);
    i64 r = from * t.M;
    if (const Short add = t.I == 1 && t.M == 1 ? short_rows(length) : nullptr) {
      for (i64 count; r < to; r += count) {
        count = std::min(CHUNK / length, to - r);
        const float* g = at.gradient((o * t.A + r) * length, count * length, w);
        add(g, count, a, b + r);
      }
    } else if (t.I == 1 && t.M == 1 && c.penalty == 0)
      for (; r + 4 <= to; r += 4)
        for (i64 j = left; j < right; j += CHUNK) {
          const i64 n = std::min(CHUNK, right - j);
          float* const rooms[4] = {w.grad, w.y, w.z, w.m};
          const float* g[4];
          double* sums[4];
          for (i64 l = 0; l < 4; ++l)
            g[l] = at.reader(GRAD).at((o * t.A + r + l) * length + j, n, rooms[l]), sums[l] = b + r + l;
          add_squares_of_four(g, n, a + j, sums);
        }
    for (; r < to * t.M; ++r)
      for (i64 j = left; j < right; j += most)
        if (most > CHUNK) wide(o, r, j, std::min(most, right - j), a, b, at, w);
        else {
          const i64 n = std::min(most, right - j);
          const float* g = at.gradient((o * t.A * t.M + r) * length + j, n, w);
          add_squares(g, n, t.I, a + r % t.M * length + j, b + r * t.I);
        }
  }

  // Everything after the sums.
  void finish() {
    const i64 na = t.O * t.M * t.B * t.I, nb = t.O * t.A * t.M * t.I;
    collect(sums_a, t.O, split.panels, na / t.O, t.A, over_a);
    collect(sums_b, t.O, split.blocks, nb / t.O, t.B, over_b);
    const bool row_is_b = t.row_is_over_b;
    renew(row_is_b ? t.col : t.row, row_is_b ? COL : ROW, over_a, na);
    renew(row_is_b ? t.row : t.col, row_is_b ? ROW : COL, over_b, nb);
    for (i64 o = 0; o < t.O; ++o)
      for (i64 m = 0; m < t.M; ++m)
        for (i64 i = 0; i < t.I; ++i) {
          float* over_one = row_is_b ? over_b + (o * t.A * t.M + m) * t.I + i : over_a + (o * t.M + m) * t.B * t.I + i;
          normalize(over_one, row_is_b ? t.A : t.B, row_is_b ? t.M * t.I : t.I);
        }
    for (i64 j = 0; j < na; ++j) over_a[j] = std::sqrt(over_a[j]);
    for (i64 j = 0; j < nb; ++j) over_b[j] = std::sqrt(over_b[j]);
  }

  float *over_a, *over_b;

 private:
  const Item& t;
  const Numbers& c;
  Split split;
  double *sums_a, *sums_b;

  // A row whose trailing axis is longer than a chunk.
  void wide(i64 o, i64 r, i64 j, i64 n, double* a, double* b, const Task& at, Buffers& w) const {
    const i64 length = t.B * t.I;
    for (i64 k = 0; k < n; k += CHUNK) {
      const i64 count = std::min(CHUNK, n - k);
      const float* g = at.gradient((o * t.A * t.M + r) * length + j + k, count, w);
      for (i64 l = 0; l < count; ++l) {
        const double square = double(g[l]) * double(g[l]);
        a[r % t.M * length + j + k + l] += square;
        b[r * t.I + (j + k + l) % t.I] += square;
      }
    }
  }

  // Means, rounded once to float32, from the sums of the parts in their order.
  // clause: PPSF-V-003 e56301e2
  // clause: PPSF-V-011 bfc8a7dc
  static void collect(double* sums, i64 outer, i64 parts, i64 n, i64 count, float* means) {
    for (i64 o = 0; o < outer; ++o) {
      double* first = sums + o * parts * n;
      for (i64 p = 1; p < parts; ++p)
        for (i64 j = 0; j < n; ++j) first[j] += first[p * n + j];
      for (i64 j = 0; j < n; ++j) means[o * n + j] = float(first[j] / double(count));
    }
  }

  void renew(void* state, Array which, float* mean, i64 n) const {
    const Reader old{state, bool(t.half >> which & 1)};
    const float keep = float(c.keep), gain = float(c.gain);
    for (i64 j = 0; j < n; ++j) mean[j] = old.one(j) * keep + mean[j] * gain;
    for (i64 j = 0; j < n; ++j) write_one(state, old.half, j, mean[j]);
  }

  static void normalize(float* values, i64 n, i64 step) {
    double sum = 0;
    for (i64 j = 0; j < n; ++j) sum += values[j * step];
    const float mean = float(sum / double(n));
    for (i64 j = 0; j < n; ++j) values[j * step] = mean > 0 ? values[j * step] / mean : 0.0f;
  }
};

// --------------------------------------------------------------------------------------------------------- one tensor

// Runs work(task) for all tasks, on so many threads.
template <class Work>
void each(int threads, i64 tasks, Work work) {
  if (threads == 1) {  // also inside a parallel region, where another one would cost more than a small tensor
    Buffers w;
    for (i64 task = 0; task < tasks; ++task) work(task, w);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    Buffers w;
#pragma omp for schedule(dynamic)
    for (i64 task = 0; task < tasks; ++task) work(task, w);
  }
}

inline i64 parts(const Item& t) { return (t.numel + TASK - 1) / TASK; }

i64 scratch_bytes(const Item& t) { return 4 * 8 * parts(t) + 64 + (t.row ? Factored::bytes(t) : 0); }

// Runs value(first, n, w) over all chunks; returns the sum of the parts' sums, in their order.
template <class Value>
double total(int threads, const Item& t, double* sums, Value value) {
  each(threads, parts(t), [&](i64 task, Buffers& w) {
    double sum = 0;
    const i64 end = std::min(t.numel, (task + 1) * TASK);
    for (i64 first = task * TASK; first < end; first += CHUNK) sum += value(first, std::min(CHUNK, end - first), w);
    sums[task] = sum;
  });
  double sum = 0;
  for (i64 task = 0; task < parts(t); ++task) sum += sums[task];
  return sum;
}

float clipping(double squares, const Item& t, const Numbers& c) {
  const double rms = std::sqrt(squares / double(t.numel));
  // clause: PPSF-C-010 1213a55d
  // clause: PPSF-C-001 2d530c9c
  if (c.clip == SOFT) return float(std::sqrt(std::max(rms, 1.0)));
  return float(std::max(rms / c.bound, 1.0));
}

void step_one(int threads, const Item& t, const Numbers& c, char* scratch, double* result) {
  double* sums = reinterpret_cast<double*>(scratch);
  Task task{t, c, nullptr, nullptr};
  float shorter = 1, share = 1;
  if (c.moves) {
    if (t.row) {
      Factored moments(t, c, scratch + 4 * 8 * parts(t));
      each(threads, moments.tasks(), [&](i64 part, Buffers& w) { moments.sum(part, w); });
      moments.finish();
      task.over_a = moments.over_a, task.over_b = moments.over_b;
    }
    if (c.clip && c.writes_y)
      shorter = clipping(
          total(threads, t, sums, [&](i64 first, i64 n, Buffers& w) { return task.square_sum(first, n, w); }), t, c);
    if (c.cautious && c.writes_y)
      share = std::max(
          float(total(threads, t, sums,
                      [&](i64 first, i64 n, Buffers& w) { return task.agreeing(first, n, shorter, w); }) /
                double(t.numel)),
          1e-3f);
  }
  const bool measures = c.measures && t.s;
  double* norms = sums + parts(t);
  double inner = total(threads, t, sums, [&](i64 first, i64 n, Buffers& w) {
    double products = 0, sizes = 0;
    const auto look = [&] {
      if (measures) task.measure(first, n, products, sizes, w);
    };
    if (c.moves) task.apply(first, n, shorter, share, w, look);
    else look();
    double* norm = norms + first / TASK;
    *norm = (first % TASK ? *norm : 0.0) + sizes;
    return products;
  });
  double norm = 0;
  for (i64 part = 0; part < parts(t); ++part) norm += norms[part];
  if (c.by_signs) inner = inner > 0 ? 1 : inner < 0 ? -1 : inner;
  else if (c.amplifies) inner = std::copysign(std::sqrt(std::fabs(inner)), inner);
  result[0] = measures ? inner * c.item_weight : 0.0;
  result[1] = measures ? norm : 0.0;
}

}  // namespace

extern "C" {

// Sizes of the two layouts in 64-bit words, for the host to compare with its own.
i64 ppsf_words_of_item() { return sizeof(Item) / 8; }
i64 ppsf_words_of_numbers() { return sizeof(Numbers) / 8; }

// Bytes of scratch memory that ppsf_step needs for this list on so many threads.
i64 ppsf_scratch(const Item* items, i64 count, i64 threads) {
  i64 large = 0, small = 0;
  for (i64 i = 0; i < count; ++i) {
    i64& most = items[i].numel > SMALL ? large : small;
    most = std::max(most, scratch_bytes(items[i]));
  }
  small = (small + 63) / 64 * 64;
  return std::max(large, small * threads) + 64;
}

// Steps all items of one group. results: two doubles for each, its shares in the numerator and in the denominator.
void ppsf_step(const Item* items, i64 count, const Numbers* numbers, char* scratch, i64 bytes, i64 threads, double* results) {
  const i64 own = (bytes - 64) / threads / 64 * 64;
  char* const aligned = scratch + (64 - reinterpret_cast<std::uintptr_t>(scratch) % 64) % 64;
#pragma omp parallel for schedule(dynamic) num_threads(int(threads))
  for (i64 i = 0; i < count; ++i)
    if (items[i].numel <= SMALL)
      step_one(1, items[i], *numbers, aligned + omp_get_thread_num() * own, results + 2 * i);
  for (i64 i = 0; i < count; ++i)
    if (items[i].numel > SMALL) step_one(int(threads), items[i], *numbers, aligned, results + 2 * i);
}

}  // extern "C"
