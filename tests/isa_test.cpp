// Every instruction set's build of the CPU execution that this processor can run: compares it with
// the CPU device by the tests of the CUDA kernels (kernels_cuda_test.cpp and others, compiled into
// this program).
#include <cstring>

#include "tests/cuda_backends.hpp"
#include "tests/reversed_executable.hpp"

namespace elbo {

namespace {

/// The CPU device's memory with the execution of one instruction set.
class InstructionSetDevice : public Device {
 public:
  InstructionSetDevice(const cpu::Execution& execution, const cpu::Bfloat16Kernels& bfloat16)
      : execution_(execution), bfloat16_(bfloat16) {}

  DeviceKind kind() const noexcept override { return DeviceKind::cpu; }
  std::string describe() const override { return execution_.name; }
  bool shares_host_memory() const noexcept override { return true; }
  void* allocate(size_t bytes, std::string_view purpose) override {
    return memory_->allocate(bytes, purpose);
  }
  void release(void* memory) noexcept override { memory_->release(memory); }
  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void fill_zero(void* memory, size_t bytes) override { std::memset(memory, 0, bytes); }
  std::unique_ptr<Download> start_download(const void* from, size_t bytes) override {
    return memory_->start_download(from, bytes);
  }
  std::unique_ptr<Executable> prepare(Program program) override {
    return std::make_unique<ReversedExecutable>(execution_, bfloat16_, program);
  }
  void synchronize() override {}

 private:
  const cpu::Execution& execution_;
  const cpu::Bfloat16Kernels& bfloat16_;
  std::shared_ptr<Device> memory_ = make_cpu_device(1);
};

Backend backend(const cpu::Execution& execution, const cpu::Bfloat16Kernels& bfloat16,
                bool supported) {
  return {execution.name,
          [&execution, &bfloat16, supported]() -> std::shared_ptr<Device> {
            if (!supported) return nullptr;
            return std::make_shared<InstructionSetDevice>(execution, bfloat16);
          },
          std::string("this processor has no ") + execution.name};
}

}  // namespace

std::vector<Backend> instruction_set_backends() {
  std::vector<Backend> backends = {
      backend(cpu::baseline::execution, cpu::baseline::bfloat16_kernels, true)};
#if defined(__x86_64__)
  const std::string best = cpu::best_execution().name;
  backends.push_back(
      backend(cpu::avx2::execution, cpu::avx2::bfloat16_kernels, best != "baseline"));
  backends.push_back(
      backend(cpu::avx512::execution, cpu::avx512::bfloat16_kernels, best == "avx512"));
#endif
  return backends;
}

}  // namespace elbo
