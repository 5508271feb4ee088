// Prepares the rows of the benchmark one at a time.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "bench/machine.hpp"
#include "bench/row.hpp"

namespace elbo::bench {

/// Makes a row, checks it and warms it up. All repetitions of the row share the result.
class Workbench {
 public:
  explicit Workbench(Machine& machine) : machine_(machine) {}

  Machine& machine() { return machine_; }
  /// Makes `row` the current row, unless it is already.
  void prepare(const Row& row);
  /// Returns the difference between the current row and the reference, or nullopt if they agree.
  const std::optional<std::string>& difference() const { return difference_; }
  const Program& program() const { return work_.program; }
  /// Returns how the row's matrix product is computed; empty if the device had no choice.
  const std::string& choice() const { return choice_; }
  /// Returns the number of consecutive runs to time together.
  int64_t block() const { return block_; }
  /// Runs the program block() times and waits for the device.
  void run_block() { run(block_); }
  /// True if any row so far differed from the reference.
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

/// Returns the seconds that `run` takes by the host's clock.
template <class Run>
double seconds_of(Run run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace elbo::bench
