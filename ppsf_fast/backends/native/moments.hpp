// The second moment of a factored tensor.
//
// The tensor is seen as [O, A, M, B, I]: A and B are the two factored axes in the order of memory, the others are merged.
// Its two means are over A (a vector over (m, b, i) for each o) and over B (over (a, m, i)).

#pragma once

#include "weights.hpp"

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
inline void add_squares(const float* g, i64 n, i64 I, double* over_a, double* over_b) {
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

// The same for pieces of R rows that follow each other, I = 1, with SUMS sums side by side for each row, since each sum
// waits for the one before. One row after the other is memory in order; with four, long `over_a` is fetched less often.
template <int R, int SUMS, class Gradient>
void add_squares_of_rows(const Gradient* g, i64 row, i64 n, double* over_a, double* over_b) {
  Doubles sums[R][SUMS] = {};
  i64 j = 0;
  for (; j + SUMS * DOUBLES <= n; j += SUMS * DOUBLES)
    for (i64 k = 0; k < SUMS; ++k) {
      const i64 at = j + k * DOUBLES;
      Doubles a;
      std::memcpy(&a, over_a + at, sizeof a);
      for (i64 r = 0; r < R; ++r) {
        const Doubles value = doubles(g + r * row + at), square = value * value;
        a += square, sums[r][k] += square;
      }
      std::memcpy(over_a + at, &a, sizeof a);
    }
  for (i64 r = 0; r < R; ++r) {
    double sum = 0;
    for (i64 k = 0; k < SUMS; ++k) sum += sum_of(sums[r][k]);
    for (i64 i = j; i < n; ++i) {
      const double value = widened(g[r * row + i]), square = value * value;
      over_a[i] += square, sum += square;
    }
    over_b[r] += sum;
  }
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
inline Short short_rows(i64 length) {
  switch (length) {
    case 4: return add_squares_of_short<4>;
    case 8: return add_squares_of_short<8>;
    case 16: return add_squares_of_short<16>;
    case 32: return add_squares_of_short<32>;
    default: return nullptr;
  }
}

// Renews the moments of a factored tensor, in three stages: sum(), collect(), renew().
class Factored {
 public:
  // `kept`: room for the means that outlives the scratch memory, or null.
  Factored(const Item& t, const Numbers& c, char* scratch, float* kept) : t(t), c(c), split(t) {
    sums_a = reinterpret_cast<double*>(scratch);
    sums_b = sums_a + split.sums_over_a(t);
    over_a = kept ? kept : reinterpret_cast<float*>(sums_b + split.sums_over_b(t));
    over_b = over_a + size_of_a();
  }

  static i64 means(const Item& t) { return t.O * t.M * t.I * (t.A + t.B); }
  static i64 bytes(const Item& t) {
    const Split split(t);
    return 8 * (split.sums_over_a(t) + split.sums_over_b(t)) + 4 * means(t) + 64;
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
      typed(t.grad, at.half(GRAD), [&](const auto* g) {
        g += o * t.A * length + left;
        const i64 n = right - left;
        if (length > NEAR)
          for (; r + 4 <= to; r += 4) add_squares_of_rows<4, 1>(g + r * length, length, n, a + left, b + r);
        for (; r < to; ++r) add_squares_of_rows<1, 4>(g + r * length, length, n, a + left, b + r);
      });
    for (; r < to * t.M; ++r)
      for (i64 j = left; j < right; j += most)
        if (most > CHUNK) wide(o, r, j, std::min(most, right - j), a, b, at, w);
        else {
          const i64 n = std::min(most, right - j);
          const float* g = at.gradient((o * t.A * t.M + r) * length + j, n, w);
          add_squares(g, n, t.I, a + r % t.M * length + j, b + r * t.I);
        }
  }

  // Makes means of the sums; returns whether these show that every element that was squared is allowed.
  bool collect() {
    mean(sums_a, split.panels, size_of_a() / t.O, t.A, over_a);
    return mean(sums_b, split.blocks, size_of_b() / t.O, t.B, over_b);
  }

  // Renews the moments by the means, and leaves the factors of the divisor in their place.
  void renew() {
    const bool row_is_b = t.row_is_over_b;
    blend(row_is_b ? t.col : t.row, row_is_b ? COL : ROW, over_a, size_of_a());
    blend(row_is_b ? t.row : t.col, row_is_b ? ROW : COL, over_b, size_of_b());
    for (i64 o = 0; o < t.O; ++o)
      for (i64 m = 0; m < t.M; ++m)
        for (i64 i = 0; i < t.I; ++i) {
          float* over_one = row_is_b ? over_b + (o * t.A * t.M + m) * t.I + i : over_a + (o * t.M + m) * t.B * t.I + i;
          normalize(over_one, row_is_b ? t.A : t.B, row_is_b ? t.M * t.I : t.I);
        }
    for (i64 j = 0; j < size_of_a(); ++j) over_a[j] = std::sqrt(over_a[j]);
    for (i64 j = 0; j < size_of_b(); ++j) over_b[j] = std::sqrt(over_b[j]);
  }

  float *over_a, *over_b;

 private:
  const Item& t;
  const Numbers& c;
  Split split;
  double *sums_a, *sums_b;

  i64 size_of_a() const { return t.O * t.M * t.B * t.I; }
  i64 size_of_b() const { return t.O * t.A * t.M * t.I; }

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

  // Means, rounded once to float32, from the sums of the parts in their order; returns whether all sums are so small
  // that no square in them reaches 2^112; the half leaves room for rounding.
  // clause: PPSF-V-003 e56301e2
  // clause: PPSF-V-011 bfc8a7dc
  bool mean(double* sums, i64 parts, i64 n, i64 count, float* means) const {
    double whole = 0;
    for (i64 o = 0; o < t.O; ++o, sums += parts * n, means += n) {
      for (i64 p = 1; p < parts; ++p)
        for (i64 j = 0; j < n; ++j) sums[j] += sums[p * n + j];
      for (i64 j = 0; j < n; ++j) means[j] = float(sums[j] / double(count));
#pragma omp simd reduction(+ : whole)
      for (i64 j = 0; j < n; ++j) whole += sums[j];
    }
    return whole < 0x1p111;
  }

  void blend(void* state, Array which, float* mean, i64 n) const {
    const float keep = float(c.keep), gain = float(c.gain);
    typed(state, t.half >> which & 1, [=](auto* moment) {
      for (i64 j = 0; j < n; ++j) {
        mean[j] = widened(moment[j]) * keep + mean[j] * gain;
        store(moment[j], mean[j], half_way(mean[j]));
      }
    });
  }

  static void normalize(float* values, i64 n, i64 step) {
    double sum = 0;
    for (i64 j = 0; j < n; ++j) sum += values[j * step];
    const float mean = float(sum / double(n));
    for (i64 j = 0; j < n; ++j) values[j * step] = mean > 0 ? values[j * step] / mean : 0.0f;
  }
};
