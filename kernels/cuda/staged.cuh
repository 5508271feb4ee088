// Operands of a product in shared memory: tiles are copied asynchronously, several steps ahead.
#pragma once

#include "kernels/cuda/port.cuh"
#include "kernels/math/bfloat16.hpp"

namespace elbo::cuda {

inline constexpr unsigned kProductThreads = 256;

/// The address of an operand's element. If the element is absent, it counts as zero and `from` is
/// not read.
template <class T>
struct Source {
  const T* from;
  bool present;
};

// An operand in memory has two dimensions: the depth (K), and the outer one, which it shares with
// the result: rows of the left operand or columns of the right. The dimension that is not
// contiguous numbers the operand's lines. An operand type has
//   line(i)     the i-th line, whose at(column) is the Source of an element
//   vector      whether elements of a line can be copied 16 bytes at a time
// Factor is the plain type. Others compute the addresses of elements (kernels/cuda/window.cuh).
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

/// Layout of a tile of kOuter by kDepth elements in shared memory. It is the layout of the array,
/// with K (kAlongDepth) or the outer dimension contiguous. Lines are padded so that the accesses of
/// a warp hit different banks.
template <class T, int kOuter, int kDepth, bool kAlongDepth>
struct StagedTile {
  static constexpr int kChunk = 16 / static_cast<int>(sizeof(T));  // elements in 16 bytes
  static constexpr int kLength = kAlongDepth ? kDepth : kOuter;
  static constexpr int kLines = kAlongDepth ? kOuter : kDepth;
  static constexpr int kPitch = kLength + (kAlongDepth ? kChunk : 8);
  static constexpr int kElements = kLines * kPitch;
  static constexpr bool along_depth = kAlongDepth;

  /// Starts copying the tile at (first_outer, first_depth); absent elements become zero. All
  /// threads of the block take part.
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
  // Asynchronous copies have at least 4 bytes.
  ELBO_DEVICE static void copy_element(math::Bfloat16* to, const math::Bfloat16* from,
                                       bool present) {
    *to = present ? *from : math::Bfloat16{};
  }
};

}  // namespace elbo::cuda
