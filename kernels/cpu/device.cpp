// The CPU as a device: programs run inside one parallel region, stages of ops one after another, a
// stage's tasks claimed by the threads as they come.
#include "kernels/device.hpp"

#include <omp.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "kernels/core/error.hpp"
#include "kernels/cpu/execution.hpp"
#include "kernels/host_copy.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace elbo {
namespace cpu {

const Execution& best_execution() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return avx512::execution;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::execution;
#endif
  return baseline::execution;
}

namespace {

/// Flushes subnormals while in scope: decaying moments of idle weights end there, and each such
/// operation can cost a hundred cycles. The GPU build flushes too (-ftz=true).
class FlushSubnormals {
 public:
#if defined(__x86_64__)
  FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }
  ~FlushSubnormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#endif
};

/// The tasks of one stage, claimed by whichever thread is free. Counts go on from run to run, so
/// that nothing is reset while a late thread may still look.
struct alignas(64) TaskCounter {
  std::atomic<uint64_t> claimed{0};
  std::atomic<uint64_t> finished{0};
};

/// Gives other threads room while waiting: they may hold the core that the awaited one needs.
class Patience {
 public:
  void wait() {
    constexpr int kSpins = 4000;  // about 50 microseconds, more than a task lasts
    if (++spins_ < kSpins)
      relax();
    else
      std::this_thread::yield();
  }

 private:
  static void relax() {
#if defined(__x86_64__)
    _mm_pause();
#endif
  }
  int spins_ = 0;
};

class CpuExecutable : public Executable {
 public:
  CpuExecutable(const Program& program, int threads) : threads_(threads) {
    const Execution& execution = best_execution();
    for (const Op& op : program) {
      for (Stage& stage : execution.stages(op, threads)) stages_.push_back(std::move(stage));
      op_ends_.push_back(stages_.size());
    }
    counters_ = std::vector<TaskCounter>(stages_.size());
  }

  void run(uint64_t repeats) override {
    run_then(repeats, [](size_t) {});
  }

  std::vector<double> time_ops(uint64_t repeats) override {
    using Clock = std::chrono::steady_clock;
    std::vector<double> seconds(op_ends_.size());
    auto last = Clock::now();
    run_then(repeats, [&](size_t op) {
      const auto now = Clock::now();
      seconds[op] +=
          std::chrono::duration<double>(now - last).count() / static_cast<double>(repeats);
      last = now;
    });
    return seconds;
  }

 private:
  /// Runs everything `repeats` times; one of the threads calls ended(op) whenever an op is done.
  template <class Ended>
  void run_then(uint64_t repeats, Ended ended) {
    const uint64_t first = runs_;
    runs_ += repeats;
#pragma omp parallel num_threads(threads_)
    {
      omp_set_num_threads(1);  // this thread's own setting: oneDNN must not open a team inside
      const FlushSubnormals flush;
      const bool tells = omp_get_thread_num() == 0;
      for (uint64_t i = first; i < first + repeats; ++i) {
        size_t k = 0;
        for (size_t op = 0; op < op_ends_.size(); ++op) {
          for (; k < op_ends_[op]; ++k) run_stage(k, i);
          if (tells) ended(op);
        }
      }
    }
  }

  /// Takes part in stage k of run i and returns when all of it is done. There is no barrier: a
  /// thread that the system has put aside holds up nobody, unless in the middle of a task.
  void run_stage(size_t k, uint64_t i) {
    const Stage& stage = stages_[k];
    TaskCounter& counter = counters_[k];
    const auto tasks = static_cast<uint64_t>(stage.tasks);
    const uint64_t begin = i * tasks, end = begin + tasks;
    uint64_t task = counter.claimed.load(std::memory_order_relaxed);
    while (task < end) {
      if (!counter.claimed.compare_exchange_weak(task, task + 1, std::memory_order_relaxed))
        continue;
      stage.run(static_cast<int>(task - begin));
      counter.finished.fetch_add(1, std::memory_order_release);
      task = counter.claimed.load(std::memory_order_relaxed);
    }
    Patience patience;
    while (counter.finished.load(std::memory_order_acquire) < end) patience.wait();
  }

  int threads_;
  std::vector<Stage> stages_;
  std::vector<size_t> op_ends_;  // [ops], the number of stages up to each op's last
  std::vector<TaskCounter> counters_;
  uint64_t runs_ = 0;
};

class CpuDevice : public Device {
 public:
  explicit CpuDevice(int threads) : threads_(threads) {}

  DeviceKind kind() const noexcept override { return DeviceKind::cpu; }
  std::string describe() const override {
    return "CPU, " + std::to_string(threads_) + (threads_ == 1 ? " thread, " : " threads, ") +
           best_execution().name;
  }
  bool shares_host_memory() const noexcept override { return true; }

  void* allocate(size_t bytes, std::string_view purpose) override {
    constexpr size_t kAlignment = 64;
    void* memory = nullptr;
    if (bytes <= SIZE_MAX - kAlignment)
      memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    if (memory == nullptr)
      throw DeviceError("out of memory: " + std::string(purpose) + " needs " +
                        std::to_string(bytes >> 20) +
                        " MiB; a smaller batch size or model needs less");
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
    return std::make_unique<CpuExecutable>(program, threads_);
  }
  void synchronize() override {}

 private:
  int threads_;
};

}  // namespace
}  // namespace cpu

std::shared_ptr<Device> make_cpu_device(int threads) {
  if (threads < 0)
    throw ConfigError("threads: got " + std::to_string(threads) + ", want 0 (all) or more");
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
  throw ConfigError("device: got '" + std::string(name) + "', want auto, cpu, cuda or cuda:N");
}

}  // namespace elbo
