#include "kernels/resample.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

template <class Op>
Partition partition(const Op& op) {
  return element_rows(op.rows.capacity(), op.shape.fine.size());
}

void add_scaled(float* sum, float weight, const float* x, int32_t channels) {
#pragma omp simd
  for (int32_t c = 0; c < channels; ++c) sum[c] = math::fma(weight, x[c], sum[c]);
}

/// fine = weighted coarse pixels of each fine pixel.
template <class R>
void spread(const ResampleShape& s, const float* coarse, float* fine) {
  const int32_t channels = s.coarse.channels;
  for (int32_t y = 0; y < s.fine.height; ++y)
    for (int32_t x = 0; x < s.fine.width; ++x) {
      const auto v = R::template taps<float>(y, s.factor, s.coarse.height);
      const auto h = R::template taps<float>(x, s.factor, s.coarse.width);
      float* out = fine + int64_t{y * s.fine.width + x} * channels;
      std::fill(out, out + channels, 0.0f);
      const auto add = [&](int32_t cy, int32_t cx, float weight) {
        if (weight != 0.0f)
          add_scaled(out, weight, coarse + int64_t{cy * s.coarse.width + cx} * channels, channels);
      };
      add(v.first, h.first, v.first_weight * h.first_weight);
      add(v.first, h.second, v.first_weight * h.second_weight);
      add(v.second, h.first, v.second_weight * h.first_weight);
      add(v.second, h.second, v.second_weight * h.second_weight);
    }
}

/// The transpose: each fine pixel adds to its coarse pixels.
template <class R>
void collect(const ResampleShape& s, const float* fine, float* coarse) {
  const int32_t channels = s.coarse.channels;
  std::fill(coarse, coarse + s.coarse.size(), 0.0f);
  for (int32_t y = 0; y < s.fine.height; ++y)
    for (int32_t x = 0; x < s.fine.width; ++x) {
      const auto v = R::template taps<float>(y, s.factor, s.coarse.height);
      const auto h = R::template taps<float>(x, s.factor, s.coarse.width);
      const float* in = fine + int64_t{y * s.fine.width + x} * channels;
      const auto add = [&](int32_t cy, int32_t cx, float weight) {
        if (weight != 0.0f)
          add_scaled(coarse + int64_t{cy * s.coarse.width + cx} * channels, weight, in, channels);
      };
      add(v.first, h.first, v.first_weight * h.first_weight);
      add(v.first, h.second, v.first_weight * h.second_weight);
      add(v.second, h.first, v.second_weight * h.first_weight);
      add(v.second, h.second, v.second_weight * h.second_weight);
    }
}

}  // namespace

int tasks(const ResampleForward& op) { return partition(op).tasks(); }

void run(const ResampleForward& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  op.shape.resampling.visit([&](auto resampling) {
    using R = decltype(resampling);
    for (int64_t row = range.begin; row < range.end; ++row) {
      const float* x = op.x.f32() + row * op.shape.in().size();
      float* y = op.y.f32() + row * op.shape.out().size();
      if constexpr (R::enlarges)
        spread<R>(op.shape, x, y);
      else
        collect<R>(op.shape, x, y);
    }
  });
}

int tasks(const ResampleBackward& op) { return partition(op).tasks(); }

void run(const ResampleBackward& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  const int32_t size = op.shape.in().size();
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* grad_y = op.grad_y.f32() + row * op.shape.out().size();
    float* grad_x = op.grad_x.f32() + row * size;
    op.shape.resampling.visit([&](auto resampling) {
      using R = decltype(resampling);
      if constexpr (R::enlarges)
        collect<R>(op.shape, grad_y, grad_x);
      else
        spread<R>(op.shape, grad_y, grad_x);
    });
    if (!op.saved) continue;
    const float* saved = op.saved.f32() + row * size;
    op.activation.visit([&](auto activation) {
      using Activation = decltype(activation);
#pragma omp simd
      for (int32_t i = 0; i < size; ++i) grad_x[i] *= Activation::derivative(saved[i]);
    });
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
