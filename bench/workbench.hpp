// The row whose turn it is.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "bench/machine.hpp"
#include "bench/row.hpp"

namespace elbo::bench {

/// Makes a row, checks it and warms it up; its repetitions share it.
class Workbench {
 public:
  explicit Workbench(Machine& machine) : machine_(machine) {}

  Machine& machine() { return machine_; }
  /// Makes `row` the one whose turn it is, if it is not yet.
  void prepare(const Row& row);
  /// What differs from the reference, if anything does.
  const std::optional<std::string>& difference() const { return difference_; }
  const Program& program() const { return work_.program; }
  /// How products are computed, where there is a choice.
  const std::string& choice() const { return choice_; }
  /// Runs in a row that are worth timing.
  int64_t block() const { return block_; }
  /// Runs the program as often as that and waits for it.
  void run_block() { run(block_); }
  /// Whether any row so far differed.
  bool failed() const { return failed_; }

 private:
  void run(int64_t times) {
    executable_->run(static_cast<uint64_t>(times));
    device_->synchronize();
  }

  Machine& machine_;
  std::string row_;
  std::shared_ptr<Device> device_;
  Work work_;
  std::optional<std::string> difference_;
  std::unique_ptr<Executable> executable_;
  std::string choice_;
  int64_t block_ = 1;
  bool failed_ = false;
};

/// Seconds that `run` takes by the host's clock.
template <class Run>
double seconds_of(Run run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace elbo::bench
