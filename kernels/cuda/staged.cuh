// A product's factors in shared memory: tiles copied there asynchronously, some steps ahead.
#pragma once

#include "kernels/cuda/port.cuh"
#include "kernels/math/bfloat16.hpp"

namespace elbo::cuda {

inline constexpr unsigned kProductThreads = 256;

/// A factor of a product in memory. "Outer" is the dimension it shares with the result, rows of the
/// left factor or columns of the right; the other is the depth, which the product sums over.
template <class T>
struct Factor {
  const T* data;
  int32_t outer;
  int32_t depth;
  bool vector;  // 16-byte accesses are possible
};

/// How a tile of kOuter by kDepth elements lies in shared memory: as it does in the array, where
/// the depth (kAlongDepth) or the outer dimension is the contiguous one. Lines are padded so that
/// the accesses of a warp fall into different banks.
template <class T, int kOuter, int kDepth, bool kAlongDepth>
struct StagedTile {
  static constexpr int kChunk = 16 / static_cast<int>(sizeof(T));  // elements in 16 bytes
  static constexpr int kLength = kAlongDepth ? kDepth : kOuter;
  static constexpr int kLines = kAlongDepth ? kOuter : kDepth;
  static constexpr int kPitch = kLength + (kAlongDepth ? kChunk : 8);
  static constexpr int kElements = kLines * kPitch;
  static constexpr bool along_depth = kAlongDepth;

  /// Starts copying the tile at (first_outer, first_depth); what lies outside becomes zero. All of
  /// the block's threads take part.
  ELBO_DEVICE static void load(T* stage, const Factor<T>& factor, int first_outer,
                               int first_depth) {
    constexpr int kChunksPerLine = kLength / kChunk;
    const int lines = kAlongDepth ? factor.outer : factor.depth;
    const int length = kAlongDepth ? factor.depth : factor.outer;
    for (int c = static_cast<int>(threadIdx.x); c < kLines * kChunksPerLine; c += kProductThreads) {
      const int place = c % kChunksPerLine * kChunk;
      const int line = (kAlongDepth ? first_outer : first_depth) + c / kChunksPerLine;
      const int column = (kAlongDepth ? first_depth : first_outer) + place;
      const bool inside = line < lines;
      const T* from = factor.data + (inside ? int64_t{line} * length : 0);
      T* to = stage + c / kChunksPerLine * kPitch + place;
      if (factor.vector) {
        const bool present = inside && column < length;
        copy_async16(to, from + (present ? column : 0), present);
        continue;
      }
      for (int i = 0; i < kChunk; ++i) {
        const bool present = inside && column + i < length;
        copy_element(to + i, from + (present ? column + i : 0), present);
      }
    }
  }

  ELBO_DEVICE static T at(const T* stage, int outer, int depth) {
    return kAlongDepth ? stage[outer * kPitch + depth] : stage[depth * kPitch + outer];
  }

 private:
  ELBO_DEVICE static void copy_element(float* to, const float* from, bool present) {
    copy_async4(to, from, present);
  }
  // Asynchronous copies are of 4 bytes or more.
  ELBO_DEVICE static void copy_element(math::Bfloat16* to, const math::Bfloat16* from,
                                       bool present) {
    *to = present ? *from : math::Bfloat16{};
  }
};

}  // namespace elbo::cuda
