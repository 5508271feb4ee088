// Runs a kernel as compiled C++, one fiber per CUDA thread. Every way that CUDA leaves undefined
// for threads to meet (or miss each other) at barriers, shuffles and votes is an error; under
// AddressSanitizer so is access out of bounds, under ThreadSanitizer a data race.
#pragma once

#include <cstdint>

#include "cuda_emulation/launch.hpp"

namespace elbo::cuda::emulation {

/// The order in which ready threads, and the grid's blocks, run. A correct kernel gives the same
/// result in all of them.
struct Schedule {
  enum class Order { kForward, kReverse, kRandom };
  Order order = Order::kForward;
  uint64_t seed = 1;
};

class FiberExecutor {
 public:
  explicit FiberExecutor(Schedule schedule = {}) : schedule_(schedule) {}

  /// Throws KernelError. Under ThreadSanitizer a launch is limited to 8000 threads, and is exact
  /// up to about 250: with more, a race may go unseen.
  void operator()(const Launch& launch) const;

 private:
  Schedule schedule_;
};

}  // namespace elbo::cuda::emulation
