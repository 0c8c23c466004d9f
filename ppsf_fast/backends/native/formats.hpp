// float32 and bfloat16 in memory, float32 in registers; one rounding per stored value.

#pragma once

#include <cstring>

#include "layout.hpp"

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

// Rounds to bfloat16 by adding to the half that goes; NaN would carry, and stays what it is.
inline void store(BFloat16& place, float value, u32 added) {
  const u32 bits = bits_of(value);
  place.bits = u16((value == value ? bits + added : bits | 0x400000) >> 16);
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

// Asks for memory that is needed soon, so that arithmetic hides its way into the cache.
template <class Value>
inline void fetch(const Value* from, i64 n) {
  const char* place = reinterpret_cast<const char*>(from);
  for (i64 byte = 0; byte < n * i64(sizeof(Value)); byte += 64) __builtin_prefetch(place + byte, 0, 2);
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
