// How the simulated GPU behaves, from the environment variable SIMULATED_GPU (README.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace elbo::cuda::simulated {

/// A call that is to fail: "NAME:N", "NAME:N+" (that one and all later ones) or "NAME:N!" (the
/// error lasts, as the error of a kernel that faulted does).
struct Failure {
  std::string function;
  uint64_t call = 1;
  bool onwards = false, lasting = false;
  mutable uint64_t calls = 0;  // so far
};

struct Options {
  enum class Order { kLatest, kLate, kRandom, kEager };

  uint64_t seed = 1;
  Order order = Order::kLate;
  bool late_pageable = true;     // asynchronous copies of pageable memory run when they have to
  bool races = true;             // check that accesses are ordered and initialized
  bool all_programmatic = true;  // with several predecessors, every edge is programmatic, or none
  bool quick_trials = false;     // run one repeat in graphs that repeat a few kernels
  std::string fastest;           // kind of graph that is to seem fastest
  uint64_t memory = uint64_t{141} << 30;
  double clock = 1.0;  // speed of the host's steady clock

  double library_speed = 1.0;  // of the libraries' products
  double noise = 0.0;          // relative error of the libraries' products
  std::string refuse;          // what the libraries refuse: "DRELU,BGRADB", "ALL"

  std::vector<Failure> failures;
  // Planted defects, which must be found:
  uint64_t without_edge = 0;   // leaves out the N-th dependency of each captured graph; 0: none
  uint64_t without_event = 0;  // every N-th cudaStreamWaitEvent does nothing
  std::string without_wait;    // kernels with this in their name do not wait for earlier ones

  mutable uint64_t planted = 0;  // number of times that one of these defects took effect

  std::string report;  // file for findings; empty: standard error
  std::string counts;  // file for counts of calls and instructions
  bool trace = false;
  bool backtrace = false;
  int exit_code = 86;  // of a process with defects; 0: the process's own

  /// The options in use, from the environment at first.
  static const Options& get();
  static void set(const Options& options);
  /// Throws std::invalid_argument for an unknown option or value.
  static Options parse(const std::string& text);
};

}  // namespace elbo::cuda::simulated
