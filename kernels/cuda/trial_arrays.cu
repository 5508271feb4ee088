#include "kernels/cuda/trial_arrays.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/library.hpp"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

struct FillArgs {
  Reals out;
  int64_t count;
  uint64_t seed;
};

/// Standard normals.
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) trial_fill_kernel(FillArgs args) {
  const int64_t group = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t first = kQuad * group;
  if (first < args.count)
    store_quad<false>(args.out, first, args.count - first,
                      math::normal4(args.seed, 0, static_cast<uint64_t>(group)));
}

struct DifferenceArgs {
  ConstReals got, want;
  int64_t count;
  double* sums;  // [2 * blocks]: squares of differences, then of the expected values
};

ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) trial_difference_kernel(DifferenceArgs args) {
  double difference = 0.0, size = 0.0;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < args.count;
       i += int64_t{gridDim.x} * blockDim.x) {
    const double got = load_quad<false>(args.got, i, 1).value[0];
    const double want = load_quad<false>(args.want, i, 1).value[0];
    difference += (got - want) * (got - want);
    size += want * want;
  }
  difference = block_sum(difference);
  size = block_sum(size);
  if (threadIdx.x != 0) return;
  args.sums[blockIdx.x] = difference;
  args.sums[gridDim.x + blockIdx.x] = size;
}

namespace {

constexpr const char* kPurpose = "measuring a product";
constexpr unsigned kBlocks = 256;  // of the comparison

}  // namespace

TrialArrays::TrialArrays(const Op& op, cudaStream_t stream)
    : op_(op),
      stream_(stream),
      alignment_(alignment_of(op)),
      sums_(2 * kBlocks * sizeof(double), kPurpose) {
  std::visit([&](auto& o) { take_over(o); }, op_);
  const size_t bytes = std::visit([](const auto& o) { return scratch_bytes(o); }, op_);
  scratch_ = DeviceMemory(bytes, kPurpose);
}

DenseForward TrialArrays::layer_before(const DenseBackwardInput& op) {
  constexpr int32_t kInputs = 64;
  DenseForward layer;
  layer.rows = op.rows;
  layer.in = kInputs;
  layer.out = op.in;
  layer.activation = op.activation;
  layer.x = input(int64_t{op.rows.capacity()} * kInputs, op.saved.format);
  layer.weight = input(int64_t{kInputs} * op.in, op.saved.format);
  layer.bias = input(op.in, Format::f32).f32();
  if (op.saved.format == Format::bf16)
    layer.bias_bf16 = last_input(op.in, Format::bf16).as<math::Bfloat16>();
  layer.y = Reals(const_cast<void*>(op.saved.data), op.saved.format);
  layer.precision = op.precision;
  return layer;
}

void* TrialArrays::allocate(size_t bytes) {
  memory_.emplace_back(std::max<size_t>(1, bytes), kPurpose);
  return memory_.back().get();
}
Reals TrialArrays::reals(int64_t count, Format format) {
  void* memory = allocate(static_cast<size_t>(count) * size_of(format) + alignment_);
  return {static_cast<char*>(memory) + alignment_, format};
}
Reals TrialArrays::input(int64_t count, Format format) {
  ++seed_;
  return last_input(count, format);
}
Reals TrialArrays::last_input(int64_t count, Format format) {
  const Reals data = reals(count, format);
  launch_items(trial_fill_kernel, count, int64_t{kQuad} * kItemThreads, Stream{stream_},
               FillArgs{data, count, seed_});
  return data;
}
Reals TrialArrays::output(int64_t count, Format format) {
  outputs_.push_back(
      {.data = reals(count, format), .count = count, .wanted = reals(count, format).data});
  return outputs_.back().data;
}

float* TrialArrays::gradient(int64_t count, bool accumulate) {
  const Reals out = output(count, Format::f32);
  if (accumulate) outputs_.back().start = input(count, Format::f32).data;
  return out.f32();
}

/// All rows are active, independent of the program's current state.
int64_t TrialArrays::full_batch(Rows& rows) {
  state_.rows = rows.inputs;
  auto* place = static_cast<StepState*>(allocate(sizeof state_));
  ELBO_CUDA(cudaMemcpyAsync(place, &state_, sizeof state_, cudaMemcpyHostToDevice, stream_));
  rows.state = place;
  return rows.capacity();
}

void TrialArrays::take_over(DenseForward& op) {
  const int64_t rows = full_batch(op.rows);
  op.x = input(rows * op.in, op.x.format);
  op.weight = input(int64_t{op.in} * op.out, op.weight.format);
  op.bias = input(op.out, Format::f32).f32();
  if (op.bias_bf16 != nullptr) op.bias_bf16 = last_input(op.out, Format::bf16).as<math::Bfloat16>();
  op.y = output(rows * op.out, op.y.format);
  if (op.preactivation) op.preactivation = output(rows * op.out, op.preactivation.format);
}
void TrialArrays::take_over(DenseBackwardInput& op) {
  const int64_t rows = full_batch(op.rows);
  op.grad_y = input(rows * op.out, op.grad_y.format);
  op.weight = input(int64_t{op.in} * op.out, op.weight.format);
  if (op.saved) op.saved = input(rows * op.in, op.saved.format);
  op.grad_x = output(rows * op.in, op.grad_x.format);
}
void TrialArrays::take_over(DenseBackwardWeights& op) {
  const int64_t rows = full_batch(op.rows);
  op.grad_y = input(rows * op.out, op.grad_y.format);
  op.x = input(rows * op.in, op.x.format);
  op.grad_weight = gradient(int64_t{op.in} * op.out, op.accumulate);
  op.grad_bias = gradient(op.out, op.accumulate);
}
void TrialArrays::take_over(ConvolutionForward& op) {
  const int64_t rows = full_batch(op.rows);
  op.x = input(rows * op.in().size(), op.x.format);
  op.weight = input(op.shape.weights(), op.weight.format);
  op.bias = input(op.out().channels, Format::f32).f32();
  op.y = output(rows * op.out().size(), op.y.format);
  if (op.preactivation) op.preactivation = output(rows * op.out().size(), op.preactivation.format);
}
void TrialArrays::take_over(ConvolutionBackwardInput& op) {
  const int64_t rows = full_batch(op.rows);
  op.grad_y = input(rows * op.out().size(), op.grad_y.format);
  op.weight = input(op.shape.weights(), op.weight.format);
  if (op.saved) op.saved = input(rows * op.in().size(), op.saved.format);
  op.grad_x = output(rows * op.in().size(), op.grad_x.format);
}
void TrialArrays::take_over(ConvolutionBackwardWeights& op) {
  const int64_t rows = full_batch(op.rows);
  op.grad_y = input(rows * op.out().size(), op.grad_y.format);
  op.x = input(rows * op.in().size(), op.x.format);
  op.grad_weight = gradient(op.shape.weights(), op.accumulate);
  op.grad_bias = gradient(op.out().channels, op.accumulate);
}

void TrialArrays::prepare_outputs() const {
  for (const Output& out : outputs_)
    if (out.start == nullptr)
      ELBO_CUDA(cudaMemsetAsync(out.data.data, 0xff, out.bytes(), stream_));
    else
      ELBO_CUDA(cudaMemcpyAsync(out.data.data, out.start, out.bytes(), cudaMemcpyDeviceToDevice,
                                stream_));
}
void TrialArrays::keep_wanted() const {
  for (const Output& out : outputs_)
    ELBO_CUDA(
        cudaMemcpyAsync(out.wanted, out.data.data, out.bytes(), cudaMemcpyDeviceToDevice, stream_));
}
bool TrialArrays::agrees() const {
  for (const Output& out : outputs_) {
    auto* sums = static_cast<double*>(sums_.get());
    cuda::launch(trial_difference_kernel, kBlocks, kItemThreads, 0, Stream{stream_},
                 {out.data, Reals(out.wanted, out.data.format), out.count, sums});
    host_sums_.resize(2 * kBlocks);
    ELBO_CUDA(cudaMemcpyAsync(host_sums_.data(), sums, host_sums_.size() * sizeof(double),
                              cudaMemcpyDeviceToHost, stream_));
    ELBO_CUDA(cudaStreamSynchronize(stream_));
    double difference = 0.0, size = 0.0;
    for (unsigned b = 0; b < kBlocks; ++b) {
      difference += host_sums_[b];
      size += host_sums_[kBlocks + b];
    }
    const double tolerance = relative_tolerance();
    if (!(difference <= tolerance * tolerance * size)) return false;
  }
  return true;
}

/// Relative tolerance between two correct implementations: roundings of a float sum, more for many
/// terms; of operands in TF32 (2^-11 each), or of operands and results in bfloat16 (2^-8 each). A
/// sum of n independent terms is about sqrt(n), and the roundings of its n partial sums amount to
/// 2^-24 sqrt(n / 6) of it.
double TrialArrays::relative_tolerance() const {
  Format format = Format::f32;
  bool tf32 = false;
  double terms = 0.0;
  const auto look = [&](const auto& op) {
    if constexpr (requires { op.precision; }) {
      tf32 = op.precision == Precision::tf32;
      if constexpr (requires { op.grad_y; })
        format = op.grad_y.format;
      else
        format = op.x.format;
      if constexpr (requires {
                      op.shape;
                      op.grad_weight;
                    })
        terms = static_cast<double>(op.rows.capacity()) * op.shape.wide.pixels();
    }
  };
  std::visit(look, op_);
  if (format == Format::bf16) return 8.0 * 0x1p-8;
  return tf32 ? 8.0 * 0x1p-11 : std::max(256.0, std::sqrt(terms)) * 0x1p-24;
}

}  // namespace elbo::cuda
