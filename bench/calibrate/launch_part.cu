// Point (b): the cost of launching a training step of 16 small kernels: with plain launches, graphs
// of several unrolled steps, and a graph that contains a loop.
#include <map>

#include "bench/calibrate/parts.hpp"
#include "bench/calibrate/small_kernel.cuh"

namespace elbo::calibrate {
namespace {

constexpr int kKernelsPerStep = 16;
constexpr int kUnrolled[] = {1, 8, 16, 64};
constexpr int kLaunchesInARow = 4;

void enqueue_steps(const SmallKernel& kernel, int steps) {
  for (int i = 0; i < steps * kKernelsPerStep; ++i) kernel.enqueue();
}

/// Times `enqueue`, which is one launch of `steps` steps: alone, as one of several consecutive
/// launches, and on the host. "us_between_starts" is the time between the starts of two consecutive
/// launches.
Json measure_launches(const Gpu& gpu, int steps, const std::function<void()>& enqueue) {
  const Samples alone = gpu.time(kRepetitions, enqueue);
  const Samples row = gpu.time(kRepetitions, [&] {
    for (int i = 0; i <= kLaunchesInARow; ++i) enqueue();
  });
  const Samples host = gpu.host_time(kRepetitions, enqueue);
  const double period = (row.median() - alone.median()) / kLaunchesInARow;
  Json fields = {{"steps", steps}};
  fields.update(time_fields(alone));
  fields["us_between_starts"] = period;
  fields["us_per_step"] = period / steps;
  fields["host_us_per_launch"] = host.median();
  fields["host_spread_percent"] = host.spread_percent();
  if (row.waited_for_host) fields["waited_for_host"] = true;
  return fields;
}

#if CUDART_VERSION >= 12040

/// Counts the rounds of a loop and ends it after the last one.
__global__ void end_loop_kernel(uint32_t* round, uint32_t rounds,
                                cudaGraphConditionalHandle condition) {
  if (++*round < rounds) return;
  *round = 0;
  cudaGraphSetConditional(condition, 0u);
}

/// A graph of one WHILE node. Its body is `steps` steps and the kernel that ends the loop.
struct LoopGraph {
  LoopGraph(const Gpu& gpu, const SmallKernel& kernel, int rounds, int steps) : round(1) {
    check(cudaMemsetAsync(round.data(), 0, round.bytes(), gpu.stream()), "clear memory");
    cudaGraph_t created = nullptr;
    check(cudaGraphCreate(&created, 0), "create a graph");
    graph.reset(created);
    cudaGraphConditionalHandle condition = {};
    check(cudaGraphConditionalHandleCreate(&condition, created, 1u, cudaGraphCondAssignDefault),
          "create a conditional handle");
    cudaGraphNodeParams node = {};
    node.type = cudaGraphNodeTypeConditional;
    node.conditional.handle = condition;
    node.conditional.type = cudaGraphCondTypeWhile;
    node.conditional.size = 1;
    cudaGraphNode_t added = nullptr;
#if CUDART_VERSION >= 13000
    check(cudaGraphAddNode(&added, created, nullptr, nullptr, 0, &node), "add a WHILE node");
#else
    check(cudaGraphAddNode(&added, created, nullptr, 0, &node), "add a WHILE node");
#endif
    const cudaGraph_t body = node.conditional.phGraph_out[0];  // owned by the node
    check(cudaStreamBeginCaptureToGraph(gpu.stream(), body, nullptr, nullptr, 0,
                                        cudaStreamCaptureModeRelaxed),
          "begin a capture");
    cudaGraph_t captured = nullptr;
    try {
      enqueue_steps(kernel, steps);
      launch(gpu.stream(), {.threads = 1}, end_loop_kernel, round.data(),
             static_cast<uint32_t>(rounds), condition);
    } catch (...) {
      cudaStreamEndCapture(gpu.stream(), &captured);  // otherwise it stays in capture mode
      throw;
    }
    check(cudaStreamEndCapture(gpu.stream(), &captured), "end a capture");
    executable = instantiate(created, gpu.stream());
  }

  DeviceArray<uint32_t> round;
  Graph graph;
  GraphExec executable;
};

void measure_loops(const Gpu& gpu, Report& report, const SmallKernel& kernel) {
  int driver = 0;
  check(cudaDriverGetVersion(&driver), "tell the driver's version");
  if (driver < 12040)
    return report.not_measured("while", "not supported: the driver is older than CUDA 12.4");
  for (const auto& [rounds, steps] : {std::pair(64, 1), std::pair(8, 8)}) {
    const std::string name =
        "while/" + std::to_string(rounds) + " rounds of " + std::to_string(steps);
    report.row(
        name,
        [&] {
          const LoopGraph loop(gpu, kernel, rounds, steps);
          const auto enqueue = [&] {
            check(cudaGraphLaunch(loop.executable.get(), gpu.stream()), "launch a graph");
          };
          kernel.clear();
          enqueue();
          enqueue();  // a second launch checks that the loop restarts
          kernel.expect(static_cast<uint32_t>(2 * rounds * steps * kKernelsPerStep));
          return measure_launches(gpu, rounds * steps, enqueue);
        },
        [&] { return gpu.usable(); });
  }
}

#else

void measure_loops(const Gpu&, Report& report, const SmallKernel&) {
  report.not_measured("while", "not supported: built with a CUDA older than 12.4");
}

#endif

}  // namespace

void run_launch(const Gpu& gpu, Report& report) {
  const auto usable = [&] { return gpu.usable(); };
  const SmallKernel kernel(gpu, {.blocks = gpu.multiprocessors(), .threads = 256});
  std::map<int, double> period;
  for (const int steps : kUnrolled)
    report.row(
        "graph/" + std::to_string(steps) + " steps",
        [&] {
          const GraphExec graph = capture(gpu.stream(), [&] { enqueue_steps(kernel, steps); });
          const auto enqueue = [&] {
            check(cudaGraphLaunch(graph.get(), gpu.stream()), "launch a graph");
          };
          kernel.clear();
          enqueue();
          kernel.expect(static_cast<uint32_t>(steps * kKernelsPerStep));
          const Json fields = measure_launches(gpu, steps, enqueue);
          period[steps] = fields.at("us_between_starts");
          return fields;
        },
        usable);
  // A launch takes gap + steps * step. The two longest graphs determine the step, the shortest one
  // determines the gap.
  if (period.contains(1) && period.contains(16) && period.contains(64))
    report.row(
        "graph/gap between launches",
        [&]() -> Json {
          const double step = (period[64] - period[16]) / 48.0;
          return {{"us", period[1] - step}, {"us_per_step_within_a_graph", step}};
        },
        usable);
  measure_loops(gpu, report, kernel);
  report.row(
      "stream/1 step", [&] { return measure_launches(gpu, 1, [&] { enqueue_steps(kernel, 1); }); },
      usable);
}

}  // namespace elbo::calibrate
