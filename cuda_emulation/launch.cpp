#include "cuda_emulation/launch.hpp"

#include <dlfcn.h>

#include <cstdint>
#include <utility>

#include "cuda_emulation/fibers.hpp"

namespace elbo::cuda::emulation {
namespace {

constexpr unsigned kMaxThreads = 1024;
constexpr unsigned kMaxBlockDepth = 64;
constexpr unsigned kMaxGridX = 0x7fffffff;
constexpr unsigned kMaxGridYZ = 65535;
constexpr size_t kMaxSharedBytes = 227 * 1024;

Executor& executor() {
  static Executor current = FiberExecutor();
  return current;
}

void check_limits(const Launch& launch) {
  const dim3 &grid = launch.grid, &block = launch.block;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMaxThreads || block.z > kMaxBlockDepth) {
    throw KernelError("launch of " + std::to_string(threads) + " threads per block, wanted 1 to " +
                      std::to_string(kMaxThreads));
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > kMaxGridX || grid.y > kMaxGridYZ ||
      grid.z > kMaxGridYZ) {
    throw KernelError("launch of an empty or too large grid: " + std::to_string(grid.x) + " x " +
                      std::to_string(grid.y) + " x " + std::to_string(grid.z));
  }
  if (launch.shared_bytes > kMaxSharedBytes) {
    throw KernelError("launch with " + std::to_string(launch.shared_bytes) +
                      " bytes of dynamic shared memory, at most " +
                      std::to_string(kMaxSharedBytes) + " exist");
  }
}

}  // namespace

Executor set_executor(Executor next) { return std::exchange(executor(), std::move(next)); }

void execute(const Launch& launch) {
  check_limits(launch);
  executor()(launch);
}

std::string kernel_name(const void* kernel) {
  Dl_info info{};
  if (dladdr(kernel, &info) == 0 || info.dli_sname == nullptr || info.dli_saddr != kernel) {
    throw KernelError(
        "kernel has no exported name: it needs external linkage and a program with "
        "ENABLE_EXPORTS");
  }
  return info.dli_sname;
}

std::string index_text(uint3 index) {
  std::string text = "(";
  text += std::to_string(index.x) + ", " + std::to_string(index.y) + ", ";
  text += std::to_string(index.z) + ")";
  return text;
}

}  // namespace elbo::cuda::emulation
