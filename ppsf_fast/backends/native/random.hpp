// Philox4x32-7. A word is kept in the lower half of 64 bits; what is in the upper half is nobody's business.

#pragma once

#include <cstring>

#include "layout.hpp"

#if defined(__AVX512F__)
#include <immintrin.h>
typedef u64 Words __attribute__((vector_size(64)));
inline Words product(Words a, u64 b) { return Words(_mm512_mul_epu32(__m512i(a), _mm512_set1_epi64(i64(b)))); }
#elif defined(__AVX2__)
#include <immintrin.h>
typedef u64 Words __attribute__((vector_size(32)));
inline Words product(Words a, u64 b) { return Words(_mm256_mul_epu32(__m256i(a), _mm256_set1_epi64x(i64(b)))); }
#else
typedef u64 Words __attribute__((vector_size(16)));
inline Words product(Words a, u64 b) { return (a & 0xffffffff) * b; }
#endif

constexpr i64 LANES = sizeof(Words) / sizeof(u64);
constexpr i64 CHAINS = LANES;  // run side by side, since each step of a chain waits for the one before
static_assert(CHUNK % (4 * LANES * CHAINS) == 0, "a chunk is whole draws");

// Stores the words of LANES counters: in turn a pair of each of two vectors.
inline void store_in_turn(u32* words, Words low, Words high) {
#if defined(__AVX512F__)
  const __m512i first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), last = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
  _mm512_storeu_si512(words, _mm512_permutex2var_epi64(__m512i(low), first, __m512i(high)));
  _mm512_storeu_si512(words + 2 * LANES, _mm512_permutex2var_epi64(__m512i(low), last, __m512i(high)));
#else
  u64 pairs[2 * LANES];
  for (i64 lane = 0; lane < LANES; ++lane) pairs[2 * lane] = low[lane], pairs[2 * lane + 1] = high[lane];
  std::memcpy(words, pairs, sizeof pairs);
#endif
}

// The words of elements first .. first + CHUNK of a parameter.
// clause: PPSF-R-004 0cde3f96
inline void random_words(u64 seed, u64 step, u64 index, i64 first, u32* words) {
  Words lanes{};
  for (i64 lane = 0; lane < LANES; ++lane) lanes[lane] = u64(lane);
  for (i64 j = 0; j < CHUNK / 4; j += LANES * CHAINS) {
    Words c0[CHAINS], c1[CHAINS], c2[CHAINS], c3[CHAINS];
    for (i64 chain = 0; chain < CHAINS; ++chain) {
      c0[chain] = lanes + u64(first / 4 + j + chain * LANES);
      c1[chain] = c0[chain] >> 32;
      c2[chain] = Words{} + index;
      c3[chain] = Words{};
    }
    u32 key0 = u32(seed), key1 = u32(step);
#pragma GCC unroll 7
    for (int round = 0; round < 7; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u)
      for (i64 chain = 0; chain < CHAINS; ++chain) {
        const Words p0 = product(c0[chain], 0xD2511F53u), p2 = product(c2[chain], 0xCD9E8D57u);
        c0[chain] = (p2 >> 32) ^ c1[chain] ^ u64(key0), c2[chain] = (p0 >> 32) ^ c3[chain] ^ u64(key1);
        c1[chain] = p2, c3[chain] = p0;
      }
    for (i64 chain = 0; chain < CHAINS; ++chain) {
      const Words low = (c0[chain] & 0xffffffff) | (c1[chain] << 32), high = (c2[chain] & 0xffffffff) | (c3[chain] << 32);
      store_in_turn(words + 4 * (j + chain * LANES), low, high);
    }
  }
}
