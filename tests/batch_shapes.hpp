// Batch shapes for tests of row-wise ops: full and partial batches, of sizes off every multiple.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <span>
#include <vector>

#include "kernels/core/rows.hpp"
#include "tests/compare.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/workspace.hpp"

namespace elbo {

/// True if the execution under test reads and writes bfloat16, as CUDA does.
inline constexpr bool kReadsBfloat16 = kFillsInactiveRows;

/// A batch with room for `capacity` inputs, of which the first `active` are real.
struct BatchShape {
  int32_t capacity, active, columns, samples;
  int shifted;  // number (from 1) of the float array to misalign by 4 bytes; 0: none

  size_t inputs() const { return static_cast<size_t>(capacity); }
  size_t rows() const { return inputs() * static_cast<size_t>(samples); }
  size_t active_rows() const { return static_cast<size_t>(active * samples); }
  size_t width() const { return static_cast<size_t>(columns); }
  size_t elements() const { return rows() * width(); }
  size_t active_elements() const { return active_rows() * width(); }

  StepState state() const {
    StepState state;
    state.step = 7;
    state.epoch = 2;
    state.first_row = 5;
    state.rows = active;
    state.beta = 0.25f;
    state.learning_rate = 0.01f;
    return state;
  }
  /// Returns rows for all samples, or one row per input if `per_sample` is false.
  Rows put_rows(Workspace& w, bool per_sample = true) const {
    return {w.put(std::vector{state()}), capacity, per_sample ? samples : 1};
  }
};

inline std::ostream& operator<<(std::ostream& out, const BatchShape& s) {
  return out << s.active << " of " << s.capacity << " inputs, " << s.samples << " samples, "
             << s.columns << " columns, shifted " << s.shifted;
}

/// Returns shapes that use each size as the number of columns and as the number of rows.
inline std::vector<BatchShape> batch_shapes(std::span<const int32_t> sizes) {
  std::vector<BatchShape> all;
  for (const int32_t size : sizes) {
    all.push_back({3, 2, size, 1, 0});
    all.push_back({2, 2, size, 3, 0});
    if (size <= 1000) all.push_back({size, (size + 1) / 2, 3, 1, 0});
  }
  for (const int shifted : {1, 2, 3, 4, 5}) all.push_back({2, 1, 32, 3, shifted});
  return all;
}
/// Returns shapes of whole and partial quads, for properties that do not depend on the sizes.
inline std::vector<BatchShape> few_batch_shapes() { return {{3, 2, 33, 2, 0}, {4, 4, 8, 1, 2}}; }

template <class T>
std::vector<T> first(std::vector<T> values, size_t count) {
  values.resize(count);
  return values;
}

/// Succeeds if all elements after the first `count` are zero, or if the execution under test does
/// not fill inactive rows.
inline testing::AssertionResult zero_behind(const std::vector<float>& values, size_t count) {
  if (!kFillsInactiveRows) return testing::AssertionSuccess();
  const std::vector<float> rest(values.begin() + static_cast<std::ptrdiff_t>(count), values.end());
  return same_bits(rest, std::vector<float>(rest.size()));
}

inline std::vector<math::Bfloat16> rounded(const std::vector<float>& values) {
  std::vector<math::Bfloat16> out;
  for (const float value : values) out.push_back(math::to_bfloat16(value));
  return out;
}
inline std::vector<float> widened(const std::vector<math::Bfloat16>& values) {
  std::vector<float> out;
  for (const math::Bfloat16 value : values) out.push_back(math::to_float(value));
  return out;
}

}  // namespace elbo
