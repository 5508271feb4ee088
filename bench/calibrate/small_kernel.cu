#include "bench/calibrate/small_kernel.cuh"

#include <algorithm>

namespace elbo::calibrate {
namespace {

template <bool kDependent>
__global__ void count_kernel(uint32_t* counts) {
  if constexpr (kDependent) release_next_and_wait_for_previous();
  ++counts[blockIdx.x * blockDim.x + threadIdx.x];
}

}  // namespace

SmallKernel::SmallKernel(const Gpu& gpu, const LaunchShape& shape)
    : gpu_(gpu), shape_(shape), counts_(size_t{shape.blocks} * shape.threads) {
  clear();
}

void SmallKernel::enqueue() const {
  launch(gpu_.stream(), shape_, shape_.dependent ? count_kernel<true> : count_kernel<false>,
         counts_.data());
}

void SmallKernel::clear() const {
  check(cudaMemsetAsync(counts_.data(), 0, counts_.bytes(), gpu_.stream()), "clear memory");
  gpu_.synchronize();
}

void SmallKernel::expect(uint32_t runs) const {
  gpu_.synchronize();
  std::vector<uint32_t> counts(counts_.size());
  check(cudaMemcpy(counts.data(), counts_.data(), counts_.bytes(), cudaMemcpyDeviceToHost),
        "copy memory");
  const auto wrong =
      std::find_if(counts.begin(), counts.end(), [&](uint32_t count) { return count != runs; });
  if (wrong == counts.end()) return;
  throw DeviceError("wrong result: a kernel's element was counted " + std::to_string(*wrong) +
                    " times, not " + std::to_string(runs));
}

}  // namespace elbo::calibrate
