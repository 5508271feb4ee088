// How a block multiplies two staged tiles and accumulates: in float on CUDA cores, or on tensor
// cores with operands in TF32 or bfloat16. The depth (K) of a tile is divided into slices, each for
// some of the block's warps, because small results have too few elements to occupy all warps.
//
// A method has an Element type, a `depth` and an Accumulator with `kSlices`, `add` (accumulates one
// staged step) and `store` (writes its slice's sums to partial[slice][row][column]).
#pragma once

#include "kernels/cuda/staged.cuh"
#include "kernels/math/portable.hpp"

namespace elbo::cuda {

inline constexpr int kProductWarps = kProductThreads / kWarpSize;

/// Row stride of a tile of partial sums, in columns.
template <int kColumns>
inline constexpr int kPartialPitch = kColumns + 4;

/// A thread accumulates 4 x 4 elements and reads four steps of K at a time from shared memory.
struct FloatMethod {
  using Element = float;
  static constexpr int depth = 32;

  template <int kRows, int kColumns, class A, class B>
  class Accumulator {
    static constexpr int kAcross = kRows / 4, kAlong = kColumns / 4;

   public:
    static constexpr int kSlices = static_cast<int>(kProductThreads) / (kAcross * kAlong);

    ELBO_DEVICE void add(const float* a, const float* b) {
      constexpr int kSliceDepth = depth / kSlices;
      static_assert(kSliceDepth % 4 == 0);
      ELBO_UNROLL
      for (int k = 0; k < kSliceDepth; k += 4) {
        float left[4][4], right[4][4];
        load<A, kAcross>(left, a, row_, slice_ * kSliceDepth + k);
        load<B, kAlong>(right, b, column_, slice_ * kSliceDepth + k);
        ELBO_UNROLL
        for (int d = 0; d < 4; ++d)
          for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) sum_[i][j] = math::fma(left[i][d], right[j][d], sum_[i][j]);
      }
    }
    ELBO_DEVICE void store(float* partial) const {
      ELBO_UNROLL
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
          partial[(slice_ * kRows + place<A, kAcross>(row_, i)) * kPartialPitch<kColumns> +
                  place<B, kAlong>(column_, j)] = sum_[i][j];
    }

   private:
    /// A thread's i-th row or column: strided if neighbours along K are loaded together, contiguous
    /// if neighbours in the outer dimension are.
    template <class Staged, int kThreads>
    ELBO_DEVICE static int place(int thread, int i) {
      return Staged::along_depth ? thread + kThreads * i : 4 * thread + i;
    }
    template <class Staged, int kThreads>
    ELBO_DEVICE static void load(float (&values)[4][4], const float* stage, int thread, int k) {
      ELBO_UNROLL
      for (int line = 0; line < 4; ++line) {
        const float4 v = Staged::along_depth
                             ? load4(stage + (thread + kThreads * line) * Staged::kPitch + k)
                             : load4(stage + (k + line) * Staged::kPitch + 4 * thread);
        const float loaded[4] = {v.x, v.y, v.z, v.w};
        ELBO_UNROLL
        for (int i = 0; i < 4; ++i) {
          if (Staged::along_depth)
            values[line][i] = loaded[i];
          else
            values[i][line] = loaded[i];
        }
      }
    }

    int slice_ = static_cast<int>(threadIdx.x) / (kAcross * kAlong);
    int row_ = static_cast<int>(threadIdx.x) % kAcross;
    int column_ = static_cast<int>(threadIdx.x) / kAcross % kAlong;
    float sum_[4][4] = {};
  };
};

/// A warp accumulates 16 rows by 16 or 32 columns in the fragment layout of the tensor cores: lane
/// 4 g + t holds rows g and g + 8, columns (of 8) 2 t and 2 t + 1.
template <class Fragments>
struct TensorMethod {
  using Element = typename Fragments::Element;
  static constexpr int depth = 4 * Fragments::depth;

  template <int kRows, int kColumns, class A, class B>
  class Accumulator {
    static constexpr int kWarpColumns = kRows * kColumns > 1024 ? 32 : 16;
    static constexpr int kAcross = kRows / 16, kAlong = kColumns / kWarpColumns;

   public:
    static constexpr int kSlices = kProductWarps / (kAcross * kAlong);

    ELBO_DEVICE void add(const Element* a, const Element* b) {
      constexpr int kSliceDepth = depth / kSlices;
      static_assert(kSliceDepth % Fragments::depth == 0);
      ELBO_UNROLL
      for (int k = 0; k < kSliceDepth; k += Fragments::depth) {
        const int first = slice_ * kSliceDepth + k;
        uint32_t left[4];
        Fragments::template left<A>(left, a, row_ + group_, first, lane_);
        ELBO_UNROLL
        for (int j = 0; j < kWarpColumns / 8; ++j) {
          uint32_t right[2];
          Fragments::template right<B>(right, b, column_ + 8 * j + group_, first, lane_);
          Fragments::multiply(sum_[j], left, right);
        }
      }
    }
    ELBO_DEVICE void store(float* partial) const {
      constexpr int kPitch = kPartialPitch<kColumns>;
      float* rows = partial + (slice_ * kRows + row_ + group_) * kPitch + column_ + 2 * lane_;
      ELBO_UNROLL
      for (int j = 0; j < kWarpColumns / 8; ++j) ELBO_UNROLL
      for (int i = 0; i < 4; ++i) rows[i / 2 * 8 * kPitch + 8 * j + i % 2] = sum_[j][i];
    }

   private:
    int warp_ = static_cast<int>(threadIdx.x / kWarpSize);
    int group_ = static_cast<int>(threadIdx.x % kWarpSize) / 4;  // g
    int lane_ = static_cast<int>(threadIdx.x) % 4;               // t
    int slice_ = warp_ / (kAcross * kAlong);
    int row_ = warp_ % kAcross * 16;
    int column_ = warp_ / kAcross % kAlong * kWarpColumns;
    float sum_[kWarpColumns / 8][4] = {};
  };
};

struct Tf32Fragments {
  using Element = float;
  static constexpr int depth = 8;

  template <class Staged>
  ELBO_DEVICE static void left(uint32_t (&a)[4], const float* stage, int row, int k, int t) {
    ELBO_UNROLL
    for (int i = 0; i < 4; ++i)
      a[i] = to_tf32(Staged::at(stage, row + i % 2 * 8, k + t + i / 2 * 4));
  }
  template <class Staged>
  ELBO_DEVICE static void right(uint32_t (&b)[2], const float* stage, int column, int k, int t) {
    ELBO_UNROLL
    for (int i = 0; i < 2; ++i) b[i] = to_tf32(Staged::at(stage, column, k + t + 4 * i));
  }
  ELBO_DEVICE static void multiply(float (&sum)[4], const uint32_t (&a)[4],
                                   const uint32_t (&b)[2]) {
    mma_tf32(sum, a, b);
  }
};

struct Bf16Fragments {
  using Element = math::Bfloat16;
  static constexpr int depth = 16;

  template <class Staged>
  ELBO_DEVICE static void left(uint32_t (&a)[4], const Element* stage, int row, int k, int t) {
    ELBO_UNROLL
    for (int i = 0; i < 4; ++i) a[i] = pair<Staged>(stage, row + i % 2 * 8, k + 2 * t + i / 2 * 8);
  }
  template <class Staged>
  ELBO_DEVICE static void right(uint32_t (&b)[2], const Element* stage, int column, int k, int t) {
    ELBO_UNROLL
    for (int i = 0; i < 2; ++i) b[i] = pair<Staged>(stage, column, k + 2 * t + 8 * i);
  }
  ELBO_DEVICE static void multiply(float (&sum)[4], const uint32_t (&a)[4],
                                   const uint32_t (&b)[2]) {
    mma_bf16(sum, a, b);
  }

 private:
  /// Two neighbours along K, the first in the lower half.
  template <class Staged>
  ELBO_DEVICE static uint32_t pair(const Element* stage, int outer, int k) {
    return uint32_t{Staged::at(stage, outer, k).bits} |
           uint32_t{Staged::at(stage, outer, k + 1).bits} << 16;
  }
};

}  // namespace elbo::cuda
