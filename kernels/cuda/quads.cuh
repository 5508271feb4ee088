// Arrays in quads: a thread works on four consecutive elements, which is one Philox group, and one
// access of up to 16 bytes if the addresses allow it (kVector), or four small ones.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <type_traits>

#include "kernels/core/reals.hpp"
#include "kernels/cuda/port.cuh"
#include "kernels/math/philox.hpp"

namespace elbo::cuda {

inline constexpr int kQuad = 4;

/// Returns the number of quads of a row; the last may be incomplete.
inline int64_t quads_in(int64_t columns) { return (columns + kQuad - 1) / kQuad; }

/// Element i of a quad that is packed into `word`.
template <class T, class Word>
ELBO_DEVICE float quad_element(Word word, int i) {
  if constexpr (std::is_same_v<T, uint8_t>)
    return static_cast<float>((word >> (8 * i)) & 0xffu);
  else
    return math::to_float(math::Bfloat16{static_cast<uint16_t>(word >> (16 * i))});
}

ELBO_DEVICE float stored_to_float(math::Bfloat16 value) { return math::to_float(value); }
template <class Stored>
ELBO_DEVICE float stored_to_float(Stored value) {
  return static_cast<float>(value);
}

/// Returns the quad at `source`; elements from `count` on are not read and are zero.
template <bool kVector, class Stored>
ELBO_DEVICE math::Float4 load_quad(const Stored* source, int64_t count) {
  math::Float4 quad;
  if (kVector && count >= kQuad) {
    if constexpr (std::is_same_v<Stored, float>) {
      const float4 v = load4(source);
      return {{v.x, v.y, v.z, v.w}};
    } else if constexpr (sizeof(Stored) < sizeof(float)) {
      using Word = std::conditional_t<sizeof(Stored) == 1, uint32_t, uint64_t>;
      const Word word = *reinterpret_cast<const Word*>(source);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) quad.value[i] = quad_element<Stored>(word, i);
      return quad;
    }
  }
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i) quad.value[i] = i < count ? stored_to_float(source[i]) : 0.0f;
  return quad;
}

/// Stores the first `count` elements of a quad.
template <bool kVector>
ELBO_DEVICE void store_quad(float* target, int64_t count, const math::Float4& quad) {
  if (kVector && count >= kQuad) {
    store4(target, make_float4(quad.value[0], quad.value[1], quad.value[2], quad.value[3]));
    return;
  }
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i)
    if (i < count) target[i] = quad.value[i];
}
template <bool kVector>
ELBO_DEVICE void store_quad(math::Bfloat16* target, int64_t count, const math::Float4& quad) {
  if (kVector && count >= kQuad) {
    uint64_t word = 0;
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i)
      word |= uint64_t{math::to_bfloat16(quad.value[i]).bits} << (16 * i);
    *reinterpret_cast<uint64_t*>(target) = word;
    return;
  }
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i)
    if (i < count) target[i] = math::to_bfloat16(quad.value[i]);
}

/// The same for arrays of either format, at element `offset`.
template <bool kVector>
ELBO_DEVICE math::Float4 load_quad(const ConstReals& source, int64_t offset, int64_t count) {
  return source.format == Format::f32
             ? load_quad<kVector>(source.f32() + offset, count)
             : load_quad<kVector>(source.as<math::Bfloat16>() + offset, count);
}
template <bool kVector>
ELBO_DEVICE void store_quad(const Reals& target, int64_t offset, int64_t count,
                            const math::Float4& quad) {
  if (target.format == Format::f32)
    store_quad<kVector>(target.f32() + offset, count, quad);
  else
    store_quad<kVector>(target.as<math::Bfloat16>() + offset, count, quad);
}

inline constexpr unsigned kRowThreads = 256;

/// Runs `kernel` with one block per row, enough threads for a quad each (in whole warps, at most
/// kRowThreads): a thread starts at column 4 * threadIdx.x and steps by 4 * blockDim.x.
template <class Args>
void launch_rows(void (*kernel)(Args), int64_t rows, int64_t columns, Stream stream,
                 const std::type_identity_t<Args>& args) {
  if (rows == 0) return;
  const int64_t warps = (quads_in(columns) + kWarpSize - 1) / kWarpSize;
  const auto threads =
      static_cast<unsigned>(std::clamp<int64_t>(warps * kWarpSize, kWarpSize, kRowThreads));
  launch(kernel, static_cast<unsigned>(rows), threads, 0, stream, args);
}

inline constexpr unsigned kItemThreads = 256;

/// Runs `kernel` with blocks of kItemThreads threads, each block for `items_per_block` of `items`.
template <class Args>
void launch_items(void (*kernel)(Args), int64_t items, int64_t items_per_block, Stream stream,
                  const std::type_identity_t<Args>& args) {
  if (items == 0) return;
  const int64_t blocks = (items + items_per_block - 1) / items_per_block;
  launch(kernel, static_cast<unsigned>(blocks), kItemThreads, 0, stream, args);
}

/// True if every quad of arrays that start at `arrays`, with row strides of `strides` elements, is
/// aligned for a single access.
inline bool has_vector_access(std::initializer_list<const void*> arrays,
                              std::initializer_list<int64_t> strides) {
  return std::ranges::all_of(arrays,
                             [](auto* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }) &&
         std::ranges::all_of(strides, [](int64_t stride) { return stride % kQuad == 0; });
}

/// Calls `f` with std::true_type for vector access, with std::false_type otherwise.
template <class F>
void with_vector_access(std::initializer_list<const void*> arrays,
                        std::initializer_list<int64_t> strides, F&& f) {
  if (has_vector_access(arrays, strides))
    f(std::true_type{});
  else
    f(std::false_type{});
}

}  // namespace elbo::cuda
