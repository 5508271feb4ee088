// A small kernel that counts its runs. It represents one op in a training step of a small model.
#pragma once

#include "bench/calibrate/gpu.cuh"

namespace elbo::calibrate {

/// A kernel that adds one to each element of an array, one element per thread. If `shape.dependent`
/// is set, it is launched as dependent on the previous kernel and waits for the results of that
/// kernel.
class SmallKernel {
 public:
  SmallKernel(const Gpu& gpu, const LaunchShape& shape);

  /// Enqueues one run on the GPU's stream.
  void enqueue() const;
  void clear() const;
  /// Throws DeviceError unless every element was counted up `runs` times since clear().
  void expect(uint32_t runs) const;

 private:
  const Gpu& gpu_;
  LaunchShape shape_;
  DeviceArray<uint32_t> counts_;
};

/// Lets the next kernel on the stream start, then waits until the previous kernel has ended. Does
/// nothing in a kernel that was not launched as dependent.
__device__ inline void release_next_and_wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace elbo::calibrate
