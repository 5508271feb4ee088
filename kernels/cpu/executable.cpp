// Programs run inside one parallel region, stage by stage; threads claim the tasks of a stage
// dynamically.
#include "kernels/cpu/executable.hpp"

#include <omp.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/fusion.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace elbo::cpu {

namespace {

/// Flushes subnormals while in scope: decaying moments of idle weights become subnormal, and each
/// such operation can cost a hundred cycles. The GPU build flushes too (-ftz=true).
class FlushSubnormals {
 public:
#if defined(__x86_64__)
  FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }
  ~FlushSubnormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#endif
};

/// A counter on its own cache line, since several threads increment it. Counts continue from run to
/// run, so that nothing is reset while a late thread may still read it.
struct alignas(64) Counter {
  std::atomic<uint64_t> value{0};
};

/// Spins, then yields, so that an oversubscribed core can run the thread we wait for.
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
  CpuExecutable(const Program& program, int threads)
      : threads_(threads), updates_(updates_with_gradients(program)) {
    for (std::vector<Stage>& of_op : best_execution().stages(
             program, updates_, {threads, *usable_bfloat16_kernels().front()})) {
      for (Stage& stage : of_op) stages_.push_back(std::move(stage));
      op_ends_.push_back(stages_.size());
    }
    claimed_ = std::vector<Counter>(stages_.size() * static_cast<size_t>(threads));
    finished_ = std::vector<Counter>(stages_.size());
  }

  void run(uint64_t repeats) override {
    run_then(repeats, [](size_t) {});
  }

  std::vector<OpTime> time_ops(uint64_t repeats) override {
    using Clock = std::chrono::steady_clock;
    std::vector<OpTime> times(op_ends_.size());
    for (size_t op = 0; op < times.size(); ++op)
      times[op].within = updates_[op] < 0 ? static_cast<int>(op) : updates_[op];
    auto last = Clock::now();
    run_then(repeats, [&](size_t op) {
      const auto now = Clock::now();
      times[op].seconds +=
          std::chrono::duration<double>(now - last).count() / static_cast<double>(repeats);
      last = now;
    });
    return times;
  }

 private:
  /// Runs the program `repeats` times; one of the threads calls ended(op) after each op.
  template <class Ended>
  void run_then(uint64_t repeats, Ended ended) {
    const uint64_t first = runs_;
    runs_ += repeats;
#pragma omp parallel num_threads(threads_)
    {
      omp_set_num_threads(1);  // for this thread: oneDNN must not start a team inside
      const FlushSubnormals flush;
      const int thread = omp_get_thread_num();
      for (uint64_t i = first; i < first + repeats; ++i) {
        size_t k = 0;
        for (size_t op = 0; op < op_ends_.size(); ++op) {
          for (; k < op_ends_[op]; ++k) run_stage(k, i, thread);
          if (thread == 0) ended(op);
        }
      }
    }
  }

  /// Takes part in stage k of run i and returns when the stage is complete. Each thread begins with
  /// its own tasks, the same in every run, whose memory may still be in its cache, and then helps
  /// others. There is no barrier: a descheduled thread delays nobody, unless it is in the middle of
  /// a task.
  void run_stage(size_t k, uint64_t i, int thread) {
    const Stage& stage = stages_[k];
    Counter* claimed = &claimed_[k * static_cast<size_t>(threads_)];
    for (int turn = 0; turn < threads_; ++turn) {
      const int owner = (thread + turn) % threads_;
      const Range own = Shares{stage.tasks, threads_}.range(owner);
      const auto size = static_cast<uint64_t>(own.end - own.begin);
      uint64_t done = 0;
      while (const auto task = claim(claimed[owner].value, i * size, size)) {
        stage.run(static_cast<int>(own.begin + static_cast<int64_t>(*task)));
        ++done;
      }
      if (done > 0) finished_[k].value.fetch_add(done, std::memory_order_release);
    }
    const uint64_t all = (i + 1) * static_cast<uint64_t>(stage.tasks);
    Patience patience;
    while (finished_[k].value.load(std::memory_order_acquire) < all) patience.wait();
  }

  /// The next unclaimed of `size` tasks; `counter` is `first` before any is claimed.
  static std::optional<uint64_t> claim(std::atomic<uint64_t>& counter, uint64_t first,
                                       uint64_t size) {
    uint64_t next = counter.load(std::memory_order_relaxed);
    while (next < first + size)
      if (counter.compare_exchange_weak(next, next + 1, std::memory_order_relaxed))
        return next - first;
    return std::nullopt;
  }

  int threads_;
  std::vector<int> updates_;  // [ops], see fusion.hpp
  std::vector<Stage> stages_;
  std::vector<size_t> op_ends_;    // [ops], number of stages up to and including each op's last
  std::vector<Counter> claimed_;   // [stages, threads], claimed tasks of each thread
  std::vector<Counter> finished_;  // [stages]
  uint64_t runs_ = 0;
};

}  // namespace

std::unique_ptr<Executable> make_executable(const Program& program, int threads) {
  return std::make_unique<CpuExecutable>(program, threads);
}

}  // namespace elbo::cpu
