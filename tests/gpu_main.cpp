// Runs the CUDA tests on the GPU, or prints why not and exits with CTest's code for a skipped test.
#include <gtest/gtest.h>

#include <cstdio>

#include "kernels/device.hpp"

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  testing::InitGoogleTest(&argc, argv);
  const elbo::CudaProbe probe = elbo::probe_cuda();
  if (probe.devices > 0) return RUN_ALL_TESTS();
  std::printf("skipped, all %d tests: %s\n", testing::UnitTest::GetInstance()->total_test_count(),
              probe.reason.c_str());
  return kSkipped;
}
