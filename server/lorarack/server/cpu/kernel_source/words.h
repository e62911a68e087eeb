// Sixteen words of 32 bits: one float each, or two bfloat16 that are neighbours along the axis that is summed.
//
// Written in GCC's vector extension, so that one source serves AVX-512, AVX2, SSE and NEON. Processors with AVX512_BF16
// multiply both halves of a word and add them up in one instruction. Sums are always float32.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace lorarack {

constexpr int kLanes = 16;

typedef float Floats __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint64_t Longs __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

template <class V>
inline V load(const void* from) {
  V value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline Words splat(uint32_t word) { return Words{} + word; }

// `count` neighbouring words, over and over.
template <int count>
inline Words repeat(const char* from) {
  static_assert(count == 1 || count == 2 || count == 4);
  if constexpr (count == 1) return splat(load<uint32_t>(from));
  if constexpr (count == 2) return (Words)(Longs{} + load<uint64_t>(from));
  if constexpr (count == 4) {
    typedef uint32_t Four __attribute__((vector_size(16)));
    const Four q = load<Four>(from);
    return __builtin_shufflevector(q, q, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  }
}

struct Float32 {
  using Scalar = float;
  static constexpr int kPerWord = 1;

  static Floats multiply_add(Floats sum, Words a, Words b) { return sum + (Floats)a * (Floats)b; }
  static void to_words(const float* values, int count, uint32_t* words) { std::memcpy(words, values, count * sizeof(float)); }
  static float round(float value) { return value; }
  static float to_float(float value) { return value; }
  static Floats read(const float* from) { return load<Floats>(from); }
  static void write(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }
};

struct BFloat16 {
  using Scalar = uint16_t;
  static constexpr int kPerWord = 2;

  static Floats multiply_add(Floats sum, Words a, Words b) {
#ifdef __AVX512BF16__
    return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
    sum += (Floats)(a << 16) * (Floats)(b << 16);
    return sum + (Floats)(a & 0xffff0000u) * (Floats)(b & 0xffff0000u);
#endif
  }

  static void to_words(const float* values, int count, uint32_t* words) {
    for (int i = 0; i < count; i += 2) words[i / 2] = rounded(values[i]) | rounded(values[i + 1]) << 16;
  }

  static uint16_t round(float finite) {
    const uint32_t bits = load<uint32_t>(&finite);
    return uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
  static float to_float(uint16_t value) {
    const uint32_t bits = uint32_t(value) << 16;
    return load<float>(&bits);
  }

  static Floats read(const uint16_t* from) {
    return (Floats)(__builtin_convertvector(load<Halves>(from), Words) << 16);
  }

  static void write(uint16_t* to, Floats values) {
#ifdef __AVX512BF16__
    const __m256bh halves = _mm512_cvtneps_pbh((__m512)values);
#else
    const Words bits = (Words)values;
    const Words even = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const Words is_nan = (Words)((bits & 0x7fffffffu) > 0x7f800000u);
    const Halves halves = __builtin_convertvector((is_nan & ((bits >> 16) | 0x40u)) | (~is_nan & even), Halves);
#endif
    std::memcpy(to, &halves, sizeof halves);
  }

 private:
  static uint32_t rounded(float value) {  // to the nearest bfloat16, ties to even; NaN stays NaN
    const uint32_t bits = load<uint32_t>(&value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  }
};

}  // namespace lorarack
