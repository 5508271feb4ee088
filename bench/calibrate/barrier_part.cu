// Point (c): the cost of a barrier of the whole grid, as a persistent kernel would need it.
#include <cooperative_groups.h>

#include "bench/calibrate/gpu.cuh"
#include "bench/calibrate/parts.hpp"

namespace elbo::calibrate {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kFew = 100;
constexpr int kMany = 1100;

/// Waits until every block has arrived at this barrier `round` times. `arrivals` must be zero
/// before the launch.
__device__ void wait_for_grid(uint32_t* arrivals, uint32_t round) {
  __syncthreads();
  if (threadIdx.x == 0) {
    uint32_t seen;
    asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], 1;"
                 : "=r"(seen)
                 : "l"(__cvta_generic_to_global(arrivals))
                 : "memory");
    ++seen;
    while (seen < round * gridDim.x)
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                   : "=r"(seen)
                   : "l"(__cvta_generic_to_global(arrivals))
                   : "memory");
  }
  __syncthreads();
}

struct BarrierArgs {
  uint32_t* arrivals;        // 1
  volatile uint32_t* marks;  // one per block
  uint32_t* early;           // number of times a block left before its neighbour had arrived
  int barriers;
};

/// Passes barriers and does nothing else. With kCheck, each block writes a mark before a barrier
/// and reads the mark of its neighbour after it; a different block arrives late at each barrier.
template <bool kCooperativeGroups, bool kCheck>
__global__ void __launch_bounds__(kThreads) barrier_kernel(BarrierArgs args) {
  const auto grid = cooperative_groups::this_grid();
  for (uint32_t round = 1; round <= static_cast<uint32_t>(args.barriers); ++round) {
    if (kCheck && threadIdx.x == 0) {
      constexpr long long kLateCycles = 2000;
      const long long start = clock64();
      while (blockIdx.x == round % gridDim.x && clock64() - start < kLateCycles) {
      }
      args.marks[blockIdx.x] = round;
    }
    if constexpr (kCooperativeGroups)
      grid.sync();
    else
      wait_for_grid(args.arrivals, round);
    if (kCheck && threadIdx.x == kThreads - 1) {
      const unsigned neighbour = (blockIdx.x + 1) % gridDim.x;
      if (args.marks[neighbour] < round) atomicAdd(args.early, 1u);
    }
  }
}

template <bool kCooperativeGroups>
Json measure_barrier(const Gpu& gpu) {
  const LaunchShape shape = {
      .blocks = gpu.multiprocessors(), .threads = kThreads, .cooperative = true};
  const DeviceArray<uint32_t> memory(2 + size_t{shape.blocks});
  BarrierArgs args = {memory.data(), memory.data() + 2, memory.data() + 1, kFew};
  const auto enqueue = [&](auto kernel) {
    check(cudaMemsetAsync(memory.data(), 0, memory.bytes(), gpu.stream()), "clear memory");
    launch(gpu.stream(), shape, kernel, args);
  };

  enqueue(barrier_kernel<kCooperativeGroups, true>);
  gpu.synchronize();
  uint32_t early = 0;
  check(cudaMemcpy(&early, args.early, sizeof early, cudaMemcpyDeviceToHost), "copy memory");
  if (early != 0)
    throw DeviceError("wrong result: a barrier let blocks through too early " +
                      std::to_string(early) + " times");

  const auto time_of = [&](int barriers) {
    args.barriers = barriers;
    return gpu.time(kRepetitions, [&] { enqueue(barrier_kernel<kCooperativeGroups, false>); });
  };
  const Samples many = time_of(kMany);
  const double few = time_of(kFew).median();
  Json fields = {{"blocks", shape.blocks}, {"threads", kThreads}, {"barriers", kMany}};
  fields.update(time_fields(many));
  fields["us_per_barrier"] = (many.median() - few) / (kMany - kFew);
  return fields;
}

}  // namespace

void run_barrier(const Gpu& gpu, Report& report) {
  const auto usable = [&] { return gpu.usable(); };
  report.row(
      "by hand", [&] { return measure_barrier<false>(gpu); }, usable);
  report.row(
      "grid.sync", [&] { return measure_barrier<true>(gpu); }, usable);
}

}  // namespace elbo::calibrate
