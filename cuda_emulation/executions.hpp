// The executions over which a kernel test is parameterised: fibers in several schedules, and PTX.
//
//   class LatentKernels : public EmulatedTest {};
//   TEST_P(LatentKernels, EqualTheCpu) { ... launches ... }
//   INSTANTIATE_TEST_SUITE_P(Emulated, LatentKernels, testing::ValuesIn(executions()),
//                            execution_name);
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "cuda_emulation/fibers.hpp"
#include "cuda_emulation/launch.hpp"
#include "cuda_emulation/ptx.hpp"

#if !defined(ELBO_PTX_FILES)
#define ELBO_PTX_FILES ""
#endif

namespace elbo::cuda::emulation {

struct Execution {
  std::string name;
  Executor executor;  // empty if the build had no CUDA compiler
};

inline void PrintTo(const Execution& execution, std::ostream* out) { *out << execution.name; }

/// Returns an executor of the program's PTX, which is loaded once. Returns an empty executor if the
/// build had no CUDA compiler.
inline Executor ptx_executor() {
  static const Executor executor =
      std::string(ELBO_PTX_FILES).empty() ? Executor() : PtxExecutor(split_paths(ELBO_PTX_FILES));
  return executor;
}

inline std::vector<Execution> fiber_executions() {
  using Order = Schedule::Order;
  return {{"Forward", FiberExecutor({Order::kForward})},
          {"Reverse", FiberExecutor({Order::kReverse})},
          {"Random1", FiberExecutor({Order::kRandom, 1})},
          {"Random2", FiberExecutor({Order::kRandom, 2})}};
}

inline std::vector<Execution> executions() {
  std::vector<Execution> all = fiber_executions();
  all.push_back({"Ptx", ptx_executor()});
  return all;
}

inline std::string execution_name(const testing::TestParamInfo<Execution>& info) {
  return info.param.name;
}

/// A fixture that runs every launch on the test's execution. The test is skipped if the build lacks
/// that execution.
class EmulatedTest : public testing::TestWithParam<Execution> {
 protected:
  void SetUp() override {
    if (!GetParam().executor) GTEST_SKIP() << "built without a CUDA compiler: no PTX to interpret";
    previous_ = set_executor(GetParam().executor);
  }
  void TearDown() override {
    if (previous_) set_executor(previous_);
  }

 private:
  Executor previous_;
};

}  // namespace elbo::cuda::emulation
