// A small kernel whose runs can be counted: it stands for one operation of a small model's step.
#pragma once

#include "bench/calibrate/gpu.cuh"

namespace elbo::calibrate {

/// A kernel that adds one to each element of an array with an element per thread. Where `shape`
/// says so it is launched as dependent on the kernel ahead of it, and waits for that one's results.
class SmallKernel {
 public:
  SmallKernel(const Gpu& gpu, const LaunchShape& shape);

  /// Puts one run on the GPU's stream.
  void enqueue() const;
  void clear() const;
  /// Throws DeviceError unless every element was counted up `runs` times since clear().
  void expect(uint32_t runs) const;

 private:
  const Gpu& gpu_;
  LaunchShape shape_;
  DeviceArray<uint32_t> counts_;
};

/// Lets the kernel behind this one on the stream start, then waits until the one ahead has ended.
/// Does nothing in a kernel that was not launched as dependent.
__device__ inline void release_next_and_wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace elbo::calibrate
