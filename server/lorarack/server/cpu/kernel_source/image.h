// An adapter's weights as one block of words, packed in the order of use: made where adapters are fetched, read whole by the engine.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "products.h"

namespace lorarack {

// A and B of one slice of a layer; `a` and `b` count words from the image's start.
struct Piece {
  int64_t layer, slice, bfloat16, inputs, outputs, rank, a, b;

  int64_t per_word() const { return bfloat16 ? 2 : 1; }
  int64_t a_words() const { return padded_rank(int(rank)) * inputs / per_word(); }
  int64_t b_words() const { return padded_rank(int(rank)) * padded_outputs(outputs) / per_word(); }
  bool within(int64_t words) const {
    return a >= 0 && b >= 0 && a % kLanes == 0 && b % kLanes == 0 && a <= words - a_words() && b <= words - b_words();
  }
};

enum Type : int64_t { kFloat32, kFloat16, kBFloat16 };

// Where a piece's matrices are as published: bytes from the start of the weights, and what B is multiplied by.
struct Source {
  int64_t type, a, b;
  double scale;
};

inline float from_half(uint16_t half) {
  const uint32_t rest = half & 0x7fff;
  const uint32_t normal = rest >= 0x7c00 ? 0x7f800000u | (rest & 0x3ffu) << 13 : (rest << 13) + 0x38000000u;
  const float magnitude = rest < 0x400 ? float(rest) * 0x1p-24f : load<float>(&normal);  // below 0x400: zero and subnormal numbers
  return half & 0x8000 ? -magnitude : magnitude;
}

inline bool is_finite(uint32_t bits) { return (bits & 0x7f800000u) != 0x7f800000u; }

template <Type type>
inline float number(const char* from) {
  if constexpr (type == kFloat32) return load<float>(from);
  const uint16_t half = load<uint16_t>(from);
  if constexpr (type == kFloat16) return from_half(half);
  const uint32_t bits = uint32_t(half) << 16;
  return load<float>(&bits);
}

// `count` numbers in T, as torch rounds them: first to T, then once more where they are multiplied. Whether all are finite, before
// and after.
template <class T, Type type, bool scaled>
bool convert(const char* from, int64_t count, float scale, typename T::Scalar* to) {
  constexpr int size = type == kFloat32 ? 4 : 2;
  int all = 1;
  for (int64_t i = 0; i < count; ++i) {
    float value = number<type>(from + i * size);
    all &= is_finite(load<uint32_t>(&value));
    to[i] = T::round(value);
    value = T::to_float(to[i]);
    if constexpr (scaled) value = T::to_float(to[i] = T::round(value * scale));
    all &= is_finite(load<uint32_t>(&value));
  }
  return all;
}

template <class T, Type type>
bool convert(const char* from, int64_t count, float scale, typename T::Scalar* to) {
  return scale == 1 ? convert<T, type, false>(from, count, 1, to) : convert<T, type, true>(from, count, scale, to);
}

template <class T>
bool convert(int64_t type, const char* from, int64_t count, float scale, std::vector<typename T::Scalar>& to) {
  to.resize(count);
  if (type == kFloat32) return convert<T, kFloat32>(from, count, scale, to.data());
  if (type == kFloat16) return convert<T, kFloat16>(from, count, scale, to.data());
  return convert<T, kBFloat16>(from, count, scale, to.data());
}

template <class T>
bool pack_piece(const Source& source, const Piece& piece, const char* from, uint32_t* to) {
  using Scalar = typename T::Scalar;
  std::vector<Scalar> plain;
  const int rank = int(piece.rank);
  if (!convert<T>(source.type, from + source.a, rank * piece.inputs, 1, plain)) return false;
  pack_a<T>(plain.data(), piece.inputs, rank, piece.inputs, reinterpret_cast<Scalar*>(to + piece.a));
  if (!convert<T>(source.type, from + source.b, rank * piece.outputs, float(source.scale), plain)) return false;
  pack_b<T>(plain.data(), rank, rank, piece.outputs, reinterpret_cast<Scalar*>(to + piece.b));
  return true;
}

inline bool read_piece(int file, int64_t start, char* to, int64_t bytes) {
  while (bytes > 0) {
    const ssize_t got = pread(file, to, size_t(bytes), start);
    if (got <= 0) return false;
    to += got, start += got, bytes -= got;
  }
  return true;
}

// By all threads of the engine: all requests wait for it.
inline bool read_whole(int file, int64_t start, char* to, int64_t bytes) {
  constexpr int64_t kPiece = 1 << 20;
  const int64_t pieces = (bytes + kPiece - 1) / kPiece;
  int failed = 0;
#pragma omp parallel for schedule(static) reduction(| : failed) if (pieces > 1)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const int64_t at = piece * kPiece;
    failed |= !read_piece(file, start + at, to + at, std::min(kPiece, bytes - at));
  }
  return !failed;
}

}  // namespace lorarack
