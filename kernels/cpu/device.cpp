// The CPU as a device.
#include "kernels/device.hpp"

#include <omp.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>

#include "kernels/core/error.hpp"
#include "kernels/cpu/executable.hpp"
#include "kernels/cpu/execution.hpp"
#include "kernels/host_copy.hpp"

namespace elbo {
namespace cpu {
namespace {

/// Bytes of memory that are available, or the largest number if the system does not report it.
size_t available_memory() {
  std::ifstream lines("/proc/meminfo");
  size_t available = 0, swap = 0;
  for (std::string key, unit; lines >> key;) {
    size_t kib = 0;
    lines >> kib;
    std::getline(lines, unit);
    if (key == "MemAvailable:") available = kib;
    if (key == "SwapFree:") swap = kib;
  }
  return available == 0 ? std::numeric_limits<size_t>::max() : (available + swap) << 10;
}

class CpuDevice : public Device {
 public:
  explicit CpuDevice(int threads) : threads_(threads) {}

  DeviceKind kind() const noexcept override { return DeviceKind::cpu; }
  std::string describe() const override {
    const std::string build = best_execution().name;
    const std::string bfloat16 = usable_bfloat16_kernels().front()->name;
    return "CPU, " + std::to_string(threads_) + (threads_ == 1 ? " thread, " : " threads, ") +
           build + (bfloat16 == build ? "" : ", bf16 by " + bfloat16);
  }
  bool shares_host_memory() const noexcept override { return true; }

  void* allocate(size_t bytes, std::string_view purpose) override {
    constexpr size_t kAlignment = 64;
    void* memory = nullptr;
    // Linux overcommits memory, and kills the process when it is written to.
    constexpr size_t kLarge = size_t{64} << 20;
    if (bytes < kLarge || (bytes <= SIZE_MAX - kAlignment && bytes <= available_memory()))
      memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (memory == nullptr)
      throw DeviceError("out of memory: " + std::string(purpose) + " needs " +
                        std::to_string(bytes >> 20) +
                        " MiB; a smaller batch size or model needs less");
    touch(static_cast<char*>(memory), bytes);
    return memory;
  }
  void release(void* memory) noexcept override { std::free(memory); }
  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void fill_zero(void* memory, size_t bytes) override { std::memset(memory, 0, bytes); }
  std::unique_ptr<Download> start_download(const void* from, size_t bytes) override {
    return std::make_unique<HostCopy>(from, bytes);
  }

  std::unique_ptr<Executable> prepare(Program program) override {
    return make_executable(program, threads_);
  }
  void synchronize() override {}

 private:
  /// A page is placed near the core that first writes to it. Each thread therefore writes the pages
  /// that its tasks will use.
  void touch(char* memory, size_t bytes) const {
    constexpr size_t kPage = 4096, kWorthwhile = size_t{4} << 20;
    if (threads_ == 1 || bytes < kWorthwhile) return;
    const auto pages = static_cast<int64_t>(bytes / kPage);
#pragma omp parallel for schedule(static) num_threads(threads_)
    for (int64_t page = 0; page < pages; ++page) memory[static_cast<size_t>(page) * kPage] = 0;
  }

  int threads_;
};

}  // namespace
}  // namespace cpu

std::shared_ptr<Device> make_cpu_device(int threads) {
  if (threads < 0)
    throw ConfigError("threads: got " + std::to_string(threads) + ", expected 0 (all) or more");
  return std::make_shared<cpu::CpuDevice>(threads == 0 ? omp_get_max_threads() : threads);
}

std::shared_ptr<Device> make_device(std::string_view name, int threads) {
  if (name == "cpu") return make_cpu_device(threads);
  if (name == "auto")
    return probe_cuda().devices > 0 ? make_cuda_device(0) : make_cpu_device(threads);
  if (name == "cuda") return make_cuda_device(0);
  if (name.starts_with("cuda:")) {
    const std::string ordinal(name.substr(5));
    if (!ordinal.empty() && ordinal.size() < 4 &&
        ordinal.find_first_not_of("0123456789") == std::string::npos)
      return make_cuda_device(std::stoi(ordinal));
  }
  throw ConfigError("device: got '" + std::string(name) + "', expected auto, cpu, cuda or cuda:N");
}

}  // namespace elbo
