// Options of the simulated GPU, from the environment variable SIMULATED_GPU (README.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace elbo::cuda::simulated {

/// A call that must fail: "NAME:N", "NAME:N+" (the N-th and all later calls) or "NAME:N!" (the
/// error is permanent, like the error of a faulting kernel).
struct Failure {
  std::string function;
  uint64_t call = 1;
  bool onwards = false, lasting = false;
  mutable uint64_t calls = 0;  // number of calls so far
};

struct Options {
  enum class Order { kLatest, kLate, kRandom, kEager };

  uint64_t seed = 1;
  Order order = Order::kLate;
  bool late_pageable = true;     // asynchronous copies of pageable memory may run after the call
  bool races = true;             // check that accesses are ordered and read initialized memory
  bool all_programmatic = true;  // kernels with several predecessors have programmatic edges too
  bool quick_trials = false;     // run one repeat in graphs that repeat a few kernels
  std::string fastest;           // the kind of graph that must seem fastest
  uint64_t memory = uint64_t{141} << 30;
  double clock = 1.0;  // speed of the host's steady clock

  double library_speed = 1.0;  // relative speed of the libraries' products
  double noise = 0.0;          // relative error of the libraries' products
  std::string refuse;          // features that the libraries reject: "DRELU,BGRADB", "ALL"

  std::vector<Failure> failures;
  // Planted defects, which the simulation must report:
  uint64_t without_edge = 0;   // omits the N-th dependency of each captured graph; 0: none
  uint64_t without_event = 0;  // every N-th cudaStreamWaitEvent does nothing
  std::string without_wait;    // kernels whose name contains this do not wait for earlier kernels

  mutable uint64_t planted = 0;  // number of times that a planted defect took effect

  std::string report;  // file for findings; empty: standard error
  std::string counts;  // file for counts of calls and instructions
  bool trace = false;
  bool backtrace = false;
  int exit_code = 86;  // of a process with defects; 0: keep the process's own exit code

  /// Returns the current options; until `set` is called, the options from the environment.
  static const Options& get();
  static void set(const Options& options);
  /// Parses options; throws std::invalid_argument for an unknown option or value.
  static Options parse(const std::string& text);
};

}  // namespace elbo::cuda::simulated
