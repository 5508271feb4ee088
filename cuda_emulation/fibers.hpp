// Runs a kernel as compiled C++, one fiber per CUDA thread. Any use of barriers, shuffles and votes
// that CUDA leaves undefined (such as a divergent or unreached barrier) is an error. Out-of-bounds
// accesses are errors under AddressSanitizer, and data races under ThreadSanitizer.
#pragma once

#include <cstdint>

#include "cuda_emulation/launch.hpp"

namespace elbo::cuda::emulation {

/// The order in which ready threads, and the grid's blocks, run. A correct kernel computes the same
/// result in every order.
struct Schedule {
  enum class Order { kForward, kReverse, kRandom };
  Order order = Order::kForward;
  uint64_t seed = 1;
};

class FiberExecutor {
 public:
  explicit FiberExecutor(Schedule schedule = {}) : schedule_(schedule) {}

  /// Runs the launch; throws KernelError. Under ThreadSanitizer, up to 8000 threads are checked
  /// together, and the check is exact up to about 250: with more threads it may miss a race.
  void operator()(const Launch& launch) const;

 private:
  Schedule schedule_;
};

}  // namespace elbo::cuda::emulation
