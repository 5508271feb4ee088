// Measuring a product: the kernel and every way of the libraries, on random arrays.
#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/quads.cuh"
#include "kernels/cuda/step_graph.hpp"
#include "kernels/cuda/tuning.hpp"

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
  double* sums;  // [2 * blocks]: squares of differences, then of what is wanted
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

/// An op on scratch arrays: its inputs random, its outputs known.
class Trial {
 public:
  struct Output {
    Reals data;
    int64_t count;
    const void* start = nullptr;  // what it holds before every run, null: NaN
  };

  Trial(const Op& op, ProductLibrary& library, cudaStream_t stream)
      : op_(op), library_(library), stream_(stream) {
    std::visit([&](auto& o) { take_over(o); }, op_);
    const size_t bytes = std::visit([](const auto& o) { return scratch_bytes(o); }, op_);
    scratch_ = DeviceMemory(bytes, "measuring a product");
  }
  ~Trial() { check_nothrow(cudaStreamSynchronize(stream_)); }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  Measurement run() {
    Measurement result;
    const auto kernel = [&](size_t, Stream stream) {
      std::visit([&](const auto& o) { launch_op(o, queue(stream)); }, op_);
    };
    prepare_outputs();
    launch_once(kernel);
    for (size_t i = 0; i < outputs_.size(); ++i)
      check(cudaMemcpyAsync(wanted_[i], outputs_[i].data.data, bytes(outputs_[i]),
                            cudaMemcpyDeviceToDevice, stream_),
            "copy memory");
    result.kernel = result.best_time = microseconds(kernel);
    prepare_mask();
    for (const auto& product : library_.candidates(op_)) {
      const bool masked = product->writes_mask() || product->reads_mask();
      if (product->reads_mask() && !mask_ready_) continue;
      const auto time = time_of(*product);
      double& best = masked ? result.masked_time : result.best_time;
      if (!time || *time >= best) continue;
      best = *time;
      (masked ? result.masked : result.best) = product->name();
    }
    return result;
  }

 private:
  template <class T>
  T* allocate(int64_t count) {
    memory_.emplace_back(std::max<size_t>(1, static_cast<size_t>(count)) * sizeof(T),
                         "measuring a product");
    return static_cast<T*>(memory_.back().get());
  }
  Reals reals(int64_t count, Format format) {
    if (format == Format::f32) return allocate<float>(count);
    return allocate<math::Bfloat16>(count);
  }
  Reals input(int64_t count, Format format) {
    ++seed_;
    return last_input(count, format);
  }
  /// The numbers of the last input once more, rounded to `format`.
  Reals last_input(int64_t count, Format format) {
    const Reals data = reals(count, format);
    launch_items(trial_fill_kernel, count, int64_t{kQuad} * kItemThreads, Stream{stream_},
                 FillArgs{data, count, seed_});
    return data;
  }
  Reals output(int64_t count, Format format) {
    outputs_.push_back({.data = reals(count, format), .count = count});
    wanted_.push_back(reals(count, format).data);
    return outputs_.back().data;
  }

  /// An output, which the op may add to.
  float* gradient(int64_t count, bool accumulate) {
    const Reals out = output(count, Format::f32);
    if (accumulate) outputs_.back().start = input(count, Format::f32).data;
    return out.f32();
  }

  /// All rows active, whatever the program's state is by now.
  int64_t full_batch(Rows& rows) {
    StepState state;
    state.rows = rows.inputs;
    auto* place = allocate<StepState>(1);
    check(cudaMemcpyAsync(place, &state, sizeof state, cudaMemcpyHostToDevice, stream_),
          "copy memory");
    check(cudaStreamSynchronize(stream_), "copy memory");
    rows.state = place;
    return rows.capacity();
  }

  void take_over(DenseForward& op) {
    const int64_t rows = full_batch(op.rows);
    op.x = input(rows * op.in, op.x.format);
    op.weight = input(int64_t{op.in} * op.out, op.weight.format);
    op.bias = input(op.out, Format::f32).f32();
    if (op.bias_bf16 != nullptr)
      op.bias_bf16 = last_input(op.out, Format::bf16).as<math::Bfloat16>();
    op.y = output(rows * op.out, op.y.format);
    if (op.preactivation) op.preactivation = output(rows * op.out, op.preactivation.format);
  }
  void take_over(DenseBackwardInput& op) {
    const int64_t rows = full_batch(op.rows);
    op.grad_y = input(rows * op.out, op.grad_y.format);
    op.weight = input(int64_t{op.in} * op.out, op.weight.format);
    if (op.saved) op.saved = input(rows * op.in, op.saved.format);
    op.grad_x = output(rows * op.in, op.grad_x.format);
  }
  void take_over(DenseBackwardWeights& op) {
    const int64_t rows = full_batch(op.rows);
    op.grad_y = input(rows * op.out, op.grad_y.format);
    op.x = input(rows * op.in, op.x.format);
    op.grad_weight = gradient(int64_t{op.in} * op.out, op.accumulate);
    op.grad_bias = gradient(op.out, op.accumulate);
  }
  void take_over(ConvolutionForward& op) {
    const int64_t rows = full_batch(op.rows);
    op.x = input(rows * op.in().size(), op.x.format);
    op.weight = input(op.shape.weights(), op.weight.format);
    op.bias = input(op.out().channels, Format::f32).f32();
    op.y = output(rows * op.out().size(), op.y.format);
    if (op.preactivation)
      op.preactivation = output(rows * op.out().size(), op.preactivation.format);
  }
  void take_over(ConvolutionBackwardInput& op) {
    const int64_t rows = full_batch(op.rows);
    op.grad_y = input(rows * op.out().size(), op.grad_y.format);
    op.weight = input(op.shape.weights(), op.weight.format);
    if (op.saved) op.saved = input(rows * op.in().size(), op.saved.format);
    op.grad_x = output(rows * op.in().size(), op.grad_x.format);
  }
  void take_over(ConvolutionBackwardWeights& op) {
    const int64_t rows = full_batch(op.rows);
    op.grad_y = input(rows * op.out().size(), op.grad_y.format);
    op.x = input(rows * op.in().size(), op.x.format);
    op.grad_weight = gradient(op.shape.weights(), op.accumulate);
    op.grad_bias = gradient(op.out().channels, op.accumulate);
  }
  template <class O>
  void take_over(O&) {}

  /// Makes what a product that reads a mask needs: a layer whose output is this op's `saved`.
  void prepare_mask() {
    const auto* op = std::get_if<DenseBackwardInput>(&op_);
    if (op == nullptr || !op->saved) return;
    constexpr int32_t kInputs = 64;
    DenseForward layer;
    layer.rows = op->rows;
    layer.in = kInputs;
    layer.out = op->in;
    layer.activation = op->activation;
    layer.x = input(int64_t{op->rows.capacity()} * kInputs, op->saved.format);
    layer.weight = input(int64_t{kInputs} * op->in, op->saved.format);
    layer.bias = input(op->in, Format::f32).f32();
    layer.y = Reals(const_cast<void*>(op->saved.data), op->saved.format);
    layer.precision = op->precision;
    for (const auto& product : library_.candidates(layer)) {
      if (!product->writes_mask()) continue;
      product->enqueue({stream_});
      mask_ready_ = cudaStreamSynchronize(stream_) == cudaSuccess;
      break;
    }
    if (!mask_ready_) return;
    // The kernel's result for the new `saved` is what the library's must agree with.
    launch_op(*op, queue({stream_}));
    check(cudaMemcpyAsync(wanted_[0], outputs_[0].data.data, bytes(outputs_[0]),
                          cudaMemcpyDeviceToDevice, stream_),
          "copy memory");
  }

  Queue queue(Stream stream) const { return {stream, scratch_.get()}; }

  void finish(Stream stream) const {
    const Queue where = queue(stream);
    const auto finish_op = [&](const auto& op) {
      if constexpr (requires { finish_library_product(op, where); })
        finish_library_product(op, where);
    };
    std::visit(finish_op, op_);
  }

  /// Microseconds of a library's product; nothing where it fails or differs.
  std::optional<double> time_of(LibraryProduct& product) {
    const auto launch = [&](size_t, Stream stream) {
      product.enqueue(stream);
      if (!product.whole()) finish(stream);
    };
    try {
      prepare_outputs();
      launch_once(launch);
      if (!agrees()) return std::nullopt;
      return microseconds(launch);
    } catch (const DeviceError&) {
      return std::nullopt;
    }
  }

  void prepare_outputs() {
    for (const Output& out : outputs_)
      if (out.start == nullptr)
        check(cudaMemsetAsync(out.data.data, 0xff, bytes(out), stream_), "clear memory");
      else
        check(cudaMemcpyAsync(out.data.data, out.start, bytes(out), cudaMemcpyDeviceToDevice,
                              stream_),
              "copy memory");
  }
  void launch_once(const LaunchOp& launch) {
    launch(0, Stream{stream_});
    check(cudaStreamSynchronize(stream_), "compute a product");
  }

  /// By the 2-norm of the difference. NaN, which marks what was not written, never agrees.
  bool agrees() {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      constexpr unsigned kBlocks = 256;
      double* sums = allocate<double>(2 * kBlocks);
      cuda::launch(
          trial_difference_kernel, kBlocks, kItemThreads, 0, Stream{stream_},
          {outputs_[i].data, Reals(wanted_[i], outputs_[i].data.format), outputs_[i].count, sums});
      std::vector<double> host(2 * kBlocks);
      check(cudaMemcpyAsync(host.data(), sums, host.size() * sizeof(double), cudaMemcpyDeviceToHost,
                            stream_),
            "copy memory");
      check(cudaStreamSynchronize(stream_), "compare products");
      double difference = 0.0, size = 0.0;
      for (unsigned b = 0; b < kBlocks; ++b) {
        difference += host[b];
        size += host[kBlocks + b];
      }
      const double tolerance = relative_tolerance();
      if (!(difference <= tolerance * tolerance * size)) return false;
    }
    return true;
  }

  /// What two right ways may differ by, in relation to the result: some roundings of a float sum,
  /// more where it has many terms; of factors in TF32 (2^-11 each), or of factors and results in
  /// bfloat16 (2^-8 each). A sum of n independent terms is about sqrt(n), and off by the roundings
  /// of n partial ones: 2^-24 sqrt(n / 6) of it.
  double relative_tolerance() const {
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

  /// Time of one run among many in a row, the median over some graphs of them.
  double microseconds(const LaunchOp& launch) {
    constexpr int kRepeats = 20, kGraphs = 7;
    const StepGraph graph(stream_, launch, Dependencies(1), {.repeats = kRepeats});
    std::vector<double> times;
    const Event start, stop;
    for (int i = 0; i <= kGraphs; ++i) {
      start.record(stream_);
      graph.launch(stream_);
      stop.record(stream_);
      const double time = stop.microseconds_since(start);
      if (i > 0) times.push_back(time);  // the first warms up
    }
    std::ranges::nth_element(times, times.begin() + kGraphs / 2);
    return times[kGraphs / 2] / kRepeats;
  }

  static size_t bytes(const Output& out) {
    return static_cast<size_t>(out.count) * out.data.element_bytes();
  }

  Op op_;
  ProductLibrary& library_;
  cudaStream_t stream_;
  DeviceMemory scratch_;
  std::vector<DeviceMemory> memory_;
  std::vector<Output> outputs_;
  std::vector<void*> wanted_;  // as the kernel has them
  uint64_t seed_ = 0;
  bool mask_ready_ = false;
};

}  // namespace

Measurement measure(const Op& op, ProductLibrary& library, Stream stream) {
  return Trial(op, library, stream.handle).run();
}

}  // namespace elbo::cuda
