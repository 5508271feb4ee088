// What ends the program from outside, and how it ends then: with one line and an exit code wherever
// the system lets it.
#pragma once

#include <csignal>
#include <iterator>
#include <stdexcept>
#include <string>

#include "host/train/trainer.hpp"

namespace elbo::cli {

/// Has a mapped file that can no longer be read, memory that runs out in another thread, and files
/// grown too large end in a line and an exit code.
void handle_faults();

/// What the line of handle_faults() ends with from now on; fewer than 4096 bytes.
void advise_after_fault(const std::string& advice);

/// A training stopped by a signal, its checkpoint written. Exit code 128 + signal.
class Interrupted : public std::runtime_error {
 public:
  Interrupted(int signal, const std::string& message)
      : std::runtime_error(message), signal_(signal) {}
  int exit_code() const { return 128 + signal_; }

 private:
  int signal_;
};

/// While it lives, SIGINT, SIGTERM and SIGHUP have a training stop after the step it is at; a
/// second one ends the process at once. Those that were ignored stay so (nohup, background jobs),
/// and output that nobody reads any more is no reason to stop.
class StopSignals : public TrainingObserver {
 public:
  StopSignals();
  ~StopSignals() override;
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  bool wants_stop() override { return received() != 0; }
  /// The signal, 0: none.
  static int received();

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  struct sigaction before_[std::size(kSignals)];
};

}  // namespace elbo::cli
