// Convolutions are oneDNN's, called on one thread per task for a few rows, which is as fast as
// whole batches at the shapes of VAEs. The epilogue runs while the rows are in the cache.
#include "kernels/convolution.hpp"

#include <memory>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/scratch.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

using Floats = std::shared_ptr<float[]>;

Floats aligned_floats(int64_t count) {
  constexpr std::align_val_t kAlignment{64};
  return {
      static_cast<float*>(::operator new(static_cast<size_t>(count) * sizeof(float), kAlignment)),
      [](float* data) { ::operator delete(data, kAlignment); }};
}

/// Rows per task: a few tens of microseconds, with results that stay in the cache.
Partition partition_rows(const Rows& rows, const ConvolutionShape& shape, const FeatureMap& out) {
  constexpr double kFlops = 4e6;
  constexpr int64_t kFloats = 65536;
  const int64_t worthwhile = static_cast<int64_t>(kFlops / shape.flops()) + 1;
  const int64_t fitting = std::max<int64_t>(1, kFloats / out.size());
  const int64_t capacity = std::max(1, rows.capacity());
  const int64_t most = std::min({worthwhile, fitting, capacity});
  int64_t grain = most;  // equal parts if that is close; oneDNN runs others row by row
  while (2 * grain > most && capacity % grain != 0) --grain;
  return {rows.capacity(), 2 * grain > most ? grain : most};
}

/// Packs the weights, then computes the sums and calls `finish(row)` for the active rows.
template <class Finish>
std::vector<Stage> packed_rows(const Rows& rows, const Partition& partition,
                               std::shared_ptr<const ConvolutionSums> sums, const float* weight,
                               const float* from, int32_t from_size, const float* bias, float* to,
                               int32_t to_size, Finish finish) {
  const Floats packed = aligned_floats(sums->packed_size());
  return {{sums->packing_tasks(),
           [sums, weight, packed](int task) { sums->pack(weight, packed.get(), task); }},
          {partition.tasks(), [=](int task) {
             const Range range = partition.range(task, rows.active());
             sums->run(from + range.begin * from_size, packed.get(), bias,
                       to + range.begin * to_size, range.end - range.begin);
             for (int64_t row = range.begin; row < range.end; ++row) finish(row);
           }}};
}

bool is_relu(math::Activation activation) {
  return activation == math::Activation::of<math::Relu>();
}
bool is_identity(math::Activation activation) {
  return activation == math::Activation::of<math::Identity>();
}

/// y = φ(y + bias) for one row, and the pre-activation if requested.
void finish_row(const ConvolutionForward& op, int64_t row, bool has_bias) {
  // Loops over whole lines of pixels, so that few channels also vectorise.
  const FeatureMap& map = op.out();
  const int32_t line = map.width * map.channels;
  float* bias = thread_scratch(Scratch::kernel, line);
  for (int32_t x = 0; x < map.width; ++x)
    for (int32_t c = 0; c < map.channels; ++c)
      bias[x * map.channels + c] = has_bias ? 0.0f : op.bias[c];
  op.activation.visit([&](auto activation) {
    using Activation = decltype(activation);
    for (int32_t i = 0; i < map.height; ++i) {
      const int64_t place = row * map.size() + int64_t{i} * line;
      float* y = op.y.f32() + place;
#pragma omp simd
      for (int32_t e = 0; e < line; ++e) y[e] += bias[e];
      if (op.preactivation) std::copy(y, y + line, op.preactivation.f32() + place);
#pragma omp simd
      for (int32_t e = 0; e < line; ++e) y[e] = Activation::value(y[e]);
    }
  });
}

/// sum[channel] = the sum over rows and pixels.
void sum_pixels(const float* values, int64_t rows, const FeatureMap& map, float* sum) {
  const int32_t line = map.width * map.channels;
  float* lines = thread_scratch(Scratch::kernel, line);
  std::fill(lines, lines + line, 0.0f);
  for (int64_t y = 0; y < rows * map.height; ++y) {
#pragma omp simd
    for (int32_t i = 0; i < line; ++i) lines[i] += values[y * line + i];
  }
  std::fill(sum, sum + map.channels, 0.0f);
  for (int32_t x = 0; x < map.width; ++x)
    for (int32_t c = 0; c < map.channels; ++c) sum[c] += lines[x * map.channels + c];
}

}  // namespace

std::vector<Stage> stages(const ConvolutionForward& op, const Resources&) {
  using Sums = ConvolutionSums;
  const bool library = !op.transposed;  // epilogue in the library
  const bool relu = library && is_relu(op.activation);
  const bool finished = relu || (library && is_identity(op.activation));
  const Partition partition = partition_rows(op.rows, op.shape, op.out());
  const auto sums = std::make_shared<const Sums>(op.shape, partition.grain,
                                                 op.transposed ? Sums::To::wide : Sums::To::narrow,
                                                 relu      ? Sums::Finish::bias_and_relu
                                                 : library ? Sums::Finish::bias
                                                           : Sums::Finish::none);
  return packed_rows(op.rows, partition, sums, op.weight.f32(), op.x.f32(), op.in().size(), op.bias,
                     op.y.f32(), op.out().size(), [=](int64_t row) {
                       if (!finished) finish_row(op, row, library);
                     });
}

std::vector<Stage> stages(const ConvolutionBackwardInput& op, const Resources&) {
  using Sums = ConvolutionSums;
  const int32_t size = op.in().size();
  const Partition partition = partition_rows(op.rows, op.shape, op.in());
  const auto sums = std::make_shared<const Sums>(op.shape, partition.grain,
                                                 op.transposed ? Sums::To::narrow : Sums::To::wide,
                                                 Sums::Finish::none);
  return packed_rows(op.rows, partition, sums, op.weight.f32(), op.grad_y.f32(), op.out().size(),
                     nullptr, op.grad_x.f32(), size, [op, size](int64_t row) {
                       if (!op.saved) return;
                       float* grad_x = op.grad_x.f32() + row * size;
                       const float* saved = op.saved.f32() + row * size;
                       op.activation.visit([&](auto activation) {
                         using Activation = decltype(activation);
#pragma omp simd
                         for (int32_t i = 0; i < size; ++i)
                           grad_x[i] *= Activation::derivative(saved[i]);
                       });
                     });
}

/// Each chunk of rows has its own sum; the sums are then added and converted to the arena's layout.
std::vector<Stage> stages(const ConvolutionBackwardWeights& op, const Resources&) {
  // Few chunks if there are many weights and few pixels, because the sums of the chunks must be
  // added.
  constexpr int64_t kPixels = 1024, kMostChunks = 16;
  const int64_t capacity = op.rows.capacity();
  const int64_t wanted = std::clamp<int64_t>(capacity * op.shape.narrow.pixels() / kPixels,
                                             std::min<int64_t>(2, capacity), kMostChunks);
  const Partition chunks = {capacity, (capacity + wanted - 1) / wanted};
  const auto gradient = std::make_shared<const ConvolutionWeightsGradient>(op.shape, chunks.grain);
  const int64_t packed = gradient->packed_size();
  const int32_t channels = op.out().channels;
  const Floats weight_sums = aligned_floats(chunks.tasks() * packed);
  const Floats bias_sums = aligned_floats(int64_t{chunks.tasks()} * channels);
  const Partition ranges = {packed, 16384};
  return {{chunks.tasks(),
           [=](int task) {
             const Range range = chunks.range(task, op.rows.active());
             const int64_t rows = range.end - range.begin;
             const float* x = op.x.f32() + range.begin * op.in().size();
             const float* grad_y = op.grad_y.f32() + range.begin * op.out().size();
             gradient->run(op.transposed ? grad_y : x, op.transposed ? x : grad_y, rows,
                           weight_sums.get() + task * packed);
             sum_pixels(grad_y, rows, op.out(), bias_sums.get() + int64_t{task} * channels);
           }},
          {ranges.tasks(),
           [=](int task) {
             const Range range = ranges.range(task);
             float* sum = weight_sums.get();
             for (int chunk = 1; chunk < chunks.tasks(); ++chunk) {
               const float* more = sum + chunk * packed;
#pragma omp simd
               for (int64_t i = range.begin; i < range.end; ++i) sum[i] += more[i];
             }
           }},
          {1, [=](int) {
             gradient->unpack(weight_sums.get(), op.grad_weight, op.accumulate);
             for (int32_t c = 0; c < channels; ++c) {
               float sum = op.accumulate ? op.grad_bias[c] : 0.0f;
               for (int chunk = 0; chunk < chunks.tasks(); ++chunk)
                 sum += bias_sums[static_cast<size_t>(int64_t{chunk} * channels + c)];
               op.grad_bias[c] = sum;
             }
           }}};
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
