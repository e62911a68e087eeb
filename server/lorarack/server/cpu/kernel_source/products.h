// y += B (A x) for up to eight rows at a time, over weights that `pack_a` and `pack_b` have laid out in the order of use.
//
// A (rank, inputs) and B (outputs, rank) are read once per tile of rows, front to back:
//   A: for each block of up to 16 ranks, vectors of (ranks, group) words along the inputs; group is 16 / ranks
//   B: for each 16 outputs, for each word of ranks, a vector of one word per output
// Ranks are padded with zeros to 4, 8 or a multiple of 16, outputs to a multiple of 16.
#pragma once

#include <algorithm>

#include "words.h"

namespace lorarack {

constexpr int kTile = 8;  // rows that share a pass: enough to hide the latency of a multiply-add, few enough for the registers
constexpr int kMaxRank = 512;
constexpr int kInputsMultiple = 8;  // words of a narrow adapter must not reach over the end of a row: 4 words of 2

inline int padded_rank(int rank) { return rank <= 4 ? 4 : rank <= 8 ? 8 : (rank + 15) / 16 * 16; }
inline int64_t padded_outputs(int64_t outputs) { return (outputs + kLanes - 1) / kLanes * kLanes; }

// Both are given as rows of T with a distance between rows in scalars; `to` must be zero.
template <class T>
void pack_a(const typename T::Scalar* a, int64_t stride, int rank, int64_t inputs, typename T::Scalar* to) {
  const int ranks = std::min(padded_rank(rank), kLanes), group = kLanes / ranks, per = T::kPerWord;
  for (int r = 0; r < rank; ++r) {
    auto* block = to + int64_t(r / ranks) * ranks * inputs + int64_t(r % ranks) * group * per;
    for (int64_t k = 0; k < inputs; k += group * per)
      std::memcpy(block + k * ranks, a + r * stride + k, group * per * sizeof *a);
  }
}

template <class T>
void pack_b(const typename T::Scalar* b, int64_t stride, int rank, int64_t outputs, typename T::Scalar* to) {
  const int padded = padded_rank(rank), per = T::kPerWord, whole = rank / per * per;
  for (int64_t j = 0; j < outputs; ++j) {
    auto* block = to + j / kLanes * kLanes * padded + j % kLanes * per;
    for (int r = 0; r < whole; r += per) std::memcpy(block + r * kLanes, b + j * stride + r, per * sizeof *b);
    for (int r = whole; r < rank; ++r) block[r / per * kLanes * per + r % per] = b[j * stride + r];
  }
}

// The lines of a full tile's rows, asked for one by one while something else is computed. A long prompt's rows lie in far
// caches, and each is too short for the processor to foresee.
struct Ahead {
  const char* rows[kTile];
  int64_t bytes = 0, row = 0, offset = 0;  // no bytes: nothing to ask for

  void next() {
    if (offset >= bytes) return;
    __builtin_prefetch(rows[row] + offset);
    if (++row == kTile) row = 0, offset += 64;
  }
};

// sums[row, rank] = A x, for M rows of `words` words each.
template <class T, int M, int group>
void shrink(const char* const* x, int64_t words, const uint32_t* a, int rank, float* sums, Ahead soon) {
  constexpr int steps = M == 1 ? 4 : M == 2 ? 2 : 1;  // independent sums where there are few rows
  constexpr int ranks = kLanes / group;
  for (int block = 0; block < rank; block += ranks) {
    Floats sum[M][steps] = {};
    int64_t k = 0;
    for (; k + steps * group <= words; k += steps * group, a += steps * kLanes) {
      if constexpr (M == kTile) soon.next();
#pragma GCC unroll 4
      for (int u = 0; u < steps; ++u) {
        const Words weights = load<Words>(a + u * kLanes);
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i)
          sum[i][u] = T::multiply_add(sum[i][u], weights, repeat<group>(x[i] + 4 * (k + u * group)));
      }
    }
    for (; k < words; k += group, a += kLanes)
      for (int i = 0; i < M; ++i)
        sum[i][0] = T::multiply_add(sum[i][0], load<Words>(a), repeat<group>(x[i] + 4 * k));
    for (int i = 0; i < M; ++i) {
      for (int u = 1; u < steps; ++u) sum[i][0] += sum[i][u];
      for (int r = 0; r < ranks; ++r) {
        float total = 0;
        for (int g = 0; g < group; ++g) total += sum[i][0][r * group + g];
        sums[i * rank + block + r] = total;
      }
    }
  }
}

// y[row, column, +16 U) += B s for M rows; of the last vector, `used` columns exist.
template <class T, int M, int U, class Y>
inline void expand_columns(typename Y::Scalar* const* y, int64_t column, int used, const uint32_t* b, int words,
                           const uint32_t* s) {
  Floats sum[M][U];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      const auto* at = y[i] + column + u * kLanes;
      if (used == kLanes) {
        sum[i][u] = Y::read(at);
      } else {
        typename Y::Scalar edge[kLanes] = {};
        std::memcpy(edge, at, used * sizeof *at);
        sum[i][u] = Y::read(edge);
      }
    }
  for (int k = 0; k < words; ++k)
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      const Words weights = load<Words>(b + (u * words + k) * kLanes);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) sum[i][u] = T::multiply_add(sum[i][u], weights, splat(s[i * words + k]));
    }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      auto* at = y[i] + column + u * kLanes;
      if (used == kLanes) {
        Y::write(at, sum[i][u]);
      } else {
        typename Y::Scalar edge[kLanes] = {};
        Y::write(edge, sum[i][u]);
        std::memcpy(at, edge, used * sizeof *at);
      }
    }
}

// y[row, 0 to outputs) += B s for M rows: added in float32, rounded to y's type once.
template <class T, int M, class Y>
void expand(typename Y::Scalar* const* y, int64_t outputs, const uint32_t* b, int words, const uint32_t* s, Ahead soon) {
  constexpr int U = M <= 2 ? 4 : 2;
  int64_t column = 0;
  for (; column + U * kLanes <= outputs; column += U * kLanes, b += int64_t(U) * words * kLanes) {
    if constexpr (M == kTile)
      for (int i = 0; i < M; ++i) soon.next();
    expand_columns<T, M, U, Y>(y, column, kLanes, b, words, s);
  }
  for (; column < outputs; column += kLanes, b += words * kLanes)
    expand_columns<T, M, 1, Y>(y, column, int(std::min<int64_t>(kLanes, outputs - column)), b, words, s);
}

// y[row] += B (A x[row]) for M rows. `rank` is the padded one. In between, s has x's precision, as in PEFT. `next` is what will
// be x after this.
template <class T, int M, class Y>
void add_products(const char* const* x, typename Y::Scalar* const* y, int64_t inputs, int64_t outputs, int rank,
                  const uint32_t* a, const uint32_t* b, const Ahead& next) {
  alignas(64) float sums[M * kMaxRank];
  alignas(64) uint32_t words[M * kMaxRank];
  const int64_t depth = inputs / T::kPerWord;
  Ahead soon;
  if constexpr (M == kTile) {
    std::copy_n(reinterpret_cast<const char* const*>(y), M, soon.rows);
    soon.bytes = outputs * int64_t(sizeof **y);
  }
  if (rank == 4) shrink<T, M, 4>(x, depth, a, rank, sums, soon);
  else if (rank == 8) shrink<T, M, 2>(x, depth, a, rank, sums, soon);
  else shrink<T, M, 1>(x, depth, a, rank, sums, soon);
  const int between = rank / T::kPerWord;
  for (int i = 0; i < M; ++i) T::to_words(sums + i * rank, rank, words + i * between);
  expand<T, M, Y>(y, outputs, b, between, words, next);
}

}  // namespace lorarack
