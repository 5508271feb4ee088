// The backends on which a test runs. With ELBO_CUDA_EMULATION: the emulated device, which runs the
// kernels as fibers in several schedules and as interpreted PTX. With ELBO_INSTRUCTION_SETS: the
// CPU, one instruction set at a time. Otherwise: the GPU. (One program cannot contain both real and
// emulated kernels, because they have the same names.)
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/device.hpp"

#if defined(ELBO_CUDA_EMULATION)
#include "cuda_emulation/executions.hpp"
#include "tests/emulated_device.hpp"
#endif

namespace elbo {

/// CUDA ops fill the inactive rows of a batch, so that products over all rows stay finite; the CPU
/// does not write those rows.
#if defined(ELBO_INSTRUCTION_SETS)
inline constexpr bool kFillsInactiveRows = false;
#else
inline constexpr bool kFillsInactiveRows = true;
#endif

/// True if ELBO_TEST_FEW_SIZES is set, for tools that slow kernels down a hundred times.
inline bool few_sizes() { return std::getenv("ELBO_TEST_FEW_SIZES") != nullptr; }

struct Backend {
  std::string name;
  std::function<std::shared_ptr<Device>()> make;  // returns null if unavailable, for `reason`
  std::string reason;
};

inline void PrintTo(const Backend& backend, std::ostream* out) { *out << backend.name; }

#if defined(ELBO_INSTRUCTION_SETS)
std::vector<Backend> instruction_set_backends();  // isa_test.cpp
#endif

#if defined(ELBO_CUDA_EMULATION)
/// Returns the emulated backends with plain loops as the library's products, so that their
/// epilogues run as separate kernels.
inline std::vector<Backend> library_backends() {
  std::vector<Backend> backends;
  for (const cuda::emulation::Execution& execution : cuda::emulation::executions())
    backends.push_back({execution.name,
                        [execution]() -> std::shared_ptr<Device> {
                          if (!execution.executor) return nullptr;
                          return make_emulated_device(execution.executor,
                                                      EmulatedProducts::library);
                        },
                        "built without a CUDA compiler: no PTX to interpret"});
  return backends;
}
#endif

inline std::vector<Backend> cuda_backends() {
  std::vector<Backend> backends;
#if defined(ELBO_CUDA_EMULATION)
  for (const cuda::emulation::Execution& execution : cuda::emulation::executions())
    backends.push_back({execution.name,
                        [execution]() -> std::shared_ptr<Device> {
                          if (!execution.executor) return nullptr;
                          return make_emulated_device(execution.executor);
                        },
                        "built without a CUDA compiler: no PTX to interpret"});
#elif defined(ELBO_INSTRUCTION_SETS)
  backends = instruction_set_backends();
#else
  const CudaProbe probe = probe_cuda();
  backends.push_back({"Gpu",
                      [probe]() -> std::shared_ptr<Device> {
                        if (probe.devices == 0) return nullptr;
                        return make_cuda_device(0);
                      },
                      probe.reason});
#endif
  return backends;
}

/// Returns the device for a test of the whole engine: the emulated or real GPU in the CUDA test
/// programs, otherwise the CPU.
inline std::shared_ptr<Device> device_under_test() {
#if defined(ELBO_CUDA_EMULATION) || defined(ELBO_GPU_TESTS)
  return cuda_backends().front().make();
#else
  return make_cpu_device(1);
#endif
}

/// A test that runs on each backend and compares with the CPU; skipped if the backend is
/// unavailable.
class CudaTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    cuda_ = GetParam().make();
    if (cuda_ == nullptr) GTEST_SKIP() << GetParam().reason;
    cpu_ = make_cpu_device(1);
  }

  /// The sizes on which every op is tested: multiples of the tile sizes and sizes next to them.
  static inline const std::vector<int32_t> kSizes =
      few_sizes() ? std::vector<int32_t>{33, 257}
                  : std::vector<int32_t>{1, 2, 31, 32, 33, 127, 257, 1000, 4099};

  std::shared_ptr<Device> cuda_, cpu_;
};

#define ELBO_INSTANTIATE_CUDA_TEST(suite)                                   \
  INSTANTIATE_TEST_SUITE_P(Cuda, suite, testing::ValuesIn(cuda_backends()), \
                           [](const testing::TestParamInfo<Backend>& i) { return i.param.name; })

}  // namespace elbo
