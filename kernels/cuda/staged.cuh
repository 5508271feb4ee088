// A product's factors in shared memory: tiles copied there asynchronously, some steps ahead.
#pragma once

#include "kernels/cuda/port.cuh"
#include "kernels/math/bfloat16.hpp"

namespace elbo::cuda {

inline constexpr unsigned kProductThreads = 256;

/// Where an element of a factor lies; `from` is not read where it is absent, which counts as zero.
template <class T>
struct Source {
  const T* from;
  bool present;
};

// A factor of a product in memory has two dimensions: the depth, which the product sums over, and
// the "outer" one, which it shares with the result, rows of the left factor or columns of the
// right. Whichever of them is not contiguous numbers the factor's lines. A kind of factor has
//   line(i)     the i-th line, whose at(column) is the Source of an element
//   vector      whether elements of a line can be copied 16 bytes at a time
// and this is the plain kind. Others compute where their elements lie (kernels/cuda/window.cuh).
template <class T>
struct Factor {
  const T* data;
  int32_t lines;
  int32_t length;  // elements of a line
  int32_t pitch;   // elements between the starts of lines
  bool vector;

  struct Line {
    const T* data;
    int32_t length;
    bool inside;

    ELBO_DEVICE Source<T> at(int column) const {
      const bool present = inside && column < length;
      return {data + (present ? column : 0), present};
    }
  };
  ELBO_DEVICE Line line(int i) const {
    const bool inside = i < lines;
    return {data + (inside ? int64_t{i} * pitch : 0), length, inside};
  }
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

  /// Starts copying the tile at (first_outer, first_depth); what is absent becomes zero. All of the
  /// block's threads take part.
  template <class Factor>
  ELBO_DEVICE static void load(T* stage, const Factor& factor, int first_outer, int first_depth) {
    constexpr int kChunksPerLine = kLength / kChunk;
    for (int c = static_cast<int>(threadIdx.x); c < kLines * kChunksPerLine; c += kProductThreads) {
      const int place = c % kChunksPerLine * kChunk;
      const int number = c / kChunksPerLine;
      const auto line = factor.line((kAlongDepth ? first_outer : first_depth) + number);
      const int column = (kAlongDepth ? first_depth : first_outer) + place;
      T* to = stage + number * kPitch + place;
      if (factor.vector) {
        const Source<T> source = line.at(column);
        copy_async16(to, source.from, source.present);
        continue;
      }
      for (int i = 0; i < kChunk; ++i) {
        const Source<T> source = line.at(column + i);
        copy_element(to + i, source.from, source.present);
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
