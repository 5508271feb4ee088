// Point (a): the cost of one more kernel in a CUDA graph: in a chain, in a chain with programmatic
// dependent launch, and on two branches.
#include "bench/calibrate/parts.hpp"
#include "bench/calibrate/small_kernel.cuh"

namespace elbo::calibrate {
namespace {

constexpr int kNodes = 64;
constexpr int kLongNodes = 256;

template <bool kDependent>
__global__ void empty_kernel() {
  if constexpr (kDependent) release_next_and_wait_for_previous();
}

void launch_empty(cudaStream_t stream, const LaunchShape& shape) {
  launch(stream, shape, shape.dependent ? empty_kernel<true> : empty_kernel<false>);
}

/// Times a graph of kNodes kernels, each put on the stream by one call of `enqueue`. The cost of
/// one node is computed from the difference to a longer graph, which cancels the cost of the
/// launch.
Json measure_chain(const Gpu& gpu, const std::function<void()>& enqueue) {
  const auto chain_of = [&](int nodes) {
    const GraphExec graph = capture(gpu.stream(), [&] {
      for (int i = 0; i < nodes; ++i) enqueue();
    });
    return gpu.time(kRepetitions,
                    [&] { check(cudaGraphLaunch(graph.get(), gpu.stream()), "launch a graph"); });
  };
  const Samples samples = chain_of(kNodes);
  const double longer = chain_of(kLongNodes).median();
  Json fields = {{"nodes", kNodes}};
  fields.update(time_fields(samples));
  fields["us_per_node"] = samples.median() / kNodes;
  fields["us_per_added_node"] = (longer - samples.median()) / (kLongNodes - kNodes);
  return fields;
}

Json measure_empty_chain(const Gpu& gpu, const LaunchShape& shape) {
  return measure_chain(gpu, [&] { launch_empty(gpu.stream(), shape); });
}

/// measure_chain() of kernels with work, whose results prove that each waited for the previous one.
Json measure_counting_chain(const Gpu& gpu, const LaunchShape& shape) {
  const SmallKernel kernel(gpu, shape);
  const GraphExec once = capture(gpu.stream(), [&] {
    for (int i = 0; i < kNodes; ++i) kernel.enqueue();
  });
  check(cudaGraphLaunch(once.get(), gpu.stream()), "launch a graph");
  kernel.expect(kNodes);
  return measure_chain(gpu, [&] { kernel.enqueue(); });
}

/// A kernel that runs alternately without shared memory and with the largest amount that a kernel
/// of the engine uses. `carveout`: the preferred shared memory of these kernels, in percent of the
/// maximum.
template <int carveout>
__global__ void mixed_kernel() {
  release_next_and_wait_for_previous();
}

template <int carveout>
Json measure_mixed_chain(const Gpu& gpu) {
  check(cudaFuncSetAttribute(mixed_kernel<carveout>, cudaFuncAttributePreferredSharedMemoryCarveout,
                             carveout),
        "ask for shared memory");
  LaunchShape shape = {.blocks = gpu.multiprocessors(), .threads = 256, .dependent = true};
  return measure_chain(gpu, [&] {
    shape.shared_bytes = shape.shared_bytes == 0 ? 37 * 1024 : 0;
    launch(gpu.stream(), shape, mixed_kernel<carveout>);
  });
}

/// Times a graph of `segments` segments and a final kernel. A segment is one kernel, then `branch`
/// kernels on each of two branches.
Json measure_fork(const Gpu& gpu, int segments, int branch) {
  const Stream side = make_stream();
  const Event fork = make_event(cudaEventDisableTiming), join = make_event(cudaEventDisableTiming);
  const LaunchShape shape;
  const GraphExec graph = capture(gpu.stream(), [&] {
    for (int segment = 0; segment < segments; ++segment) {
      launch_empty(gpu.stream(), shape);
      check(cudaEventRecord(fork.get(), gpu.stream()), "record an event");
      check(cudaStreamWaitEvent(side.get(), fork.get(), 0), "wait for an event");
      for (int i = 0; i < branch; ++i) {
        launch_empty(gpu.stream(), shape);
        launch_empty(side.get(), shape);
      }
      check(cudaEventRecord(join.get(), side.get()), "record an event");
      check(cudaStreamWaitEvent(gpu.stream(), join.get(), 0), "wait for an event");
    }
    launch_empty(gpu.stream(), shape);
  });
  const Samples samples = gpu.time(
      kRepetitions, [&] { check(cudaGraphLaunch(graph.get(), gpu.stream()), "launch a graph"); });
  const int path = segments * (1 + branch) + 1;
  Json fields = {{"nodes", segments * (1 + 2 * branch) + 1}, {"longest_path", path}};
  fields.update(time_fields(samples));
  fields["us_per_node_of_path"] = samples.median() / path;
  return fields;
}

}  // namespace

void run_graph(const Gpu& gpu, Report& report) {
  const auto usable = [&] { return gpu.usable(); };
  const LaunchShape tiny, full = {.blocks = gpu.multiprocessors(), .threads = 256};
  const auto dependent = [](LaunchShape shape) {
    shape.dependent = true;
    return shape;
  };
  report.row(
      "chain/empty", [&] { return measure_empty_chain(gpu, tiny); }, usable);
  report.row(
      "chain/counting", [&] { return measure_counting_chain(gpu, full); }, usable);
  if (gpu.has_dependent_launch()) {
    report.row(
        "chain/empty/dependent_launch", [&] { return measure_empty_chain(gpu, dependent(tiny)); },
        usable);
    report.row(
        "chain/counting/dependent_launch",
        [&] { return measure_counting_chain(gpu, dependent(full)); }, usable);
    report.row(
        "chain/mixed_shared_memory/dependent_launch",
        [&] { return measure_mixed_chain<cudaSharedmemCarveoutDefault>(gpu); }, usable);
    report.row(
        "chain/mixed_shared_memory/largest_carveout/dependent_launch",
        [&] { return measure_mixed_chain<cudaSharedmemCarveoutMaxShared>(gpu); }, usable);
  } else {
    const std::string reason = "not supported: dependent launch needs compute capability 9.0";
    report.not_measured("chain/empty/dependent_launch", reason);
    report.not_measured("chain/counting/dependent_launch", reason);
    report.not_measured("chain/mixed_shared_memory/dependent_launch", reason);
    report.not_measured("chain/mixed_shared_memory/largest_carveout/dependent_launch", reason);
  }
  report.row(
      "fork/32 of 1 + 1", [&] { return measure_fork(gpu, 32, 1); }, usable);
  report.row(
      "fork/1 of 32 + 32", [&] { return measure_fork(gpu, 1, 32); }, usable);
}

}  // namespace elbo::calibrate
