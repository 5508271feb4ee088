// A product's op on random arrays of its own, to try ways to compute it on.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/stream.hpp"
#include "kernels/program.hpp"

namespace elbo::cuda {

/// Takes over an op: the same shape, on inputs that are random and outputs that are known. All rows
/// are active, and arrays are aligned as the op's and no more, so that libraries propose the same.
class TrialArrays {
 public:
  TrialArrays(const Op& op, cudaStream_t stream);
  TrialArrays(const TrialArrays&) = delete;
  TrialArrays& operator=(const TrialArrays&) = delete;

  const Op& op() const { return op_; }
  Queue queue(Stream stream) const { return {stream, scratch_.get()}; }
  /// A layer whose output is the op's `saved`, which a mask can be had from.
  DenseForward layer_before(const DenseBackwardInput& op);

  /// Puts NaN into the outputs, or what the op adds to.
  void prepare_outputs() const;
  /// What the outputs hold is what others must agree with.
  void keep_wanted() const;
  /// By the 2-norm of the difference. NaN, which marks what was not written, never agrees.
  bool agrees() const;

 private:
  struct Output {
    Reals data;
    int64_t count;
    void* wanted;
    const void* start = nullptr;  // what it holds before every run, null: NaN

    size_t bytes() const { return static_cast<size_t>(count) * data.element_bytes(); }
  };

  void* allocate(size_t bytes);
  Reals reals(int64_t count, Format format);
  Reals input(int64_t count, Format format);
  /// The numbers of the last input once more, rounded to `format`.
  Reals last_input(int64_t count, Format format);
  Reals output(int64_t count, Format format);
  /// An output, which the op may add to.
  float* gradient(int64_t count, bool accumulate);
  int64_t full_batch(Rows& rows);
  void take_over(DenseForward& op);
  void take_over(DenseBackwardInput& op);
  void take_over(DenseBackwardWeights& op);
  void take_over(ConvolutionForward& op);
  void take_over(ConvolutionBackwardInput& op);
  void take_over(ConvolutionBackwardWeights& op);
  template <class O>
  void take_over(O&) {}
  double relative_tolerance() const;

  /// Waits for what is queued, before the memory that this works on goes.
  struct Drain {
    cudaStream_t stream;
    explicit Drain(cudaStream_t queue) : stream(queue) {}
    ~Drain() { check_nothrow(cudaStreamSynchronize(stream)); }
    Drain(const Drain&) = delete;
    Drain& operator=(const Drain&) = delete;
  };

  Op op_;
  cudaStream_t stream_;
  size_t alignment_;
  DeviceMemory scratch_, sums_;
  std::vector<DeviceMemory> memory_;
  std::vector<Output> outputs_;
  uint64_t seed_ = 0;
  StepState state_;  // copied from and to, which may happen late
  mutable std::vector<double> host_sums_;
  Drain drain_{stream_};
};

}  // namespace elbo::cuda
