// The CUDA C++ that kernels use (built-in variables, barriers, warp functions, atomics, arithmetic
// intrinsics), implemented for g++ and clang++. Each CUDA thread is a fiber. Never include this
// header together with a CUDA header.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda_emulation/device_runtime.hpp"
#include "cuda_emulation/launch.hpp"

// NOLINTBEGIN: the names, including reserved identifiers, are CUDA's.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

using std::max;
using std::min;

namespace elbo::cuda::emulation {

template <class T>
uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
T shuffle(WarpOp op, unsigned mask, T value, int argument, int width, Location at) {
  return from_bits<T>(warp_collective({op, mask, to_bits(value), argument, width}, at));
}

/// Atomically replaces *target by update(*target) and returns the old value. The operation is
/// relaxed, as in CUDA, until the thread has issued a fence, and acquire-release from then on:
/// ThreadSanitizer does not model stand-alone fences.
template <class T, class Update>
T atomic_update(T* target, Update update, Location at) {
  require_alignment(target, sizeof(T), at);
  T before, after;
  __atomic_load(target, &before, __ATOMIC_RELAXED);
  bool done = false;
  while (!done) {
    after = update(before);
    done = thread_has_fenced() ? __atomic_compare_exchange(target, &before, &after, false,
                                                           __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)
                               : __atomic_compare_exchange(target, &before, &after, false,
                                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  }
  return before;
}

}  // namespace elbo::cuda::emulation

#define ELBO_AT ::elbo::cuda::emulation::Location at = ::elbo::cuda::emulation::Location::current()
#define ELBO_EMULATION ::elbo::cuda::emulation

inline void __syncthreads(ELBO_AT) {
  ELBO_EMULATION::block_barrier(ELBO_EMULATION::BarrierOp::kSync, false, at);
}
inline int __syncthreads_count(int predicate, ELBO_AT) {
  return ELBO_EMULATION::block_barrier(ELBO_EMULATION::BarrierOp::kCount, predicate != 0, at);
}
inline int __syncthreads_and(int predicate, ELBO_AT) {
  return ELBO_EMULATION::block_barrier(ELBO_EMULATION::BarrierOp::kAnd, predicate != 0, at);
}
inline int __syncthreads_or(int predicate, ELBO_AT) {
  return ELBO_EMULATION::block_barrier(ELBO_EMULATION::BarrierOp::kOr, predicate != 0, at);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, ELBO_AT) {
  return ELBO_EMULATION::shuffle(ELBO_EMULATION::WarpOp::kShuffle, mask, value, lane, width, at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, ELBO_AT) {
  return ELBO_EMULATION::shuffle(ELBO_EMULATION::WarpOp::kShuffleUp, mask, value,
                                 static_cast<int>(delta), width, at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, ELBO_AT) {
  return ELBO_EMULATION::shuffle(ELBO_EMULATION::WarpOp::kShuffleDown, mask, value,
                                 static_cast<int>(delta), width, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, ELBO_AT) {
  return ELBO_EMULATION::shuffle(ELBO_EMULATION::WarpOp::kShuffleXor, mask, value, lane_mask, width,
                                 at);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, ELBO_AT) {
  ELBO_EMULATION::warp_collective({ELBO_EMULATION::WarpOp::kSync, mask, 0, 0, 32}, at);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, ELBO_AT) {
  return static_cast<unsigned>(ELBO_EMULATION::warp_collective(
      {ELBO_EMULATION::WarpOp::kBallot, mask, predicate != 0, 0, 32}, at));
}
inline int __any_sync(unsigned mask, int predicate, ELBO_AT) {
  return static_cast<int>(ELBO_EMULATION::warp_collective(
      {ELBO_EMULATION::WarpOp::kAny, mask, predicate != 0, 0, 32}, at));
}
inline int __all_sync(unsigned mask, int predicate, ELBO_AT) {
  return static_cast<int>(ELBO_EMULATION::warp_collective(
      {ELBO_EMULATION::WarpOp::kAll, mask, predicate != 0, 0, 32}, at));
}

inline void __threadfence() { ELBO_EMULATION::fence_thread(); }
inline void __threadfence_block() { ELBO_EMULATION::fence_thread(); }

template <class T>
T atomicAdd(T* target, std::type_identity_t<T> value, ELBO_AT) {
  return ELBO_EMULATION::atomic_update(
      target, [=](T old) { return T(old + value); }, at);
}
template <class T>
T atomicMax(T* target, std::type_identity_t<T> value, ELBO_AT) {
  return ELBO_EMULATION::atomic_update(
      target, [=](T old) { return std::max(old, value); }, at);
}
template <class T>
T atomicMin(T* target, std::type_identity_t<T> value, ELBO_AT) {
  return ELBO_EMULATION::atomic_update(
      target, [=](T old) { return std::min(old, value); }, at);
}
template <class T>
T atomicOr(T* target, std::type_identity_t<T> value, ELBO_AT) {
  return ELBO_EMULATION::atomic_update(
      target, [=](T old) { return T(old | value); }, at);
}
template <class T>
T atomicExch(T* target, std::type_identity_t<T> value, ELBO_AT) {
  return ELBO_EMULATION::atomic_update(
      target, [=](T) { return value; }, at);
}
template <class T>
T atomicCAS(T* target, std::type_identity_t<T> expected, std::type_identity_t<T> value, ELBO_AT) {
  return ELBO_EMULATION::atomic_update(
      target, [=](T old) { return old == expected ? value : old; }, at);
}

template <class T>
T __ldg(const T* source) {
  return *source;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((uint64_t{a} * b) >> 32);
}
inline float __uint_as_float(unsigned bits) { return ELBO_EMULATION::from_bits<float>(bits); }
inline unsigned __float_as_uint(float value) {
  return static_cast<unsigned>(ELBO_EMULATION::to_bits(value));
}
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float rsqrtf(float a) { return 1.0f / std::sqrt(a); }

#undef ELBO_AT
#undef ELBO_EMULATION
// NOLINTEND
