// Group normalisation, one row per task: sums over pixels per channel, which vectorises for any
// groups, then sums over the channels of a group.
#include "kernels/group_norm.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/scratch.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const GroupNormForward& op) {
  return element_rows(op.rows.capacity(), op.map.size());
}
Partition partition(const GroupNormBackward& op) {
  return element_rows(op.rows.capacity(), op.map.size());
}

/// Sums over blocks of this many pixels are added in double: few roundings, and fast.
constexpr int32_t kBlockPixels = 16;

/// sum[c] += the sum over pixels of value(element, c).
template <class Value>
void add_over_pixels(const FeatureMap& map, double* sum, float* block, Value value) {
  const int32_t channels = map.channels, pixels = map.pixels();
  for (int32_t first = 0; first < pixels; first += kBlockPixels) {
    const int32_t last = std::min(first + kBlockPixels, pixels);
    std::fill(block, block + channels, 0.0f);
    for (int32_t p = first; p < last; ++p) {
      const int64_t place = int64_t{p} * channels;
#pragma omp simd
      for (int32_t c = 0; c < channels; ++c) block[c] += value(place + c, c);
    }
    for (int32_t c = 0; c < channels; ++c) sum[c] += static_cast<double>(block[c]);
  }
}

/// Scratch of one row: a double and some floats for each channel.
struct ChannelScratch {
  static constexpr int32_t kArrays = 6;
  explicit ChannelScratch(int32_t channels)
      : floats(thread_scratch(Scratch::kernel, int64_t{kArrays + 4} * channels + 16)),
        doubles(reinterpret_cast<double*>(floats)),
        channels_(channels) {}
  double* sums(int i) { return doubles + int64_t{i} * channels_; }     // i < 2
  float* array(int i) { return floats + int64_t{4 + i} * channels_; }  // i < kArrays

 private:
  float* floats;
  double* doubles;
  int32_t channels_;
};

}  // namespace

int tasks(const GroupNormForward& op) { return partition(op).tasks(); }

void run(const GroupNormForward& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  const int32_t channels = op.map.channels, per_group = channels / op.groups;
  const double elements = static_cast<double>(per_group) * op.map.pixels();
  ChannelScratch scratch(channels);
  double* sums = scratch.sums(0);
  float *block = scratch.array(0), *mean = scratch.array(1), *gain = scratch.array(2);
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* x = op.x.f32() + row * op.map.size();
    /// Calls `use(first channel, mean over the group)`.
    const auto for_groups = [&](auto value, auto use) {
      std::fill(sums, sums + channels, 0.0);
      add_over_pixels(op.map, sums, block, value);
      for (int32_t first = 0; first < channels; first += per_group) {
        double total = 0.0;
        for (int32_t c = first; c < first + per_group; ++c) total += sums[c];
        use(first, total / elements);
      }
    };
    for_groups([&](int64_t i, int32_t) { return x[i]; },
               [&](int32_t first, double value) {
                 const auto m = static_cast<float>(value);
                 op.mean[row * op.groups + first / per_group] = m;
                 std::fill(mean + first, mean + first + per_group, m);
               });
    for_groups(
        [&](int64_t i, int32_t c) {
          const float deviation = x[i] - mean[c];
          return deviation * deviation;
        },
        [&](int32_t first, double variance) {
          const auto rstd = 1.0f / math::sqrt(static_cast<float>(variance) + op.epsilon);
          op.rstd[row * op.groups + first / per_group] = rstd;
          for (int32_t c = first; c < first + per_group; ++c) gain[c] = rstd * op.scale[c];
        });
    float* y = op.y.f32() + row * op.map.size();
    float* preactivation = op.preactivation ? op.preactivation.f32() + row * op.map.size() : y;
    op.activation.visit([&](auto activation) {
      using Activation = decltype(activation);
      for (int64_t place = 0; place < op.map.size(); place += channels) {
        float *pre = preactivation + place, *out = y + place;
#pragma omp simd
        for (int32_t c = 0; c < channels; ++c) {
          const float value = math::fma(x[place + c] - mean[c], gain[c], op.offset[c]);
          pre[c] = value;
          out[c] = Activation::value(value);
        }
      }
    });
  }
}

int tasks(const GroupNormBackward& op) { return partition(op).tasks(); }

void run(const GroupNormBackward& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  const int32_t channels = op.map.channels, per_group = channels / op.groups;
  const double elements = static_cast<double>(per_group) * op.map.pixels();
  ChannelScratch scratch(channels);
  double *offset_sums = scratch.sums(0), *scale_sums = scratch.sums(1);
  float *block = scratch.array(0), *mean = scratch.array(1), *rstd = scratch.array(2),
        *mean_h = scratch.array(3), *mean_hx = scratch.array(4), *gain = scratch.array(5);
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* x = op.x.f32() + row * op.map.size();
    const float* grad_y = op.grad_y.f32() + row * op.map.size();
    for (int32_t c = 0; c < channels; ++c) {
      mean[c] = op.mean[row * op.groups + c / per_group];
      rstd[c] = op.rstd[row * op.groups + c / per_group];
      gain[c] = rstd[c] * op.scale[c];
    }
    std::fill(offset_sums, offset_sums + channels, 0.0);
    std::fill(scale_sums, scale_sums + channels, 0.0);
    add_over_pixels(op.map, offset_sums, block, [&](int64_t i, int32_t) { return grad_y[i]; });
    add_over_pixels(op.map, scale_sums, block,
                    [&](int64_t i, int32_t c) { return grad_y[i] * ((x[i] - mean[c]) * rstd[c]); });
    for (int32_t c = 0; c < channels; ++c) {
      if (op.grad_offset != nullptr)
        op.grad_offset[row * channels + c] = static_cast<float>(offset_sums[c]);
      if (op.grad_scale != nullptr)
        op.grad_scale[row * channels + c] = static_cast<float>(scale_sums[c]);
    }
    if (!op.grad_x) continue;
    for (int32_t first = 0; first < channels; first += per_group) {
      double h = 0.0, hx = 0.0;
      for (int32_t c = first; c < first + per_group; ++c) {
        h += op.scale[c] * offset_sums[c];
        hx += op.scale[c] * scale_sums[c];
      }
      const float r = rstd[first];
      std::fill(mean_h + first, mean_h + first + per_group, static_cast<float>(h / elements) * r);
      std::fill(mean_hx + first, mean_hx + first + per_group,
                static_cast<float>(hx / elements) * r * r);
    }
    float* grad_x = op.grad_x.f32() + row * op.map.size();
    const float* saved = op.saved ? op.saved.f32() + row * op.map.size() : nullptr;
    op.activation.visit([&](auto activation) {
      using Activation = decltype(activation);
      for (int64_t place = 0; place < op.map.size(); place += channels) {
#pragma omp simd
        for (int32_t c = 0; c < channels; ++c) {
          const int64_t i = place + c;
          float grad = grad_y[i] * gain[c] - mean_h[c] - (x[i] - mean[c]) * mean_hx[c];
          if (saved != nullptr) grad *= Activation::derivative(saved[i]);
          grad_x[i] = grad;
        }
      }
    });
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
