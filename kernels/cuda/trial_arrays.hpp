// The op of a product on its own random arrays, to measure candidates.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "kernels/cuda/handles.hpp"
#include "kernels/cuda/stream.hpp"
#include "kernels/program.hpp"

namespace elbo::cuda {

/// A copy of an op with the same shape, on random inputs and initialised outputs. All rows are
/// active. Its arrays are aligned exactly like the op's, so that libraries propose the same
/// algorithms.
class TrialArrays {
 public:
  TrialArrays(const Op& op, cudaStream_t stream);
  TrialArrays(const TrialArrays&) = delete;
  TrialArrays& operator=(const TrialArrays&) = delete;

  const Op& op() const { return op_; }
  Queue queue(Stream stream) const { return {stream, scratch_.get()}; }
  /// A layer whose output is the op's `saved`, to obtain its mask.
  DenseForward layer_before(const DenseBackwardInput& op);

  /// Fills the outputs with NaN, or with the values that the op adds to.
  void prepare_outputs() const;
  /// Takes the current outputs as the reference.
  void keep_wanted() const;
  /// True if the outputs agree with the reference, by the 2-norm of the difference. NaN, which
  /// marks elements that were not written, never agrees.
  bool agrees() const;

 private:
  struct Output {
    Reals data;
    int64_t count;
    void* wanted;
    const void* start = nullptr;  // content before every run; null: NaN

    size_t bytes() const { return static_cast<size_t>(count) * data.element_bytes(); }
  };

  void* allocate(size_t bytes);
  Reals reals(int64_t count, Format format);
  Reals input(int64_t count, Format format);
  /// Returns the values of the last input again, rounded to `format`.
  Reals last_input(int64_t count, Format format);
  Reals output(int64_t count, Format format);
  /// Returns an output; with `accumulate`, one with random initial content for the op to add to.
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

  /// Waits for queued work before the memory is released.
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
  StepState state_;  // source and destination of copies that may run late
  mutable std::vector<double> host_sums_;
  Drain drain_{stream_};
};

}  // namespace elbo::cuda
