// The parts of the calibration.
#pragma once

#include "bench/calibrate/report.hpp"

namespace elbo::calibrate {

class Gpu;

/// One part of the calibration. `run` adds rows to the report, and throws DeviceError if the GPU is
/// lost.
struct Part {
  std::string_view name;
  std::string_view summary;
  double seconds;  // default budget; --seconds overrides it
  void (*run)(const Gpu& gpu, Report& report);
};

void run_graph(const Gpu& gpu, Report& report);
void run_launch(const Gpu& gpu, Report& report);
void run_barrier(const Gpu& gpu, Report& report);
void run_noise(const Gpu& gpu, Report& report);
void run_memory(const Gpu& gpu, Report& report);
void run_gemm(const Gpu& gpu, Report& report);

/// The parts in the order in which they run. The matrix products come last: they take longest, and
/// a library kernel that breaks the GPU's context cannot affect another part then.
inline constexpr Part kParts[] = {
    {"graph", "chains and forks of small kernels in a CUDA graph, dependent launch", 4, run_graph},
    {"launch", "graphs of unrolled steps, a WHILE node, plain launches", 6, run_launch},
    {"barrier", "barriers of the whole grid, by hand and cooperative", 2, run_barrier},
    {"noise", "normals on the GPU against the CPU, bit by bit, and their rate", 4, run_noise},
    {"memory", "device copy, reads from the L2 cache, pinned transfers", 6, run_memory},
    {"gemm", "cuBLASLt over the layers of four models, 784 to 12288 wide", 38, run_gemm},
};

}  // namespace elbo::calibrate
