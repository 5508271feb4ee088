// The arithmetic of products whose operands, floats in memory, are rounded to bfloat16 while they
// are packed into words of two neighbours along K (bfloat16_kernels.hpp).
#pragma once

#include <algorithm>

#include "kernels/cpu/bfloat16_kernels.hpp"
#include "kernels/cpu/packing.hpp"
#include "kernels/cpu/product.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

class Bfloat16Product {
 public:
  static constexpr int kTileRows = Bfloat16Kernels::kTileRows;
  static_assert(kTileVectors == Bfloat16Kernels::kTileVectors);

  explicit Bfloat16Product(const Bfloat16Kernels& kernels) : kernels_(kernels) { kernels_.begin(); }
  ~Bfloat16Product() { kernels_.end(); }
  Bfloat16Product(const Bfloat16Product&) = delete;
  Bfloat16Product& operator=(const Bfloat16Product&) = delete;

  static constexpr int64_t depth(int64_t inner) { return blocks(inner) * kLanes; }
  static constexpr int64_t left_size(int64_t inner) { return kTileRows * depth(inner); }

  void pack_right(const Factor& b, int64_t columns, Range vectors, Range inner,
                  float* packed) const {
    const int64_t width = (vectors.end - vectors.begin) * kLanes, column = vectors.begin * kLanes;
    const int64_t there = std::min(width, columns - column), count = inner.end - inner.begin;
    const float* from = b.data + column * b.line_step + inner.begin * b.inner_step;
    if (b.line_step == 1) {
      round_lines(from, b.inner_step, count, there, packed, width);
      return;
    }
    const int64_t words = depth(count);
    float* lines = thread_scratch(Scratch::kernel, kLanes * words);
    for (int64_t c = 0; c < width; c += kLanes) {
      const int64_t some = std::clamp<int64_t>(there - c, 0, kLanes);
      for (int64_t l = 0; l < some; ++l)
        kernels_.round_line(from + (c + l) * b.line_step, count, lines + l * words, kLanes);
      pack_lines(lines, words, some, words, packed + c, width);
    }
  }

  const float* pack_left(const Factor& a, Range rows, Range inner, float* packed) const {
    constexpr int64_t kBlock = kTileRows * kLanes;
    const int64_t there = rows.end - rows.begin, count = inner.end - inner.begin;
    const float* from = a.data + rows.begin * a.line_step + inner.begin * a.inner_step;
    if (a.inner_step == 1) {
      for (int64_t r = 0; r < there; ++r)
        kernels_.round_line(from + r * a.line_step, count, packed + r * kLanes, kBlock);
      for (int64_t block = 0; block < blocks(count); ++block)
        std::fill(packed + block * kBlock + there * kLanes, packed + (block + 1) * kBlock, 0.0f);
      return packed;
    }
    alignas(64) float lines[kLanes * kTileRows];
    for (int64_t k = 0; k < count;
         k += 2 * kLanes, packed += kBlock, from += 2 * kLanes * a.inner_step) {
      round_lines(from, a.inner_step, std::min<int64_t>(count - k, 2 * kLanes), there, lines,
                  kTileRows);
      pack_lines(lines, kTileRows, kLanes, kTileRows, packed, kLanes);
    }
    return packed - blocks(count) * kBlock;
  }

  void sum(const float* left, int rows, int vectors, int64_t inner, const float* panel, bool first,
           float* sums, int64_t step) const {
    kernels_.sum[vectors - 1][first ? 1 : 0](blocks(inner), left, panel, rows, sums, step);
  }

 private:
  static constexpr int64_t blocks(int64_t inner) { return (inner + 2 * kLanes - 1) / (2 * kLanes); }

  /// to[word, line] for `count` numbers along K, `step` floats apart, of `there` lines; zeros up to
  /// whole blocks and `width` lines.
  void round_lines(const float* from, int64_t step, int64_t count, int64_t there, float* to,
                   int64_t width) const {
    const int64_t words = depth(count);
    for (int64_t w = 0; w < words; ++w, to += width) {
      const float* even = from + 2 * w * step;
      if (2 * w < count)
        kernels_.round_pair(even, 2 * w + 1 < count ? even + step : nullptr, there, to, width);
      else
        std::fill(to, to + width, 0.0f);
    }
  }

  const Bfloat16Kernels& kernels_;
};

}  // namespace elbo::cpu::ELBO_CPU_ISA
