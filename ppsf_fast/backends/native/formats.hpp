// float32 and bfloat16 in memory, float32 in registers; one rounding per stored value.

#pragma once

#include <cstring>

#include "layout.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

struct BFloat16 {
  u16 bits;
};

inline u32 bits_of(float value) {
  u32 bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline float widened(float value) { return value; }
inline float widened(BFloat16 value) {
  const u32 bits = u32(value.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, 4);
  return wide;
}

// As many elements side by side as fill a register; compilers of today split conversions of vectors unless told how, and
// take vectors that are longer than a register through memory.
#if defined(__AVX512F__)
constexpr i64 DOUBLES = 8;
#elif defined(__AVX2__)
constexpr i64 DOUBLES = 4;
#else
constexpr i64 DOUBLES = 2;
#endif
typedef double Doubles __attribute__((vector_size(8 * DOUBLES)));
typedef float Floats __attribute__((vector_size(4 * DOUBLES)));
inline Floats floats(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof values);
  return values;
}
inline Floats floats(const BFloat16* from) {
  typedef u32 Bits __attribute__((vector_size(4 * DOUBLES)));
  Bits bits;
#if defined(__AVX512F__)
  bits = Bits(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#elif defined(__AVX2__)
  bits = Bits(_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#else
  for (i64 i = 0; i < DOUBLES; ++i) bits[i] = from[i].bits;
#endif
  return Floats(bits << 16);
}
template <class Value>
inline Doubles doubles(const Value* from) {
#if defined(__AVX512F__)
  return Doubles(_mm512_cvtps_pd(__m256(floats(from))));
#elif defined(__AVX2__)
  return Doubles(_mm256_cvtps_pd(__m128(floats(from))));
#else
  return __builtin_convertvector(floats(from), Doubles);
#endif
}
inline double sum_of(Doubles values) {
  double sum = 0;
  for (i64 i = 0; i < DOUBLES; ++i) sum += values[i];
  return sum;
}

// Rounds to bfloat16 by adding to the half that goes. NaN would carry, and stays what it is: one that arithmetic gives is
// quiet, so that its upper half is NaN too.
inline void store(BFloat16& place, float value, u32 added) {
  place.bits = u16((bits_of(value) + (value == value ? added : 0)) >> 16);
}
inline void store(float& place, float value, u32) { place = value; }

// What is added to round to the nearest, ties to even.
inline u32 half_way(float value) { return 0x7fff + (bits_of(value) >> 16 & 1); }

// Calls work(typed pointer) for an array of either format.
template <class Work>
inline void typed(void* data, bool half, Work work) {
  if (half) work(static_cast<BFloat16*>(data));
  else work(static_cast<float*>(data));
}

inline void write(void* data, bool half, i64 first, const float* values, i64 n) {
  typed(data, half, [=](auto* to) {
    to += first;
#pragma omp simd
    for (i64 j = 0; j < n; ++j) store(to[j], values[j], half_way(values[j]));
  });
}

// Asks for memory that is needed soon.
template <class Value>
inline void fetch(const Value* from, i64 n) {
  constexpr i64 LINE = 64 / sizeof(Value);
  for (i64 j = 0; j < n; j += LINE) __builtin_prefetch(from + j);
}

struct Reader {  // an array that is read as float32
  void* data;
  bool half;
  const float* at(i64 first, i64 n, float* buffer) const {
    if (!half) return static_cast<const float*>(data) + first;
    const BFloat16* from = static_cast<const BFloat16*>(data) + first;
    for (i64 j = 0; j < n; ++j) buffer[j] = widened(from[j]);
    return buffer;
  }
  // Elements stride * from, stride * (from + 1), ...
  void every(i64 stride, i64 from, i64 n, float* buffer) const {
    typed(data, half, [=](const auto* values) {
      values += stride * from;
      for (i64 i = 0; i < n; ++i) buffer[i] = widened(values[i * stride]);
    });
  }
  // Whether elements first .. first + n are finite and below 2^56: the exponent says both.
  bool allowed(i64 first, i64 n) const {
    u32 found = 0;
    typed(data, half, [&](const auto* values) {
      values += first;
      u32 most = 0;
#pragma omp simd reduction(max : most)
      for (i64 j = 0; j < n; ++j) {
        const u32 exponent = bits_of(widened(values[j])) & 0x7f800000;
        most = exponent > most ? exponent : most;
      }
      found = most;
    });
    return found < bits_of(0x1p56f);
  }
};
