// Handles external events that end the program, if possible with one line of output and an exit
// code.
#pragma once

#include <csignal>
#include <iterator>
#include <stdexcept>
#include <string>

#include "host/train/trainer.hpp"

namespace elbo::cli {

/// Makes three faults end the process with one line and an exit code: a mapped file that becomes
/// unreadable, out of memory in another thread, and a file that exceeds the size limit.
void handle_faults();

/// Sets the text appended to the line of handle_faults(); fewer than 4096 bytes.
void advise_after_fault(const std::string& advice);

/// Thrown after a signal stopped a training and its checkpoint was written. Exit code 128 + signal.
class Interrupted : public std::runtime_error {
 public:
  Interrupted(int signal, const std::string& message)
      : std::runtime_error(message), signal_(signal) {}
  int exit_code() const { return 128 + signal_; }

 private:
  int signal_;
};

/// During the lifetime of this object, SIGINT, SIGTERM and SIGHUP stop a training after the current
/// step; a second signal ends the process at once. Signals that were ignored before stay ignored
/// (nohup, background jobs). SIGPIPE is ignored, because a closed output is no reason to stop.
class StopSignals : public TrainingObserver {
 public:
  StopSignals();
  ~StopSignals() override;
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  bool wants_stop() override { return received() != 0; }
  /// Returns the received signal, or 0.
  static int received();

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  struct sigaction before_[std::size(kSignals)];
};

}  // namespace elbo::cli
