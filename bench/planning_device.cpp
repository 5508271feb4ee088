#include "bench/planning_device.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "kernels/core/error.hpp"
#include "kernels/host_copy.hpp"

namespace elbo::bench {
namespace {

class PlannedProgram : public Executable {
 public:
  void run(uint64_t) override {
    throw DeviceError("a planning device records programs and cannot run them");
  }
};

class PlanningDevice : public Device {
 public:
  explicit PlanningDevice(DeviceKind kind) : kind_(kind) {}

  DeviceKind kind() const noexcept override { return kind_; }
  std::string describe() const override { return "a plan, on memory of the host"; }
  bool shares_host_memory() const noexcept override { return false; }

  void* allocate(size_t bytes, std::string_view purpose) override {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw DeviceError("out of address space: " + std::string(purpose) + " needs " +
                        std::to_string(bytes >> 20) + " MiB");
    sizes_[memory] = bytes;
    return memory;
  }
  void release(void* memory) noexcept override {
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) return;
    munmap(memory, found->second);
    sizes_.erase(found);
  }
  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void fill_zero(void* memory, size_t bytes) override {
    // Return whole pages to the system, which supplies zeros when they are accessed again.
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<uintptr_t>(memory), end = begin + bytes;
    const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
    if (first >= last ||
        madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED) != 0) {
      std::memset(memory, 0, bytes);
      return;
    }
    std::memset(memory, 0, first - begin);
    std::memset(reinterpret_cast<void*>(last), 0, end - last);
  }
  std::unique_ptr<Download> start_download(const void* from, size_t bytes) override {
    return std::make_unique<HostCopy>(from, bytes);
  }

  std::unique_ptr<Executable> prepare(Program) override {
    return std::make_unique<PlannedProgram>();
  }
  void synchronize() override {}

 private:
  DeviceKind kind_;
  std::map<void*, size_t> sizes_;
};

}  // namespace

std::shared_ptr<Device> make_planning_device(DeviceKind kind) {
  return std::make_shared<PlanningDevice>(kind);
}

}  // namespace elbo::bench
