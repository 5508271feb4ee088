// Allocations that exceed the machine's memory must fail with a message.
#include <gtest/gtest.h>
#include <sys/sysinfo.h>

#include "kernels/core/error.hpp"
#include "kernels/device.hpp"

namespace elbo {
namespace {

std::string refusal(size_t bytes) {
  const auto device = make_cpu_device(1);
  try {
    device->release(device->allocate(bytes, "a buffer"));
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

// Some memory is always in use, so an allocation of all of it must fail. Otherwise Linux would
// overcommit and kill the process later.
TEST(CpuDevice, RejectsAllocationsBeyondMemory) {
  struct sysinfo system = {};
  ASSERT_EQ(::sysinfo(&system), 0);
  const size_t machine = (system.totalram + system.totalswap) * system.mem_unit;
  const std::string message = refusal(machine);
  EXPECT_NE(message.find("out of memory: a buffer needs " + std::to_string(machine >> 20) + " MiB"),
            std::string::npos)
      << message;
  EXPECT_EQ(refusal(size_t{65} << 20), "");
}

TEST(CpuDevice, RejectsOverflowingSizes) {
  EXPECT_NE(refusal(SIZE_MAX), "");
  EXPECT_NE(refusal(SIZE_MAX - 64), "");
}

}  // namespace
}  // namespace elbo
