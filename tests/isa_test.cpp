// Every instruction set's build of the CPU execution that this processor can run: the comparisons
// that CUDA has to stand (kernels_cuda_test.cpp and its like, compiled into this program) between
// it and the CPU device. Its tasks run last to first: their order must not matter.
#include <cstring>

#include "kernels/cpu/execution.hpp"
#include "tests/cuda_backends.hpp"

namespace elbo {

namespace {

class ReversedExecutable : public Executable {
 public:
  ReversedExecutable(const cpu::Execution& execution, const Program& program) {
    constexpr int kThreads = 3;  // which cuts tasks other than the CPU device's one thread
    for (std::vector<cpu::Stage>& of_op : execution.stages(program, kThreads))
      for (cpu::Stage& stage : of_op) stages_.push_back(std::move(stage));
  }
  void run(uint64_t repeats) override {
    for (uint64_t i = 0; i < repeats; ++i)
      for (const cpu::Stage& stage : stages_)
        for (int task = stage.tasks; task-- > 0;) stage.run(task);
  }

 private:
  std::vector<cpu::Stage> stages_;
};

/// The CPU device's memory with the execution of one instruction set.
class InstructionSetDevice : public Device {
 public:
  explicit InstructionSetDevice(const cpu::Execution& execution) : execution_(execution) {}

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
    return std::make_unique<ReversedExecutable>(execution_, program);
  }
  void synchronize() override {}

 private:
  const cpu::Execution& execution_;
  std::shared_ptr<Device> memory_ = make_cpu_device(1);
};

Backend backend(const cpu::Execution& execution, bool supported) {
  return {execution.name,
          [&execution, supported]() -> std::shared_ptr<Device> {
            if (!supported) return nullptr;
            return std::make_shared<InstructionSetDevice>(execution);
          },
          std::string("this processor has no ") + execution.name};
}

}  // namespace

std::vector<Backend> instruction_set_backends() {
  std::vector<Backend> backends = {backend(cpu::baseline::execution, true)};
#if defined(__x86_64__)
  const std::string best = cpu::best_execution().name;
  backends.push_back(backend(cpu::avx2::execution, best != "baseline"));
  backends.push_back(backend(cpu::avx512::execution, best == "avx512"));
#endif
  return backends;
}

}  // namespace elbo
